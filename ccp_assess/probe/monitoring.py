"""Rounds over a shift: measure, append, sleep; through closed lids, changed networks and interruptions."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from statistics import median
from typing import Any

from ccp_assess.probe.local import PUBLIC_ADDRESSES, source_address
from ccp_assess.probe.round_files import append_round

SPREAD = 0.1
"""Rounds begin up to this part of the interval late, at random: they must not beat with what happens by the clock."""

Round = Callable[[], dict[str, Any]]
Tell = Callable[[dict[str, Any], int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a monitor asks of the world, so that a test can play eight hours in a moment.

    Parameters
    ----------
    now_s
        The wall clock; it goes on while the computer sleeps [s].
    sleep_s
        Waits.
    own_address
        The local address towards the service; ``None`` without a network.
    chance
        A number from 0 to 1.
    """

    now_s: Callable[[], float] = time.time
    sleep_s: Callable[[float], None] = time.sleep
    own_address: Callable[[], str | None] = lambda: source_address(PUBLIC_ADDRESSES[4])
    chance: Callable[[], float] = random.random


def monitor(
    measure: Round,
    out: Path,
    *,
    every_s: float,
    for_s: float,
    tell: Tell | None = None,
    world: World | None = None,
) -> int:
    """Repeat a round over a shift and append each to a file.

    Parameters
    ----------
    measure
        Makes one probe document.
    out
        JSON Lines; rounds are appended.
    every_s, for_s
        Interval and whole time [s].
    tell
        Hears each document, how many there are, and how many there will be.
    world
        Clock, sleep and network.

    Returns
    -------
    rounds
        Documents appended (count). A round that the computer slept through is not made up for: the next document's
        ``notes`` say how many are missing, and whether the network changed meanwhile.
    """
    world = world or World()
    planned = max(1, int(for_s // every_s))
    done, before = 0, None
    for number, missed in slots(every_s, planned, world):
        address = world.own_address()
        document = measure()
        notes = [*document.get("notes", ())]
        if missed:
            notes.append(f"{missed} rounds before this one were missed: the computer slept or was held up.")
        if done and address != before:
            notes.append("The network changed since the round before: this computer has another address.")
        append_round(out, document | {"notes": notes, "round": number, "every_s": every_s})
        before, done = address, done + 1
        if tell:
            tell(document, number + 1, planned)
    return done


def slots(every_s: float, planned: int, world: World | None = None) -> Iterator[tuple[int, int]]:
    """Wait for the beginning of one round after another.

    Parameters
    ----------
    every_s
        Interval [s].
    planned
        Rounds in all (count).
    world
        Clock and sleep.

    Yields
    ------
    number, missed
        Which round begins, and how many before it are past.
    """
    world = world or World()
    began, number = world.now_s(), 0
    while number < planned:
        _wait_until(began + every_s * (number + (SPREAD * world.chance() if number else 0.0)), world)
        past = int((world.now_s() - began) // every_s)
        missed = max(0, past - number)
        number += missed
        if number >= planned:
            return  # the computer slept until after the shift
        yield number, missed
        number += 1


def _wait_until(moment_s: float, world: World) -> None:
    """Sleep in steps of a minute at most: the clock may be set, and a lid may be closed."""
    while (left := moment_s - world.now_s()) > 0:
        world.sleep_s(min(left, 60.0))


def by_hour(documents: Sequence[Mapping[str, Any]], zone: tzinfo | None = None) -> list[dict[str, Any]]:
    """Sum rounds up by Region and hour of the day.

    Parameters
    ----------
    documents
        Probe documents.
    zone
        Whose hours; those of this computer if ``None``.

    Returns
    -------
    rows
        ``region_code``, ``hour`` (0 to 23), ``rounds`` (count), ``rtt_p50_ms`` (median of the rounds' medians),
        ``rtt_max_ms`` (highest median of a round), ``loss_pct`` (median over rounds with a train), ``unanswered``
        (rounds without any round trip, count); ``None`` where nothing is known.
    """
    cells: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for document in documents:
        hour = hour_of(document.get("time"), zone)
        for region in document.get("regions", ()):
            if hour is not None:
                cells.setdefault((str(region.get("region_code")), hour), []).append(region)
    rows = []
    for (code, hour), regions in sorted(cells.items()):
        medians = [value for region in regions if (value := round_trip_ms(region)) is not None]
        losses = [loss for region in regions if (loss := (region.get("train") or {}).get("loss_pct")) is not None]
        rows.append(
            {
                "region_code": None if code == "None" else code,
                "hour": hour,
                "rounds": len(regions),
                "rtt_p50_ms": round(median(medians), 3) if medians else None,
                "rtt_max_ms": round(max(medians), 3) if medians else None,
                "loss_pct": round(median(losses), 3) if losses else None,
                "unanswered": len(regions) - len(medians),
            }
        )
    return rows


def hour_of(time_text: Any, zone: tzinfo | None) -> int | None:
    """Return the hour of the day of an instant; ``None`` if it is none."""
    try:
        return datetime.fromisoformat(str(time_text)).astimezone(zone).hour
    except (ValueError, OverflowError, OSError):
        return None


def round_trip_ms(region: Mapping[str, Any]) -> float | None:
    """Return the median round trip of one Region in one round.

    Parameters
    ----------
    region
        Of a probe document.

    Returns
    -------
    rtt_ms
        Of the voice train where there was one, else of the single requests; ``None`` without an answer [ms].
    """
    train = (region.get("train") or {}).get("rtt_p50_ms")
    if isinstance(train, int | float):
        return float(train)
    singles = region.get("rtt_ms") or (region.get("relay") or {}).get("binding_rtt_ms") or ()
    known = [float(rtt) for rtt in singles if isinstance(rtt, int | float)]
    return median(known) if known else None
