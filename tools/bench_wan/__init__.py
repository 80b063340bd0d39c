"""A WAN of our own on one Linux computer: namespaces for sites, one for the cloud, and emulated routers between them.

Every site is a network namespace, perhaps behind a second one that is its office's gateway: a real Linux router with
NAT (also symmetric, also forgetful), a firewall, a resolver, a proxy for CONNECT, a box that opens TLS, a captive
portal. The cloud is a namespace with a real TURN server on UDP and TCP 3478 and real TLS servers with WebSocket on 443.
Between them, a process holds the other ends of their TUN devices and moves the packets: it answers expired TTLs in the
routers' names, delays, loses, doubles, reorders and blocks as the plan says. Unmodified mtr, traceroute, browsers and
our own probes measure ways whose truth is known, by the names that the real service has (the resolver knows the table
of endpoints).

It needs root (namespaces, TUN) and Debian's iproute2, nftables and coturn. Whatever happens, it takes away what it
made; what a killed one left is taken away by the next.

From a test::

    from bench_wan import bench, missing_for_bench

    with bench({"regions": {"eu-west-2": {"addresses": ["15.193.5.20"]}},
                "sites": {"A": {"address": "192.0.2.10", "office": {"blocked": {"udp/3478": "drop"}},
                                "ways": {"eu-west-2": {"rtt_ms": 80, "hops": 10}}}}}) as b:
        done = b.run(["ccp-assess", "probe", "--json"])

As a command::

    python tools/wan_bench.py tools/wan_bench_sample.toml --out FOLDER [--site ID]... [--region CODE]...
    python tools/wan_bench.py tools/wan_bench_offices.toml --at SITE COMMAND...

Keys of a plan: see the fields of the classes in ``plan.py``, which bear the same names. Beyond them: a way has ``hops``
and ``rtt_ms`` and spreads its routers evenly (``first_hops`` of the site as stated), ``silent = [5]`` and
``parallel = {"4" = 3}`` (ECMP) count from the first router after those; ``loss_pct`` is for both directions;
``blocked_at`` is the router that blocks, and ``drop = ["udp/3478"]`` is short for ``blocked = {"udp/3478" = "drop"}``;
``[ways]`` holds for sites that state none.
"""

from bench_wan.bench import Bench, bench, missing_for_bench
from bench_wan.namespaces import inside, usable
from bench_wan.plan import Names, Office, Plan, Proxy, Router, Way, read_plan, truth_of

__all__ = [
    "Bench",
    "Names",
    "Office",
    "Plan",
    "Proxy",
    "Router",
    "Way",
    "bench",
    "inside",
    "missing_for_bench",
    "read_plan",
    "truth_of",
    "usable",
]
