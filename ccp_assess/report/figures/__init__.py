"""Pictures of results: ``draw_…(result, ax=None) -> (fig, ax)``, without windows and without global state.

Measured is solid, modelled dashed and hatched, assumed dotted and pale, in every picture.
"""

from __future__ import annotations

from ccp_assess.report.figures.allowlist import draw_allowlist_size
from ccp_assess.report.figures.budget import draw_latency_budget
from ccp_assess.report.figures.calls import draw_call_timeline
from ccp_assess.report.figures.heat import draw_heat_map
from ccp_assess.report.figures.many_sites import draw_hours, draw_worst_sites
from ccp_assess.report.figures.map import draw_map
from ccp_assess.report.figures.options import draw_pareto, draw_probability, draw_region_comparison
from ccp_assess.report.figures.paths import draw_path
from ccp_assess.report.figures.quality import draw_quality
from ccp_assess.report.figures.ways import draw_access, draw_ports

__all__ = [
    "draw_access",
    "draw_allowlist_size",
    "draw_call_timeline",
    "draw_heat_map",
    "draw_hours",
    "draw_latency_budget",
    "draw_map",
    "draw_pareto",
    "draw_path",
    "draw_ports",
    "draw_probability",
    "draw_quality",
    "draw_region_comparison",
    "draw_worst_sites",
]
