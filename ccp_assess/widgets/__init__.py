"""Panels for notebooks: one for each task, without arithmetic; each has a static twin for where widgets do not work."""

from __future__ import annotations

from ccp_assess.widgets.progress import show_progress
from ccp_assess.widgets.region_panel import RegionPanel, show_region_panel

__all__ = ["RegionPanel", "show_progress", "show_region_panel"]
