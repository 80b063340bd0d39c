"""What the page makes of what browsers report: events recorded on the bench, and a world of fakes; needs node."""

import json
import subprocess
from pathlib import Path

import pytest

import ccp_assess.probe.page

HERE = Path(__file__).parent
PROBE = Path(ccp_assess.probe.page.__file__).with_name("probe.js")
RECORDED = json.loads((HERE / "page_events.json").read_text())

# What was in the way at the bench → what the page may say of it, in every browser.
SEEN = {
    "udp_open": ("challenged", "challenged"),
    "udp_open_without_ipv6": ("challenged", "challenged"),
    "no_nat": ("challenged", "challenged"),
    "name_refused": ("name_not_found", "name_not_found"),
    "resolver_silent": ("name_not_found", "name_not_found"),
    "name_rewritten": ("no_answer", "no_answer"),
    "only_tcp_443": ("no_answer", "no_answer"),
    "captive_portal": ("no_answer", "no_answer"),
    "way_down": ("no_answer", "no_answer"),
    "dropped": ("no_answer", "challenged"),
    "dropped_without_ipv6": ("no_answer", "challenged"),
    "dropped_waited_for": ("no_answer", "challenged"),
    "rejected": ("no_answer", "refused"),
    "prohibited": ("no_answer", "refused"),
    "udp_dropped_tcp_reset": ("no_answer", "refused"),
    "allocate_dropped": ("binding_only", "challenged"),
    "udp_forbidden_by_policy": ("not_sent", "challenged"),
}


def node(tool, script, *arguments):
    done = subprocess.run([tool("node"), *script, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def call(tool, name, *rows):
    """Call a function of the page once for each row of arguments."""
    script = (
        "const p = require(process.argv[1]);"
        "console.log(JSON.stringify(JSON.parse(process.argv[3]).map((row) => p[process.argv[2]](...row) ?? null)))"
    )
    return node(tool, ["-e", script], str(PROBE), name, json.dumps(rows))


def outcomes(tool, recorded):
    rows = [
        (
            {"allocate": allocate, "binding": binding},
            {"allocate": tcp},
        )
        for allocate, binding, tcp in zip(
            call(tool, "readAllocate", *((events["udp"], "udp") for events in recorded)),
            call(tool, "readBinding", *((events["udp"],) for events in recorded)),
            call(tool, "readAllocate", *((events["tcp"], "tcp") for events in recorded)),
            strict=True,
        )
    ]
    return [(settled["udp"], settled["tcp"]) for settled in call(tool, "settle", *rows)]


@pytest.mark.parametrize("browser", RECORDED)
def test_what_was_recorded_on_the_bench_is_read_for_what_was_in_the_way(tool, browser):
    recorded = RECORDED[browser]
    found = dict(zip(recorded, outcomes(tool, recorded.values()), strict=True))
    assert found == {name: SEEN[name] for name in recorded}


def test_a_name_without_an_ipv6_address_is_no_fault(tool):
    error = {"kind": "error", "code": 701, "text": "TURN host lookup received error.", "scheme": "turn", "at_ms": 9}
    by_ipv6, by_ipv4 = {**error, "family": 6}, {**error, "family": 4}
    found = call(tool, "readAllocate", ([by_ipv6], "udp"), ([by_ipv6, by_ipv4], "udp"), ([by_ipv4], "tcp"))
    assert [one["outcome"] for one in found] == ["no_answer", "name_not_found", "name_not_found"]
    families = call(
        tool, "familyOf", ("[0:0:0:x:x:x:x:x]",), ("2001:db8::1",), ("0.0.0.x",), ("10.20.1.x:9",), (None,), ("",)
    )
    assert families == [6, 6, 4, 4, None, None]


@pytest.mark.parametrize(
    ("code", "outcome"), [(401, "challenged"), (438, "challenged"), (300, "error"), (403, "error"), (508, "error")]
)
def test_the_question_for_credentials_is_told_from_other_errors(tool, code, outcome):
    error = {"kind": "error", "code": code, "text": "", "scheme": "turn", "family": None, "at_ms": 80.5}
    found = call(tool, "readAllocate", ([error], "udp"))
    assert found == [{"outcome": outcome, "code": code, "at_ms": 80.5}]


def region(udp=("challenged",), tcp=("challenged",), web=("reached",), websocket="not_tested", code="eu-west-2"):
    relays = [{"udp": one, "tcp": other, "binding_ms": []} for one, other in zip(udp, tcp, strict=True)]
    return {
        "region_code": code,
        "relays": relays,
        "web": [{"outcome": one, "websocket": websocket, "again_ms": [], "kept_open": True} for one in web],
    }


@pytest.mark.parametrize(
    ("row", "verdicts"),
    [
        (region(), ["audio_open"]),
        (region(web=()), ["audio_open"]),
        (region(("granted",)), ["audio_open"]),
        (region(("challenged", "no_answer"), ("challenged",) * 2), ["audio_partly"]),
        (region(("binding_only",)), ["turn_refused"]),
        (region(("error",)), ["relay_error"]),
        (region(("no_answer",)), ["udp_blocked_tcp_open"]),
        (region(("no_answer",), web=("failed",)), ["udp_blocked_tcp_open", "web_fails"]),
        (region(("no_answer",), ("refused",)), ["udp_blocked"]),
        (region(("no_answer",), ("no_answer",)), ["udp_blocked"]),
        (region(("no_answer",), ("no_answer",), ("failed",)), ["nothing_answers"]),
        (region(("no_answer",), ("refused",), ()), ["nothing_answers"]),
        (region(("name_not_found",), ("name_not_found",)), ["name_not_found"]),
        (region(("name_not_found",), ("name_not_found",), ("failed",)), ["nothing_answers"]),
        (region(("name_not_found", "no_answer"), ("no_answer",) * 2), ["udp_blocked"]),
        (region(("not_sent",)), ["udp_not_sent"]),
        (region(("not_sent",), ("no_answer",), ("failed",)), ["nothing_answers"]),
        (region((), ()), ["no_relay_name"]),
        (region((), (), ("failed",)), ["no_relay_name", "web_fails"]),
        (region((), (), code=None), ["web_open"]),
        (region((), (), ("failed",), code=None), ["web_fails"]),
        (region((), (), ("reached", "failed"), code=None), ["web_partly_fails"]),
        (region(web=("reached", "failed")), ["audio_open", "web_partly_fails"]),
        (region(web=("failed",)), ["audio_open", "web_fails"]),
        (region(websocket="opened"), ["audio_open"]),
        (region(websocket="failed"), ["audio_open", "websocket_fails"]),
        (region(web=("failed",), websocket="failed"), ["audio_open", "web_fails"]),
    ],
)
def test_every_mix_of_outcomes_has_its_verdict(tool, row, verdicts):
    assert call(tool, "judge", (row,)) == [verdicts]
    assert set(verdicts) <= set(ccp_assess.probe.page.read_verdicts())


def test_the_time_to_answer_is_the_relays_else_that_of_https_and_says_which(tool):
    row = region(("challenged", "challenged"), ("challenged",) * 2)
    row["relays"][0]["binding_ms"] = [31.0, None, 29.5]
    row["relays"][1]["binding_ms"] = [None]
    row["web"][0]["again_ms"] = [12.0]
    assert call(tool, "timeToAnswer", (row,)) == [{"ms": 29.5, "via": "stun"}]
    row["relays"][0]["binding_ms"] = [None]
    assert call(tool, "timeToAnswer", (row,)) == [{"ms": 12.0, "via": "https"}]
    row["web"][0]["kept_open"] = False  # each fetch was a new connection, of three round trips or more
    assert call(tool, "timeToAnswer", (row,)) == [{"ms": None, "via": None}]
    row["web"] = []
    assert call(tool, "timeToAnswer", (row,)) == [{"ms": None, "via": None}]


def story(**more):
    one = {
        "region_code": "eu-west-2",
        "relays": [{"host": "relay.one", "port": 3478}],
        "web": [{"host": "web.one", "port": 443, "websocket": True}],
    }
    return {"regions": [one], "relays": {}, "web": {}, **more}


ANSWERS = {"stun": {"ms": 40, "address": "192.0.2.9"}, "turn": {"ms": 90, "code": 401}, "tcp": {"ms": 120, "code": 401}}


def run(tool, told):
    return node(tool, [str(HERE / "page_fakes.js")], str(PROBE), json.dumps(told))


def test_a_whole_measurement_takes_its_rounds_and_closes_all_it_opened(tool):
    done = run(tool, story(relays={"relay.one": ANSWERS}, web={"web.one": {"ms": 25, "websocket": True}}))
    (row,) = done["found"]
    relay = row["relays"][0]
    assert (relay["udp"], relay["tcp"], relay["mapped_address"]) == ("challenged", "challenged", "192.0.2.9")
    assert relay["binding_ms"] == [40] * 5
    assert (relay["udp_answer_ms"], relay["tcp_answer_ms"]) == (90, 120)
    assert row["web"][0] == {
        "host": "web.one",
        "port": 443,
        "outcome": "reached",
        "first_ms": 75,
        "new_ms": 75,
        "again_ms": [25] * 5,
        "kept_open": True,
        "websocket": "opened",
        "websocket_ms": 30,
    }
    assert (row["verdicts"], row["complete"]) == (["audio_open"], True)
    assert (done["left_open"], done["seen"][-1]) == (0, [6, 6])
    assert set(done["opened"]) == {
        "stun:relay.one:3478",
        "turn:relay.one:3478?transport=udp",
        "turn:relay.one:3478?transport=tcp",
        "https://web.one/favicon.ico",
        "wss://web.one/",
    }


@pytest.mark.parametrize("late_ms", [0, 100])
def test_a_server_that_closes_its_connections_gives_no_round_trip(tool, late_ms):
    row = run(tool, story(web={"web.one": {"ms": 25, "closes": True, "late_ms": late_ms}}))["found"][0]
    assert row["web"][0]["new_ms"] == 75 + late_ms
    assert (row["web"][0]["again_ms"], row["web"][0]["kept_open"]) == ([75] * 5, False)


def test_where_nothing_answers_the_page_ends_after_its_deadline(tool):
    done = run(tool, story())
    assert done["found"][0]["verdicts"] == ["nothing_answers"]
    assert done["found"][0]["relays"][0]["binding_ms"] == []
    assert (done["took_ms"], done["left_open"]) == (10000, 0)


def test_a_lost_round_is_unknown_and_not_zero(tool):
    relay = {**ANSWERS, "stun": {"ms": 3500, "address": "192.0.2.9"}}
    done = run(tool, story(relays={"relay.one": relay}, web={"web.one": {"ms": 5, "fails": True}}))
    assert done["found"][0]["relays"][0]["binding_ms"] == [None] * 5
    assert done["found"][0]["verdicts"] == ["audio_open", "web_fails"]


def test_a_stop_keeps_what_was_measured_and_says_that_it_is_not_all(tool):
    told = story(relays={"relay.one": ANSWERS}, web={"web.one": {"ms": 5}}, stop_after=2)
    row = run(tool, told)["found"][0]
    assert (len(row["relays"][0]["binding_ms"]), row["complete"]) == (1, False)
    assert row["verdicts"] == ["audio_open", "websocket_fails"]


def test_a_browser_that_refuses_webrtc_ends_the_measurement_too(tool):
    done = run(tool, story(web={"web.one": {"ms": 5}}, broken=True))
    assert done["found"][0]["relays"][0]["udp"] == "no_answer"
    assert done["left_open"] == 0


def test_rounds_go_round_the_relays_and_few_at_a_time(tool):
    names = [f"relay.{number}" for number in range(6)]
    regions = [{"region_code": name, "relays": [{"host": name, "port": 3478}], "web": []} for name in names]
    done = run(tool, {"regions": regions, "relays": dict.fromkeys(names, ANSWERS), "web": {}})
    rounds = [url.split(":")[1] for url in done["opened"][18:]]
    assert rounds == names * 5
    assert done["took_ms"] == 120 + 30 * 40 / 3
