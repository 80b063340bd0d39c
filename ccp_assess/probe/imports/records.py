"""From what an importer found to the records of ``ccp_assess.paths``: hops, path, round-trip times, Region.

One meaning for all tools: the hop count is the lowest TTL at which the destination itself answered; probes that a
middle hop left unanswered say nothing about loss on the way; a tool that gives only sums leaves the single times empty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ccp_assess import endpoints
from ccp_assess.paths import Hop, Path, RegionProbe, Technique
from ccp_assess.probe.imports.text import address_or_none, clean_name

MAX_TTL = 255
ATLAS_LAST_RESORT_TTL = 255
"""RIPE Atlas asks the target once more with this TTL after too many silent hops: no hop count follows from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one probe.

    Parameters
    ----------
    address
        Who answered: its address, or its name where the tool gives no address; ``None`` if nobody did.
    name
        Host name beside the address.
    rtt_ms
        Round-trip time; ``None`` if no answer came, or the tool gives none with it [ms].
    asn
        Origin AS number.
    annotation
        Such as ``!H``.
    """

    address: str | None = None
    name: str | None = None
    rtt_ms: float | None = None
    asn: int | None = None
    annotation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a tool was told to probe.

    Parameters
    ----------
    name
        As given to the tool; may be an address.
    address
        What the name was resolved to.
    """

    name: str | None = None
    address: str | None = None

    def is_it(self, address: str | None, name: str | None = None) -> bool:
        """Say whether who answered is the destination.

        Parameters
        ----------
        address, name
            Who answered.

        Returns
        -------
        is_it
            Whether an address or a name of the answer is one of the destination.
        """
        own = {text.rstrip(".").casefold() for text in (self.name, self.address) if text}
        return any(text.rstrip(".").casefold() in own for text in (address, name) if text)


def destination(name: str | None, address: str | None = None) -> Destination:
    """Make a destination from what a tool wrote.

    Parameters
    ----------
    name
        Name or address as written.
    address
        What it was resolved to, if the tool says.

    Returns
    -------
    destination
        With the address filled in if the name is one.
    """
    cleaned = clean_name(name)
    as_address = address_or_none(cleaned) if cleaned else None
    return Destination(
        name=as_address or cleaned, address=(address_or_none(address) if address else None) or as_address
    )


def hop_from_answers(ttl: int, answers: Sequence[Answer], wanted: Destination) -> Hop:
    """Make a hop from its single answers.

    Parameters
    ----------
    ttl
        Its time to live.
    answers
        One per probe, in order.
    wanted
        The destination: where it is among several that answered, the hop bears its address.

    Returns
    -------
    hop
        With single times and their sums.
    """
    replied = [answer for answer in answers if answer.address is not None]
    first = next((a for a in replied if wanted.is_it(a.address, a.name)), replied[0] if replied else Answer())
    times = [answer.rtt_ms for answer in replied if answer.rtt_ms is not None]
    everyone = tuple(dict.fromkeys(answer.address for answer in replied if answer.address is not None))
    return Hop(
        ttl=ttl,
        address=first.address,
        sent=len(answers) or None,
        received=len(replied) if answers else None,
        rtts_ms=tuple(answer.rtt_ms for answer in answers),
        rtt_min_ms=min(times, default=None),
        rtt_avg_ms=round(math.fsum(times) / len(times), 6) if times else None,
        rtt_max_ms=max(times, default=None),
        asn=next((a.asn for a in replied if a.asn is not None and a.address == first.address), None),
        name=first.name,
        addresses=everyone if len(everyone) > 1 else (),
        annotations=tuple(answer.annotation for answer in answers if answer.annotation),
    )


def received_from_loss(sent: int | None, loss_pct: float | None) -> int | None:
    """Work out how many answers a tool counted that gives the loss in percent.

    Parameters
    ----------
    sent
        Probes sent (count).
    loss_pct
        Loss as printed [%].

    Returns
    -------
    received
        Answers (count). A probe still on its way is neither lost nor received: where the printed loss fits one probe
        fewer than were sent and does not fit all of them, that is what happened.

    Examples
    --------
    >>> received_from_loss(50, 24.0), received_from_loss(6, 20.0)
    (38, 4)
    """
    if sent is None or loss_pct is None or not 0.0 <= loss_pct <= 100.0:
        return None
    for judged in (sent, sent - 1):
        received = round(judged * (1.0 - loss_pct / 100.0))
        if judged > 0 and abs(100.0 * (1.0 - received / judged) - loss_pct) <= 0.1:
            return received
    return round(sent * (1.0 - loss_pct / 100.0))


def hop_from_sums(
    ttl: int,
    address: str | None,
    *,
    name: str | None = None,
    sent: int | None,
    received: int | None,
    rtt_min_ms: float | None,
    rtt_avg_ms: float | None,
    rtt_max_ms: float | None,
    asn: int | None = None,
    addresses: tuple[str, ...] = (),
) -> Hop:
    """Make a hop from sums; where nothing was received, the zeros that tools print are unknown.

    Parameters
    ----------
    ttl
        Its time to live.
    address
        Who answered; ``None`` if nobody did.
    name
        Host name beside the address.
    sent, received
        Probes and answers (count).
    rtt_min_ms, rtt_avg_ms, rtt_max_ms
        As printed [ms].
    asn
        Origin AS number.
    addresses
        All addresses of the hop, if more than one.

    Returns
    -------
    hop
        Without single times.
    """
    heard = address is not None and received != 0
    return Hop(
        ttl=ttl,
        address=address,
        name=name,
        sent=sent,
        received=received,
        rtt_min_ms=rtt_min_ms if heard else None,
        rtt_avg_ms=rtt_avg_ms if heard else None,
        rtt_max_ms=rtt_max_ms if heard else None,
        asn=asn,
        addresses=addresses,
    )


def nearest_rank(values: Sequence[float], percent: float) -> float | None:
    """Take a percentile by nearest rank.

    Parameters
    ----------
    values
        In any order.
    percent
        Above 0, up to 100 [%].

    Returns
    -------
    percentile
        One of the values; ``None`` if there are none.

    Examples
    --------
    >>> nearest_rank([4.0, 1.0, 3.0, 2.0], 50)
    2.0
    """
    if not values:
        return None
    return sorted(values)[max(math.ceil(percent / 100.0 * len(values)) - 1, 0)]


def region_of(wanted: Destination) -> str | None:
    """Find the Region of a destination by its name, else by the published range of its address.

    Parameters
    ----------
    wanted
        The destination.

    Returns
    -------
    region_code
        ``None`` if it belongs to no known Region.
    """
    host = wanted.name if wanted.name and address_or_none(wanted.name) is None else None
    identity = endpoints.identify(host, wanted.address, 0, "")
    return identity.region_code


def traced(
    *,
    tool: str,
    wanted: Destination,
    hops: Sequence[Hop],
    technique: Technique | None,
    rtts_ms: Sequence[float | None] = (),
    reached_at: int | None = None,
    notes: Sequence[str] = (),
    **more: Any,
) -> RegionProbe:
    """Make the record of one trace.

    Parameters
    ----------
    tool
        Which tool it was.
    wanted
        The destination.
    hops
        In order of TTL.
    technique
        What the probes were made of, if the text says.
    rtts_ms
        Answers of the destination itself, in order, if the tool gives single ones [ms].
    reached_at
        TTL at which the destination answered, where the tool says so by other means than its address.
    notes
        What could not be read, each a sentence with its line.
    more
        Further details of the row.

    Returns
    -------
    probe
        Path and round-trip times to the destination.
    """
    by_ttl: dict[int, Hop] = {}
    for hop in hops:
        by_ttl.setdefault(hop.ttl, hop)  # damaged text may repeat a TTL: the first stands
    ordered = tuple(by_ttl[ttl] for ttl in sorted(by_ttl))
    there = [
        hop
        for hop in ordered
        if hop.ttl == reached_at or any(wanted.is_it(a, hop.name) for a in (hop.address, *hop.addresses) if a)
    ]
    heard = [hop for hop in there if hop.address is not None and (hop.received != 0 or hop.ttl == reached_at)]
    hop_count = min((hop.ttl for hop in heard if hop.ttl != ATLAS_LAST_RESORT_TTL), default=None)
    answered = bool(heard)
    path = Path(technique=technique, hops=ordered, destination_answered=answered, hop_count=hop_count)
    end = next(iter(heard), None)
    times = [rtt for rtt in rtts_ms if rtt is not None]
    single = bool(times)
    return RegionProbe(
        region_code=region_of(wanted),
        destination=wanted.name or wanted.address,
        rtts_ms=tuple(rtts_ms) if single else (),
        rtt_min_ms=min(times) if single else (end.rtt_min_ms if end else None),
        rtt_p50_ms=nearest_rank(times, 50) if single else (end.rtt_avg_ms if end else None),
        rtt_p95_ms=nearest_rank(times, 95) if single else None,
        sent=len(rtts_ms) if single else (end.sent if end else None),
        received=len(times) if single else (end.received if end else None),
        path=path,
        details=details(tool=tool, wanted=wanted, notes=notes, **more),
    )


def details(*, tool: str, wanted: Destination, notes: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """Collect what else is known of a row.

    Parameters
    ----------
    tool
        Which tool it was.
    wanted
        The destination.
    notes
        What could not be read.
    more
        Anything else; ``None`` is left out.

    Returns
    -------
    details
        For ``RegionProbe.details``.
    """
    found: dict[str, Any] = {"tool": tool, "destination_address": wanted.address, **more}
    if notes:
        found["notes"] = list(notes)[:100]
    return {key: value for key, value in found.items() if value is not None}
