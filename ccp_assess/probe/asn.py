"""Who owns a hop, from a table on this computer: nothing is asked of anyone.

Read are: rows of ``prefix, asn, name`` (comma, semicolon or tab), rows of ``first, last, asn, country, name`` (the form
of iptoasn.com), plain or gzip, and MaxMind's ``.mmdb`` where the package ``maxminddb`` is installed.
"""

from __future__ import annotations

import csv
import gzip
import ipaddress
import re
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from ccp_assess.errors import TableError
from ccp_assess.probe.traced import ProbedPath

MAX_BYTES = 512 << 20
MAX_NAME_CHARS = 80
_NUMBER = re.compile(r"(?:AS)?(\d{1,10})", re.IGNORECASE)


class AutonomousSystem(NamedTuple):
    """An autonomous system: its number and, as the table names it, its owner."""

    number: int
    name: str


@dataclass(slots=True)
class AsnTable:
    """Address → autonomous system.

    Parameters
    ----------
    source
        The file.
    blocks
        Per IP version: first addresses, sorted, and what begins there (last address, system); nested blocks follow
        their parents.
    database
        A MaxMind reader in place of blocks.
    """

    source: str
    blocks: dict[int, list[tuple[int, int, AutonomousSystem]]] = field(default_factory=lambda: {4: [], 6: []})
    database: Any = None
    _ends: dict[int, list[tuple[int, AutonomousSystem | None]]] = field(default_factory=dict)

    def find(self, address: str) -> AutonomousSystem | None:
        """Return who owns an address.

        Parameters
        ----------
        address
            IPv4 or IPv6.

        Returns
        -------
        system
            ``None`` if the table does not say, or it is no address.
        """
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return None
        if self.database is not None:
            row = self.database.get(str(parsed)) or {}
            number = row.get("autonomous_system_number") if isinstance(row, dict) else None
            if not isinstance(number, int):
                return None
            return AutonomousSystem(number, str(row.get("autonomous_system_organization", ""))[:MAX_NAME_CHARS])
        if parsed.version not in self._ends:
            self._ends[parsed.version] = _flatten(self.blocks[parsed.version])
        changes = self._ends[parsed.version]
        place = bisect_right(changes, int(parsed), key=lambda change: change[0]) - 1
        return changes[place][1] if place >= 0 else None

    def name_hops(self, path: ProbedPath) -> ProbedPath:
        """Return a path whose hops have their AS numbers.

        Parameters
        ----------
        path
            As probed.

        Returns
        -------
        path
            The same with ``asn`` where the table says it.
        """
        hops = tuple(
            replace(hop, asn=found.number) if hop.address and (found := self.find(hop.address)) else hop
            for hop in path.path.hops
        )
        return replace(path, path=replace(path.path, hops=hops))


def _flatten(blocks: Iterable[tuple[int, int, AutonomousSystem]]) -> list[tuple[int, AutonomousSystem | None]]:
    """Turn nested blocks into changes of owner along the addresses: the innermost block owns."""
    changes: list[tuple[int, AutonomousSystem | None]] = []
    open_blocks: list[tuple[int, AutonomousSystem]] = []

    def close_before(first: int) -> None:
        while open_blocks and open_blocks[-1][0] < first:
            last, _ = open_blocks.pop()
            changes.append((last + 1, open_blocks[-1][1] if open_blocks else None))

    for first, last, system in sorted(blocks, key=lambda block: (block[0], -block[1])):
        close_before(first)
        changes.append((first, system))
        open_blocks.append((last, system))
    while open_blocks:
        last, _ = open_blocks.pop()
        changes.append((last + 1, open_blocks[-1][1] if open_blocks else None))
    # Of several changes at one address the last one holds.
    return [
        change
        for change, after in zip(changes, [*changes[1:], None], strict=True)
        if not after or after[0] != change[0]
    ]


def read_asn_table(path: str | Path) -> AsnTable:
    """Read a table of prefixes and their autonomous systems.

    Parameters
    ----------
    path
        CSV, TSV (also gzip) or MMDB.

    Returns
    -------
    table
        To look addresses up in.

    Raises
    ------
    TableError
        If it cannot be read; the text names file and row.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise TableError(f"cannot be read ({error.strerror}); give a table of prefixes", file=str(file)) from error
    if b"\xab\xcd\xefMaxMind.com" in content[-131_072:]:
        return _open_mmdb(file)
    if content.startswith(b"\x1f\x8b"):
        try:
            content = zlib.decompressobj(wbits=31).decompress(content, MAX_BYTES + 1)
        except (zlib.error, gzip.BadGzipFile) as error:
            raise TableError(f"damaged gzip data ({error})", file=str(file)) from error
    if len(content) > MAX_BYTES:
        raise TableError(f"larger than {MAX_BYTES >> 20} MiB; give a smaller table", file=str(file))
    table = AsnTable(str(file))
    for row, first, last, system in _rows(content.decode("utf-8-sig", "replace"), str(file)):
        if first.version != last.version or int(last) < int(first):
            raise TableError(f"{first} to {last} is no block of addresses", file=str(file), row=row)
        table.blocks[first.version].append((int(first), int(last), system))
    if not any(table.blocks.values()):
        raise TableError("holds no row of prefix, AS number and name", file=str(file))
    return table


_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def _rows(text: str, file: str) -> Iterator[tuple[int, _Ip, _Ip, AutonomousSystem]]:
    lines = text.splitlines()
    head = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    delimiter = max("\t;,", key=head.count)
    for number, line in enumerate(lines, start=1):
        try:
            row = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
        except csv.Error as error:
            raise TableError(f"no readable row ({error})", file=file, row=number) from error
        if not any(row) or row[0].startswith("#"):
            continue
        block = _block(row)
        if block is None:
            if line is head and not any(character.isdigit() for character in row[0]):
                continue  # the names of the columns
            raise TableError(f"{row[0][:60]!r} is no prefix; rows are: prefix, AS number, name", file=file, row=number)
        first, last, rest = block
        found = _NUMBER.fullmatch(rest[0]) if rest else None
        if found is None:
            raise TableError(f"no AS number beside {row[0][:60]!r}", file=file, row=number)
        name = rest[-1] if len(rest) > 1 else ""
        if int(found[1]):  # 0 means: routed by nobody
            yield number, first, last, AutonomousSystem(int(found[1]), name[:MAX_NAME_CHARS])


def _block(row: list[str]) -> tuple[_Ip, _Ip, list[str]] | None:
    try:
        if len(row) >= 3 and "/" not in row[0] and not _NUMBER.fullmatch(row[1]):
            return ipaddress.ip_address(row[0]), ipaddress.ip_address(row[1]), row[2:]
        network = ipaddress.ip_network(row[0], strict=False)
    except ValueError:
        return None
    return network[0], network[-1], row[1:]


def _open_mmdb(file: Path) -> AsnTable:
    try:
        import maxminddb  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 -- an optional reader
    except ImportError as error:
        problem = "is a MaxMind database; install the package maxminddb, or give the table as CSV"
        raise TableError(problem, file=str(file)) from error
    try:
        return AsnTable(str(file), database=maxminddb.open_database(str(file)))
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        raise TableError(f"damaged MaxMind database ({error})", file=str(file)) from error
