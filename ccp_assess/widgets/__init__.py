"""Panels for notebooks: one for each task, without arithmetic; each has a static twin for where widgets do not work."""

from __future__ import annotations

from ccp_assess.widgets.call_panel import CallPanel, show_call_panel
from ccp_assess.widgets.capture_panel import CapturePanel, show_capture_panel
from ccp_assess.widgets.client_panel import ClientPanel, show_client_panel
from ccp_assess.widgets.firewall_panel import FirewallPanel, show_firewall_panel
from ccp_assess.widgets.fleet_panel import FleetPanel, show_fleet_panel
from ccp_assess.widgets.path_panel import PathPanel, show_path_panel
from ccp_assess.widgets.presentation import Presentation, show_presentation
from ccp_assess.widgets.progress import show_progress
from ccp_assess.widgets.region_panel import RegionPanel, show_region_panel
from ccp_assess.widgets.report_panel import ReportPanel, show_report_panel

__all__ = [
    "CallPanel",
    "CapturePanel",
    "ClientPanel",
    "FirewallPanel",
    "FleetPanel",
    "PathPanel",
    "Presentation",
    "RegionPanel",
    "ReportPanel",
    "show_call_panel",
    "show_capture_panel",
    "show_client_panel",
    "show_firewall_panel",
    "show_fleet_panel",
    "show_path_panel",
    "show_presentation",
    "show_progress",
    "show_region_panel",
    "show_report_panel",
]
