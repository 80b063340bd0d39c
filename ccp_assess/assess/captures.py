"""Captures to calls: scan the files, read the rare packets, bring calls together, rate them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ccp_assess.assess.callquality import CallAssessment, assess_calls
from ccp_assess.assess.capturelines import transaction_lines
from ccp_assess.assess.capturerows import call_rows, capture_rows, finding_row, table_rows
from ccp_assess.capture.records import Scan
from ccp_assess.endpoints import identify
from ccp_assess.findings import Finding
from ccp_assess.memory import collector_at_rest
from ccp_assess.ranges import read_ranges
from ccp_assess.traffic.calls import find_calls
from ccp_assess.traffic.capturefindings import CaptureView, capture_findings
from ccp_assess.traffic.dialogues import Dialogue, read_dialogues
from ccp_assess.traffic.endpoints import EndpointRow, find_endpoints
from ccp_assess.traffic.evidence import Evidence
from ccp_assess.traffic.failures import refusals
from ccp_assess.traffic.handshakes import DtlsHandshake, read_handshakes
from ccp_assess.traffic.icmperrors import IcmpError, read_icmp_errors
from ccp_assess.traffic.names import DNS_PORT, Lookup, QuicConnection, names_by_address, read_lookups, read_quic
from ccp_assess.traffic.relaypaths import PathKey, RelayPaths
from ccp_assess.traffic.streams import RtpStream
from ccp_assess.traffic.transactions import join_transactions
from ccp_assess.units import rfc3339_from_ns
from ccp_assess.wire.datagram import Datagram

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

TABLES = ("streams", "calls", "seconds", "transactions", "endpoints", "dns", "findings")
"""Tables that a capture gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureAssessment:
    """Everything that was found in one or several files read as one capture.

    Parameters
    ----------
    scan
        What the reader found.
    calls, endpoints, lookups, handshakes, dialogues, quic, icmp_errors
        What it means.
    transactions
        Rows of ``TRANSACTION_ROW``.
    findings
        About the capture as a whole.
    """

    scan: Scan
    calls: tuple[CallAssessment, ...]
    endpoints: tuple[EndpointRow, ...]
    lookups: tuple[Lookup, ...]
    handshakes: tuple[DtlsHandshake, ...]
    dialogues: tuple[Dialogue, ...]
    quic: tuple[QuicConnection, ...]
    icmp_errors: tuple[IcmpError, ...]
    transactions: npt.NDArray[np.void]
    findings: tuple[Finding, ...]

    @property
    def streams(self) -> tuple[RtpStream, ...]:
        """All RTP streams."""
        return self.scan.streams

    @property
    def call_ids(self) -> dict[int, str]:
        """Index of a stream → the call that it belongs to."""
        return {number: entry.call.call_id for entry in self.calls for number in entry.call.streams}

    def to_document(self, *, with_transactions: bool = True) -> dict[str, Any]:
        """Return everything as the JSON document of ``ccp-assess capture read``.

        Parameters
        ----------
        with_transactions
            False leaves that key ``None``, for who writes :meth:`transaction_lines` in its place.

        Returns
        -------
        document
            Keys ``captures``, ``endpoints``, ``dns``, ``transactions``, ``streams``, ``calls`` and ``findings``.
        """
        return {
            "captures": capture_rows(self.scan.captures),
            "endpoints": self.rows("endpoints"),
            "dns": self.rows("dns"),
            "transactions": self.rows("transactions") if with_transactions else None,
            "streams": self.rows("streams"),
            "calls": call_rows(self),
            "findings": [finding_row(finding) for finding in self.findings],
        }

    def transaction_lines(self) -> Iterator[list[str]]:
        """Write the rows of the table of transactions as JSON, some thousand at a time.

        Returns
        -------
        lines
            Lists of JSON objects; a hundred thousand rows never stand in memory at once.
        """
        return transaction_lines(self.transactions, self.scan)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return one table as plain rows.

        Parameters
        ----------
        table
            One of :data:`TABLES`.

        Returns
        -------
        rows
            With the names of the contract.
        """
        rows = table_rows(self, table)
        if rows is None:
            raise KeyError(f"table {table!r} is unknown; there are {', '.join(TABLES)}")
        return rows

    def to_frame(self, table: str = "calls") -> pd.DataFrame:
        """Return one table as a data frame.

        Parameters
        ----------
        table
            One of :data:`TABLES`.

        Returns
        -------
        frame
            Columns as in the contract; nested values are flattened with underscores.
        """
        import pandas as pd  # noqa: PLC0415 - half a second that the command line need not pay

        return pd.DataFrame(self.rows(table))

    def _repr_html_(self) -> str:
        """Return a small summary for notebooks."""
        rows = "".join(
            f"<tr><td>{escape(rfc3339_from_ns(entry.call.start_ns))}</td>"
            f"<td>{escape(entry.region_code or 'unknown')}</td>"
            f"<td>{_number(entry.inbound.loss_pct, '%')}</td><td>{_number(entry.inbound.jitter_mean_ms, ' ms')}</td>"
            f"<td>{_number(entry.media_rtt.p50, ' ms')}</td><td>{_number(entry.inbound.mos_cqe, '')}</td>"
            f"<td>{escape(entry.findings[0].text if entry.findings else '')}</td></tr>"
            for entry in self.calls
        )
        head = (
            "<tr><th>start</th><th>Region</th><th>loss in</th><th>jitter in</th><th>RTT</th><th>MOS</th><th></th></tr>"
        )
        return f"<table>{head}{rows}</table>"


def _number(value: float | None, unit: str) -> str:
    return "unknown" if value is None else f"{value:.2f}{unit}"


@collector_at_rest()
def assess_captures(
    paths: Iterable[str | Path],
    *,
    host: str | None = None,
    workers: int | None = None,
    block_bytes: int | None = None,
    progress: Progress | None = None,
    on_packets: Callable[[npt.NDArray[np.void]], None] | None = None,
) -> CaptureAssessment:
    """Read capture files as one capture and tell what calls it holds.

    Parameters
    ----------
    paths
        Files of pcap or pcapng, also compressed; ``-`` is standard input.
    host
        Address of the workstation, for captures without a relay.
    workers
        Threads to read with; ``None`` chooses.
    block_bytes
        Size of a block; ``None`` chooses. Results do not depend on it.
    progress
        Called while bytes are read.
    on_packets
        Called with rows of ``ccp_assess.wire.columns.PACKET``, in another thread.

    Returns
    -------
    assessment
        Calls, streams, endpoints and findings.

    Raises
    ------
    CaptureError
        If a file is no capture; one sentence says what it is instead.
    """
    from ccp_assess.capture.scan import scan  # noqa: PLC0415 - compiled code, loaded when needed

    def report(done: int, total: int | None) -> None:
        if progress is not None:
            progress("reading", done, total or 0)

    scanned = scan(
        [str(path) for path in paths],
        workers=workers,
        block_bytes=block_bytes,
        progress=report if progress is not None else None,
        on_packets=on_packets,
    )
    return assess_scan(scanned, host=host)


@collector_at_rest()
def assess_scan(scanned: Scan, *, host: str | None = None) -> CaptureAssessment:
    """Tell what calls a scan holds.

    Parameters
    ----------
    scanned
        What the reader found.
    host
        Address of the workstation, for captures without a relay.

    Returns
    -------
    assessment
        Calls, streams, endpoints and findings.
    """
    flows = scanned.flows
    segments, questions, errors, datagrams = sort_datagrams(scanned)
    ranges = read_ranges()
    paths = RelayPaths(datagrams)
    dialogues = read_dialogues(flows, segments)
    lookups = read_lookups(flows, questions, dialogues)
    quic = read_quic(flows, datagrams)
    names = names_by_address(lookups)
    records = dict(scanned.name_records)
    endpoints = find_endpoints(flows, dialogues, quic, names=names, name_records=records, host=host, ranges=ranges)
    transactions = join_transactions(scanned.stun)
    icmp_errors = read_icmp_errors(flows, errors)
    times = [(capture.first_ns, capture.last_ns) for capture in scanned.captures]
    handshakes = read_handshakes(datagrams, paths)

    def is_relay(address: str, port: int, transport: str) -> bool:
        return identify(names.get(address), address, port, transport, ranges).role == "media_relay"

    evidence = Evidence(
        flows=flows,
        streams=scanned.streams,
        transactions=transactions,
        peers=scanned.peers,
        paths=paths,
        handshakes=handshakes,
        lookups=lookups,
        dialogues=dialogues,
        icmp_errors=icmp_errors,
        cut_paths=_cut_paths(paths, datagrams),
        spans=scanned.spans,
        first_ns=min((first for first, _ in times if first is not None), default=None),
        last_ns=max((last for _, last in times if last is not None), default=None),
        host=host,
        is_relay=is_relay,
    )
    calls = assess_calls(find_calls(evidence), evidence, endpoints)
    view = CaptureView(
        packets=sum(capture.packets for capture in scanned.captures),
        snaplen_cut=sum(capture.snaplen_cut for capture in scanned.captures),
        ended_early=tuple(c.ended_early for c in scanned.captures if c.ended_early),
        unread=tuple(f"{c.path}: {note}." for c in scanned.captures for note in c.unread),
        notes=tuple(f"{c.path}: {note}." for c in scanned.captures for note in c.notes),
        dropped=sum(interface.dropped or 0 for interface in scanned.interfaces),
        limits_hit=scanned.limits_hit,
        endpoints=tuple(endpoints),
        lookups=tuple(lookups),
        dialogues=tuple(dialogues),
        quic=tuple(quic),
        icmp_errors=tuple(icmp_errors),
        calls=tuple(entry.call for entry in calls),
        refusals=tuple(refusals(evidence, [entry.call for entry in calls])),
    )
    return CaptureAssessment(
        scan=scanned,
        calls=calls,
        endpoints=tuple(endpoints),
        lookups=tuple(lookups),
        handshakes=tuple(handshakes),
        dialogues=tuple(dialogues),
        quic=tuple(quic),
        icmp_errors=tuple(icmp_errors),
        transactions=transactions,
        findings=tuple(capture_findings(view)),
    )


def sort_datagrams(scanned: Scan) -> tuple[list[Datagram], list[Datagram], list[Datagram], list[Datagram]]:
    """Sort the rare packets by who reads them, in one pass.

    Parameters
    ----------
    scanned
        What the reader found.

    Returns
    -------
    segments, questions, errors, others
        TCP segments; DNS over UDP; ICMP; and STUN, DTLS and QUIC, each in order of arrival.
    """
    lists: tuple[list[Datagram], ...] = ([], [], [], [])
    kinds = [
        {"tcp": 0, "icmp": 2, "icmpv6": 2}.get(flow.transport, 1 if DNS_PORT in {flow.a_port, flow.b_port} else 3)
        for flow in scanned.flows
    ]
    for datagram in scanned.datagrams:
        kind = kinds[datagram.flow]
        # A message taken out of a TCP byte stream is read as what it is.
        lists[3 if kind == 0 and datagram.framed else kind].append(datagram)
    return lists[0], lists[1], lists[2], lists[3]


def _cut_paths(paths: RelayPaths, datagrams: list[Datagram]) -> dict[PathKey, int]:
    """Find the paths whose connectivity checks the snaplen cut, and when the first was sent."""
    found: dict[PathKey, int] = {}
    for datagram in datagrams:
        is_cut = len(datagram.payload) < datagram.length
        if is_cut and (datagram.channel or datagram.peer) and datagram.payload[:1] < b"\x04":
            key = paths.key(datagram.flow, datagram.channel, datagram.peer, datagram.time_ns)
            found.setdefault(key, datagram.time_ns)
    return found
