"""What a collector has done so far, as its store and its inbox tell it; nothing is written or taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ccp_assess.csvtext import read_rows, text
from ccp_assess.errors import ProbeError
from ccp_assess.files import read_made_key
from ccp_assess.fleet.collect import known_clients, known_sites
from ccp_assess.fleet.collect_documents import Terms
from ccp_assess.fleet.collect_inbox import Inbox
from ccp_assess.fleet.collect_store import EVIDENCE, QUARANTINE, CollectedStore
from ccp_assess.fleet.dataset import Dataset, Listed
from ccp_assess.fleet.needs import FleetError
from ccp_assess.fleet.refusals import told_as_unread
from ccp_assess.fleet.sources import open_place
from ccp_assess.probe.signed import key_id
from ccp_assess.shapes import parse_json

MOST_LISTED = 200
"""Files of the quarantine that are read for their reasons, the latest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectState:
    """An inbox and what became of what was dropped there.

    Parameters
    ----------
    waiting, waiting_bytes
        Files in the inbox now, of which some may have been taken before; ``None`` where no inbox was named.
    accepted
        Results in the store.
    accepted_at
        When the last file was accepted, by the clock of the store; ``None`` before.
    quarantined
        Files that were refused: ``name``, ``reason``, ``text``, ``is_kept``, and when (``time``), the latest first.
    more_quarantined
        So many more are not listed.
    """

    waiting: int | None
    waiting_bytes: int | None
    accepted: int
    accepted_at: datetime | None
    quarantined: tuple[dict[str, Any], ...]
    more_quarantined: int

    @property
    def reasons(self) -> dict[str, int]:
        """Files of the quarantine by their reason, the most frequent first."""
        return dict(Counter(row["reason"] for row in self.quarantined).most_common())


def collect_state(dest_url: str, inbox_url: str | None = None) -> CollectState:
    """Tell what a collector has done so far.

    Parameters
    ----------
    dest_url
        The store, which need not be there.
    inbox_url
        The inbox; ``None`` to leave it alone.

    Returns
    -------
    state
        Of both.

    Raises
    ------
    FleetError
        If one of them cannot be read.
    """
    dataset = Dataset(open_place(dest_url))
    files = None if inbox_url is None else Inbox(open_place(inbox_url)).files()
    with told_as_unread(dest_url):
        records = CollectedStore(dataset).records()
        evidence, set_aside = dataset.listed(EVIDENCE), dataset.listed(QUARANTINE)
        told = sorted(
            (path for path in set_aside if path.endswith(".json")), key=lambda path: -_time_s(set_aside[path])
        )
        rows = [_refusal(path, data, set_aside) for path, data in dataset.get_many(told[:MOST_LISTED])]
    return CollectState(
        waiting=None if files is None else len(files),
        waiting_bytes=None if files is None else sum(one.size for one in files),
        accepted=sum(len(record["files"]) for record in records.values()),
        accepted_at=_instant(max(map(_time_s, evidence.values()), default=0.0)),
        quarantined=tuple(rows),
        more_quarantined=max(0, len(told) - MOST_LISTED),
    )


def _time_s(file: Listed) -> float:
    return file.time or 0.0


def _instant(time_s: float) -> datetime | None:
    return datetime.fromtimestamp(time_s, UTC) if time_s else None


def _refusal(path: str, data: bytes | None, listed: Mapping[str, Listed]) -> dict[str, Any]:
    """Read why a file was refused; a note that is damaged still counts as one."""
    try:
        told = parse_json(data or b"{}")
    except ValueError:
        told = {}
    told = told if isinstance(told, dict) else {}
    return {
        **{name: str(told.get(name) or "unknown") for name in ("name", "reason", "text")},
        "is_kept": f"{path.removesuffix('.json')}.data" in listed,
        "time": _instant(_time_s(listed[path])),
    }


def terms_of(
    dest_url: str,
    keys: Sequence[str | Path],
    *,
    client: str | None = None,
    sites: Path | None = None,
    since: datetime | None = None,
) -> Terms:
    """Say what a collector takes, with what its store knows already.

    Parameters
    ----------
    dest_url
        The store.
    keys
        Files of the engagement's keys.
    client
        Whose results; that of the store if ``None``.
    sites
        ``sites.csv``; that of the store if ``None``.
    since
        When the engagement began, UTC.

    Returns
    -------
    terms
        For a `ccp_assess.fleet.collect.Collector`.

    Raises
    ------
    CcpAssessError
        If there is no key, or the store holds several clients and none was named.
    """
    secrets = [read_made_key(path, ProbeError) for path in keys]
    if not secrets:
        raise FleetError("name the file of the engagement's key; without it nothing can be taken")
    if client is None:
        known = known_clients(dest_url)
        if len(known) > 1:
            raise FleetError(f"{dest_url} holds {len(known)} clients; say whose results these are with --client NAME")
        client = known[0] if known else "client"
    if sites is None:
        site_ids = known_sites(dest_url, client)
    else:
        site_ids = frozenset(text(row, "site_id") for row in read_rows(sites, required=("site_id",)))
    return Terms(
        keys={key_id(secret): secret for secret in secrets},
        client=client,
        sites=site_ids,
        since=None if since is None else since.replace(tzinfo=UTC),
    )
