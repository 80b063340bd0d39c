"""Contact records: what the service itself wrote down of a call, with its judgement of the audio.

They come as Amazon Connect streams them (one JSON after the other), as ``DescribeContact`` and ``SearchContacts``
answer, and as tables: the export of the contact search, or a query of the data lake. AWS publishes no thresholds for
the quality score; it is told, not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ccp_assess.csvtext import Row
from ccp_assess.findings import counted
from ccp_assess.units import NS_PER_S
from ccp_assess.witnesses.agent_log_entries import instant_ns
from ccp_assess.witnesses.records import Event, Witness, WitnessCall, bounded, instant, rounded
from ccp_assess.witnesses.softphone_json import number

_ID_NAMES = ("ContactId", "Id", "contactId")
_LISTS = ("Contacts", "contacts", "Records", "records", "ContactTraceRecords")

_COLUMNS = {
    "contact_id": ("contactid", "id"),
    "channel": ("channel",),
    "method": ("initiationmethod",),
    "initiated": ("initiationtimestamp", "initiationtime", "starttime", "startdate"),
    "to_system": ("connectedtosystemtimestamp",),
    "to_agent": (
        "connectedtoagenttimestamp", "agentconnectedtoagenttimestamp", "agentconnectionattemptstimestamp",
        "agentinfoconnectedtoagenttimestamp",
    ),
    "ended": ("disconnecttimestamp", "disconnecttime", "endtime"),
    "reason": ("disconnectreason",),
    "agent": ("agent", "agentusername", "agentname", "agentlogin", "agentinfoid"),
    "queue": ("queue", "queuename"),
    "agent_score": ("qualitymetricsagentaudioqualityscore", "agentaudioqualityscore", "agentqualityscore"),
    "agent_issues": (
        "qualitymetricsagentaudiopotentialqualityissues", "agentaudiopotentialqualityissues",
        "agentpotentialqualityissues",
    ),
    "customer_score": ("qualitymetricscustomeraudioqualityscore", "customeraudioqualityscore", "customerqualityscore"),
    "customer_issues": (
        "qualitymetricscustomeraudiopotentialqualityissues", "customeraudiopotentialqualityissues",
        "customerpotentialqualityissues",
    ),
}  # fmt: skip
"""Columns of tables, without what is no letter or digit, and the fact each holds."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DATE_FORMS = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %I:%M %p", "%m/%d/%y %I:%M %p", "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M",
    "%b %d, %Y, %I:%M:%S %p", "%b %d, %Y %I:%M:%S %p",
)  # fmt: skip
"""As spreadsheets write instants; months stand before days, as in the service's exports, unless points divide them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioQuality:
    """The service's judgement of one side's audio.

    Parameters
    ----------
    score
        Estimated quality; AWS does not publish its scale.
    issues
        ``HighPacketLoss``, ``HighRoundTripTime``, ``HighJitterBuffer``; empty if none was seen, ``None`` if unknown.
    """

    score: float | None = None
    issues: tuple[str, ...] | None = None

    def to_document(self) -> dict[str, Any]:
        """Return the judgement for JSON.

        Returns
        -------
        document
            ``score`` and ``issues``.
        """
        return {"score": self.score, "issues": None if self.issues is None else list(self.issues)}


def find_records(document: Any) -> list[dict[str, Any]]:
    """Find contact records in a JSON document.

    Parameters
    ----------
    document
        As parsed.

    Returns
    -------
    records
        In the order of the document; empty if it holds none.
    """
    if isinstance(document, list):
        return [record for one in document for record in find_records(one)]
    if not isinstance(document, dict):
        return []
    for name in ("Contact", "contact", "detail"):
        if isinstance(document.get(name), dict):
            return find_records(document[name])
    for name in _LISTS:
        if isinstance(document.get(name), list):
            return find_records(document[name])
    named = any(isinstance(document.get(name), str) and _UUID.fullmatch(document[name]) for name in _ID_NAMES)
    known = any(
        name in document for name in ("InitiationTimestamp", "QualityMetrics", "DisconnectTimestamp", "Channel")
    )
    return [document] if named and known else []


def is_table(columns: Sequence[str]) -> bool:
    """Tell a table of contact records by its header.

    Parameters
    ----------
    columns
        Names of the columns.

    Returns
    -------
    is_table
        Whether it names contacts and when they began.
    """
    names = {_plain(column) for column in columns}
    return bool(names & set(_COLUMNS["contact_id"])) and bool(
        names & {*_COLUMNS["initiated"], *_COLUMNS["agent_score"]}
    )


def witness_from_records(records: Sequence[dict[str, Any]], file: str, *, cut: bool = False) -> Witness:
    """Read contact records.

    Parameters
    ----------
    records
        As parsed from JSON.
    file
        Name of the file.
    cut
        Whether its end is missing.

    Returns
    -------
    witness
        Of kind ``contact_record``.
    """
    return _witness([_from_record(record) for record in records], file, cut=cut)


def witness_from_rows(rows: Sequence[Row], file: str) -> Witness:
    """Read a table of contact records.

    Parameters
    ----------
    rows
        Of the table.
    file
        Its name.

    Returns
    -------
    witness
        Of kind ``contact_record``.
    """
    return _witness([_from_row(row) for row in rows], file, cut=False)


def _witness(told: Sequence[WitnessCall], file: str, *, cut: bool) -> Witness:
    # records are delivered at least once, the newer one later
    latest = {call.contact_id or str(at): call for at, call in enumerate(told)}
    calls = sorted((call for call in latest.values() if _is_voice(call)), key=lambda call: call.start_ns or 0)
    events, _ = bounded(event for call in calls for event in _events(call))
    notes = []
    others = len(latest) - len(calls)
    if others:
        notes.append(f"{counted(others, 'contact')} of other channels than voice were left out.")
    if len(told) > len(latest):
        notes.append(f"{counted(len(told) - len(latest), 'record')} were delivered again; the last of each counts.")
    if cut:
        notes.append("The file was cut at its end; what is there was read.")
    return Witness(kind="contact_record", file=file, calls=tuple(calls), events=events, notes=tuple(notes))


def _is_voice(call: WitnessCall) -> bool:
    return str(call.more.get("channel") or "VOICE").upper() in {"VOICE", "TELEPHONY"}


def _events(call: WitnessCall) -> Iterator[Event]:
    for side in ("agent", "customer"):
        issues = call.more["quality"][side]["issues"]
        if issues:
            text = f"{call.contact_id}: the service saw {', '.join(issues)} in the audio of the {side}"
            yield Event(time_ns=call.start_ns, code="POTENTIAL_QUALITY_ISSUE", text=text)


def _from_record(record: dict[str, Any]) -> WitnessCall:
    agent: dict[str, Any] = next(
        (record[name] for name in ("Agent", "AgentInfo") if isinstance(record.get(name), dict)), {}
    )
    queue: dict[str, Any] = next(
        (record[name] for name in ("Queue", "QueueInfo") if isinstance(record.get(name), dict)), {}
    )
    metrics = record.get("QualityMetrics")
    return _call(
        contact_id=next((record[name] for name in _ID_NAMES if isinstance(record.get(name), str)), None),
        start_ns=_instant(record.get("InitiationTimestamp")),
        agent_ns=_instant(agent.get("ConnectedToAgentTimestamp")),
        end_ns=_instant(record.get("DisconnectTimestamp")),
        agent_quality=_quality(metrics, "Agent"),
        customer_quality=_quality(metrics, "Customer"),
        more={
            "channel": record.get("Channel"),
            "method": record.get("InitiationMethod"),
            "disconnect_reason": record.get("DisconnectReason"),
            "agent": agent.get("Username") or agent.get("Id"),
            "queue": queue.get("Name"),
            "interaction_s": agent.get("AgentInteractionDuration"),
            "instance": record.get("InstanceARN") or record.get("InstanceId"),
            "region_code": _region(record),
        },
    )


def _region(record: dict[str, Any]) -> str | None:
    """Return the Region of the instance by its ARN."""
    for name in ("InstanceARN", "Arn", "ARN"):
        parts = str(record.get(name) or "").split(":")
        if len(parts) > 3 and parts[0] == "arn" and parts[3]:
            return parts[3]
    return None


def _quality(metrics: Any, side: str) -> AudioQuality:
    of_side = metrics.get(side) if isinstance(metrics, dict) else None
    audio = of_side.get("Audio") if isinstance(of_side, dict) else None
    if not isinstance(audio, dict):
        return AudioQuality()
    issues = audio.get("PotentialQualityIssues")
    return AudioQuality(
        score=rounded(number(audio.get("QualityScore"))),
        issues=tuple(str(issue)[:128] for issue in issues[:16]) if isinstance(issues, list) else None,
    )


def _from_row(row: Row) -> WitnessCall:
    plain = {_plain(column): cell for column, cell in row.cells.items()}
    cells = {fact: next((plain[name] for name in names if plain.get(name)), None) for fact, names in _COLUMNS.items()}
    contact_id = cells["contact_id"]
    return _call(
        contact_id=contact_id,
        start_ns=_table_instant(row, cells["initiated"] or cells["to_system"]),
        agent_ns=_table_instant(row, cells["to_agent"]),
        end_ns=_table_instant(row, cells["ended"]),
        agent_quality=_table_quality(cells["agent_score"], cells["agent_issues"]),
        customer_quality=_table_quality(cells["customer_score"], cells["customer_issues"]),
        more={
            "channel": cells["channel"],
            "method": cells["method"],
            "disconnect_reason": cells["reason"],
            "agent": cells["agent"],
            "queue": cells["queue"],
            "interaction_s": None,
            "instance": None,
            "region_code": None,
        },
    )


def _plain(column: str) -> str:
    return re.sub(r"[^a-z0-9]", "", column.lower())


def _table_quality(score: str | None, issues: str | None) -> AudioQuality:
    told = None if score is None else number(score.replace(",", "."))
    named = re.findall(r"[A-Za-z]{3,60}", issues) if issues is not None else None
    return AudioQuality(score=told, issues=tuple(named) if named is not None else () if told is not None else None)


def _table_instant(row: Row, cell: str | None) -> int | None:
    """Read an instant of a table: UTC, as the service's exports are, unless it says otherwise."""
    if cell is None:
        return None
    time_ns = instant_ns(cell)
    if time_ns is not None:
        return time_ns
    bare = re.sub(r"\s*(?:UTC|GMT)$", "", cell.strip())
    for form in _DATE_FORMS:
        try:
            read = datetime.strptime(bare, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return int(read.timestamp()) * NS_PER_S + read.microsecond * 1000
    raise row.wrong(None, f"{cell[:40]!r} is no instant that is understood; write it as 2026-11-23T10:15:00Z")


def _call(
    *,
    contact_id: str | None,
    start_ns: int | None,
    agent_ns: int | None,
    end_ns: int | None,
    agent_quality: AudioQuality,
    customer_quality: AudioQuality,
    more: dict[str, Any],
) -> WitnessCall:
    return WitnessCall(
        contact_id=contact_id.lower() if contact_id else None,
        start_ns=start_ns,
        end_ns=end_ns,
        more={
            "connected_to_agent_time": instant(agent_ns),
            "quality": {"agent": agent_quality.to_document(), "customer": customer_quality.to_document()},
            **{name: _told(value) for name, value in more.items()},
        },
    )


def _told(value: Any) -> str | float | None:
    """Pass on text and finite numbers."""
    return value if isinstance(value, str) else rounded(number(value))


def _instant(value: Any) -> int | None:
    """Read an instant: text, a ``datetime`` of the SDK, or seconds since 1970 as the service's JSON has them."""
    if isinstance(value, datetime):
        return instant_ns(value.isoformat())
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return instant_ns(value if value > 1e11 else value * 1000)
    return instant_ns(value)
