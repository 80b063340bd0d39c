"""Published address ranges of AWS: one dated document, its prefixes by service and Region, address → Region.

The document is ``ip-ranges.json``. A snapshot with the services that matter here ships with the package; a newer one
can be given as a file. Documents come from the network and from clients: each is checked before it is believed.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from ccp_assess.errors import ParseError
from ccp_assess.prefixes import WIDTH_BITS, Prefix, parse_address, parse_prefix

GLOBAL = "GLOBAL"
"""The Region word of prefixes that belong to no Region."""

CONNECT = "AMAZON_CONNECT"
EVERYTHING = "AMAZON"
"""The service word under which AWS repeats every prefix."""

SOURCE = "https://ip-ranges.amazonaws.com/ip-ranges.json"
LARGEST_DOCUMENT_BYTES = 64 << 20
"""Above this a document is refused; the published one has 2.6 MB (2026)."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_LISTS = (("prefixes", "ip_prefix", 4), ("ipv6_prefixes", "ipv6_prefix", 6))


class RangeRow(NamedTuple):
    """One published row: a prefix, the Region it serves and the service that uses it."""

    prefix: Prefix
    region_code: str
    service: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IpRanges:
    """One dated document of published ranges.

    Parameters
    ----------
    created
        When AWS made it (``createDate``, UTC).
    sync_token
        AWS's own version number of the document.
    source
        File that it was read from, or the address that the shipped snapshot was taken from.
    by_service
        Rows of each service as published: texts, not yet numbers, since most are never asked for.
    """

    created: datetime
    sync_token: str
    source: str
    by_service: Mapping[str, tuple[tuple[str, str], ...]]
    _rows: dict[str, tuple[RangeRow, ...]] = field(default_factory=dict, repr=False, compare=False)
    _index: dict[str, _Index] = field(default_factory=dict, repr=False, compare=False)

    @property
    def retrieved(self) -> str:
        """Day of the document (ISO date)."""
        return f"{self.created:%Y-%m-%d}"

    @property
    def services(self) -> tuple[str, ...]:
        """Services that the document holds, sorted."""
        return tuple(sorted(self.by_service))

    @property
    def regions(self) -> tuple[str, ...]:
        """Regions that the document holds, sorted; without ``GLOBAL``."""
        return tuple(sorted({region for rows in self.by_service.values() for _, region in rows} - {GLOBAL}))

    def rows(self, service: str) -> tuple[RangeRow, ...]:
        """Return the rows of a service as published, in the document's order.

        Parameters
        ----------
        service
            Such as ``AMAZON_CONNECT``.

        Returns
        -------
        rows
            Empty if the document does not hold the service.
        """
        if service not in self._rows:
            self._rows[service] = tuple(
                RangeRow(parse_prefix(text), region, service) for text, region in self.by_service.get(service, ())
            )
        return self._rows[service]

    def prefixes(self, service: str, region_code: str | None = None) -> tuple[Prefix, ...]:
        """Return the prefixes of a service, sorted and each once, not collapsed.

        Parameters
        ----------
        service
            Such as ``AMAZON_CONNECT``.
        region_code
            A Region or ``GLOBAL``; ``None`` for all of them.

        Returns
        -------
        prefixes
            IPv4 first.
        """
        return tuple(
            sorted({row.prefix for row in self.rows(service) if region_code is None or row.region_code == region_code})
        )

    def region_of(self, address: str) -> str | None:
        """Return the Region that an address belongs to.

        The rows of AMAZON_CONNECT decide, then the longest match of any service.

        Parameters
        ----------
        address
            IPv4 or IPv6.

        Returns
        -------
        region_code
            ``None`` if the address is unpublished, belongs to no one Region or is no address.

        Examples
        --------
        >>> read_ranges().region_of("15.193.5.77")
        'eu-west-2'
        """
        try:
            version, value = parse_address(address)
        except ParseError:
            return None
        for service in (CONNECT, "EC2", *(name for name in self.by_service if name not in (CONNECT, "EC2"))):
            row = self._find(service, version, value)
            if row and row.region_code != GLOBAL:
                return row.region_code
        return None

    def service_of(self, address: str) -> str | None:
        """Return the service that uses an address.

        Parameters
        ----------
        address
            IPv4 or IPv6.

        Returns
        -------
        service
            ``AMAZON_CONNECT`` where it is listed so; else the service of the longest match, ``AMAZON`` only if no
            other is named; ``None`` if the address is unpublished or no address.
        """
        try:
            version, value = parse_address(address)
        except ParseError:
            return None
        found = {service: self._find(service, version, value) for service in self.by_service}
        rows = [row for row in found.values() if row]
        if not rows:
            return None
        return max(rows, key=lambda row: (row.service == CONNECT, row.service != EVERYTHING, row.prefix.length)).service

    def _find(self, service: str, version: int, value: int) -> RangeRow | None:
        if service not in self._index:
            self._index[service] = _Index.of(self.rows(service))
        return self._index[service].find(version, value)


@dataclass(frozen=True, slots=True)
class _Index:
    """Longest match by one dictionary per prefix length: a handful of look-ups, no tree."""

    tables: dict[int, list[tuple[int, dict[int, RangeRow]]]]

    @classmethod
    def of(cls, rows: Iterable[RangeRow]) -> _Index:
        by_length: dict[tuple[int, int], dict[int, RangeRow]] = {}
        for row in rows:
            shift = WIDTH_BITS[row.prefix.version] - row.prefix.length
            table = by_length.setdefault((row.prefix.version, shift), {})
            kept = table.get(row.prefix.first >> shift)
            if (
                kept is None or kept.region_code == GLOBAL
            ):  # the same block as GLOBAL and as a Region: the Region says more
                table[row.prefix.first >> shift] = row
        tables: dict[int, list[tuple[int, dict[int, RangeRow]]]] = {4: [], 6: []}
        for (version, shift), table in sorted(by_length.items(), key=lambda item: item[0]):
            tables[version].append((shift, table))  # the smallest shift is the longest prefix
        return cls(tables)

    def find(self, version: int, value: int) -> RangeRow | None:
        for shift, table in self.tables[version]:
            row = table.get(value >> shift)
            if row is not None:
                return row
        return None


def read_ranges(path: str | Path | None = None) -> IpRanges:
    """Read a document of published ranges.

    Parameters
    ----------
    path
        An ``ip-ranges.json``, plain or gzip; ``None`` for the dated snapshot that ships with the package.

    Returns
    -------
    ranges
        The document, checked.

    Raises
    ------
    ParseError
        If the file cannot be read, is cut short or is something else; the text says which.
    """
    return _shipped() if path is None else parse_ranges(_bytes_of(Path(path)), name=str(path))


@cache
def _shipped() -> IpRanges:
    packed = resources.files("ccp_assess.reference").joinpath("ip-ranges.json.gz").read_bytes()
    # Made by tools/refresh_reference.py out of a checked document; its own test checks every row again.
    return _from_document(json.loads(gzip.decompress(packed)), name="shipped snapshot", source=SOURCE, check=False)


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise ParseError(f"{path}: cannot be read ({error.strerror}); give an ip-ranges.json") from error


def parse_ranges(content: bytes, *, name: str) -> IpRanges:
    """Check and take in the bytes of an ``ip-ranges.json``.

    Parameters
    ----------
    content
        JSON in UTF-8, plain or gzip.
    name
        How to call it in messages.

    Returns
    -------
    ranges
        The document.

    Raises
    ------
    ParseError
        If it is cut short, too large, or not such a document.
    """
    text = _unpacked(content, name)
    if len(text) > LARGEST_DOCUMENT_BYTES:
        raise ParseError(f"{name}: larger than {LARGEST_DOCUMENT_BYTES >> 20} MiB, so no ip-ranges.json")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" at byte {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise ParseError(f"{name}: no whole JSON document (broken{where}); download ip-ranges.json again") from error
    return _from_document(document, name=name, source=name, check=True)


def _unpacked(content: bytes, name: str) -> bytes:
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        unpacker = zlib.decompressobj(wbits=31)
        text = unpacker.decompress(content, LARGEST_DOCUMENT_BYTES + 1)
    except zlib.error as error:
        raise ParseError(f"{name}: damaged gzip data ({error}); download ip-ranges.json again") from error
    if not unpacker.eof and len(text) <= LARGEST_DOCUMENT_BYTES:
        raise ParseError(f"{name}: the gzip data is cut short; download ip-ranges.json again")
    return text


def _from_document(document: Any, *, name: str, source: str, check: bool) -> IpRanges:
    if not isinstance(document, dict) or not isinstance(document.get("prefixes"), list):
        raise ParseError(f'{name}: no ip-ranges.json: an object with a list "prefixes" was expected')
    by_service: dict[str, list[tuple[str, str]]] = {}
    for key, column, version in _LISTS:
        rows = document.get(key, [])  # documents before 2016 have no IPv6 list
        if not isinstance(rows, list):
            raise ParseError(f'{name}: no ip-ranges.json: "{key}" must be a list')
        for number, row in enumerate(rows):
            try:
                text, region, service = row[column], row["region"], row["service"]
            except (KeyError, TypeError, IndexError) as error:
                raise ParseError(
                    f'{name}: {key}[{number}] must hold "{column}", "region" and "service"; download it again'
                ) from error
            if check:
                _check_row(text, region, service, version, f"{name}: {key}[{number}]")
            by_service.setdefault(service, []).append((text, region))
    return IpRanges(
        created=_created(document.get("createDate"), name),
        sync_token=str(document.get("syncToken", ""))[:40],
        source=source,
        by_service={service: tuple(rows) for service, rows in by_service.items()},
    )


def _check_row(text: Any, region: Any, service: Any, version: int, place: str) -> None:
    for word in (region, service):
        if not isinstance(word, str) or not _WORD.fullmatch(word):
            raise ParseError(f"{place}: {str(word)[:60]!r} is no name of a Region or service")
    if not isinstance(text, str):
        raise ParseError(f"{place}: the prefix must be text")
    try:
        prefix = parse_prefix(text)
    except ParseError as error:
        raise ParseError(f"{place}: {error}") from error
    if prefix.version != version or "/" not in text:
        raise ParseError(f"{place}: {text!r} is no IPv{version} prefix with its length")


def _created(value: Any, name: str) -> datetime:
    try:
        return datetime.strptime(value, "%Y-%m-%d-%H-%M-%S").replace(tzinfo=UTC)
    except (TypeError, ValueError) as error:
        raise ParseError(
            f'{name}: "createDate" is {str(value)[:40]!r}, an instant such as 2026-08-22-15-17-05 was expected'
        ) from error
