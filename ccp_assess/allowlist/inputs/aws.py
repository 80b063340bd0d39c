"""AWS security groups as JSON, and the plan of Terraform as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ccp_assess.allowlist.inputs.model import EVERY_PORT, Addresses, ClientRule, ClientRules, Skipped, of_prefixes
from ccp_assess.errors import ParseError
from ccp_assess.prefixes import parse_prefix
from ccp_assess.shapes import has_shape

_PROTOCOLS = {"tcp": "tcp", "udp": "udp", "6": "tcp", "17": "udp", "-1": "any", "all": "any"}


def read_security_groups(groups: list[dict[str, Any]]) -> ClientRules:
    """Read security groups as ``aws ec2 describe-security-groups`` prints them.

    Parameters
    ----------
    groups
        Entries of ``SecurityGroups``; a lone list of permissions counts as outbound.

    Returns
    -------
    rules
        Everything that a group holds is allowed.
    """
    skipped = Skipped()
    rules: list[ClientRule] = []
    for number, group in enumerate(groups, 1):
        name = str(group.get("GroupId") or group.get("GroupName") or f"group {number}")[:60]
        listed = [("outbound", group.get("IpPermissionsEgress")), ("inbound", group.get("IpPermissions"))]
        if "IpPermissionsEgress" not in group and "IpProtocol" in group:
            listed = [("outbound", [group])]
        for direction, permissions in listed:
            for permission in _rows(permissions):
                if permission.get("PrefixListIds"):
                    skipped.add("a prefix list, whose entries are not in the file", number)
                cidrs = [
                    row.get(key)
                    for kind, key in (("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6"))
                    for row in _rows(permission.get(kind))
                ]
                rules += _rule(
                    number,
                    name,
                    direction,
                    permission.get("IpProtocol"),
                    (permission.get("FromPort"), permission.get("ToPort")),
                    cidrs,
                    skipped,
                )
    return ClientRules(format="AWS security groups", rules=tuple(rules), notes=skipped.notes())


def read_security_group_rules(entries: list[dict[str, Any]]) -> ClientRules:
    """Read rules as ``aws ec2 describe-security-group-rules`` prints them.

    Parameters
    ----------
    entries
        Entries of ``SecurityGroupRules``.

    Returns
    -------
    rules
        Everything that a rule holds is allowed.
    """
    skipped = Skipped()
    rules: list[ClientRule] = []
    for number, entry in enumerate(entries, 1):
        if entry.get("PrefixListId"):
            skipped.add("a prefix list, whose entries are not in the file", number)
        rules += _rule(
            number,
            str(entry.get("GroupId") or "group")[:60],
            "outbound" if entry.get("IsEgress") is True else "inbound",
            entry.get("IpProtocol"),
            (entry.get("FromPort"), entry.get("ToPort")),
            [entry.get("CidrIpv4"), entry.get("CidrIpv6")],
            skipped,
        )
    return ClientRules(format="AWS security groups", rules=tuple(rules), notes=skipped.notes())


def read_terraform(plan: dict[str, Any]) -> ClientRules:
    """Read ``terraform show -json`` of a plan.

    Parameters
    ----------
    plan
        The document.

    Returns
    -------
    rules
        Of the security groups as they will be.
    """
    skipped = Skipped()
    rules: list[ClientRule] = []
    for number, (kind, name, values) in enumerate(_resources(plan), 1):
        if kind in {"aws_security_group", "aws_default_security_group"}:
            for key, direction in (("egress", "outbound"), ("ingress", "inbound")):
                for block in _rows(values.get(key)):
                    rules += _block(number, name, direction, block, skipped)
        elif kind == "aws_security_group_rule":
            direction = "outbound" if values.get("type") == "egress" else "inbound"
            rules += _block(number, name, direction, values, skipped)
        elif kind in {"aws_vpc_security_group_egress_rule", "aws_vpc_security_group_ingress_rule"}:
            direction = "outbound" if "egress" in kind else "inbound"
            cidrs = [values.get("cidr_ipv4"), values.get("cidr_ipv6")]
            ports = (values.get("from_port"), values.get("to_port"))
            rules += _rule(number, name, direction, values.get("ip_protocol"), ports, cidrs, skipped)
    return ClientRules(format="Terraform plan", rules=tuple(rules), notes=skipped.notes())


def _resources(plan: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    changes = plan.get("resource_changes")
    if isinstance(changes, list):
        for row in _rows(changes):
            after = _object(row.get("change")).get("after")
            if isinstance(after, dict):
                yield str(row.get("type")), str(row.get("address") or row.get("name"))[:80], after
        return
    modules = [_object(_object(plan.get("planned_values") or plan.get("values")).get("root_module"))]
    while modules:
        module = modules.pop()
        modules += _rows(module.get("child_modules"))
        for row in _rows(module.get("resources")):
            if isinstance(row.get("values"), dict):
                yield str(row.get("type")), str(row.get("address") or row.get("name"))[:80], row["values"]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _rows(value: Any) -> list[dict[str, Any]]:
    return [row for row in _list(value) if isinstance(row, dict)]


def _block(number: int, name: str, direction: str, block: dict[str, Any], skipped: Skipped) -> list[ClientRule]:
    cidrs = [*_list(block.get("cidr_blocks")), *_list(block.get("ipv6_cidr_blocks"))]
    if block.get("prefix_list_ids"):
        skipped.add("a prefix list, whose entries are not in the file", number)
    ports = (block.get("from_port"), block.get("to_port"))
    return _rule(number, name, direction, block.get("protocol"), ports, cidrs, skipped)


def _rule(
    number: int,
    name: str,
    direction: str,
    protocol: Any,
    ports: tuple[Any, Any],
    cidrs: list[Any],
    skipped: Skipped,
) -> list[ClientRule]:
    if protocol is None:
        skipped.add("no protocol", number)
        return []
    transport = _PROTOCOLS.get(str(protocol).lower())
    known = [cidr for cidr in cidrs if cidr]
    if transport is None or not known:
        return []
    span = EVERY_PORT if transport == "any" else _span(*ports)
    if span is None:
        skipped.add("ports that are no numbers from 0 to 65535", number)
        return []
    low, high = span
    rules = []
    for cidr in known:
        try:
            there: Addresses = of_prefixes([parse_prefix(str(cidr), strict=False)])
        except ParseError as error:
            skipped.add(str(error), number)
            continue
        text = f"{name}: {protocol} {low}-{high} {str(cidr)[:60]}"
        source, destination = (None, there) if direction == "outbound" else (there, None)
        rules.append(ClientRule(number, text, True, direction, transport, low, high, source, destination, (), name))
    return rules


def _span(low: Any, high: Any) -> tuple[int, int] | None:
    """Return the ports of a rule; all where none is named, or -1. What cannot be read is never taken for all."""
    first, last = _port(low), _port(high)
    if (low, high) == (None, None) or (first, last) == (-1, -1):
        return EVERY_PORT
    return (first, last) if first is not None and last is not None and 0 <= first <= last <= EVERY_PORT[1] else None


def _port(value: Any) -> int | None:
    """Read a number, also one in quotes, as templates write it."""
    if isinstance(value, str) and re.fullmatch(r"-1|[0-9]{1,5}", value):
        return int(value)
    return value if has_shape(value, int) else None
