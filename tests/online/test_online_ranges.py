"""Fetching published ranges from a server that misbehaves in every way: the old document stays in force."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ccp_assess.online.ranges import FetchError, fetch_ranges, newest_of
from ccp_assess.ranges import read_ranges


def document(day: int, services: tuple[str, ...] = ("AMAZON_CONNECT", "EC2", "CLOUDFRONT"), rows: int = 4) -> bytes:
    return json.dumps(
        {
            "createDate": f"2026-01-{day:02d}-00-00-00",
            "syncToken": str(day),
            "prefixes": [
                {"ip_prefix": f"{10 + i}.{n}.0.0/16", "region": "eu-west-2", "service": service}
                for i, service in enumerate(services)
                for n in range(rows)
            ],
            "ipv6_prefixes": [],
        }
    ).encode()


@pytest.fixture
def server() -> Iterator[Any]:
    answer: dict[str, Any] = {"body": b"", "status": 200, "cut": None}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answer["body"]
            self.send_response(answer["status"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: answer["cut"]])

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        answer["url"] = f"http://127.0.0.1:{running.server_port}/ip-ranges.json"
        yield answer
        running.shutdown()
        thread.join()


def kept(history: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in history.iterdir()}


def test_a_new_document_is_kept_and_the_same_one_is_not_kept_twice(tmp_path: Path, server: Any) -> None:
    server["body"] = document(1)
    path, taken = fetch_ranges(tmp_path / "history", server["url"])
    assert taken
    assert read_ranges(path).retrieved == "2026-01-01"
    assert fetch_ranges(tmp_path / "history", server["url"]) == (path, False)
    server["body"] = gzip.compress(document(2))
    newer, taken = fetch_ranges(tmp_path / "history", server["url"])
    assert taken
    assert newest_of(tmp_path / "history") == newer
    assert len(kept(tmp_path / "history")) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cut": 40}, "interrupted|no whole answer"),
        ({"status": 503}, "503"),
        ({"body": b"<html>log in to the hotel</html>"}, "no whole JSON"),
        ({"body": document(3)[:-30]}, "no whole JSON"),
        ({"body": b"{}"}, "no ip-ranges.json"),
        ({"body": document(1)}, "older than"),
        ({"body": document(3, rows=1)}, "not believed"),
        ({"body": document(3, services=("EC2", "CLOUDFRONT"))}, "AMAZON_CONNECT has 0 rows"),
        ({"body": gzip.compress(document(3))[:-9]}, "cut short"),
    ],
)
def test_whatever_goes_wrong_the_old_one_stays_in_force(
    tmp_path: Path, server: Any, change: dict[str, Any], words: str
) -> None:
    server["body"] = document(2)
    fetch_ranges(tmp_path, server["url"])
    before = kept(tmp_path)
    server.update(change)
    with pytest.raises(FetchError, match=words) as caught:
        fetch_ranges(tmp_path, server["url"], timeout_s=2)
    assert "stays in force" in str(caught.value)
    assert kept(tmp_path) == before


def test_a_server_that_is_not_there_and_a_plain_address_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="nothing was written"):
        fetch_ranges(tmp_path, "http://127.0.0.1:9/x", timeout_s=2)
    with pytest.raises(FetchError, match="https"):
        fetch_ranges(tmp_path, "file:///etc/passwd")
    assert kept(tmp_path) == {}
