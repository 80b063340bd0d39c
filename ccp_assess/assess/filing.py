"""Put a file into its place in a client folder: told by its content, since names lie."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ccp_assess.allowlist import read_client_rules
from ccp_assess.capture.files import open_source
from ccp_assess.client.evidence import KINDS
from ccp_assess.client.locating import check_is_folder, child_of
from ccp_assess.client.settings import FILE as SETTINGS
from ccp_assess.client.workbook import QUESTIONNAIRE
from ccp_assess.csvtext import read_rows
from ccp_assess.errors import CcpAssessError, TableError
from ccp_assess.probe.imports import read_probe_file
from ccp_assess.tables import LAYOUTS
from ccp_assess.witnesses.agent_log_entries import holds_entries
from ccp_assess.witnesses.reading import read_witness

_CONTAINERS = (
    b"\xd4\xc3\xb2\xa1",
    b"\xa1\xb2\xc3\xd4",
    b"\x4d\x3c\xb2\xa1",
    b"\xa1\xb2\x3c\x4d",
    b"\x34\xcd\xb2\xa1",
    b"\xa1\xb2\xcd\x34",
    b"\x0a\x0d\x0d\x0a",
)
"""First bytes of pcap (micro- and nanoseconds, both byte orders, with Kuznetzov's extra fields) and of pcapng."""

_HEAD_CHARS = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a file belongs.

    Parameters
    ----------
    kind
        ``captures``, ``probes``, ``logs``, ``rules``, or ``tables`` for what stands in the folder itself.
    path
        The file's place, relative to the client folder.
    """

    kind: str
    path: Path


def place_of(path: str | Path, name: str, *, kind: str | None = None, site_id: str | None = None) -> Place:
    """Say where in a client folder a file belongs.

    Parameters
    ----------
    path
        The file's content.
    name
        What the file is called.
    kind
        What it is, if a person said so.
    site_id
        The site it was taken at, if a person said so.

    Returns
    -------
    place
        Relative to the client folder.

    Raises
    ------
    TableError
        If its content does not say what it is.
    """
    path = Path(path)
    table = _table_name(path, name)
    if kind == "tables" or (kind is None and table):
        if table is None:
            raise TableError("this is none of the client's tables; choose what it is", file=name)
        return Place(kind="tables", path=Path(table))
    found = kind or _evidence_kind(path)
    if found is None:
        raise TableError(
            "the content does not say whether this is a capture, a measurement, a log or firewall rules; choose it",
            file=name,
        )
    return Place(kind=found, path=Path(found) / site_id / name if site_id else Path(found) / name)


def _table_name(path: Path, name: str) -> str | None:
    """Return the name that a table, the settings or the questionnaire has in the folder."""
    known = {known.casefold(): known for known in (SETTINGS, QUESTIONNAIRE, *(x.file for x in LAYOUTS.values()))}
    if name.casefold() in known:
        return known[name.casefold()]
    if name.casefold().endswith((".xlsx", ".xlsm")):
        return QUESTIONNAIRE
    if not name.casefold().endswith((".csv", ".tsv", ".txt")):
        return None
    try:
        rows = read_rows(_head(path), name=name)
    except TableError:
        return None
    columns = set(rows[0].cells) if rows else set()
    fitting = [
        layout
        for layout in LAYOUTS.values()
        if set(layout.required) <= columns and any(set(way) <= columns for way in layout.location)
    ]
    return max(fitting, key=lambda layout: len(columns & set(layout.columns))).file if fitting else None


def _evidence_kind(path: Path) -> str | None:
    if is_capture(path):
        return "captures"
    if _is_read_by(read_probe_file, path):
        return "probes"
    if holds_entries(_head(path)) or _is_read_by(read_witness, path):
        return "logs"
    return "rules" if _is_read_by(read_client_rules, path) else None


def _is_read_by(reader: Callable[[Path], object], path: Path) -> bool:
    try:
        reader(path)
    except CcpAssessError:
        return False
    return True


def is_capture(path: Path) -> bool:
    """Tell a capture by its first bytes, packed or not.

    Parameters
    ----------
    path
        Any file.

    Returns
    -------
    is_capture
        Whether it is a pcap or pcapng.
    """
    head = bytearray(4)
    try:
        source = open_source(str(path))
        with closing(source):
            source.readinto(memoryview(head))
    except CcpAssessError:
        return False
    return bytes(head) in _CONTAINERS


def _head(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_HEAD_CHARS)
    return data.decode("utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig", errors="replace")


def file_away(
    folder: str | Path, path: str | Path, name: str, *, kind: str | None = None, site_id: str | None = None
) -> Place:
    """Move a file into its place in a client folder; a file of evidence never replaces another.

    Parameters
    ----------
    folder
        The client folder.
    path
        The file; it is moved.
    name
        What it is called.
    kind, site_id
        What it is and where it was taken, if a person said so.

    Returns
    -------
    place
        Where it stands now, relative to the folder; a table of the same name was replaced.

    Raises
    ------
    TableError
        If its content does not say what it is, or it cannot be written.
    """
    folder = Path(folder)
    check_is_folder(folder)
    if site_id is not None and (set(site_id) & set('/\\<>:"|?*') or site_id.strip(". ") != site_id):
        raise TableError(f"{site_id[:60]!r} cannot be the name of a folder; begin the file's name with it", file=name)
    place = place_of(path, name, kind=kind, site_id=site_id)
    parent = folder
    for part in place.path.parts[:-1]:
        parent = child_of(parent, part) or parent / part
    target = child_of(parent, place.path.name) if place.kind == "tables" and parent.is_dir() else None
    target = target or _free(parent / place.path.name, replace=place.kind == "tables")
    beside = target.with_name(f".{target.name}.part")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, beside)
        beside.chmod(0o644)
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise TableError(f"the file cannot be written ({error.strerror})", file=place.path.as_posix()) from None
    return Place(kind=place.kind, path=target.relative_to(folder))


def _free(path: Path, *, replace: bool) -> Path:
    """Return a path at which no file stands yet."""
    if replace or not path.exists():
        return path
    taken = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(2, 10_000))
    return next((free for free in taken if not free.exists()), path)


def kinds_for_people() -> Sequence[tuple[str, str]]:
    """Return words for the kinds of files, with their names.

    Returns
    -------
    kinds
        For a list to choose from.
    """
    words = ("Packet captures", "Measurements (mtr, traceroute, ping, …)", "Logs of the softphone", "Firewall rules")
    return (*zip(words, KINDS, strict=True), ("Tables of the client", "tables"))
