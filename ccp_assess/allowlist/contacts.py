"""What a softphone really contacted, held against the rules: which rule lets it through, and what none does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ccp_assess.allowlist.rules import Rule
from ccp_assess.errors import ParseError
from ccp_assess.prefixes import parse_address, parse_prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One endpoint that was contacted.

    Parameters
    ----------
    host
        Its name, if it was seen.
    address
        Its address.
    port, transport
        Where it was contacted.
    role
        What it is to a softphone.
    region_code
        Its Region, if that can be told.
    answered
        Whether anything came back.
    """

    host: str | None
    address: str
    port: int
    transport: str
    role: str
    region_code: str | None
    answered: bool


def judge_contacts(contacts: Sequence[Contact], rules: Sequence[Rule], regions: Sequence[str]) -> dict[str, Any]:
    """Hold contacts against rules.

    Parameters
    ----------
    contacts
        What was contacted.
    rules
        The rules.
    regions
        Regions of the instance: a contact to another one is told.

    Returns
    -------
    document
        ``covered``, ``missing``, ``too_wide`` (empty), ``stale`` (empty), ``contacts``, ``notes``.
    """
    covered: list[dict[str, Any]] = []
    missing: list[dict[str, Any]] = []
    listed: list[dict[str, Any]] = []
    notes: list[str] = []
    for contact in contacts:
        rule = _letting_through(contact, rules)
        row = {
            "target": contact.host or contact.address,
            "port": str(contact.port),
            "direction": "outbound",
            **asdict(contact),
        } | {"port": str(contact.port)}
        listed.append(row | {"rule": rule.target if rule else None})
        if rule:
            covered.append(row | {"rule": rule.target, "purpose": rule.purpose})
        elif contact.role not in {"other", "dns"}:
            missing.append(row | {"purpose": contact.role, "symptom": _symptom(contact, rules)})
        if contact.region_code and contact.region_code not in regions and contact.role in {"media_relay", "signalling"}:
            notes.append(f"{row['target']} belongs to {contact.region_code}, not to {' '.join(regions)}.")
    reached = {row["rule"] for row in covered}
    unused = [rule.target for rule in rules if rule.kind != "cidr" and rule.target not in reached]
    if unused:
        notes.append(f"The capture contacted nothing behind {len(unused)} names: {', '.join(unused[:6])}.")
    silent = [row["target"] for row in listed if not row["answered"] and row["role"] not in {"other", "dns"}]
    if silent:
        notes.append(f"Nothing came back from {', '.join(silent[:6])}: look there for a firewall.")
    others = sum(row["role"] == "other" and row["rule"] is None for row in listed)
    if others:
        notes.append(f"{others} contacts do not belong to the softphone and were left out.")
    return {
        "missing": missing,
        "too_wide": [],
        "stale": [],
        "covered": covered,
        "contacts": listed,
        "notes": list(dict.fromkeys(notes)),
    }


def _symptom(contact: Contact, rules: Sequence[Rule]) -> str:
    same = [rule.symptom for rule in rules if rule.transport == contact.transport]
    return same[0] if same else ""


def _letting_through(contact: Contact, rules: Sequence[Rule]) -> Rule | None:
    """Return the rule that lets a contact through: by name where one was seen, else by address."""
    for rule in rules:
        if rule.direction != "outbound" or rule.transport != contact.transport or rule.port != str(contact.port):
            continue
        if rule.kind == "cidr":
            try:
                version, value = parse_address(contact.address)
            except ParseError:
                continue
            block = parse_prefix(rule.target)
            if block.version == version and block.first <= value <= block.last:
                return rule
        elif contact.host and _matches(rule.host, contact.host):
            return rule
    return None


def _matches(pattern: str, host: str) -> bool:
    expression = re.escape(pattern.lower())
    if expression.startswith(r"\*\."):
        # AWS's own pattern for one more label; older clients ask for the name without it.
        expression = r"(?:[^.]+\.)*" + expression[4:]
    return re.fullmatch(expression.replace(r"\*", r"[^.]*"), host.lower().rstrip(".")) is not None
