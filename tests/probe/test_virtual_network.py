"""The network in virtual time: what it is told to do is what a measurement sees."""

from dataclasses import replace

import pytest

from ccp_assess.probe.binding import NumberedBindings, mapped_address
from ccp_assess.probe.machine import (
    Close,
    Closed,
    Connected,
    ConnectFailed,
    Datagram,
    IcmpError,
    OpenIcmp,
    OpenTcp,
    OpenUdp,
    Received,
    Resolve,
    Resolved,
    Send,
    SendFailed,
    Sent,
    Write,
    run,
)
from ccp_assess.probe.virtual import VirtualNetwork
from ccp_assess.probe.virtual_ways import Answer, Nat, Rule, straight_way, stun_server
from ccp_assess.wire import stun

FAR = "192.0.2.20"
SECOND = 1_000_000_000


def one_way(**more):
    return {FAR: straight_way(hops=5, rtt_ms=50.0, **more)}


def drained(network, seconds=60):
    """Everything that happens within the given time."""
    end, found = network.now_ns() + seconds * SECOND, []
    while network.now_ns() < end:
        found += [event for _, event in network.wait(end)]
    return found


def ask(network, *, number=1, ttl=None, flow=1, port=3478, size=20, address=FAR):
    network.perform(0, OpenUdp(flow=flow, family=6 if ":" in address else 4))
    data = NumberedBindings(b"saltsalt").request(number, total_bytes=size)
    network.perform(0, Send(flow=flow, data=data, token=number, to=(address, port), ttl=ttl))


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def test_a_binding_is_answered_after_the_round_trip_with_the_mapped_address():
    network = VirtualNetwork(ways=one_way())
    ask(network)
    events = drained(network)
    (answer,) = of(Datagram, events)
    (sent, stamped) = of(Sent, events)
    assert (sent.by_kernel, stamped.by_kernel) == (False, True)
    assert answer.time_ns - stamped.time_ns == 50_000_000
    assert stun.parse_message(answer.data).get("XOR-MAPPED-ADDRESS").address == "192.0.2.2"
    assert answer.ttl == 64 - 4


def test_a_ttl_that_runs_out_is_answered_by_that_router_only():
    network = VirtualNetwork(ways=one_way())
    ask(network, ttl=3)
    events = drained(network)
    (report,) = of(IcmpError, events)
    assert (report.type, report.code, report.router) == (11, 0, "10.1.3.1")
    assert report.to == (FAR, 3478)
    assert not of(Datagram, events)


def test_ipv6_uses_the_numbers_of_icmpv6():
    network = VirtualNetwork(ways={"2001:db8:9::1": straight_way(hops=4, rtt_ms=20.0, version=6)})
    ask(network, ttl=2, address="2001:db8:9::1")
    (report,) = of(IcmpError, drained(network))
    assert (report.type, report.code, report.router) == (3, 0, "2001:db8:1:2::1")


@pytest.mark.parametrize(
    ("verdict", "kind"), [("drop", None), ("reject", (3, 3)), ("prohibit", (3, 13)), ("refuse_locally", "EPERM")]
)
def test_a_filter_does_what_it_is_told_behind_its_router(verdict, kind):
    ways = one_way(rules=(Rule(transport="udp", verdict=verdict, at=2),))
    network = VirtualNetwork(ways=ways)
    ask(network)
    ask(network, ttl=2, number=2, flow=2)
    events = drained(network)
    assert not of(Datagram, events)
    if kind == "EPERM":
        assert [event.error for event in of(SendFailed, events)] == ["EPERM", "EPERM"]
        return
    reports = {event.type * 100 + event.code for event in of(IcmpError, events)}
    assert reports == {1100} | ({kind[0] * 100 + kind[1]} if kind else set())


@pytest.mark.parametrize(("burst", "mean_run"), [(1.0, 1.0), (5.0, 5.0)])
def test_loss_has_the_share_and_the_bursts_that_are_asked_for(burst, mean_run):
    network = VirtualNetwork(ways=one_way(loss_out_pct=10.0, burst_packets=burst), seed=7)
    ask(network)
    for number in range(2, 6_002):
        network.perform(
            0, Send(flow=1, data=NumberedBindings(b"saltsalt").request(number), token=number, to=(FAR, 3478))
        )
    heard = {NumberedBindings(b"saltsalt").number_of(event.data) for event in of(Datagram, drained(network))}
    flags = [number not in heard for number in range(1, 6_002)]
    runs = sum(lost and not before for lost, before in zip(flags, [False, *flags], strict=False))
    assert sum(flags) / len(flags) == pytest.approx(0.10, abs=0.03)
    assert sum(flags) / runs == pytest.approx(mean_run / (0.9 if burst == 1.0 else 1.0), rel=0.15)


def test_a_router_that_limits_its_answers_gives_its_burst_and_no_more():
    way = one_way()[FAR]
    limited = replace(way, branches=((replace(way.branches[0][0], answers_per_s=1.0), *way.branches[0][1:]),))
    network = VirtualNetwork(ways={FAR: limited})
    for number in range(20):
        ask(network, number=number, ttl=1, flow=number)
    assert len(of(IcmpError, drained(network))) == 6


def test_a_large_packet_is_reported_or_vanishes():
    for told, reports in ((True, 1), (False, 0)):
        network = VirtualNetwork(ways=one_way(mtu=1400, mtu_told=told))
        ask(network, size=1380)
        ask(network, size=1360, number=2, flow=2)
        events = drained(network)
        assert [event.mtu for event in of(IcmpError, events)] == [1400] * reports
        assert len(of(Datagram, events)) == 1


def test_a_nat_forgets_a_silent_mapping_and_gives_each_server_a_port_if_symmetric():
    def mapped(network):
        return [stun.parse_message(event.data).get("XOR-MAPPED-ADDRESS") for event in of(Datagram, drained(network))]

    other = "192.0.2.21"
    ways = one_way() | {other: straight_way(hops=5, rtt_ms=50.0)}
    network = VirtualNetwork(ways=ways, nat=Nat(idle_s=30, symmetric=True))
    ask(network)
    network.perform(0, Send(flow=1, data=NumberedBindings(b"saltsalt").request(2), token=2, to=(other, 3478)))
    first = mapped(network)
    assert len({one.port for one in first}) == 2
    network.perform(0, Send(flow=1, data=NumberedBindings(b"saltsalt").request(3), token=3, to=(FAR, 3478)))
    assert mapped(network)[0].port not in {one.port for one in first}


class _Shop:
    def connected(self):
        return [b"hello"]

    def received(self, data):
        return [data.upper(), None]


def test_tcp_connects_talks_and_closes_in_time():
    network = VirtualNetwork(ways=one_way(), tcp={(FAR, 443): _Shop})
    network.perform(0, OpenTcp(flow=1, remote=(FAR, 443)))
    events = drained(network, 1)
    (connected,) = of(Connected, events)
    assert connected.rtt_ns == 50_000_000
    assert [event.data for event in of(Received, events)] == [b"hello"]
    network.perform(0, Write(flow=1, data=b"abc"))
    later = drained(network, 1)
    assert [event.data for event in of(Received, later)] == [b"ABC"]
    assert len(of(Closed, later)) == 1


def test_a_lost_syn_is_sent_again_and_a_closed_port_refuses():
    network = VirtualNetwork(ways=one_way(loss_out_pct=60.0), tcp={(FAR, 443): _Shop}, seed=3)
    network.perform(0, OpenTcp(flow=1, remote=(FAR, 443)))
    (connected,) = of(Connected, drained(network, 20))
    assert connected.time_ns > 2 * SECOND
    clear = VirtualNetwork(ways=one_way())
    clear.perform(0, OpenTcp(flow=1, remote=(FAR, 81)))
    clear.perform(0, OpenTcp(flow=2, remote=(FAR, 81), ttl=2))
    assert [event.error for event in of(ConnectFailed, drained(clear))] == ["EHOSTUNREACH", "ECONNREFUSED"]


def test_names_resolve_as_told_and_some_never():
    names = {"a.example": Answer(addresses=(FAR, "2001:db8::9")), "b.example": Answer(delay_ms=None)}
    network = VirtualNetwork(ways={}, names=names)
    for token, name in enumerate(("A.example", "b.example", "c.example")):
        network.perform(0, Resolve(token=token, name=name))
    found = {event.token: (event.addresses, event.error) for event in of(Resolved, drained(network))}
    assert found == {0: ((FAR,), None), 2: ((), "EAI_NONAME")}


def test_a_pause_delays_the_program_and_not_the_stamps():
    network = VirtualNetwork(ways=one_way(), pauses_s=((0.02, 0.5),))
    ask(network)
    drained_events = [event for event in drained(network, 2) if isinstance(event, Datagram)]
    assert drained_events[0].time_ns == SECOND + 50_000_000


def test_a_closed_flow_hears_nothing_and_an_echo_keeps_its_number():
    network = VirtualNetwork(ways=one_way())
    ask(network)
    network.perform(0, Close(flow=1))
    assert not of(Datagram, drained(network, 1))
    network.perform(0, OpenIcmp(flow=2))
    network.perform(0, Send(flow=2, data=b"abcd", token=70_000, to=(FAR, 0)))
    network.perform(0, Send(flow=2, data=b"abcd", token=70_001, to=(FAR, 0), ttl=1))
    events = drained(network, 1)
    assert [event.token for event in of(Datagram, events)] == [70_000 & 0xFFFF]
    assert [event.token for event in of(IcmpError, events)] == [70_001 & 0xFFFF]


class _Endless:
    done = False

    def start(self, _now_ns):
        return []

    def on_event(self, event, _now_ns):
        self.last = event
        return []

    def next_time(self):
        return None

    def result(self):
        return type(self.last).__name__


def test_a_machine_that_never_ends_is_stopped_at_the_deadline():
    network = VirtualNetwork(ways={})
    assert run([_Endless()], network, deadline_s=4.0) == ["Stop"]
    assert network.now_ns() == 5 * SECOND


@pytest.mark.parametrize("source", [("198.51.100.7", 40_001), ("2001:db8::7", 40_001)])
def test_the_mapped_address_is_written_and_read_as_the_codec_does(source):
    request = NumberedBindings(b"saltsalt").request(7)
    ((_, answer),) = stun_server(request, source)
    message = stun.parse_message(answer)
    assert message.get("XOR-MAPPED-ADDRESS") == source
    assert message.transaction_id == request[8:20]
    assert mapped_address(answer) == source
    assert mapped_address(answer[:24]) is None
