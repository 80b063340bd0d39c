"""What a client folder does not say, and what that means for the answer: nothing missing passes silently for zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ccp_assess.client.records import Client, ClientFile
from ccp_assess.csvtext import Row

_NAMES_SHOWN = 8


def unknowns_of(client: Client, *, rows: Sequence[Row], named: bool) -> Client:
    """Return the client with its unknowns.

    Parameters
    ----------
    client
        As read.
    rows
        Rows of the sites' table, where a default may stand for an empty cell.
    named
        Whether the client's name was given.

    Returns
    -------
    client
        With ``unknowns`` filled in; the notes follow them.
    """
    sentences = [
        *_of_settings(client, named=named),
        *_of_tables(client, rows),
        *_of_evidence(client),
        *client.notes,
    ]
    return replace(client, unknowns=tuple(sentences))


def _of_settings(client: Client, *, named: bool) -> list[str]:
    limits = client.constraints
    sentences = []
    if not named:
        sentences.append("client.toml gives no name of the client; that of the folder is used.")
    if client.date is None:
        sentences.append("client.toml gives no date, so it is unknown when these tables were true.")
    if not (limits.allowed_regions or limits.excluded_regions or limits.residency):
        sentences.append("No residency rule or Region limit is given; every Region is taken to be allowed.")
    return sentences


def _of_tables(client: Client, rows: Sequence[Row]) -> list[str]:
    sentences = []
    if not client.callers:
        sentences.append(
            "Where customers call from is unknown (callers.csv has no rows); they are taken to be where the agents are."
        )
    if not client.transfers:
        sentences.append(
            "Whether calls are transferred to outside numbers is unknown (transfers.csv has no rows); transfers do not "
            "count in the ranking."
        )
    if not client.reroutes:
        sentences.append(
            "Whether agents hear calls on another device is unknown (reroutes.csv has no rows); all are taken to use "
            "the softphone."
        )
    no_access = [site.site_id for site, row in zip(client.sites, rows, strict=True) if not row.cells.get("access")]
    if no_access:
        sentences.append(f"The access of {_sites(no_access)} is not given and is taken to be office.")
    no_uplink = [
        site.site_id for site in client.sites if site.agents and site.access != "home" and site.uplink_mbps is None
    ]
    if no_uplink:
        sentences.append(f"The uplink of {_sites(no_uplink)} is unknown; whether it carries the calls is not checked.")
    return sentences


def _of_evidence(client: Client) -> list[str]:
    working = [site.site_id for site in client.sites if site.agents]
    sentences = []
    if not client.captures:
        sentences.append("No capture of a call is given; loss, jitter and call setup of real calls are unknown.")
    if client.captures and (unseen := _without(working, client.captures)):
        sentences.append(f"No capture is given for {_sites(unseen)}; the quality of calls there is unknown.")
    unmeasured = _without(working, (*client.probes, *client.captures))
    if unmeasured:
        sentences.append(
            f"No measurement is given for {_sites(unmeasured)}; delays to the Regions are modelled from distance."
        )
    if not client.logs:
        sentences.append("No logs of the softphone are given; what it reported itself is unknown.")
    if not client.rules:
        sentences.append(
            "The client's firewall rules are not given; whether they let the softphone through is unknown."
        )
    for kind, files in (("captures", client.captures), ("probes", client.probes), ("logs", client.logs)):
        loose = [file.path.name for file in files if file.site_id is None]
        if loose:
            shown = ", ".join(loose[:_NAMES_SHOWN]) + (", ..." if len(loose) > _NAMES_SHOWN else "")
            sentences.append(
                f"The site of {len(loose)} {'file' if len(loose) == 1 else 'files'} in {kind}/ is unknown ({shown}); "
                f"put it in {kind}/SITE/ or begin its name with SITE__."
            )
    return sentences


def _without(site_ids: Sequence[str], files: Sequence[ClientFile]) -> list[str]:
    seen = {file.site_id for file in files}
    return [site_id for site_id in site_ids if site_id not in seen]


def _sites(site_ids: Sequence[str]) -> str:
    shown = ", ".join(site_ids[:_NAMES_SHOWN])
    more = len(site_ids) - _NAMES_SHOWN
    noun = "site" if len(site_ids) == 1 else "sites"
    return f"{noun} {shown}" + (f" and {more} more" if more > 0 else "")
