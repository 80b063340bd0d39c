"""The logs of a client folder: each read as the witness that it is, and joined with the captures of its site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccp_assess.assess.evidence import LeftOut, Progress, shown, unreadable
from ccp_assess.assess.filing import is_capture
from ccp_assess.assess.joined_calls import Joined, join
from ccp_assess.assess.witness_findings import findings_of, summary
from ccp_assess.client import Client, ClientFile
from ccp_assess.errors import CcpAssessError, ParseError
from ccp_assess.findings import Finding
from ccp_assess.trial import read_log
from ccp_assess.witnesses.reading import read_witness
from ccp_assess.witnesses.records import Witness
from ccp_assess.witnesses.taps import is_sound, read_tap_test


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessEvidence:
    """What the logs of a client folder tell.

    Parameters
    ----------
    witnesses
        ``{"site_id", "file", "document"}`` of each log that could be read; the document is that of ``witness read``
        with its seconds and events counted.
    joined
        ``{"site_id", "document"}`` for each site whose calls several witnesses know of; as of ``witness join``.
    findings
        Site, file and what was found.
    left_out
        Logs that could not be read.
    """

    witnesses: tuple[dict[str, Any], ...] = ()
    joined: tuple[dict[str, Any], ...] = ()
    findings: tuple[tuple[str | None, str, Finding], ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def read_witness_evidence(
    client: Client, captures: Sequence[dict[str, Any]], *, progress: Progress | None = None
) -> WitnessEvidence:
    """Read the logs of a client folder and join them with its captures.

    Parameters
    ----------
    client
        The client folder as read.
    captures
        Captures as read: ``{"site_id", "file", "document", "seconds"}``.
    progress
        Called while files are read.

    Returns
    -------
    evidence
        What they tell; a log that cannot be read costs that log.
    """
    read: list[tuple[str | None, str, Witness]] = []
    left_out: list[LeftOut] = []
    for number, file in enumerate(client.logs):
        name = shown(client, file.path)
        if progress:
            progress(f"reading {name}", number, len(client.logs))
        try:
            fellow = _recording_of(file, client.logs)
            if fellow is file:
                continue  # it is read with what the workstation recorded
            told = read_witness(file.path) if fellow is None else read_tap_test(file.path, fellow.path).to_witness()
            read.append((file.site_id, name, told))
        except CcpAssessError as error:
            if not _is_trial(file.path):
                why = ParseError(str(error).removeprefix(f"{file.path}: "))
                left_out.append(unreadable("LOG_UNREADABLE", file, name, why))
    if progress and client.logs:
        progress("logs read", len(client.logs), len(client.logs))
    findings = [(site_id, name, finding) for site_id, name, witness in read for finding in findings_of(witness)]
    joined = []
    for site_id in dict.fromkeys(site_id for site_id, _, _ in read):
        of_site = [
            (entry["file"], entry["document"], list(entry["seconds"]))
            for entry in captures
            if entry["site_id"] == site_id
        ]
        logs = [(name, witness) for site, name, witness in read if site == site_id]
        together = join(of_site, [witness for _, witness in logs])
        if together.calls:
            joined.append({"site_id": site_id, "document": together.to_document()})
            findings += [(site_id, logs[0][0], finding) for finding in together.findings]
    return WitnessEvidence(
        witnesses=tuple(
            {"site_id": site_id, "file": name, "document": summary(witness)} for site_id, name, witness in read
        ),
        joined=tuple(joined),
        findings=tuple(findings),
        left_out=tuple(left_out),
    )


def _recording_of(file: ClientFile, logs: Sequence[ClientFile]) -> ClientFile | None:
    """Return the call recording that belongs to a sound of a tap test, itself if it is that; ``None`` without one.

    The service's recording is known by ``recording`` in its name: by the sound alone the two cannot be told apart.
    """
    if not _is_sound(file.path):
        return None
    if "recording" in file.path.name.casefold():
        return file
    return next(
        (
            one
            for one in logs
            if one.site_id == file.site_id and "recording" in one.path.name.casefold() and _is_sound(one.path)
        ),
        None,
    )


def _is_sound(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return is_sound(file.read(4))
    except OSError:
        return False


def join_files(files: Sequence[Path], *, progress: Progress | None = None) -> Joined:
    """Join captures and witnesses of the same calls, each file known by its content.

    Parameters
    ----------
    files
        In any order.
    progress
        Called while files are read.

    Returns
    -------
    joined
        Calls side by side, on one clock.

    Raises
    ------
    CcpAssessError
        If a file cannot be read.
    """
    from ccp_assess.assess.captures import assess_captures  # noqa: PLC0415 - a compiled reader, loaded when needed

    captures, witnesses = [], []
    for number, path in enumerate(files):
        if progress:
            progress(f"reading {path.name}", number, len(files))
        if is_capture(path):
            read = assess_captures([path])
            captures.append((path.name, read.to_document(), list(read.rows("seconds"))))
        else:
            witnesses.append(read_witness(path))
    return join(captures, witnesses)


def _is_trial(path: Path) -> bool:
    """Tell a log of a trial, which has its own command, from what is no log at all."""
    try:
        return bool(read_log(path))
    except CcpAssessError:
        return False
