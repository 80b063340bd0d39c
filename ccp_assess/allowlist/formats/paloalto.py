"""Palo Alto set commands: address objects, a custom URL category for names with wildcards, security rules."""

from __future__ import annotations

from ccp_assess.allowlist.formats.base import Entry, Fitted, Format, lines, object_names

STEM = "ccp"


def _paloalto(fitted: Fitted) -> str:
    out = fitted.heading("#")
    near = "any"
    if fitted.subnets:
        names = [f"{STEM}-workstations-{number}" for number in range(1, len(fitted.subnets) + 1)]
        out += [
            f"set address {name} ip-netmask {subnet.text}" for name, subnet in zip(names, fitted.subnets, strict=True)
        ]
        out += [f"set address-group {STEM}-workstations static [ {' '.join(names)} ]"]
        near = f"{STEM}-workstations"
    out += [
        f"set service {STEM}-{transport}-{port} protocol {transport} port {port}"
        for transport, port in fitted.groups(fitted.entries)
    ]
    for direction in ("outbound", "inbound"):
        for (transport, port), entries in fitted.groups(fitted.blocks(direction)).items():
            out += _rule(f"{STEM}-{direction}-{transport}-{port}", entries, near, (transport, port), direction)
    exact = [entry for entry in fitted.names if "*" not in entry.host and entry.transport == "udp"]
    web = [entry for entry in fitted.names if entry.transport == "tcp"]
    for (transport, port), entries in fitted.groups(exact).items():
        out += _rule(f"{STEM}-names-{transport}-{port}", entries, near, (transport, port), "outbound")
    for (transport, port), entries in fitted.groups(web).items():
        out += _category(entries, near, (transport, port))
    return lines(out)


def _rule(name: str, entries: tuple[Entry, ...], near: str, service: tuple[str, str], direction: str) -> list[str]:
    objects = object_names(entries, STEM)
    out = [
        f"set address {label} {'fqdn ' + entry.host.lower() if not entry.block else 'ip-netmask ' + entry.text}"
        for label, entry in objects
    ]
    # A command line takes some thousand characters: members are added a few dozen at a time.
    for at in range(0, len(objects), 40):
        members = " ".join(label for label, _ in objects[at : at + 40])
        out.append(f"set address-group {name} static [ {members} ]")
    source, destination = (near, name) if direction == "outbound" else (name, near)
    return [
        *out,
        *_security(name, source, destination, f"{STEM}-{service[0]}-{service[1]}", entries[0].comment),
    ]


def _category(entries: tuple[Entry, ...], near: str, service: tuple[str, str]) -> list[str]:
    name = f"{STEM}-names-{service[0]}-{service[1]}"
    # An entry without a final slash would also match longer names ("example.com.evil.net"). Paths stay out: without
    # decryption the firewall sees the name alone, and an entry with a path would never match.
    hosts = [f"{entry.host.lower()}/" for entry in entries]
    return [
        f'set profiles custom-url-category {name} type "URL List"',
        *(f"set profiles custom-url-category {name} list [ {host} ]" for host in dict.fromkeys(hosts)),
        *_security(name, near, "any", f"{STEM}-{service[0]}-{service[1]}", entries[0].comment),
        f"set rulebase security rules {name} category {name}",
    ]


def _security(name: str, source: str, destination: str, service: str, comment: str) -> list[str]:
    rule = f"set rulebase security rules {name}"
    return [
        f"{rule} from any",
        f"{rule} to any",
        f"{rule} source {source}",
        f"{rule} destination {destination}",
        f"{rule} application any",
        f"{rule} service {service}",
        f"{rule} action allow",
        f'{rule} description "{comment}"',
    ]


PALOALTO = Format(name="paloalto", title="Palo Alto set commands", suffix=".txt", write=_paloalto, udp_names=True)
