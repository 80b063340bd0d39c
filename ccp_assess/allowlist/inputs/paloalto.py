"""Palo Alto: `set` commands and the XML of an exported configuration."""

from __future__ import annotations

import re
import shlex
import xml.etree.ElementTree as ET  # documents with a DOCTYPE are refused below

from ccp_assess.allowlist.inputs.model import (
    EVERY_PORT,
    Addresses,
    ClientRule,
    ClientRules,
    Skipped,
    complement,
    merged,
    of_prefixes,
    of_range,
    read_ports,
)
from ccp_assess.errors import ParseError
from ccp_assess.prefixes import parse_prefix

_DEEPEST = 12
_SERVICES = {"service-https": [("tcp", 443, 443)], "service-http": [("tcp", 80, 80), ("tcp", 8080, 8080)]}
_APPLICATION_PORTS = {
    "ssl": [("tcp", 443, 443)],
    "web-browsing": [("tcp", 80, 80)],
    "stun": [("udp", 3478, 3478), ("tcp", 3478, 3478)],
    "amazon-connect": [("tcp", 443, 443), ("udp", 3478, 3478)],
    "dns": [("udp", 53, 53), ("tcp", 53, 53)],
    "any": [("any", *EVERY_PORT)],
}

Tree = dict[str, dict[str, list[str]]]


class _Config:
    """What the set commands and the XML are both turned into."""

    def __init__(self) -> None:
        self.address: dict[str, tuple[str, str]] = {}
        self.groups: dict[str, list[str]] = {}
        self.service: dict[str, list[tuple[str, int, int]]] = {}
        self.categories: dict[str, list[str]] = {}
        self.rules: dict[tuple[str, str], dict[str, list[str]]] = {}
        self.lines: dict[tuple[str, str], int] = {}

    def resolve(self, name: str, depth: int = 0) -> tuple[list[Addresses], list[str]]:
        """Return the addresses and names behind an object, a group or a literal."""
        if depth > _DEEPEST:
            raise ParseError(f"the group {name[:60]} holds itself")
        if name in self.groups:
            inner = [self.resolve(member, depth + 1) for member in self.groups[name]]
            return [one for sets, _ in inner for one in sets], [host for _, hosts in inner for host in hosts]
        kind, value = self.address.get(name, ("ip-netmask", name))
        if kind == "fqdn":
            return [], [value.lower()]
        if kind == "ip-range" or (name not in self.address and re.fullmatch(r"[0-9.]+-[0-9.]+", value)):
            low, _, high = value.partition("-")
            return [of_range(low, high)], []
        return [of_prefixes([parse_prefix(value, strict=False)])], []


def read_paloalto(text: str) -> ClientRules:
    """Read set commands.

    Parameters
    ----------
    text
        The file.

    Returns
    -------
    rules
        Of the security rulebase, in its order.
    """
    skipped = Skipped()
    config = _Config()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip().startswith("set "):
            continue
        try:
            _set(config, shlex.split(line.strip())[1:], number)
        except (ParseError, ValueError, IndexError) as error:
            skipped.add(str(error) or "cut short", number)
    return _rules(config, skipped, "Palo Alto set commands")


def _set(config: _Config, words: list[str], number: int) -> None:
    within = ""
    while words and words[0] in {"shared", "vsys", "device-group", "pre-rulebase", "post-rulebase"}:
        within += f"/{words[0] if words[0].endswith('rulebase') else words[1]}"
        if words[0].endswith("rulebase"):
            words[0] = "rulebase"
            break
        words = words[1:] if words[0] == "shared" else words[2:]
    head = words[0]
    if head == "address":
        if words[2] in {"ip-netmask", "ip-range", "fqdn"}:
            config.address[words[1]] = (words[2], words[3])
    elif head == "address-group" and words[2] == "static":
        config.groups.setdefault(words[1], []).extend(_listed(words[3:]))
    elif head == "service" and words[2] == "protocol" and words[4] == "port":
        config.service[words[1]] = [(words[3], *read_ports(part)) for part in ",".join(words[5:]).split(",") if part]
    elif head == "service-group" and words[2] == "members":
        config.groups.setdefault(f"service {words[1]}", []).extend(_listed(words[3:]))
    elif head == "profiles" and words[1] == "custom-url-category" and words[3] == "list":
        config.categories.setdefault(words[2], []).extend(_listed(words[4:]))
    elif head == "rulebase" and words[1:3] == ["security", "rules"]:
        rule = config.rules.setdefault((within, words[3]), {})
        config.lines.setdefault((within, words[3]), number)
        at = 4
        while at < len(words):
            values = _listed(words[at + 1 :]) if words[at + 1 : at + 2] == ["["] else words[at + 1 : at + 2]
            rule.setdefault(words[at], []).extend(values)
            at += 2 if words[at + 1 : at + 2] != ["["] else words.index("]", at) - at + 1


def _listed(words: list[str]) -> list[str]:
    if words[:1] == ["["]:
        return words[1 : words.index("]")] if "]" in words else words[1:]
    return words[:1]


def read_paloalto_xml(text: str) -> ClientRules:
    """Read an exported configuration.

    Parameters
    ----------
    text
        XML; a DOCTYPE is refused.

    Returns
    -------
    rules
        Of the security rulebase, in its order.

    Raises
    ------
    ParseError
        If it is no well-formed XML.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ParseError("XML with a DOCTYPE is not read; export the configuration without it")
    try:
        root = ET.fromstring(text)  # noqa: S314  # entities cannot be declared without a DOCTYPE
    except (ET.ParseError, ValueError) as error:
        raise ParseError(f"no well-formed XML: {error}") from error
    config, skipped = _Config(), Skipped()
    for entry in root.iterfind(".//address/entry"):
        for kind in ("ip-netmask", "ip-range", "fqdn"):
            value = entry.findtext(kind)
            if value:
                config.address[entry.get("name", "")] = (kind, value.strip())
    for entry in root.iterfind(".//address-group/entry"):
        config.groups[entry.get("name", "")] = [m.text or "" for m in entry.iterfind("./static/member")]
    for entry in root.iterfind(".//service/entry"):
        for transport in ("tcp", "udp"):
            port = entry.findtext(f"./protocol/{transport}/port")
            if port:
                config.service[entry.get("name", "")] = [(transport, *read_ports(p)) for p in port.split(",")]
    for entry in root.iterfind(".//service-group/entry"):
        config.groups[f"service {entry.get('name', '')}"] = [m.text or "" for m in entry.iterfind("./members/member")]
    for entry in root.iterfind(".//custom-url-category/entry"):
        config.categories[entry.get("name", "")] = [m.text or "" for m in entry.iterfind("./list/member")]
    for entry in root.iterfind(".//security/rules/entry"):
        name = entry.get("name", "")
        place = str(len(config.rules)), name  # the same name may stand in several groups of devices
        rule = config.rules.setdefault(place, {})
        config.lines[place] = text.count("\n", 0, max(text.find(f'"{name}"'), 0)) + 1
        for child in entry:
            members = [m.text or "" for m in child.iterfind("member")]
            rule[child.tag] = members or [(child.text or "").strip()]
    return _rules(config, skipped, "Palo Alto configuration")


def _rules(config: _Config, skipped: Skipped, form: str) -> ClientRules:
    rules: list[ClientRule] = []
    for place, rule in config.rules.items():
        line = config.lines.get(place, 0)
        if rule.get("disabled") == ["yes"]:
            continue
        try:
            rules += _expanded(config, place[1], rule, line)
        except ParseError as error:
            skipped.add(str(error), line)
    return ClientRules(format=form, rules=tuple(rules), notes=skipped.notes())


def _expanded(config: _Config, name: str, rule: dict[str, list[str]], line: int) -> list[ClientRule]:
    allow = rule.get("action", [])[:1] == ["allow"]
    if allow and rule.get("schedule"):
        raise ParseError(f"only at the times of the schedule {rule['schedule'][0][:60]}")
    source, _ = _side(config, rule, "source")
    destination, hosts = _side(config, rule, "destination")
    categories = [category for category in rule.get("category", []) if category != "any"]
    listed = [entry for category in categories for entry in config.categories.get(category, ())]
    if categories and not listed:
        raise ParseError(f"only for the URL category {categories[0][:60]}, whose entries are not in the file")
    if listed:
        hosts = [*hosts, *(re.sub(r"^https?://|/$", "", entry).lower() for entry in listed)]
    applications = rule.get("application", ["any"])
    known = [one for one in applications if one in _APPLICATION_PORTS]
    if not known:
        raise ParseError("only for applications that are none of the softphone's")
    ports = _service(config, rule.get("service", ["any"]), known)
    if "any" not in known:
        ports = _common(ports, [row for one in known for row in _APPLICATION_PORTS[one]])
    text = f"rule {name[:80]}"
    rows = []
    for transport, low, high in ports:
        row = ClientRule(line, text, allow, "both", transport, low, high, source, None, tuple(hosts), "security")
        if hosts:
            rows.append(row)
        if destination is not None or not hosts:
            rows.append(row._replace(destination=destination, hosts=()))
    return rows


def _side(config: _Config, rule: dict[str, list[str]], key: str) -> tuple[Addresses | None, list[str]]:
    names, negated = rule.get(key, ["any"]), rule.get(f"negate-{key}") == ["yes"]
    if "any" in names:
        return (((), ()) if negated else None), []
    found = [config.resolve(name) for name in names]
    sets = [one for inner, _ in found for one in inner]
    hosts = [host for _, inner in found for host in inner]
    held = merged(sets) if sets or not hosts else None
    if negated and hosts:
        raise ParseError("all but a name")
    return (complement(held) if negated and held is not None else held), hosts


def _common(ports: list[tuple[str, int, int]], others: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """Return what two lists of transports and ports have in common."""
    return [
        (other if transport == "any" else transport, max(low, first), min(high, last))
        for transport, low, high in ports
        for other, first, last in others
        if (transport == other or "any" in {transport, other}) and max(low, first) <= min(high, last)
    ]


def _service(config: _Config, names: list[str], applications: list[str], depth: int = 0) -> list[tuple[str, int, int]]:
    rows: list[tuple[str, int, int]] = []
    for name in names:
        if name == "any":
            rows.append(("any", *EVERY_PORT))
        elif name == "application-default":
            rows += [row for app in applications for row in _APPLICATION_PORTS.get(app, [])]
        elif f"service {name}" in config.groups and depth < _DEEPEST:
            rows += _service(config, config.groups[f"service {name}"], applications, depth + 1)
        elif held := config.service.get(name) or _SERVICES.get(name):
            rows += held
        elif name in config.service:
            raise ParseError(f"the service {name[:60]} has no ports")
        else:
            raise ParseError(f"the service {name[:60]} is not in the file")
    return rows
