"""Calls, worst first, and the series that tell most about them."""

from __future__ import annotations

from typing import Any

from ccp_assess.report.content.findings import SEVERITY_ORDER
from ccp_assess.report.figures.calls import CallSeries, call_series
from ccp_assess.report.words import clean

WORST_CALLS = 3
MOST_CALL_ROWS = 200


def call_rows(assessment: Any) -> list[dict[str, Any]]:
    """Return all calls of all captures, worst first: by MOS, then by loss, then by delay.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    rows
        The contract's calls with ``site_id``, ``file`` and ``document``.
    """
    rows = [
        {
            **call,
            "site_id": entry["site_id"],
            "file": entry.get("file"),
            "document": entry["document"],
            "seconds": entry.get("seconds"),
        }
        for entry in assessment.captures
        for call in entry["document"]["calls"]
    ]
    return sorted(rows, key=_badness)


def call_notes(call: dict[str, Any], findings: list[dict[str, Any]]) -> list[str]:
    """Return a call's own findings by number and name, gravest first; plain notes are left to the chapter.

    Parameters
    ----------
    call
        One of :func:`call_rows`.
    findings
        Rows of :func:`finding_rows`.

    Returns
    -------
    notes
        Such as ``F3 loss inbound``.
    """
    notes = []
    for own in call["findings"]:
        if own["severity"] == "info":
            continue
        fitting = (row for row in findings if (row["code"], row["text"]) == (own["code"], own["text"]))
        row = next((row for row in fitting if row["call_ids"] & {None, call["call_id"]}), None)
        words = str(own["code"]).replace("_", " ").lower()
        notes.append(clean(f"{row['number']} {words}" if row else words, 80))
    return notes


def _badness(call: dict[str, Any]) -> tuple[Any, ...]:
    grave = min((SEVERITY_ORDER.get(finding["severity"], 3) for finding in call["findings"]), default=3)
    mos, loss, rtt = call["in"]["mos_cqe"], call["in"]["loss_pct"], call["rtt_media_ms"]["p50"]
    return (grave, mos if mos is not None else 9.0, -(loss or 0.0), -(rtt or 0.0), str(call["start_time"]))


def worst_series(rows: list[dict[str, Any]]) -> list[CallSeries]:
    """Return the series of the worst calls that have something to show.

    Parameters
    ----------
    rows
        Of :func:`call_rows`.

    Returns
    -------
    series
        At most three.
    """
    telling = [row for row in rows if _shows_on_a_clock(row)] or rows[:1]
    series = (call_series(row["document"], row, row["seconds"]) for row in telling[: WORST_CALLS * 4])
    return [item for item in series if item.loss or item.media_rtt or item.relay_rtt][:WORST_CALLS]


_ON_A_CLOCK = ("LOSS", "LATE", "JITTER", "OUTAGE", "SEND_STALLS", "RTT_VARIES", "CALL_DROPPED", "ONE_WAY", "HOLD")


def _shows_on_a_clock(call: dict[str, Any]) -> bool:
    """Whether something came and went during the call, so that its timeline tells more than its table."""
    return any(str(finding["code"]).startswith(_ON_A_CLOCK) for finding in call["findings"])


WITNESS_WORDS = {
    "capture": "capture",
    "webrtc_internals": "browser dump",
    "getstats": "browser statistics",
    "agent_log": "agent log",
    "contact_record": "contact record",
}


def joined_rows(assessment: Any) -> list[dict[str, Any]]:
    """Return the calls that several witnesses know of, with what each says and what they say together.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    rows
        The joined calls with ``site_id`` and, for each witness, ``word``.
    """
    return [
        {
            **call,
            "site_id": entry["site_id"],
            "witnesses": [
                {**one, "word": WITNESS_WORDS.get(one["kind"], clean(one["kind"], 40))} for one in call["witnesses"]
            ],
        }
        for entry in assessment.joined
        for call in entry["document"]["calls"]
    ]
