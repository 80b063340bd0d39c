"""Azure Firewall: a rule collection group of a firewall policy, as an ARM resource in JSON."""

from __future__ import annotations

import json
from typing import Any

from ccp_assess.allowlist.formats.base import Fitted, Format


def _azure(fitted: Fitted) -> str:
    near = [subnet.text for subnet in fitted.subnets] or ["*"]
    network = [
        {
            "ruleType": "NetworkRule",
            "name": f"ccp-{direction}-{transport}-{port}",
            "ipProtocols": [transport.upper()],
            "sourceAddresses": near if direction == "outbound" else [entry.text for entry in entries],
            "destinationAddresses": [entry.text for entry in entries] if direction == "outbound" else near,
            "destinationPorts": [port],
        }
        for direction in ("outbound", "inbound")
        for (transport, port), entries in fitted.groups(fitted.blocks(direction)).items()
    ]
    udp = [entry for entry in fitted.names if entry.transport == "udp" and "*" not in entry.host]
    network += [
        {
            "ruleType": "NetworkRule",
            "name": f"ccp-names-{transport}-{port}",
            "ipProtocols": [transport.upper()],
            "sourceAddresses": near,
            "destinationFqdns": list(dict.fromkeys(entry.host.lower() for entry in entries)),  # needs the DNS proxy
            "destinationPorts": [port],
        }
        for (transport, port), entries in fitted.groups(udp).items()
    ]
    hosts = list(dict.fromkeys(entry.host.lower() for entry in fitted.names if entry.transport == "tcp"))
    application: list[dict[str, Any]] = []
    if hosts:
        application.append(
            {
                "ruleType": "ApplicationRule",
                "name": "ccp-names",
                "protocols": [{"protocolType": "Https", "port": 443}],
                "sourceAddresses": near,
                "targetFqdns": hosts,
            }
        )
    collections = [
        {
            "ruleCollectionType": "FirewallPolicyFilterRuleCollection",
            "name": name,
            "priority": priority,
            "action": {"type": "Allow"},
            "rules": rules,
        }
        for name, priority, rules in (("ccp-network", 1000, network), ("ccp-application", 1100, application))
        if rules
    ]
    document = {
        "type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups",
        "apiVersion": "2023-11-01",
        "name": "ccp-allowlist",
        "properties": {"priority": 1000, "ruleCollections": collections},
    }
    return json.dumps(document, indent=1) + "\n"


AZURE = Format(
    name="azure-firewall", title="Azure Firewall", suffix=".json", write=_azure, udp_names=True, comments=False
)
