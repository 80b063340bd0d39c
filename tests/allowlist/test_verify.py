"""Re-tests of a change request: with a pretended network, and with real sockets on loopback."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccp_assess.allowlist import build
from ccp_assess.allowlist.verify import Reach, Verified, read_request, request_lines, verify
from ccp_assess.assess.allowlist_audit import audit_live
from ccp_assess.errors import AllowlistError
from ccp_assess.probe.attempts import SocketProber

NAMES = {
    "acme.my.connect.aws": ("52.1.1.1", "2600:1f00::1"),
    "participant.connect.eu-west-2.amazonaws.com": ("18.130.1.1",),
    "turnnlb-1dc64a459ead57ea.elb.eu-west-2.amazonaws.com": ("15.193.5.7",),
}


class Pretended:
    """A network that lets through what it is told."""

    def __init__(self, *blocked: str) -> None:
        self.blocked = blocked
        self.asked: list[tuple[str, int, str]] = []

    def resolve(self, host: str) -> tuple[str, ...]:
        return NAMES.get(host, ())

    def _reach(self, address: str, port: int, transport: str, good: str) -> Reach:
        self.asked.append((address, port, transport))
        return Reach(outcome="timeout") if address in self.blocked else Reach(outcome=good, rtt_ms=12.0)

    def tcp(self, address: str, port: int) -> Reach:
        return self._reach(address, port, "tcp", "connected")

    def stun(self, address: str, port: int) -> Reach:
        return self._reach(address, port, "udp", "answered")


def request(tmp_path: Path, option: str = "domains", **switches: object) -> Path:
    built = build(["eu-west-2"], option, instance="acme", **switches)  # type: ignore[arg-type]
    file = tmp_path / "REQUEST.json"
    file.write_text(json.dumps(built.to_document()))
    return file


def outcome(file: Path, prober: Pretended, **more: object) -> dict[str, Verified]:
    lines, regions = read_request(file)
    return {row.line.target: row for row in verify(lines, regions, prober, **more)}  # type: ignore[arg-type]


def test_open_names_are_green_and_unresolved_ones_are_red(tmp_path: Path) -> None:
    found = outcome(request(tmp_path), Pretended())
    assert found["https://acme.my.connect.aws/ccp-v2"].colour == "green"
    assert found["participant.connect.eu-west-2.amazonaws.com"].colour == "green"
    assert found["dl32tyuy2mmv6.cloudfront.net"].colour == "red"
    assert "does not resolve" in found["dl32tyuy2mmv6.cloudfront.net"].text


def test_the_audio_wildcard_is_tested_by_the_listed_load_balancers(tmp_path: Path) -> None:
    target = "TurnNlb-*.elb.eu-west-2.amazonaws.com"
    prober = Pretended()
    assert outcome(request(tmp_path), prober)[target].colour == "green"
    assert ("15.193.5.7", 3478, "udp") in prober.asked
    assert outcome(request(tmp_path), Pretended("15.193.5.7"))[target].colour == "red"


def test_a_wildcard_without_a_known_name_is_untested_until_one_is_given(tmp_path: Path) -> None:
    target = "*.transport.connect.eu-west-2.amazonaws.com"
    assert outcome(request(tmp_path), Pretended())[target].colour == "untested"
    NAMES["u1.transport.connect.eu-west-2.amazonaws.com"] = ("18.130.9.9",)
    host = ["U1.transport.connect.eu-west-2.amazonaws.com"]
    assert outcome(request(tmp_path), Pretended(), hosts=host)[target].colour == "green"
    assert outcome(request(tmp_path), Pretended("18.130.9.9"), hosts=host)[target].colour == "red"


def test_a_block_is_tested_through_a_name_that_lies_in_it(tmp_path: Path) -> None:
    file = request(tmp_path, "hybrid", stateless="windows")
    lines, regions = read_request(file)
    prober = Pretended()
    rows = [row for row in verify(lines, regions, prober) if row.line.target == "15.193.0.0/19"]
    assert [(row.line.direction, row.colour) for row in rows] == [("outbound", "green"), ("inbound", "green")]
    blocked = [row for row in verify(lines, regions, Pretended("15.193.5.7")) if row.line.target == "15.193.0.0/19"]
    assert {row.colour for row in blocked} == {"red"}
    six = [row for row in verify(lines, regions, prober) if ":" in row.line.target and row.line.kind == "cidr"]
    assert {row.colour for row in six} == {"untested"}


def test_a_site_without_ipv6_is_no_red_line(tmp_path: Path) -> None:
    target = "https://acme.my.connect.aws/api"
    assert outcome(request(tmp_path), Pretended("2600:1f00::1"))[target].colour == "green"
    assert outcome(request(tmp_path), Pretended("52.1.1.1"))[target].colour == "red"


def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    prober = Pretended()
    outcome(request(tmp_path), prober)
    assert len(prober.asked) == len(set(prober.asked))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"rules": []}',
        '{"rules": [7]}',
        '{"rules": [{"target": "x"}]}',
        '{"rules": [{"target": "x/y", "kind": "cidr", "port": "1", "transport": "udp"}]}',
        '{"rules": [{"target": "x", "kind": "domain", "port": "$(x)", "transport": "udp"}]}',
        '{"rules": [{"target": null, "kind": "domain", "port": "443", "transport": "tcp"}]}',
        '{"rules": [{"target": "x", "kind": "domain", "port": 65536, "transport": "tcp"}]}',
        '{"rules": [{"target": "x", "kind": "domain", "port": "9-1", "transport": "tcp"}]}',
        '{"rules": [{"target": "x", "kind": "domain", "port": 443, "transport": ["tcp"]}]}',
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence(tmp_path: Path, content: str) -> None:
    file = tmp_path / "r.json"
    file.write_text(content)
    with pytest.raises(AllowlistError) as caught:
        read_request(file)
    assert "\n" not in str(caught.value)


@pytest.fixture
def stun_server() -> Iterator[int]:
    """Answer STUN on loopback, with noise first."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    server.settimeout(5)

    def answer() -> None:
        try:
            while True:
                data, peer = server.recvfrom(100)
                server.sendto(b"noise", peer)
                server.sendto(b"\x01\x01\x00\x00" + data[4:8] + b"another-one!", peer)
                server.sendto(b"\x01\x01\x00\x00" + data[4:20], peer)
        except OSError:
            return

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield int(server.getsockname()[1])
    server.close()
    thread.join(6)


def test_a_real_stun_answer_is_told_from_noise_and_silence(stun_server: int) -> None:
    prober, patient = (
        SocketProber(timeout_s=0.6),
        SocketProber(timeout_s=2),
    )  # a large process of tests may pause for a second
    reach = patient.stun("127.0.0.1", stun_server)
    assert reach.outcome == "answered"
    assert reach.rtt_ms is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        assert prober.stun("127.0.0.1", silent.getsockname()[1]).outcome == "timeout"
        closed = silent.getsockname()[1]
    assert patient.stun("127.0.0.1", closed).outcome == "refused"


def test_a_real_connection_is_told_from_a_refusal() -> None:
    prober = SocketProber(timeout_s=1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert prober.tcp("127.0.0.1", port).outcome == "connected"
    assert prober.tcp("127.0.0.1", port).outcome == "refused"


def test_a_name_resolves_or_not() -> None:
    assert "127.0.0.1" in SocketProber().resolve("localhost")
    assert SocketProber(timeout_s=1).resolve("a" * 300) == ()


def test_a_live_audit_probes_each_required_rule_and_names_rules_that_do_not_work() -> None:
    built = build(["eu-west-2"], "domains", instance="acme")
    covered = [rule.to_row() for rule in built.rules]
    document = {"missing": [], "too_wide": [], "stale": [], "covered": covered, "notes": []}
    found = audit_live(document, ["eu-west-2"], "domains", Pretended("18.130.1.1"), switches={"instance": "acme"})
    results = {row["target"]: row["result"] for row in found["live"]["lines"]}
    assert len(found["live"]["lines"]) == len(built.rules)
    assert results["https://acme.my.connect.aws/ccp-v2"] == "green"
    assert results["participant.connect.eu-west-2.amazonaws.com"] == "red"
    assert any(note.startswith("participant.connect.eu-west-2.amazonaws.com 443/tcp is in") for note in found["notes"])
    assert not any("acme.my.connect.aws/ccp-v2" in note for note in found["notes"])


def test_a_prober_that_breaks_does_not_hang_the_others() -> None:
    class Broken(Pretended):
        def resolve(self, host: str) -> tuple[str, ...]:
            raise OSError(host)

    with pytest.raises(OSError, match="connect"):
        verify(request_lines(build(["eu-west-2"], "domains", instance="acme")), ["eu-west-2"], Broken())
