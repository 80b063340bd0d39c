"""Short makers of records with defaults: a test says only what it is about."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from ccp_assess.traffic.flows import Flow
from ccp_assess.traffic.streams import SECOND_ROW, RtpStream
from ccp_assess.wire import quic, stun
from ccp_assess.wire.datagram import STUN_ROW, Datagram

START_NS = 1_800_000_000_000_000_000
AGENT, RELAY, PEER = "10.0.0.5", "15.193.5.9", "203.0.113.5:4000"


def seconds(value: float) -> int:
    """Instant that many seconds after the start of every test capture [ns]."""
    return START_NS + round(value * 1e9)


def make_flow(**changes: Any) -> Flow:
    """Make a flow from the agent to a TURN server over UDP."""
    values: dict[str, Any] = {
        "a": AGENT, "a_port": 50000, "b": RELAY, "b_port": 3478, "transport": "udp",
        "packets_ab": 10, "packets_ba": 10, "bytes_ab": 1000, "bytes_ba": 1000,
        "payload_bytes_ab": 720, "payload_bytes_ba": 720, "first_ns": seconds(0), "last_ns": seconds(60),
        "last_ab_ns": seconds(60), "last_ba_ns": seconds(60), "ttl_ab_min": 64, "ttl_ab_max": 64,
        "ttl_ba_min": 57, "ttl_ba_max": 57, "syn_ns": None, "synack_ns": None, "syns": 0, "synacks": 0,
        "retransmissions_ab": 0, "retransmissions_ba": 0, "zero_windows_ab": 0, "zero_windows_ba": 0,
        "resets": 0, "fins": 0, "relay_side": "b", "is_turn": True,
        "reset_ab_ns": None, "reset_ba_ns": None, "fin_ab_ns": None, "fin_ba_ns": None, "reset_ab_ttl": None,
        "reset_ba_ttl": None,
        "payload_packets_ab": 10, "payload_packets_ba": 10, "media_packets_ab": 0, "media_packets_ba": 0,
        "rtcp_packets_ab": 0, "rtcp_packets_ba": 0,
    }  # fmt: skip
    known = set(Flow.__dataclass_fields__)
    return Flow(**{name: value for name, value in (values | changes).items() if name in known})


def make_stream(*, first: float, last: float, out: bool, ssrc: int, **changes: Any) -> RtpStream:
    """Make a relayed Opus stream of one direction, `first` and `last` in seconds after the start."""
    packets = round((last - first) * 50) + 1
    ends = {"src": AGENT, "src_port": 50000, "dst": RELAY, "dst_port": 3478}
    if not out:
        ends = {"src": RELAY, "src_port": 3478, "dst": AGENT, "dst_port": 50000}
    values: dict[str, Any] = {
        **ends, "ssrc": ssrc, "payload_type": 111, "payload_types": {111: packets},
        "direction": "out" if out else "in", "relay": "channel_data", "channel_number": 0x4000, "peer": PEER,
        "relay_transport": "udp", "transport": "udp", "clock_rate_hz": 48000, "clock_rate_basis": "opus",
        "packets": packets, "expected": packets, "lost": 0, "loss_pct": 0.0, "duplicates": 0, "reordered": 0,
        "jitter_ms": 0.2, "jitter_mean_ms": 0.2, "jitter_max_ms": 0.5, "ipdv_mean_ms": 0.2, "longest_gap_ms": 21.0,
        "longest_gap_ns": seconds(first), "burst_ratio": None, "loss_bursts": 0, "longest_loss_burst": 0,
        "gilbert_p": None, "gilbert_r": None, "stalls": 0, "late_pct": 0.0, "playout_ms": 40.0,
        "packetization_ms": 20.0, "clock_skew_ppm": None, "audio_level_mean_dbov": None,
        "audio_level_silent_pct": None, "payload_bytes": packets * 80, "rtcp_packets": 0, "telephone_events": 0,
        "segments": 1, "is_retransmission": False, "first_ns": seconds(first), "last_ns": seconds(last), "flow": 0,
        "outbound_of_key": out, "seconds": make_seconds(first, last),
    }  # fmt: skip
    known = set(RtpStream.__dataclass_fields__)
    return RtpStream(**{name: value for name, value in (values | changes).items() if name in known})


def make_seconds(first: float, last: float, **changes: Any) -> np.ndarray:
    """Make full seconds of 50 packets; `changes` maps a column to a value for all rows."""
    rows = np.zeros(max(int(last) - int(first), 1), SECOND_ROW)
    rows["time_ns"] = seconds(int(first)) + np.arange(len(rows)) * 1_000_000_000
    rows["packets"], rows["longest_gap_ms"], rows["bytes"] = 50, 21.0, 5000
    rows["audio_level"] = np.nan
    for name, value in changes.items():
        rows[name] = value
    return rows


def stun_row(time: float, message_type: int, transaction: int, **changes: Any) -> tuple[Any, ...]:
    """Make one row of a STUN message; `outbound_of_key` is true unless said otherwise."""
    values: dict[str, Any] = {
        "time_ns": seconds(time), "frame": round(time * 1e6), "transaction_high": 1, "transaction_low": transaction,
        "flow": 0, "peer": -1, "channel": 0, "message_type": message_type, "length": 100, "error_code": 0,
        "outbound_of_key": True, "over_tcp": False,
    }  # fmt: skip
    values |= changes
    return tuple(values[name] for name in STUN_ROW.names or ())


def stun_rows(*rows: tuple[Any, ...]) -> np.ndarray:
    """Make the table of STUN messages."""
    return np.array(list(rows), STUN_ROW)


def pair(time: float, method: int, transaction: int, rtt_ms: float | None, **changes: Any) -> list[tuple[Any, ...]]:
    """Make a request and, unless `rtt_ms` is None, its response (an error if `error_code` is given)."""
    error_code = changes.pop("error_code", 0)
    rows = [stun_row(time, stun.message_type(method, 0), transaction, **changes)]
    if rtt_ms is not None:
        answer = stun.message_type(method, 3 if error_code else 2)
        back = changes | {"outbound_of_key": not changes.get("outbound_of_key", True), "error_code": error_code}
        rows.append(stun_row(time + rtt_ms / 1000, answer, transaction, **back))
    return rows


def make_datagram(time: float, payload: bytes, **changes: Any) -> Datagram:
    """Make a rare packet from `flow.a` to `flow.b`."""
    values: dict[str, Any] = {
        "time_ns": seconds(time), "flow": 0, "outbound_of_key": True, "payload": payload, "length": len(payload),
        "ttl": 64, "frame": round(time * 1e6),
    }  # fmt: skip
    return Datagram(**(values | changes))


def client_hello(name: str | None = "example.com", *, alpn: tuple[str, ...] = (), version: int = 0x0303) -> bytes:
    """Make the handshake message of a TLS ClientHello."""
    extensions = b""
    if name is not None:
        host = name.encode()
        entry = b"\x00" + struct.pack("!H", len(host)) + host
        extensions += struct.pack("!HHH", 0, len(entry) + 2, len(entry)) + entry
    if alpn:
        listed = b"".join(bytes([len(p)]) + p.encode() for p in alpn)
        extensions += struct.pack("!HHH", 16, len(listed) + 2, len(listed)) + listed
    body = struct.pack("!H", version) + bytes(range(32)) + b"\x00" + b"\x00\x04\x13\x01\x13\x02" + b"\x01\x00"
    body += struct.pack("!H", len(extensions)) + extensions
    return b"\x01" + len(body).to_bytes(3, "big") + body


def tls_record(fragment: bytes, content_type: int = 22, version: int = 0x0303) -> bytes:
    """Wrap a fragment in one TLS record."""
    return struct.pack("!BHH", content_type, version, len(fragment)) + fragment


def quic_initial(crypto: bytes, *, key_id: bytes = bytes(range(8)), version: int = 1, number: int = 0) -> bytes:
    """Protect one client Initial of 1,200 bytes."""
    frames = b"\x06\x00" + struct.pack("!H", 0x4000 | len(crypto)) + crypto
    first = 0xD3 if version == quic.VERSION_2 else 0xC3  # packet numbers of four bytes
    head = bytes([first]) + version.to_bytes(4, "big") + bytes([len(key_id)]) + key_id + b"\x00\x00"
    payload = frames + bytes(1200 - len(head) - 2 - 4 - 16 - len(frames))
    head += struct.pack("!H", 0x4000 | (4 + len(payload) + 16))
    salt = quic._salt(version)
    assert salt is not None
    secret = quic._expand_label(quic.hmac.new(salt, key_id, "sha256").digest(), "client in", 32)
    prefix = "quicv2" if version == quic.VERSION_2 else "quic"
    key, iv, hp = (quic._expand_label(secret, f"{prefix} {n}", s) for n, s in (("key", 16), ("iv", 12), ("hp", 16)))
    nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
    plain = number.to_bytes(4, "big")
    sealed = AESGCM(key).encrypt(nonce, payload, head + plain)
    mask = Cipher(AES(hp), ECB()).encryptor().update(sealed[:16])  # noqa: S305
    head = bytes([head[0] ^ mask[0] & 0x0F]) + head[1:]
    return head + bytes(a ^ b for a, b in zip(plain, mask[1:5], strict=True)) + sealed
