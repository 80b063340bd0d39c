"""nftables and iptables output loaded for real: required traffic passes a firewall, the rest is blocked.

Three network namespaces stand in a row: workstation, firewall, and a server that owns addresses of AWS and of others.
"""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ccp_assess.allowlist import build
from ccp_assess.allowlist.formats import render
from ccp_assess.ranges import parse_ranges

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

RANGES = parse_ranges(
    json.dumps(
        {
            "createDate": "2030-01-01-00-00-00",
            "prefixes": [
                {"ip_prefix": "15.193.0.0/19", "region": "GLOBAL", "service": "AMAZON_CONNECT"},
                {"ip_prefix": "52.55.0.0/16", "region": "us-east-1", "service": "EC2"},
                {"ip_prefix": "13.32.0.0/15", "region": "GLOBAL", "service": "CLOUDFRONT"},
            ],
            "ipv6_prefixes": [
                {"ipv6_prefix": "2600:f0f2:7100::/40", "region": "GLOBAL", "service": "AMAZON_CONNECT"},
                {"ipv6_prefix": "2600:1f00::/24", "region": "us-east-1", "service": "EC2"},
            ],
        }
    ).encode(),
    name="doc",
)
OWN = ["15.193.31.9", "52.55.9.9", "13.33.1.1", "203.0.113.9", "2600:f0f2:71ff::9", "2600:1f00::9", "2001:db8:9::9"]

SERVER = """
    import socket, threading, json
    OWN = %s
    def udp(sock):
        while True:
            data, peer = sock.recvfrom(100)
            if data == b"elsewhere":  # answer from another port, as an attacker would
                other = socket.socket(sock.family, socket.SOCK_DGRAM)
                other.bind((sock.getsockname()[0], 0))
                other.sendto(b"x", peer)
            else:
                sock.sendto(data, peer)
    def tcp(sock):
        while True:
            peer, _ = sock.accept()
            peer.sendall(b"hello")
            peer.close()
    for address in OWN:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for port in (53, 80, 443, 3478, 3479):
            one = socket.socket(family, socket.SOCK_DGRAM)
            one.bind((address, port))
            threading.Thread(target=udp, args=(one,), daemon=True).start()
            two = socket.socket(family, socket.SOCK_STREAM)
            two.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            two.bind((address, port))
            two.listen()
            threading.Thread(target=tcp, args=(two,), daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()
"""

CLIENT = """
    import socket, json, sys
    out = {}
    cases = json.loads(sys.argv[1])
    def one(name, address, port, kind, message, near):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        sock.settimeout(0.7)
        try:
            if near:
                sock.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", near))
            if kind == "udp":
                sock.sendto(message.encode(), (address, port))
                out[name] = bool(sock.recvfrom(100)[0])
            else:
                sock.connect((address, port))
                out[name] = sock.recv(5) == b"hello"
        except OSError:
            out[name] = False
        finally:
            sock.close()
    import threading
    threads = [threading.Thread(target=one, args=tuple(case)) for case in cases]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    print(json.dumps(out))
"""

PASS = {
    "audio": ("15.193.31.9", 3478, "udp"),
    "audio six": ("2600:f0f2:71ff::9", 3478, "udp"),
    "web": ("52.55.9.9", 443, "tcp"),
    "assets": ("13.33.1.1", 443, "tcp"),
    "web six": ("2600:1f00::9", 443, "tcp"),
}
BLOCKED = {
    "audio by tcp": ("15.193.31.9", 3478, "tcp"),
    "next port": ("15.193.31.9", 3479, "udp"),
    "web by udp": ("52.55.9.9", 443, "udp"),
    "plain web": ("52.55.9.9", 80, "tcp"),
    "audio elsewhere": ("203.0.113.9", 3478, "udp"),
    "web elsewhere": ("203.0.113.9", 443, "tcp"),
    "dns elsewhere": ("203.0.113.9", 53, "udp"),
    "audio elsewhere six": ("2001:db8:9::9", 3478, "udp"),
    "web elsewhere six": ("2001:db8:9::9", 443, "tcp"),
    "next port six": ("2600:f0f2:71ff::9", 3479, "udp"),
}


def run(*command: str, text: str | None = None) -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


Ask = Callable[[str, str, str], dict[str, bool]]


@pytest.fixture
def row(tool: Any) -> Iterator[tuple[str, str, str]]:
    """Make workstation, firewall and server, joined in a row; the server owns addresses far and near."""
    tool("ip")
    mark = f"{os.getpid() % 100000}"
    names = tuple(f"ccpal{mark}{letter}" for letter in "wfs")
    near, wall, far = names
    made: list[str] = []
    server: subprocess.Popen[str] | None = None
    try:
        for name in names:
            run("ip", "netns", "add", name)
            made.append(name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        for left, right, number in ((near, wall, 1), (wall, far, 2)):
            run(
                "ip",
                "-n",
                left,
                "link",
                "add",
                f"r{number}",
                "type",
                "veth",
                "peer",
                "name",
                f"l{number}",
                "netns",
                right,
            )
            for name, end, last in ((left, f"r{number}", 1), (right, f"l{number}", 2)):
                run("ip", "-n", name, "addr", "add", f"10.9.{number}.{last}/24", "dev", end)
                run("ip", "-n", name, "addr", "add", f"fd09:{number}::{last}/64", "dev", end, "nodad")
                run("ip", "-n", name, "link", "set", end, "up")
        for address in OWN:
            length = "128" if ":" in address else "32"
            more = ("nodad",) if ":" in address else ()
            run("ip", "-n", far, "addr", "add", f"{address}/{length}", "dev", "lo", *more)
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            run("ip", "netns", "exec", wall, "sysctl", "-qw", f"{key}=1")
        for version, gate in (("-4", "10.9.1.2"), ("-6", "fd09:1::2")):
            run("ip", version, "-n", near, "route", "add", "default", "via", gate)
        for version, gate in (("-4", "10.9.2.2"), ("-6", "fd09:2::2")):
            run("ip", version, "-n", wall, "route", "add", "default", "via", gate)
        for version, gate in (("-4", "10.9.2.1"), ("-6", "fd09:2::1")):
            run("ip", version, "-n", far, "route", "add", "default", "via", gate)
        code = textwrap.dedent(SERVER % json.dumps(OWN))
        server = subprocess.Popen(
            ["ip", "netns", "exec", far, sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        for _ in range(20):  # neighbours of IPv6 need a moment
            if all(ask(near, PASS | BLOCKED).values()):
                break
        yield near, wall, far
    finally:
        if server is not None:
            server.kill()
            server.communicate()
        for name in made:
            subprocess.run(["ip", "netns", "delete", name], check=False)


def ask(
    namespace: str, cases: dict[str, tuple[str, int, str]], message: str = "ping", near: int = 0
) -> dict[str, bool]:
    rows = [[name, *case, message, near] for name, case in cases.items()]
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, sys.executable, "-c", textwrap.dedent(CLIENT), json.dumps(rows)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answers: dict[str, bool] = json.loads(done.stdout)
    return answers


def load(kind: str, namespace: str, built: Any) -> None:
    inside = ("ip", "netns", "exec", namespace)
    if kind == "nftables":
        run(*inside, "nft", "-f", "-", text=str(render(built, "nftables").content))
        run(*inside, "nft", "-f", "-", text=str(render(built, "nftables").content))  # twice: it replaces itself
    else:
        run(*inside, "iptables-restore", text=str(render(built, "iptables").content))
        run(*inside, "ip6tables-restore", text=str(render(built, "ip6tables").content))


@pytest.mark.parametrize(
    ("stateless", "place", "kind"),
    [
        (None, "firewall", "nftables"),
        (None, "workstation", "iptables"),
        ("linux", "firewall", "iptables"),
        ("linux", "workstation", "nftables"),
        pytest.param(None, "firewall", "iptables", marks=pytest.mark.long),
        pytest.param(None, "workstation", "nftables", marks=pytest.mark.long),
        pytest.param("linux", "firewall", "nftables", marks=pytest.mark.long),
        pytest.param("linux", "workstation", "iptables", marks=pytest.mark.long),
    ],
)
def test_required_traffic_passes_and_the_rest_is_blocked(
    row: tuple[str, str, str], tool: Any, kind: str, place: str, stateless: Any
) -> None:
    tool("nft" if kind == "nftables" else "iptables-restore")
    near, wall, _ = row
    everything = PASS | BLOCKED
    assert all(ask(near, everything).values()), "the bench itself lets everything through"
    subnets = ["10.9.1.0/24", "fd09:1::/64"]
    built = build(["us-east-1"], "addresses", ranges=RANGES, stateless=stateless, from_subnets=subnets)
    load(kind, wall if place == "firewall" else near, built)
    answers = ask(near, everything)
    assert {name for name, passed in answers.items() if passed} == set(PASS)
    if stateless and place == "firewall":
        # An answer must come from port 3478 and go to the browser's own range, and no server may begin.
        assert not any(ask(near, {"audio": PASS["audio"]}, message="elsewhere").values())
        assert not any(ask(near, {"audio": PASS["audio"]}, near=20000).values())
        assert all(ask(near, {"audio": PASS["audio"]}, near=40000).values())


@pytest.mark.parametrize("kind", ["nftables", "iptables"])
def test_another_subnet_may_not_pass(row: tuple[str, str, str], tool: Any, kind: str) -> None:
    tool("nft" if kind == "nftables" else "iptables-restore")
    near, wall, _ = row
    load(kind, wall, build(["us-east-1"], "addresses", ranges=RANGES, from_subnets=["10.77.0.0/16", "fd77::/16"]))
    assert not any(ask(near, PASS).values())


def test_the_kernel_prints_what_our_reader_understands(row: tuple[str, str, str], tool: Any, tmp_path: Path) -> None:
    from ccp_assess.allowlist import audit, parse_client_rules

    tool("nft")
    tool("iptables-save")
    _, wall, far = row
    built = build(["us-east-1"], "addresses")
    load("nftables", wall, built)
    load("iptables", far, built)
    listed = subprocess.run(
        ["ip", "netns", "exec", wall, "nft", "list", "ruleset"], capture_output=True, text=True, check=True
    )
    saved = "".join(
        subprocess.run(["ip", "netns", "exec", far, command], capture_output=True, text=True, check=True).stdout
        for command in ("iptables-save", "ip6tables-save")
    )
    for text in (listed.stdout, saved):
        found = audit(parse_client_rules(text, name="kernel"), ["us-east-1"], "addresses")
        assert found.missing == ()
        assert [row for row in found.too_wide if "beyond" in row["why"]] == []
