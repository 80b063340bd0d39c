"""Many sites in sentences: what the rows of the store say, and what they do not tell."""

from __future__ import annotations

from collections.abc import Mapping

from ccp_assess.report.content.many_sites import (
    NAME_LIMIT,
    Rows,
    hour_words,
    lost_and_late,
    pct2,
    region_grid,
)
from ccp_assess.report.words import UNKNOWN, clean, known, ms, number

_MOST_NAMED = 6


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
    told += _failure_sentences(coverage)
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


def _failure_sentences(coverage: Rows) -> list[str]:
    places = sorted((row for row in coverage if row["failed"]), key=lambda row: -row["failed"])
    if not places:
        return []
    failed, calls = (sum(row[name] for row in coverage) for name in ("failed", "calls"))
    return [f"{number(failed)} of {_count(calls, 'call')} failed, at {_named(places)}."]


def _worst_sentences(rows: Rows) -> list[str]:
    if not rows:
        return ["No received audio is in the dataset: nothing can be said about the quality of calls."]
    worst, value = rows[0], lost_and_late(rows[0])
    where = f"At {clean(worst['site_id'], NAME_LIMIT)}"
    if known(value) and value:
        told = (
            f"{where} most audio towards the agents was lost or came too late: {pct2(value)} in "
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
        f"The longest way to the media server is that of {clean(slow['site_id'], NAME_LIMIT)}: a round trip of "
        f"{ms(slow['rtt_p50_ms'])} in the median of {number(slow['rtt_n'])}."
    )
    return [told, longest]


def _hour_sentences(rows: Rows) -> list[str]:
    if len(rows) < 2:
        return [f"All calls lie in one hour of the day, {hour_words(rows[0]['hour_utc'])} UTC."] if rows else []
    worst = max(rows, key=lambda row: (lost_and_late(row) or 0.0, row["jitter_p95_ms"] or 0.0))
    value = lost_and_late(worst)
    if not value:
        return [f"No hour of the day lost audio; calls lie in {len(rows)} of 24 hours."]
    return [f"The worst hour of the day is {hour_words(worst['hour_utc'])} UTC with {pct2(value)} lost or too late."]


def _provider_sentences(rows: Rows) -> list[str]:
    named = [row for row in rows if row["provider"] != UNKNOWN and known(lost_and_late(row))]
    if len(named) < 2:
        return []
    worst = max(named, key=lambda row: (lost_and_late(row) or 0.0, row["jitter_p95_ms"] or 0.0))
    value = lost_and_late(worst) or 0.0
    if not value:
        return [f"No audio was lost behind any of the {len(named)} providers."]
    return [
        f"Of {len(named)} providers {clean(worst['provider'], NAME_LIMIT)} loses most: {pct2(value)} lost or too late."
    ]


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
        return [f"{words}: what many sites share often has one cause, look there first."]
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
