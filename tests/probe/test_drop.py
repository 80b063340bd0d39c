"""Handing results over: into folders as clients' shares are, and by PUT to an address, without any library."""

import errno
import os
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ccp_assess.errors import ProbeError
from ccp_assess.fleet.certificates import write_certificates
from ccp_assess.probe import drop as dropping
from ccp_assess.probe.drop import drop, drop_name

DATA = b'{"signed": 1}\n'


class Store(BaseHTTPRequestHandler):
    """A store that takes files by PUT, and may be told to answer otherwise first."""

    answers: ClassVar[list[int | None]] = []
    asked: ClassVar[list[tuple[str, dict[str, str]]]] = []
    held: ClassVar[dict[str, bytes]] = {}

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, dict(self.headers)))
        code = self.answers.pop(0) if self.answers else 200
        if code is None:  # it is taken, and the answer is lost
            self.held[self.path] = data
            self.close_connection = True
            return
        if code == 200 and self.path in self.held:
            code = 412
        if code == 200:
            self.held[self.path] = data
        body = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    Store.answers, Store.asked, Store.held = [], [], {}
    monkeypatch.setattr(dropping, "WAITS_S", (0.0, 0.0))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_names_do_not_collide_and_say_site_and_time() -> None:
    names = {drop_name({"site_id": "LIS", "time": "2026-11-23T09:05:00Z"}) for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith("LIS__probe-2026-11-23T090500Z-") and name.endswith(".json") for name in names)


def test_a_folder_gets_one_whole_file(tmp_path: Path) -> None:
    assert drop(DATA, str(tmp_path), "a.json") == str(tmp_path / "a.json")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.json", DATA)]


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ProbeError, match="there is no such folder"):
        drop(DATA, str(tmp_path / "share"), "a.json")
    assert list(tmp_path.iterdir()) == []


def test_a_letter_box_where_nothing_may_be_renamed_takes_the_file_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "Access is denied")

    monkeypatch.setattr(Path, "replace", no)
    drop(DATA, str(tmp_path), "a.json")
    assert (tmp_path / "a.json").read_bytes() == DATA
    with pytest.raises(ProbeError, match="cannot be written there"):  # and never replaces anything
        drop(DATA, str(tmp_path), "a.json")


def test_a_full_share_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ProbeError, match="No space left"):
        drop(DATA, str(tmp_path), "a.json")
    assert list(tmp_path.iterdir()) == []


def test_an_address_takes_the_file_and_its_token_is_never_shown(store: str) -> None:
    shown = drop(DATA, f"{store}/bucket/one.json?X-Amz-Signature=secret", "ignored.json")
    assert shown == "127.0.0.1/bucket/one.json"
    ((path, headers),) = Store.asked
    assert path == "/bucket/one.json?X-Amz-Signature=secret"
    assert (headers["If-None-Match"], headers["Content-Type"]) == ("*", "application/json")
    assert Store.held[path] == DATA


def test_an_address_of_a_folder_gets_a_file_of_its_own_name(store: str) -> None:
    drop(DATA, f"{store}/container/?sig=secret", "São__1.json")
    assert list(Store.held) == ["/container/S%C3%A3o__1.json?sig=secret"]


def test_a_store_that_stumbles_is_asked_again(store: str) -> None:
    Store.answers = [503, 500]
    drop(DATA, f"{store}/a", "a")
    assert len(Store.asked) == 3


def test_an_answer_that_was_lost_is_no_failure(store: str) -> None:
    Store.answers = [None]
    drop(DATA, f"{store}/a", "a")
    assert (Store.held, len(Store.asked)) == ({"/a": DATA}, 2)


@pytest.mark.parametrize(
    ("answers", "told", "asked"),
    [
        ([403], "403 AccessDenied: the address may have expired", 1),
        ([412], "a file is there already", 1),
        ([400], "400 AccessDenied", 1),
        ([503, 503, 503], "503 AccessDenied", 3),
    ],
)
def test_a_refusal_is_told_in_one_sentence_without_the_token(
    store: str, answers: list[int], told: str, asked: int
) -> None:
    Store.answers = [*answers]
    with pytest.raises(ProbeError) as caught:
        drop(DATA, f"{store}/a?sig=secret", "a")
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(Store.asked) == asked


def test_nobody_there_is_told(store: str) -> None:
    with pytest.raises(ProbeError, match="the result was not taken: Connection refused"):
        drop(DATA, "http://127.0.0.1:1/a", "a")


def test_a_result_goes_to_no_other_machine_in_the_clear() -> None:
    with pytest.raises(ProbeError, match="https:// only"):
        drop(DATA, "http://store.example/a?sig=secret", "a")


def test_a_store_whose_certificate_nobody_signed_gets_nothing(tmp_path: Path, store: str) -> None:
    write_certificates(tmp_path, now=datetime.now(UTC), days=1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "scheduler.pem", tmp_path / "scheduler.key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(ProbeError, match="its certificate is not trusted"):
            drop(DATA, f"https://127.0.0.1:{server.server_port}/a", "a")
    finally:
        server.shutdown()
        server.server_close()
    assert Store.asked == []


def test_a_proxy_that_was_named_is_used(store: str) -> None:
    with pytest.raises(ProbeError, match="not taken"):
        drop(DATA, "https://store.example/a", "a", proxy="127.0.0.1:1")  # the proxy is asked, and nobody is there
