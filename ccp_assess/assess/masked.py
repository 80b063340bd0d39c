"""An assessment in which nobody is named: what came out of files is searched for whom and what the client alone has."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ccp_assess.capture.scrubbing.names import AWS_SUFFIXES
from ccp_assess.client.masking import FOLDER, Mask, blur_places
from ccp_assess.ranges import IpRanges, read_ranges

if TYPE_CHECKING:
    from ccp_assess.assess.client_assessment import ClientAssessment

_HOST_KEYS = frozenset({"host", "name", "address", "addresses", "answers", "destination", "proxy", "server"})
_HOST = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+\.?(?=$|:\d+$)")
_NOBODY_V4, _NOBODY_V6 = ipaddress.IPv4Address("240.0.0.0"), ipaddress.IPv6Address("2001:db8::")
"""Blocks that belong to nobody: masked addresses are taken from them."""


def mask_assessment(assessment: ClientAssessment, mask: Mask) -> ClientAssessment:
    """Mask what came out of files: their names, the texts about them, the names seen on the wire and in diaries.

    Parameters
    ----------
    assessment
        Of a masked client.
    mask
        Of that client.

    Returns
    -------
    assessment
        The same numbers. Host names that are not AWS's and public addresses outside AWS's published ranges are
        replaced, too, and places are blurred.
    """
    agents = {
        str(cell["agent"]): None for entry in assessment.witnesses for cell in entry["document"].get("heat_map") or ()
    }
    people = {name: f"Agent {number}" for number, name in enumerate(agents, start=1) if name.strip(" _-")}
    seen = [assessment.captures, assessment.measurements, assessment.witnesses, assessment.joined, assessment.audit]
    mask = replace(mask, names={**people, **mask.names}, wire=names_on_the_wire(seen))
    return replace(
        assessment,
        client=blur_places(replace(assessment.client, folder=FOLDER)),
        captures=mask.tree(assessment.captures),
        measurements=mask.tree(assessment.measurements),
        audit=mask.tree(assessment.audit),
        findings=mask.tree(assessment.findings),
        unknowns=mask.tree(assessment.unknowns),
        witnesses=mask.tree(assessment.witnesses),
        joined=mask.tree(assessment.joined),
        masked=True,
    )


def without_distances(document: Any) -> Any:
    """Return a document without distances, from which places could be worked out.

    Parameters
    ----------
    document
        A ranking, or part of one.

    Returns
    -------
    document
        The same, with ``None`` wherever a name ends in ``_km``.
    """
    if isinstance(document, dict):
        return {key: None if str(key).endswith("_km") else without_distances(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [without_distances(value) for value in document]
    return document


def names_on_the_wire(documents: Any) -> dict[str, str]:
    """Return what stands for each host name and each public address that is not AWS's.

    Parameters
    ----------
    documents
        Values of any depth; hosts are looked for where hosts stand (``host``, ``proxy`` ...), addresses everywhere.

    Returns
    -------
    masks
        In lower case to their mask: the ``wire`` of a `Mask`.
    """
    ranges, masks = read_ranges(), dict[str, str]()
    hosts = addresses = 0
    for text in dict.fromkeys(_named(documents)):
        address = _parsed(text)
        if address is not None and _is_somebodys(address, ranges):
            addresses += 1
            nobody = _NOBODY_V4 + addresses if address.version == 4 else _NOBODY_V6 + addresses
            masks[text.lower()] = str(nobody)
        elif address is None and _HOST.match(text) and not _is_aws(text):
            hosts += 1
            masks[text.lower().partition(":")[0].rstrip(".")] = f"host-{hosts}"
    return masks


def _named(value: Any, key: str | None = None) -> Iterator[str]:
    """Yield every text that is an address, wherever it stands, and host names where names of hosts stand."""
    if isinstance(value, str):
        if key in _HOST_KEYS or _parsed(value) is not None:
            yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _named(item, str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _named(item, key)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if not text or text[-1] not in "0123456789abcdefABCDEF:" or not ("." in text or ":" in text):
        return None  # most texts, at no cost
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_somebodys(address: ipaddress.IPv4Address | ipaddress.IPv6Address, ranges: IpRanges) -> bool:
    return address.is_global and ranges.service_of(str(address)) is None


def _is_aws(host: str) -> bool:
    name = host.lower().partition(":")[0].rstrip(".")
    return any(name == suffix or name.endswith(f".{suffix}") for suffix in AWS_SUFFIXES)
