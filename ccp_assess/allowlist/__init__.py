"""What the firewall must let through: rules, their formats, audits of what a client has, and change over time."""

from ccp_assess.allowlist.audit import Audit, audit
from ccp_assess.allowlist.choices import Choices, Switches
from ccp_assess.allowlist.inputs import ClientRules, parse_client_rules, read_client_rules
from ccp_assess.allowlist.rules import Allowlist, Rule, build, compare_options

__all__ = [
    "Allowlist",
    "Audit",
    "Choices",
    "ClientRules",
    "Rule",
    "Switches",
    "audit",
    "build",
    "compare_options",
    "parse_client_rules",
    "read_client_rules",
]
