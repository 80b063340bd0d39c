"""What several witnesses of one call say together, and where they contradict each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ccp_assess.traffic.limits import read_limits
from ccp_assess.units import NS_PER_MS, NS_PER_S, Severity, rfc3339_from_ns, rounded

Side = Literal["workstation", "way_in", "way_out", "both_ways", "none", "unknown"]

_MORE_PACKETS = 5
"""Counts of lost packets may differ by so many: the ends of a call are seen differently (count)."""

_MORE_SHARE = 0.2
"""Or by this share of the larger."""

_MORE_RTT_MS = 20.0
"""Medians of round trips may differ by so much [ms], or by a quarter."""

_BROWSERS = ("webrtc_internals", "getstats", "agent_log")
"""Kinds whose counts are the browser's own."""

_NAMES = {
    "capture": "the capture",
    "agent_log": "the agent log",
    "webrtc_internals": "the webrtc-internals dump",
    "getstats": "getStats",
    "contact_record": "the contact record",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What one witness says of one call.

    Parameters
    ----------
    kind, file, name
        Who says it, and what the call is called there.
    contact_id, call_id
        Of the call, where the witness knows it.
    start_ns, end_ns
        By its own clock [ns].
    offset_ns
        To be added to have the reference's clock [ns].
    in_packets, in_lost, in_loss_pct, in_jitter_ms
        Of the audio towards the agent.
    out_packets, out_lost, out_loss_pct, out_jitter_ms
        Of the audio from the agent, as the far end reports it.
    out_lost_before
        Packets from the agent that were missing already at the capture point (count).
    rtt_ms, rtt_relay_ms
        Median round trip to the far end, and to the relay [ms].
    outcome, errors
        Of the call.
    quality_score, quality_issues
        The service's judgement of the agent's audio.
    whole
        Whether the witness saw the call from its beginning.
    """

    kind: str
    file: str
    name: str
    contact_id: str | None = None
    call_id: str | None = None
    start_ns: int
    end_ns: int
    offset_ns: int = 0
    in_packets: int | None = None
    in_lost: int | None = None
    in_loss_pct: float | None = None
    in_jitter_ms: float | None = None
    out_packets: int | None = None
    out_lost: int | None = None
    out_lost_before: int | None = None
    out_loss_pct: float | None = None
    out_jitter_ms: float | None = None
    rtt_ms: float | None = None
    rtt_relay_ms: float | None = None
    outcome: str | None = None
    errors: tuple[str, ...] = ()
    quality_score: float | None = None
    quality_issues: tuple[str, ...] | None = None
    whole: bool = True

    def to_document(self) -> dict[str, Any]:
        """Return the telling for JSON; its times are on the reference's clock.

        Returns
        -------
        document
            Unknown is ``None``.
        """
        return {
            "kind": self.kind,
            "file": self.file,
            "name": self.name,
            "start_time": rfc3339_from_ns(self.start_ns + self.offset_ns),
            "end_time": rfc3339_from_ns(self.end_ns + self.offset_ns),
            "duration_ms": round((self.end_ns - self.start_ns) / NS_PER_MS, 1),
            "in": {
                "packets": self.in_packets,
                "lost": self.in_lost,
                "loss_pct": rounded(self.in_loss_pct),
                "jitter_ms": rounded(self.in_jitter_ms),
            },
            "out": {
                "packets": self.out_packets,
                "lost": self.out_lost,
                "loss_pct": rounded(self.out_loss_pct),
                "jitter_ms": rounded(self.out_jitter_ms),
            },
            "rtt_ms": rounded(self.rtt_ms),
            "rtt_relay_ms": rounded(self.rtt_relay_ms),
            "outcome": self.outcome,
            "errors": list(self.errors),
            "quality_score": self.quality_score,
            "quality_issues": None if self.quality_issues is None else list(self.quality_issues),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Two witnesses say different things of the same.

    Parameters
    ----------
    measure
        Of what.
    values
        What each says, by its file.
    text
        One sentence, with what explains it.
    """

    measure: str
    values: dict[str, Any]
    text: str

    def to_document(self) -> dict[str, Any]:
        """Return the contradiction for JSON.

        Returns
        -------
        document
            ``measure``, ``values`` and ``text``.
        """
        return {"measure": self.measure, "values": self.values, "text": self.text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """What the witnesses say together.

    Parameters
    ----------
    in_loss_pct, in_from
        Loss towards the agent, and who says it [%].
    out_loss_pct, out_from
        Loss from the agent, and who says it [%].
    side
        Where the trouble lies, as far as it can be told.
    severity
        By the limits of loss; ``None`` where nothing is wrong.
    text
        One sentence or two.
    """

    in_loss_pct: float | None
    in_from: str | None
    out_loss_pct: float | None
    out_from: str | None
    side: Side
    severity: Severity | None
    text: str
    evidence: dict[str, Any] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """Return the conclusion for JSON.

        Returns
        -------
        document
            Loss in each direction with who says it, the side, and the sentence.
        """
        return {
            "in_loss_pct": rounded(self.in_loss_pct),
            "in_from": self.in_from,
            "out_loss_pct": rounded(self.out_loss_pct),
            "out_from": self.out_from,
            "side": self.side,
            "severity": self.severity,
            "text": self.text,
        }


def conclude(tellings: Sequence[Telling]) -> Together:
    """Say what no witness says alone: loss in each direction, and on whose side.

    Parameters
    ----------
    tellings
        Of one call.

    Returns
    -------
    together
        Loss towards the agent is taken from the capture where there is one, since it is the nearest to the network;
        loss from the agent from what the far end reported to the browser.
    """
    capture = next((one for one in tellings if one.kind == "capture"), None)
    browser = next((one for one in tellings if one.kind in _BROWSERS and one.in_loss_pct is not None), None)
    inward = capture if capture is not None and capture.in_loss_pct is not None else browser
    outward = next((one for one in tellings if one.out_loss_pct is not None), None)
    in_pct = inward.in_loss_pct if inward is not None else None
    out_pct = outward.out_loss_pct if outward is not None else None
    inside_pct = _lost_inside(capture, browser)
    limit = read_limits()["loss_pct"]
    severities = [limit.severity_of(value) for value in (in_pct, out_pct, inside_pct)]
    grave = next((word for word in ("critical", "warning") if word in severities), None)
    side = _side(in_pct, out_pct, inside_pct, capture, outward)
    parts = []
    if in_pct is not None and inward is not None:
        parts.append(f"towards the agent {in_pct:.2f} % of the packets were lost ({_NAMES[inward.kind]})")
    if out_pct is not None and outward is not None:
        parts.append(f"from the agent {out_pct:.2f} % (the far end's reports in {_NAMES[outward.kind]})")
    if inside_pct is not None:
        parts.append(f"within the workstation {inside_pct:.2f} % (seen by the capture, missed by the browser)")
    when = rfc3339_from_ns((tellings[0].start_ns + tellings[0].offset_ns) // NS_PER_S * NS_PER_S)
    told = (
        f"In the call of {when}, {' and '.join(parts)}. {_SIDES[side]}" if parts else "The witnesses tell of no loss."
    )
    return Together(
        in_loss_pct=in_pct,
        in_from=inward.kind if inward is not None and in_pct is not None else None,
        out_loss_pct=out_pct,
        out_from=outward.kind if outward is not None and out_pct is not None else None,
        side=side,
        severity="critical" if grave == "critical" else "warning" if grave == "warning" else None,
        text=told.strip(),
        evidence={"in_loss_pct": rounded(in_pct), "out_loss_pct": rounded(out_pct), "side": side},
    )


_SIDES: dict[Side, str] = {
    "workstation": "Packets arrive at the network card and do not reach the browser, or are missing before they leave "
    "it: look at the workstation's load, its VPN client and its security software.",
    "way_in": "Only the way towards the agent loses: look at its downlink and at the provider's way from the service; "
    "the workstation itself and its sending are well.",
    "way_out": "Only the way from the agent loses: look at the uplink, which fills first, and at Wi-Fi.",
    "both_ways": "Both directions lose: look first at what they share, the local network, Wi-Fi, VPN and access line.",
    "none": "Neither direction loses enough to be heard.",
    "unknown": "The other direction is unknown, so that the side cannot be told.",
}


def _lost_inside(capture: Telling | None, browser: Telling | None) -> float | None:
    """Return the share of packets that the capture saw and the browser missed; ``None`` where there are none [%]."""
    if capture is None or browser is None or capture.in_lost is None or browser.in_lost is None:
        return None
    missing = browser.in_lost - capture.in_lost
    if not capture.whole or missing <= max(_MORE_PACKETS, _MORE_SHARE * browser.in_lost) or not capture.in_packets:
        return None
    return 100.0 * missing / capture.in_packets


def _side(
    in_pct: float | None,
    out_pct: float | None,
    inside_pct: float | None,
    capture: Telling | None,
    outward: Telling | None,
) -> Side:
    least = read_limits()["loss_pct"].warning or 1.0
    if inside_pct is not None and inside_pct >= least:
        return "workstation"
    before = capture.out_lost_before if capture is not None else None
    if before and outward is not None and outward.out_lost and before >= (1 - _MORE_SHARE) * outward.out_lost:
        return "workstation"  # what the far end misses never came to the capture point
    if in_pct is None or out_pct is None:
        return "unknown"
    if in_pct >= least and out_pct >= least:
        return "both_ways"
    if in_pct >= least:
        return "way_in"
    return "way_out" if out_pct >= least else "none"


def contradictions(tellings: Sequence[Telling]) -> tuple[Contradiction, ...]:
    """Name what the witnesses of a call say differently.

    Parameters
    ----------
    tellings
        Of one call.

    Returns
    -------
    contradictions
        Each once.
    """
    return tuple(
        one
        for check in (_about_loss, _about_reports, _about_round_trip, _about_outcome, _about_quality)
        for one in check(tellings)
    )


def _differ(first: int, second: int) -> bool:
    return abs(first - second) > max(_MORE_PACKETS, _MORE_SHARE * max(first, second))


def _about_loss(tellings: Sequence[Telling]) -> Iterable[Contradiction]:
    counted = [one for one in tellings if one.in_lost is not None and one.whole]
    for at, one in enumerate(counted):
        for other in counted[at + 1 :]:
            first, second = one.in_lost or 0, other.in_lost or 0
            if not _differ(first, second):
                continue
            if one.kind == "capture" and first > second:
                why = (
                    "a browser restarts its count after an outage, and what was missing then is not in it: the capture "
                    "is nearer to the truth"
                )
            elif one.kind == "capture":
                why = "what the capture saw did not reach the browser: it was lost within the workstation"
            else:
                why = "they count over different parts of the call"
            yield Contradiction(
                measure="in.lost",
                values={one.file: first, other.file: second},
                text=f"Towards the agent {_NAMES[one.kind]} counts {first} lost packets and {_NAMES[other.kind]} "
                f"{second}: {why}.",
            )


def _about_reports(tellings: Sequence[Telling]) -> Iterable[Contradiction]:
    told = [one for one in tellings if one.out_lost is not None]
    for at, one in enumerate(told):
        for other in told[at + 1 :]:
            if _differ(one.out_lost or 0, other.out_lost or 0):
                yield Contradiction(
                    measure="out.lost",
                    values={one.file: one.out_lost, other.file: other.out_lost},
                    text=f"From the agent {_NAMES[one.kind]} has {one.out_lost} lost packets and {_NAMES[other.kind]} "
                    f"{other.out_lost}: they count over different parts of the call.",
                )


def _about_round_trip(tellings: Sequence[Telling]) -> Iterable[Contradiction]:
    told = [one for one in tellings if one.rtt_ms is not None]
    for at, one in enumerate(told):
        for other in told[at + 1 :]:
            first, second = one.rtt_ms or 0.0, other.rtt_ms or 0.0
            if abs(first - second) > max(_MORE_RTT_MS, max(first, second) / 4):
                yield Contradiction(
                    measure="rtt_ms",
                    values={one.file: rounded(first), other.file: rounded(second)},
                    text=f"The median round trip is {first:.0f} ms by {_NAMES[one.kind]} and {second:.0f} ms by "
                    f"{_NAMES[other.kind]}: the one times connectivity checks, the other RTCP reports, which wait in "
                    "the browser when the workstation is busy; or the path changed within the call.",
                )


def _about_outcome(tellings: Sequence[Telling]) -> Iterable[Contradiction]:
    told = [one for one in tellings if one.outcome is not None]
    first = told[0] if told else None
    for other in told[1:]:
        if first is not None and first.outcome != other.outcome:
            yield Contradiction(
                measure="outcome",
                values={first.file: first.outcome, other.file: other.outcome},
                text=f"{_NAMES[first.kind].capitalize()} shows the outcome {first.outcome}, {_NAMES[other.kind]} "
                f"{other.outcome}{' (' + ', '.join(other.errors) + ')' if other.errors else ''}.",
            )


def _about_quality(tellings: Sequence[Telling]) -> Iterable[Contradiction]:
    """Hold the service's judgement of packet loss against what was measured."""
    record = next((one for one in tellings if one.quality_issues is not None), None)
    together = conclude(tellings)
    measured = [value for value in (together.in_loss_pct, together.out_loss_pct) if value is not None]
    if record is None or not measured:
        return
    worst = max(measured)
    limit = read_limits()["loss_pct"]
    judged = "HighPacketLoss" in (record.quality_issues or ())
    if judged and len(measured) == 2 and limit.severity_of(worst) is None:
        yield Contradiction(
            measure="quality_issues",
            values={record.file: list(record.quality_issues or ()), "measured_loss_pct": rounded(worst)},
            text=f"The contact record has HighPacketLoss, but no more than {worst:.2f} % is lost in either direction.",
        )
    elif not judged and limit.severity_of(worst) == "critical":
        yield Contradiction(
            measure="quality_issues",
            values={record.file: list(record.quality_issues or ()), "measured_loss_pct": rounded(worst)},
            text=f"The contact record has no HighPacketLoss, but {worst:.2f} % is lost in one direction; AWS does not "
            "publish from where on it says so.",
        )
