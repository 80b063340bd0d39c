"""The browser page as a file: whole in itself, bound to its hosts by its own policy, and deaf to hostile names."""

import base64
import hashlib
import html
import json
import re
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from ccp_assess.cli.probe import app
from ccp_assess.endpoints import read_patterns
from ccp_assess.errors import ProbeError, TableError, UnknownRegionError
from ccp_assess.probe.diagnoses import read_diagnoses
from ccp_assess.probe.page import read_verdicts, write_page

MADE = datetime(2026, 11, 23, tzinfo=UTC)


def page(tmp_path, **options):
    return write_page(tmp_path / "probe.html", made=MADE, **options).read_text(encoding="utf-8")


def plan_of(text):
    return json.loads(re.search(r'<script type="application/json" id="plan">(.*?)</script>', text, re.DOTALL)[1])


def policy_of(text):
    stated = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1])
    return {name: rest.split() for name, _, rest in (rule.strip().partition(" ") for rule in stated.split(";"))}


def hash_of(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def endpoints(tmp_path, *rows):
    path = tmp_path / "endpoints.csv"
    path.write_text("\n".join(["region_code,role,host,port,transport,address", *rows]) + "\n")
    return path


def test_every_relay_that_is_known_by_name_is_tested_in_lower_case(tmp_path):
    regions = plan_of(page(tmp_path))["regions"]
    tested = {(region["region_code"], relay["host"]) for region in regions for relay in region["relays"]}
    named = {(row.region_code, row.host.lower()) for row in read_patterns() if row.endpoint_id == "turn_named"}
    assert tested == named
    assert {relay["port"] for region in regions for relay in region["relays"]} == {3478}
    assert all(region["name"] != region["region_code"] for region in regions)


def test_the_page_needs_nothing_from_outside_and_may_talk_to_its_hosts_only(tmp_path):
    text = page(tmp_path, regions=["eu-west-2", "us-east-1"])
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    policy = policy_of(text)
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == [hash_of(scripts[0])]
    assert len(scripts) == 1
    assert policy["style-src"] == [hash_of(style)]
    hosts = {one["host"] for region in plan_of(text)["regions"] for one in region["web"]}
    assert set(policy["connect-src"]) == {f"{scheme}://{host}:443" for host in hosts for scheme in ("https", "wss")}
    assert not re.search(r"<(?:link|img|iframe|script)[^>]+(?:src|href)=", text)
    assert not re.search(r"\son\w+=|javascript:|innerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    assert "style=" not in text


def test_markup_in_a_site_or_in_a_table_stays_text(tmp_path):
    table = endpoints(
        tmp_path, '"</script><b>x",media_relay,relay.example,3478,udp,', "{{script}},api,{{web.example,443,tcp,"
    )
    with pytest.raises(ProbeError, match="no host that a browser can open"):
        page(tmp_path, endpoints=table)
    table = endpoints(tmp_path, '"</script><b>x",media_relay,relay.example,3478,udp,')
    text = page(tmp_path, endpoints=table, site_id="</script><script>alert(1)</script>{{script}}")
    assert text.count("<script") == 2
    assert "<b>" not in text
    assert plan_of(text)["site_id"] == "</script><script>alert(1)</script>{{script}}"
    assert plan_of(text)["regions"][0]["region_code"] == "</script><b>x"


@pytest.mark.parametrize("host", ["a b.example", "a'b", "x;script-src *", "münchen.example", "https://x", "-", "a/b"])
def test_what_is_no_host_is_refused_in_one_sentence(tmp_path, host):
    table = endpoints(tmp_path, f'eu-west-2,api,"{host}",443,tcp,')
    with pytest.raises(ProbeError, match="no host that a browser can open"):
        page(tmp_path, endpoints=table)
    assert not (tmp_path / "probe.html").exists()


def test_a_table_stands_in_for_the_regions(tmp_path):
    table = endpoints(
        tmp_path,
        "lab-1,media_relay,TURN.lab.example,3478,udp,",
        "lab-1,media_relay,other.lab.example,3478,udp,2001:db8::7",
        "lab-1,media_relay,chat.lab.example,443,tcp,",
        "lab-1,signalling,ws.lab.example,8443,tcp,192.0.2.7",
        "lab-1,signalling,ws.lab.example,8443,tcp,192.0.2.8",
        "lab-1,static,static.lab.example,443,tcp,",
        "lab-2,static,static.lab.example,443,tcp,",
    )
    plan = plan_of(page(tmp_path, endpoints=table, site_id="DEN"))
    assert plan["site_id"] == "DEN"
    assert plan["regions"] == [
        {
            "region_code": "lab-1",
            "name": "lab-1",
            "relays": [{"host": "turn.lab.example", "port": 3478}, {"host": "[2001:db8::7]", "port": 3478}],
            "web": [{"host": "ws.lab.example", "port": 8443, "websocket": True}],
        }
    ]
    with pytest.raises(ProbeError, match="no name to test"):
        page(tmp_path, endpoints=table, regions=["lab-2"])


def test_an_instance_and_names_from_a_log_are_tested_too(tmp_path):
    socket = "abc.transport.connect.eu-west-2.amazonaws.com"
    (region,) = plan_of(page(tmp_path, regions=["eu-west-2"], instance="acme", names=[socket]))["regions"]
    web = {one["host"]: one["websocket"] for one in region["web"]}
    assert web["acme.my.connect.aws"] is False
    assert web[socket] is True


def test_the_pages_of_an_instance_stand_apart_from_several_regions(tmp_path):
    rows = plan_of(page(tmp_path, regions=["eu-west-2", "us-east-1"], instance="acme"))["regions"]
    assert [row["region_code"] for row in rows] == ["eu-west-2", "us-east-1", None]
    assert "acme.my.connect.aws" in {one["host"] for one in rows[-1]["web"]}
    assert rows[-1]["relays"] == []


def test_an_unknown_region_or_table_leaves_no_file(tmp_path):
    with pytest.raises(UnknownRegionError):
        page(tmp_path, regions=["nowhere-1"])
    with pytest.raises(TableError):
        page(tmp_path, endpoints=tmp_path / "none.csv")
    assert list(tmp_path.iterdir()) == []


def test_the_same_page_is_the_same_bytes(tmp_path):
    assert page(tmp_path) == page(tmp_path)
    assert len(page(tmp_path)) < 80_000


def test_every_verdict_says_what_is_so_and_what_to_do_in_plain_words():
    own = {"BROWSER_RELAY_ERROR", "BROWSER_HTTPS_FAILED", "BROWSER_HTTPS_PARTLY_FAILED", "BROWSER_NO_UDP"}
    for name, verdict in read_verdicts().items():
        assert verdict["level"] in {"good", "warn", "bad", "unknown"}, name
        assert verdict["title"], name
        assert verdict["text"].endswith("."), name
        assert (verdict["code"] is None) == (verdict["level"] == "good"), name
        assert verdict["code"] is None or verdict["code"] in set(read_diagnoses()) | own, name
        assert verdict["change"] or verdict["level"] in {"good", "unknown"}, name


def test_the_command_writes_the_page_or_says_in_one_sentence_why_not(tmp_path):
    out = tmp_path / "sub" / "probe.html"
    done = CliRunner().invoke(app, ["page", "--out", str(out), "--region", "eu-west-2", "--site", "DEN"])
    assert done.exit_code == 0, done.output
    assert "open it in the agent's browser" in done.output
    assert plan_of(out.read_text())["site_id"] == "DEN"
    done = CliRunner().invoke(app, ["page", "--out", str(out), "--region", "eu-west-9"])
    assert isinstance(done.exception, UnknownRegionError)
