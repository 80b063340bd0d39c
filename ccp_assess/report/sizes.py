"""How much each way of allowing opens, asked of the allowlist room."""

from __future__ import annotations

from typing import Any

from ccp_assess.allowlist import compare_options


def allowlist_sizes(regions: list[str]) -> list[dict[str, Any]]:
    """Return how many addresses each option of the allowlist opens for some Regions.

    Parameters
    ----------
    regions
        Region codes.

    Returns
    -------
    rows
        ``option`` (for people), ``v4`` (count of IPv4 addresses), ``names`` and ``blocks_v4`` (counts); empty
        without Regions.
    """
    if not regions:
        return []
    return [
        {"option": row["label"], "v4": row["addresses_v4"], "names": row["names"], "blocks_v4": row["blocks_v4"]}
        for row in compare_options(regions)
    ]
