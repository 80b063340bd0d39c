"""pf (OpenBSD, FreeBSD, macOS): tables and pass rules in an anchor."""

from __future__ import annotations

from ccp_assess.allowlist.formats.base import Fitted, Format, blocks_only, lines


def _pf(fitted: Fitted) -> str:
    blocks_only(fitted, "pf")
    stateless = fitted.allowlist.choices.stateless is not None
    keep = "no state" if stateless else "keep state"
    out = fitted.heading("#")
    rules: list[str] = []
    near = "any"
    if fitted.subnets:
        out.append(f"table <ccp_workstations> const {{ {', '.join(subnet.text for subnet in fitted.subnets)} }}")
        near = "<ccp_workstations>"
    for direction in ("outbound", "inbound"):
        for (transport, port), entries in fitted.groups(fitted.blocks(direction)).items():
            name = f"ccp_{direction[:3]}_{transport}_{port.replace('-', '_')}"
            out.append(f"table <{name}> const {{ \\")
            out += [f"  {entry.text}, \\" for entry in entries[:-1]]
            out.append(f"  {entries[-1].text} }}")
            ports = port.replace("-", ":")
            if direction == "inbound":
                rules.append(f"pass quick proto udp from <{name}> port 3478 to {near} port {ports} {keep}")
            else:
                rules.append(f"pass quick proto {transport} from {near} to <{name}> port {ports} {keep}")
                if stateless and transport == "tcp":
                    rules.append(f"pass quick proto tcp from <{name}> port {ports} to {near} flags A/A no state")
    return lines(out, rules)


PF = Format(name="pf", title="pf", suffix=".conf", write=_pf, names=False)
