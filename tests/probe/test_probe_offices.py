"""Our own probe in real offices: gateways, resolvers, proxies, boxes that open TLS, coturn; each verdict right."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from bench_wan import bench

pytestmark = pytest.mark.root

RELAYS = {"eu-west-2": ("15.193.5.20", "15.193.5.21"), "us-east-1": ("15.193.6.20", "15.193.6.21")}


def site(number, office, **more):
    ways = {"eu-west-2": {"rtt_ms": 30, "hops": 8}, "us-east-1": {"rtt_ms": 80, "hops": 10}}
    return {"address": f"192.0.2.{number}", "ways": ways, "office": office, **more}


SITES = {
    "open": site(1, {}),
    "drop": site(2, {"blocked": {"udp/3478": "drop"}}),
    "reject": site(3, {"blocked": {"udp/3478": "reject", "tcp/443": "reject"}}),
    "prohibit": site(4, {"blocked": {"udp/3478": "prohibit"}}),
    "inspected": site(5, {"inspection": {"organisation": "Blue Inspection"}}),
    "untrusted": site(6, {"inspection": {"trusted": False}}),
    "stripped": site(7, {"inspection": {"strip_upgrade": True}}),
    "proxy": site(8, {"only_proxy": True, "proxy": {}}),
    "basic": site(9, {"only_proxy": True, "proxy": {"sign_in": "basic"}}),
    "ntlm": site(10, {"only_proxy": True, "proxy": {"sign_in": "ntlm"}}),
    "denied": site(
        11, {"only_proxy": True, "proxy": {"deny": [f"participant.connect.{code}.amazonaws.com" for code in RELAYS]}}
    ),
    "proxystrip": site(12, {"only_proxy": True, "proxy": {"inspection": {"strip_upgrade": True}}}),
    "portal": site(13, {"captive_portal": True}),
    "names": site(14, {}, names={"nxdomain": ["turnnlb-*"], "rewritten": {"participant.*": "10.9.9.9"}}),
    "nodns": site(15, {}, names={"silent": ["*"]}),
}
BY_PROXY = {"proxy", "basic", "ntlm", "denied", "proxystrip"}
EXPECTED = {
    "open": ("open", "open", "stun", set()),
    "drop": ("blocked", "open", "tcp", {"UDP_BLOCKED"}),
    "reject": ("blocked", "blocked", None, {"UDP_REJECTED", "TCP_REFUSED"}),
    "prohibit": ("blocked", "open", "tcp", {"UDP_PROHIBITED"}),
    "inspected": ("open", "open", "stun", {"TLS_INTERCEPTED"}),
    "untrusted": ("open", "blocked", "stun", {"TLS_INTERCEPTED"}),
    "stripped": ("open", "impaired", "stun", {"TLS_INTERCEPTED", "PROXY_WS_BROKEN"}),
    "proxy": ("blocked", "open", "tcp", {"UDP_BLOCKED"}),
    "basic": ("blocked", "unknown", None, {"UDP_BLOCKED", "PROXY_AUTH_REQUIRED"}),
    "ntlm": ("blocked", "unknown", None, {"UDP_BLOCKED", "PROXY_AUTH_REQUIRED"}),
    "denied": ("blocked", "blocked", None, {"UDP_BLOCKED", "PROXY_DENIED"}),
    "proxystrip": ("blocked", "impaired", None, {"UDP_BLOCKED", "TLS_INTERCEPTED", "PROXY_WS_BROKEN"}),
    "portal": ("blocked", "blocked", None, {"CAPTIVE_PORTAL"}),
    "names": ("unknown", "blocked", None, {"DNS_BLOCKED", "DNS_FORGED"}),
    "nodns": ("unknown", "unknown", None, {"DNS_TIMEOUT"}),
}


@pytest.fixture(scope="module")
def documents(bench_needs):
    """Probe from every office, a few at a time."""
    plan = {"seed": 5, "regions": {code: {"addresses": list(both)} for code, both in RELAYS.items()}, "sites": SITES}

    with bench(plan) as running:

        def probe(name):
            proxy = ["--proxy", "10.20.1.1:3128"] if name in BY_PROXY else []
            regions = [part for code in RELAYS for part in ("--region", code)]
            command = [sys.executable, "-m", "ccp_assess", "probe", "--json", *regions, *proxy]
            done = running.run(command, name, timeout_s=90)
            assert (done.returncode, done.stderr) == (0, ""), (name, done.stderr)
            return json.loads(done.stdout)

        with ThreadPoolExecutor(max_workers=6) as several:
            found = dict(zip(SITES, several.map(probe, SITES), strict=True))
        found["hops"] = {code: running.hop_count(code, "open") for code in RELAYS}
        yield found


@pytest.mark.parametrize("name", SITES)
def test_the_verdict_of_an_office_is_right_for_every_region(documents, name):
    udp, tcp, via, codes = EXPECTED[name]
    for region in documents[name]["regions"]:
        said = (region["judgement"]["udp"], region["judgement"]["tcp"], region["via"])
        assert said == (udp, tcp, via), region["region_code"]
        assert {row["code"] for row in region["diagnosis"]} == codes, region["region_code"]


def test_an_open_office_is_measured_and_nothing_is_found_wrong(documents):
    for region in documents["open"]["regions"]:
        (service,) = region["tcp"]
        assert (service["outcome"], service["tls_version"], service["http_outcome"]) == (
            "connected",
            "TLSv1.3",
            "upgraded",
        )
        assert (service["certificate_issuer"], service["intercepted"]) == ("Amazon: Amazon Root CA 1", False)
        relay = region["relay"]
        assert (relay["allocate"], relay["mapped_address"]) == ("challenged", "192.0.2.1")
        assert region["path"]["hop_count"] == documents["hops"][region["region_code"]]
        truth_ms = SITES["open"]["ways"][region["region_code"]]["rtt_ms"]
        assert truth_ms <= min(region["rtt_ms"]) < truth_ms + 60  # the emulator may be late, never early


def test_the_device_that_forbids_is_named(documents):
    for region in documents["prohibit"]["regions"]:
        (row,) = region["diagnosis"]
        assert row["evidence"]["router"] == "10.20.1.1"
        assert row["confidence"] == "certain"
    for region in documents["drop"]["regions"]:
        assert region["diagnosis"][0]["evidence"]["last_router"] == "10.20.1.1"
        assert region["path"]["technique"] == "tcp"  # the media port shows no end, the control does
        assert region["path"]["hop_count"] == documents["hops"][region["region_code"]]


def test_proxies_and_boxes_are_named(documents):
    first = {name: documents[name]["regions"][0]["tcp"] for name in documents if name != "hops"}
    assert next(row["proxy_schemes"] for row in first["basic"] if row["proxy"]) == ["Basic"]
    assert "NTLM" in next(row["proxy_schemes"] for row in first["ntlm"] if row["proxy"])
    assert next(row["proxy_status"] for row in first["denied"] if row["proxy"]) == 403
    assert (first["inspected"][0]["certificate_issuer"] or "").startswith("Blue Inspection")
    assert first["inspected"][0]["intercepted"] is True
    assert (first["untrusted"][0]["intercepted"], first["untrusted"][0]["certificate_trusted"]) == (True, False)
    assert next(row["http_outcome"] for row in first["proxystrip"] if row["proxy"]) == "stripped"
