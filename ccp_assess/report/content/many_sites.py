"""Many sites in tables: from rows of the store to what people read. Unknown is never a zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ccp_assess.report.words import UNKNOWN, clean, day, known, minute, ms, number, pct

Row = dict[str, Any]
Rows = Sequence[Row]

NAME_LIMIT = 60
_MOST_NEAREST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column that is shown.

    Parameters
    ----------
    name
        Of the value in a row.
    label
        Heading.
    say
        Writes the value; the unit is in the words.
    kind
        A number, a short word that stays on its line, or a text that may be long.
    """

    name: str
    label: str
    say: Callable[[Any], str] = clean
    kind: Literal["number", "word", "text"] = "number"

    @property
    def numeric(self) -> bool:
        """Whether it is a number."""
        return self.kind == "number"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """An answer as a table.

    Parameters
    ----------
    name
        Of the answer.
    title
        What it tells.
    note
        Basis, order and units, in a few words.
    columns, rows
        What is shown, and of what.
    """

    name: str
    title: str
    note: str
    columns: tuple[Column, ...]
    rows: Rows

    def cells(self, row: Row) -> list[str]:
        """Return a row as text."""
        return [column.say(row.get(column.name)) for column in self.columns]


def ms1(value: Any) -> str:
    """Write a duration with the digits that it deserves [ms]."""
    return ms(value, 1 if not known(value) or abs(value) >= 10 else 2)


def pct2(value: Any) -> str:
    """Write a share with two digits [%]."""
    return pct(value, 2)


def _name(value: Any) -> str:
    return clean(value, NAME_LIMIT)


def _text(value: Any) -> str:
    return clean(value, 400)


def hour_words(value: Any) -> str:
    """Write an hour of the day as a span."""
    return UNKNOWN if value is None else f"{int(value):02d} to {(int(value) + 1) % 24:02d}"


def _instant(value: Any) -> str:
    return UNKNOWN if value is None else minute(str(value))


def _outcome(value: Any) -> str:
    return "with audio" if value == "media" else clean(value, 40)


def _mos(value: Any) -> str:
    return number(value, 2)


def _listed(value: Any) -> str:
    """Write codes that stand in one text, or in a list."""
    if value is None or value == "":
        return "none"
    return clean(value if isinstance(value, str) else ", ".join(map(str, value)), 400)


def _bench(value: Any) -> str:
    return "bench" if value == "bench" else ""


def _difference(digits: int, unit: str) -> Callable[[Any], str]:
    """Write a difference: more is worse for all that is compared here."""

    def say(value: Any) -> str:
        if not known(value):
            return UNKNOWN
        rounded = round(float(value), digits)
        if rounded == 0:
            return "none"
        sign, word = ("+", "worse") if rounded > 0 else ("", "better")
        return f"{sign}{number(rounded, digits)}\u202f{unit} {word}"

    return say


_SITE = (Column(name="site_id", label="Site", say=_name, kind="text"),)
_CLIENT_AND_SITE = (Column(name="client", label="Client", say=_name, kind="text"), *_SITE)
_QUALITY = (
    Column(name="loss_pct", label="Lost", say=pct2),
    Column(name="late_pct", label="Too late", say=pct2),
    Column(name="jitter_p50_ms", label="Jitter, median", say=ms1),
    Column(name="jitter_p95_ms", label="Jitter, 95 %", say=ms1),
    Column(name="rtt_p50_ms", label="Round trip, median", say=ms1),
    Column(name="rtt_p95_ms", label="Round trip, 95 %", say=ms1),
    Column(name="rtt_n", label="Round trips", say=number),
    Column(name="seconds", label="Seconds heard", say=number),
)


def tables(rows: Mapping[str, Rows], set_aside: Rows = ()) -> dict[str, Table]:
    """Return all answers as tables.

    Parameters
    ----------
    rows
        Name of the answer → its rows, as of the store.
    set_aside
        Files that could not be read: ``path`` and ``reason``.

    Returns
    -------
    tables
        By name, in the order in which they are read.
    """
    site = site_columns(rows)
    made = [
        Table(
            name="worst_sites",
            title="Sites, worst first",
            note="received audio; measured; by share lost and too late, then jitter",
            columns=(*site, *_QUALITY),
            rows=rows.get("worst_sites", ()),
        ),
        hours_table(rows.get("by_hour", ()), clock="UTC", where="all sites"),
        Table(
            name="by_day",
            title="By day, UTC",
            note="received audio; measured; a day that is not listed had no call",
            columns=(*site[:-1], Column(name="day", label="Day", say=day, kind="word"), *_QUALITY),
            rows=rows.get("by_day", ()),
        ),
        Table(
            name="by_region",
            title="By Region of the call",
            note="received audio; measured",
            columns=(*site[:-1], Column(name="region_code", label="Region", say=_name, kind="word"), *_QUALITY),
            rows=rows.get("by_region", ()),
        ),
        Table(
            name="worst_calls",
            title="Calls, worst first",
            note="calls that failed, then by the quality of what the agent heard",
            columns=(*site, *_CALL),
            rows=rows.get("worst_calls", ()),
        ),
        Table(
            name="by_provider",
            title="By provider",
            note="received audio; measured",
            columns=(Column(name="provider", label="Provider", say=_name, kind="text"), *_QUALITY),
            rows=rows.get("by_provider", ()),
        ),
    ]
    if "before_after" in rows:
        made.append(
            Table(
                name="before_after",
                title="Before and after",
                note="received audio; measured; a positive difference is worse",
                columns=(*site, *_COMPARED),
                rows=compared(rows["before_after"]),
            )
        )
    made += [
        Table(
            name="region_comparison",
            title="Regions by site, nearest first",
            note="round trips of the probes; measured from the vantage named",
            columns=(*site, *_REGION),
            rows=rows.get("region_comparison", ()),
        ),
        Table(
            name="findings",
            title="Findings by number of sites",
            note="gravest first",
            columns=_FINDING,
            rows=rows.get("findings", ()),
        ),
        Table(
            name="coverage",
            title="What each site was asked",
            note="counts of what is in the dataset",
            columns=(*site, *_COVERAGE),
            rows=rows.get("coverage", ()),
        ),
        Table(
            name="set_aside",
            title="Files set aside",
            note="they could not be read; everything else was",
            columns=(
                Column(name="path", label="File", say=_text, kind="text"),
                Column(name="reason", label="Why", say=_text, kind="text"),
            ),
            rows=set_aside,
        ),
    ]
    return {table.name: table for table in made}


def site_columns(rows: Mapping[str, Rows]) -> tuple[Column, ...]:
    """Return what names a site: the client too where there are several.

    Parameters
    ----------
    rows
        Of all answers.

    Returns
    -------
    columns
        One or two.
    """
    clients = {row.get("client") for row in rows.get("coverage", ())}
    return _CLIENT_AND_SITE if len(clients) > 1 else _SITE


def hours_table(rows: Rows, *, clock: str, where: str) -> Table:
    """Return the hours of the day as a table.

    Parameters
    ----------
    rows
        Of all sites (``hour_utc``) or of one (``hour``).
    clock
        Whose hours they are.
    where
        At which sites.

    Returns
    -------
    table
        Hours without calls are not in it.
    """
    name = "hour" if rows and "hour" in rows[0] else "hour_utc"
    return Table(
        name="by_hour",
        title=f"By hour of the day, {clean(clock, 40)}",
        note=f"{clean(where, NAME_LIMIT)}; received audio; measured; an hour that is not listed had no call",
        columns=(Column(name=name, label="Hour", say=hour_words), *_QUALITY),
        rows=rows,
    )


_COMPARED = (
    Column(name="loss_change", label="Lost and late", say=_text, kind="text"),
    Column(name="loss_difference_pct", label="difference", say=_difference(2, "points")),
    Column(name="jitter_p95_change", label="Jitter, 95 %", say=_text, kind="text"),
    Column(name="jitter_p95_difference_ms", label="difference", say=_difference(2, "ms")),
    Column(name="rtt_p50_change", label="Round trip, median", say=_text, kind="text"),
    Column(name="rtt_p50_difference_ms", label="difference", say=_difference(1, "ms")),
    Column(name="sure", label="How sure", say=_text, kind="text"),
)
_REGION = (
    Column(name="region_code", label="Region", say=_name, kind="word"),
    Column(name="rank", label="Rank", say=number),
    Column(name="rtt_p50_ms", label="Round trip, median", say=ms1),
    Column(name="rtt_p95_ms", label="Round trip, 95 %", say=ms1),
    Column(name="loss_mean_pct", label="Lost, mean", say=pct2),
    Column(name="jitter_p50_ms", label="Jitter, median", say=ms1),
    Column(name="hop_count_p50", label="Hops, median", say=number),
    Column(name="rounds", label="Rounds", say=number),
    Column(name="trips", label="Told as", say=_name, kind="word"),
    Column(name="vantages", label="Vantage", say=_name, kind="word"),
)
_CALL = (
    Column(name="start_time", label="Began", say=_instant, kind="text"),
    Column(name="outcome", label="Outcome", say=_outcome, kind="word"),
    Column(name="region_code", label="Region", say=_name, kind="word"),
    Column(name="in_mos_cqe", label="MOS", say=_mos),
    Column(name="in_loss_pct", label="Lost", say=pct2),
    Column(name="in_late_pct", label="Too late", say=pct2),
    Column(name="in_jitter_ms", label="Jitter", say=ms1),
    Column(name="rtt_media_ms_p95", label="Round trip, 95 %", say=ms1),
    Column(name="relay_transport", label="Relay by", say=_name, kind="word"),
    Column(name="findings", label="Findings", say=_listed, kind="text"),
)
_FINDING = (
    Column(name="severity", label="Severity", say=_name, kind="word"),
    Column(name="code", label="Finding", say=_name, kind="word"),
    Column(name="sites", label="Sites", say=number),
    Column(name="findings", label="Times", say=number),
    Column(name="site_ids", label="Where", say=_text, kind="text"),
    Column(name="example", label="In words, of one of them", say=_text, kind="text"),
)
_COVERAGE = (
    Column(name="name", label="Name", say=_name, kind="text"),
    Column(name="agents", label="Agents", say=number),
    Column(name="provider", label="Provider", say=_name, kind="text"),
    Column(name="captures", label="Captures", say=number),
    Column(name="calls", label="Calls", say=number),
    Column(name="failed", label="of them failed", say=number),
    Column(name="probe_rounds", label="Probe rounds", say=number),
    Column(name="regions_timed", label="Regions with a round trip", say=number),
    Column(name="first_time", label="Recorded from", say=_instant, kind="text"),
    Column(name="last_time", label="to", say=_instant, kind="text"),
    Column(name="vantage", label="Bench", say=_bench, kind="word"),
)


def compared(rows: Rows) -> list[Row]:
    """Set before and after beside each other, a row per site.

    Parameters
    ----------
    rows
        Of the view ``before_after``: one per site and period.

    Returns
    -------
    rows
        Values before, after and their difference; ``None`` where a side is unknown.
    """
    sides: dict[tuple[Any, Any], dict[str, Row]] = {}
    for row in rows:
        sides.setdefault((row["client"], row["site_id"]), {})[row["period"]] = row
    told = []
    for (client, site_id), found in sides.items():
        before, after = found.get("before", {}), found.get("after", {})
        made: Row = {"client": client, "site_id": site_id}
        for key, unit, value, say in (
            ("loss", "pct", lost_and_late, pct2),
            ("jitter_p95", "ms", lambda row: row.get("jitter_p95_ms"), ms1),
            ("rtt_p50", "ms", lambda row: row.get("rtt_p50_ms"), ms1),
        ):
            old, new = value(before), value(after)
            made[f"{key}_before_{unit}"], made[f"{key}_after_{unit}"] = old, new
            made[f"{key}_change"] = None if old is None and new is None else f"{say(old)} → {say(new)}"
            made[f"{key}_difference_{unit}"] = None if old is None or new is None else round(new - old, 6)
        for word, side in (("before", before), ("after", after)):
            made[f"seconds_{word}"], made[f"calls_{word}"] = side.get("seconds") or 0, side.get("calls") or 0
        told.append({**made, "sure": _how_sure(made)})
    return told


def lost_and_late(row: Row) -> float | None:
    """Return the share of the audio that could not be played; unknown where the loss is [%]."""
    lost = row.get("loss_pct")
    return None if not known(lost) else float(lost) + float(row.get("late_pct") or 0.0)  # type: ignore[arg-type]


def _how_sure(row: Row) -> str:
    counts = [(row[f"seconds_{word}"], row[f"calls_{word}"]) for word in ("before", "after")]
    words = [f"{number(s)} s in {number(c)} {'call' if c == 1 else 'calls'}" for s, c in counts]
    if not all(seconds for seconds, _ in counts):
        side = "before" if not counts[0][0] else "after"
        return f"nothing was heard {side}: no comparison"
    told = f"{words[0]} before, {words[1]} after"
    return f"{told}: single calls, not yet the site" if min(calls for _, calls in counts) <= 1 else told


def nearest_table(rows: Rows, columns: tuple[Column, ...]) -> Table:
    """Return the nearest three Regions of each site, a row per site.

    Parameters
    ----------
    rows
        Of the view ``region_comparison``.
    columns
        What names a site.

    Returns
    -------
    table
        For a page, where all Regions of all sites would be too many.
    """
    found: dict[tuple[Any, Any], Row] = {}
    for row in rows:
        site = found.setdefault(
            (row["client"], row["site_id"]), {"client": row["client"], "site_id": row["site_id"], "timed": 0}
        )
        if not known(row["rtt_p50_ms"]):
            continue
        site["timed"] += 1
        if site["timed"] <= _MOST_NEAREST:
            words = f"{clean(row['region_code'], 40)} {ms1(row['rtt_p50_ms'])}"
            hops = "" if row["hop_count_p50"] is None else f", {number(row['hop_count_p50'])} hops"
            site[f"nearest_{site['timed']}"] = words + hops
        for name in ("trips", "vantages"):
            told = [words for one in (site.get(name), row.get(name)) if one for words in str(one).split(", ")]
            site[name] = ", ".join(dict.fromkeys(told)) or None
    return Table(
        name="nearest",
        title="The nearest Regions of each site",
        note="median round trip of the probes; measured from the vantage named",
        columns=(
            *columns,
            *(
                Column(name=f"nearest_{place}", label=words, say=_text, kind="text")
                for place, words in enumerate(("Nearest", "Second", "Third"), start=1)
            ),
            Column(name="timed", label="Regions timed", say=number),
            Column(name="trips", label="Told as", say=_name, kind="word"),
            Column(name="vantages", label="Vantage", say=_name, kind="word"),
        ),
        rows=list(found.values()),
    )


def region_grid(rows: Rows) -> tuple[dict[str, dict[str, float | None]], list[tuple[str, str]]]:
    """Arrange the Regions of all sites for a heat map.

    Parameters
    ----------
    rows
        Of the view ``region_comparison``.

    Returns
    -------
    table
        Site → Region → median round trip; ``None`` where it is unknown [ms].
    best
        Site and Region of each site's nearest, where at least two of its Regions are known.
    """
    several = len({row["client"] for row in rows}) > 1
    codes = sorted({str(row["region_code"]) for row in rows}, key=lambda code: _total(rows, code))
    table: dict[str, dict[str, float | None]] = {}
    for row in rows:
        name = f"{row['client']} {row['site_id']}" if several else str(row["site_id"])
        table.setdefault(name, dict.fromkeys(codes))[str(row["region_code"])] = row["rtt_p50_ms"]
    best = []
    for name, cells in table.items():
        timed = {code: value for code, value in cells.items() if value is not None}
        if len(timed) > 1:
            best += [(name, code) for code, value in timed.items() if value == min(timed.values())]
    return table, best


def _total(rows: Rows, code: str) -> tuple[float, str]:
    values = [row["rtt_p50_ms"] for row in rows if row["region_code"] == code and known(row["rtt_p50_ms"])]
    return (sum(values) / len(values) if values else float("inf")), code


def finding_grid(rows: Rows) -> dict[str, dict[str, float | None]]:
    """Arrange findings by code and site for a heat map.

    Parameters
    ----------
    rows
        ``code``, ``client``, ``site_id`` and ``findings``; several of one code and site are added up.

    Returns
    -------
    table
        Code → site → count; ``None`` where there is none.
    """
    several = len({row["client"] for row in rows}) > 1
    names = [f"{row['client']} {row['site_id']}" if several else str(row["site_id"]) for row in rows]
    sites = list(dict.fromkeys(sorted(names)))
    table: dict[str, dict[str, float | None]] = {}
    for name, row in zip(names, rows, strict=True):
        cells = table.setdefault(str(row["code"]), dict.fromkeys(sites))
        cells[name] = (cells[name] or 0.0) + float(row["findings"])
    return table
