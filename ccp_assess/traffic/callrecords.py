"""What a call is made of: plain records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ccp_assess.traffic.flows import Flow
from ccp_assess.traffic.handshakes import DtlsHandshake
from ccp_assess.traffic.relaypaths import PathKey
from ccp_assess.traffic.transactions import Rows, nearest_rank

Phase = Literal["dns", "relay", "allocate", "permission", "ice", "dtls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """The TURN server that a call went through.

    Parameters
    ----------
    address, port
        Where it listens.
    transport
        ``udp``, ``tcp`` or ``tls`` between workstation and relay.
    is_inferred
        Whether it was told by size and cadence alone: media inside TLS.
    """

    address: str
    port: int
    transport: Literal["udp", "tcp", "tls"]
    is_inferred: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How long each phase of the setup took, first request to success; ``None`` where it was not seen.

    Parameters
    ----------
    dns, allocate, ice, dtls
        Its own duration [ms].
    first_media
        From the start of the call to the first inbound RTP [ms].
    """

    dns: float | None = None
    allocate: float | None = None
    ice: float | None = None
    dtls: float | None = None
    first_media: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there was no call.

    Parameters
    ----------
    phase
        Where it ended.
    reason
        ``no_answer``, ``refused``, ``prohibited``, ``unreachable``, ``error_401`` (any code), ``connect_failed``,
        ``no_checks_answered``, ``not_finished``.
    error_code
        STUN error code, if one was given.
    requests
        Requests that were made in that phase (count).
    """

    phase: Phase
    reason: str
    error_code: int | None = None
    requests: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One media session, or an attempt at one.

    Parameters
    ----------
    call_id
        Hash of relay 5-tuple, first media time and SSRCs.
    start_ns, end_ns
        First check, handshake or RTP; last media or close [ns].
    agent
        Address of the workstation; ``None`` where it cannot be told.
    agent_port
        Its port.
    relay
        ``None`` for plain RTP.
    flow
        Index of the (last) flow that carried it.
    paths
        Paths that carried it, in order.
    in_streams, out_streams, other_streams
        Indices of streams by direction, main stream first; ``other`` where it is unknown.
    setup
        Durations of its phases.
    relay_rows, media_rows
        Indices of transactions with the relay, and of those with the media server that the workstation asked.
    handshake
        Its DTLS handshake, if it was captured.
    failure
        ``None`` for a call with media.
    is_running_at_start, is_running_at_end
        Whether the capture began or ended in the middle of it.
    attempts
        Indices of flows to relays that were tried without success before or beside it.
    """

    call_id: str
    start_ns: int
    end_ns: int
    agent: str | None
    agent_port: int | None
    relay: Relay | None
    flow: int
    paths: tuple[PathKey, ...] = ()
    in_streams: tuple[int, ...] = ()
    out_streams: tuple[int, ...] = ()
    other_streams: tuple[int, ...] = ()
    setup: Setup = field(default_factory=Setup)
    relay_rows: tuple[int, ...] = field(default=(), repr=False)
    media_rows: tuple[int, ...] = field(default=(), repr=False)
    handshake: DtlsHandshake | None = None
    failure: Failure | None = None
    is_running_at_start: bool = False
    is_running_at_end: bool = False
    attempts: tuple[int, ...] = ()

    @property
    def streams(self) -> tuple[int, ...]:
        """Indices of all its streams."""
        return self.in_streams + self.out_streams + self.other_streams


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrips:
    """Round trips of a call, nearest rank.

    Parameters
    ----------
    p50, p95
        ``None`` without a sample [ms].
    n
        Samples (count).
    """

    p50: float | None
    p95: float | None
    n: int


def round_trips(transactions: Rows, rows: Iterable[int]) -> RoundTrips:
    """Sum up round trips.

    Parameters
    ----------
    transactions
        Rows of ``TRANSACTION_ROW``.
    rows
        Which of them.

    Returns
    -------
    round_trips
        Unanswered and repeated requests give none (Karn).
    """
    values = transactions["rtt_ms"][np.fromiter(rows, np.int64)] if len(transactions) else np.zeros(0)
    known = np.sort(values)  # what is unknown comes last
    known = known[: known.searchsorted(np.inf, side="right")]
    return RoundTrips(p50=nearest_rank(known, 50), p95=nearest_rank(known, 95), n=len(known))


def hash_call(flow: Flow, first_ns: int, ssrcs: Iterable[int], *, agent_is_a: bool) -> str:
    """Make the identifier of a call, the same however the work was split.

    Parameters
    ----------
    flow
        The flow that carried it.
    agent_is_a
        Whether the workstation is ``flow.a``.
    first_ns
        First media; of a failed call its first request [ns].
    ssrcs
        Of its streams.

    Returns
    -------
    call_id
        16 hexadecimal digits.
    """
    ends = [f"{flow.a}|{flow.a_port}", f"{flow.b}|{flow.b_port}"][:: 1 if agent_is_a else -1]
    text = "|".join([flow.transport, *ends, str(first_ns), *(f"{ssrc:08x}" for ssrc in sorted(set(ssrcs)))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
