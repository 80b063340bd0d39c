"""Many sites in tables and sentences: from rows of the store to what people read. Unknown is never a zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ccp_assess.report.words import UNKNOWN, clean, known, minute, ms, number, pct

Row = dict[str, Any]
Rows = Sequence[Row]

_NAME_LIMIT = 60
_MOST_NAMED = 6


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
    numeric
        Whether it is a number.
    """

    name: str
    label: str
    say: Callable[[Any], str] = clean
    numeric: bool = True


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


def _ms1(value: Any) -> str:
    return ms(value, 1 if not known(value) or abs(value) >= 10 else 2)


def _pct2(value: Any) -> str:
    return pct(value, 2)


def _name(value: Any) -> str:
    return clean(value, _NAME_LIMIT)


def _text(value: Any) -> str:
    return clean(value, 400)


def _hour(value: Any) -> str:
    return UNKNOWN if value is None else f"{int(value):02d} to {(int(value) + 1) % 24:02d}"


def _instant(value: Any) -> str:
    return UNKNOWN if value is None else minute(str(value))


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


_SITE = (Column(name="site_id", label="Site", say=_name, numeric=False),)
_CLIENT_AND_SITE = (Column(name="client", label="Client", say=_name, numeric=False), *_SITE)
_QUALITY = (
    Column(name="loss_pct", label="Lost", say=_pct2),
    Column(name="late_pct", label="Too late", say=_pct2),
    Column(name="jitter_p50_ms", label="Jitter, median", say=_ms1),
    Column(name="jitter_p95_ms", label="Jitter, 95 %", say=_ms1),
    Column(name="rtt_p50_ms", label="Round trip, median", say=_ms1),
    Column(name="rtt_p95_ms", label="Round trip, 95 %", say=_ms1),
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
            name="by_provider",
            title="By provider",
            note="received audio; measured",
            columns=(Column(name="provider", label="Provider", say=_name, numeric=False), *_QUALITY),
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
                Column(name="path", label="File", say=_text, numeric=False),
                Column(name="reason", label="Why", say=_text, numeric=False),
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
        note=f"{clean(where, _NAME_LIMIT)}; received audio; measured; an hour that is not listed had no call",
        columns=(Column(name=name, label="Hour", say=_hour), *_QUALITY),
        rows=rows,
    )


_COMPARED = (
    Column(name="loss_before_pct", label="Lost and late before", say=_pct2),
    Column(name="loss_after_pct", label="after", say=_pct2),
    Column(name="loss_difference_pct", label="difference", say=_difference(2, "%")),
    Column(name="jitter_p95_before_ms", label="Jitter, 95 %, before", say=_ms1),
    Column(name="jitter_p95_after_ms", label="after", say=_ms1),
    Column(name="jitter_p95_difference_ms", label="difference", say=_difference(1, "ms")),
    Column(name="rtt_p50_before_ms", label="Round trip, median, before", say=_ms1),
    Column(name="rtt_p50_after_ms", label="after", say=_ms1),
    Column(name="rtt_p50_difference_ms", label="difference", say=_difference(1, "ms")),
    Column(name="sure", label="How sure", say=_text, numeric=False),
)
_REGION = (
    Column(name="region_code", label="Region", say=_name, numeric=False),
    Column(name="rank", label="Rank", say=number),
    Column(name="rtt_p50_ms", label="Round trip, median", say=_ms1),
    Column(name="rtt_p95_ms", label="Round trip, 95 %", say=_ms1),
    Column(name="loss_mean_pct", label="Lost, mean", say=_pct2),
    Column(name="jitter_p50_ms", label="Jitter, median", say=_ms1),
    Column(name="hop_count_p50", label="Hops, median", say=number),
    Column(name="rounds", label="Rounds", say=number),
    Column(name="trips", label="Told as", say=_name, numeric=False),
    Column(name="vantages", label="Vantage", say=_name, numeric=False),
)
_FINDING = (
    Column(name="severity", label="Severity", say=_name, numeric=False),
    Column(name="code", label="Finding", say=_name, numeric=False),
    Column(name="sites", label="Sites", say=number),
    Column(name="findings", label="Times", say=number),
    Column(name="site_ids", label="Where", say=_text, numeric=False),
    Column(name="example", label="In words, of one of them", say=_text, numeric=False),
)
_COVERAGE = (
    Column(name="name", label="Name", say=_name, numeric=False),
    Column(name="agents", label="Agents", say=number),
    Column(name="provider", label="Provider", say=_name, numeric=False),
    Column(name="captures", label="Captures", say=number),
    Column(name="calls", label="Calls", say=number),
    Column(name="probe_rounds", label="Probe rounds", say=number),
    Column(name="regions_timed", label="Regions with a round trip", say=number),
    Column(name="first_time", label="Recorded from", say=_instant, numeric=False),
    Column(name="last_time", label="to", say=_instant, numeric=False),
    Column(name="vantage", label="Vantage", say=_name, numeric=False),
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
        for key, unit, value in (
            ("loss", "pct", _lost_and_late),
            ("jitter_p95", "ms", lambda row: row.get("jitter_p95_ms")),
            ("rtt_p50", "ms", lambda row: row.get("rtt_p50_ms")),
        ):
            old, new = value(before), value(after)
            made[f"{key}_before_{unit}"], made[f"{key}_after_{unit}"] = old, new
            made[f"{key}_difference_{unit}"] = None if old is None or new is None else round(new - old, 6)
        for word, side in (("before", before), ("after", after)):
            made[f"seconds_{word}"], made[f"calls_{word}"] = side.get("seconds") or 0, side.get("calls") or 0
        told.append({**made, "sure": _how_sure(made)})
    return told


def _lost_and_late(row: Row) -> float | None:
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
        ``code``, ``client``, ``site_id`` and ``findings``.

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
        table.setdefault(str(row["code"]), dict.fromkeys(sites))[name] = float(row["findings"])
    return table


def sentences(rows: Mapping[str, Rows], set_aside: Rows = ()) -> list[str]:
    """Say the answers in sentences for people.

    Parameters
    ----------
    rows
        Name of the answer → its rows.
    set_aside
        Files that could not be read.

    Returns
    -------
    sentences
        The gravest first; each true of the rows alone.
    """
    coverage = rows.get("coverage", ())
    told = [_basis_sentence(coverage)]
    told += _worst_sentences(rows.get("worst_sites", ()))
    told += _hour_sentences(rows.get("by_hour", ()))
    told += _provider_sentences(rows.get("by_provider", ()))
    told += _region_sentences(rows.get("region_comparison", ()))
    told += _finding_sentences(rows.get("findings", ()), len(coverage))
    if set_aside:
        told.append(f"{_count(len(set_aside), 'file')} could not be read and {_was(len(set_aside))} set aside.")
    return told


def unknowns(rows: Mapping[str, Rows], *, ended: bool = True) -> list[str]:
    """Say what the dataset does not tell.

    Parameters
    ----------
    rows
        Name of the answer → its rows.
    ended
        Whether the run that made the dataset came to its end.

    Returns
    -------
    sentences
        One for each gap.
    """
    coverage = rows.get("coverage", ())
    gaps = (
        ("No capture: the quality of calls is unknown at {}.", [r for r in coverage if not r["captures"]]),
        ("The captures hold no call at {}.", [r for r in coverage if r["captures"] and not r["calls"]]),
        ("No probe: the way to the Regions is unknown at {}.", [r for r in coverage if not r["regions"]]),
        (
            "The probes tell no round trip to any Region, so none is ranked at {}.",
            [r for r in coverage if r["regions"] and not r["regions_timed"]],
        ),
        ("The number of agents is unknown at {}.", [r for r in coverage if not known(r["agents"])]),
        ("No provider is named in sites.csv for {}.", [r for r in coverage if not r["provider"]]),
    )
    told = [words.format(_named(found)) for words, found in gaps if found]
    hours = {row["hour_utc"] for row in rows.get("by_hour", ())}
    if hours and len(hours) < 24:
        told.append(f"No call was recorded in {24 - len(hours)} of the 24 hours of the day (UTC).")
    if not ended:
        told.append("The run did not come to its end: what is shown is of the units that are done. Run it again.")
    return told


def _basis_sentence(coverage: Rows) -> str:
    captures, calls = (sum(row[name] for row in coverage) for name in ("captures", "calls"))
    rounds = sum(row["probe_rounds"] for row in coverage)
    benches = [row for row in coverage if row["vantage"] == "bench"]
    told = (
        f"{_count(len(coverage), 'site')}: {_count(captures, 'capture')} with {_count(calls, 'call')} and "
        f"{_count(rounds, 'probe round')}, all of them measured"
    )
    if benches and len(benches) == len([row for row in coverage if row["captures"]]):
        return f"{told} on a test bench, not at a client's desk."
    return f"{told}, at {_named(benches)} on a test bench." if benches else f"{told}."


def _worst_sentences(rows: Rows) -> list[str]:
    if not rows:
        return ["No received audio is in the dataset: nothing can be said about the quality of calls."]
    worst, value = rows[0], _lost_and_late(rows[0])
    where = f"At {clean(worst['site_id'], _NAME_LIMIT)}"
    if known(value) and value:
        told = (
            f"{where} most audio towards the agents was lost or came too late: {_pct2(value)} in "
            f"{number(worst['seconds'])} seconds; jitter was at most {ms(worst['jitter_p95_ms'], 2)} in 95 % of them."
        )
    else:
        told = (
            f"No site lost audio towards its agents; {where[3:]} has the highest jitter, at most "
            f"{ms(worst['jitter_p95_ms'], 2)} in 95 % of its {number(worst['seconds'])} seconds."
        )
    slow = max((row for row in rows if known(row["rtt_p50_ms"])), key=lambda row: row["rtt_p50_ms"], default=None)
    if slow is None or len(rows) < 2:
        return [told]
    longest = (
        f"The longest way to the media server is that of {clean(slow['site_id'], _NAME_LIMIT)}: a round trip of "
        f"{ms(slow['rtt_p50_ms'])} in the median of {number(slow['rtt_n'])}."
    )
    return [told, longest]


def _hour_sentences(rows: Rows) -> list[str]:
    if len(rows) < 2:
        return [f"All calls lie in one hour of the day, {_hour(rows[0]['hour_utc'])} UTC."] if rows else []
    worst = max(rows, key=lambda row: (_lost_and_late(row) or 0.0, row["jitter_p95_ms"] or 0.0))
    value = _lost_and_late(worst)
    if not value:
        return [f"No hour of the day lost audio; calls lie in {len(rows)} of 24 hours."]
    return [f"The worst hour of the day is {_hour(worst['hour_utc'])} UTC with {_pct2(value)} lost or too late."]


def _provider_sentences(rows: Rows) -> list[str]:
    named = [row for row in rows if row["provider"] != UNKNOWN and known(_lost_and_late(row))]
    if len(named) < 2:
        return []
    worst = max(named, key=lambda row: (_lost_and_late(row) or 0.0, row["jitter_p95_ms"] or 0.0))
    value = _lost_and_late(worst) or 0.0
    if not value:
        return [f"No audio was lost behind any of the {len(named)} providers."]
    return [f"Of {len(named)} providers {_name(worst['provider'])} loses most: {_pct2(value)} lost or too late."]


def _region_sentences(rows: Rows) -> list[str]:
    _, best = region_grid(rows)
    if not best:
        return []
    counts: dict[str, int] = {}
    for _, code in best:
        counts[code] = counts.get(code, 0) + 1
    code, count = max(counts.items(), key=lambda item: (item[1], item[0]))
    sites = len({name for name, _ in best})
    words = f"{clean(code, 40)} is the nearest Region by round trip at {count} of {_count(sites, 'site')}"
    return [f"{words} where several Regions were timed."]


def _finding_sentences(rows: Rows, sites: int) -> list[str]:
    grave = [row for row in rows if row["severity"] in ("critical", "warning")]
    if not grave:
        return ["Nothing grave was found at any site."] if sites else []
    top = max(grave, key=lambda row: (row["sites"], row["severity"] == "critical", row["findings"]))
    if top["sites"] > 1:
        words = f"{clean(top['code'], 60)} was found at {top['sites']} of {sites} sites"
        return [f"{words}: what many sites share has one cause, look there first."]
    words = f"{_count(len(grave), 'kind')} of grave findings, each at one site only"
    return [f"{words}: no sign of a common cause; the gravest come first."]


def _count(count: int, word: str) -> str:
    return f"{number(count)} {word}{'' if count == 1 else 's'}"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _named(rows: Rows) -> str:
    names = [clean(row["site_id"], 40) for row in rows[:_MOST_NAMED]]
    more = len(rows) - len(names)
    if more:
        return f"{', '.join(names)} and {more} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
