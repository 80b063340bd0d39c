"""What a client folder holds as evidence: each capture and trace read, and a sentence for each that could not be.

A file that cannot be read, or that belongs to no site, costs that file and is said; it never costs the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ccp_assess.assess.measurements import measurements_from_captures, measurements_from_documents
from ccp_assess.client import Client, ClientFile
from ccp_assess.errors import CcpAssessError
from ccp_assess.paths import ProbeDocument, vantage_from_name
from ccp_assess.probe.imports import read_probe_file
from ccp_assess.selection.legs import SiteMeasurement

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A file that does not count, and why.

    Parameters
    ----------
    code
        ``CAPTURE_UNREADABLE``, ``PROBE_UNREADABLE``, ``RULES_UNREADABLE`` or ``FILE_OF_NO_SITE``.
    site_id
        The site it belongs to, if known.
    file
        Its place in the client folder.
    text
        One sentence with what to do.
    """

    code: str
    site_id: str | None
    file: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was read.

    Parameters
    ----------
    captures
        ``{"site_id", "file", "vantage", "document", "seconds"}`` for each capture; the document is that of
        ``capture read``, the seconds are its one-second series.
    documents
        Probe documents.
    left_out
        Files that could not be read, or whose measurements count for no site.
    measurements
        What the ranking takes: round trips, hop counts and loss of the client's sites.
    """

    captures: tuple[dict[str, Any], ...]
    documents: tuple[ProbeDocument, ...]
    left_out: tuple[LeftOut, ...]
    measurements: tuple[SiteMeasurement, ...]


def read_evidence(client: Client, *, captures: bool = True, progress: Progress | None = None) -> Evidence:
    """Read the captures and traces of a client folder.

    Parameters
    ----------
    client
        The client folder as read.
    captures
        Whether captures are read too; without them it takes a moment only.
    progress
        Called while files are read.

    Returns
    -------
    evidence
        What was read, and what was left out.
    """
    left_out: list[LeftOut] = []
    entries = _read_captures(client, left_out, progress) if captures else []
    documents = _read_probes(client, left_out, progress)
    known = {site.site_id for site in client.sites}
    files = [("captures", entry["site_id"], entry["file"]) for entry in entries]
    files += [("probes", document.site_id, document.source or "") for document in documents]
    left_out += [_of_no_site(*file) for file in files if file[1] not in known]
    found = [*measurements_from_documents(documents)]
    for entry in entries:
        found += [
            replace(one, source=entry["file"])
            for one in measurements_from_captures([(entry["site_id"], entry["document"])])
        ]
    return Evidence(
        captures=tuple(entries),
        documents=tuple(documents),
        left_out=tuple(left_out),
        measurements=tuple(one for one in found if one.site_id in known),
    )


def shown(client: Client, path: Path) -> str:
    """Name a file as it stands in the client folder.

    Parameters
    ----------
    client
        The client folder.
    path
        A file of it.

    Returns
    -------
    name
        Its path within the folder, with ``/``.
    """
    return path.relative_to(client.folder).as_posix() if path.is_relative_to(client.folder) else path.name


def unreadable(code: str, file: ClientFile, name: str, error: CcpAssessError) -> LeftOut:
    """Say that a file could not be read.

    Parameters
    ----------
    code
        Of what kind the file is.
    file
        The file.
    name
        Its place in the client folder.
    error
        What is wrong with it.

    Returns
    -------
    left_out
        The sentence.
    """
    return LeftOut(
        code=code, site_id=file.site_id, file=name, text=f"{name} could not be read and was left out: {error}"
    )


def _of_no_site(folder: str, site_id: str | None, name: str) -> LeftOut:
    whose = f"site {site_id!r}, which is not in sites.csv," if site_id else "no site of sites.csv"
    return LeftOut(
        code="FILE_OF_NO_SITE",
        site_id=site_id,
        file=name,
        text=f"{name} belongs to {whose} and its measurements were left out of the ranking; put it into "
        f"{folder}/SITE/ or name it SITE__...",
    )


def _read_captures(client: Client, left_out: list[LeftOut], progress: Progress | None) -> list[dict[str, Any]]:
    from ccp_assess.assess.captures import assess_captures  # noqa: PLC0415 - a compiled reader, loaded when needed

    entries = []
    for number, file in enumerate(client.captures):
        name = shown(client, file.path)
        if progress:
            progress(f"reading {name}", number, len(client.captures))
        try:
            read = assess_captures([file.path])
            document, seconds = read.to_document(), read.rows("seconds")
        except CcpAssessError as error:
            left_out.append(unreadable("CAPTURE_UNREADABLE", file, name, error))
            continue
        entries.append(
            {
                "site_id": file.site_id,
                "file": name,
                "vantage": vantage_from_name(file.path.name),
                "document": document,
                "seconds": seconds,
            }
        )
    if progress and client.captures:
        progress("captures read", len(client.captures), len(client.captures))
    return entries


def _read_probes(client: Client, left_out: list[LeftOut], progress: Progress | None) -> list[ProbeDocument]:
    documents = []
    for number, file in enumerate(client.probes):
        name = shown(client, file.path)
        if progress:
            progress(f"reading {name}", number, len(client.probes))
        try:
            documents.append(replace(read_probe_file(file.path, site_id=file.site_id), source=name))
        except CcpAssessError as error:
            left_out.append(unreadable("PROBE_UNREADABLE", file, name, error))
    return documents
