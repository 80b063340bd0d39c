"""Agents' diaries: when audio was bad, whose it was, and AWS's code of symptom, scenario and severity (``LT2``).

A diary is a table (agent, time, code, in any order) or lines as in AWS's own example: ``5:45PM agentName LT2``. It
becomes a heat map of agents and hours, which shows clusters around backups, shift changes or single workstations.

References
----------
.. [1] Amazon Connect Administrator Guide, Troubleshooting tools and information, "Example agent issue report
   disposition".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from ccp_assess.csvtext import Row
from ccp_assess.errors import ParseError
from ccp_assess.units import NS_PER_S
from ccp_assess.witnesses.agent_log_entries import instant_ns
from ccp_assess.witnesses.records import Event, Witness

SYMPTOMS = {
    "S": "softphone error",
    "M": "missed calls",
    "L": "latency makes the quality poor",
    "P": "begins well and gets worse",
    "D": "calls are disconnected",
    "W": "audio in one direction only",
    "V": "too quiet or too loud",
    "C": "choppy, cuts in and out",
}
SCENARIOS = {"O": "outbound call", "I": "inbound call", "T": "three-way call"}
SEVERITIES = {1: "small impact", 2: "medium impact", 3: "large impact"}

_CODE = re.compile(r"\b([SMLPDWVC])([OIT])([123])\b", re.IGNORECASE)
_LINE = re.compile(
    r"^\s*(?:(?P<date>\d{4}-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./]\d{2,4})[T ,]+)?"
    r"(?P<time>\d{1,2}[:.]\d\d(?:[:.]\d\d)?\s*(?:[AaPp]\.?[Mm]\.?)?Z?)[\s,;]+(?P<agent>\S.*?)[\s,;:]+"
    r"(?P<code>[SMLPDWVCsmlpdwvc][OIToit][123])\b(?P<rest>.*)$"
)
_TIME = re.compile(r"^(\d{1,2})[:.](\d\d)(?:[:.](\d\d))?\s*(?:([AaPp])\.?[Mm]\.?)?Z?$")
_CODE_COLUMNS = ("code", "disposition", "disposition_code", "issue", "key", "report")
_AGENT_COLUMNS = ("agent", "agent_name", "agentname", "user", "username", "name", "login")
_TIME_COLUMNS = ("time", "timestamp", "datetime", "date_time", "when", "instant")
_SYMPTOM, _SCENARIO, _SEVERITY = "symptom", "scenario", "severity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a diary.

    Parameters
    ----------
    agent
        As written.
    time_ns
        Since 1970 [ns], by the diary's own clock; ``None`` where it gives no date.
    hour
        Of the day as written, 0 to 23.
    symptom, scenario
        Letters of AWS's key.
    severity
        1 to 3.
    note
        What else was written.
    """

    agent: str
    time_ns: int | None
    hour: int
    symptom: str
    scenario: str
    severity: int
    note: str = ""

    @property
    def code(self) -> str:
        """Symptom, scenario and severity as AWS writes them."""
        return f"{self.symptom}{self.scenario}{self.severity}"

    @property
    def meaning(self) -> str:
        """The code in words."""
        return f"{SYMPTOMS[self.symptom]}, {SCENARIOS[self.scenario]}, {SEVERITIES[self.severity]}"


def has_code(text: str) -> bool:
    """Tell a diary by a code in it.

    Parameters
    ----------
    text
        Lines of a file.

    Returns
    -------
    has_code
        Whether a line is one of a diary.

    Examples
    --------
    >>> has_code("5:45PM agentName LT2"), has_code("5:45PM nothing")
    (True, False)
    """
    return any(_LINE.match(line) for line in text.splitlines()[:200])


def is_table(columns: Sequence[str]) -> bool:
    """Tell a diary's table by its header.

    Parameters
    ----------
    columns
        Names of the columns.

    Returns
    -------
    is_table
        Whether it names agents, times and codes.
    """
    names = set(columns)
    coded = bool(names & set(_CODE_COLUMNS)) or {_SYMPTOM, _SEVERITY} <= names
    return coded and bool(names & set(_AGENT_COLUMNS)) and bool(names & {*_TIME_COLUMNS, "date", "hour"})


def entries_from_rows(rows: Sequence[Row]) -> list[Entry]:
    """Read a diary's table.

    Parameters
    ----------
    rows
        Of the table; the code in one column, or symptom, scenario and severity in three.

    Returns
    -------
    entries
        In the order of the table.

    Raises
    ------
    TableError
        If a code or a time is not understood; it names the row.
    """
    entries = []
    for row in rows:
        cells = row.cells
        agent = next((cells[name] for name in _AGENT_COLUMNS if cells.get(name)), "")
        told = next((cells[name] for name in _CODE_COLUMNS if cells.get(name)), "") or "".join(
            cells.get(name, "")[:1] for name in (_SYMPTOM, _SCENARIO, _SEVERITY)
        )
        code = _CODE.search(told)
        if code is None:
            raise row.wrong(
                next((name for name in _CODE_COLUMNS if name in cells), None),
                f"{told[:40]!r} is no code; write symptom ({''.join(SYMPTOMS)}), scenario ({''.join(SCENARIOS)}) and "
                "severity (1 to 3), such as LT2",
            )
        time = next((cells[name] for name in _TIME_COLUMNS if cells.get(name)), cells.get("hour", ""))
        when = _when(cells.get("date", ""), time)
        if when is None:
            raise row.wrong(None, f"{time[:40]!r} is no time; write it as 17:45, 5:45PM or 2026-11-23T17:45:00")
        note = next((cells[name] for name in ("note", "notes", "comment", "remark") if cells.get(name)), "")
        entries.append(_entry(agent, when, code, note))
    return entries


def entries_from_text(text: str, file: str) -> list[Entry]:
    """Read a diary's lines.

    Parameters
    ----------
    text
        Such as ``5:45PM agentName LT2``, with or without a date.
    file
        Name of the file.

    Returns
    -------
    entries
        In the order of the file.

    Raises
    ------
    ParseError
        If a line that is neither empty nor a comment is not understood; it names the line.
    """
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.match(line)
        when = _when(found["date"] or "", found["time"]) if found else None
        code = _CODE.search(found["code"]) if found else None
        if found is None or when is None or code is None:
            raise ParseError(
                f"{file}, line {number}: {line.strip()[:60]!r} is no entry of a diary; write time, agent and "
                "code, as in `5:45PM agentName LT2`"
            )
        entries.append(_entry(found["agent"], when, code, found["rest"].strip(" -,;()")))
    return entries


def _entry(agent: str, when: tuple[int | None, int], code: re.Match[str], note: str) -> Entry:
    return Entry(
        agent=agent.strip() or "unknown",
        time_ns=when[0],
        hour=when[1],
        symptom=code[1].upper(),
        scenario=code[2].upper(),
        severity=int(code[3]),
        note=note,
    )


def _when(day: str, time: str) -> tuple[int | None, int] | None:
    """Read date and time: the instant, if there is a date, and the hour of the day as written."""
    time = time.strip()
    stamped = re.match(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d", time)
    if stamped:
        time_ns = instant_ns(time)
        return None if time_ns is None else (time_ns, int(time[11:13]))
    dated = re.match(r"^(\d{4}-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./]\d{2,4})[ ,]+(.+)$", time)
    if dated:
        day, time = dated[1], dated[2]
    found = _TIME.match(time)
    if found is None:
        return (None, int(time)) if time.isdecimal() and int(time) < 24 else None
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if found[4]:
        hour = hour % 12 + 12 * (found[4].lower() == "p")
    if hour > 23 or minute > 59 or second > 59:
        return None
    read = _day(day) if day else None
    if read is None:
        return (None, hour)
    at = datetime(read.year, read.month, read.day, hour, minute, second, tzinfo=UTC)
    return (int(at.timestamp()) * NS_PER_S, hour)


def _day(text: str) -> date | None:
    for form in ("%Y-%m-%d", "%d.%m.%Y", "%d.%m.%y", "%m/%d/%Y", "%m/%d/%y"):
        try:
            return datetime.strptime(text.strip(), form).replace(tzinfo=UTC).date()
        except ValueError:
            continue
    return None


def heat_map(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Count what each agent wrote in each hour of the day.

    Parameters
    ----------
    entries
        Of a diary.

    Returns
    -------
    rows
        One a cell that is not empty: agent, hour, how many, the gravest severity, and how many of each symptom; sorted.
    """
    cells: dict[tuple[str, int], list[Entry]] = {}
    for entry in entries:
        cells.setdefault((entry.agent, entry.hour), []).append(entry)
    return [
        {
            "agent": agent,
            "hour": hour,
            "reports": len(told),
            "worst_severity": max(entry.severity for entry in told),
            "symptoms": {
                letter: count for letter in SYMPTOMS if (count := sum(entry.symptom == letter for entry in told))
            },
        }
        for (agent, hour), told in sorted(cells.items())
    ]


def diary_witness(entries: Sequence[Entry], file: str) -> Witness:
    """Tell a diary.

    Parameters
    ----------
    entries
        Of the diary.
    file
        Name of the file.

    Returns
    -------
    witness
        Of kind ``diary``; ``heat_map`` has one row for each agent and hour.
    """
    ordered = sorted(entries, key=lambda entry: entry.time_ns or 0)
    events = tuple(
        Event(
            time_ns=entry.time_ns,
            code=entry.code,
            text=f"{entry.agent}: {entry.meaning}" + (f" ({entry.note})" if entry.note else ""),
        )
        for entry in ordered
    )
    undated = sum(entry.time_ns is None for entry in entries)
    notes = (
        (f"{undated} of {len(entries)} entries have no date; they count for the hour of the day only.",)
        if undated
        else ()
    )
    return Witness(kind="diary", file=file, events=events, notes=notes, more={"heat_map": heat_map(entries)})
