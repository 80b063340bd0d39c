"""What this computer is: processor, memory, browsers, and the link that its packets leave by; no packet is sent."""

from __future__ import annotations

from ccp_assess.probe.computer.facts import (
    Computer,
    computer_document,
    look_at_computer,
    virtual_desktop,
    where_to_record,
)
from ccp_assess.probe.computer.requirements import held_against_requirements

__all__ = [
    "Computer",
    "computer_document",
    "held_against_requirements",
    "look_at_computer",
    "virtual_desktop",
    "where_to_record",
]
