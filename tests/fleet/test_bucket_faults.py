"""Buckets behind a proxy that spoils answers: a run that is started again gives the bytes of a calm one."""

import random
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from fleet_sources import make_source, s3_environment

from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet.cluster import Engine
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.run import FleetResult, run_fleet
from ccp_assess.fleet.sources import Place, open_place

pytestmark = [pytest.mark.shared, pytest.mark.long]

BUCKET = "engagement"
ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>{}</Message></Error>"
ANSWERS = {
    "503": (503, ""),
    "slow down": (503, ERROR.format("SlowDown", "Please reduce your request rate.")),
    "internal": (500, ERROR.format("InternalError", "We encountered an error.")),
    "denied": (403, ERROR.format("AccessDenied", "Access Denied")),
}


class Spoiling(BaseHTTPRequestHandler):
    """Stand before an object store and spoil some of its answers in one way."""

    protocol_version = "HTTP/1.1"
    target: ClassVar[tuple[str, int]] = ("127.0.0.1", 0)
    fault: ClassVar[str] = "none"
    share: ClassVar[float] = 0.0
    chance: ClassVar[random.Random] = random.Random(7)
    faults: ClassVar[int] = 0

    def _forward(self) -> None:
        spoil = self.fault if self.chance.random() < self.share else "none"
        if spoil == "denied" and not (self.command == "PUT" and ".parquet" in self.path):
            spoil = "none"
        if spoil in {"cut", "short"} and self.command != "GET":
            spoil = "none"
        type(self).faults += spoil != "none"
        if spoil == "late":
            time.sleep(0.3)
        if spoil == "break upload":  # the connection ends before all of the body was heard
            self.rfile.read(int(self.headers.get("Content-Length") or 0) // 2)
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if spoil in ANSWERS:
            status, text = ANSWERS[spoil]
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)
            return
        connection = HTTPConnection(*self.target)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        if spoil == "cut":  # in the middle of the body
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        elif spoil == "short":  # a byte less than the header says
            self.wfile.write(data[:-1])
            self.close_connection = True
        else:
            self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _forward  # noqa: N815 - names of the protocol

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Start a store, the proxy before it, and a worker that knows its address."""
    from distributed import LocalCluster
    from moto.server import ThreadedMotoServer

    patch = pytest.MonkeyPatch()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    Spoiling.target = ("127.0.0.1", server.get_host_and_port()[1])
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Spoiling)
    proxy.daemon_threads = True
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{proxy.server_port}"
    for name, value in s3_environment(url).items():
        patch.setenv(name, value)
    with LocalCluster(
        n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50
    ) as cluster:
        yield Engine(scheduler=cluster.scheduler_address)
    proxy.shutdown()
    server.stop()
    patch.undo()


@pytest.fixture
def source(tmp_path: Path, engine: Engine) -> Iterator[str]:
    Spoiling.fault, Spoiling.share, Spoiling.faults = "none", 0.0, 0
    Spoiling.chance = random.Random(7)
    url = f"s3://{BUCKET}-{tmp_path.name.replace('_', '-').lower()[:40]}"
    place = open_place(url)
    place.fs.mkdir(place.root)
    place.fs.put(str(make_source(tmp_path / "acme", sites=2, days=2)), f"{place.root}/acme", recursive=True)
    yield f"{url}/acme"
    Spoiling.share = 0.0


def objects(url: str) -> dict[str, bytes]:
    place: Place = open_place(url)
    return {path: bytes(place.fs.cat_file(place.full(path))) for path in Dataset(place).names("")}


def run_until_done(source: str, out: str, engine: Engine, *, least: int = 0) -> FleetResult:
    """Run again and again as a user does who is told what failed."""
    for _ in range(8):
        try:
            result = run_fleet(source, out, engine)
        except CcpAssessError as error:
            assert "what was finished is kept" in str(error) or "cannot be" in str(error)  # noqa: PT017 - it may run too
            continue
        if not result.failed and Spoiling.faults >= least:
            return result
    raise AssertionError("it never ended")


@pytest.mark.parametrize(
    ("fault", "share"),
    [
        ("503", 0.1),
        ("slow down", 0.2),
        ("internal", 0.2),
        ("late", 0.2),
        ("cut", 0.2),
        ("short", 0.2),
        ("break upload", 0.1),
        ("denied", 0.08),
    ],
)
def test_a_store_that_spoils_answers_costs_nothing_in_the_end(
    source: str, engine: Engine, fault: str, share: float
) -> None:
    out = source.replace("/acme", "/out")
    Spoiling.fault, Spoiling.share = fault, share
    run_until_done(source, out, engine, least=1)
    Spoiling.share = 0.0
    calm = source.replace("/acme", "/calm")
    result = run_fleet(source, calm, engine)
    assert result.manifest["rows"]["calls"] >= 4
    assert objects(out) == objects(calm)
    assert Dataset(open_place(out)).check() == []


def test_a_store_that_gives_up_is_told_in_one_sentence_and_goes_on_later(source: str, engine: Engine) -> None:
    out = source.replace("/acme", "/out")
    Spoiling.fault, Spoiling.share = "internal", 1.0
    with pytest.raises(CcpAssessError) as told:
        run_fleet(source, out, engine)
    assert "\n" not in str(told.value)
    Spoiling.share = 0.0
    result = run_fleet(source, out, engine)
    assert result.failed == ()
    assert Dataset(open_place(out)).check() == []


def test_parts_that_may_not_be_written_are_failures_with_their_reason(source: str, engine: Engine) -> None:
    out = source.replace("/acme", "/out")
    Spoiling.fault, Spoiling.share = "denied", 1.0
    result = run_fleet(source, out, engine)
    assert result.manifest["units"] == 0
    assert {row["reason"] for row in result.failed} == {"Access Denied"}
