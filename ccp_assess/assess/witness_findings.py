"""What a witness alone shows, in sentences with their limits: failed calls, loss, slow set-ups and requests, clocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from ccp_assess.findings import Finding, counted
from ccp_assess.traffic.limits import Limit, read_limits
from ccp_assess.units import Severity
from ccp_assess.witnesses.records import Witness, WitnessCall, nearest_rank

_SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")

_NAMES = {
    "agent_log": "agent log",
    "webrtc_internals": "webrtc-internals dump",
    "getstats": "getStats series",
    "contact_record": "contact records",
}

_WAYS = (("in", "towards the agent"), ("out", "from the agent"))


def findings_of(witness: Witness) -> tuple[Finding, ...]:
    """Say what a witness shows.

    Parameters
    ----------
    witness
        Of any kind.

    Returns
    -------
    findings
        One sentence each.
    """
    checks = (_failed_calls, _loss, _jitter, _round_trip, _setup, _requests, _clock, _odd, _judged, _diary, _taps)
    return tuple(finding for check in checks for finding in check(witness))


def _named(witness: Witness) -> str:
    return f"the {_NAMES.get(witness.kind, witness.kind.replace('_', ' '))} {witness.file}"


def _failed_calls(witness: Witness) -> Iterable[Finding]:
    told = [call for call in witness.calls if call.more.get("outcome")]
    failed = [call for call in told if call.more["outcome"] != "ok"]
    if not failed:
        return
    words = Counter(", ".join(call.more["errors"]) or str(call.more["outcome"]).replace("_", " ") for call in failed)
    named = "; ".join(f"{count} with {word}" for word, count in words.most_common(4))
    yield Finding(
        code="LOG_CALLS_FAILED",
        severity="critical" if len(failed) / len(told) > 0.02 else "warning",  # 2 %: AWS's mark for proxy trouble
        text=f"By {_named(witness)}, {len(failed)} of {counted(len(told), 'call')} failed: {named}.",
        evidence={"failed": len(failed), "calls": len(told), "by_error": dict(words)},
    )


def _worst(
    metric: str, values: Iterable[tuple[WitnessCall, float | None]]
) -> tuple[Limit, Severity, float, int] | None:
    """Return limit, severity, worst value and number of calls beyond the limit; ``None`` if all are within."""
    limit = read_limits()[metric]
    told = [(limit.severity_of(value), value) for _, value in values if value is not None]
    beyond = [(severity, value) for severity, value in told if severity is not None]
    if not beyond:
        return None
    severity, worst = max(beyond, key=lambda one: (_SEVERITIES.index(one[0]), one[1]))
    return limit, severity, worst, len(beyond)


def _loss(witness: Witness) -> Iterable[Finding]:
    for way, words in _WAYS:
        worst = _worst("loss_pct", [(call, _figure(call, way, "loss_pct")) for call in witness.calls])
        if worst is not None:
            limit, severity, value, calls = worst
            yield Finding(
                code=f"LOG_LOSS_{'INBOUND' if way == 'in' else 'OUTBOUND'}",
                severity=severity,
                text=f"By {_named(witness)}, packets {words} were lost in {counted(calls, 'call')}, up to "
                f"{value:.2f} % ({severity} from {_step(limit, severity):g} %: {limit.source}).",
                evidence={"loss_pct": round(value, 3), "calls": calls},
            )


def _jitter(witness: Witness) -> Iterable[Finding]:
    for way, words in _WAYS:
        worst = _worst("jitter_ms", [(call, _figure(call, way, "jitter_ms")) for call in witness.calls])
        if worst is not None:
            limit, severity, value, calls = worst
            yield Finding(
                code=f"LOG_JITTER_{'INBOUND' if way == 'in' else 'OUTBOUND'}",
                severity=severity,
                text=f"By {_named(witness)}, the jitter {words} was high in {counted(calls, 'call')}, on average up to "
                f"{value:.0f} ms ({severity} from {_step(limit, severity):g} ms: {limit.source}).",
                evidence={"jitter_ms": round(value, 1), "calls": calls},
            )


def _figure(call: WitnessCall, way: str, name: str) -> float | None:
    figures = call.inbound if way == "in" else call.outbound
    if name == "loss_pct":
        return figures.loss_pct("in" if way == "in" else "out")
    return figures.jitter_ms


def _round_trip(witness: Witness) -> Iterable[Finding]:
    worst = _worst("media_rtt_ms", [(call, nearest_rank(call.rtt_ms, 50)) for call in witness.calls])
    if worst is not None:
        limit, severity, value, calls = worst
        yield Finding(
            code="LOG_ROUND_TRIP",
            severity=severity,
            text=f"By {_named(witness)}, the median round trip was long in {counted(calls, 'call')}, up to "
            f"{value:.0f} ms ({severity} from {_step(limit, severity):g} ms: {limit.source}).",
            evidence={"rtt_ms": round(value, 1), "calls": calls},
        )


def _setup(witness: Witness) -> Iterable[Finding]:
    limit = read_limits()["setup_phase_ms"]
    slow: dict[str, list[float]] = {}
    for call in witness.calls:
        for phase, value in (call.more.get("setup_ms") or {}).items():
            if phase != "cleanup" and limit.severity_of(value):
                slow.setdefault(phase, []).append(value)
    for phase, values in slow.items():
        worst = max(values)
        severity = limit.severity_of(worst) or "warning"
        yield Finding(
            code="LOG_SETUP_SLOW",
            severity=severity,
            text=f"By {_named(witness)}, the phase {phase.replace('_', ' ')} of the set-up was slow in "
            f"{counted(len(values), 'call')}, up to {worst:.0f} ms ({severity} from {_step(limit, severity):g} ms: "
            f"{limit.source}).",
            evidence={"phase": phase, "worst_ms": worst, "calls": len(values)},
        )


def _requests(witness: Witness) -> Iterable[Finding]:
    told = (witness.more.get("api_latency_ms") or {}).get("all") or {}
    limit = read_limits()["api_latency_ms"]
    severity = limit.severity_of(told.get("p95"))
    if severity is not None or told.get("failed"):
        failed = f", {counted(told['failed'], 'request')} failed" if told["failed"] else ""
        yield Finding(
            code="LOG_API_SLOW" if severity else "LOG_API_FAILED",
            severity=severity or "info",
            text=f"By {_named(witness)}, the 95th percentile of {counted(told['n'], 'request')} to the service took "
            f"{told['p95']:.0f} ms{failed} (slow from {limit.warning:g} ms: {limit.source}).",
            evidence={"p95_ms": told["p95"], "requests": told["n"], "failed": told["failed"]},
        )


def _clock(witness: Witness) -> Iterable[Finding]:
    skew = witness.more.get("clock_skew_ms") or {}
    limit = read_limits()["clock_skew_ms"]
    worst = max((skew[name] for name in ("min", "max") if skew.get(name) is not None), key=abs, default=None)
    severity = limit.severity_of(None if worst is None else abs(worst))
    if worst is not None and severity is not None:
        yield Finding(
            code="LOG_CLOCK_SKEW",
            severity=severity,
            text=f"By {_named(witness)}, the workstation's clock is off by {worst / 1000:+.1f} s from the service's: "
            f"states and contacts change late or twice; set it by NTP ({severity} from {_step(limit, severity):g} ms: "
            f"{limit.source}).",
            evidence={"skew_ms": worst, "samples": skew.get("n")},
        )


def _odd(witness: Witness) -> Iterable[Finding]:
    for event in witness.events:
        if event.code == "JITTER_BUFFER_CUMULATIVE":
            yield Finding(code="LOG_JITTER_UNKNOWN", severity="info", text=f"In {_named(witness)}, {event.text}.")
            return


def _judged(witness: Witness) -> Iterable[Finding]:
    issues: Counter[str] = Counter()
    for call in witness.calls:
        quality = (call.more.get("quality") or {}).get("agent") or {}
        issues.update(quality.get("issues") or ())
    if issues:
        named = ", ".join(f"{issue} in {counted(count, 'call')}" for issue, count in issues.most_common())
        yield Finding(
            code="CONTACT_QUALITY_ISSUES",
            severity="warning",
            text=f"By {_named(witness)}, the service itself saw trouble in the agents' audio: {named}. AWS does not "
            "publish its limits.",
            evidence=dict(issues),
        )


def _diary(witness: Witness) -> Iterable[Finding]:
    cells = witness.more.get("heat_map") or ()
    if not cells:
        return
    hours: Counter[int] = Counter()
    agents: Counter[str] = Counter()
    for cell in cells:
        hours[cell["hour"]] += cell["reports"]
        agents[cell["agent"]] += cell["reports"]
    total = sum(hours.values())
    hour, most = hours.most_common(1)[0]
    worst = max(cell["worst_severity"] for cell in cells)
    yield Finding(
        code="DIARY_REPORTS",
        severity="critical" if worst == 3 else "warning" if worst == 2 else "info",
        text=f"In {_named(witness)}, {counted(len(agents), 'agent')} reported bad calls {counted(total, 'time')}; "
        f"most, {most}, in the hour from {hour:02d}:00. A single hour points to something scheduled, a single agent to "
        "a workstation.",
        evidence={"reports": total, "agents": len(agents), "worst_hour": hour, "worst_severity": worst},
    )


def _taps(witness: Witness) -> Iterable[Finding]:
    if witness.kind == "tap_test":
        told = witness.more["latency_ms"]["overall"]
        severity = read_limits()["overall_latency_ms"].severity_of(told["mean"]) or "info"
        for event in witness.events:
            yield Finding(code=event.code, severity=severity, text=event.text, evidence={"overall_ms": told["mean"]})


def _step(limit: Limit, severity: Severity) -> float:
    value = limit.critical if severity == "critical" else limit.warning
    return 0.0 if value is None else value


def summary(witness: Witness) -> dict[str, Any]:
    """Return a witness's document without what belongs to single seconds and people: for a client's assessment.

    Parameters
    ----------
    witness
        Of any kind.

    Returns
    -------
    document
        Without ``seconds``, with the events counted, and without agents' names in calls.
    """
    document = witness.to_document(with_seconds=False)
    document["events"] = dict(Counter(event["code"] for event in document["events"]))
    document["seconds"] = len(witness.seconds)
    for call in document["calls"]:
        call.pop("agent", None)
    return document
