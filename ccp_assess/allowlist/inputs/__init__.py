"""One input format, one small file; what a file is is told from its content, never from its name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ccp_assess.allowlist.inputs.aws import read_security_group_rules, read_security_groups, read_terraform
from ccp_assess.allowlist.inputs.cisco import read_cisco
from ccp_assess.allowlist.inputs.fortigate import read_fortigate
from ccp_assess.allowlist.inputs.iptables import read_iptables
from ccp_assess.allowlist.inputs.lists import read_list, read_rows, read_table
from ccp_assess.allowlist.inputs.model import ClientRule, ClientRules
from ccp_assess.allowlist.inputs.nft import read_nft
from ccp_assess.allowlist.inputs.paloalto import read_paloalto, read_paloalto_xml
from ccp_assess.errors import AllowlistError, ParseError
from ccp_assess.memory import collector_at_rest

__all__ = ["ClientRule", "ClientRules", "parse_client_rules", "read_client_rules"]

LARGEST_FILE_BYTES = 256 << 20


def read_client_rules(path: str | Path) -> ClientRules:
    """Read a client's rules from a file of any of the known formats.

    Parameters
    ----------
    path
        CSV or JSON of ours, a plain list of blocks or names, iptables-save, ``nft list ruleset``, Cisco ASA or IOS,
        Palo Alto (set commands or XML), FortiGate, AWS security groups as JSON, a Terraform plan as JSON.

    Returns
    -------
    rules
        What was understood, and notes on what was not.

    Raises
    ------
    AllowlistError
        If the file cannot be read or holds no rule of any known format.
    """
    name = str(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise AllowlistError(f"{name}: cannot be read ({error.strerror})") from error
    if len(data) > LARGEST_FILE_BYTES:
        raise AllowlistError(f"{name}: larger than {LARGEST_FILE_BYTES >> 20} MiB, so no file of rules")
    try:
        text = data.decode("utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return parse_client_rules(text, name=name)


def parse_client_rules(text: str, *, name: str) -> ClientRules:
    """Tell the format of a client's rules and read them.

    Parameters
    ----------
    text
        The file.
    name
        How to call it in messages.

    Returns
    -------
    rules
        What was understood.

    Raises
    ------
    AllowlistError
        If it holds no rule of any known format.
    """
    if "\0" in text[:4096]:
        raise AllowlistError(f"{name}: binary data, no file of rules; export the rules as text")
    try:
        with collector_at_rest():
            read = _parsed(text)
    except (ParseError, RecursionError) as error:
        raise AllowlistError(f"{name}: {error}") from error
    if not read.rules:
        known = "; ".join(read.notes) or "nothing in it looks like a rule"
        raise AllowlistError(
            f"{name}: no rule found ({known[:200]}); known formats are CSV, JSON, a plain list, iptables-save, nft, "
            f"Cisco, Palo Alto, FortiGate, AWS security groups and Terraform plans"
        )
    return read


def _parsed(text: str) -> ClientRules:
    start = text.lstrip()[:1]
    if start in {"{", "["} and not re.match(r"\s*\[[0-9a-f]*:[0-9a-f:]*\]", text):
        return _json(text)
    if start == "<":
        return read_paloalto_xml(text)
    for sign, reader in _SIGNS:
        if sign.search(text):
            return reader(text)
    return read_table(text) or read_list(text)


_SIGNS: tuple[tuple[re.Pattern[str], Callable[[str], ClientRules]], ...] = (
    (re.compile(r"^(?:-A |\*filter|:[A-Z]+ (?:ACCEPT|DROP))", re.MULTILINE), read_iptables),
    (re.compile(r"^\s*table (?:ip|ip6|inet|bridge|arp) ?\S* ?\{", re.MULTILINE), read_nft),
    (re.compile(r"^\s*config firewall ", re.MULTILINE), read_fortigate),
    (
        re.compile(
            r"^set (?:\S+ ){0,4}(?:address|address-group|service|rulebase|pre-rulebase|post-rulebase|profiles) ",
            re.MULTILINE,
        ),
        read_paloalto,
    ),
    (
        re.compile(
            r"^(?:access-list |ip(?:v6)? access-list |object(?:-group)? (?:network|service|v6-network) )", re.MULTILINE
        ),
        read_cisco,
    ),
)
"""What gives a format away; the first that fits decides."""


def _json(text: str) -> ClientRules:
    try:
        document: Any = json.loads(text)
    except ValueError as error:
        raise ParseError(f"no whole JSON document: {error}") from error
    if isinstance(document, dict):
        if isinstance(document.get("rules"), list):
            rows = [(number, row) for number, row in enumerate(document["rules"], 1) if isinstance(row, dict)]
            return read_rows(rows, "allowlist JSON")
        if isinstance(document.get("SecurityGroups"), list):
            return read_security_groups([group for group in document["SecurityGroups"] if isinstance(group, dict)])
        if isinstance(document.get("SecurityGroupRules"), list):
            return read_security_group_rules([row for row in document["SecurityGroupRules"] if isinstance(row, dict)])
        if "IpPermissionsEgress" in document or "IpPermissions" in document:
            return read_security_groups([document])
        if {"resource_changes", "planned_values", "values"} & set(document):
            return read_terraform(document)
        raise ParseError("JSON without rules, SecurityGroups or a Terraform plan")
    if isinstance(document, list) and document and all(isinstance(row, str) for row in document):
        return read_list("\n".join(document))
    if isinstance(document, list) and document and all(isinstance(row, dict) for row in document):
        if any("IpProtocol" in row or "IpPermissionsEgress" in row for row in document):
            return read_security_groups(document)
        return read_rows(list(enumerate(document, 1)), "allowlist JSON")
    raise ParseError("JSON without rules, SecurityGroups or a Terraform plan")
