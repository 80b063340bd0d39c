"""The tables of a capture as Parquet files, each with its full set of columns even when it has no row."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from ccp_assess.capture.collecting import address_text
from ccp_assess.units import NS_PER_S

if TYPE_CHECKING:
    import pyarrow as pa

    from ccp_assess.assess.captures import CaptureAssessment

_T, _I, _N, _F, _W = "text", "integer", "number", "flag", "instant"
_TCP = 6

SCHEMAS: dict[str, dict[str, str]] = {
    "streams": {
        "src": _T, "src_port": _I, "dst": _T, "dst_port": _I, "ssrc": _T, "payload_type": _I, "direction": _T,
        "relay": _T, "channel_number": _I, "peer": _T, "relay_transport": _T, "clock_rate_hz": _I,
        "clock_rate_basis": _T, "packets": _I, "expected": _I, "lost": _I, "loss_pct": _N, "duplicates": _I,
        "reordered": _I, "jitter_ms": _N, "jitter_mean_ms": _N, "jitter_max_ms": _N, "ipdv_mean_ms": _N,
        "longest_gap_ms": _N, "longest_gap_time": _W, "burst_ratio": _N, "loss_bursts": _I, "longest_loss_burst": _I,
        "gilbert_p": _N, "gilbert_r": _N, "stalls": _I, "late_pct": _N, "playout_ms": _N, "packetization_ms": _N,
        "clock_skew_ppm": _N, "audio_level_mean_dbov": _N, "audio_level_silent_pct": _N, "payload_bytes": _I,
        "rtcp_packets": _I, "telephone_events": _I, "segments": _I, "is_retransmission": _F, "first_time": _W,
        "last_time": _W, "call_id": _T,
    },
    "calls": {
        "call_id": _T, "start_time": _W, "end_time": _W, "duration_ms": _N, "outcome": _T, "failure_phase": _T,
        "failure_reason": _T, "failure_error_code": _I, "failure_requests": _I, "agent": _T, "agent_port": _I,
        "region_code": _T, "relay_address": _T, "relay_port": _I, "relay_transport": _T, "relay_host": _T,
        "relay_inferred": _F, "setup_ms_dns": _N, "setup_ms_allocate": _N, "setup_ms_ice": _N, "setup_ms_dtls": _N,
        "setup_ms_first_media": _N, "rtt_relay_ms_p50": _N, "rtt_relay_ms_p95": _N, "rtt_relay_ms_n": _I,
        "rtt_media_ms_p50": _N, "rtt_media_ms_p95": _N, "rtt_media_ms_n": _I, "in_loss_pct": _N, "in_late_pct": _N,
        "in_jitter_ms": _N, "in_jitter_mean_ms": _N, "in_delay_ms": _N, "in_mos_cqe": _N, "in_r_factor": _N,
        "in_codec": _T, "out_loss_pct": _N, "out_jitter_ms": _N, "out_jitter_mean_ms": _N, "out_delay_ms": _N,
        "out_mos_cqe": _N, "out_r_factor": _N, "out_codec": _T, "dtls_version": _T, "dtls_completed": _F,
        "dtls_retransmissions": _I, "dtls_client_fingerprint": _T, "dtls_server_fingerprint": _T,
        "running_at_start": _F, "running_at_end": _F, "ssrcs": _T, "findings": _T,
    },
    "seconds": {
        "time": _W, "call_id": _T, "ssrc": _T, "direction": _T, "packets": _I, "lost": _I, "late": _I, "bytes": _I,
        "jitter_ms": _N, "ipdv_ms": _N, "longest_gap_ms": _N, "audio_level": _N, "rtt_relay_ms": _N,
        "rtt_media_ms": _N,
    },
    "transactions": {
        "time": _W, "method": _T, "inside_relay": _F, "src": _T, "src_port": _I, "dst": _T, "dst_port": _I,
        "outcome": _T, "error_code": _I, "retransmissions": _I, "rtt_ms": _N, "channel_number": _I, "peer": _T,
        "transport": _T,
    },
    "endpoints": {
        "host": _T, "host_basis": _T, "address": _T, "port": _I, "transport": _T, "role": _T, "region_code": _T,
        "packets_out": _I, "packets_in": _I, "bytes_out": _I, "bytes_in": _I, "connect_rtt_ms": _N,
        "tls_handshake_ms": _N, "tls_issuer": _T, "tls_version": _T, "retransmissions": _I, "zero_windows": _I,
        "resets": _I, "hops_estimate": _I, "answered": _F, "connections": _I, "connections_refused": _I,
        "connections_unanswered": _I, "proxy": _T, "first_time": _W, "last_time": _W,
    },
}  # fmt: skip
"""Columns of each table with their kinds."""


def _arrow_type(kind: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - a fifth of a second that only --out need pay

    return {
        _T: pa.string(),
        _I: pa.int64(),
        _N: pa.float64(),
        _F: pa.bool_(),
        _W: pa.timestamp("ns", tz="UTC"),
    }[kind]


def _nanoseconds(text: str | None) -> int | None:
    if text is None or text.startswith("@"):  # a clock beyond year 9999 has no timestamp
        return None
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole + "+00:00").timestamp())
    return seconds * NS_PER_S + int((fraction + "000000000")[:9])


def table_of(assessment: CaptureAssessment, name: str) -> pa.Table:
    """Make one table.

    Parameters
    ----------
    assessment
        Of a capture.
    name
        A key of :data:`SCHEMAS`.

    Returns
    -------
    table
        With every column of its schema.
    """
    import pyarrow as pa  # noqa: PLC0415 - a fifth of a second that only --out need pay

    rows = assessment.rows(name)
    arrays = []
    for column, kind in SCHEMAS[name].items():
        values = [row.get(column) for row in rows]
        if kind == _W:
            values = [_nanoseconds(value) for value in values]
        arrays.append(pa.array(values, type=_arrow_type(kind)))
    schema = pa.schema([(column, _arrow_type(kind)) for column, kind in SCHEMAS[name].items()])
    return pa.Table.from_arrays(arrays, schema=schema)


def write_tables(assessment: CaptureAssessment, folder: Path) -> list[Path]:
    """Write the tables as Parquet, each whole or not at all.

    Parameters
    ----------
    assessment
        Of a capture.
    folder
        Made if it is missing.

    Returns
    -------
    paths
        What was written.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 - a fifth of a second that only --out need pay

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in SCHEMAS:
        path = folder / f"{name}.parquet"
        temporary = _temporary(folder, name)
        try:
            pq.write_table(table_of(assessment, name), temporary)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        written.append(path)
    return written


def _temporary(folder: Path, name: str) -> Path:
    handle, path = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
    os.close(handle)
    return Path(path)


class PacketTable:
    """The table of packets, written block by block while a capture is read; memory does not grow with the file.

    Use it as a context: only when the context ends without an error does ``packets.parquet`` appear.

    Parameters
    ----------
    folder
        Made if it is missing.
    """

    COLUMNS: ClassVar[dict[str, str]] = {
        "time": _W, "frame": _I, "src": _T, "src_port": _I, "dst": _T, "dst_port": _I, "protocol": _I, "bytes": _I,
        "payload_bytes": _I, "captured_bytes": _I, "ttl": _I, "tcp_flags": _I, "tcp_seq": _I, "fragmented": _F,
    }  # fmt: skip
    """Columns with their kinds; ``protocol`` is the IP protocol number."""

    def __init__(self, folder: Path) -> None:
        import pyarrow as pa  # noqa: PLC0415 - a fifth of a second that only --out need pay
        import pyarrow.parquet as pq  # noqa: PLC0415 - the same

        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "packets.parquet"
        self._temporary = _temporary(folder, "packets")
        self._schema = pa.schema([(name, _arrow_type(kind)) for name, kind in self.COLUMNS.items()])
        self._writer = pq.ParquetWriter(str(self._temporary), self._schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.close()
        if kind is None:
            self._temporary.replace(self._path)
        else:
            self._temporary.unlink(missing_ok=True)

    def add(self, rows: npt.NDArray[np.void]) -> None:
        """Write a block of packets.

        Parameters
        ----------
        rows
            Rows of ``ccp_assess.wire.columns.PACKET``.
        """
        import pyarrow as pa  # noqa: PLC0415 - see above

        is_tcp = rows["protocol"] == _TCP
        values = {
            "time": rows["time_ns"],
            "frame": rows["frame"],
            "src": _addresses(rows["src_high"], rows["src_low"]),
            "src_port": rows["src_port"],
            "dst": _addresses(rows["dst_high"], rows["dst_low"]),
            "dst_port": rows["dst_port"],
            "protocol": rows["protocol"],
            "bytes": rows["bytes"],
            "payload_bytes": rows["length"],
            "captured_bytes": rows["captured"],
            "ttl": rows["ttl"],
            "tcp_flags": np.ma.masked_array(rows["tcp_flags"], ~is_tcp),
            "tcp_seq": np.ma.masked_array(rows["tcp_seq"], ~is_tcp),
            "fragmented": rows["fragmented"],
        }
        arrays = []
        for name, kind in self.COLUMNS.items():
            column = values[name]
            mask = column.mask if isinstance(column, np.ma.MaskedArray) else None
            plain = np.ascontiguousarray(np.ma.getdata(column)) if isinstance(column, np.ndarray) else column
            plain = plain.astype(np.int64) if isinstance(plain, np.ndarray) and kind in {_I, _W} else plain
            arrays.append(pa.array(plain, type=_arrow_type(kind), mask=mask))
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))


def _addresses(high: npt.NDArray[np.int64], low: npt.NDArray[np.int64]) -> list[str]:
    pairs, inverse = np.unique(np.stack([high, low], axis=1), axis=0, return_inverse=True)
    texts = [address_text(int(a), int(b)) for a, b in pairs]
    return [texts[number] for number in inverse.ravel().tolist()]
