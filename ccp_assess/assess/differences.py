"""Two assessments of one client held against each other: what is closed, still open, new, or cannot be compared.

A finding is closed only if the same thing was tested again in the same way and did not show; that nobody looked again
is no improvement. "In the same way" means at the same site, from the same vantage (a workstation, a test bench) and
at about the same hour of the day, unless the caller says that this does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

HOURS_APART = 2.0
"""Tests whose hours of the day differ by more than this are not compared [h]: networks are busy by the clock."""

Kind = Literal["captures", "probes", "logs", "rules", "tables"]

_SUBJECT = ("region_code", "role", "transport", "direction", "missing", "phase")
"""What in the evidence says which thing a finding is about; everything else in it is measured and changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """One thing that an assessment looked at.

    Parameters
    ----------
    kind
        What was looked at.
    site_id
        Where; ``None`` if that is unknown.
    vantage
        ``workstation`` or ``bench``; ``None`` if unknown.
    time
        When (RFC 3339); ``None`` if unknown.
    region_code
        Towards which Region, for probes; ``None`` otherwise.
    """

    kind: Kind
    site_id: str | None
    vantage: str | None = None
    time: str | None = None
    region_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """How the findings of two assessments differ.

    Parameters
    ----------
    closed
        Findings of the old assessment that a comparable test no longer shows.
    open
        Findings of both, with the old wording as ``text_was`` and ``severity_was``.
    new
        Findings of the new assessment that the old one does not have.
    not_comparable
        Findings of one of them that the other could not have shown, each with ``reason`` and with ``seen_in``
        (``old`` or ``new``).
    recommendation
        ``{"was": [...], "is": [...]}``: the recommended Regions.
    """

    closed: tuple[dict[str, Any], ...]
    open: tuple[dict[str, Any], ...]
    new: tuple[dict[str, Any], ...]
    not_comparable: tuple[dict[str, Any], ...]
    recommendation: dict[str, list[str]]

    def to_document(self) -> dict[str, Any]:
        """Return the differences as the JSON document of ``ccp-assess assess diff``."""
        return {
            "closed": list(self.closed),
            "open": list(self.open),
            "new": list(self.new),
            "not_comparable": list(self.not_comparable),
            "recommendation": self.recommendation,
        }


def compare_assessments(
    old: dict[str, Any], new: dict[str, Any], *, any_vantage: bool = False, any_hour: bool = False
) -> Differences:
    """Hold two assessments of one client against each other.

    Parameters
    ----------
    old, new
        Documents of ``ccp-assess assess``.
    any_vantage
        Whether tests on a bench and at a workstation may be compared.
    any_hour
        Whether tests at different hours of the day may be compared.

    Returns
    -------
    differences
        Each finding in exactly one of the four lists; those of the same kind at the same site are one.
    """
    before, after = _findings(old), _findings(new)
    old_tests, new_tests = tuple(_tests(old)), tuple(_tests(new))

    def reason(key: _Key, own: Iterable[Examination], other: Iterable[Examination], *, then: bool) -> str | None:
        return _why_not(key, own, other, then=then, any_vantage=any_vantage, any_hour=any_hour)

    closed, lasting, fresh, apart = [], [], [], []
    for key, finding in before.items():
        if key in after:
            was = {"text_was": finding["text"], "severity_was": finding["severity"]}
            lasting.append({**after[key], **was})
        elif why := reason(key, old_tests, new_tests, then=True):
            apart.append({**finding, "seen_in": "old", "reason": why})
        else:
            closed.append(finding)
    for key, finding in after.items():
        if key in before:
            continue
        # a site that was never tested before has nothing to compare with: what shows there is new
        if any(_same_thing(key, test) for test in old_tests) and (why := reason(key, new_tests, old_tests, then=False)):
            apart.append({**finding, "seen_in": "new", "reason": why})
        else:
            fresh.append(finding)
    return Differences(
        closed=tuple(closed),
        open=tuple(lasting),
        new=tuple(fresh),
        not_comparable=tuple(apart),
        recommendation={"was": _recommended(old), "is": _recommended(new)},
    )


@dataclass(frozen=True, slots=True)
class _Key:
    """What makes a finding of one visit the same as one of another visit."""

    kind: Kind
    code: str
    site_id: str | None
    subject: tuple[tuple[str, str], ...]

    @property
    def region_code(self) -> str | None:
        return dict(self.subject).get("region_code")


def _recommended(document: dict[str, Any]) -> list[str]:
    return list((document.get("recommendation") or {}).get("regions") or [])


def _findings(document: dict[str, Any]) -> dict[_Key, dict[str, Any]]:
    """Return the findings of an assessment by what they are about; the gravest stands for those of one kind."""
    rows: dict[_Key, dict[str, Any]] = {}
    order = {"critical": 0, "warning": 1, "info": 2}
    diagnosed = list(_diagnoses(document))
    by_region = {(row["code"], row["site_id"]) for row in diagnosed}  # said Region by Region, which compares better
    listed = (
        row
        for row in document.get("findings", ())
        if _kind_of(row) != "probes" or (row["code"], row.get("site_id")) not in by_region
    )
    told = [*listed, *diagnosed]
    for finding in sorted(told, key=lambda row: order.get(row["severity"], 3)):
        evidence = finding.get("evidence") or {}
        about = {name: str(evidence[name]) for name in _SUBJECT if evidence.get(name) is not None}
        if finding.get("region_code"):
            about["region_code"] = str(finding["region_code"])
        kind, site = _kind_of(finding), finding.get("site_id")
        key = _Key(kind, str(finding["code"]), site, tuple(sorted(about.items())))
        row = rows.setdefault(
            key,
            {
                "code": finding["code"],
                "severity": finding["severity"],
                "text": finding["text"],
                "site_id": site,
                "region_code": about.get("region_code"),
                "file": finding.get("file"),
                "times_seen": 0,
            },
        )
        row["times_seen"] += 1
    return rows


def _diagnoses(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return what probes diagnosed, as findings, Region by Region."""
    for probe in document.get("measurements", ()):
        for region in probe["regions"]:
            for row in region.get("diagnosis") or ():
                file = probe.get("source") or "probes/"
                yield {
                    **row,
                    "site_id": probe.get("site_id"),
                    "region_code": region.get("region_code"),
                    "file": file if str(file).startswith("probes/") else f"probes/{file}",
                }


def _kind_of(finding: dict[str, Any]) -> Kind:
    file = str(finding.get("file") or "")
    for kind in ("captures", "probes", "logs", "rules"):
        if file.startswith(f"{kind}/"):
            return kind
    return "tables"


def _tests(document: dict[str, Any]) -> Iterator[Examination]:
    """Return everything that an assessment looked at."""
    for row in document.get("tested", ()):
        yield Examination(
            kind=row["kind"],
            site_id=row.get("site_id"),
            vantage=row.get("vantage"),
            time=row.get("time"),
            region_code=row.get("region_code"),
        )


def _same_thing(key: _Key, test: Examination) -> bool:
    if test.kind != key.kind or test.site_id != key.site_id:
        return False
    return key.kind != "probes" or key.region_code is None or test.region_code == key.region_code


def _why_not(
    key: _Key,
    own: Iterable[Examination],
    other: Iterable[Examination],
    *,
    then: bool,
    any_vantage: bool,
    any_hour: bool,
) -> str | None:
    """Say why a finding of one assessment could not have shown in the other; ``None`` if it could."""
    if key.kind == "tables":
        return None  # the tables are judged anew each time
    mine = [test for test in own if _same_thing(key, test)]
    theirs = [test for test in other if _same_thing(key, test)]
    where = f"site {key.site_id}" if key.site_id else "this place"
    if not theirs:
        return f"{_LOOKED[key.kind]} {where} {'again' if then else 'before'}."
    if key.kind == "rules":
        return None
    alike: list[tuple[bool, Callable[[Examination, Examination], bool], str]] = [
        (any_vantage, lambda a, b: a.vantage == b.vantage, _vantages(mine, theirs, then=then)),
        (any_hour, _same_hour, _hours(mine, theirs, then=then)),
    ]
    pairs = [(a, b) for a in mine for b in theirs]
    for ignored, fits, words in alike:
        if ignored or not mine:
            continue
        pairs = [pair for pair in pairs if fits(*pair)]
        if not pairs:
            return words
    return None


_LOOKED = {
    "captures": "No call was captured at",
    "probes": "Nothing was probed from",
    "logs": "No log was read from",
    "rules": "No firewall rules were audited for",
}


def _same_hour(one: Examination, two: Examination) -> bool:
    hours = _hour(one.time), _hour(two.time)
    if hours[0] is None or hours[1] is None:
        return False  # nobody knows
    apart = abs(hours[0] - hours[1])
    return min(apart, 24 - apart) <= HOURS_APART


def _hour(time: str | None) -> float | None:
    try:
        moment = datetime.fromisoformat(time or "")
    except ValueError:
        return None
    return moment.hour + moment.minute / 60


def _vantages(mine: list[Examination], theirs: list[Examination], *, then: bool) -> str:
    first, second = (mine, theirs) if then else (theirs, mine)
    words = [", ".join(sorted({test.vantage or "an unknown vantage" for test in tests})) for tests in (first, second)]
    return f"It was tested from {words[0]} then and from {words[1]} now."


def _hours(mine: list[Examination], theirs: list[Examination], *, then: bool) -> str:
    first, second = (mine, theirs) if then else (theirs, mine)
    words = [", ".join(sorted({_clock(test.time) for test in tests})[:3]) for tests in (first, second)]
    return f"It was tested at {words[0]} then and at {words[1]} now."


def _clock(time: str | None) -> str:
    hour = _hour(time)
    return "an unknown hour" if hour is None else f"{int(hour):02d}:{round(hour % 1 * 60):02d} UTC"
