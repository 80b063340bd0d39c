"""The assumptions register: what was taken as given, with its value, its basis and its reason."""

from __future__ import annotations

from typing import Any

from ccp_assess.report.content.findings import DUE_DAYS
from ccp_assess.report.words import clean, known, plain
from ccp_assess.selection.legs import LegConstant, read_leg_constants


def assumption_rows(assessment: Any) -> list[dict[str, Any]]:
    """Return what the numbers rest on beside measurements.

    Parameters
    ----------
    assessment
        The assessment.

    Returns
    -------
    rows
        ``what, value, basis, source``.
    """
    return [*_client_rows(assessment.client), *_method_rows(), *_planning_rows()]


def _planning_rows() -> list[dict[str, Any]]:
    """Return the planning values of the delay model, each with its band."""
    return [
        {
            "what": constant.meaning[:1].upper() + constant.meaning[1:],
            "value": _value(constant),
            "basis": constant.basis,
            "source": f"{constant.source} ({constant.name}, {constant.retrieved})",
        }
        for constant in read_leg_constants().values()
    ]


def _value(constant: LegConstant) -> str:
    unit = "" if constant.unit in {"unitless", "count"} else f" {constant.unit}"
    if constant.low == constant.high:
        return f"{plain(constant.value)}{unit}"
    return f"{plain(constant.value)}{unit} ({plain(constant.low)} to {plain(constant.high)})"


def _client_rows(client: Any) -> list[dict[str, Any]]:
    weights, constraints = client.weights, client.constraints
    importance = ", ".join(
        f"{name} {plain(getattr(weights, name))}"
        for name in ("agents", "callers", "transfers", "hops")
        if known(getattr(weights, name, None))
    )
    rows = [
        {
            "what": "Importance in the choice",
            "value": importance,
            "basis": "assumed",
            "source": "client.toml, [weights]",
        }
    ]
    for name, words in (
        ("allowed_regions", "Allowed Regions"),
        ("excluded_regions", "Excluded Regions"),
        ("residency", "Data residency"),
        ("services", "Services needed"),
    ):
        value = getattr(constraints, name, None)
        rows.append(
            {
                "what": words,
                "value": clean(", ".join(map(str, value)), 200) if value else "no constraint",
                "basis": "assumed",
                "source": "client.toml, [constraints]",
            }
        )
    rows.append(
        {
            "what": "Agents, call shares and transfers",
            "value": "as in the client's tables",
            "basis": "assumed",
            "source": "given by the client, not checked against call records",
        }
    )
    return rows


def _method_rows() -> list[dict[str, Any]]:
    return [
        {
            "what": "Days for mending, where none are agreed",
            "value": ", ".join(f"{severity} {days} days" for severity, days in DUE_DAYS.items()),
            "basis": "assumed",
            "source": "proposal; agree others in actions.csv (code, site_id, owner, due)",
        },
        {
            "what": "One way is half of the round trip",
            "value": "RTT / 2",
            "basis": "modelled",
            "source": "stated method; there and back may differ, and a capture at one end cannot tell",
        },
        {
            "what": "Codec towards the agent",
            "value": "Opus, 20 ms packets",
            "basis": "assumed",
            "source": "amazon-connect-rtc-js 1.3.2 asks for it; the service's answer is not public",
        },
        {
            "what": "Codec towards the caller",
            "value": "G.711, narrowband",
            "basis": "assumed",
            "source": "Amazon's page on prompts: 8 kHz because of telephone limits",
        },
    ]
