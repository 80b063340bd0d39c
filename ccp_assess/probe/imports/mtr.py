"""What all forms of mtr's output share: the columns of a hop, and how the end of the path is known.

mtr ends its list with the destination once that answered; if it never did, the list runs one silent hop beyond the
last answer (or to the largest TTL). So a last hop that answered is the destination even where it is printed under a
name that nobody typed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ccp_assess.paths import Hop, RegionProbe, Technique
from ccp_assess.probe.imports.records import (
    Destination,
    destination,
    hop_from_sums,
    received_from_loss,
    traced,
)
from ccp_assess.probe.imports.text import (
    address_or_none,
    asn_or_none,
    bracketed_address,
    clean_name,
    count,
    milliseconds,
)

TOOL = "mtr"
MTR_MAX_TTL = 30  # the default of -m

_SPELLINGS = {
    "Loss%": ("Loss%", "Loss", "loss", "Loss_pct"),
    "Snt": ("Snt", "Sent", "sent"),
    "Rcv": ("Rcv", "Recv", "Received", "received"),
    "Drop": ("Drop", "Dropped"),
    "Avg": ("Avg", "Avrg", "avg", "Average"),
    "Best": ("Best", "best", "Min"),
    "Wrst": ("Wrst", "Worst", "worst", "Max"),
}


def _cell(cells: Mapping[str, Any], name: str) -> Any:
    return next((cells[spelling] for spelling in _SPELLINGS[name] if spelling in cells), None)


def hop_of_columns(
    ttl: int, host: str | None, cells: Mapping[str, Any], *, asn: object = None, others: tuple[str, ...] = ()
) -> Hop:
    """Make a hop from mtr's columns.

    Parameters
    ----------
    ttl
        Its time to live.
    host
        As printed: name, address, ``name (address)``, with or without an AS number before it, or ``???``.
    cells
        By mtr's names of columns, as text or numbers.
    asn
        AS number where it stands apart.
    others
        Further addresses that answered at this TTL.

    Returns
    -------
    hop
        With sums only.
    """
    name, address, stated = _who(host)
    loss_text = _cell(cells, "Loss%")
    loss = milliseconds(str(loss_text).rstrip("%")) if loss_text is not None else None
    sent = count(_cell(cells, "Snt"))
    received = count(_cell(cells, "Rcv"))
    dropped = count(_cell(cells, "Drop"))
    if received is None and sent is not None and dropped is not None and dropped <= sent:
        received = sent - dropped
    if received is None:
        received = received_from_loss(sent, loss)
    everyone = tuple(dict.fromkeys(a for a in (address, *others) if a))
    return hop_from_sums(
        ttl,
        address if received != 0 else None,
        name=name if received != 0 else None,
        sent=sent,
        received=received,
        rtt_min_ms=milliseconds(_cell(cells, "Best")),
        rtt_avg_ms=milliseconds(_cell(cells, "Avg")),
        rtt_max_ms=milliseconds(_cell(cells, "Wrst")),
        asn=asn_or_none(asn) if asn is not None else stated,
        addresses=everyone if len(everyone) > 1 else (),
    )


def _who(host: str | None) -> tuple[str | None, str | None, int | None]:
    """Take a host cell apart: name beside the address, address (or the name alone), AS number."""
    text = (host or "").strip()
    asn = None
    first, _, rest = text.partition(" ")
    if first.upper().startswith("AS") and (first[2:].isdecimal() or set(first[2:]) == {"?"}):
        asn, text = asn_or_none(first), rest.strip()
    if not text or set(text) == {"?"} or text == "(waiting for reply)":
        return None, None, asn
    pair = bracketed_address(text)
    if pair:
        return pair[0], pair[1], asn
    words = text.split()
    return None, address_or_none(words[-1]) or clean_name(text), asn


def mtr_trace(
    *,
    wanted: Destination,
    hops: Sequence[Hop],
    technique: Technique | None,
    time: str | None = None,
    whole: bool = True,
    notes: Sequence[str] = (),
    **more: Any,
) -> RegionProbe:
    """Make the record of one run of mtr.

    Parameters
    ----------
    wanted
        The destination as stated; empty where the text does not name it (reports do not).
    hops
        In any order.
    technique
        What the probes were made of, if known.
    time
        When it was started, as printed.
    whole
        Whether the list is not cut: only then its last hop may stand for the destination.
    notes
        What could not be read.
    more
        Further details.

    Returns
    -------
    probe
        Path and sums.
    """
    last = max(hops, key=lambda hop: hop.ttl, default=None)
    reached_at = None
    if last is not None and last.address is not None and last.received != 0 and _ends_there(last, wanted, whole=whole):
        reached_at = last.ttl
        if wanted.name is None:
            wanted = destination(last.name or last.address, address_or_none(last.address))
        elif wanted.address is None:
            wanted = Destination(name=wanted.name, address=address_or_none(last.address))
    return traced(
        tool=TOOL,
        wanted=wanted,
        hops=hops,
        technique=technique,
        reached_at=reached_at,
        notes=notes,
        time=rfc3339(time),
        **more,
    )


def _ends_there(last: Hop, wanted: Destination, *, whole: bool) -> bool:
    if wanted.is_it(last.address, last.name):
        return True
    comparable = wanted.address is not None and address_or_none(last.address or "") is not None
    return whole and not comparable and last.ttl < MTR_MAX_TTL


def rfc3339(text: str | None) -> str | None:
    """Turn a time as tools print it into UTC.

    Parameters
    ----------
    text
        ISO 8601 with an offset, or seconds since 1970.

    Returns
    -------
    time
        RFC 3339; ``None`` if it cannot be read or has no offset (then the instant is unknown).

    Examples
    --------
    >>> rfc3339("2021-02-07T13:51:06+0100")
    '2021-02-07T12:51:06Z'
    """
    if text is None:
        return None
    written = str(text).strip()[:64]
    try:
        if written.replace(".", "", 1).isdecimal():
            moment = datetime.fromtimestamp(float(written), UTC)
        else:
            moment = datetime.fromisoformat(written)
    except (ValueError, OverflowError, OSError):
        return None
    if moment.tzinfo is None:
        return None
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
