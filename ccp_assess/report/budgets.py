"""Where the milliseconds of a call go: one budget per site for an option of Regions, each part with its basis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ccp_assess.report.style import Part
from ccp_assess.selection.journeys import SOFTPHONE_HANDLING
from ccp_assess.selection.legs import read_leg_constants


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPart:
    """One part of the way from mouth to ear.

    Parameters
    ----------
    part
        Which colour it has.
    label
        What it is, in words.
    one_way_ms
        How long it takes; ``None`` where it is unknown [ms].
    basis
        How the number is known.
    """

    part: Part
    label: str
    one_way_ms: float | None
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteBudget:
    """The parts between an average caller and an agent of one site.

    Parameters
    ----------
    site_id
        The site.
    name
        Its name for people.
    agents
        Its weight (count).
    region_code
        The Region that its agents use.
    parts
        In the order in which the voice passes them.
    """

    site_id: str
    name: str
    agents: int
    region_code: str
    parts: tuple[BudgetPart, ...]

    @property
    def total_ms(self) -> float | None:
        """Sum of the parts, ``None`` if one of them is unknown [ms]."""
        known = [part.one_way_ms for part in self.parts]
        return None if any(value is None for value in known) else sum(value for value in known if value is not None)

    @property
    def known_ms(self) -> float:
        """Sum of the parts that are known [ms]."""
        return sum(part.one_way_ms for part in self.parts if part.one_way_ms is not None)


def ranking_of(result: Any) -> dict[str, Any]:
    """Return the document of ``regions rank`` that a result holds.

    Parameters
    ----------
    result
        The document itself, a ranking with ``to_document()``, or an assessment with ``ranking``.

    Returns
    -------
    document
        Empty where there is none.
    """
    if isinstance(result, dict):
        return result
    ranking = getattr(result, "ranking", None)
    if ranking is None and hasattr(result, "to_document"):
        ranking = result.to_document()
    if ranking is not None and hasattr(ranking, "to_document"):
        ranking = ranking.to_document()
    return ranking or {}


def option_of(ranking: dict[str, Any], regions: list[str] | tuple[str, ...] | None = None) -> dict[str, Any] | None:
    """Return one option of a ranking.

    Parameters
    ----------
    ranking
        The document of ``regions rank``.
    regions
        Its Regions; the recommended ones if ``None``.

    Returns
    -------
    option
        ``None`` where there is no such option.
    """
    wanted = list(regions if regions is not None else (ranking.get("recommendation") or {}).get("regions") or [])
    return next((option for option in ranking.get("options", []) if list(option["regions"]) == wanted), None)


def weakest_basis(bases: list[str]) -> str:
    """Return the weakest of several bases: a mean is known no better than its weakest part.

    Parameters
    ----------
    bases
        ``measured``, ``modelled`` or ``assumed``.

    Returns
    -------
    basis
        ``assumed`` where there is none.

    Examples
    --------
    >>> weakest_basis(["measured", "modelled"])
    'modelled'
    """
    for basis in ("assumed", "modelled", "measured"):
        if basis in bases:
            return basis
    return "assumed"


def caller_part(client: Any, option: dict[str, Any], region_code: str | None = None) -> BudgetPart:
    """Return the caller leg, averaged over origins by their call shares.

    Parameters
    ----------
    client
        Gives the call shares.
    option
        One option of the ranking document.
    region_code
        Only origins served by this Region (an option may have several); all if none is served by it.

    Returns
    -------
    part
        With an unknown duration where no origin is given.
    """
    shares = {origin.origin_id: origin.call_share_pct for origin in client.callers}
    rows = [
        row for row in option["by_caller_origin"] if row.get("caller_leg_ms") is not None and row["origin_id"] in shares
    ]
    rows = [row for row in rows if row.get("region_code") == region_code] or rows
    total = sum(shares[row["origin_id"]] for row in rows)
    if not rows or total <= 0:
        return BudgetPart(part="caller", label="Caller leg", one_way_ms=None, basis="assumed")
    mean = sum(shares[row["origin_id"]] * row["caller_leg_ms"] for row in rows) / total
    return BudgetPart(
        part="caller",
        label="Caller leg, mean over callers",
        one_way_ms=mean,
        basis=weakest_basis([row["basis"] for row in rows]),
    )


def site_budgets(client: Any, ranking: dict[str, Any], regions: list[str] | None = None) -> tuple[SiteBudget, ...]:
    """Return the latency budget of every site for an option.

    Parameters
    ----------
    client
        Gives names, agents and call shares.
    ranking
        The document of ``regions rank``.
    regions
        The option; the recommended one if ``None``.

    Returns
    -------
    budgets
        In the order of the client's table; empty without an option.
    """
    option = option_of(ranking, regions)
    if option is None:
        return ()
    sites = {site.site_id: site for site in client.sites}
    between, *at_agent = handling_parts()
    budgets = []
    for row in option["by_site"]:
        site = sites.get(row["site_id"])
        code = row.get("region_code") or option["regions"][0]
        budgets.append(
            SiteBudget(
                site_id=row["site_id"],
                name=site.name if site else row["site_id"],
                agents=site.agents if site else 0,
                region_code=code,
                parts=(_caller_of(client, option, row, code), between, *agent_parts(row), *at_agent),
            )
        )
    return tuple(budgets)


def _caller_of(client: Any, option: dict[str, Any], row: dict[str, Any], region_code: str) -> BudgetPart:
    """Return the caller leg of a site; without callers, what the ranking took it to be."""
    part = caller_part(client, option, region_code)
    whole, leg = row.get("mouth_to_ear_ms"), row.get("agent_leg_ms")
    if part.one_way_ms is not None or whole is None or leg is None:
        return part
    rest = whole - leg - sum(handling.one_way_ms or 0.0 for handling in handling_parts())
    return BudgetPart(
        part="caller", label="Caller leg, callers taken to be with the agents", one_way_ms=rest, basis="assumed"
    )


def agent_parts(row: dict[str, Any]) -> tuple[BudgetPart, BudgetPart]:
    """Return the agent leg of a site: the network's part, and its access where that is not measured with it.

    Parameters
    ----------
    row
        One of an option's ``by_site``.

    Returns
    -------
    parts
        The access part is 0 where the leg already holds it.
    """
    access = row.get("access_ms") or 0.0
    leg = row.get("agent_leg_ms")
    return (
        BudgetPart(
            part="agent",
            label="Agent leg, network",
            one_way_ms=None if leg is None else leg - access,
            basis=row.get("basis") or "assumed",
        ),
        BudgetPart(part="agent", label="Agent leg, access", one_way_ms=access, basis="assumed"),
    )


_HANDLING: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Media server and gateway", ("media_server_ms", "gateway_ms")),
    ("Packets and codec", ("packetization_ms", "codec_lookahead_ms")),
    ("Jitter buffer", ("playout_ms",)),
)


def handling_parts() -> tuple[BudgetPart, ...]:
    """Return what a call between a softphone and a telephone spends outside its legs: planning values, grouped.

    Returns
    -------
    parts
        The first lies between the legs, the others at the agent.
    """
    constants, spent = read_leg_constants(), {extra.name: extra.times for extra in SOFTPHONE_HANDLING}
    return tuple(
        BudgetPart(
            part="handling",
            label=label,
            one_way_ms=sum(constants[name].value * spent[name] for name in names if name in spent),
            basis=weakest_basis([constants[name].basis for name in names if name in spent]),
        )
        for label, names in _HANDLING
        if any(name in spent for name in names)
    )
