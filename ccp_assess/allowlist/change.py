"""What changes in the published ranges for a Region, and what must be done by when.

AWS keeps a new prefix unused for at least 30 days, then raises its share over two weeks. The clock starts when a
prefix is first published; where a prefix is withdrawn and comes back, it starts again. What stands in the first
snapshot is taken as allowed already.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ccp_assess.allowlist.rules import connect_rows, ec2_rows
from ccp_assess.errors import AllowlistError
from ccp_assess.prefixes import WIDTH_BITS, Prefix, Spans, contains, spans_of
from ccp_assess.ranges import CONNECT, IpRanges, RangeRow
from ccp_assess.regions import region_by_code

UNUSED = timedelta(days=30)
"""How long a new prefix is published before the service uses it (networking page)."""

RAMP = timedelta(days=14)
"""How long the share of traffic through it then rises (networking page)."""

SERVICES = (CONNECT, "EC2", "CLOUDFRONT")

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:\d\d)?)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """A prefix that came after the first snapshot and is still published.

    Parameters
    ----------
    row
        Prefix, Region and service.
    first_seen
        Start of its clock.
    already_covered_by
        Prefixes, allowed before it came, that hold all of it; ``None`` if it needs a rule.
    moved_from
        The Region that it served before.
    flaps
        How often it was withdrawn and came back (count).
    today
        The day of the question.
    """

    row: RangeRow
    first_seen: datetime
    already_covered_by: str | None
    moved_from: str | None
    flaps: int
    today: datetime

    @property
    def deadline(self) -> datetime:
        """From here on the service may use it."""
        return self.first_seen + UNUSED

    @property
    def ramp_until(self) -> datetime:
        """From here on it carries its full share."""
        return self.deadline + RAMP

    @property
    def status(self) -> str:
        """``no_action``, ``to_allow``, ``ramp`` or ``in_use``."""
        if self.already_covered_by is not None:
            return "no_action"
        if self.today < self.deadline:
            return "to_allow"
        return "ramp" if self.today < self.ramp_until else "in_use"

    def to_row(self) -> dict[str, Any]:
        """Return the JSON of the contract, with the stage of the clock."""
        return {
            "prefix": self.row.prefix.text,
            "service": self.row.service,
            "region_code": self.row.region_code,
            "first_seen": instant_text(self.first_seen),
            "deadline": instant_text(self.deadline),
            "ramp_until": instant_text(self.ramp_until),
            "already_covered_by": self.already_covered_by,
            "status": self.status,
            "days_left": (self.deadline - self.today) // timedelta(days=1),
            "moved_from": self.moved_from,
            "flaps": self.flaps,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A prefix that was published and is no more.

    Parameters
    ----------
    row
        Prefix, Region and service.
    last_seen
        Last document that held it.
    gone_since
        First document without it.
    still_covered_by
        Prefixes still published for the same use that hold all of it; ``None`` if its rule is stale.
    keep
        Prefixes inside it that are still published: its rule may go only when these have rules of their own.
    moved_to
        The Region that it serves now.
    """

    row: RangeRow
    last_seen: datetime
    gone_since: datetime
    still_covered_by: str | None
    keep: tuple[str, ...]
    moved_to: str | None

    def to_row(self) -> dict[str, Any]:
        """Return the JSON of the contract, with what to mind."""
        return {
            "prefix": self.row.prefix.text,
            "service": self.row.service,
            "region_code": self.row.region_code,
            "last_seen": instant_text(self.last_seen),
            "gone_since": instant_text(self.gone_since),
            "still_covered_by": self.still_covered_by,
            "keep": list(self.keep),
            "moved_to": self.moved_to,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What changed for some Regions over dated snapshots.

    Parameters
    ----------
    regions
        Codes of the Regions.
    today
        The day of the question.
    snapshots
        Days of the documents, in order.
    added, removed
        Sorted by service and address.
    """

    regions: tuple[str, ...]
    today: datetime
    snapshots: tuple[datetime, ...]
    added: tuple[Addition, ...]
    removed: tuple[Removal, ...]

    @property
    def open(self) -> tuple[Addition, ...]:
        """Additions that need a rule, the most urgent first."""
        return tuple(
            sorted((a for a in self.added if a.already_covered_by is None), key=lambda a: (a.deadline, a.row.prefix))
        )

    def to_document(self) -> dict[str, Any]:
        """Return the JSON of the contract."""
        return {
            "regions": list(self.regions),
            "today": instant_text(self.today),
            "snapshots": [instant_text(created) for created in self.snapshots],
            "added": [addition.to_row() for addition in self.added],
            "removed": [removal.to_row() for removal in self.removed],
        }

    def to_calendar(self) -> str:
        """Return what is still to come as a calendar (RFC 5545): an event a deadline, one at the end of its ramp."""
        events: dict[datetime, list[Addition]] = {}
        for addition in self.open:
            events.setdefault(addition.deadline, []).append(addition)
        body = [line for deadline, rows in sorted(events.items()) for line in self._events(deadline, rows)]
        head = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//ccp-assess//allowlist watch//EN", "CALSCALE:GREGORIAN"]
        return "".join(f"{folded}\r\n" for line in [*head, *body, "END:VCALENDAR"] for folded in _fold(line))

    def _events(self, deadline: datetime, rows: Sequence[Addition]) -> list[str]:
        told = ", ".join(f"{a.row.prefix.text} ({a.row.service} {a.row.region_code})" for a in rows)
        regions = " ".join(self.regions)
        return [
            line
            for when, title, text in (
                (deadline, f"Allow {len(rows)} new AWS prefixes for Amazon Connect {regions}", f"Allow before: {told}"),
                (deadline + RAMP, f"New AWS prefixes carry their full share ({regions})", f"In full use: {told}"),
            )
            if when >= self.today
            for line in (
                "BEGIN:VEVENT",
                f"UID:{hashlib.sha256(f'{title}|{text}|{when}'.encode()).hexdigest()[:32]}@ccp-assess",
                f"DTSTAMP:{_calendar_time(self.snapshots[-1])}",
                f"DTSTART:{_calendar_time(when)}",
                f"SUMMARY:{_calendar_text(title)}",
                f"DESCRIPTION:{_calendar_text(text)}",
                *(
                    ("BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-P7D", "DESCRIPTION:Allowlist deadline", "END:VALARM")
                    if when == deadline
                    else ()
                ),
                "END:VEVENT",
            )
        ]


def _calendar_time(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _calendar_text(text: str) -> str:
    return re.sub(r"([\\;,])", r"\\\1", "".join(c if c.isprintable() else " " for c in text))


def _fold(line: str) -> list[str]:
    """Fold a line after 75 octets (RFC 5545, 3.1); our text is ASCII."""
    return [line[:75], *(" " + line[at : at + 74] for at in range(75, len(line), 74))]


def instant_text(when: datetime) -> str:
    """Write an instant as RFC 3339 in UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def read_instant(text: str) -> datetime:
    """Read a day or an RFC 3339 instant.

    Parameters
    ----------
    text
        Such as ``2024-07-18`` or ``2024-07-18T12:53:09Z``; without a zone UTC is meant.

    Returns
    -------
    instant
        In UTC; a day begins at midnight.

    Raises
    ------
    AllowlistError
        If it is neither.
    """
    match = _INSTANT.fullmatch(text.strip())
    try:
        if match:
            when = datetime.fromisoformat(
                f"{match[1]}T{match[2] or '00:00:00'}{(match[3] or 'Z').replace('Z', '+00:00')}"
            )
            return when.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise AllowlistError(f"{text[:40]!r} is no date such as 2024-07-18 or 2024-07-18T12:53:09Z")


def required_rows(regions: Sequence[str], ranges: IpRanges) -> tuple[RangeRow, ...]:
    """Return the published rows that Option 2 needs for some Regions.

    Parameters
    ----------
    regions
        Codes such as ``eu-west-2``.
    ranges
        Published ranges.

    Returns
    -------
    rows
        Of AMAZON_CONNECT, EC2 and CLOUDFRONT.
    """
    return (
        *connect_rows(regions, ranges),
        *ec2_rows(regions, ranges, with_global=False),
        *ranges.rows("CLOUDFRONT"),
    )


@dataclass(slots=True)
class _Life:
    """When a row was there, while the snapshots are replayed."""

    since: datetime | None  # None: since the first snapshot, or earlier
    last_seen: datetime
    gone: datetime | None = None
    flaps: int = 0
    covered_by: tuple[Prefix, ...] | None = None
    moved_from: str | None = None
    moved_to: str | None = None


class _Held:
    """The required rows of one snapshot, ready for questions of coverage."""

    def __init__(self, rows: Iterable[RangeRow]) -> None:
        self.rows = frozenset(rows)
        self._sorted: dict[str, list[Prefix]] = {}
        self._spans: dict[tuple[str, int], Spans] = {}

    def prefixes(self, use: str) -> list[Prefix]:
        """Return the prefixes for a use, sorted, each once."""
        if use not in self._sorted:
            self._sorted[use] = sorted({row.prefix for row in self.rows if _use(row.service) == use})
        return self._sorted[use]

    def inside(self, row: RangeRow) -> tuple[Prefix, ...]:
        """Return the prefixes for the same use that lie inside a row's."""
        held, block = self.prefixes(_use(row.service)), row.prefix
        low = bisect_left(held, (block.version, block.first, 0))
        high = bisect_right(held, (block.version, block.last, 129))
        return tuple(prefix for prefix in held[low:high] if block.covers(prefix))

    def covering(self, row: RangeRow) -> tuple[Prefix, ...] | None:
        """Return the prefixes for the same use that hold all of a row, or ``None``; the largest one if one does."""
        use, block = _use(row.service), row.prefix
        key = (use, block.version)
        if key not in self._spans:
            self._spans[key] = spans_of(self.prefixes(use), block.version)
        if not contains(self._spans[key], block.first, block.last):
            return None
        held = self.prefixes(use)
        for length in range(block.length + 1):
            shift = WIDTH_BITS[block.version] - length
            wider = Prefix(block.version, block.first >> shift << shift, length)
            at = bisect_left(held, wider)
            if at < len(held) and held[at] == wider:
                return (wider,)
        return self.inside(row)


def _use(service: str) -> str:
    return "audio" if service == CONNECT else "web"  # EC2 and CLOUDFRONT both stand for TCP 443


def diff(old: IpRanges, new: IpRanges, regions: Sequence[str], *, first_seen: datetime | None = None) -> Drift:
    """Compare two documents for some Regions.

    Parameters
    ----------
    old, new
        Published ranges.
    regions
        Codes such as ``eu-west-2``.
    first_seen
        When the new rows were first published; ``None`` for the new document's own date.

    Returns
    -------
    drift
        What came and what went.
    """
    drift = _replay([old, new], regions, new.created)
    if first_seen is None:
        return drift
    return replace(drift, added=tuple(replace(addition, first_seen=first_seen) for addition in drift.added))


def watch(snapshots: Iterable[IpRanges], regions: Sequence[str], *, today: datetime | None = None) -> Drift:
    """Replay dated documents in order and say what must be done by when.

    Parameters
    ----------
    snapshots
        Published ranges, in any order.
    regions
        Codes such as ``eu-west-2``.
    today
        The day of the question; ``None`` for the last document's date.

    Returns
    -------
    drift
        What came since the first document and is still there, and what went.

    Raises
    ------
    AllowlistError
        If there is no document.
    """
    ordered = sorted(snapshots, key=lambda ranges: ranges.created)
    if not ordered:
        raise AllowlistError("no snapshot given; name at least one ip-ranges.json")
    return _replay(ordered, regions, today or ordered[-1].created)


def _replay(documents: Sequence[IpRanges], regions: Sequence[str], today: datetime) -> Drift:
    codes = tuple(dict.fromkeys([regions] if isinstance(regions, str) else regions))
    if not codes:
        raise AllowlistError("no Region given; name at least one, such as eu-west-2")
    for code in codes:
        region_by_code(code)
    lives: dict[RangeRow, _Life] = {}
    before: _Held | None = None
    last = documents[0]
    for ranges in documents:
        now = _Held(required_rows(codes, ranges))
        _step(lives, before, now, (last, ranges))
        before, last = now, ranges
    held = before or _Held(())
    return Drift(
        regions=codes,
        today=today,
        snapshots=tuple(ranges.created for ranges in documents),
        added=tuple(
            Addition(
                row=row,
                first_seen=life.since,
                already_covered_by=_still(row, life.covered_by, held),
                moved_from=life.moved_from,
                flaps=life.flaps,
                today=today,
            )
            for row, life in _sorted(lives)
            if life.gone is None and life.since is not None
        ),
        removed=tuple(_removal(row, life, held) for row, life in _sorted(lives) if life.gone is not None),
    )


def _sorted(lives: dict[RangeRow, _Life]) -> list[tuple[RangeRow, _Life]]:
    return sorted(
        lives.items(), key=lambda item: (SERVICES.index(item[0].service), item[0].prefix, item[0].region_code)
    )


def _step(lives: dict[RangeRow, _Life], before: _Held | None, now: _Held, published: Sequence[IpRanges]) -> None:
    """Take one snapshot in: rows that stay, come, come back and go; ``published`` is the last document and this one."""
    created = published[-1].created
    for row in now.rows:
        life = lives.get(row)
        if life is None:
            life = lives[row] = _Life(since=created if before else None, last_seen=created)
            if before:
                life.covered_by = before.covering(row)
                life.moved_from = _elsewhere(row, published[0], not_in=published[-1])
        elif life.gone is not None:  # it went and came back: the clock starts again
            life.since, life.gone, life.flaps, life.moved_to = created, None, life.flaps + 1, None
            life.covered_by = before.covering(row) if before else None
        life.last_seen = created
    for row, life in lives.items():
        if life.gone is None and row not in now.rows:
            life.gone = created
            life.moved_to = _elsewhere(row, published[-1], not_in=published[0])


def _elsewhere(row: RangeRow, ranges: IpRanges, *, not_in: IpRanges) -> str | None:
    """Return another Region that has the very prefix in one document and had it not in the other."""
    here = {other.region_code for other in ranges.rows(row.service) if other.prefix == row.prefix}
    there = {other.region_code for other in not_in.rows(row.service) if other.prefix == row.prefix}
    return min(here - there - {row.region_code}, default=None)


def _still(row: RangeRow, covered_by: tuple[Prefix, ...] | None, last: _Held) -> str | None:
    """Name what covers a row, if that is still published (or is the very prefix under another Region)."""
    if not covered_by:
        return None
    held = set(last.prefixes(_use(row.service)))
    return ", ".join(prefix.text for prefix in covered_by) if held.issuperset(covered_by) else None


def _removal(row: RangeRow, life: _Life, last: _Held) -> Removal:
    covering = last.covering(row)
    inside = last.inside(row)
    return Removal(
        row=row,
        last_seen=life.last_seen,
        gone_since=life.gone or life.last_seen,
        still_covered_by=", ".join(prefix.text for prefix in covering) if covering else None,
        keep=() if covering else tuple(prefix.text for prefix in inside),
        moved_to=life.moved_to,
    )
