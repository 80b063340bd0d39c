"""What the bench says is in the way is in the way: an asker that knows nothing of the bench is sent to every office."""

import base64
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench_wan import bench

pytestmark = pytest.mark.root

ASKER = Path(__file__).with_name("bench_asker.py")
RELAY, OTHER, WEB = "15.193.5.20", "15.193.6.20", "participant.connect.eu-west-2.amazonaws.com"
TURN = "turnnlb-1dc64a459ead57ea.elb.eu-west-2.amazonaws.com"


def site(number, office, **more):
    ways = {"eu-west-2": {"rtt_ms": 4, "hops": 4}, "us-east-1": {"rtt_ms": 6, "hops": 5}}
    return {"address": f"192.0.2.{number}", "ways": ways, "office": office, **more}


PLAN = {
    "seed": 3,
    "regions": {"eu-west-2": {"addresses": [RELAY]}, "us-east-1": {"addresses": [OTHER]}},
    "sites": {
        "open": site(1, {}),
        "drop": site(2, {"blocked": {"udp/3478": "drop"}}),
        "reject": site(3, {"blocked": {"udp/3478": "reject", "tcp/443": "reject"}}),
        "prohibit": site(4, {"blocked": {"udp/3478": "prohibit"}}),
        "only443": site(5, {"only_tcp_443": True}),
        "symmetric": site(6, {"nat": "symmetric"}),
        "forgetful": site(7, {"nat": "symmetric", "nat_idle_s": 1}),
        "inspected": site(8, {"inspection": {"organisation": "Blue Inspection"}}),
        "untrusted": site(9, {"inspection": {"trusted": False}}),
        "stripped": site(10, {"inspection": {"strip_upgrade": True}}),
        "proxy": site(11, {"only_proxy": True, "proxy": {"deny": ["example.com"]}}),
        "basic": site(12, {"only_proxy": True, "proxy": {"sign_in": "basic"}}),
        "ntlm": site(13, {"only_proxy": True, "proxy": {"sign_in": "ntlm"}}),
        "proxystrip": site(14, {"only_proxy": True, "proxy": {"inspection": {"strip_upgrade": True}}}),
        "portal": site(15, {"captive_portal": True}),
        "names": site(
            16,
            {},
            names={
                "nxdomain": ["turnnlb-*"],
                "refused": ["aws.amazon.com"],
                "servfail": ["rtc.*"],
                "silent": ["example.com"],
                "rewritten": {"participant.*": "10.9.9.9"},
            },
        ),
        "bare": {
            "address": "192.0.2.17",
            "ways": {
                "eu-west-2": {"rtt_ms": 10, "hops": 5, "blocked": {"udp/3478": "prohibit", "tcp/443": "reject"}},
                "us-east-1": {"rtt_ms": 6, "hops": 5, "mtu": 1300},
            },
        },
        "changing": {
            "address": "192.0.2.18",
            "ways": {
                "eu-west-2": {"rtt_ms": 4, "hops": 4},
                "us-east-1": {"rtt_ms": 6, "hops": 5, "mtu": 1300, "mtu_silent": True},
            },
        },
    },
}


@pytest.fixture(scope="module")
def wan(bench_needs):
    with bench(PLAN) as running:
        yield running


def ask(running, at, *questions):
    done = running.run([sys.executable, str(ASKER), *questions], at, timeout_s=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


GENUINE = {"issuer": "Amazon", "get": "HTTP/1.1 200 OK", "websocket": "HTTP/1.1 101 Switching Protocols"}


def test_an_open_office_reaches_names_servers_and_the_relay(wan):
    found = ask(wan, "open", f"dns {TURN}", "dns turnnlb-0.elb.eu-west-2.amazonaws.com", f"tls {WEB}", f"stun {RELAY}")
    assert found == [[RELAY], -2, GENUINE, ["0101", "0113"]]
    assert ask(wan, "open", f"http {WEB}", "dns x.transport.connect.us-east-1.amazonaws.com") == [
        "HTTP/1.1 200 OK",
        [OTHER],
    ]


def test_udp_is_dropped_rejected_or_prohibited_as_stated(wan):
    assert ask(wan, "drop", f"stun {RELAY}", f"stun_connected {RELAY}") == [[None, None], None]
    refused, prohibited = errno.ECONNREFUSED, errno.EHOSTUNREACH
    assert ask(wan, "reject", f"stun_connected {RELAY}", f"connect {RELAY} 443") == [refused, "refused"]
    assert ask(wan, "prohibit", f"stun_connected {RELAY}", f"connect {RELAY} 443") == [prohibited, "connected"]


def test_a_router_on_the_way_can_block_too(wan):
    asked = ask(wan, "bare", f"stun_connected {RELAY}", f"connect {RELAY} 443", f"connect {RELAY} 3478")
    assert asked == [errno.EHOSTUNREACH, "refused", "connected"]


def test_only_tcp_443_passes_where_that_is_so(wan):
    asked = ask(wan, "only443", f"connect {WEB} 443", f"connect {RELAY} 80", f"connect {RELAY} 3478", f"stun {RELAY}")
    assert asked == ["connected", "timeout", "timeout", [None, None]]


def test_a_symmetric_nat_shows_every_server_another_port(wan):
    ((one, two, _), (three, four, own)) = (ask(wan, at, f"mapped {RELAY} {OTHER}")[0] for at in ("symmetric", "open"))
    assert one[0] == two[0] == "192.0.2.6"
    assert one[1] != two[1]
    assert three == four == ["192.0.2.1", own]


def test_a_forgetful_nat_gives_another_port_after_a_silence(wan):
    first, again, later, _ = ask(wan, "forgetful", f"mapped {RELAY} {RELAY} +3 {RELAY}")[0]
    assert first == again != later


def test_inspection_shows_its_own_authority_and_may_strip_upgrades(wan):
    assert ask(wan, "inspected", f"tls {WEB}") == [GENUINE | {"issuer": "Blue Inspection"}]
    assert "self-signed certificate in certificate chain" in ask(wan, "untrusted", f"tls {WEB}")[0]
    (stripped,) = ask(wan, "stripped", f"tls {WEB}")
    assert (stripped["get"], stripped["websocket"]) == ("HTTP/1.1 200 OK", "HTTP/1.1 200 OK")


def test_proxies_ask_for_a_sign_in_deny_or_strip_and_nothing_passes_beside_them(wan):
    secret = base64.b64encode(b"agent:bench").decode()
    assert ask(wan, "proxy", f"connect {RELAY} 443", f"tls {WEB} 10.20.1.1") == ["timeout", GENUINE]
    assert ask(wan, "proxy", "tls example.com 10.20.1.1") == [["HTTP/1.1 403 Forbidden"]]
    wanted = "HTTP/1.1 407 Proxy Authentication Required"
    assert ask(wan, "basic", f"tls {WEB} 10.20.1.1") == [[wanted, 'Proxy-Authenticate: Basic realm="bench"']]
    assert ask(wan, "basic", f"tls {WEB} 10.20.1.1 {secret}") == [GENUINE]
    assert ask(wan, "ntlm", f"tls {WEB} 10.20.1.1 {secret}") == [[wanted, "Proxy-Authenticate: NTLM"]]
    (stripped,) = ask(wan, "proxystrip", f"tls {WEB} 10.20.1.1")
    assert (stripped["issuer"], stripped["websocket"]) == ("Example Inspection Ltd", "HTTP/1.1 200 OK")


def test_a_captive_portal_takes_the_web_and_drops_the_rest(wan):
    asked = ask(wan, "portal", f"http {WEB}", f"tls {WEB}", f"stun {RELAY}", f"dns {WEB}")
    assert asked[0] == "HTTP/1.1 302 Found"
    assert "self-signed" in asked[1]
    assert asked[2:] == [[None, None], [RELAY]]


def test_the_resolver_refuses_rewrites_and_stays_silent_as_stated(wan):
    asked = ask(
        wan,
        "names",
        f"dns_code {TURN} 10.20.1.1",
        "dns_code aws.amazon.com 10.20.1.1",
        "dns_code rtc.connect-telecom.eu-west-2.amazonaws.com 10.20.1.1",
        "dns_code example.com 10.20.1.1",
        f"dns {WEB}",
        "dns amazonaws.com",
    )
    assert asked == [3, 5, 2, None, ["10.9.9.9"], [RELAY]]


def test_a_narrow_link_says_so_or_stays_silent(wan):
    assert ask(wan, "bare", f"sizes {OTHER} 1300 1304 1300") == [[1, -errno.EMSGSIZE, 1]]
    assert ask(wan, "changing", f"sizes {OTHER} 1300 1304 1300") == [[1, 0, 1]]


def test_a_way_changes_while_it_is_used(wan):
    assert ask(wan, "changing", f"stun {RELAY}") == [["0101", "0113"]]
    wan.change("eu-west-2", "changing", refuse_allocate=True)
    assert ask(wan, "changing", f"stun {RELAY}") == [["0101", None]]
    wan.change("eu-west-2", "changing", refuse_allocate=False, down=True)
    assert ask(wan, "changing", f"stun {RELAY}") == [[None, None]]
    wan.change("eu-west-2", "changing", down=False, duplicate_pct=100.0)
    assert ask(wan, "changing", f"train {RELAY} 50 2")[0]["duplicates"] == 50 * 3
    wan.change("eu-west-2", "changing", duplicate_pct=0.0, reorder_pct=10.0, reorder_ms=8.0)
    assert ask(wan, "changing", f"train {RELAY} 100 2")[0]["reordered"] > 0
    wan.change("eu-west-2", "changing", reorder_pct=0.0, udp_per_s=20.0)
    assert ask(wan, "changing", f"train {RELAY} 50 5")[0]["received"] < 25
    wan.change("eu-west-2", "changing", udp_per_s=None, loss_up_pct=30.0, loss_burst=5.0)
    assert 200 < ask(wan, "changing", f"train {RELAY} 400 1")[0]["received"] < 360
    wan.set_link("down", "changing")
    wan.set_link("up", "changing")
    wan.change("eu-west-2", "changing", loss_up_pct=0.0)
    assert ask(wan, "changing", f"stun {RELAY}") == [["0101", "0113"]]


def test_routers_limit_their_answers_and_share_flows_as_stated(bench_needs, tool):
    traceroute = tool("traceroute")
    plan = {
        "regions": {"eu-west-2": {"addresses": [RELAY]}},
        "sites": {
            "A": {
                "address": "192.0.2.30",
                "first_hops": [{"address": "100.64.1.1", "rtt_ms": 1, "answers_per_s": 0.01}],
                "ways": {"eu-west-2": {"rtt_ms": 5, "hops": 4, "parallel": {"1": 4}, "silent": [2]}},
            }
        },
    }
    with bench(plan, turn=False) as running:
        # UDP to rising ports: each probe is another flow.
        words = [traceroute, "-n", "-q", "10", "-w", "0.5", "-m", "4", RELAY]
        lines = running.run(words).stdout.splitlines()[1:]
        assert lines[0].count("ms") == 6
        assert lines[0].count("*") == 4
        branches = {word for word in lines[1].split()[1:] if word.count(".") == 3}
        assert len(branches) >= 2
        assert branches <= set(running.plan.ways["A", "eu-west-2"].routers[1].addresses)
        assert lines[2].count("*") == 10
        assert running.hop_count("eu-west-2") == 4


def test_what_a_killed_bench_leaves_is_taken_away_by_the_next(bench_needs):
    script = (
        "import os, sys, time; sys.path.insert(0, sys.argv[1]); from bench_wan import bench\n"
        "with bench(eval(sys.argv[2])) as b: print(b.prefix, flush=True); time.sleep(60)"
    )
    plan = {"regions": {"eu-west-2": {"addresses": [RELAY]}}, "sites": {"A": site(40, {})}}
    tools = Path(__file__).resolve().parents[2] / "tools"
    killed = subprocess.Popen([sys.executable, "-c", script, str(tools), repr(plan)], stdout=subprocess.PIPE, text=True)
    prefix = killed.stdout.readline().strip()
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    assert list(Path("/run/netns").glob(f"{prefix}-*"))
    time.sleep(0.3)  # its services see the end of their input
    with bench(plan, turn=False):
        assert not list(Path("/run/netns").glob(f"{prefix}-*"))
    inside = subprocess.run(["pgrep", "-f", f"{prefix}-"], capture_output=True, text=True, check=False)
    assert inside.stdout == ""


def test_a_program_runs_in_an_office_of_the_plan_from_the_command_line(bench_needs):
    tools = Path(__file__).resolve().parents[2] / "tools"
    words = [sys.executable, str(tools / "wan_bench.py"), str(tools / "wan_bench_offices.toml")]
    asked = [sys.executable, str(ASKER), f"stun_connected {RELAY}", f"connect {RELAY} 443"]
    done = subprocess.run([*words, "--at", "udp-prohibited", *asked], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [errno.EHOSTUNREACH, "connected"]
    wrong = subprocess.run([*words, "--at", "nowhere", "true"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "give one of the sites open, udp-dropped" in wrong.stderr
