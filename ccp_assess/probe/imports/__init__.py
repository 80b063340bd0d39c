"""What other tools measured, read into the same records as our own probes: one small file per tool."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ccp_assess.errors import ParseError
from ccp_assess.paths import Hop, ProbeDocument, RegionProbe, vantage_from_name
from ccp_assess.paths import Path as TracedPath
from ccp_assess.probe import signed
from ccp_assess.probe.imports import browser_page, detect, endpoint_test, mtr_json, mtr_xml, own, ripe_atlas, winmtr
from ccp_assess.probe.imports.text import MAX_BYTES, clean_name, lines_from_text, text_from_bytes

MAX_TEXT_CHARS = 4_000_000


def read_probe_file(path: str | Path, site_id: str | None = None, *, key: bytes | None = None) -> ProbeDocument:
    """Read the output of a measuring tool, whichever it is.

    Parameters
    ----------
    path
        The file.
    site_id
        Where it was taken; a site stated inside the file is used if none is given.
    key
        Key of the engagement: only what is signed with it is read.

    Returns
    -------
    document
        One entry of ``regions`` per run that the file holds.

    Raises
    ------
    ParseError
        If it cannot be read; the text names the file, the line and what to do.
    """
    source = Path(path)
    shown = clean_name(str(path)) or "the file"
    try:
        with source.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ParseError(f"{shown}: cannot be read ({error.strerror or 'input error'}); check the path") from None
    try:
        document = parse_probe_bytes(data, key=key)
    except ParseError as error:
        raise ParseError(f"{shown}, {error}") from None
    vantage = vantage_from_name(source.name) or document.vantage
    return replace(
        document,
        site_id=site_id if site_id is not None else document.site_id,
        source=str(path),
        vantage=vantage,
        host={**document.host, **({"vantage": vantage} if vantage else {})},
    )


def parse_probe_bytes(data: bytes, *, key: bytes | None = None) -> ProbeDocument:
    """Read the output of a measuring tool from bytes.

    Parameters
    ----------
    data
        The whole content, in any encoding.
    key
        Key of the engagement: only what is signed with it is read.

    Returns
    -------
    document
        Without a site or source, unless it is one of our own documents.

    Raises
    ------
    ParseError
        If it cannot be read; the text names the line.
    """
    text = text_from_bytes(data)
    start = text.lstrip("\ufeff \t\r\n\x00")[:1]
    if start in {"{", "["}:
        documents = _json_values(text)
        if documents is not None and any(map(signed.is_signed, documents)):
            return _opened(documents, key)
        if documents is not None and key is None:
            return _from_json(documents)
    if key is not None:
        raise ParseError("line 1: this file is not signed, and only signed ones are to be read; leave the key out")
    if start == "<" and mtr_xml.is_it(text):
        return _document([mtr_xml.parse(text)])
    if start == "<" or "<td" in text[:20_000].lower():
        page = winmtr.parse_html(text)
        if page is not None:
            return _document([page])
    if "\x00" in text[:4096]:
        raise ParseError("line 1: this is a binary file; give the text that the tool printed")
    if len(text) > MAX_TEXT_CHARS:
        raise ParseError(f"line 1: this text has more than {MAX_TEXT_CHARS} characters; give one run a file")
    return _document(detect.parse_text(lines_from_text(text)))


def _opened(documents: list[Any], key: bytes | None) -> ProbeDocument:
    if not all(map(signed.is_signed, documents)):
        raise ParseError("line 1: some of these documents are signed and some are not; give one kind a file")
    document = _from_json([signed.payload_of(envelope, key) for envelope in documents])
    told = "not checked" if key is None else "fits"
    return replace(document, host={**document.host, "signature": told})


def _json_values(text: str) -> list[Any] | None:
    """Read one JSON value, or one per line; ``None`` if the text only looks like JSON."""
    stripped = text.lstrip("\ufeff").strip("\x00")
    try:
        return [json.loads(stripped)]
    except RecursionError:
        raise ParseError("line 1: this JSON is nested too deeply to be a measurement") from None
    except json.JSONDecodeError as error:
        lines = [(number, line) for number, line in enumerate(stripped.splitlines(), start=1) if line.strip()]
        if stripped.lstrip().startswith("[") and stripped.lstrip()[1:].lstrip()[:1] not in {"{", "["}:
            return None  # such as ping -D, whose lines begin with a time in brackets
        if len(lines) > 1 and error.msg == "Extra data":
            return [_json_line(number, line) for number, line in lines]
        raise ParseError(
            f"line {error.lineno}: the JSON breaks off or is damaged here ({error.msg}); give the whole file"
        ) from None
    except ValueError:  # a number of thousands of digits
        raise ParseError("line 1: this JSON holds a number that no tool writes") from None


def _json_line(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise ParseError(f"line {number}: this line is no JSON; give one document a line") from None


def _from_json(documents: list[Any]) -> ProbeDocument:
    values = documents[0] if len(documents) == 1 and isinstance(documents[0], list) else documents
    if not values:
        raise ParseError("line 1: this JSON is empty; give the output of a measuring tool")
    if all(browser_page.is_it(value) for value in values):
        return _joined([browser_page.parse(value) for value in values])
    if all(own.is_it(value) for value in values):
        return _joined(_rounds(values))
    if all(mtr_json.is_it(value) for value in values):
        return _document([mtr_json.parse(value) for value in values])
    if any(ripe_atlas.is_it(value) for value in values):
        return _document(ripe_atlas.parse(values))
    if endpoint_test.is_it(values):
        probes = endpoint_test.parse(values)
        if probes:
            return _document(probes)
    raise ParseError(f"line 1: this JSON is not one that can be read; give {detect.KNOWN}")


def _rounds(values: Sequence[Any]) -> list[ProbeDocument]:
    documents = []
    for number, value in enumerate(values, start=1):
        try:
            documents.append(own.parse(value))
        except ParseError as error:
            raise ParseError(f"document {number}: {error}" if len(values) > 1 else str(error)) from None
    return documents


def _joined(rounds: Sequence[ProbeDocument]) -> ProbeDocument:
    """Join the rounds of a monitor: the first one's facts, everyone's rows."""
    first = rounds[0]
    if len(rounds) == 1:
        return first
    return replace(first, regions=tuple(row for document in rounds for row in document.regions))


def _document(probes: Sequence[RegionProbe]) -> ProbeDocument:
    tools = list(dict.fromkeys(str(probe.details.get("tool", "")) for probe in probes))
    times = sorted(str(probe.details["time"]) for probe in probes if probe.details.get("time"))
    return ProbeDocument(
        site_id=None, time=times[0] if times else None, tool=" and ".join(tools), regions=tuple(probes)
    )


def probe_document_json(document: ProbeDocument) -> dict[str, Any]:
    """Write a probe document as the contract's JSON.

    Parameters
    ----------
    document
        The records.

    Returns
    -------
    document
        Plain values; round-trip times of the destination stand in added fields of each Region's row.
    """
    host = {"os": None, "privileged": None, "vantage": document.vantage, **document.host}
    return {
        "site_id": document.site_id,
        "time": document.time,
        "tool": document.tool,
        "source": document.source,
        "host": host,
        "regions": [_region_json(row) for row in document.regions],
    }


def _region_json(row: RegionProbe) -> dict[str, Any]:
    known: dict[str, Any] = {
        "region_code": row.region_code,
        "destination": row.destination,
        "dns": [],
        "tcp": [],
        "relay": None,
        "train": None,
        "rtt_ms": list(row.rtts_ms),
        "rtt_min_ms": row.rtt_min_ms,
        "rtt_p50_ms": row.rtt_p50_ms,
        "rtt_p95_ms": row.rtt_p95_ms,
        "sent": row.sent,
        "received": row.received,
        "path": _path_json(row.path) if row.path is not None else None,
        "diagnosis": [],
    }
    return {**known, **{key: value for key, value in row.details.items() if known.get(key) in (None, [])}}


def _path_json(path: TracedPath) -> dict[str, Any]:
    return {
        "technique": path.technique,
        "hop_count": path.hop_count,
        "hops_seen": path.hops_seen,
        "destination_answered": path.destination_answered,
        "hops": [_hop_json(hop) for hop in path.hops],
    }


def _hop_json(hop: Hop) -> dict[str, Any]:
    return {
        "ttl": hop.ttl,
        "address": hop.address,
        "name": hop.name,
        "addresses": list(hop.addresses),
        "sent": hop.sent,
        "received": hop.received,
        "rtt_ms": list(hop.rtts_ms),
        "rtt_min_ms": hop.rtt_min_ms,
        "rtt_avg_ms": hop.rtt_avg_ms,
        "rtt_max_ms": hop.rtt_max_ms,
        "asn": hop.asn,
        "annotations": list(hop.annotations),
    }
