"""Any witness's file, known by its content: names lie, and are changed on the way."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ccp_assess.csvtext import read_rows
from ccp_assess.errors import ParseError, TableError
from ccp_assess.witnesses import contact_record, diary
from ccp_assess.witnesses.agent_log_entries import open_text
from ccp_assess.witnesses.agent_log_witness import read_agent_log_witness, witness_from_documents
from ccp_assess.witnesses.endpoint_test import endpoint_test_witness, is_endpoint_test
from ccp_assess.witnesses.getstats import getstats_witness, holds_stats, is_trace_line, trace_of_2016
from ccp_assess.witnesses.json_values import parse_values, read_text
from ccp_assess.witnesses.records import Witness
from ccp_assess.witnesses.taps import is_sound, read_tap_test
from ccp_assess.witnesses.webrtc_internals import chrome_witness, firefox_witness, is_chrome_dump, is_firefox_report

HEAD_CHARACTERS = 1 << 18
"""Read to know what a file is."""

_ENTRY = re.compile(r"\{\s*\"(?:component|level|text|time|tabId|exception|objects|line|agentResourceId|loggerId)\"")
_CONSOLE = re.compile(r"^[^\[\n]{0,200}\[\d{4}-\d\d-\d\dT[\d:.]+Z?\] \[[A-Z]{3,8}\]: ?", re.MULTILINE)
_TRACE_HEADER = "RTCStatsDump"
_FIREFOX_PAGE = 'id="rtp-stats: '
_STATISTICS = (
    "softphoneStreamType", "timestamp", "packetsCount", "packetsLost", "audioLevel", "jitterBufferMillis",
    "roundTripTimeMillis", "contactId",
)  # fmt: skip
_NEEDED_STATISTICS = frozenset({"softphonestreamtype", "timestamp", "packetscount"})
_KINDS = (
    "an agent log of the CCP, contact records, a webrtc-internals or about:webrtc dump, getStats reports, results of "
    "the Endpoint Test Utility and an agents' diary"
)


def read_witness(path: str | Path, *, progress: Callable[[int], None] | None = None) -> Witness:
    """Read a witness's file, whichever it is.

    Parameters
    ----------
    path
        Known by its content; packed with gzip or not, UTF-8 or UTF-16; cut files are read as far as they go.
    progress
        Called with the bytes read so far while a long log is read.

    Returns
    -------
    witness
        What it tells.

    Raises
    ------
    ParseError
        If the file cannot be read, or is none of the kinds that are understood.
    TableError
        If it is a table of a kind that is understood, with a wrong row.
    """
    path = Path(path)
    with open_text(path) as stream:
        try:
            head = stream.read(HEAD_CHARACTERS)
        except (OSError, EOFError) as error:
            raise ParseError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if not head.strip("\ufeff \t\r\n"):
        raise ParseError(f"{path}: the file is empty")
    if is_sound(head):
        return _with_note(read_tap_test(path).to_witness(), "It was taken for what the workstation recorded.")
    if "\x00" in head[:4096] or head.startswith(("PK\x03\x04", "%PDF")):
        raise ParseError(f"{path}: {_binary(head)}")
    if _is_agent_log(head):
        return read_agent_log_witness(path, progress=progress)
    text = read_text(path)
    bare = text.lstrip("\ufeff \t\r\n")
    if bare.startswith(("[", "{", _TRACE_HEADER)):
        try:
            return _from_json(path, bare.removeprefix(_TRACE_HEADER))
        except RecursionError:  # in a reader: the parser goes deeper than those that look for their records
            raise ParseError(f"{path}: objects are nested deeper than any such file nests them") from None
    return _from_text(path, text)


def _binary(head: str) -> str:
    if head.startswith("PK"):
        return "a workbook or an archive; save the sheet as `CSV UTF-8`, or unpack the archive"
    return f"binary data; understood are {_KINDS}"


def _is_agent_log(head: str) -> bool:
    """Tell an agent log by an entry of it: a level or a component, and a text."""
    if _CONSOLE.search(head) is not None:
        return True
    for found in list(_ENTRY.finditer(head))[:20]:
        entry = head[found.start() : found.start() + 20_000]
        if re.search(r'"text"\s*:\s*"', entry) and re.search(r'"(?:level|component)"\s*:\s*"', entry):
            return True
    return False


def _from_json(path: Path, text: str) -> Witness:
    values, cut = parse_values(text, str(path))
    file = path.name
    single = values[0] if len(values) == 1 else None
    flat = single if isinstance(single, list) else values
    early = trace_of_2016(single)
    if early:
        return getstats_witness(early, file, cut=cut)
    if isinstance(single, dict) and is_chrome_dump(single):
        witness = chrome_witness(single, file)
        return _with_note(witness, "The file was cut at its end; what is there was read.") if cut else witness
    if any(is_trace_line(value) for value in flat[:20]):
        return getstats_witness(flat, file, cut=cut)
    if is_firefox_report(values):
        return firefox_witness(values, file)
    records = contact_record.find_records(values)
    if records:
        return contact_record.witness_from_records(records, file, cut=cut)
    if "softphoneStreamType" in text or "callStartTime" in text:
        told = witness_from_documents(file, values)
        if told is not None:
            return told
    if isinstance(single, dict) and is_endpoint_test(single):
        return endpoint_test_witness(single, file)
    if holds_stats(values):
        return getstats_witness(values, file, cut=cut)
    if values == [[]]:
        return read_agent_log_witness(path)  # an agent log of a softphone that has just been opened
    raise ParseError(f"{path}: JSON, but of no kind that is understood; understood are {_KINDS}")


def _with_note(witness: Witness, note: str) -> Witness:
    return replace(witness, notes=(*witness.notes, note))


def _columns(text: str) -> list[str]:
    """Return the names in a table's header; none if it has no header."""
    lines = [line for line in text[:HEAD_CHARACTERS].splitlines() if line.strip() and not line.lstrip().startswith("#")]
    header = next((line for line in lines if not line.lower().lstrip('"').startswith("sep=")), "")
    try:
        rows = read_rows(f"{header}\n{header}\n")
    except TableError:
        return []
    return list(rows[0].cells) if rows else []


def _from_text(path: Path, text: str) -> Witness:
    if diary.has_code(text):
        return diary.diary_witness(diary.entries_from_text(text, str(path)), path.name)
    columns = _columns(text)
    if contact_record.is_table(columns):
        return contact_record.witness_from_rows(read_rows(text, name=str(path)), path.name)
    if {*columns} >= _NEEDED_STATISTICS:
        return _from_statistics(path, text)
    if diary.is_table(columns):
        return diary.diary_witness(diary.entries_from_rows(read_rows(text, name=str(path))), path.name)
    if _FIREFOX_PAGE in text:
        raise ParseError(
            f"{path}: the page of about:webrtc as Firefox saves it holds no instants; use its button Copy Report "
            "History (or Copy Report) and save what is copied as a .json file"
        )
    raise ParseError(f"{path}: text of no kind that is understood; understood are {_KINDS}")


def _from_statistics(path: Path, text: str) -> Witness:
    """Read a table of the softphone's statistics, as parsers of agent logs save them."""
    rows = [
        {name: row.cells[name.lower()] or None for name in _STATISTICS if name.lower() in row.cells}
        for row in read_rows(text, name=str(path))
    ]
    told = witness_from_documents(path.name, [rows])
    if told is None:
        raise ParseError(f"{path}: a table of the softphone's statistics, but no row of it is of audio")
    return told
