"""What a capture says about calls, in sentences for the client, and whose side it is.

=========================  ==========================================================================================
Code                       Meaning
=========================  ==========================================================================================
CALL_FAILED_NO_ANSWER      no relay answered: UDP 3478 (or what was tried) is dropped on the way
CALL_FAILED_REFUSED        an ICMP error or a TCP reset came instead of an answer
CALL_FAILED_ALLOCATE       the relay refused the allocation (401 twice, 403, 437, 486, 508 …)
CALL_FAILED_PERMISSION     the relay refused permission or channel
CALL_FAILED_ICE            allocated, but no connectivity check was answered
CALL_FAILED_DTLS           connected, but the key exchange was never finished
CALL_DROPPED_REFUSED       ICMP errors came back for the workstation's packets while the call went on
CALL_DROPPED_RESET         the connection to the relay was reset or closed while the call went on
CALL_DROPPED               media and checks from the other side ended while the workstation went on sending
ONE_WAY_AUDIO              media in one direction only
OUTAGE                     a gap with missing sequence numbers of a second or more
LOSS_INBOUND               packets towards the workstation were lost
LOSS_BEFORE_CAPTURE        packets of the workstation were missing already at the capture point
LATE_INBOUND               packets came too late for the jitter buffer
JITTER_INBOUND             arrival times towards the workstation vary
REORDERED_INBOUND          packets overtook each other
SEND_STALLS                the workstation did not send in time: its own side
RELAY_RTT_HIGH             workstation to relay is slow: LAN, VPN or provider
MEDIA_RTT_HIGH             workstation to media server is slow; the text says which part
RTT_VARIES                 round trips rise and fall: queues on the way
SETUP_SLOW                 a phase of the setup took long
MEDIA_OVER_TCP             the relay was reached over TCP or TLS; loss shows as delay
RELAY_UDP_NO_ANSWER        UDP to a relay had no answer; the call took another way
RELAY_IN_TLS               a call inside TLS, inferred from size and cadence
HOLD                       a pause without missing sequence numbers
MUTED                      the workstation sent silence
QUALITY_LOW                the estimated MOS is low
CLOCK_SKEW                 the sender's clock runs off
UPLINK_NOT_VISIBLE         what happened to the workstation's packets after this point cannot be seen here
DIRECTION_UNKNOWN          without a relay, only ``--host`` tells which side is ours
RUNNING_AT_START           the call began before the capture
RUNNING_AT_END             the capture ended before the call
NO_PACKETS                 the capture is empty
NO_MEDIA                   no call and no attempt at one was found
CAPTURE_ENDED_EARLY        the file is damaged or cut
CAPTURE_DROPPED            the capturing system itself lost packets
CAPTURE_UNREADABLE         frames of a kind that cannot be read
CAPTURE_TUNNELLED          frames inside a mobile network's tunnel, read all the same
CAPTURE_LIMIT              a bound of the reader was reached: floods, scans
DNS_FAILED                 a name of the service could not be resolved
DNS_SLOW                   a resolver answered late
ALLOCATE_REFUSED           a relay refused an allocation beside the calls (403, 437, 486, 508 …)
ENDPOINT_UNANSWERED        an endpoint of the service did not answer
ENDPOINT_REFUSED           an endpoint of the service refused connections
TCP_RETRANSMISSIONS        many TCP segments were sent again
PROXY                      connections went through a proxy
TLS_INTERCEPTED            a certificate of another issuer stood in for AWS's
TRANSPORT_BLOCKED          ICMP errors for packets to the service
QUIC_NAME_UNKNOWN          QUIC connections whose name cannot be read
=========================  ==========================================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ccp_assess.findings import Finding, counted
from ccp_assess.traffic.callrecords import Call
from ccp_assess.traffic.callview import CallView, by_limit, last_ns, limit_text, make_finding, refusal_hint
from ccp_assess.traffic.cutoffs import UNHEARD_NS, cutoffs
from ccp_assess.traffic.limits import read_limits
from ccp_assess.traffic.losswindows import LossWindow, find_loss_window
from ccp_assess.traffic.streams import RtpStream
from ccp_assess.traffic.transactions import NO_ANSWER
from ccp_assess.units import NS_PER_S, Severity, ms_from_ns, rfc3339_from_ns

CODES = tuple(
    line.split(maxsplit=1)[0]
    for line in (__doc__ or "").splitlines()
    if line[:1].isupper() and line.split()[0].isupper()
)
"""Every code, in the order of the table above."""

_SILENT_DBOV = 126.5
_MUTE_SECONDS = 3
_SMALL_SHARE = 0.75


def call_findings(view: CallView) -> list[Finding]:
    """Say what is wrong with a call, and on whose side.

    Parameters
    ----------
    view
        The call with its records.

    Returns
    -------
    findings
        Gravest first.
    """
    if view.call.failure is not None:
        return [_failed(view)]
    found = [
        *cutoffs(view),
        *_one_way(view),
        *_outages(view),
        *_inbound(view),
        *_outbound(view),
        *_round_trips(view),
        *_setup(view),
        *_relay(view),
        *_pauses(view),
        *_bounds(view),
    ]
    order = {"critical": 0, "warning": 1, "info": 2}
    return sorted(found, key=lambda finding: order[finding.severity])


def _failed(view: CallView) -> Finding:
    call, failure = view.call, view.call.failure
    if failure is None:
        raise ValueError("only a failed call has a failure")
    where = "the relay"
    if call.relay is not None:
        where = f"{call.relay.address} port {call.relay.port} ({call.relay.transport.upper()})"
    evidence = {"phase": failure.phase, "reason": failure.reason, "error_code": failure.error_code}
    evidence |= {"requests": failure.requests}
    if failure.phase == "relay" and failure.reason == "no_answer":
        text = (
            f"The call failed before it began: {counted(failure.requests, 'request')} to the relay {where} had no "
            "answer. A firewall between workstation and relay drops them; open UDP 3478 towards the relays."
        )
        return make_finding("CALL_FAILED_NO_ANSWER", "critical", text, side="lan_isp", **evidence)
    if failure.phase == "relay":
        text = (
            f"The call failed before it began: requests to the relay {where} were answered with an ICMP error "
            f"({failure.reason}). A firewall or router between workstation and relay rejects them."
        )
        return make_finding("CALL_FAILED_REFUSED", "critical", text, side="lan_isp", **evidence)
    if failure.phase == "allocate":
        hint = refusal_hint(failure.error_code)
        text = f"The call failed: {where} refused the allocation with error {failure.error_code}: {hint}."
        return make_finding("CALL_FAILED_ALLOCATE", "critical", text, side="service", **evidence)
    if failure.phase == "permission":
        text = f"The call failed: {where} refused permission or channel with error {failure.error_code}."
        return make_finding("CALL_FAILED_PERMISSION", "critical", text, side="service", **evidence)
    if failure.phase == "ice":
        text = (
            f"The call failed: the relay {where} gave an allocation, but none of {failure.requests} connectivity "
            "checks through it was answered. The path beyond the relay, or the media server, does not answer."
        )
        return make_finding("CALL_FAILED_ICE", "critical", text, side="beyond_relay", **evidence)
    answered = call.handshake is not None and call.handshake.server_answered
    text = (
        "The call failed: the connection stood, but the DTLS key exchange was never finished"
        + (" although both sides sent." if answered else "; the other side never answered the first message.")
        + " Large packets (over 1,200 bytes) that are dropped on the way are a usual cause."
    )
    return make_finding("CALL_FAILED_DTLS", "critical", text, side="undetermined", **evidence)


# --- media -----------------------------------------------------------------------------------------------------------


def _main(view: CallView, numbers: tuple[int, ...]) -> RtpStream | None:
    return view.streams[numbers[0]] if numbers else None


def _one_way(view: CallView) -> list[Finding]:
    call = view.call
    if call.relay is None or call.relay.is_inferred or bool(call.in_streams) == bool(call.out_streams):
        return []
    present = call.in_streams or call.out_streams
    duration_ms = ms_from_ns(last_ns(view, present) - min(view.streams[n].first_ns for n in present))
    if duration_ms < ms_from_ns(UNHEARD_NS):
        return []
    if call.out_streams:
        text = f"One-way audio: the workstation sent for {duration_ms / 1000:.1f} s and received no media at all."
        return [
            make_finding("ONE_WAY_AUDIO", "critical", text, missing="in", side="undetermined", duration_ms=duration_ms)
        ]
    text = (
        f"One-way audio: media arrived for {duration_ms / 1000:.1f} s, but the workstation sent none: no microphone, "
        "no permission to use it, or a capture that sees one direction only."
    )
    return [make_finding("ONE_WAY_AUDIO", "critical", text, missing="out", side="workstation", duration_ms=duration_ms)]


def _outages(view: CallView) -> list[Finding]:
    found: list[Finding] = []
    for number in view.call.in_streams:
        stream = view.streams[number]
        lost_ms = stream.longest_loss_burst * (stream.packetization_ms or 0.0)
        if lost_ms < stream.longest_gap_ms / 2:
            continue
        found += by_limit(
            "OUTAGE",
            "outage_ms",
            stream.longest_gap_ms,
            f"No packet arrived for {stream.longest_gap_ms / 1000:.1f} s from "
            f"{rfc3339_from_ns(stream.longest_gap_ns)} on, and {stream.longest_loss_burst} in a row were lost: "
            "the network was interrupted",
            time=rfc3339_from_ns(stream.longest_gap_ns),
            lost=stream.longest_loss_burst,
            ssrc=f"0x{stream.ssrc:08x}",
            side="undetermined",
        )
    return found


def _inbound(view: CallView) -> list[Finding]:
    found: list[Finding] = []
    for number in view.call.in_streams:
        stream = view.streams[number]
        if stream.is_retransmission:
            continue
        mark = {"ssrc": f"0x{stream.ssrc:08x}"}
        if stream.lost > 0:
            found += _lost_inbound(view, stream)
        found += by_limit(
            "LATE_INBOUND",
            "late_pct",
            stream.late_pct,
            f"{stream.late_pct or 0:.2f} % of the packets came too late for a jitter buffer that adapts",
            **mark,
        )
        if stream.longest_gap_ms < (read_limits()["hold_ms"].warning or 0):  # the jump after a pause is no jitter
            found += by_limit(
                "JITTER_INBOUND",
                "jitter_ms",
                stream.jitter_max_ms,
                f"Jitter of the packets towards the workstation rose to {stream.jitter_max_ms or 0:.1f} ms "
                f"(mean {stream.jitter_mean_ms or 0:.1f} ms)",
                jitter_mean_ms=stream.jitter_mean_ms,
                **mark,
            )
        if stream.packets:
            share = 100.0 * stream.reordered / stream.packets
            found += by_limit(
                "REORDERED_INBOUND",
                "reordered_pct",
                share,
                f"{share:.2f} % of the packets ({stream.reordered}) arrived after a later one",
                **mark,
            )
    found += by_limit(
        "QUALITY_LOW", "mos_cqe", view.mos_cqe, f"What the agent hears is estimated at MOS {view.mos_cqe or 0:.2f}"
    )
    return found


def _lost_inbound(view: CallView, stream: RtpStream) -> list[Finding]:
    """Tell loss of the whole call, or of the seconds in which it was bad."""
    side, why = _loss_side(view)
    window = find_loss_window(stream)
    when = "" if window is None else _window_text(view.call, window)
    evidence: dict[str, Any] = {
        "lost": stream.lost,
        "expected": stream.expected,
        "burst_ratio": stream.burst_ratio,
        "gilbert_p": stream.gilbert_p,
        "gilbert_r": stream.gilbert_r,
        "longest_loss_burst": stream.longest_loss_burst,
        "side": side,
        "ssrc": f"0x{stream.ssrc:08x}",
        **_window_evidence(view.call, window),
    }
    overall = by_limit(
        "LOSS_INBOUND",
        "loss_pct",
        stream.loss_pct,
        f"{stream.loss_pct:.2f} % of the packets towards the workstation ({stream.lost} of {stream.expected}) "
        f"were lost before this capture point{when or _burst_text(stream)}. {why}",
        **evidence,
    )
    limit = read_limits()["loss_pct"]
    if overall or window is None or limit.severity_of(window.loss_pct) is None:
        return overall
    # A mean within the limits over a long call hides seconds in which nobody understood a word.
    text = (
        f"{stream.lost} of {stream.expected} packets towards the workstation were lost before this capture point, "
        f"few for the whole call ({stream.loss_pct:.2f} %){when}. {why} ({limit_text(limit, 'warning')})."
    )
    evidence["loss_pct"] = None if stream.loss_pct is None else round(stream.loss_pct, 3)
    return [make_finding("LOSS_INBOUND", "warning", text, **evidence)]


def _window_text(call: Call, window: LossWindow) -> str:
    from_s, to_s = _seconds_of(call, window)
    return (
        f", {window.lost} of them from second {from_s} to second {to_s} of the call: {window.loss_pct:.1f} % there, "
        f"{window.rest_pct:.1f} % in the rest"
    )


def _window_evidence(call: Call, window: LossWindow | None) -> dict[str, Any]:
    if window is None:
        return {}
    from_s, to_s = _seconds_of(call, window)
    return {
        "window_from_s": from_s,
        "window_to_s": to_s,
        "window_time": rfc3339_from_ns(window.first_ns),
        "window_lost": window.lost,
        "window_loss_pct": round(window.loss_pct, 3),
        "rest_loss_pct": round(window.rest_pct, 3),
    }


def _seconds_of(call: Call, window: LossWindow) -> tuple[int, int]:
    from_s = max(round((window.first_ns - call.start_ns) / NS_PER_S), 0)
    return from_s, max(round((window.last_ns - call.start_ns) / NS_PER_S), from_s + 1)


def _burst_text(stream: RtpStream) -> str:
    if stream.loss_bursts == 1:
        return "" if stream.lost == 1 else ", all in one run"
    if stream.burst_ratio is None or stream.burst_ratio < 1.5:
        return ", spread out over the call at random"
    return (
        f", in bursts ({stream.burst_ratio:.1f} times the length of random loss, longest {stream.longest_loss_burst})"
    )


def _loss_side(view: CallView) -> tuple[str, str]:
    """Judge where inbound loss lies by what else went the near leg at the same time."""
    relay = view.transactions[np.array(view.call.relay_rows, np.int64)]
    lost = int((relay["outcome"] == NO_ANSWER).sum() + relay["retransmissions"].sum()) if len(relay) else 0
    limit = read_limits()["tcp_retransmission_pct"].warning or 1.0
    tcp = view.tcp_retransmission_pct
    if lost:
        return "lan_isp", (
            f"Requests to the relay itself went missing too ({lost} of {len(relay)}): LAN, VPN or provider are likely."
        )
    if tcp is not None and view.tcp_packets >= 100 and tcp >= limit:
        return "lan_isp", f"The workstation's other connections lose packets too ({tcp:.1f} %): the near leg is likely."
    return "undetermined", "Where on the way they were lost cannot be told from this capture alone."


def _outbound(view: CallView) -> list[Finding]:
    found: list[Finding] = []
    for number in view.call.out_streams:
        stream = view.streams[number]
        if stream.lost > 0 and stream.packets:
            found += by_limit(
                "LOSS_BEFORE_CAPTURE",
                "loss_pct",
                stream.loss_pct,
                f"{stream.loss_pct:.2f} % of the workstation's own packets ({stream.lost}) are missing already at this "
                "capture point: lost between workstation and here, or not captured",
                lost=stream.lost,
                side="lan",
                ssrc=f"0x{stream.ssrc:08x}",
            )
        stalls = _isolated_stalls(stream)
        if len(stalls):
            longest = float(stalls["longest_gap_ms"].max())
            found += by_limit(
                "SEND_STALLS",
                "send_stall_ms",
                longest,
                f"The workstation did not send in time {counted(len(stalls), 'time')}, for up to {longest:.0f} ms, "
                "without a missing sequence number: its own side (processor, browser, power saving), not the network",
                stalls=len(stalls),
                first_time=rfc3339_from_ns(int(stalls["time_ns"][0])),
                side="workstation",
                ssrc=f"0x{stream.ssrc:08x}",
            )
        if stream.clock_skew_ppm is not None:
            found += by_limit(
                "CLOCK_SKEW",
                "clock_skew_ppm",
                abs(stream.clock_skew_ppm),
                f"The sending clock differs from the capture's by {stream.clock_skew_ppm:.0f} ppm",
                side="workstation",
            )
    return found


def _isolated_stalls(stream: RtpStream) -> Any:
    """Find seconds with a gap in sending whose neighbours are full: DTX and holds come in runs or last longer."""
    seconds = stream.seconds
    if len(seconds) < 3 or stream.packetization_ms is None or stream.transport == "tcp":  # TCP holds back by itself
        return seconds[:0]
    stall_ms = read_limits()["send_stall_ms"].warning or 200.0
    hold_ms = read_limits()["hold_ms"].warning or 2000.0
    full = 0.8 * 1000.0 / max(stream.packetization_ms, 1.0)
    is_stall = (seconds["longest_gap_ms"] >= stall_ms) & (seconds["longest_gap_ms"] < hold_ms) & (seconds["lost"] <= 0)
    times = seconds["time_ns"] // NS_PER_S
    is_full = seconds["packets"] >= full
    before = np.zeros(len(seconds), np.bool_)
    after = np.zeros(len(seconds), np.bool_)
    # A stall over a change of second leaves the second before it short too: look two seconds around.
    for step in (1, 2):
        adjacent = times[step:] - times[:-step] <= step
        before[step:] |= adjacent & is_full[:-step]
        after[:-step] |= adjacent & is_full[step:]
    return seconds[is_stall & before & after]


# --- round trips, setup, relay ---------------------------------------------------------------------------------------


def _round_trips(view: CallView) -> list[Finding]:
    relay, media = view.relay_rtt, view.media_rtt
    found = by_limit(
        "RELAY_RTT_HIGH",
        "relay_rtt_ms",
        relay.p50,
        f"Workstation to relay and back takes {relay.p50 or 0:.0f} ms: the way through LAN, VPN and provider",
        p95_ms=relay.p95,
        n=relay.n,
        side="lan_isp",
    )
    if media.p50 is not None:
        beyond = None if relay.p50 is None else max(media.p50 - relay.p50, 0.0)
        side = "undetermined" if beyond is None else ("beyond_relay" if beyond > media.p50 / 2 else "lan_isp")
        where = "" if beyond is None else f", of which {beyond:.0f} ms beyond the relay"
        found += by_limit(
            "MEDIA_RTT_HIGH",
            "media_rtt_ms",
            media.p50,
            f"Workstation to media server and back takes {media.p50:.0f} ms{where}",
            p95_ms=media.p95,
            n=media.n,
            relay_rtt_p50_ms=relay.p50,
            side=side,
        )
    for what, trips, side in (("relay", relay, "lan_isp"), ("media server", media, "undetermined")):
        if trips.n >= 5 and trips.p50 is not None and trips.p95 is not None:
            found += by_limit(
                "RTT_VARIES",
                "rtt_rise_ms",
                trips.p95 - trips.p50,
                f"Round trips to the {what} rose from {trips.p50:.0f} ms to {trips.p95:.0f} ms: queues fill on the way",
                p50_ms=trips.p50,
                p95_ms=trips.p95,
                n=trips.n,
                side=side,
            )
            if what == "relay" and found and found[-1].code == "RTT_VARIES":
                break  # the same queue would be told twice
    return found


def _setup(view: CallView) -> list[Finding]:
    found: list[Finding] = []
    setup = view.call.setup
    for phase in ("dns", "allocate", "ice", "dtls"):
        value = getattr(setup, phase)
        metric = "dns_ms" if phase == "dns" else "setup_phase_ms"
        found += by_limit(
            "SETUP_SLOW", metric, value, f"The setup phase {phase.upper()} took {value or 0:.0f} ms", phase=phase
        )
    return found + by_limit(
        "SETUP_SLOW",
        "connect_ms",
        setup.first_media,
        f"The first inbound media came {setup.first_media or 0:.0f} ms after the start",
        phase="first_media",
    )


def _relay(view: CallView) -> list[Finding]:
    call = view.call
    if call.relay is None:
        return []
    found: list[Finding] = []
    where = f"{call.relay.address} port {call.relay.port}"
    if call.relay.is_inferred:
        text = (
            f"A call inside TLS to {where} is inferred from the size and cadence of its packets; its loss, jitter and "
            "round trips cannot be seen. UDP 3478 to the relays would carry it better."
        )
        return [make_finding("RELAY_IN_TLS", "warning", text, address=call.relay.address, port=call.relay.port)]
    if call.relay.transport != "udp":
        text = (
            f"Media went to the relay {where} over TCP: lost packets come late instead of missing, and hold up those "
            "behind them. Open UDP 3478."
        )
        found.append(make_finding("MEDIA_OVER_TCP", "warning", text, transport=call.relay.transport, side="lan_isp"))
    tried = sorted({view.flows[n].transport for n in call.attempts})
    if call.attempts:
        text = (
            f"{counted(len(call.attempts), 'other way')} to a relay ({', '.join(t.upper() for t in tried)}) had no "
            "answer before "
            "the call took this one."
        )
        severity: Severity = "critical" if "udp" in tried and call.relay.transport != "udp" else "info"
        found.append(make_finding("RELAY_UDP_NO_ANSWER", severity, text, attempts=len(call.attempts), side="lan_isp"))
    return found


def _pauses(view: CallView) -> list[Finding]:
    found: list[Finding] = []
    hold_ms = read_limits()["hold_ms"].warning or 2000.0
    for direction, numbers in (("in", view.call.in_streams), ("out", view.call.out_streams)):
        for number in numbers:
            stream = view.streams[number]
            lost_ms = stream.longest_loss_burst * (stream.packetization_ms or 0.0)
            if stream.longest_gap_ms >= hold_ms and lost_ms < stream.longest_gap_ms / 2:
                who = "The other side" if direction == "in" else "The workstation"
                text = (
                    f"{who} sent nothing for {stream.longest_gap_ms / 1000:.1f} s from "
                    f"{rfc3339_from_ns(stream.longest_gap_ns)} on and then went on with the next number: a hold or a "
                    "pause, no loss."
                )
                found.append(
                    make_finding(
                        "HOLD",
                        "info",
                        text,
                        direction=direction,
                        time=rfc3339_from_ns(stream.longest_gap_ns),
                        pause_ms=round(stream.longest_gap_ms, 1),
                        ssrc=f"0x{stream.ssrc:08x}",
                    )
                )
    main = _main(view, view.call.out_streams)
    if main is not None:
        found += _muted(main)
    return found


def _muted(stream: RtpStream) -> list[Finding]:
    seconds = stream.seconds
    if len(seconds) < _MUTE_SECONDS:
        return []
    level = seconds["audio_level"]
    if not np.isnan(level).all():
        silent, basis = np.nan_to_num(level, nan=0.0) >= _SILENT_DBOV, "audio_level"
    else:
        size = seconds["bytes"] / np.maximum(seconds["packets"], 1)
        steady = np.zeros(len(size), np.bool_)
        steady[1:] = np.abs(np.diff(size)) < 0.5
        steady[:-1] |= steady[1:]
        silent, basis = steady & (size < _SMALL_SHARE * float(np.median(size))), "packet_size"
    start, length = _longest_run(silent)
    if length < _MUTE_SECONDS:
        return []
    how = "the audio level in clear reads 127" if basis == "audio_level" else "its packets stay small and of one size"
    text = (
        f"The workstation sent silence for {length} s from {rfc3339_from_ns(int(seconds['time_ns'][start]))} on "
        f"({how}): muted, or a microphone without a signal."
    )
    return [
        make_finding(
            "MUTED", "info", text, duration_s=length, time=rfc3339_from_ns(int(seconds["time_ns"][start])), basis=basis
        )
    ]


def _longest_run(flags: Any) -> tuple[int, int]:
    best = (0, 0)
    start = 0
    for position, flag in enumerate([*flags.tolist(), False]):
        if flag:
            continue
        if position - start > best[1]:
            best = (start, position - start)
        start = position + 1
    return best


def _bounds(view: CallView) -> list[Finding]:
    call = view.call
    found: list[Finding] = []
    if call.out_streams:
        text = (
            "Loss and jitter of the workstation's own packets happen after this capture point and are unknown here; "
            "the browser's statistics, the agent log or the contact record have them."
        )
        found.append(make_finding("UPLINK_NOT_VISIBLE", "info", text))
    if call.other_streams:
        text = "There is no relay in this call, so its directions are unknown; say which address is yours with --host."
        found.append(make_finding("DIRECTION_UNKNOWN", "info", text))
    if call.is_running_at_start:
        text = "The call was running when the capture began: its setup and its beginning are unknown."
        found.append(make_finding("RUNNING_AT_START", "info", text))
    if call.is_running_at_end:
        found.append(make_finding("RUNNING_AT_END", "info", "The capture ended before the call did."))
    return found
