"""Plain lists of blocks and names, and the tables that this program writes itself."""

from __future__ import annotations

import csv
import io
import re
from functools import lru_cache
from typing import Any

from ccp_assess.allowlist.inputs.model import (
    EVERY_PORT,
    ClientRule,
    ClientRules,
    Skipped,
    merged,
    of_masked,
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
        address, slash, mask = text.partition("/")
        try:
            if slash and mask.startswith("255."):
                return of_masked(address, mask), ()
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
        if bare.startswith("!"):
            skipped.add("an exception from the list", number)
            continue
        bare = re.sub(r"(?<=\d)\s+(?=255\.)", "/", bare)  # an address and its netmask
        for word in re.split(r"[,\s]+", bare):
            try:
                addresses, hosts = target(word)
            except ParseError:
                skipped.add("neither a block nor a name", number)
                continue
            rules.append(ClientRule(number, bare, True, "outbound", "any", 0, 65535, None, addresses, hosts, "list"))
    return ClientRules(format="plain list", rules=tuple(rules), dedicated=True, notes=skipped.notes())


def read_rows(rows: list[tuple[int, dict[str, Any]]], form: str) -> ClientRules:
    """Read rows with the names of the JSON contract, or with those of other tables of rules.

    Parameters
    ----------
    rows
        Line numbers and rows with ``target`` and, where known, ``port`` or ``service``, ``transport``, ``direction``,
        ``from``, ``action`` and ``enabled`` or ``disabled``. A cell may hold several targets, ports or services.
    form
        What the file was taken for.

    Returns
    -------
    rules
        In the order of the rows. Rows with actions are a firewall's; without, the list is taken for this service's.
    """
    read: list[ClientRule] = []
    skipped = Skipped()
    columns = {name for _, row in rows for name in row}
    may_be_off = bool({"enabled", "disabled", "status"} & columns)
    for number, row in rows:
        if may_be_off and _is_off(row):
            continue
        try:
            read += _row(number, row)
        except ParseError as error:
            skipped.add(str(error), number)
    is_dedicated = not may_be_off and "action" not in columns
    return ClientRules(format=form, rules=tuple(read), dedicated=is_dedicated, notes=skipped.notes())


def _row(number: int, row: dict[str, Any]) -> list[ClientRule]:
    words = _words(row.get("target"))
    targets = [(None, ())] if words and all(_is_any(word) for word in words) else [target(word) for word in words]
    near = [word for word in _words(row.get("from")) if not _is_any(word)]
    source = merged([target(word)[0] for word in near]) if near else None
    services = _services(row)
    inbound = str(row.get("direction") or "").strip().lower() in _INBOUND
    allow = str(row.get("action") or "allow").strip().lower() in _ALLOW
    text = " ".join(words)[:120]
    return [
        ClientRule(
            number,
            f"{text} {'any' if (low, high) == EVERY_PORT else low if low == high else f'{low}-{high}'}/{transport}",
            allow,
            "inbound" if inbound else "outbound",
            transport,
            low,
            high,
            addresses if inbound else source,
            source if inbound else addresses,
            hosts,
            "table",
        )
        for addresses, hosts in targets
        for transport, low, high in services
    ]


_PLAIN = re.compile(r"[0-9A-Za-z:./*-]+")


def _services(row: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Read port, transport and service of a row, each of which may hold several: ``tcp/443``, ``udp:3478-3481``."""
    return list(_read_services(*(str(row.get(key) or "") for key in ("transport", "port", "service"))))


@lru_cache(maxsize=4096)
def _read_services(transport: str, port: str, service: str) -> tuple[tuple[str, int, int], ...]:
    given = _words(transport, r"[\s,;/|&+]+") or ["any"]
    transports = [_TRANSPORTS.get(word.lower(), word.lower()) for word in given]
    transports = ["any" if one == "any" else one for one in dict.fromkeys(transports) if one in {"tcp", "udp", "any"}]
    services = [_service(word, transports) for word in (*_words(port), *_words(service))]
    return tuple(one for held in services for one in held) or tuple((one, *EVERY_PORT) for one in transports)


def _service(word: str, transports: list[str]) -> list[tuple[str, int, int]]:
    if _is_any(word):
        return [(one, *EVERY_PORT) for one in transports]
    parts = [part for part in re.split(r"[/:_]", word.lower()) if part]
    named = [_TRANSPORTS[part] for part in parts if part in _TRANSPORTS]
    ports = [part for part in parts if part not in _TRANSPORTS] or ["0-65535"]
    low, high = read_ports("".join(ports) if len(ports) == 1 else word)
    if not named and transports == ["any"] and word.lower() in {"http", "https"}:
        named = ["tcp"]
    return [(one, low, high) for one in named or transports]


def _words(cell: Any, separators: str = r"[\s,;|]+") -> list[str]:
    """Return what a cell holds; a JSON list is one already."""
    if not cell:
        return []
    if isinstance(cell, list | tuple):
        return [str(part) for part in cell]
    if isinstance(cell, str) and _PLAIN.fullmatch(cell):
        return [cell]  # nearly all of a long table
    text = re.sub(r"\s*-\s*(?=[0-9])", "-", str(cell or "").strip().lstrip("'"))
    text = re.sub(r"(?<=\d)\s+(?=255\.)", "/", text)  # an address and its netmask
    return [word for word in re.split(separators, text) if word]


def _is_any(word: str) -> bool:
    return word.strip().lower() in {"any", "all", "*", "alle", "tous", "toutes", "todos", "cualquiera", "beliebig"}


def _is_off(row: dict[str, Any]) -> bool:
    """Tell whether a row is switched off."""
    enabled = str(row.get("enabled") if row.get("enabled") is not None else row.get("status") or "").strip().lower()
    disabled = str(row.get("disabled") if row.get("disabled") is not None else "").strip().lower()
    return enabled in _NO or disabled in _YES


_NO = {
    "no",
    "false",
    "0",
    "off",
    "disabled",
    "disable",
    "inactive",
    "nein",
    "non",
    "n",
    "aus",
    "inaktiv",
    "deaktiviert",
}
_YES = {"yes", "true", "1", "on", "disabled", "ja", "oui", "si", "s\u00ed", "y", "x"}
_ALLOW = {"allow", "accept", "permit", "pass", "allowed", "accepted", "permitted", "zulassen", "erlauben", "autoriser",
          "permitir", "aceptar", "accepter", "ja", "yes"}  # fmt: skip
_INBOUND = {"inbound", "in", "ingress", "incoming", "eingehend", "entrant", "entrada"}
_TRANSPORTS = {
    "tcp": "tcp", "udp": "udp", "6": "tcp", "17": "udp", "any": "any", "all": "any", "ip": "any", "*": "any",
    "both": "any", "alle": "any", "tous": "any",
}  # fmt: skip
_LAST_HEADER_LINE = 10


def read_table(text: str) -> ClientRules | None:
    """Read a CSV table with a column ``target`` (or what clients call it); ``None`` if there is none.

    A title may stand above the header.
    """
    head = "\n".join(text.split("\n", _LAST_HEADER_LINE)[:_LAST_HEADER_LINE])
    separator = max(",;\t", key=head.count)
    table = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        rows = [(table.line_num, cells) for cells in table if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise ParseError(f"is no CSV table: {error}") from error
    for at, (number, cells) in enumerate(rows):
        if number > _LAST_HEADER_LINE:
            break
        names = _header(cells)
        if "target" in names:
            found = [(line, dict(zip(names, row, strict=False))) for line, row in rows[at + 1 :]]
            return read_rows([(line, row) for line, row in found if row.get("target", "").strip()], "CSV table")
    return None


def _header(cells: list[str]) -> list[str]:
    names = [_column(cell) for cell in cells]
    if names.count("from") > 1:  # our own table: "from" is where the workstations are, "source" where we read it
        return [cell.strip().lower() if _column(cell) == "from" else _column(cell) for cell in cells]
    return names


def _column(cell: str) -> str:
    word = re.sub(r"[^a-z]", "", cell.lower())
    return next((name for name, words in _COLUMNS.items() if word in words), cell.strip().lower())


_COLUMNS = {
    "target": frozenset(
        {"target", "destination", "destinations", "dst", "dest", "destinationaddress", "destinationip", "dstaddr",
         "cidr", "prefix", "ipprefix", "domain", "host", "url", "fqdn", "ziel", "zieladresse", "destino", "to"}
    ),
    "from": frozenset(
        {"from", "source", "sources", "src", "sourceaddress", "sourceip", "srcaddr", "quelle", "quelladresse", "origen"}
    ),
    "port": frozenset(
        {"port", "ports", "dport", "destinationport", "destinationports", "dstport", "zielport", "puerto", "puertos"}
    ),
    "service": frozenset({"service", "services", "dienst", "dienste", "servicio", "servicios"}),
    "transport": frozenset({"transport", "protocol", "protocols", "proto", "protokoll", "protocole", "protocolo"}),
    "direction": frozenset({"direction", "richtung", "sens"}),
    "action": frozenset({"action", "aktion", "accion", "accin", "verdict"}),
    "enabled": frozenset({"enabled", "active", "aktiv", "actif", "activo"}),
    "disabled": frozenset({"disabled", "inactive"}),
    "status": frozenset({"status", "state"}),
}  # fmt: skip
"""Our names of columns, and what other tables of rules call them."""


__all__ = ["EVERY_PORT", "read_list", "read_rows", "read_table", "target"]
