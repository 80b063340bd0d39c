"""The browser page in headless Firefox on the bench, where Firefox is installed.

It is not among the programs that the tests install (Debian: firefox-esr, 300 MB); what it reported on the bench is kept
in page_events.json, which test_page_logic.py reads everywhere.
"""

import json
import shutil
import socket
import subprocess
import time

import pytest
from bench_wan import bench, inside

from ccp_assess.probe.page import write_page

pytestmark = [pytest.mark.browser, pytest.mark.root, pytest.mark.long]

PORT = 2828
RTT_MS = 60.0
FIREFOX = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)


def site(number, office, **way):
    return {
        "address": f"192.0.2.{number}",
        "office": office,
        "ways": {"eu-west-2": {"rtt_ms": RTT_MS, "hops": 4, **way}},
    }


SITES = {
    "open": (site(1, {}), ["audio_open"]),
    "dropped": (site(2, {"blocked": {"udp/3478": "drop"}}), ["udp_blocked_tcp_open"]),
    "rejected": (site(3, {"blocked": {"udp/3478": "reject", "tcp/3478": "reject"}}), ["udp_blocked"]),
    "only 443": (site(4, {"only_tcp_443": True}), ["udp_blocked"]),
    "name refused": (site(5, {}) | {"names": {"nxdomain": ["turnnlb-*"]}}, ["name_not_found"]),
    "allocate dropped": (site(6, {}, refuse_allocate=True), ["turn_refused"]),
}


class Firefox:
    """A browser at a site, driven by its own remote protocol (Marionette: JSON behind its length)."""

    def __init__(self, running, at, home):
        words = [FIREFOX, "-headless", "-marionette", "-profile", str(home)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = running.start(words, at, env={"HOME": str(home), "MOZ_HEADLESS": "1"}, **quiet)
        self.number = 0
        with inside(running.namespace(at)):
            self.end = self._connect()
        self.end.settimeout(60)
        self._read()
        self.ask("WebDriver:NewSession", acceptInsecureCerts=True)

    @staticmethod
    def _connect():
        for _ in range(300):
            try:
                return socket.create_connection(("127.0.0.1", PORT), 2)
            except OSError:
                time.sleep(0.2)
        pytest.fail("Firefox did not start")

    def _read(self):
        head = b""
        while not head.endswith(b":"):
            head += self.end.recv(1)
        length, body = int(head[:-1]), b""
        while len(body) < length:
            body += self.end.recv(length - len(body))
        return json.loads(body)

    def ask(self, name, **parameters):
        self.number += 1
        message = json.dumps([0, self.number, name, parameters]).encode()
        self.end.sendall(str(len(message)).encode() + b":" + message)
        _, _, error, answer = self._read()
        assert error is None, error
        return answer

    def run(self, script):
        return self.ask("WebDriver:ExecuteScript", script=f"return {script}", args=[])["value"]

    def close(self):
        self.end.close()
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def results(bench_needs, tmp_path_factory):
    if FIREFOX is None:
        pytest.skip("Firefox is not installed; its recorded events are tested without it")
    page = write_page(tmp_path_factory.mktemp("page") / "probe.html", regions=["eu-west-2"])
    plan = {
        "regions": {"eu-west-2": {"addresses": ["15.193.5.20"]}},
        "sites": {at: row for at, (row, _) in SITES.items()},
    }
    opened = {}
    with bench(plan) as running:
        try:
            for at in SITES:
                opened[at] = Firefox(running, at, tmp_path_factory.mktemp("home"))
                opened[at].ask("WebDriver:Navigate", url=page.as_uri())
                opened[at].run("document.getElementById('start').click()")
            found = {}
            for at, firefox in opened.items():
                while firefox.run("document.getElementById('save').disabled"):
                    time.sleep(0.2)
                found[at] = json.loads(firefox.run("JSON.stringify(resultDocument())"))
            yield found
        finally:
            for firefox in opened.values():
                firefox.close()


@pytest.mark.parametrize("at", SITES)
def test_firefox_is_read_to_the_same_verdicts(results, at):
    (row,) = results[at]["regions"]
    assert row["verdicts"] == SITES[at][1]


def test_round_trips_in_firefox_are_not_below_the_truth(results):
    times = results["open"]["regions"][0]["relays"][0]["binding_ms"]
    assert len(times) == 5
    assert min(times) >= RTT_MS - 1.0  # Firefox rounds its clock to whole milliseconds
