"""AWS security groups as JSON, and the plan of Terraform as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ccp_assess.allowlist.inputs.model import EVERY_PORT, Addresses, ClientRule, ClientRules, Skipped, of_prefixes
from ccp_assess.errors import ParseError
from ccp_assess.prefixes import parse_prefix

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
            for permission in permissions if isinstance(permissions, list) else []:
                if not isinstance(permission, dict):
                    continue
                if permission.get("PrefixListIds"):
                    skipped.add("a prefix list, whose entries are not in the file", number)
                cidrs = [
                    row.get(key)
                    for kind, key in (("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6"))
                    for row in permission.get(kind) or []
                    if isinstance(row, dict)
                ]
                rules += _rule(
                    number,
                    name,
                    direction,
                    str(permission.get("IpProtocol", "-1")),
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
            "outbound" if entry.get("IsEgress") else "inbound",
            str(entry.get("IpProtocol", "-1")),
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
                for block in values.get(key) or []:
                    if isinstance(block, dict):
                        rules += _block(number, name, direction, block, skipped)
        elif kind == "aws_security_group_rule":
            direction = "outbound" if values.get("type") == "egress" else "inbound"
            rules += _block(number, name, direction, values, skipped)
        elif kind in {"aws_vpc_security_group_egress_rule", "aws_vpc_security_group_ingress_rule"}:
            direction = "outbound" if "egress" in kind else "inbound"
            cidrs = [values.get("cidr_ipv4"), values.get("cidr_ipv6")]
            ports = (values.get("from_port"), values.get("to_port"))
            rules += _rule(number, name, direction, str(values.get("ip_protocol", "-1")), ports, cidrs, skipped)
    return ClientRules(format="Terraform plan", rules=tuple(rules), notes=skipped.notes())


def _resources(plan: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    changes = plan.get("resource_changes")
    if isinstance(changes, list):
        for row in changes:
            after = (row.get("change") or {}).get("after") if isinstance(row, dict) else None
            if isinstance(after, dict):
                yield str(row.get("type")), str(row.get("address") or row.get("name"))[:80], after
        return
    modules = [(plan.get("planned_values") or plan.get("values") or {}).get("root_module") or {}]
    while modules:
        module = modules.pop()
        modules += [child for child in module.get("child_modules") or [] if isinstance(child, dict)]
        for row in module.get("resources") or []:
            if isinstance(row, dict) and isinstance(row.get("values"), dict):
                yield str(row.get("type")), str(row.get("address") or row.get("name"))[:80], row["values"]


def _block(number: int, name: str, direction: str, block: dict[str, Any], skipped: Skipped) -> list[ClientRule]:
    cidrs = [*(block.get("cidr_blocks") or []), *(block.get("ipv6_cidr_blocks") or [])]
    if block.get("prefix_list_ids"):
        skipped.add("a prefix list, whose entries are not in the file", number)
    ports = (block.get("from_port"), block.get("to_port"))
    return _rule(number, name, direction, str(block.get("protocol", "-1")), ports, cidrs, skipped)


def _rule(
    number: int,
    name: str,
    direction: str,
    protocol: str,
    ports: tuple[Any, Any],
    cidrs: list[Any],
    skipped: Skipped,
) -> list[ClientRule]:
    transport = _PROTOCOLS.get(protocol.lower())
    known = [cidr for cidr in cidrs if cidr]
    if transport is None or not known:
        return []
    low, high = ports if isinstance(ports[0], int) and isinstance(ports[1], int) else EVERY_PORT
    if transport == "any" or low < 0:
        low, high = EVERY_PORT
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
