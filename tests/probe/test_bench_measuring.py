"""The prober without any right on the bench: ways, trains, NAT and packet sizes to the configured truth."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench_wan import Bench, namespaces

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("bench_needs")]

ROOT = Path(__file__).resolve().parents[2]
CODES = ("plain", "silent", "spread", "terse", "tunnel", "hole", "dropped", "forbidden", "lossy", "far", "six")
ADDRESSES = {code: f"15.193.{number}.20" for number, code in enumerate(CODES)}
ADDRESSES["six"] = "2600:f0f2:7103::20"

PLAN = {
    "seed": 5,
    "regions": {code: {"addresses": [address], "names": [f"{code}.example"]} for code, address in ADDRESSES.items()},
    "sites": {
        "A": {
            "address": "198.18.0.2",
            "first_hops": [{"address": "10.77.0.1", "rtt_ms": 1.0}, {"address": "10.77.1.1", "rtt_ms": 3.0}],
            "ways": {
                "plain": {"hops": 8, "rtt_ms": 40},
                "silent": {"hops": 9, "rtt_ms": 50, "silent": [2, 3, 6]},
                "spread": {"hops": 8, "rtt_ms": 40, "parallel": {"2": 4, "3": 4}},
                "terse": {"hops": 8, "rtt_ms": 40, "parallel": {"2": 4, "3": 4}, "quote_bytes": 28},
                "tunnel": {"hops": 6, "rtt_ms": 30, "mtu": 1380},
                "hole": {"hops": 6, "rtt_ms": 30, "mtu": 1400, "mtu_silent": True},
                "dropped": {"hops": 8, "rtt_ms": 40, "drop": ["udp/3478"], "drop_at": 4},
                "forbidden": {"hops": 8, "rtt_ms": 40, "blocked": {"udp/3478": "prohibit"}, "blocked_at": 5},
                "lossy": {"hops": 6, "rtt_ms": 20, "loss_pct": 5},
                "far": {"hops": 24, "rtt_ms": 60},
            },
        },
        "V6": {
            "address": "2001:db8:44::2",
            "first_hops": [{"address": "2001:db8:44::1", "rtt_ms": 1.0}, {"address": "2001:db8:55::1", "rtt_ms": 9.0}],
            "ways": {"six": {"hops": 3, "rtt_ms": 30}},
        },
        "office": {
            "address": "198.18.0.3",
            "ways": {code: {"hops": 4, "rtt_ms": 10} for code in ("plain", "silent", "spread")},
            "office": {"nat": "symmetric", "nat_idle_s": 2},
        },
        "limited": {
            "address": "198.18.0.4",
            "ways": {code: {"hops": 5, "rtt_ms": 20} for code in CODES[:-1]},
            "office": {"icmp_rate_limit": True},
        },
    },
}


@pytest.fixture(scope="module")
def bench():
    with Bench(PLAN) as running:
        yield running


def ask(bench, codes, request, site="A", deadline_s=20.0):
    """Ask a prober that has lost every capability."""
    rows = [{"address": ADDRESSES[code], "port": request.get("port", 3478)} for code in codes]
    words = ["ip", "netns", "exec", bench.namespace(site), "setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    words += ["--no-new-privs", sys.executable, "-m", "ccp_assess.probe.prober"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as child:
        child.stdin.write(json.dumps({"targets": rows, "deadline_s": deadline_s} | request).encode() + b"\n")
        child.stdin.flush()
        for line in child.stdout:
            record = json.loads(line)
            if "result" in record:
                child.stdin.close()
                return record["result"]
    raise AssertionError("no result")


def traced(bench, codes, technique="udp", rounds=1, **more):
    request = {"do": "paths", "technique": technique, "rounds": rounds, "one_flow": True} | more
    return dict(zip(codes, ask(bench, codes, request)["paths"], strict=True))


def shown(path):
    return [hop["address"] for hop in path["hops"]]


def test_ways_are_traced_to_the_configured_truth(bench):
    codes = ("plain", "silent", "spread", "terse", "far")
    paths = traced(bench, codes)
    for code in codes:
        way, path = bench.plan.ways["A", code], paths[code]
        assert path["hop_count"] == way.hop_count
        assert path["one_flow"]
        assert path["return_hops"] == way.hop_count
        for router, hop in zip(way.routers, path["hops"], strict=False):
            assert hop["address"] in ((None,) if router.silent else router.addresses)
            assert router.silent or router.rtt_ms - 0.5 <= hop["rtt_min_ms"] <= router.rtt_ms + 150
        assert path["hops"][-1]["address"] == ADDRESSES[code]


@pytest.mark.parametrize("code", ["spread", "terse"])
def test_hops_of_a_way_that_is_spread_are_those_of_one_flow(bench, code):
    # Routers of the bench choose by the flow alone, so one flow has one place among those of every router.
    routers = bench.plan.ways["A", code].routers
    path = shown(traced(bench, (code,))[code])
    places = {
        router.addresses.index(hop) for router, hop in zip(routers, path, strict=False) if len(router.addresses) == 4
    }
    assert len(places) == 1


def test_tcp_connects_trace_the_same_ways(bench):
    paths = traced(bench, ("plain", "silent"), "tcp", port=443)
    assert [paths[code]["hop_count"] for code in paths] == [8, 9]
    assert shown(paths["plain"])[:2] == ["10.77.0.1", "10.77.1.1"]


def test_a_real_gateway_that_limits_its_answers_is_known_on_every_way(bench):
    # Its kernel gives six errors at once and then one a second: asked for each of ten targets it would look lossy.
    request = {"do": "paths", "technique": "udp", "rounds": 1, "one_flow": True}
    paths = ask(bench, CODES[:-1], request, site="limited")["paths"]
    assert [path["hop_count"] for path in paths] == [6] * 10
    gateways = [path["hops"][0] for path in paths]
    assert {hop["address"] for hop in gateways} == {"10.20.1.1"}
    assert all(hop["received"] == hop["sent"] for hop in gateways)


def test_echo_requests_trace_where_the_system_allows_them(bench):
    words = ["ip", "netns", "exec", bench.namespace("A"), "sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647"]
    subprocess.run(words, check=True)
    paths = traced(bench, ("plain", "silent"), "icmp")
    assert [paths[code]["hop_count"] for code in paths] == [8, 9]
    assert shown(paths["plain"]) == [router.addresses[0] for router in bench.plan.ways["A", "plain"].routers] + [
        ADDRESSES["plain"]
    ]


def test_a_dropped_and_a_forbidden_port_are_told_apart_and_placed(bench):
    paths = traced(bench, ("dropped", "forbidden"))
    assert [paths[code]["hop_count"] for code in paths] == [None, None]
    assert len(paths["dropped"]["hops"]) == 4
    assert paths["dropped"]["blocked_by"] is None
    router = bench.plan.ways["A", "forbidden"].routers[4]
    assert paths["forbidden"]["blocked_by"] == {
        "address": router.addresses[0],
        "ttl": 5,
        "icmp_type": 3,
        "icmp_code": 13,
    }


def test_ipv6_is_traced_too(bench):
    if not namespaces.usable("::1"):
        pytest.skip("this kernel has no IPv6")
    request = {"do": "paths", "technique": "udp", "rounds": 1, "one_flow": True}
    (path,) = ask(bench, ("six",), request, site="V6")["paths"]
    assert shown(path) == ["2001:db8:44::1", "2001:db8:55::1", ADDRESSES["six"]]
    assert path["hop_count"] == 3


def test_trains_count_what_the_way_loses_and_time_by_the_kernel(bench):
    result = ask(bench, ("plain", "lossy", "dropped"), {"do": "trains", "seconds": 4.0, "calls": 1})
    plain, lossy, dropped = result["trains"]
    assert dropped is None
    assert (plain["lost"], plain["duplicates"], plain["kernel_stamped_pct"]) == (0, 0, 100.0)
    assert plain["rtt_min_ms"] >= 39.5
    assert 2.0 < lossy["loss_pct"] < 22.0  # 5 % each way is 9.75 % of round trips; 200 packets
    assert lossy["loss_ci95_pct"][0] > 0.0
    assert lossy["rtt_min_ms"] >= 19.5


def test_packet_sizes_are_found_with_and_without_reports(bench):
    result = ask(bench, ("plain", "tunnel", "hole"), {"do": "mtu"})["mtu"]
    assert [(one["verdict"], one["mtu"]) for one in result] == [("whole", 1500), ("told", 1380), ("black_hole", 1400)]
    assert result[1]["told_by"] == "10.77.0.1"


def test_a_nat_shows_its_mapping_and_its_lifetime(bench):
    facts = ask(bench, ("plain", "silent", "spread"), {"do": "nat", "idle_s": [1, 5]}, site="office")["ipv4"]
    assert (facts["mapping"], facts["preserves_port"], facts["split_egress"]) == ("per_destination", False, False)
    assert (facts["idle_kept_s"], facts["idle_lost_s"]) == (1.0, 5.0)
    assert facts["local"].startswith("10.20.1.11:")
    assert {text.partition(":")[0] for text in facts["mapped"].values()} == {"198.18.0.3"}
