"""Which features of Amazon Connect each Region offers, where that is documented; the rest is unknown."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from ccp_assess.errors import ReferenceFactError, quoted

# What people call a service, beside its name in the table.
_OTHER_NAMES = {
    "amazon_q_in_connect": "ai_agents",
    "amazon_q": "ai_agents",
    "wisdom": "ai_agents",
    "campaigns": "outbound_campaigns",
    "contact_lens_realtime": "contact_lens_real_time",
    "real_time_contact_lens": "contact_lens_real_time",
    "conversational_analytics": "contact_lens",
    "appintegrations": "app_integrations",
    "step_by_step_guides": "agent_workspace",
    "guides": "agent_workspace",
    "forecasting": "forecasting_and_scheduling",
    "scheduling": "forecasting_and_scheduling",
    "capacity_planning": "forecasting_and_scheduling",
    "profiles": "customer_profiles",
    "case_management": "cases",
    "acgr": "global_resiliency",
    "telephony": "voice",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFact:
    """What is documented of one service in one Region.

    Parameters
    ----------
    service
        Name in the table, such as ``contact_lens``.
    region_code
        The Region.
    offered
        Whether the Region offers it.
    note
        What a reader must know before relying on it.
    source
        Where it was read.
    retrieved
        When it was read (ISO date).
    """

    service: str
    region_code: str
    offered: bool
    note: str
    source: str
    retrieved: str


@cache
def read_services() -> dict[tuple[str, str], ServiceFact]:
    """Read the services table.

    Returns
    -------
    facts
        By service and Region code, in the order of the table; a pair that is not there is unknown.
    """
    text = resources.files("ccp_assess.reference").joinpath("services.csv").read_text(encoding="utf-8")
    return {(row["service"], row["region_code"]): _fact(row) for row in csv.DictReader(text.splitlines())}


def _fact(row: dict[str, str]) -> ServiceFact:
    return ServiceFact(
        service=row["service"],
        region_code=row["region_code"],
        offered=row["offered"] == "yes",
        note=row["note"],
        source=row["source"],
        retrieved=row["retrieved"],
    )


def service_names() -> tuple[str, ...]:
    """Return the services that the table knows, in its order.

    Returns
    -------
    names
        Such as ``voice``, ``chat``, ``contact_lens``.
    """
    return tuple(dict.fromkeys(service for service, _ in read_services()))


def service_name(text: str) -> str:
    """Return the table's name of a service.

    Parameters
    ----------
    text
        As a client wrote it: case, blanks and hyphens do not matter, and some other names are known.

    Returns
    -------
    service
        Name in the table.

    Raises
    ------
    ReferenceFactError
        If the table does not know it; the text lists the services that it knows.

    Examples
    --------
    >>> service_name("Contact Lens"), service_name("Amazon Connect Wisdom")
    ('contact_lens', 'ai_agents')
    """
    words = re.sub(r"[\s_-]+", "_", text.strip().lower())
    plain = words.removeprefix("amazon_connect_").removeprefix("connect_")
    for name in (words, plain):
        found = _OTHER_NAMES.get(name, name)
        if found in service_names():
            return found
    raise ReferenceFactError(f"service {quoted(text)} is unknown; known services are {', '.join(service_names())}")


def offers(service: str, region_code: str) -> bool | None:
    """Say whether a Region offers a service.

    Parameters
    ----------
    service
        As a client wrote it.
    region_code
        The Region.

    Returns
    -------
    offered
        ``None`` where nothing is documented.

    Raises
    ------
    ReferenceFactError
        If the service is unknown.

    Examples
    --------
    >>> offers("contact lens real-time", "af-south-1"), offers("cases", "ap-south-1")
    (False, None)
    """
    fact = read_services().get((service_name(service), region_code))
    return None if fact is None else fact.offered


def services_of(region_code: str) -> dict[str, ServiceFact]:
    """Return what is documented of a Region.

    Parameters
    ----------
    region_code
        The Region.

    Returns
    -------
    facts
        By service, offered or not; a service that is not there is unknown.
    """
    return {service: fact for (service, code), fact in read_services().items() if code == region_code}
