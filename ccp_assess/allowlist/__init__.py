"""What the firewall must let through: rules, their formats, audits of what a client has, and change over time."""

from ccp_assess.allowlist.choices import Choices, Switches
from ccp_assess.allowlist.rules import Allowlist, Rule, build, compare_options

__all__ = ["Allowlist", "Choices", "Rule", "Switches", "build", "compare_options"]
