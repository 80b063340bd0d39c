"""The browser page in headless Chromium on the bench: what each thing in the way looks like to an agent.

Every office has its own browser, all at the same time; the outcomes here are what docs/probe-page.md claims.
"""

import base64
import hashlib
import json
from pathlib import Path

import pytest
from bench_wan import bench
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ccp_assess.probe.document_schema import parse_documents
from ccp_assess.probe.imports import parse_probe_bytes
from ccp_assess.probe.page import read_verdicts, write_page
from ccp_assess.report.pdf import find_browser

pytestmark = [pytest.mark.browser, pytest.mark.root]

SCREENSHOTS = Path(__file__).resolve().parents[2] / "out" / "screenshots"
RTT_MS = {"eu-west-2": 40.0, "us-east-1": 90.0}
RELAYS = {
    "eu-west-2": "turnnlb-1dc64a459ead57ea.elb.eu-west-2.amazonaws.com",
    "us-east-1": "turnnlb-31a7fe8a79c27929.elb.us-east-1.amazonaws.com",
}
SECOND_RELAY, SECOND_ADDRESS = "turnnlb-7a9b8e750cec315a.elb.us-east-1.amazonaws.com", "15.193.6.21"


def site(number, office, **way):
    ways = {code: {"rtt_ms": rtt, "hops": 4, **way} for code, rtt in RTT_MS.items()}
    return {"address": f"192.0.2.{number}", "ways": ways, "office": office}


SITES = {
    "open": site(1, {}),
    "dropped": site(2, {"blocked": {"udp/3478": "drop"}}),
    "rejected": site(3, {"blocked": {"udp/3478": "reject", "tcp/3478": "reject"}}),
    "only 443": site(4, {"only_tcp_443": True}),
    "name refused": site(5, {}) | {"names": {"nxdomain": ["turnnlb-*"]}},
    "allocate dropped": site(6, {}, refuse_allocate=True),
    "upgrade stripped": site(7, {"inspection": {"strip_upgrade": True}}),
    "not trusted": site(8, {"inspection": {"trusted": False}}),
    "portal": site(9, {"captive_portal": True}),
    "no udp allowed": site(10, {}),
    "one region down": site(11, {}),
    "one relay silent": site(12, {}),
    "only a proxy": site(13, {"only_proxy": True, "proxy": {}}),
}
SITES["one region down"]["ways"]["us-east-1"]["down"] = True

ONE_RELAY_SILENT = f"""table ip narrow {{
chain passing {{
type filter hook forward priority -10
ip daddr {SECOND_ADDRESS} udp dport 3478 drop
}}
}}
"""

VERDICTS = {
    "open": ["audio_open"],
    "dropped": ["udp_blocked_tcp_open"],
    "rejected": ["udp_blocked"],
    "only 443": ["udp_blocked"],
    "name refused": ["name_not_found"],
    "allocate dropped": ["turn_refused"],
    "upgrade stripped": ["audio_open", "websocket_fails"],
    "not trusted": ["audio_open", "web_fails"],
    "portal": ["nothing_answers"],
    "no udp allowed": ["udp_not_sent"],
    "only a proxy": ["udp_blocked_tcp_open"],  # Chromium goes through the proxy to TCP 3478, too
}


def key_hash(file):
    key = x509.load_pem_x509_certificate(file.read_bytes()).public_key()
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


class Agent:
    """A browser at a site of the bench, with the page open."""

    def __init__(self, driver, running, chromium, at, page_file):
        trusted = [running.genuine_file]
        if at == "upgrade stripped":
            trusted += running.folder.glob("inspection-*/authority.pem")
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--use-fake-device-for-media-stream"]
        arguments.append(f"--ignore-certificate-errors-spki-list={','.join(map(key_hash, trusted))}")
        if at == "no udp allowed":
            arguments.append("--webrtc-ip-handling-policy=disable_non_proxied_udp")
        if at == "only a proxy":
            arguments.append("--proxy-server=http://10.20.1.1:3128")
        self.browser = driver.chromium.launch(executable_path=str(running.wrapper(chromium, at)), args=arguments)
        self.page = self.browser.new_page(viewport={"width": 1100, "height": 900}, accept_downloads=True)
        self.page.set_default_timeout(60_000)
        self.requests, self.errors = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._console)
        self.page.goto(page_file.as_uri())

    def _console(self, message):
        own = ("Failed to load resource", "WebSocket connection to")  # how the browser reports what the bench refused
        if message.type == "error" and not message.text.startswith(own):
            self.errors.append(message.text)

    def finish(self, name):
        """Wait for the end of the test, keep a picture, save the result."""
        self.page.wait_for_selector("#save:not([disabled])")
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"probe-page-{name.replace(' ', '-')}.png", full_page=True)
        with self.page.expect_download() as download:
            self.page.click("#save")
        self.file_name = download.value.suggested_filename
        self.saved = Path(download.value.path()).read_bytes()
        self.document = json.loads(self.saved)
        self.told = self.page.inner_text("#saved")
        self.summary = self.page.inner_text("#summary")
        return self


@pytest.fixture(scope="module")
def chromium(bench_needs):
    program = find_browser()
    if program is None:
        pytest.skip("missing tool: chromium")
    return program


@pytest.fixture(scope="module")
def driver(chromium, play):
    return play


@pytest.fixture(scope="module")
def agents(chromium, driver, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    table = folder / "endpoints.csv"
    rows = ["region_code,role,host,port,transport"]
    rows += [f"{code},media_relay,{host},3478,udp" for code, host in RELAYS.items()]
    rows += [f"us-east-1,media_relay,{SECOND_RELAY},3478,udp"]
    rows += [f"{code},signalling,x.transport.connect.{code}.amazonaws.com,443,tcp" for code in RELAYS]
    table.write_text("\n".join(rows) + "\n")
    page_file = write_page(folder / "probe.html", endpoints=table, site_id="DEN <b>1</b>")
    regions = {
        "eu-west-2": {"addresses": ["15.193.5.20"]},
        "us-east-1": {"addresses": ["15.193.6.20", SECOND_ADDRESS]},
    }
    names = {RELAYS["us-east-1"]: ["15.193.6.20"], SECOND_RELAY: [SECOND_ADDRESS]}
    plan = {"regions": regions, "names": names, "sites": SITES}
    with bench(plan) as running:
        running.change_firewall(ONE_RELAY_SILENT, "one relay silent")
        opened = {}
        try:
            for at in SITES:
                opened[at] = Agent(driver, running, chromium, at, page_file)
                opened[at].page.click("#start")
            yield {at: agent.finish(at) for at, agent in opened.items()}
        finally:
            for agent in opened.values():
                agent.browser.close()


@pytest.mark.parametrize("at", VERDICTS)
def test_what_is_in_the_way_is_what_the_page_says(agents, at):
    rows = agents[at].document["regions"]
    assert {row["region_code"]: row["verdicts"] for row in rows} == dict.fromkeys(RTT_MS, VERDICTS[at])
    shown = agents[at].page.inner_text("#regions")
    for verdict in VERDICTS[at]:
        assert shown.count(read_verdicts()[verdict]["title"]) >= len(rows)
    assert agents[at].errors == []


@pytest.mark.parametrize("at", VERDICTS)
def test_the_saved_result_is_read_into_the_same_finding(agents, at):
    assert parse_documents(agents[at].saved.decode())
    for row in parse_probe_bytes(agents[at].saved).regions:
        codes = [read_verdicts()[verdict]["code"] for verdict in VERDICTS[at]]
        assert [told["code"] for told in row.details["diagnosis"]] == [code for code in codes if code]
        audio_works = VERDICTS[at][0] == "audio_open"
        assert row.details["relay"]["allocate"] == ("challenged" if audio_works else row.details["relay"]["allocate"])
        assert (row.details["judgement"]["udp"] == "open") == audio_works


def test_one_region_that_is_down_does_not_hide_the_other(agents):
    rows = {row["region_code"]: row["verdicts"] for row in agents["one region down"].document["regions"]}
    assert rows == {"eu-west-2": ["audio_open"], "us-east-1": ["nothing_answers"]}
    assert agents["one region down"].summary.startswith(
        "1 of 2 Regions is ready for calls from here. Fastest: Europe (London)"
    )


def test_one_silent_relay_of_a_region_is_named(agents):
    agent = agents["one relay silent"]
    rows = {row["region_code"]: row["verdicts"] for row in agent.document["regions"]}
    assert rows == {"eu-west-2": ["audio_open"], "us-east-1": ["audio_partly"]}
    assert f"{SECOND_RELAY}: UDP 3478 no answer, TCP 3478 answered" in agent.page.text_content("#region-us-east-1")


@pytest.mark.parametrize("at", ["open", "upgrade stripped", "not trusted", "allocate dropped"])
def test_round_trips_are_never_below_the_truth_and_near_it(agents, at):
    for row in parse_probe_bytes(agents[at].saved).regions:
        truth = RTT_MS[row.region_code]
        assert truth - 0.2 <= row.rtt_min_ms <= truth + 60.0  # the computer is busy with a dozen browsers
        assert row.details["via"] == "stun"
        assert row.received == 5


@pytest.mark.parametrize("at", ["dropped", "rejected", "only 443", "name refused", "no udp allowed", "only a proxy"])
def test_where_the_relay_is_silent_https_stands_in_and_is_called_so(agents, at):
    for row in parse_probe_bytes(agents[at].saved).regions:
        assert row.details["via"] == "https"
        assert row.rtt_min_ms >= RTT_MS[row.region_code] - 0.2
    assert "by HTTPS" in agents[at].page.inner_text("#regions")


def test_closing_servers_are_told_and_a_page_with_a_key_signs_its_result(agents, chromium, driver, tmp_path):
    key = bytes(range(32))
    sites = [row["web"][0] for row in agents["open"].document["regions"]]
    far = [site for site in sites if site["new_ms"] >= 100]  # near ones may stay unknown where the browser is slow
    assert far
    assert all(site["kept_open"] for site in far)
    page_file = write_page(tmp_path / "probe.html", regions=["eu-west-2"], key=key, site_id="Zürich")
    plan = {"keep_alive": False, "regions": {"eu-west-2": {"addresses": ["15.193.5.20"]}}}
    ways = {"eu-west-2": {"rtt_ms": 40, "hops": 4}}
    plan["sites"] = {"A": {"address": "192.0.2.1", "ways": ways}}
    with bench(plan) as running:
        agent = Agent(driver, running, chromium, "A", page_file)
        agent.page.click("#start")
        agent.finish("closing")
        agent.browser.close()
    document = parse_probe_bytes(agent.saved, key=key)
    assert (document.host["signature"], document.site_id) == ("fits", "Zürich")
    assert agent.told.endswith("where your browser keeps downloads.")
    (web,) = json.loads(agent.document["payload"])["regions"][0]["web"]
    assert web["outcome"] == "reached"
    assert min(web["again_ms"]) >= 120.0  # three round trips each
    assert web["kept_open"] is False


@pytest.mark.parametrize("at", SITES)
def test_the_page_asks_nobody_but_the_tested_hosts(agents, at):
    allowed = tuple(f"https://x.transport.connect.{code}.amazonaws.com/" for code in RELAYS)
    outside = [url for url in agents[at].requests if not url.startswith((*allowed, "file:", "blob:"))]
    assert outside == []


def test_a_request_to_anyone_else_is_stopped_by_the_pages_own_policy(agents):
    page = agents["open"].page
    answer = page.evaluate("fetch('https://example.com/', {mode: 'no-cors'}).then(() => 'sent', (error) => error.name)")
    assert answer == "TypeError"
    agents["open"].errors.clear()  # the browser reports what it stopped


def test_the_name_of_the_site_stays_text_and_names_the_file(agents):
    agent = agents["open"]
    assert agent.page.locator("main b").count() == 0
    assert agent.document["site_id"] == "DEN <b>1</b>"
    assert agent.file_name.startswith("DEN-b-1-b-__probe-page__")


def test_facts_of_the_browser_are_shown_and_saved(agents):
    browser = agents["open"].document["browser"]
    assert browser["cores"] >= 1
    assert any("Chromium" in brand for brand in browser["brands"])
    assert str(browser["cores"]) in agents["open"].page.inner_text("#facts")


def test_a_pasted_trace_is_saved_and_imported_beside_the_result(agents):
    agent = agents["open"]
    host = RELAYS["eu-west-2"]
    assert agent.page.inner_text("#command") == f"traceroute -n -q 3 -w 2 {host}"
    agent.page.fill(
        "#trace", f"traceroute to {host} (15.193.5.20), 30 hops max\n 1  10.20.1.1  1.0 ms\n 2  15.193.5.20  40.1 ms\n"
    )
    agent.finish("open")
    row = parse_probe_bytes(agent.saved).regions[0]
    assert (row.region_code, row.path.hop_count) == ("eu-west-2", 2)


def test_the_microphone_is_asked_for_by_a_click_only_and_named_with_its_rate(agents):
    agent = agents["open"]
    assert agent.document["microphone"] is None
    agent.browser.contexts[0].grant_permissions(["microphone"])
    agent.page.click("#microphone")
    agent.page.get_by_text("sound was heard").wait_for()
    assert "48 kHz" in agent.page.inner_text("#heard")
    agent.finish("open")
    assert agent.document["microphone"]["sample_rate_hz"] == 48000
    refused = agents["dropped"]
    refused.page.click("#microphone")
    refused.page.get_by_text("did not allow the microphone").wait_for()


def test_the_page_is_used_by_keyboard_fits_at_twice_the_size_and_passes_axe(agents):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="missing tool: axe")
    for at in ("one region down", "upgrade stripped"):
        page = agents[at].page
        for width in (1280, 640, 390):  # 640 is a desktop at 200 %
            page.set_viewport_size({"width": width, "height": 900})
            wide, shown = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert wide <= shown, f"{wide} px of content in a window of {width} px"
        found = axe.Axe().run(page)
        assert [one["id"] for one in found.response["violations"]] == []
    page = agents["open"].page
    page.evaluate("document.activeElement.blur(); document.body.focus()")
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"site", "start", "microphone", "target", "copy", "trace", "save"} <= set(reached)
    assert page.locator("main button:not([hidden])").count() == 4
