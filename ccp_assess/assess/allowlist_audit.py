"""Hold what a capture really contacted against the required rules, and against the client's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ccp_assess.allowlist import Rule, audit, build, read_client_rules
from ccp_assess.allowlist.contacts import Contact, judge_contacts
from ccp_assess.allowlist.verify import Prober, request_lines, verified_document, verify
from ccp_assess.ranges import IpRanges


def audit_capture(
    captures: Sequence[Path],
    regions: Sequence[str],
    option: str,
    *,
    rules: Path | None = None,
    ranges: IpRanges | None = None,
    switches: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Hold what captures contacted against the same rules.

    Parameters
    ----------
    captures
        Files of one capture.
    regions
        Codes such as ``eu-west-2``.
    option
        ``domains``, ``addresses`` or ``hybrid``.
    rules
        The client's own rules; ``None`` to hold the capture against the required ones alone.
    ranges
        Published ranges; ``None`` for the shipped snapshot.
    switches
        The client's choices.

    Returns
    -------
    document
        The JSON of an audit: ``covered`` are contacts that a rule lets through, ``missing`` those of the service
        that none does; ``contacts`` lists all of them with the rule.
    """
    from ccp_assess.assess.captures import assess_captures  # noqa: PLC0415  # compiled code: only when it is asked for

    endpoints = assess_captures(list(captures)).to_document()["endpoints"]
    contacts = [_contact(row) for row in endpoints]
    required: Sequence[Rule] = build(regions, option, ranges=ranges, **(switches or {})).rules  # type: ignore[arg-type]
    document = judge_contacts(contacts, required, regions)
    if rules is not None:
        found = audit(read_client_rules(rules), regions, option, ranges=ranges, **(switches or {})).to_document()  # type: ignore[arg-type]
        document["too_wide"] = found["too_wide"]
        document["stale"] = found["stale"]
        document["missing"] += found["missing"]
        document["notes"] += found["notes"]
    return document


def audit_live(
    document: dict[str, Any],
    regions: Sequence[str],
    option: str,
    prober: Prober,
    *,
    ranges: IpRanges | None = None,
    switches: dict[str, Any] | None = None,
    hosts: Sequence[str] = (),
) -> dict[str, Any]:
    """Probe every required rule and add the answers to an audit.

    Parameters
    ----------
    document
        The audit so far.
    regions
        Codes such as ``eu-west-2``.
    option
        ``domains``, ``addresses`` or ``hybrid``.
    prober
        Reaches the network, with a deadline for every attempt.
    ranges
        Published ranges; ``None`` for the shipped snapshot.
    switches
        The client's choices.
    hosts
        Real names that stand for wildcards.

    Returns
    -------
    document
        With ``live`` as ``allowlist verify`` prints it, and a note for each rule that the client has on paper but that
        does not let the probe through.
    """
    built = build(regions, option, ranges=ranges, **(switches or {}))  # type: ignore[arg-type]
    results = verify(request_lines(built), regions, prober, hosts=hosts)
    covered = {(row.get("target"), str(row.get("port")), row.get("transport")) for row in document["covered"]}
    notes = [
        f"{row.line.target} {row.line.port}/{row.line.transport} is in the rules, but no probe passes: {row.text}"
        for row in results
        if row.colour == "red" and (row.line.target, row.line.port, row.line.transport) in covered
    ]
    return {**document, "live": verified_document(results), "notes": [*document["notes"], *notes]}


def _contact(row: dict[str, Any]) -> Contact:
    return Contact(
        host=row["host"],
        address=row["address"],
        port=int(row["port"]),
        transport=str(row["transport"]),
        role=str(row["role"]),
        region_code=row["region_code"],
        answered=bool(row["answered"]),
    )
