"""The bench end to end: unmodified mtr and traceroute measure a WAN whose truth is known; we read what they print."""

import os
import shutil
import socket
import struct
from pathlib import Path

import pytest
from bench_wan import bench, inside, usable

from ccp_assess.probe.imports import parse_probe_bytes

PLAN = """
seed = 7
[regions.us-east-1]
addresses = ["15.193.6.20"]
[regions.eu-west-2]
addresses = ["15.193.5.20"]
[regions.eu-central-1]
addresses = ["2600:f0f2:7103::20", "15.193.4.20"]
[sites.A]
address = "10.44.0.2"
first_hops = [{ address = "10.44.0.1", rtt_ms = 0.5 }, { addresses = ["100.64.1.1", "100.64.1.2"], rtt_ms = 4 }]
[sites.A.ways]
us-east-1 = { rtt_ms = 40, hops = 7, silent = [2] }
eu-west-2 = { rtt_ms = 80, hops = 10, drop = ["udp/3478"], drop_at = 3 }
[sites.B]
address = "10.45.0.2"
first_hops = [{ address = "10.45.0.1", rtt_ms = 1 }]
[sites.B.ways]
us-east-1 = { rtt_ms = 20, hops = 5, loss_pct = 30 }
[sites.V6]
address = "2001:db8:44::2"
first_hops = [{ address = "2001:db8:44::1", rtt_ms = 1 }, { address = "2001:db8:55::1", rtt_ms = 9 }]
[sites.V6.ways]
eu-central-1 = { rtt_ms = 30, hops = 3 }
"""


COMMANDS = [
    "mtr --json -n -c 4 -i 0.1 -G 1 {}",
    "mtr --report --report-wide -n -c 4 -i 0.1 -G 1 {}",
    "mtr --csv -n -c 4 -i 0.1 -G 1 {}",
    "mtr --xml -n -c 4 -i 0.1 -G 1 {}",
    "mtr --raw -n -c 4 -i 0.1 -G 1 {}",
    "traceroute -n -I -q 3 -w 2 {}",
    "traceroute -n -T -p 443 -q 3 -w 2 {}",
    "traceroute -n -q 3 -w 2 {}",
]


@pytest.fixture(scope="module")
def wan(bench_needs):
    for program in ("mtr", "traceroute"):
        if shutil.which(program) is None:
            pytest.skip(f"missing tool: {program}")
    with bench(PLAN) as running:
        yield running
    assert [path.name for path in Path("/run/netns").glob(f"{running.prefix}-*")] == []
    assert [path.name for path in Path("/etc/netns").glob(f"{running.prefix}-*")] == []


def measured(running, site, typed):
    command = typed.split()
    done = running.run(command, site)
    assert done.returncode == 0, done.stderr
    text = f"$ {typed}\n{done.stdout}" if not {"--json", "--xml"} & set(command) else done.stdout
    (row,) = parse_probe_bytes(text.encode()).regions
    return row


def near(value, truth):
    """Whether a round trip is the configured one: never less, and no more above it than a busy computer adds."""
    return truth - 0.5 <= value <= truth + 150.0


@pytest.mark.root
@pytest.mark.parametrize(
    ("command", "region", "hops", "rtt"),
    [
        # each tool once in the fast tests, along one of the two ways in turn
        pytest.param(command, *way, marks=pytest.mark.long if (number + turn) % 2 else ())
        for number, command in enumerate(COMMANDS)
        for turn, way in enumerate([("us-east-1", 7, 40.0), ("eu-west-2", 10, 80.0)])
    ],
)
def test_real_tools_on_the_bench_are_read_to_the_configured_truth(wan, command, region, hops, rtt):
    target = wan.plan.regions[region][0]
    row = measured(wan, "A", command.format(target))
    assert row.region_code == region
    assert row.path.hop_count == hops
    assert near(row.rtt_min_ms, rtt)
    assert row.received == row.sent
    way = wan.plan.ways["A", region]
    for hop, router in zip(row.path.hops, way.routers, strict=False):
        if router.silent:
            assert hop.address is None
            assert hop.rtt_min_ms is None
        else:
            assert set(hop.addresses or (hop.address,)) <= set(router.addresses)
            assert near(hop.rtt_min_ms, router.rtt_ms)


@pytest.mark.root
@pytest.mark.parametrize("command", ["mtr -6 --json -n -c 4 -i 0.1 -G 1 {}", "traceroute -6 -n -I -q 3 -w 2 {}"])
def test_ways_over_ipv6_are_read_to_the_configured_truth(wan, command):
    if not usable("::1"):
        pytest.skip("this kernel has no IPv6")
    row = measured(wan, "V6", command.format(wan.plan.regions["eu-central-1"][0]))
    assert (row.region_code, row.path.hop_count) == ("eu-central-1", 3)
    assert [hop.address for hop in row.path.hops] == ["2001:db8:44::1", "2001:db8:55::1", "2600:f0f2:7103::20"]
    assert near(row.rtt_min_ms, 30.0)


@pytest.mark.root
def test_loss_of_the_way_is_loss_at_the_destination(wan):
    row = measured(wan, "B", "mtr --json -n -c 60 -i 0.1 -G 1 15.193.6.20")
    lost = 1 - row.received / row.sent
    assert 0.25 < lost < 0.77  # 30 % in each direction is 51 % of round trips; 60 probes
    assert row.path.hop_count == 5


@pytest.mark.root
def test_a_dropped_port_ends_the_trace_without_a_hop_count(wan):
    row = measured(wan, "A", "traceroute -n -U -p 3478 -q 1 -w 0.5 -m 8 15.193.5.20")
    assert (row.path.hop_count, row.path.destination_answered, row.rtt_p50_ms) == (None, False, None)
    assert row.path.technique == "udp"
    assert [hop.address is not None for hop in row.path.hops] == [True, True, True, False, False, False, False, False]


@pytest.mark.root
def test_the_relay_answers_stun_and_asks_for_credentials(wan):
    allocate = struct.pack("!HHI", 0x0003, 8, 0x2112A442) + os.urandom(12) + struct.pack("!HHI", 0x0019, 4, 17 << 24)
    binding = struct.pack("!HHI", 0x0001, 0, 0x2112A442) + os.urandom(12)
    kinds = []
    with inside(wan.namespace("A")), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(3)
        for request in (binding, allocate):
            asker.sendto(request, ("15.193.6.20", 3478))
            answer = asker.recv(2000)
            assert answer[8:20] == request[8:20]
            kinds.append(struct.unpack("!H", answer[:2])[0])
    assert kinds == [0x0101, 0x0113]  # success; 401, with which the relay says that it is one
