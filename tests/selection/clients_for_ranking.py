"""Small clients and a distance model that can be worked out by hand."""

from __future__ import annotations

import itertools

import numpy as np

from ccp_assess import geo
from ccp_assess.quality.emodel import effective_equipment_impairment, rate
from ccp_assess.selection.distance import DistanceEstimates
from ccp_assess.selection.prepared import Prepared, prepare
from ccp_assess.sites import CallerOrigin, Reroute, Site, TransferTarget

MS_PER_KM = 0.016
"""Round trip of the test's distance model: 1.6 times light in fibre."""
LONDON, FRANKFURT, ASHBURN, TOKYO = (51.51, -0.12), (50.11, 8.68), (39.04, -77.49), (35.69, 139.69)


def straight(from_lat, from_lon, to_lat, to_lon, *, ends="data_centres"):
    """2 ms and 1.6 times light in fibre, with a band of minus 10 and plus 30 %."""
    km = geo.great_circles_km(*np.broadcast_arrays(from_lat, from_lon, to_lat, to_lon))
    rtt = 2.0 + MS_PER_KM * km
    return DistanceEstimates(great_circle_km=km, rtt_ms=rtt, rtt_low_ms=0.9 * rtt, rtt_high_ms=1.3 * rtt)


def site(site_id="A", place=LONDON, agents=10, country="GB", **more):
    return Site(
        site_id=site_id,
        name=more.pop("name", site_id),
        latitude=place[0],
        longitude=place[1],
        country=country,
        agents=agents,
        **more,
    )


def caller(origin_id="gb", place=LONDON, share=100.0, country="GB", line="landline"):
    return CallerOrigin(
        origin_id=origin_id, latitude=place[0], longitude=place[1], country=country, call_share_pct=share, line=line
    )


def target(target_id="t", place=FRANKFURT, share=10.0, *, circular=False):
    return TransferTarget(
        target_id=target_id,
        latitude=place[0],
        longitude=place[1],
        country="DE",
        share_of_calls_pct=share,
        circular=circular,
    )


def device(site_id="A", place=LONDON, share=100.0):
    return Reroute(site_id=site_id, latitude=place[0], longitude=place[1], country="GB", share_of_agents_pct=share)


def prepared(*tables, measurements=(), draws=200, seed=1) -> Prepared:
    return prepare(*tables, measurements=measurements, draws=draws, seed=seed, distances=straight)


def leg(a, b):
    """One way by the test's distance model."""
    return float(straight(*map(np.array, (a[0], a[1], b[0], b[1]))).rtt_ms) / 2.0


MIXED = (
    (
        site("A", LONDON, 60),
        site("B", ASHBURN, 30, "US", access="home"),
        site("C", TOKYO, 10, "JP", access="vpn", via_site_id="A"),
    ),
    (caller("gb", LONDON, 50.0), caller("us", ASHBURN, 30.0, "US", "mobile"), caller("jp", TOKYO, 20.0, "JP", "mixed")),
    (
        target("fra", FRANKFURT, 8.0),
        target("tok", TOKYO, 5.0, circular=True),
        target("iad", ASHBURN, 4.0, circular=True),
    ),
    (device("A", FRANKFURT, 25.0),),
)
"""Everything at once: three accesses, a hub, three kinds of line, transfers both ways and rerouted audio."""


def every_journey(region, tables=MIXED):
    """All journeys of a client one by one: (weight, delay, codec impairment), straight from the definitions."""
    sites, callers, transfers, reroutes = tables
    access = {"office": 1.0, "home": 5.0, "vpn": 5.0 + 5.0}
    places = {s.site_id: (s.latitude, s.longitude) for s in sites}
    agents, handling, telephone = sum(s.agents for s in sites), 20 + 6.5 + 40 + 20 + 30, 20 + 60
    near = []
    for s in sites:
        here = places[s.site_id]
        way = (
            leg(here, places[s.via_site_id]) + leg(places[s.via_site_id], region)
            if s.via_site_id
            else leg(here, region)
        )
        taken = sum(r.share_of_agents_pct for r in reroutes if r.site_id == s.site_id) / 100
        near.append((s.agents / agents * (1 - taken), way + access[s.access] + handling, 2.0))
        near += [
            (
                s.agents / agents * r.share_of_agents_pct / 100,
                leg((r.latitude, r.longitude), region) + 3 + 5 + telephone,
                0.0,
            )
            for r in reroutes
            if r.site_id == s.site_id
        ]
    far = []
    for c in callers:
        mobile = {"landline": 0.0, "mobile": 1.0, "mixed": 0.6}[c.line]
        base = leg((c.latitude, c.longitude), region) + 3
        far += [(c.call_share_pct / 100 * mobile, base + 95), (c.call_share_pct / 100 * (1 - mobile), base + 5)]
    for (w, a, ie), (p, c) in itertools.product(near, far):
        yield w * p, a + c, ie
    for t in transfers:
        way = leg((t.latitude, t.longitude), region) + 3 + 5
        for p, c in far:
            if not t.circular:
                yield t.share_of_calls_pct / 100 * p, way + c + telephone, 0.0
            else:
                for w, a, ie in near:
                    yield t.share_of_calls_pct / 100 * p * w, a + c + 2 * way + 60, ie


def brute_force(region, tables=MIXED):
    """Statistics of all journeys, added up in plain Python."""
    rows = [row for row in every_journey(region, tables) if row[0] > 0]
    whole = sum(weight for weight, _, _ in rows)
    quality = [(w, d, rate(d).r_factor - ie) for w, d, ie in rows]
    from ccp_assess.quality.emodel import mos_from_r

    ordered = sorted((d, w) for w, d, _ in quality)
    mos = sorted((mos_from_r(r), w) for w, _, r in quality)
    return {
        "mean": sum(w * d for w, d, _ in quality) / whole,
        "mos": sum(w * mos_from_r(r) for w, _, r in quality) / whole,
        "over": [sum(w for w, d, _ in quality if d > limit) / whole for limit in (150, 300, 400)],
        "p50": _nearest_rank(ordered, 0.5 * whole),
        "p95": _nearest_rank(ordered, 0.95 * whole),
        "mos_p05": _nearest_rank(mos, 0.05 * whole),
    }


def _nearest_rank(pairs, wanted):
    reached = 0.0
    for value, weight in pairs:
        reached += weight
        if reached >= wanted * (1 - 1e-9):
            return value
    return pairs[-1][0]


def impairment(loss_pct, burst_ratio=1.0):
    return float(effective_equipment_impairment(loss_pct, ie=2.0, bpl=16.0, burst_ratio=burst_ratio))
