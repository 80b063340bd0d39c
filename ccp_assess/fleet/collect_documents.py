"""From a dropped file to documents, trusted as far as a signature goes, and what each of them is known by."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ccp_assess.errors import ParseError
from ccp_assess.fleet.dataset import part_path
from ccp_assess.fleet.probe_rows import probe_rows, utc_text
from ccp_assess.fleet.sources import NO_SITE
from ccp_assess.probe.document_schema import check_time, is_page, parse_documents
from ccp_assess.probe.imports import browser_page, own, probe_document_json
from ccp_assess.probe.signed import MOST_BYTES, RefusedError, open_signed

_LONGEST_FOLDER_NAME = 200
"""Escaped; file systems end at 255 bytes, and ``site_id=`` stands before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is taken.

    Parameters
    ----------
    keys
        Keys of the engagement by their ``key_id``.
    client
        Whose engagement it is.
    sites
        Its sites; empty where they are not known.
    since
        When it began.
    most_bytes
        Longest file [bytes].
    """

    keys: Mapping[str, bytes]
    client: str
    sites: frozenset[str] = frozenset()
    since: datetime | None = None
    most_bytes: int = MOST_BYTES
    spellings: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        spellings = {_folded(site): site for site in sorted(self.sites, reverse=True)}
        object.__setattr__(self, "spellings", spellings)


def _folded(site: str) -> str:
    return unicodedata.normalize("NFC", site.strip()).casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One probe document of a dropped file.

    Parameters
    ----------
    digest
        Of what it says, however it is written: its name in the ledger.
    measurement
        The random ``id`` that the measurement was given; ``None`` for those made before there were ids.
    site_id, day
        Where its rows belong.
    size
        Of what it says [bytes].
    rows
        Of the table of probes.
    """

    digest: str
    measurement: str | None
    site_id: str
    day: str
    size: int
    rows: tuple[dict[str, Any], ...]


def read_dropped(data: bytes, terms: Terms, *, now: datetime) -> tuple[Document, ...]:
    """Check a dropped file: size, signature, nesting, schema, time and site, in this order.

    Parameters
    ----------
    data
        The file; one byte more than the limit stands for all that is longer.
    terms
        What is taken.
    now
        When it is taken.

    Returns
    -------
    documents
        In the order of the file.

    Raises
    ------
    RefusedError
        With the reason.
    """
    if len(data) > terms.most_bytes:
        raise too_large(terms)
    documents = parse_documents(open_signed(data, terms.keys))
    for document in documents:
        check_time(document, now=now, since=terms.since)
    return tuple(document_of(document, terms) for document in documents)


def too_large(terms: Terms) -> RefusedError:
    """Say that a file is too long."""
    return RefusedError("too_large", f"the file is longer than the {terms.most_bytes} bytes that are taken")


def document_of(value: dict[str, Any], terms: Terms) -> Document:
    """Name a document that fits the schema, and make its rows.

    Parameters
    ----------
    value
        As it was signed.
    terms
        What is taken.

    Returns
    -------
    document
        With its rows.
    """
    content = content_of(value)
    digest = hashlib.sha256(content).hexdigest()
    measurement = value.get("id")
    site_id = _site(value.get("site_id"), terms)
    if len(part_path("", terms.client, site_id, "", "").split("/")[2]) > _LONGEST_FOLDER_NAME:
        raise RefusedError("site_name", "the name of its site is too long")
    time = utc_text(value["time"])
    if time is None:
        raise RefusedError("time_none", f"no calendar holds its time {value['time']}")
    try:
        plain = _plain(value)
    except ParseError as error:
        raise RefusedError("schema", str(error)) from None
    return Document(
        digest=digest,
        measurement=measurement,
        site_id=site_id,
        day=time[:10],
        size=len(content),
        rows=tuple(probe_rows(plain, f"collected/{measurement or digest[:32]}")),
    )


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Give our own prober's documents as they are, and results of the page or of other tools in the same form."""
    if is_page(value):
        return probe_document_json(browser_page.parse(value))
    return value if value.get("tool") == "ccp-assess" else probe_document_json(own.parse(value))


def _site(stated: Any, terms: Terms) -> str:
    """Find the site whatever its case; one that is not known keeps its name, so that no typing error loses a result."""
    name = unicodedata.normalize("NFC", stated.strip()) if isinstance(stated, str) else ""
    return terms.spellings.get(_folded(name), name) or NO_SITE


def content_of(value: Mapping[str, Any]) -> bytes:
    """Write what a document says in one way only; when the page saved it is no part of what was measured.

    Parameters
    ----------
    value
        A document.

    Returns
    -------
    content
        The same for documents that differ in spaces, order and escapes alone.
    """
    said = {name: one for name, one in value.items() if name != "saved"} if is_page(value) else dict(value)
    return json.dumps(said, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
