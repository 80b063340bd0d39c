"""The back ends of the operating systems: loopback for Linux, fakes of the system calls for the others."""

import ctypes
import errno
import selectors
import socket
import struct
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess.probe.machine import (
    ClockStepped,
    Close,
    Closed,
    Connected,
    ConnectFailed,
    Datagram,
    IcmpError,
    OpenIcmp,
    OpenTcp,
    OpenUdp,
    Overflowed,
    Received,
    Resolve,
    Resolved,
    Send,
    SendFailed,
    Sent,
    Write,
    run,
)
from ccp_assess.probe.sweep import Sweep
from ccp_assess.probe.systems import commands, linux, open_network
from ccp_assess.probe.systems.commands import installed_command, run_command, trace_by_command
from ccp_assess.probe.systems.linux import LinuxNetwork
from ccp_assess.probe.systems.listening import echo_request
from ccp_assess.probe.systems.macos import MacosNetwork
from ccp_assess.probe.systems.quoting import parse_icmp
from ccp_assess.probe.systems.sockets import SocketNetwork, error_name
from ccp_assess.probe.systems.windows import (
    SUCCESS,
    EchoResult,
    WindowsNetwork,
    ask_for_fine_timers,
    heard_from_echo,
    parse_echo_reply,
    parse_echo_reply_v6,
    parse_icmp_error_info,
)
from ccp_assess.probe.traced import Target
from ccp_assess.probe.train import Trains
from ccp_assess.probe.virtual_ways import stun_server

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux' own calls")


@pytest.fixture
def relay():
    """A small STUN server on loopback; gives its port."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    server.bind(("127.0.0.1", 0))
    server.settimeout(0.2)
    over = threading.Event()

    def serve():
        while not over.is_set():
            try:
                data, source = server.recvfrom(2048)
            except OSError:
                continue
            for _, answer in stun_server(data, source):
                server.sendto(answer, source)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1]
    over.set()
    thread.join()
    server.close()


@pytest.fixture(params=["plain", "own"])
def network(request):
    made = SocketNetwork() if request.param == "plain" else open_network()
    yield made
    made.close()


def heard(network, until, seconds=5.0):
    """Events until the condition holds; a test that waits in vain fails by what it lacks."""
    end, found = network.now_ns() + round(seconds * 1e9), []
    while network.now_ns() < end and not until(found):
        found += [event for _, event in network.wait(min(end, network.now_ns() + 100_000_000))]
    return found


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def has(kind, count=1):
    return lambda events: len(of(kind, events)) >= count


def test_a_datagram_goes_and_comes_on_plain_sockets_and_on_the_systems_own(network, relay):
    network.perform(0, OpenUdp(flow=1, remote=("127.0.0.1", relay)))
    request = struct.pack("!HHI12s", 1, 0, 0x2112A442, b"123456789012")
    network.perform(0, Send(flow=1, data=request, token=5, ttl=3, traffic_class=184))
    events = heard(network, has(Datagram))
    (answer,) = of(Datagram, events)
    assert answer.data[8:20] == b"123456789012"
    assert answer.source == ("127.0.0.1", relay)
    assert {event.token for event in of(Sent, events)} == {5}


def test_tcp_connects_talks_and_is_refused(network):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        network.perform(0, OpenTcp(flow=1, remote=("127.0.0.1", port)))
        assert of(Connected, heard(network, has(Connected)))
        peer, _ = listener.accept()
        network.perform(0, Write(flow=1, data=b"x" * 3_000_000))  # more than any buffer: written as it drains
        got, reader = bytearray(), threading.Thread(target=lambda: got.extend(_read_all(peer, 3_000_000)))
        reader.start()
        while reader.is_alive():
            network.wait(network.now_ns() + 20_000_000)
        reader.join()
        assert len(got) == 3_000_000
        peer.sendall(b"hello")
        assert of(Received, heard(network, has(Received)))[0].data == b"hello"
        peer.close()
        assert of(Closed, heard(network, has(Closed)))[0].error is None
    network.perform(0, OpenTcp(flow=2, remote=("127.0.0.1", port)))
    assert of(ConnectFailed, heard(network, has(ConnectFailed)))[0].error == "ECONNREFUSED"


def _read_all(peer, count):
    data = bytearray()
    while len(data) < count:
        data += peer.recv(65_536)
    return data


def test_names_are_resolved_beside(network):
    network.perform(0, Resolve(token=1, name="localhost"))
    network.perform(0, Resolve(token=2, name="a" * 70 + ".invalid"))
    found = {event.token: event for event in of(Resolved, heard(network, has(Resolved, 2)))}
    assert "127.0.0.1" in found[1].addresses
    assert found[2].error


def test_a_flow_that_is_closed_or_unknown_fails_by_an_event(network):
    network.perform(0, OpenUdp(flow=1))
    network.perform(0, Close(flow=1))
    network.perform(0, Send(flow=1, data=b"x", token=1, to=("127.0.0.1", 9)))
    assert of(SendFailed, heard(network, has(SendFailed)))[0].error == "EPERM"


def test_nothing_is_heard_of_a_closed_flow_by_who_comes_next(network, relay):
    network.perform(0, OpenUdp(flow=1, remote=("127.0.0.1", relay)))
    network.perform(0, Send(flow=1, data=b"x", token=1))
    network.perform(0, OpenUdp(flow=2))
    network.perform(0, Close(flow=1))
    assert {event.flow for event in heard(network, lambda _found: False, 0.2)} == {2}


def test_waiting_ends_when_its_time_has_come(network):
    until = network.now_ns() + 5_000_000
    assert network.wait(until) == []
    assert network.now_ns() >= until
    assert network.wait(until) == []  # long past: at once


# ---------------------------------------------------------------- Linux


@on_linux
def test_linux_stamps_every_packet_of_a_train_at_both_ends(relay):
    network = LinuxNetwork()
    (numbers,) = run([Trains([Target(address="127.0.0.1", port=relay)], seconds=0.6)], network, deadline_s=10)[0]
    network.close()
    assert (numbers.sent, numbers.received, numbers.lost) == (30, 30, 0)
    assert numbers.kernel_stamped_pct == 100.0
    assert numbers.reply_ttls == (64,)
    assert 0.0 <= numbers.rtt_min_ms < 1_000


@on_linux
def test_linux_shows_who_refused_a_datagram_and_the_next_one_still_leaves():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    network = LinuxNetwork()
    network.perform(0, OpenUdp(flow=1, remote=("127.0.0.1", port)))
    for token in (1, 2, 3):
        network.perform(0, Send(flow=1, data=b"0123456789", token=token))
    events = heard(network, has(IcmpError, 3))
    network.close()
    assert not of(SendFailed, events)
    assert {(event.router, event.type, event.code) for event in of(IcmpError, events)} == {("127.0.0.1", 3, 3)}
    assert {event.data for event in of(IcmpError, events)} == {b"0123456789"}
    assert {event.to for event in of(IcmpError, events)} == {("127.0.0.1", port)}


@on_linux
def test_linux_does_the_same_for_ipv6(relay):
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
            one.bind(("::1", 0))
            port = one.getsockname()[1]
    except OSError:
        pytest.skip("this computer has no IPv6")
    network = LinuxNetwork()
    network.perform(0, OpenUdp(flow=1, family=6))
    network.perform(0, Send(flow=1, data=b"abc", token=1, to=("::1", port), ttl=9))
    events = heard(network, lambda found: has(IcmpError)(found) and any(event.by_kernel for event in of(Sent, found)))
    network.close()
    (report,) = of(IcmpError, events)
    assert (report.router, report.type, report.code) == ("::1", 1, 4)
    assert any(event.by_kernel for event in of(Sent, events))


@on_linux
def test_linux_counts_what_it_threw_away_itself(relay):
    network = LinuxNetwork()
    network.perform(0, OpenUdp(flow=1, buffer_bytes=1))
    local = network.channels[0, 1].sock.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        for _ in range(300):
            flood.sendto(bytes(500), ("127.0.0.1", local))
        events = heard(network, has(Overflowed))
    network.close()
    assert sum(event.count for event in of(Overflowed, events)) > 100


@on_linux
def test_linux_notices_that_the_clock_was_set(monkeypatch):
    network = LinuxNetwork()
    network.perform(4, OpenUdp(flow=1))
    true_offset = linux._clock_offset
    monkeypatch.setattr(linux, "_clock_offset", lambda: (true_offset()[0] + 3_600_000_000_000, 100))
    (step,) = of(ClockStepped, heard(network, has(ClockStepped)))
    network.close()
    assert abs(step.step_ns - 3_600_000_000_000) < 1_000_000


@on_linux
def test_linux_traces_a_way_of_one_hop(relay):
    network = LinuxNetwork()
    ((path,),) = run([Sweep([Target(address="127.0.0.1", port=relay)])], network, deadline_s=5)
    network.close()
    assert (path.path.hop_count, path.path.hops[0].address) == (1, "127.0.0.1")


@on_linux
def test_linux_says_why_there_are_no_echo_sockets(monkeypatch):
    def refuse(*_args, **_more):
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(linux.socket, "socket", refuse)
    assert "ping_group_range" in linux._why_no_echo()


@on_linux
def test_an_echo_flow_without_rights_fails_by_an_event(monkeypatch):
    network = LinuxNetwork()
    monkeypatch.setattr(network, "open_icmp_socket", _refused)
    monkeypatch.setattr(network, "listen", lambda _family: False)
    network.perform(0, OpenIcmp(flow=1))
    network.perform(0, Send(flow=1, data=b"x", token=1, to=("127.0.0.1", 0)))
    assert of(SendFailed, heard(network, has(SendFailed)))[0].error == "EPERM"
    network.close()


def _refused(_action):
    raise PermissionError(errno.EPERM, "no")


def test_an_extended_error_is_read_with_its_offender():
    fixed = struct.pack("=IBBBBII", errno.EHOSTUNREACH, 2, 11, 0, 0, 0, 0)
    v4 = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton("10.0.0.1"))
    v6 = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, "2001:db8::1"), 0)
    assert linux._read_extended_error(fixed + v4)["offender"] == "10.0.0.1"
    assert linux._read_extended_error(fixed + v6)["offender"] == "2001:db8::1"
    assert linux._read_extended_error(fixed)["type"] == 11
    assert linux._read_extended_error(b"short") == {}


# ---------------------------------------------------------------- messages with all headers


def ipv4(protocol, payload, *, ttl=60, tos=0, source="10.0.0.1", to="192.0.2.9"):
    head = struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(payload), 0, 0, ttl, protocol, 0)
    return head + socket.inet_aton(source) + socket.inet_aton(to) + payload


def test_a_report_shows_the_quoted_flow_and_its_tos():
    udp = struct.pack("!HHHH", 40_000, 3478, 28, 0) + b"0123456789012345678X"
    quoted = ipv4(17, udp, tos=0xB8, source="192.0.2.9", to="15.193.5.20")
    packet = parse_icmp(ipv4(1, struct.pack("!BBHI", 11, 0, 0, 0) + quoted), 4)
    assert (packet.source, packet.ttl, packet.type, packet.code) == ("10.0.0.1", 60, 11, 0)
    assert (packet.transport, packet.source_port, packet.port, packet.to) == ("udp", 40_000, 3478, "15.193.5.20")
    assert (packet.traffic_class, packet.data) == (0xB8, b"0123456789012345678X")


def test_fragmentation_needed_shows_its_size():
    quoted = ipv4(17, struct.pack("!HHHH", 1, 2, 8, 0))
    packet = parse_icmp(ipv4(1, struct.pack("!BBHHH", 3, 4, 0, 0, 1380) + quoted), 4)
    assert packet.mtu == 1380


def test_an_icmpv6_report_shows_its_traffic_class():
    quoted = struct.pack("!IHBB", 0x6B800000, 8, 17, 1) + bytes(15) + b"\1" + bytes(15) + b"\2"
    packet = parse_icmp(struct.pack("!BBHI", 3, 0, 0, 0) + quoted + struct.pack("!HHHH", 7, 3478, 8, 0), 6)
    assert (packet.traffic_class, packet.to, packet.source_port) == (0xB8, "::2", 7)


def test_echo_requests_are_written_right_and_replies_read():
    request = echo_request(4, 0x1234, 70_001, b"abc")
    total = sum(struct.unpack(f"!{(len(request) + 1) // 2}H", request + b"\0"))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF
    reply = bytes([0]) + request[1:]
    packet = parse_icmp(ipv4(1, reply), 4)
    assert (packet.identifier, packet.sequence, packet.data, packet.transport) == (
        0x1234,
        70_001 & 0xFFFF,
        b"abc",
        None,
    )


@given(st.binary(max_size=80), st.sampled_from([4, 6]))
def test_no_bytes_break_the_reader(data, family):
    parse_icmp(data, family)
    parse_icmp(ipv4(1, data), 4)
    parse_icmp_error_info(data)
    parse_echo_reply(data, 8)
    parse_echo_reply_v6(data)


# ---------------------------------------------------------------- macOS by a fake of its ICMP socket


class _Mac(MacosNetwork):
    """Hears ICMP from a pair of sockets in place of the system's."""

    def listen(self, family):
        if family == 4 and 4 not in self.listeners:
            self.far, near = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            near.settimeout(0)
            self.listeners[4] = near
            self.selector.register(near, selectors.EVENT_READ, lambda: self._hear(4, near))
        return family == 4

    def receive_icmp(self, listener):
        return listener.recv(2048), "10.0.0.1", self.now_ns(), False, None

    def prepare(self, channel, *, dont_fragment):
        """The option's number is macOS's own."""


@on_linux
def test_macos_hears_reports_and_replies():
    network = _Mac()
    network.perform(3, OpenUdp(flow=8))
    network.perform(3, OpenUdp(flow=9))
    port = network.channels[3, 9].sock.getsockname()[1]
    quoted = ipv4(17, struct.pack("!HHHH", port, 3478, 8, 0) + b"abc", tos=0x28, to="192.0.2.77")
    network.far.send(ipv4(1, struct.pack("!BBHI", 11, 0, 0, 0) + quoted))
    network.far.send(b"noise")
    (report,) = of(IcmpError, heard(network, has(IcmpError)))
    network.close()
    network.far.close()
    assert (report.flow, report.router, report.data, report.to) == (9, "10.0.0.1", b"abc", ("192.0.2.77", 3478))
    assert report.quoted_traffic_class == 0x28
    assert network.technique_reasons["icmp"] is None


# ---------------------------------------------------------------- Windows by a fake of its echo call


def echo_of_a_way(hops):
    def echo(address, payload, ttl, _wait_ms):
        if ttl == 2:
            return None
        if ttl < hops:
            return EchoResult(status=11_013, source=f"10.0.0.{ttl}", ttl=200, data=b"")
        return EchoResult(status=SUCCESS, source=address, ttl=60, data=payload)

    return echo


def test_windows_traces_by_its_echo_call():
    network = WindowsNetwork(echo=echo_of_a_way(5))
    targets = [Target(address="127.0.0.1"), Target(address="127.0.0.2", egress="other")]
    (paths,) = run([Sweep(targets, technique="icmp")], network, deadline_s=10)
    network.close()
    for path, address in zip(paths, ("127.0.0.1", "127.0.0.2"), strict=True):
        assert path.path.hop_count == 5
        assert [hop.address for hop in path.path.hops] == ["10.0.0.1", None, "10.0.0.3", "10.0.0.4", address]
    assert "UDP" in network.technique_reasons["udp"]


class _EchoReply(ctypes.Structure):
    """ICMP_ECHO_REPLY as ipexport.h declares it."""

    _fields_ = [
        ("address", ctypes.c_uint32), ("status", ctypes.c_uint32), ("rtt", ctypes.c_uint32),
        ("size", ctypes.c_uint16), ("reserved", ctypes.c_uint16), ("data", ctypes.c_void_p),
        ("ttl", ctypes.c_ubyte), ("tos", ctypes.c_ubyte), ("flags", ctypes.c_ubyte),
        ("options_size", ctypes.c_ubyte), ("options", ctypes.c_void_p),
    ]  # fmt: skip


def test_windows_replies_are_read_by_the_declared_layout():
    address = struct.unpack("=I", socket.inet_aton("10.0.0.9"))[0]
    reply = bytes(_EchoReply(address=address, status=11_013, rtt=12, ttl=55))
    found = parse_echo_reply(reply, ctypes.sizeof(ctypes.c_void_p))
    assert (found.source, found.status, found.ttl) == ("10.0.0.9", 11_013, 55)
    v6 = struct.pack("=HI16sI", 0, 0, socket.inet_pton(socket.AF_INET6, "2001:db8::9"), 0) + bytes(2)
    found6 = parse_echo_reply_v6(v6 + struct.pack("=II", 11_013, 3))
    assert (found6.source, found6.status) == ("2001:db8::9", 11_013)
    assert parse_echo_reply(b"short", 8) is None


@pytest.mark.parametrize(
    ("status", "family", "wanted"),
    [
        (11_013, 4, (11, 0)),
        (11_013, 6, (3, 0)),
        (11_005, 4, (3, 3)),
        (11_009, 6, (2, 0)),
        (11_010, 4, None),
        (11_050, 4, None),
    ],
)
def test_windows_statuses_become_icmp_types(status, family, wanted):
    found = EchoResult(status=status, source="10.0.0.1", ttl=None, data=b"")
    event = heard_from_echo(found, Send(flow=1, data=b"", token=65_537), "192.0.2.1", family, 5)
    assert (None if event is None else (event.type, event.code)) == wanted
    assert event is None or event.token == 1


def test_windows_tells_which_router_ended_a_connect():
    v4 = struct.pack("=HH4s", 2, 0, socket.inet_aton("10.0.0.3")) + bytes(20) + struct.pack("=IBB2x", 1, 11, 0)
    v6 = struct.pack("=HHI16sI", 23, 0, 0, socket.inet_pton(socket.AF_INET6, "2001:db8::3"), 0)
    v6 += struct.pack("=IBB2x", 58, 3, 0)
    assert parse_icmp_error_info(v4) == ("10.0.0.3", 11, 0)
    assert parse_icmp_error_info(v6) == ("2001:db8::3", 3, 0)
    assert parse_icmp_error_info(bytes(36)) is None


def test_names_of_errors_are_the_same_on_every_system():
    assert error_name(OSError(errno.ECONNREFUSED, "")) == "ECONNREFUSED"
    assert error_name(OSError("without a number")) == "OSError"


GERMAN = """
Routenverfolgung zu 15.193.5.20 \xfcber maximal 30 Hops

  1     1 ms    <1 ms    <1 ms  192.168.178.1
  2     *        *        *     Zeit\xfcberschreitung der Anforderung.
  3    12 ms    11 ms    12 ms  15.193.5.20

Ablaufverfolgung beendet.
"""


def test_the_systems_own_program_is_the_last_resort_in_any_language():
    ran = []

    def run_it(words, limit_s):
        ran.append((tuple(words), limit_s))
        return GERMAN.encode("cp850") if words[-1] == "15.193.5.20" else b"no such thing\n"

    words = ("tracert", "-d", "-w", "1000", "-h", "30")
    targets = [Target(address="15.193.5.20"), Target(address="2001:db8::1")]
    found, nothing = trace_by_command(targets, words, limit_s=5.0, run=run_it)
    assert found.path.hop_count == 3
    assert [hop.address for hop in found.path.hops] == ["192.168.178.1", None, "15.193.5.20"]
    assert nothing is None
    assert sorted(typed[0][1] for typed in ran) == ["-6", "-d"]
    assert trace_by_command([], words, limit_s=5.0) == []


def test_a_program_that_hangs_or_is_missing_gives_what_it_printed():
    assert (
        run_command([sys.executable, "-c", "print('so far', flush=True); import time; time.sleep(60)"], 3.0)
        == b"so far\n"
    )
    assert run_command(["a-program-that-is-not-here"], 1.0) == b""


def test_the_program_is_chosen_by_what_is_installed(monkeypatch):
    monkeypatch.setattr(commands.shutil, "which", lambda name: name if name in {"tracepath", "tracert"} else None)
    assert installed_command("linux")[0] == "tracepath"
    assert installed_command("win32")[0] == "tracert"
    monkeypatch.setattr(commands.shutil, "which", lambda _name: None)
    assert installed_command("darwin") is None


@on_linux
@pytest.mark.parametrize("machine", ["x86_64", "a machine of another kind"])
def test_asking_for_short_turns_needs_no_rights_and_breaks_nothing(monkeypatch, machine):
    asked = []
    monkeypatch.setattr(linux.os, "sched_setscheduler", _refused_scheduler)
    monkeypatch.setattr(linux.platform, "machine", lambda: machine)
    monkeypatch.setattr(
        linux.ctypes, "CDLL", lambda *_args, **_more: SimpleNamespace(syscall=lambda *a: asked.append(a))
    )
    linux.ask_for_short_turns()
    assert [len(words[2]) for words in asked] == ([48] if machine == "x86_64" else [])


def _refused_scheduler(*_args):
    raise PermissionError(errno.EPERM, "no")


def test_windows_without_its_libraries_stays_as_it_is():
    ask_for_fine_timers()  # here there is no winmm: nothing to ask, and no error


def test_the_wait_is_finer_than_a_millisecond():
    network = open_network()
    begins = time.perf_counter_ns()
    for step in range(1, 21):
        network.wait(begins + step * 300_000)
    took = network.now_ns() - begins
    network.close()
    assert took >= 6_000_000
