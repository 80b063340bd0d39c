"""Whatever servers, resolvers and proxies answer, a round ends by itself, in time, without an error of ours."""

import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_world import PROXY, RESOLVER, World

from ccp_assess.probe.diagnosis import diagnose
from ccp_assess.probe.local import has_underlay, host_facts, source_address
from ccp_assess.probe.machine import run
from ccp_assess.probe.names import registry_servers, system_resolvers
from ccp_assess.probe.reach import reach_machine
from ccp_assess.probe.tls import SystemTls
from ccp_assess.probe.verdicts_reach import ReachView
from ccp_assess.ranges import read_ranges

HEADS = st.sampled_from(
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 407 x\r\nProxy-Authenticate: " + b"A" * 300 + b"\r\n\r\n",
        b"HTTP/1.1 302 x\r\nLocation: http://[::1\r\n\r\n",
        b"\x16\x03\x03\x00\x04\x02\x00\x00\x00",
        b"\x01\x01\x00\x00\x21\x12\xa4\x42" + bytes(12),
    ]
)
ANSWERS = st.one_of(st.binary(max_size=200), HEADS)


def played(answer, *, proxied):
    """Play a round in which everybody answers the same bytes to everything."""

    class Server:
        def connected(self):
            return ()

        def received(self, _data):
            yield answer or None

    world = World(seed=1, proxy="open" if proxied else None)
    network = world.build()
    for address, _ in list(network.tcp):
        network.tcp[address, 443] = network.tcp[address, 80] = Server
    for place in list(network.udp):
        if place != (RESOLVER, 53):
            network.udp[place] = lambda _data, _source: [(0.0, answer), (1.0, answer)]
    network.tcp[PROXY, 3128] = Server
    around = world.surroundings()
    around = type(around)(resolvers=around.resolvers, proxies=around.proxies, make_tls=SystemTls)
    machine = reach_machine(world.targets, world.pace, around)
    (found,) = run([machine], network, deadline_s=5.0)
    return network.now_ns() / 1e9 - 1.0, found


@settings(max_examples=25)
@given(answer=ANSWERS, proxied=st.booleans())
def test_any_answer_is_read_or_left_alone_and_the_round_ends(answer, proxied):
    took_s, found = played(answer, proxied=proxied)
    assert took_s <= 4.6
    assert found.complete or took_s >= 4.4
    said = diagnose(ReachView(reach=found, ranges=read_ranges(), now_s=0.0))
    assert set(said) == {region.region_code for region in found.regions}


@settings(max_examples=25)
@given(answer=st.binary(max_size=300), echo=st.booleans())
def test_any_answer_of_a_resolver_is_read_or_left_alone(answer, echo):
    world = World(seed=2)
    network = world.build()
    network.udp[RESOLVER, 53] = lambda data, _source: [(0.0, data[:2] + b"\x81\x80" + answer if echo else answer)]
    machine = reach_machine(world.targets, world.pace, world.surroundings())
    (found,) = run([machine], network, deadline_s=5.0)
    assert all(region.relays for region in found.regions)  # the system's own call has answered


# ---------------------------------------------------------------- what this computer says


def test_the_resolvers_of_each_system_are_found():
    text = "search corp.example\nnameserver 192.0.2.53\n nameserver fe80::1%eth0\n#nameserver 192.0.2.9\nnameserver x\n"
    assert system_resolvers("linux", lambda _path: text) == ("192.0.2.53", "fe80::1%eth0")
    said = "resolver #1\n  nameserver[0] : 192.0.2.53\n  nameserver[1] : 2001:db8::53\n  nameserver[0] : 192.0.2.53"
    assert system_resolvers("darwin", run=lambda _command: said) == ("192.0.2.53", "2001:db8::53")

    def gone(_path):
        raise FileNotFoundError

    assert system_resolvers("linux", gone) == ()


def test_the_resolvers_of_windows_stand_in_the_registry_those_set_by_hand_first():
    interfaces = {
        "one": {"NameServer": "192.0.2.53,192.0.2.54", "DhcpNameServer": "192.0.2.99"},
        "two": {"NameServer": "", "DhcpNameServer": "192.0.2.55 192.0.2.56"},
        "three": {},
    }

    class Key:
        def __init__(self, values):
            self.values = values

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    def query(key, name):
        if name not in key.values:
            raise FileNotFoundError(name)
        return key.values[name], 1

    winreg = types.SimpleNamespace(
        HKEY_LOCAL_MACHINE=2,
        OpenKey=lambda parent, name: Key(interfaces[name] if isinstance(parent, Key) else {}),
        QueryInfoKey=lambda _key: (len(interfaces), 0, 0),
        EnumKey=lambda _key, number: list(interfaces)[number],
        QueryValueEx=query,
    )
    assert registry_servers(winreg) == ["192.0.2.53", "192.0.2.54", "192.0.2.55", "192.0.2.56"]


def test_what_this_computer_says_of_itself_names_nobody(monkeypatch):
    monkeypatch.setattr("ccp_assess.probe.local.PUBLIC_ADDRESSES", {4: "127.0.0.1", 6: "::1"})
    facts = host_facts()
    assert facts.keys() == {"os", "privileged", "vantage", "python", "route_ipv4", "route_ipv6"}
    assert source_address("127.0.0.1") == "127.0.0.1"


@pytest.mark.parametrize(("state", "there"), [("up", True), ("unknown", True), ("down", False)])
def test_a_tunnel_needs_another_interface_in_use_below_it(monkeypatch, state, there):
    monkeypatch.setattr("socket.if_nameindex", lambda: [(1, "lo"), (2, "tun0"), (3, "eth0")])
    monkeypatch.setattr("ccp_assess.probe.local.Path.read_text", lambda *_args, **_more: f"{state}\n")
    monkeypatch.setattr("sys.platform", "linux")
    assert has_underlay({"tun0"}) is there
    monkeypatch.setattr("socket.if_nameindex", lambda: [(1, "lo"), (2, "tun0")])
    assert has_underlay({"tun0"}) is False
