"""The ranking of a client folder alone: tables, traces and captures in, Regions out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ccp_assess.assess.measurements import measurements_from_captures, measurements_from_documents
from ccp_assess.client import Client, read_client
from ccp_assess.errors import CcpAssessError
from ccp_assess.probe.imports import read_probe_file
from ccp_assess.selection.legs import SiteMeasurement
from ccp_assess.selection.ranking import Ranking, rank
from ccp_assess.services import offers


def rank_client(
    folder: str | Path,
    *,
    instances: int = 1,
    draws: int = 2000,
    seed: int = 1,
    captures: bool = True,
    use_case: str | None = None,
) -> tuple[Ranking, tuple[str, ...]]:
    """Rank the Regions for a client folder.

    Parameters
    ----------
    folder
        The client folder.
    instances
        Up to how many instances (count).
    draws, seed
        How many worlds to simulate, and from which seed.
    captures
        Whether captures are read too; without them it takes a moment only.
    use_case
        ``voice``, ``video``, ``telephone_only``, ``media_less`` or ``chat``; ``None`` takes the client's own.

    Returns
    -------
    ranking
        Options best first.
    left_out
        One sentence for each file that could not be read or used.

    Raises
    ------
    CcpAssessError
        If the tables are missing or wrong.
    """
    client = read_client(Path(folder))
    left_out: list[str] = []
    measurements = client_measurements(client, left_out, captures=captures)
    ranking = rank(
        client.sites,
        client.callers,
        client.transfers,
        client.reroutes,
        measurements,
        client.constraints,
        client.weights,
        instances,
        draws=draws,
        seed=seed,
        offers=offers,
        use_case=use_case or client.use_case,
    )
    return ranking, tuple(left_out)


def client_measurements(client: Client, left_out: list[str], *, captures: bool = True) -> tuple[SiteMeasurement, ...]:
    """Read what was measured for a client; a file that cannot be read costs that file and is said.

    Parameters
    ----------
    client
        The client folder as read.
    left_out
        Sentences are added here.
    captures
        Whether captures are read too.

    Returns
    -------
    measurements
        Of its sites.
    """
    found: list[SiteMeasurement] = []
    for file in client.probes:
        name = _shown(client, file.path)
        try:
            document = read_probe_file(file.path, site_id=file.site_id)
        except CcpAssessError as error:
            left_out.append(f"{name} could not be read and was left out: {error}")
            continue
        if document.site_id is None:
            left_out.append(_nobodys(name, "probes"))
        found.extend(measurements_from_documents([replace(document, source=name)]))
    if captures and client.captures:
        found.extend(_from_captures(client, left_out))
    known = {site.site_id for site in client.sites}
    left_out.extend(
        f"{one.source} belongs to site {one.site_id!r}, which is not in sites.csv, and was left out"
        for one in found
        if one.site_id not in known
    )
    return tuple(one for one in found if one.site_id in known)


def _from_captures(client: Client, left_out: list[str]) -> Iterator[SiteMeasurement]:
    from ccp_assess.assess.captures import assess_captures  # noqa: PLC0415 - a compiled reader, loaded when needed

    for file in client.captures:
        name = _shown(client, file.path)
        if file.site_id is None:
            left_out.append(_nobodys(name, "captures"))
            continue
        try:
            read = assess_captures([file.path]).to_document()
        except CcpAssessError as error:
            left_out.append(f"{name} could not be read and was left out: {error}")
            continue
        for one in measurements_from_captures([(file.site_id, read)]):
            yield replace(one, source=name)


def _nobodys(name: str, folder: str) -> str:
    return f"{name} belongs to no site of sites.csv and was left out; put it into {folder}/SITE/ or name it SITE__..."


def _shown(client: Client, path: Path) -> str:
    """Name a file as it stands in the client folder."""
    return path.relative_to(client.folder).as_posix() if path.is_relative_to(client.folder) else path.name
