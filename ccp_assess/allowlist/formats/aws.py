"""AWS: security groups (addresses only) and Network Firewall (domain lists and addresses), as JSON and Terraform."""

from __future__ import annotations

import json
from typing import Any

from ccp_assess.allowlist.formats.base import Entry, Fitted, Format, blocks_only, lines

_RULES_PER_GROUP = 60
"""Default quota of outbound rules of a security group (Amazon VPC quotas)."""


def _permissions(fitted: Fitted, direction: str) -> list[dict[str, Any]]:
    out = []
    for (transport, _), entries in fitted.groups(fitted.blocks(direction)).items():
        low, high = entries[0].ports
        four = [_range("CidrIp", entry) for entry in entries if entry.block and entry.block.version == 4]
        six = [_range("CidrIpv6", entry) for entry in entries if entry.block and entry.block.version == 6]
        row: dict[str, Any] = {"IpProtocol": transport, "FromPort": low, "ToPort": high}
        out.append(row | ({"IpRanges": four} if four else {}) | ({"Ipv6Ranges": six} if six else {}))
    return out


def _range(key: str, entry: Entry) -> dict[str, str]:
    # Descriptions allow few characters: letters, digits, spaces and ._-:/()#,@[]+=&;{}!$*
    return {key: entry.text, "Description": entry.comment[:255]}


def _sg_json(fitted: Fitted) -> str:
    blocks_only(fitted, "an AWS security group")
    document = {
        "IpPermissionsEgress": _permissions(fitted, "outbound"),
        "IpPermissions": _permissions(fitted, "inbound"),
    }
    return json.dumps(document, indent=1) + "\n"


def _sg_terraform(fitted: Fitted) -> str:
    blocks_only(fitted, "an AWS security group")
    count = len(fitted.blocks())
    quota = f"# {count} outbound rules: above the default quota of {_RULES_PER_GROUP}; raise it or use prefix lists."
    out = [
        *fitted.heading("#"),
        *([quota] if count > _RULES_PER_GROUP else []),
        'variable "vpc_id" {',
        "  type = string",
        "}",
        "",
        'resource "aws_security_group" "ccp" {',
        '  name        = "ccp-allowlist"',
        '  description = "Amazon Connect softphone"',
        "  vpc_id      = var.vpc_id",
    ]
    for direction, word in (("outbound", "egress"), ("inbound", "ingress")):
        for (transport, _), entries in fitted.groups(fitted.blocks(direction)).items():
            low, high = entries[0].ports
            out += ["", f"  {word} {{", f"    description = {json.dumps(entries[0].comment[:255])}"]
            out += [f'    protocol    = "{transport}"', f"    from_port   = {low}", f"    to_port     = {high}"]
            for version, key in ((4, "cidr_blocks"), (6, "ipv6_cidr_blocks")):
                texts = [entry.text for entry in entries if entry.block and entry.block.version == version]
                if texts:
                    out += [f"    {key} = [", *(f'      "{text}",' for text in texts), "    ]"]
            out.append("  }")
    return lines(out, ["}"])


def _suricata_hosts(fitted: Fitted) -> list[str]:
    # A leading dot stands for everything below a name (and the name itself).
    return list(dict.fromkeys(entry.host.lower().removeprefix("*") for entry in fitted.names))


def _nfw_group(fitted: Fitted) -> dict[str, Any]:
    sets: dict[str, Any] = {}
    rules: list[dict[str, Any]] = []
    near = "ANY"
    if fitted.subnets:
        sets["CCP_WORKSTATIONS"] = {"Definition": [subnet.text for subnet in fitted.subnets]}
        near = "$CCP_WORKSTATIONS"
    for direction in ("outbound", "inbound"):
        for number, ((transport, port), entries) in enumerate(fitted.groups(fitted.blocks(direction)).items(), 1):
            name = f"CCP_{direction[:3].upper()}_{transport.upper()}_{port.replace('-', '_')}"
            sets[name] = {"Definition": [entry.text for entry in entries]}
            ends = (near, f"${name}") if direction == "outbound" else (f"${name}", near)
            rules.append(
                {
                    "Action": "PASS",
                    "Header": {
                        "Protocol": transport.upper(),
                        "Source": ends[0],
                        "SourcePort": "ANY" if direction == "outbound" else "3478",
                        "Direction": "FORWARD",
                        "Destination": ends[1],
                        "DestinationPort": port.replace("-", ":"),
                    },
                    "RuleOptions": [{"Keyword": "sid", "Settings": [str(1000 * (direction == "inbound") + number)]}],
                }
            )
    return {"sets": sets, "rules": rules}


def _nfw_json(fitted: Fitted) -> str:
    made = _nfw_group(fitted)
    groups: dict[str, Any] = {}
    if made["rules"]:
        groups["ccp-blocks"] = {
            "RuleVariables": {"IPSets": made["sets"]},
            "RulesSource": {"StatefulRules": made["rules"]},
        }
    hosts = _suricata_hosts(fitted)
    if hosts:
        groups["ccp-names"] = {
            "RulesSource": {
                "RulesSourceList": {"Targets": hosts, "TargetTypes": ["TLS_SNI"], "GeneratedRulesType": "ALLOWLIST"}
            }
        }
    return (
        json.dumps({name: {"Type": "STATEFUL", "RuleGroup": group} for name, group in groups.items()}, indent=1) + "\n"
    )


def _nfw_terraform(fitted: Fitted) -> str:
    made = _nfw_group(fitted)
    out = fitted.heading("#")
    if made["rules"]:
        out += [
            'resource "aws_networkfirewall_rule_group" "ccp_blocks" {',
            '  name     = "ccp-blocks"',
            '  type     = "STATEFUL"',
            f"  capacity = {max(100, len(made['rules']))}",
            "  rule_group {",
            "    rule_variables {",
        ]
        for name, held in made["sets"].items():
            out += ["      ip_sets {", f'        key = "{name}"', "        ip_set {", "          definition = ["]
            out += [f'            "{text}",' for text in held["Definition"]]
            out += ["          ]", "        }", "      }"]
        out += ["    }", "    rules_source {"]
        for rule in made["rules"]:
            head = rule["Header"]
            out += [
                "      stateful_rule {",
                '        action = "PASS"',
                "        header {",
                f'          protocol         = "{head["Protocol"]}"',
                f'          source           = "{head["Source"]}"',
                f'          source_port      = "{head["SourcePort"]}"',
                '          direction        = "FORWARD"',
                f'          destination      = "{head["Destination"]}"',
                f'          destination_port = "{head["DestinationPort"]}"',
                "        }",
                "        rule_option {",
                '          keyword  = "sid"',
                f'          settings = ["{rule["RuleOptions"][0]["Settings"][0]}"]',
                "        }",
                "      }",
            ]
        out += ["    }", "  }", "}", ""]
    hosts = _suricata_hosts(fitted)
    if hosts:
        out += [
            'resource "aws_networkfirewall_rule_group" "ccp_names" {',
            '  name     = "ccp-names"',
            '  type     = "STATEFUL"',
            f"  capacity = {max(100, 2 * len(hosts))}",
            "  rule_group {",
            "    rules_source {",
            "      rules_source_list {",
            '        generated_rules_type = "ALLOWLIST"',
            '        target_types         = ["TLS_SNI"]',
            "        targets = [",
            *(f'          "{host}",' for host in hosts),
            "        ]",
            "      }",
            "    }",
            "  }",
            "}",
        ]
    return lines(out)


_SG: dict[str, Any] = {"names": False, "sources": False}

SG_JSON = Format(
    name="aws-sg-json", title="AWS security group, JSON", suffix=".json", write=_sg_json, comments=False, **_SG
)
SG_TERRAFORM = Format(
    name="aws-sg-terraform", title="AWS security group, Terraform", suffix=".tf", write=_sg_terraform, **_SG
)
NFW_JSON = Format(
    name="aws-nfw-json", title="AWS Network Firewall, JSON", suffix=".json", write=_nfw_json, comments=False
)
NFW_TERRAFORM = Format(
    name="aws-nfw-terraform", title="AWS Network Firewall, Terraform", suffix=".tf", write=_nfw_terraform
)
