"""Fetch a fresh ip-ranges.json into a local history; whatever goes wrong, the old one stays in force.

A document is kept only if it came whole, follows the schema, is newer than the last one and still resembles it. It is
written beside its place first and renamed then, so that an interruption leaves no half a file.
"""

from __future__ import annotations

import gzip
import http.client
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from ccp_assess.errors import CcpAssessError, ParseError
from ccp_assess.files import write_whole
from ccp_assess.ranges import CONNECT, LARGEST_DOCUMENT_BYTES, SOURCE, IpRanges, parse_ranges, read_ranges

TIMEOUT_S = 30.0
KEEP_AT_LEAST = 0.5
"""A new document with less than this share of the last one's rows of a needed service is not believed."""


class FetchError(CcpAssessError, OSError):
    """No new document was taken over; the text says why and that the old one stays in force."""


def fetch_ranges(history: Path, url: str | None = None, *, timeout_s: float = TIMEOUT_S) -> tuple[Path, bool]:
    """Fetch the published ranges into a folder of dated documents.

    Parameters
    ----------
    history
        The folder; it is made if it is missing.
    url
        Where the document is published; ``None`` for AWS's own address.
    timeout_s
        Longest silence of the server [s].

    Returns
    -------
    newest
        The document in force now.
    taken
        Whether it is a new one.

    Raises
    ------
    FetchError
        If nothing usable came; what the folder holds is as before.
    """
    url = url or SOURCE
    last = newest_of(history)
    content = _download(url, timeout_s, last)
    try:
        fresh = parse_ranges(content, name=url)
        before = read_ranges(last) if last else None
    except ParseError as error:
        raise _refused(str(error), last) from error
    if before and last and fresh.created <= before.created:
        if fresh.sync_token == before.sync_token:
            return last, False
        raise _refused(f"{url}: dated {fresh.created}, older than the one here of {before.created}", last)
    _check_resembles(fresh, before, url, last)
    path = history / f"ip-ranges_{fresh.created:%Y-%m-%d-%H-%M-%S}.json.gz"
    write_whole(path, content if content.startswith(b"\x1f\x8b") else gzip.compress(content, mtime=0))
    return path, True


def newest_of(history: Path) -> Path | None:
    """Return the newest document of a history, ``None`` if it holds none; the name carries the date."""
    return max(history.glob("ip-ranges_*.json.gz"), key=lambda path: path.name, default=None)


def _refused(why: str, last: Path | None) -> FetchError:
    return FetchError(f"{why}; " + (f"{last.name} stays in force" if last else "nothing was written"))


def _download(url: str, timeout_s: float, last: Path | None) -> bytes:
    if not url.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]")):
        raise _refused(f"{url[:120]}: only https is trusted", last)
    request = urllib.request.Request(url, headers={"User-Agent": "ccp-assess", "Accept": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310  # the scheme is checked above
            return _whole(answer, answer.headers.get("Content-Length"))
    except (OSError, http.client.HTTPException, ValueError) as error:
        named = isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError)
        reason = error.args[0] if named else error
        raise _refused(f"{url}: no whole answer ({reason})", last) from error


def _whole(answer: IO[bytes], length: str | None) -> bytes:
    content = answer.read(LARGEST_DOCUMENT_BYTES + 1)
    if len(content) > LARGEST_DOCUMENT_BYTES:
        raise ValueError("larger than any ip-ranges.json")
    if length is not None and length.isdecimal() and len(content) < int(length):
        raise ValueError(f"interrupted after {len(content)} of {length} bytes")
    return content


def _check_resembles(fresh: IpRanges, before: IpRanges | None, url: str, last: Path | None) -> None:
    for service in (CONNECT, "EC2", "CLOUDFRONT"):
        had = len(before.rows(service)) if before else 1
        has = len(fresh.rows(service))
        if has < KEEP_AT_LEAST * had:
            raise _refused(f"{url}: {service} has {has} rows where it had {had}: the document is not believed", last)
