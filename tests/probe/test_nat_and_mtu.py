"""NAT and path MTU on ways whose truth is known."""

import pytest

from ccp_assess.probe.machine import run
from ccp_assess.probe.mtu import MtuProbe
from ccp_assess.probe.nat import NatProbe
from ccp_assess.probe.traced import Target
from ccp_assess.probe.virtual import VirtualNetwork
from ccp_assess.probe.virtual_ways import Nat, straight_way

OWN = "192.0.2.2"


def asked(nat, *, idle_s=(), targets=3, deadline_s=100.0, **way):
    ways = {f"198.18.0.{n}": straight_way(hops=6, rtt_ms=40.0, number=n, **way) for n in range(1, targets + 1)}
    network = VirtualNetwork(ways=ways, nat=nat, seed=2)
    machine = NatProbe([Target(address=address, egress=OWN) for address in ways], idle_s=idle_s)
    (facts,) = run([machine], network, deadline_s=deadline_s)
    return facts, network


@pytest.mark.parametrize(
    ("nat", "mapping", "preserves"),
    [
        (None, "none", True),
        (Nat(), "endpoint_independent", False),
        (Nat(preserves_port=True), "endpoint_independent", True),
        (Nat(symmetric=True), "per_destination", False),
    ],
)
def test_the_mapping_is_told_by_three_servers(nat, mapping, preserves):
    facts, network = asked(nat)
    assert (facts.mapping, facts.preserves_port, facts.split_egress) == (mapping, preserves, False)
    assert network.now_ns() < 1_200_000_000


def test_lost_answers_are_asked_for_again():
    facts, _ = asked(Nat(), loss_out_pct=30.0)
    assert facts.mapping == "endpoint_independent"


def test_one_server_alone_tells_no_mapping():
    facts, _ = asked(Nat(), targets=1)
    assert (facts.mapping, facts.split_egress) == (None, None)
    assert len(facts.mapped) == 1


def test_nobody_answering_is_unknown_and_ends_in_time():
    facts, network = asked(Nat(), idle_s=(30,), dead=True)
    assert (facts.mapping, facts.mapped) == (None, {})
    assert facts.idle_reason == "no relay answered before and after a silence"
    assert network.now_ns() < 4_000_000_000


def test_the_lifetime_lies_between_the_longest_kept_and_the_shortest_lost_silence():
    facts, network = asked(Nat(idle_s=40), idle_s=(10, 20, 30, 45, 60))
    assert (facts.idle_kept_s, facts.idle_lost_s, facts.idle_reason) == (30.0, 45.0, None)
    assert network.now_ns() < 63_000_000_000  # side by side, not one after the other


@pytest.mark.parametrize(
    ("nat", "kept", "reason"),
    [
        (Nat(), 60.0, None),
        (None, None, "there is no NAT"),
        (Nat(idle_s=40, preserves_port=True), None, "keeps the port"),
    ],
)
def test_a_lifetime_that_cannot_be_told_says_why(nat, kept, reason):
    facts, _ = asked(nat, idle_s=(10, 60))
    assert (facts.idle_kept_s, facts.idle_lost_s) == (kept, None)
    assert reason is None or reason in facts.idle_reason
    assert facts.to_document()["mapping"] == facts.mapping


def sized(**way):
    ways = {"198.18.0.1": straight_way(hops=6, rtt_ms=40.0, **way)}
    network = VirtualNetwork(ways=ways, seed=5)
    ((found,),) = run([MtuProbe([Target(address="198.18.0.1")])], network, deadline_s=30.0)
    return found, network


def test_a_whole_way_takes_1500_bytes():
    found, network = sized()
    assert (found.mtu, found.verdict) == (1500, "whole")
    assert network.now_ns() < 1_100_000_000


@pytest.mark.parametrize("mtu", [1280, 1380, 1381, 1420, 1492])
def test_a_router_that_tells_is_believed_and_named(mtu):
    found, _ = sized(mtu=mtu, mtu_at=3)
    assert (found.mtu, found.verdict, found.told_mtu) == (mtu // 4 * 4, "told", mtu)
    assert found.told_by == "10.1.3.1"


@pytest.mark.parametrize("mtu", [700, 1284, 1376, 1411, 1496])
def test_a_black_hole_is_found_to_the_step_of_four(mtu):
    found, _ = sized(mtu=mtu, mtu_told=False)
    assert (found.mtu, found.verdict, found.vanished) == (mtu // 4 * 4, "black_hole", mtu // 4 * 4 + 4)


def test_loss_is_no_black_hole():
    found, _ = sized(loss_out_pct=5.0, loss_in_pct=5.0)
    assert (found.mtu, found.verdict) == (1500, "whole")


def test_a_relay_that_answers_no_padding_leaves_it_open():
    found, network = sized(dead=True)
    assert (found.mtu, found.verdict) == (None, "unknown")
    assert network.now_ns() < 3_000_000_000


def test_ipv6_counts_its_longer_header():
    address = "2001:db8:9::1"
    network = VirtualNetwork(ways={address: straight_way(hops=6, rtt_ms=40.0, version=6, mtu=1400)})
    ((found,),) = run([MtuProbe([Target(address=address)])], network, deadline_s=30.0)
    assert (found.mtu, found.told_mtu) == (1400, 1400)
    assert found.to_document()["verdict"] == "told"
