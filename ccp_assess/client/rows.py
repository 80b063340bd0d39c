"""Rows of the client's tables become sites, callers, transfer targets and reroutes, or one clear sentence."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeVar, cast

from ccp_assess.client.places import locate
from ccp_assess.client.problems import Problems
from ccp_assess.csvtext import Row, choice, flag, integer, listed, number, optional_number, optional_text, text
from ccp_assess.errors import TableError, quoted
from ccp_assess.sites import Access, CallerOrigin, Line, Reroute, Site, TransferTarget
from ccp_assess.tables import LAYOUTS, TableLayout

SHARE_TOLERANCE_PCT = 0.5
"""Shares may miss 100 by this much, since people round [%]."""

MOST_AGENTS = 10_000_000
LONGEST_ID = 200
_NAMES_OF_RING = 12

_OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "place": ("city", "town", "location", "ort", "ville", "ciudad", "cidade"),
    "latitude": ("lat",),
    "longitude": ("lon", "lng", "long"),
    "agents": ("agent", "agent_count", "headcount", "seats", "staff", "fte", "users"),
    "site_id": ("site", "id"),
    "origin_id": ("origin", "caller", "id"),
    "target_id": ("target", "transfer", "id"),
    "call_share_pct": ("share", "share_pct", "pct", "percent"),
    "share_of_calls_pct": ("share", "share_pct", "pct", "percent"),
    "share_of_agents_pct": ("share", "share_pct", "pct", "percent"),
    "uplink_mbps": ("bandwidth", "bandwidth_mbps", "uplink", "mbps"),
    "via_site_id": ("hub", "via"),
}
"""Words that people use for our columns: good for a hint, never taken silently."""

_COMMON_WORDS = frozenset({"id", "pct", "of", "share", "site", "count", "number"})

_Record = TypeVar("_Record")


def sites_from_rows(rows: Sequence[Row]) -> tuple[Site, ...]:
    """Read the sites.

    Parameters
    ----------
    rows
        Rows of ``sites.csv`` or of the sheet ``sites``, at least one.

    Returns
    -------
    sites
        In the order of the rows.

    Raises
    ------
    TableError
        Naming file, row and column, and what to do.
    """
    problems = Problems()
    sites = _records(rows, LAYOUTS["sites"], _site, problems)
    _check_unique(rows, "site_id", problems)
    sites = _check_hubs(rows, sites, problems)
    problems.raise_first()
    if not sum(site.agents for site in sites):
        raise TableError("no site has any agents; fill in how many work at each", file=rows[0].file, column="agents")
    return tuple(sites)


def callers_from_rows(rows: Sequence[Row]) -> tuple[CallerOrigin, ...]:
    """Read the caller origins.

    Parameters
    ----------
    rows
        Rows of ``callers.csv`` or of the sheet ``callers``, at least one.

    Returns
    -------
    callers
        In the order of the rows.

    Raises
    ------
    TableError
        Naming file, row and column, and what to do.
    """
    problems = Problems()
    callers = _records(rows, LAYOUTS["callers"], _caller, problems)
    _check_unique(rows, "origin_id", problems)
    problems.raise_first()
    _check_sum(rows[0].file, "call_share_pct", [caller.call_share_pct for caller in callers])
    return tuple(callers)


def transfers_from_rows(rows: Sequence[Row]) -> tuple[TransferTarget, ...]:
    """Read the transfer targets.

    Parameters
    ----------
    rows
        Rows of ``transfers.csv`` or of the sheet ``transfers``, at least one.

    Returns
    -------
    transfers
        In the order of the rows.

    Raises
    ------
    TableError
        Naming file, row and column, and what to do.
    """
    problems = Problems()
    transfers = _records(rows, LAYOUTS["transfers"], _transfer, problems)
    _check_unique(rows, "target_id", problems)
    problems.raise_first()
    return tuple(transfers)


def reroutes_from_rows(rows: Sequence[Row], sites: Iterable[Site]) -> tuple[Reroute, ...]:
    """Read the reroutes.

    Parameters
    ----------
    rows
        Rows of ``reroutes.csv`` or of the sheet ``reroutes``, at least one.
    sites
        The sites that they may concern.

    Returns
    -------
    reroutes
        In the order of the rows.

    Raises
    ------
    TableError
        Naming file, row and column, and what to do.
    """
    problems = Problems()
    reroutes = _records(rows, LAYOUTS["reroutes"], _reroute, problems)
    known = {site.site_id.casefold(): site.site_id for site in sites}
    for row in rows:
        site_id = row.cells.get("site_id", "")
        if site_id and site_id.casefold() not in known:
            problems.add(row.wrong("site_id", _unknown_site(site_id, known.values())))
    _check_share_by_site(rows, reroutes, problems)
    problems.raise_first()
    return tuple(replace(reroute, site_id=known[reroute.site_id.casefold()]) for reroute in reroutes)


def extra_cells(rows: Sequence[Row], layout: TableLayout) -> tuple[Mapping[str, str], ...]:
    """Return the cells of columns that are not ours.

    Parameters
    ----------
    rows
        Rows of a table.
    layout
        What we understand of it.

    Returns
    -------
    extras
        One mapping of column to text for each row.
    """
    return tuple({name: cell for name, cell in row.cells.items() if name not in layout.columns} for row in rows)


def unused_columns(rows: Sequence[Row], layout: TableLayout) -> tuple[str, ...]:
    """Say which columns look like a slip of the pen for one of ours.

    Parameters
    ----------
    rows
        Rows of a table.
    layout
        What we understand of it.

    Returns
    -------
    sentences
        One for each such column.
    """
    names = rows[0].cells if rows else {}
    absent = [column for column in layout.columns if column not in names]
    slips = ((name, _closest(name, absent)) for name in names if name not in layout.columns and name != "country")
    return tuple(
        f"{rows[0].file}: the column {quoted(name)} is kept but not used; if it is meant to be {meant}, rename it."
        for name, meant in slips
        if meant
    )


def _records(
    rows: Sequence[Row],
    layout: TableLayout,
    record: Callable[[Row, Problems], _Record | None],
    problems: Problems,
) -> list[_Record]:
    _check_columns(rows, layout)
    return [made for row in rows if (made := record(row, problems)) is not None]


def _check_columns(rows: Sequence[Row], layout: TableLayout) -> None:
    names = list(rows[0].cells)
    for column in layout.required:
        if column not in names:
            raise TableError(_missing_column(column, names), file=rows[0].file, column=column)
    if not any(set(way) <= set(names) for way in layout.location):
        ways = " or ".join(" and ".join(way) for way in layout.location)
        found = next((_hint(way[0], names) for way in layout.location if _hint(way[0], names)), "")
        raise TableError(f"the table does not say where its rows are; add the column {ways}{found}", file=rows[0].file)


def _missing_column(column: str, names: Sequence[str]) -> str:
    return f"the column is missing; add it{_hint(column, names)} (the header has {listed(names)})"


def _hint(column: str, names: Sequence[str]) -> str:
    meant = _closest(column, names)
    return f", or rename {quoted(meant)} if that is it" if meant else ""


def _closest(name: str, others: Sequence[str]) -> str | None:
    """Return the name that was probably meant: a slip of the pen, another word for it, or a longer or shorter form."""
    close = difflib.get_close_matches(name, others, n=1, cutoff=0.75)
    if close:
        return close[0]
    akin = _OTHER_WORDS.get(name, ())
    words = set(name.split("_")) - _COMMON_WORDS
    return next(
        (
            other
            for other in others
            if other in akin or name in _OTHER_WORDS.get(other, ()) or words & set(other.split("_"))
        ),
        None,
    )


def _site(row: Row, problems: Problems) -> Site | None:
    before = len(problems)
    site_id = problems.take(_id, row, "site_id")
    agents = problems.take(_agents, row)
    location = problems.take(locate, row)
    access = problems.take(choice, row, "access", LAYOUTS["sites"].choices["access"], default="office")
    subnets = problems.take(_subnets, row)
    uplink_mbps = problems.take(_uplink, row)
    if len(problems) > before or site_id is None or agents is None or location is None or subnets is None:
        return None
    return Site(
        site_id=site_id,
        name=_label(row, "name") or site_id,
        latitude=location.latitude,
        longitude=location.longitude,
        place=location.place,
        country=location.country,
        agents=agents,
        access=cast("Access", access),
        subnets=subnets,
        uplink_mbps=uplink_mbps,
        via_site_id=optional_text(row, "via_site_id"),
    )


def _caller(row: Row, problems: Problems) -> CallerOrigin | None:
    before = len(problems)
    origin_id = problems.take(_id, row, "origin_id")
    location = problems.take(locate, row, by_country=True)
    share = problems.take(_share, row, "call_share_pct")
    line = problems.take(choice, row, "line", LAYOUTS["callers"].choices["line"], default="mixed")
    if len(problems) > before or origin_id is None or location is None or share is None:
        return None
    return CallerOrigin(
        origin_id=origin_id,
        latitude=location.latitude,
        longitude=location.longitude,
        place=location.place,
        country=location.country,
        call_share_pct=share,
        line=cast("Line", line),
    )


def _transfer(row: Row, problems: Problems) -> TransferTarget | None:
    before = len(problems)
    target_id = problems.take(_id, row, "target_id")
    location = problems.take(locate, row)
    share = problems.take(_share, row, "share_of_calls_pct")
    circular = problems.take(flag, row, "circular")
    if len(problems) > before or target_id is None or location is None or share is None:
        return None
    return TransferTarget(
        target_id=target_id,
        latitude=location.latitude,
        longitude=location.longitude,
        place=location.place,
        country=location.country,
        share_of_calls_pct=share,
        circular=bool(circular),
    )


def _reroute(row: Row, problems: Problems) -> Reroute | None:
    before = len(problems)
    site_id = problems.take(_id, row, "site_id")
    location = problems.take(locate, row)
    share = problems.take(_share, row, "share_of_agents_pct", default=100.0)
    if len(problems) > before or site_id is None or location is None or share is None:
        return None
    return Reroute(
        site_id=site_id,
        latitude=location.latitude,
        longitude=location.longitude,
        place=location.place,
        country=location.country,
        share_of_agents_pct=share,
    )


def _id(row: Row, column: str) -> str:
    name = text(row, column)
    if not name.isprintable():
        raise row.wrong(column, "the name holds a line break or a control character; use letters, digits and hyphens")
    if len(name) > LONGEST_ID:
        raise row.wrong(column, f"the name has {len(name)} characters; shorten it to {LONGEST_ID} at most")
    return name


def _label(row: Row, column: str) -> str | None:
    written = optional_text(row, column)
    return re.sub(r"\s+", " ", written).strip() if written else None


def _agents(row: Row) -> int:
    cell = row.cells.get("agents", "")
    if cell.startswith(("-", "\u2212")):
        raise row.wrong("agents", f"{cell[:60]!r} is negative; write the number of agents, 0 or more")
    return integer(row, "agents", low=0, high=MOST_AGENTS)


def _uplink(row: Row) -> float | None:
    uplink_mbps = optional_number(row, "uplink_mbps", low=0)
    if uplink_mbps == 0:
        raise row.wrong("uplink_mbps", "0 Mbit/s carries no calls; leave the cell empty if the uplink is unknown")
    return uplink_mbps


def _share(row: Row, column: str, *, default: float | None = None) -> float:
    if default is not None and not row.cells.get(column):
        return default
    return number(row, column, low=0, high=100)


def _subnets(row: Row) -> tuple[str, ...]:
    cidrs = re.split(r"[\s,;|]+", row.cells.get("subnets", ""))
    return tuple(_subnet(row, cidr) for cidr in cidrs if cidr)


def _subnet(row: Row, cidr: str) -> str:
    try:
        return str(ipaddress.ip_network(cidr, strict=False))  # 10.20.1.7/16 is meant as 10.20.0.0/16
    except ValueError:
        raise row.wrong(
            "subnets", f"{cidr[:60]!r} is no CIDR; write subnets as in 10.20.0.0/16, separated by blanks"
        ) from None


def _check_unique(rows: Sequence[Row], column: str, problems: Problems) -> None:
    first: dict[str, Row] = {}
    for row in rows:
        name = row.cells.get(column, "")
        if not name:
            continue
        # folders of evidence carry these names, and Windows does not tell LIS from lis
        seen = first.setdefault(name.casefold(), row)
        if seen is not row:
            problems.add(
                row.wrong(column, f"{name[:60]!r} stands in row {seen.line} already; give each row a name of its own")
            )


def _check_hubs(rows: Sequence[Row], sites: list[Site], problems: Problems) -> list[Site]:
    ids = [row.cells.get("site_id", "") for row in rows]
    known = {site_id.casefold(): site_id for site_id in ids}
    via = {row.cells.get("site_id", "").casefold(): row.cells.get("via_site_id", "").casefold() for row in rows}
    rings = _rings(via)
    for row, site_id in zip(rows, ids, strict=True):
        hub = row.cells.get("via_site_id", "")
        if hub and hub.casefold() not in known:
            problems.add(row.wrong("via_site_id", _unknown_site(hub, known.values())))
        elif site_id.casefold() in rings:
            way = " to ".join(known[member] for member in _along(via, site_id.casefold()))
            problems.add(
                row.wrong("via_site_id", f"the way out goes in a circle ({way}); one of them must leave locally")
            )
    return [_with_hub(site, known) for site in sites]


def _with_hub(site: Site, known: Mapping[str, str]) -> Site:
    if site.via_site_id is None:
        return site
    return replace(site, via_site_id=known.get(site.via_site_id.casefold(), site.via_site_id))


def _along(via: Mapping[str, str], start: str) -> Iterator[str]:
    """Yield the sites of a ring as far as they are named, from one of them and back to it if it is as short."""
    here = start
    for step in range(_NAMES_OF_RING + 1):
        yield here
        if step and here == start:
            return
        here = via[here]


def _rings(via: Mapping[str, str]) -> set[str]:
    """Return each site that is part of a ring; every site is walked over once."""
    rings: set[str] = set()
    settled: set[str] = set()
    for start in via:
        way: dict[str, None] = {}
        here = start
        while here in via and here not in settled and here not in way:
            way[here] = None
            here = via[here]
        if here in way:
            walked = list(way)
            rings.update(walked[walked.index(here) :])
        settled.update(way)
    return rings


def _unknown_site(site_id: str, known: Collection[str]) -> str:
    named = ", ".join(islice(known, 12)) + (", ..." if len(known) > 12 else "")
    return f"{site_id[:60]!r} is no site; known sites are {named}"


def _check_sum(file: str, column: str, shares: Sequence[float]) -> None:
    total = sum(shares)
    if abs(total - 100) <= SHARE_TOLERANCE_PCT + 1e-9:
        return
    fractions = " (write 60 for 60 %, not 0.6)" if abs(total - 1) <= SHARE_TOLERANCE_PCT / 100 else ""
    raise TableError(
        f"the shares add up to {total:.6g} %, they must add up to 100 (give or take {SHARE_TOLERANCE_PCT}); "
        f"correct them{fractions}",
        file=file,
        column=column,
    )


def _check_share_by_site(rows: Sequence[Row], reroutes: Sequence[Reroute], problems: Problems) -> None:
    totals: dict[str, float] = {}
    for reroute in reroutes:
        key = reroute.site_id.casefold()
        totals[key] = totals.get(key, 0.0) + reroute.share_of_agents_pct
    for row in rows:
        key = row.cells.get("site_id", "").casefold()
        total = totals.pop(key, 0.0)
        if total > 100 + SHARE_TOLERANCE_PCT:
            problems.add(
                row.wrong(
                    "share_of_agents_pct",
                    f"the shares of {row.cells['site_id'][:60]!r} add up to {total:.6g} %, more than all its agents",
                )
            )
