"""A finding: one sentence for the client, with the numbers behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ccp_assess.units import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sentence for the client with the numbers behind it.

    Parameters
    ----------
    code
        From a closed list, upper case with underscores.
    severity
        How much it matters.
    text
        What was found, and what to do.
    evidence
        The numbers behind it, named with their units.
    """

    code: str
    severity: Severity
    text: str
    evidence: dict[str, Any] = field(default_factory=dict)


def counted(number: int, noun: str, nouns: str | None = None) -> str:
    """Write a number with its noun in the right form.

    Parameters
    ----------
    number
        How many (count).
    noun, nouns
        Singular and plural; the plural ends in s where it is not given.

    Returns
    -------
    text
        Number and noun.

    Examples
    --------
    >>> counted(1, "other way"), counted(2, "other way"), counted(1, "query", "queries")
    ('1 other way', '2 other ways', '1 query')
    """
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"
