"""Assessments for tests of the report: whole, with sites only, and hostile; every document follows the contract."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ccp_assess.regions import read_regions
from ccp_assess.sites import CallerOrigin, Site, TransferTarget

SITES = (
    Site(
        site_id="LIS",
        name="Lisbon headquarters",
        latitude=38.72,
        longitude=-9.14,
        place="Lisbon, PT",
        country="PT",
        agents=180,
    ),
    Site(
        site_id="HOME-UK",
        name="Home agents, UK",
        latitude=52.48,
        longitude=-1.9,
        place="Birmingham, GB",
        country="GB",
        agents=60,
        access="vpn",
    ),
    Site(
        site_id="MNL",
        name="Manila partner",
        latitude=14.6,
        longitude=120.98,
        place="Manila, PH",
        country="PH",
        agents=120,
        access="vdi",
    ),
    Site(site_id="POR", name="Porto", latitude=41.15, longitude=-8.61, place="Porto, PT", country="PT", agents=25),
)
CALLERS = (
    CallerOrigin(origin_id="PT", latitude=39.5, longitude=-8.0, country="PT", call_share_pct=45.0, line="mobile"),
    CallerOrigin(origin_id="UK", latitude=52.5, longitude=-1.5, country="GB", call_share_pct=35.0),
    CallerOrigin(
        origin_id="US-EAST", latitude=40.7, longitude=-74.0, place="New York, US", country="US", call_share_pct=20.0
    ),
)
TRANSFERS = (
    TransferTarget(
        target_id="BANK",
        latitude=40.42,
        longitude=-3.7,
        place="Madrid, ES",
        country="ES",
        share_of_calls_pct=8.0,
        circular=True,
    ),
)
CHOICES = ("eu-west-2", "eu-central-1", "us-east-1", "ca-central-1", "us-west-2", "ap-southeast-1")


def km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Return the great-circle distance by the haversine formula."""
    a, b, c, d = map(math.radians, (lat1, lon1, lat2, lon2))
    return 12742 * math.asin(
        math.sqrt(math.sin((c - a) / 2) ** 2 + math.cos(a) * math.cos(c) * math.sin((d - b) / 2) ** 2)
    )


def ranking(sites: Any = SITES, callers: Any = CALLERS, transfers: Any = TRANSFERS) -> dict[str, Any]:
    """Return a document of `regions rank`, its legs 1.7 times as long as light in fibre takes."""
    regions = read_regions()

    def one_way(place: Any, code: str) -> float:
        return round(
            3 + 1.7 * km(place.latitude, place.longitude, regions[code].latitude, regions[code].longitude) / 200, 1
        )

    options = []
    for code in CHOICES:
        by_site = [
            {
                "site_id": site.site_id,
                "region_code": code,
                "agent_leg_ms": one_way(site, code),
                "hop_count": 9 if code == "eu-west-2" and site.site_id == "LIS" else None,
                "basis": "measured" if code == "eu-west-2" and site.site_id in {"LIS", "POR"} else "modelled",
            }
            for site in sites
        ]
        by_caller = [
            {
                "origin_id": origin.origin_id,
                "region_code": code,
                "caller_leg_ms": one_way(origin, code) + 30,
                "basis": "modelled" if index != 1 else "assumed",
            }
            for index, origin in enumerate(callers)
        ]
        by_transfer = [
            {
                "target_id": target.target_id,
                "leg_ms": one_way(target, code),
                "circular": target.circular,
                "basis": "modelled",
            }
            for target in transfers
        ]
        agents = sum(site.agents for site in sites)
        agent = sum(site.agents * row["agent_leg_ms"] for site, row in zip(sites, by_site, strict=True)) / agents
        caller = (
            sum(origin.call_share_pct * row["caller_leg_ms"] for origin, row in zip(callers, by_caller, strict=True))
            / 100
        )
        mean = agent + caller + 65
        options.append(
            {
                "regions": [code],
                "rank": 0,
                "excluded_by": [],
                "mouth_to_ear_ms": {
                    "mean": round(mean, 1),
                    "p50": round(mean - 18, 1),
                    "p95": round(mean + 95, 1),
                    "band": [round(mean - 22, 1), round(mean + 34, 1)],
                },
                "mos_cqe": {
                    "mean": round(4.2 - max(mean - 150, 0) / 250, 2),
                    "p05": round(3.9 - max(mean - 100, 0) / 200, 2),
                },
                "share_over_150_ms_pct": round(min(99.0, max(0.0, (mean - 90) / 2)), 1),
                "share_over_400_ms_pct": round(max(0.0, (mean - 250) / 8), 2),
                "probability_best_pct": 0.0,
                "by_site": by_site,
                "by_caller_origin": by_caller,
                "by_transfer": by_transfer,
            }
        )
    options.sort(key=lambda option: option["mouth_to_ear_ms"]["mean"])
    shares = [81.4, 17.9, 0.7]
    for index, option in enumerate(options):
        option["rank"] = index + 1
        option["probability_best_pct"] = shares[index] if index < len(shares) else 0.0
    options.append(
        {
            "regions": ["us-gov-west-1"],
            "rank": None,
            "excluded_by": ["GovCloud was not asked for"],
            "mouth_to_ear_ms": {"mean": None, "p50": None, "p95": None, "band": [None, None]},
            "mos_cqe": {"mean": None, "p05": None},
            "share_over_150_ms_pct": None,
            "share_over_400_ms_pct": None,
            "probability_best_pct": None,
            "by_site": [],
            "by_caller_origin": [],
            "by_transfer": [],
        }
    )
    best, second = options[0], options[1]
    return {
        "options": options,
        "recommendation": {
            "regions": best["regions"],
            "runner_up": second["regions"],
            "reasons": [
                "It has the lowest mean mouth-to-ear delay over all agents, callers and transfers.",
                "Portuguese and British callers, 80 % of all calls, stay within 2 000 km of it.",
            ],
            "tipping_points": [
                {"what": "call share of US-EAST [%]", "from": 20.0, "to": 63.0, "winner_becomes": ["us-east-1"]},
                {"what": "agents at MNL", "from": 120, "to": 900, "winner_becomes": ["ap-southeast-1"]},
            ],
            "caveats": ["Legs from Manila are modelled: no measurement exists."],
        },
    }


def call(number: int, **changes: Any) -> dict[str, Any]:
    """Return one call of a capture document."""
    base = {
        "call_id": f"c{number:07x}",
        "start_time": f"2026-11-20T10:{number:02d}:04.120Z",
        "end_time": f"2026-11-20T10:{number:02d}:44.120Z",
        "region_code": "eu-west-2",
        "relay": {"address": "15.193.5.10", "port": 3478, "transport": "udp"},
        "setup_ms": {"dns": 4.2, "allocate": 78.1, "ice": 120.5, "dtls": 92.7, "first_media": 310.4},
        "rtt_relay_ms": {"p50": 38.4, "p95": 39.9, "n": 6},
        "rtt_media_ms": {"p50": 40.1, "p95": 44.0, "n": 15},
        "in": {"loss_pct": 0.0, "jitter_ms": 1.2, "late_pct": 0.0, "mos_cqe": 4.32, "r_factor": 90.1},
        "out": {"loss_pct": None, "jitter_ms": 0.8, "mos_cqe": None, "r_factor": None},
        "findings": [],
    }
    return {**base, **changes}


def capture_document() -> dict[str, Any]:
    """Return a document of `capture read` with a good and a bad call, one-second series included."""
    bad = call(
        2,
        **{
            "in": {"loss_pct": 3.1, "jitter_ms": 24.0, "late_pct": 1.4, "mos_cqe": 3.05, "r_factor": 59.2},
            "rtt_media_ms": {"p50": 62.0, "p95": 190.0, "n": 15},
            "findings": [
                {
                    "code": "LOSS",
                    "severity": "critical",
                    "text": "3.1 % of the packets towards the agent were lost, in bursts of 7.",
                    "evidence": {"loss_pct": 3.1},
                }
            ],
        },
    )
    seconds = [
        {
            "time": f"2026-11-20T10:02:{4 + second:02d}.000Z",
            "call_id": bad["call_id"],
            "direction": "in",
            "packets": 50 - (9 if 18 <= second <= 24 else 0),
            "lost": 9 if 18 <= second <= 24 else 0,
            "jitter_ms": 2.0 + (22 if 18 <= second <= 26 else 0),
            "longest_gap_ms": 21.0,
            "late": 0,
        }
        for second in range(40)
    ]
    transactions = [
        {
            "time": f"2026-11-20T10:02:{4 + int(second):02d}.500Z",
            "method": "binding",
            "inside_relay": True,
            "src": "10.20.1.11",
            "src_port": 50000,
            "dst": "15.193.5.10",
            "dst_port": 3478,
            "outcome": "success",
            "error_code": None,
            "retransmissions": 0,
            "rtt_ms": 40.0 + (120 if 18 <= second <= 26 else second % 3),
        }
        for second in (1.0, 3.6, 6.3, 9.0, 11.6, 14.3, 17.0, 19.6, 22.3, 25.0, 27.6, 30.3, 33.0, 35.6)
    ]
    return {
        "captures": [
            {
                "path": "LIS__test-call.pcap",
                "format": "pcap",
                "link_types": ["ETHERNET"],
                "packets": 4321,
                "bytes": 812345,
                "first_time": "2026-11-20T10:01:00Z",
                "last_time": "2026-11-20T10:03:00Z",
                "snaplen_cut": 0,
                "ended_early": None,
                "skipped": {},
            }
        ],
        "endpoints": [],
        "dns": [],
        "transactions": transactions,
        "streams": [],
        "calls": [call(1), bad],
        "findings": [],
        "seconds": seconds,
    }


def probe_document(site_id: str = "LIS", vantage: str | None = "bench") -> dict[str, Any]:
    """Return a probe document with a path of nine hops, one of them silent."""
    hops = [
        {
            "ttl": ttl,
            "address": None if ttl == 4 else f"203.0.113.{ttl}",
            "sent": 3,
            "received": 0 if ttl == 4 else 3,
            "rtt_ms": [None] * 3 if ttl == 4 else [ttl * 4.3, ttl * 4.3 + 0.7, ttl * 4.3 + 2.0],
            "rtt_min_ms": None if ttl == 4 else ttl * 4.3,
            "rtt_avg_ms": None if ttl == 4 else ttl * 4.3 + 0.9,
            "rtt_max_ms": None if ttl == 4 else ttl * 4.3 + 2.0,
            "asn": None,
        }
        for ttl in range(1, 10)
    ]
    return {
        "site_id": site_id,
        "time": "2026-11-19T14:00:00Z",
        "tool": "mtr",
        "source": "probes/LIS__mtr.json",
        "host": {
            "os": "linux",
            "privileged": False,
            "vantage": vantage,
            "computer": {
                "os": "Windows 11",
                "cpu": "<i>Celeron</i>",
                "memory_gb": 1.5,
                "browsers": {"Chrome": "140.0.1"},
                "link": {"name": "Wi-Fi", "is_wireless": True, "is_tunnel": False, "signal_dbm": -78.0},
                "virtual_desktop": "citrix",
            },
            "requirements": [
                {"name": "memory_gb", "meaning": "memory", "minimum": 2.0, "unit": "GB", "found": 1.5, "met": False},
                {"name": "cpu_ghz", "meaning": "clock", "minimum": 2.0, "unit": "GHz", "found": None, "met": None},
            ],
        },
        "regions": [
            {
                "region_code": "eu-west-2",
                "dns": [],
                "tcp": [],
                "relay": None,
                "train": {
                    "sent": 1000,
                    "received": 998,
                    "loss_pct": 0.2,
                    "loss_ci95_pct": [0.02, 0.7],
                    "jitter_ms": 1.1,
                    "rtt_p50_ms": 38.9,
                    "rtt_p95_ms": 41.2,
                    "reordered": 0,
                    "duplicates": 0,
                },
                "path": {
                    "technique": "udp",
                    "hop_count": 9,
                    "hops_seen": 8,
                    "destination_answered": True,
                    "hops": hops,
                },
                "diagnosis": [
                    {
                        "code": "TLS_INTERCEPTED",
                        "severity": "warning",
                        "text": "TLS to the relay's Region is opened and re-encrypted by 'Example Proxy CA'.",
                    }
                ],
            }
        ],
    }


def allowlist() -> dict[str, Any]:
    """Return a document of `allowlist build`."""
    source = "Amazon Connect administrator guide: networking page for the CCP"
    rows = [
        ("myinstance.my.connect.aws/ccp-v2", "url", "443", "tcp", "Contact Control Panel"),
        ("*.transport.connect.eu-west-2.amazonaws.com", "domain", "443", "tcp", "signalling of CCP v2"),
        ("participant.connect.eu-west-2.amazonaws.com", "domain", "443", "tcp", "participant service"),
        ("TurnNlb-*.elb.eu-west-2.amazonaws.com", "domain", "3478", "udp", "media through the TURN relay"),
    ]
    return {
        "rules": [
            {
                "target": t,
                "kind": k,
                "from": ["10.20.0.0/16"],
                "port": p,
                "transport": tr,
                "direction": "outbound",
                "purpose": w,
                "region_code": "eu-west-2",
                "source": source,
                "retrieved": "2026-08-22",
            }
            for t, k, p, tr, w in rows
        ],
        "addresses_opened": {"v4": 0, "v6": "0"},
        "notes": ["Sites of the Global Resiliency pair are not included."],
    }


def assessment(**changes: Any) -> Any:
    """Return a whole assessment."""
    sites = changes.pop("sites", SITES)
    callers = changes.pop("callers", CALLERS)
    transfers = changes.pop("transfers", TRANSFERS)
    name = changes.pop("name", "Atlantic Assistance")
    document = ranking(sites, callers, transfers)
    client = SimpleNamespace(
        name=name,
        date="2026-11-22",
        folder=Path("data/sample"),
        sites=sites,
        callers=callers,
        transfers=transfers,
        reroutes=(),
        decisions=(),
        actions=(),
        constraints=SimpleNamespace(
            allowed_regions=(),
            excluded_regions=("us-west-2",),
            residency=("EU", "GB"),
            services=(),
            resiliency_pair=False,
            govcloud=False,
        ),
        weights=SimpleNamespace(agents=1.0, callers=1.0, transfers=1.0, hops=0.0),
        captures=(),
        probes=(),
        logs=(),
        rules=(),
        unknowns=(),
    )
    base: dict[str, Any] = {
        "client": client,
        "ranking": document,
        "sentences": (
            "Put the instance into eu-west-2 (London): mouth-to-ear delay averages 171 ms over all agents and callers.",
            "eu-central-1 is the runner-up at 180 ms; eu-west-2 is best in 81 % of the simulated futures.",
            "The choice would change to us-east-1 if the share of callers from US-EAST rose from 20 % to 63 %.",
        ),
        "captures": ({"site_id": "LIS", "file": "captures/LIS__test-call.pcap", "document": capture_document()},),
        "measurements": (probe_document(),),
        "allowlist": allowlist(),
        "audit": (
            {
                "file": "rules/office.csv",
                "document": {
                    "missing": [
                        {"target": "TurnNlb-*.elb.eu-west-2.amazonaws.com", "port": "3478", "transport": "udp"}
                    ],
                    "too_wide": [],
                    "stale": [],
                    "covered": [],
                },
            },
        ),
        "findings": (
            {
                "code": "LOSS",
                "severity": "critical",
                "site_id": "LIS",
                "file": "captures/LIS__test-call.pcap",
                "text": "3.1 % of the packets towards the agent were lost, in bursts of 7: have the line checked.",
                "evidence": {"loss_pct": 3.1},
            },
            {
                "code": "TLS_INTERCEPTED",
                "severity": "warning",
                "site_id": "LIS",
                "file": "probes/LIS__mtr.json",
                "text": "TLS is opened and re-encrypted by 'Example Proxy CA': exempt *.connect.aws from inspection.",
                "evidence": {},
            },
            {
                "code": "MODELLED_ONLY",
                "severity": "info",
                "site_id": "MNL",
                "file": None,
                "text": "Manila has no measurement: run the probe there.",
                "evidence": {},
            },
        ),
        "unknowns": (
            "Uplink loss cannot be seen in a capture taken at the agent.",
            "Hop counts from Manila and the United Kingdom are unknown: no path was traced.",
        ),
        "witnesses": (
            {"site_id": "LIS", "file": "logs/LIS__diary.csv", "document": {"kind": "diary", "heat_map": diary()}},
        ),
        "joined": ({"site_id": "LIS", "document": {"calls": [joined_call()]}},),
        "assessed_at": "2026-11-23T03:00:00Z",
    }
    return SimpleNamespace(**{**base, **changes})


def diary() -> list[dict[str, Any]]:
    """Return what two agents wrote down, one of them with a hostile name."""
    return [
        {"agent": "Ana", "hour": 9, "reports": 3, "worst_severity": 2, "symptoms": {"L": 3}},
        {"agent": "<script>Bo", "hour": 14, "reports": 1, "worst_severity": 1, "symptoms": {"E": 1}},
    ]


def joined_call() -> dict[str, Any]:
    """Return a call that a capture and an agent log know of, as of ``witness join``."""
    nothing = {"packets": None, "lost": None, "loss_pct": None, "jitter_ms": None}
    return {
        "start_time": "2026-11-20T10:04:00Z",
        "end_time": "2026-11-20T10:09:00Z",
        "contact_id": "<b>7f6036a3-0000",
        "call_id": "c0000001",
        "witnesses": [
            {"kind": "capture", "file": "a.pcap", "in": {**nothing, "loss_pct": 3.1, "jitter_ms": 4.0}, "out": nothing},
            {"kind": "agent_log", "file": "log.txt", "in": nothing, "out": {**nothing, "loss_pct": 1.25}},
        ],
        "contradictions": [{"measure": "in.loss_pct", "values": {}, "text": "the <i>log</i> says 0.9 %"}],
        "together": {"text": "Loss towards the agent 3.1 %, from the agent 1.25 %.", "side": "lan_isp"},
    }


def sites_only() -> Any:
    """Return the assessment of a client folder that holds nothing but sites."""
    return assessment(
        callers=(),
        transfers=(),
        captures=(),
        measurements=(),
        audit=(),
        findings=(),
        unknowns=("No caller origins are given: the caller leg is unknown.",),
    )


def hostile() -> Any:
    """Return an assessment whose names try to break out of a page, a picture and a spreadsheet."""
    long = "L" * 300
    sites = (
        Site(
            site_id="<script>alert(1)</script>",
            name='"><img src=x onerror=alert(1)>',
            latitude=38.7,
            longitude=-9.1,
            agents=10,
        ),
        Site(
            site_id="=cmd()|'/C calc'!A0",
            name='=HYPERLINK("http://evil.example")',
            latitude=51.5,
            longitude=-0.1,
            agents=20,
        ),
        Site(site_id=long, name=long, latitude=14.6, longitude=121.0, agents=5),
        Site(site_id="مكتب القاهرة\u202e", name="مكتب القاهرة\u202e$x^2$\x00", latitude=30.0, longitude=31.2, agents=7),
    )
    return assessment(sites=sites, name="</title><script>alert(1)</script>{{ 7*7 }}")
