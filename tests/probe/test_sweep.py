"""Tracing on ways whose truth is known: hop counts, time, shared hops, filters, several flows."""

from dataclasses import replace

import pytest

from ccp_assess.probe import jobs
from ccp_assess.probe.machine import run
from ccp_assess.probe.one_flow import OneFlow
from ccp_assess.probe.sweep import Sweep
from ccp_assess.probe.traced import Target, path_from_document
from ccp_assess.probe.virtual import VirtualNetwork
from ccp_assess.probe.virtual_ways import Rule, Way, straight_way

MS = 1_000_000


def ways_of(count=12, hops=12, rtt_ms=100.0, **more):
    return {
        f"192.0.2.{number}": straight_way(hops=hops, rtt_ms=rtt_ms, number=number, shared=3, **more)
        for number in range(1, count + 1)
    }


def traced(ways, *, technique="udp", rounds=1, seed=0, deadline_s=20.0, port=3478, **network):
    virtual = VirtualNetwork(ways=ways, seed=seed, **network)
    sweep = Sweep([Target(address=address, port=port) for address in ways], technique=technique, rounds=rounds)
    (paths,) = run([sweep], virtual, deadline_s=deadline_s)
    return sweep, paths, virtual


def then_in_one_flow(sweep, paths, network):
    flow = OneFlow(paths, short_quotes=sweep.short_quotes)
    (probes,) = run([flow], network, deadline_s=20)
    return flow, sweep.merge(probes)


@pytest.mark.parametrize("technique", ["udp", "icmp", "tcp"])
def test_a_round_takes_one_round_trip_and_finds_every_hop(technique):
    sweep, paths, _ = traced(ways_of(), technique=technique)
    assert sweep.rounds_ns == [100 * MS]
    for number, path in enumerate(paths, start=1):
        assert path.path.hop_count == 12
        assert path.path.destination_answered
        assert [hop.address for hop in path.path.hops] == [
            *(f"10.0.{ttl}.1" for ttl in (1, 2, 3)),
            *(f"10.{number + 1}.{ttl}.1" for ttl in range(4, 12)),
            f"192.0.2.{number}",
        ]
        assert path.path.hops[5].rtt_min_ms == pytest.approx(50.0)


def test_silent_hops_cost_one_quiet_time():
    sweep, paths, _ = traced(ways_of(silent=(4, 7, 8)))
    assert sweep.rounds_ns[0] <= 1.01 * (100 + 100) * MS
    assert {path.path.hop_count for path in paths} == {12}
    assert [hop.ttl for hop in paths[0].path.hops if hop.address is None] == [4, 7, 8]


def test_a_silent_hop_before_the_destination_costs_one_more_round_trip():
    sweep, paths, _ = traced(ways_of(silent=(11,)))
    assert sweep.rounds_ns[0] <= 1.10 * (100 + 100) * MS
    assert {path.path.hop_count for path in paths} == {12}


def test_the_gateway_is_asked_once_and_further_shared_hops_twice():
    sweep, _, _ = traced(ways_of())
    asked = {ttl: sum(probe.ttl == ttl for probe in sweep.probes) for ttl in (1, 2, 3, 4)}
    assert asked == {1: 1, 2: 2, 3: 2, 4: 12}


def test_a_gateway_that_limits_its_answers_is_known_for_every_target():
    def limited(way):
        routers = way.branches[0]
        return replace(way, branches=((replace(routers[0], answers_per_s=1.0), *routers[1:]),))

    _, paths, _ = traced({address: limited(way) for address, way in ways_of().items()}, rounds=3)
    assert {path.path.hops[0].address for path in paths} == {"10.0.1.1"}
    assert all(hop.received == hop.sent for path in paths for hop in path.path.hops)


def test_a_shared_hop_that_answers_one_of_two_is_known_for_all_where_a_later_one_is_shared():
    def shy(way):
        routers = way.branches[0]
        return replace(
            way, branches=((routers[0], replace(routers[1], answers_per_s=0.001, answers_burst=1), *routers[2:]),)
        )

    _, paths, _ = traced({address: shy(way) for address, way in ways_of().items()})
    assert {path.path.hops[1].address for path in paths} == {"10.0.2.1"}


def test_routers_that_limit_their_answers_on_a_long_common_way_are_known_for_every_target():
    # A chain of Linux routers: six answers at once and then one a second, for twelve targets behind the same six hops.
    common = straight_way(hops=8, rtt_ms=60.0, number=0).branches[0]
    limited = tuple(replace(router, answers_per_s=1.0) for router in common[:6])
    ways = {
        f"192.0.2.{n}": Way(branches=((*limited, replace(common[6], address=f"10.77.{n}.1")),), rtt_ms=60.0)
        for n in range(1, 13)
    }
    sweep, paths, network = traced(ways)
    _, paths = then_in_one_flow(sweep, paths, network)
    wanted = [router.address for router in limited]
    assert [[hop.address for hop in path.path.hops[:6]] for path in paths] == [wanted] * 12
    assert [path.path.hops[6].address for path in paths] == [f"10.77.{n}.1" for n in range(1, 13)]


def test_a_silent_router_of_one_way_is_not_named_by_others():
    ways = ways_of()
    routers = ways["192.0.2.5"].branches[0]
    silent = (*routers[:5], replace(routers[5], silent=True), *routers[6:])
    ways["192.0.2.5"] = replace(ways["192.0.2.5"], branches=(silent,))
    _, paths, _ = traced(ways)
    assert paths[4].path.hops[5].address is None


def test_hops_that_are_not_shared_after_all_are_asked_for_each_target():
    ways = {f"192.0.2.{n}": straight_way(hops=8, rtt_ms=60.0, number=n, shared=1) for n in range(1, 7)}
    _, paths, _ = traced(ways)
    for number, path in enumerate(paths, start=1):
        assert [hop.address for hop in path.path.hops[:3]] == [
            "10.0.1.1",
            f"10.{number + 1}.2.1",
            f"10.{number + 1}.3.1",
        ]
        assert path.shared_ttls in {(), (1,)}


def test_targets_behind_different_egresses_share_nothing():
    ways = ways_of(count=4)
    virtual = VirtualNetwork(ways=ways)
    targets = [Target(address=address, egress=str(index % 2)) for index, address in enumerate(ways)]
    sweep = Sweep(targets)
    run([sweep], virtual, deadline_s=10)
    assert sum(probe.ttl == 1 for probe in sweep.probes) == 2


@pytest.mark.parametrize(("loss_pct", "rounds", "seeds"), [(0, 1, 4), (1, 1, 25), (5, 3, 10)])
def test_hop_counts_are_right_in_spite_of_loss(loss_pct, rounds, seeds):
    wrong = 0
    for seed in range(seeds):
        hops = 8 + seed % 8
        silent = [(), (4, 7), (hops - 1,), (hops - 2, hops - 1)][seed % 4]
        ways = ways_of(hops=hops, silent=silent, loss_out_pct=loss_pct, loss_in_pct=loss_pct, jitter_ms=1.0)
        sweep, paths, network = traced(ways, rounds=rounds, seed=seed)
        _, paths = then_in_one_flow(sweep, paths, network)
        wrong += sum(path.path.hop_count != hops for path in paths)
    assert wrong == 0


def test_two_lost_answers_in_a_row_below_the_destination_do_not_lengthen_the_way():
    lost = {("11", 0), ("12", 0), ("13", 0), ("12", 1)}
    asked: dict[str, int] = {}

    def drops(data):
        # The bench's rules look at the payload; which TTL a packet has is told by the sweep itself.
        ttl = str(sweep.probes[int.from_bytes(data[16:20], "big")].ttl)
        asked[ttl] = asked.get(ttl, -1) + 1
        return (ttl, asked[ttl]) in lost

    ways = {
        "192.0.2.1": straight_way(
            hops=12, rtt_ms=100.0, silent=(11,), rules=(Rule(transport="udp", at=11, matches=drops),)
        )
    }
    sweep = Sweep([Target(address="192.0.2.1")])
    ((path,),) = run([sweep], VirtualNetwork(ways=ways), deadline_s=10)
    assert path.path.hop_count == 12
    assert asked["12"] >= 2


@pytest.mark.parametrize("hops", [1, 2, 3, 4, 16, 17, 22, 23, 30])
def test_ways_of_any_length_are_counted(hops):
    ways = {f"192.0.2.{n}": straight_way(hops=hops, rtt_ms=80.0, number=n, shared=min(3, hops - 1)) for n in (1, 2, 3)}
    _, paths, _ = traced(ways)
    assert [(path.path.hop_count, path.path.hops_seen) for path in paths] == [(hops, hops)] * 3


def test_ipv4_and_ipv6_are_traced_side_by_side():
    ways = {"192.0.2.1": straight_way(hops=9, rtt_ms=40.0)}
    ways |= {"2001:db8:9::1": straight_way(hops=7, rtt_ms=60.0, version=6)}
    _, paths, _ = traced(ways)
    assert [path.path.hop_count for path in paths] == [9, 7]
    assert paths[1].path.hops[0].address == "2001:db8:1:1::1"


def test_a_dropped_port_ends_in_time_and_names_the_last_device():
    ways = ways_of(count=3)
    ways["192.0.2.2"] = replace(ways["192.0.2.2"], rules=(Rule(transport="udp", at=5),))
    sweep, paths, _ = traced(ways)
    assert sweep.rounds_ns[0] <= 1_200 * MS
    path = paths[1]
    assert (path.path.hop_count, path.path.destination_answered, len(path.path.hops)) == (None, False, 5)
    assert path.path.hops[-1].address == "10.3.5.1"
    assert path.blocked_by is None
    assert [one.path.hop_count for one in (paths[0], paths[2])] == [12, 12]


def test_a_device_that_forbids_is_named_with_its_place():
    ways = ways_of(count=2)
    ways["192.0.2.2"] = replace(ways["192.0.2.2"], rules=(Rule(transport="udp", verdict="prohibit", at=5),))
    _, paths, _ = traced(ways)
    blocked = paths[1].blocked_by
    assert (blocked.address, blocked.ttl, blocked.type, blocked.code) == ("10.3.5.1", 5, 3, 13)
    assert paths[1].path.hop_count is None


def test_a_closed_port_of_the_destination_counts_as_its_answer():
    _, paths, _ = traced(ways_of(count=2), port=9)
    assert [path.path.hop_count for path in paths] == [12, 12]


def test_a_dead_network_ends_before_its_limit():
    ways = {address: replace(way, dead=True) for address, way in ways_of(silent=range(1, 12)).items()}
    sweep, paths, _ = traced(ways)
    assert sweep.rounds_ns[0] <= 1_100 * MS
    assert [path.path.hops for path in paths] == [()] * 12


def test_no_route_says_so_at_once():
    network = VirtualNetwork(ways={})
    sweep = Sweep([Target(address="192.0.2.1")])
    (paths,) = run([sweep], network, deadline_s=10)
    assert paths[0].error == "ENETUNREACH"
    assert sweep.rounds_ns[0] < 50 * MS


def test_the_deadline_of_the_whole_is_kept():
    _, paths, network = traced(ways_of(silent=(3,)), rounds=3, deadline_s=0.15)
    assert network.now_ns() <= 1_150 * MS
    assert {path.path.hop_count for path in paths} == {12}


def test_answers_of_strangers_change_nothing():
    def liar(data, source):
        yield 0.0, b"\x01\x01" + bytes(18)
        yield 1.0, data
        yield 2.0, b"x"

    virtual = VirtualNetwork(ways=ways_of(count=1), udp={("192.0.2.1", 3478): liar})
    (paths,) = run([Sweep([Target(address="192.0.2.1")])], virtual, deadline_s=10)
    assert paths[0].path.hop_count is None


# ---------------------------------------------------------------- one flow


def branching(quote_bytes, number=1, lengths=(0, 0, 0, 0)):
    routers = straight_way(hops=12, rtt_ms=100.0, number=number, shared=3).branches[0]

    def branch(which):
        longer = [replace(routers[6], address=f"10.8{which}.{index}.1") for index in range(lengths[which])]
        own = [
            replace(
                router, address=f"10.9{which}.{ttl}.1" if 4 <= ttl <= 6 else router.address, quote_bytes=quote_bytes
            )
            for ttl, router in enumerate(routers, start=1)
        ]
        return (*own[:7], *longer, *own[7:])

    return Way(branches=tuple(branch(which) for which in range(4)), rtt_ms=100.0)


def branch_of(path):
    second = (hop.address.split(".")[1] for hop in path.path.hops if hop.address)
    return {part for part in second if part in {"90", "91", "92", "93"}}


@pytest.mark.parametrize(("quote_bytes", "longest_ms"), [(128, 101), (0, 1.05 * 650)])
def test_one_flow_shows_one_branch_in_time(quote_bytes, longest_ms):
    ways = {f"192.0.2.{n}": branching(quote_bytes, n) for n in range(1, 13)}
    sweep, paths, network = traced(ways)
    assert any(len(branch_of(path)) > 1 for path in paths)
    flow, true = then_in_one_flow(sweep, paths, network)
    assert all(len(branch_of(path)) == 1 and path.one_flow for path in true)
    assert {path.path.hop_count for path in true} == {12}
    assert flow.took_ns <= longest_ms * MS


def test_the_length_of_the_flows_own_branch_counts():
    found = set()
    for number in range(1, 30):
        ways = {f"192.0.2.{number}": branching(128, number, lengths=(0, 1, 2, 3))}
        sweep, paths, network = traced(ways)
        _, (path,) = then_in_one_flow(sweep, paths, network)
        (branch,) = branch_of(path)
        assert path.path.hop_count == 12 + (0, 1, 2, 3)[int(branch) - 90]
        found.add(branch)
    assert len(found) == 4


def test_a_path_survives_its_document():
    sweep, paths, network = traced(ways_of(count=2, silent=(5,)))
    _, (path, _) = then_in_one_flow(sweep, paths, network)
    document = path.to_document()
    again = path_from_document(path.target, document)
    assert again.to_document() == document
    assert document["hop_count"] == 12
    assert document["hops_seen"] == 11
    assert document["return_hops"] == 12


# ---------------------------------------------------------------- the job


def test_a_system_that_shows_no_reports_still_counts_hops_and_names_them_by_another_technique(monkeypatch):
    class Blind(VirtualNetwork):
        """Shows no ICMP errors of UDP sockets, as Windows."""

        @property
        def technique_reasons(self):
            return {"udp": "not shown here", "tcp": "too old", "icmp": None}

        def wait(self, until_ns):
            return [
                (owner, event)
                for owner, event in VirtualNetwork.wait(self, until_ns)
                if not (type(event).__name__ == "IcmpError" and owner == 0)
            ]

    monkeypatch.setattr(jobs, "targets_of", lambda rows: tuple(Target(address=row) for row in rows))
    ways = ways_of(count=3)
    request = {"targets": list(ways), "technique": "udp", "rounds": 1, "one_flow": True, "deadline_s": 9.0}
    result = jobs.trace(Blind(ways=ways), request, [].append)
    assert result["hops_not_shown"] == "not shown here"
    assert [(path["technique"], path["hop_count"], path["hops_seen"]) for path in result["paths"]] == [
        ("udp", 12, 12)
    ] * 3
    assert not any(path["one_flow"] for path in result["paths"])
