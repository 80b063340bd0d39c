"""Plain lists of blocks and names, and the tables that this program writes itself."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from ccp_assess.allowlist.inputs.model import (
    EVERY_PORT,
    ClientRule,
    ClientRules,
    Skipped,
    of_prefixes,
    of_range,
    read_ports,
)
from ccp_assess.errors import ParseError
from ccp_assess.prefixes import parse_prefix

_HOST = re.compile(r"[.*]?[a-z0-9*_-]*(?:\.[a-z0-9*_-]+)+\.?|\*", re.ASCII | re.IGNORECASE)


def target(text: str) -> tuple[Any, tuple[str, ...]]:
    """Read a target of a list.

    Parameters
    ----------
    text
        A block, an address, a range, a name or a URL.

    Returns
    -------
    addresses
        ``None`` for a name.
    hosts
        The name with its path, empty for a block.

    Raises
    ------
    ParseError
        If it is none of them.
    """
    if text and (text[0].isdigit() or ":" in text) and "://" not in text:
        low, dash, high = text.partition("-")
        try:
            return (of_range(low, high) if dash else of_prefixes([parse_prefix(text, strict=False)])), ()
        except ParseError:
            if ":" in text and not text.rpartition(":")[2].isdigit():
                raise
    bare = re.sub(r"^[a-z]+://", "", text, flags=re.IGNORECASE)
    host, slash, path = bare.partition("/")
    host = re.sub(r":\d{1,5}$", "", host)
    if not _HOST.fullmatch(host):
        raise ParseError(f"{text[:60]!r} is neither a block nor a name")
    return None, (host.rstrip(".").lower() + (slash + path if path not in {"", "*"} else ""),)


def read_list(text: str) -> ClientRules:
    """Read a plain list: one block, range, name or URL a line; ``#``, ``;`` and ``//`` begin comments.

    Parameters
    ----------
    text
        The file.

    Returns
    -------
    rules
        Each line allowed for every port.
    """
    rules: list[ClientRule] = []
    skipped = Skipped()
    for number, line in enumerate(text.splitlines(), 1):
        bare = line if "#" not in line and ";" not in line else re.split(r"\s*[#;]", line, maxsplit=1)[0]
        bare = bare.strip().strip(",\"'")
        if not bare or bare.startswith("//"):
            continue
        for word in re.split(r"[,\s]+", bare):
            try:
                addresses, hosts = target(word)
            except ParseError:
                skipped.add("neither a block nor a name", number)
                continue
            rules.append(ClientRule(number, bare, True, "outbound", "any", 0, 65535, None, addresses, hosts, "list"))
    return ClientRules(format="plain list", rules=tuple(rules), dedicated=True, notes=skipped.notes())


def read_rows(rows: list[tuple[int, dict[str, Any]]], form: str) -> ClientRules:
    """Read rows with the names of the JSON contract.

    Parameters
    ----------
    rows
        Line numbers and rows with ``target`` and, where known, ``port``, ``transport``, ``direction`` and ``from``.
    form
        What the file was taken for.

    Returns
    -------
    rules
        One per row.
    """
    read: list[ClientRule] = []
    skipped = Skipped()
    for number, row in rows:
        try:
            word = str(row.get("target") or "").strip().lstrip("'")
            addresses, hosts = target(word)
            low, high = read_ports(str(row.get("port") or "").removeprefix("any"))
            origin = row.get("from") or ()
            words = origin.replace(",", " ").split() if isinstance(origin, str) else [str(part) for part in origin]
            words = [part for part in words if part.lower() not in {"any", "*"}]
            source = of_prefixes([parse_prefix(part, strict=False) for part in words]) if words else None
        except ParseError as error:
            skipped.add(str(error), number)
            continue
        transport = str(row.get("transport") or "any").strip().lower()
        inbound = str(row.get("direction") or "").strip().lower() == "inbound"
        action = str(row.get("action") or "allow").strip().lower()
        read.append(
            ClientRule(
                number,
                f"{word} {row.get('port') or 'any'}/{transport}",
                action in {"allow", "accept", "permit", "pass"},
                "inbound" if inbound else "outbound",
                transport if transport in {"tcp", "udp"} else "any",
                low,
                high,
                addresses if inbound else source,
                source if inbound else addresses,
                hosts,
                "table",
            )
        )
    return ClientRules(format=form, rules=tuple(read), dedicated=True, notes=skipped.notes())


def read_table(text: str) -> ClientRules | None:
    """Read a CSV table with a column ``target`` (or what clients call it); ``None`` if there is none."""
    head = text.split("\n", 1)[0]
    separator = max(",;\t", key=head.count)
    table = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        head_cells = next(table, [])
        names = [_column(cell) for cell in head_cells]
        if names.count("from") > 1:  # our own table: "from" is where the workstations are, "source" where we read it
            names = [cell.strip().lower() if _column(cell) == "from" else _column(cell) for cell in head_cells]
        if "target" not in names:
            return None
        rows = [(table.line_num, dict(zip(names, cells, strict=False))) for cells in table if cells]
    except csv.Error as error:
        raise ParseError(f"is no CSV table: {error}") from error
    return read_rows([(number, row) for number, row in rows if str(row.get("target") or "").strip()], "CSV table")


def _column(cell: str) -> str:
    word = re.sub(r"[^a-z]", "", cell.lower())
    return {
        "target": "target",
        "destination": "target",
        "dst": "target",
        "cidr": "target",
        "prefix": "target",
        "ipprefix": "target",
        "domain": "target",
        "host": "target",
        "url": "target",
        "from": "from",
        "source": "from",
        "src": "from",
        "port": "port",
        "ports": "port",
        "dport": "port",
        "transport": "transport",
        "protocol": "transport",
        "proto": "transport",
        "direction": "direction",
        "action": "action",
    }.get(word, cell.strip().lower())


__all__ = ["EVERY_PORT", "read_list", "read_rows", "read_table", "target"]
