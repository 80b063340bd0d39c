"""From what was measured to what is wrong: a closed list of codes, each with its proof and its control.

The list is :mod:`ccp_assess.probe.diagnoses`. The rules are pure functions of the records: those about reaching stand
in :mod:`ccp_assess.probe.verdicts_reach`, those about the way in :mod:`ccp_assess.probe.verdicts_way`. UDP and TCP are
judged apart. What has a nearer cause is not named a second time under another code.
"""

from __future__ import annotations

from ccp_assess.probe.diagnoses import Diagnosis, diagnosis, gravest_first
from ccp_assess.probe.records import RegionReach
from ccp_assess.probe.verdicts_reach import (
    EXPLAINS_ALL,
    ReachView,
    name_diagnoses,
    site_diagnoses,
    tcp_diagnoses,
    udp_diagnoses,
)
from ccp_assess.probe.verdicts_way import WayView, way_diagnoses


def diagnose(view: ReachView, way: WayView | None = None) -> dict[str | None, tuple[Diagnosis, ...]]:
    """Judge one round.

    Parameters
    ----------
    view
        What reaching found.
    way
        What was measured beside it, if anything was.

    Returns
    -------
    diagnoses
        By Region, gravest first; what concerns the whole site stands with each Region.
    """
    whole = site_diagnoses(view)
    if any(one.code in EXPLAINS_ALL for one in whole):
        return {region.region_code: whole for region in view.reach.regions}
    beside = way or WayView(ways={}, reach=view.reach)
    return {
        region.region_code: gravest_first(
            [*whole, *_of_region(view, region), *way_diagnoses(beside, region.region_code)]
        )
        for region in view.reach.regions
    }


def _of_region(view: ReachView, region: RegionReach) -> list[Diagnosis]:
    found = [*name_diagnoses(view, region)]
    forged = {str(one.evidence.get("name")) for one in found if one.code == "DNS_FORGED"}
    # What a forged address says is the filter's voice, not the service's.
    honest = RegionReach(
        region_code=region.region_code,
        names=region.names,
        tcp=tuple(one for one in region.tcp if one.host not in forged or one.proxy is not None),
        relays=tuple(one for one in region.relays if one.host not in forged),
    )
    found += tcp_diagnoses(view, honest)
    found += udp_diagnoses(view, honest)
    named = {one.role for one in region.tcp} | ({"media_relay"} if region.relays else set())
    asked = {answer.name for answer in region.names if answer.name.startswith("turnnlb-")}
    if region.region_code is not None and "media_relay" not in named and not asked:
        found.append(diagnosis("NO_RELAY_NAME", "certain", {"region": region.region_code}))
    return found
