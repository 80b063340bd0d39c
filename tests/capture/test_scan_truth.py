"""Streams against independent truth: the lab's, tshark's, and a plain reading of the same packets."""

import json
import struct
from collections import defaultdict
from pathlib import Path

import pytest
from captures_by_hand import read_plainly

from ccp_assess.capture.scan import scan
from ccp_assess.errors import CaptureError

SHARED = Path(__file__).resolve().parents[3] / "shared"
LAB = SHARED / "captures" / "lab"
SUMMARIES = sorted((LAB / "truth").glob("*.summary.json")) if LAB.is_dir() else []
ROWS = (
    [json.loads(line) for line in (SHARED / "captures" / "truth.jsonl").read_text().splitlines()]
    if (SHARED / "captures" / "truth.jsonl").exists()
    else []
)

pytestmark = pytest.mark.shared


def lab_capture(name: str) -> Path:
    plain = LAB / "pcap" / f"{name}.pcap"
    return plain if plain.exists() else plain.with_name(f"{name}.pcap.gz")


@pytest.mark.parametrize("summary", SUMMARIES, ids=lambda path: path.name.split(".")[0])
def test_counts_are_identical_to_the_labs_summary(summary):
    truth = json.loads(summary.read_text())["capture"].get("streams", [])
    result = scan(lab_capture(summary.name.removesuffix(".summary.json")), workers=1)
    found = {
        (stream.direction, f"{stream.ssrc:08x}"): (
            stream.packets,
            stream.expected,
            stream.lost,
            stream.duplicates,
            stream.reordered,
        )
        for stream in result.streams
    }
    expected = {
        ({"up": "out", "down": "in"}[row["dir"]], row["ssrc"]): (
            row["packets"],
            row["expected"],
            row["lost"],
            row["dup"],
            row["reordered"],
        )
        for row in truth
        if row["packets"] >= 10
    }
    assert found == expected


def media_of(path: Path) -> dict[tuple[bytes, int, int], list[tuple[int, int, int, int]]]:
    """Read RTP in ChannelData and indications over UDP out of an Ethernet capture with nothing but struct."""
    data = path.read_bytes()
    found: dict[tuple[bytes, int, int], list[tuple[int, int, int, int]]] = defaultdict(list)
    at = 24
    while at + 16 <= len(data):
        seconds, fraction, captured, _ = struct.unpack_from("<4I", data, at)
        frame = data[at + 16 : at + 16 + captured]
        at += 16 + captured
        kind = frame[12:14]
        if kind == b"\x08\x00" and frame[23] == 17:
            src, transport = frame[26:30], frame[14 + (frame[14] & 15) * 4 :]
        elif kind == b"\x86\xdd" and frame[20] == 17:
            src, transport = frame[22:38], frame[54:]
        else:
            continue
        payload = transport[8:]
        if len(payload) > 4 and payload[0] >> 4 == 4:
            inner = payload[4 : 4 + struct.unpack(">H", payload[2:4])[0]]
        elif payload[:2] in (b"\0\x16", b"\0\x17"):
            inner, here = b"", 20
            while here + 4 <= len(payload):
                code, size = struct.unpack_from(">HH", payload, here)
                if code == 0x13:
                    inner = payload[here + 4 : here + 4 + size]
                here += 4 + (size + 3) // 4 * 4
        else:
            continue
        if len(inner) >= 12 and inner[0] >> 6 == 2 and not 192 <= inner[1] <= 223:
            sequence, timestamp, ssrc = struct.unpack(">HII", inner[2:12])
            key = (src, struct.unpack(">H", transport[:2])[0], ssrc)
            found[key].append((seconds * 10**9 + fraction * 1000, sequence, timestamp, inner[1] & 127))
    return found


@pytest.mark.parametrize(
    "name",
    ["clean", "dup3", "reorder3", "hold_stop", "dtmf", "jitter30_down", "ipv6", "outage5", "opus_ptime60", "midcall"],
)
def test_jitter_is_that_of_a_plain_reading_of_the_same_packets(name):
    path = lab_capture(name)
    plain = media_of(path)
    result = scan(path, workers=1)
    assert len(result.streams) == len([rows for rows in plain.values() if len(rows) >= 10]) > 0
    by_ssrc = {key[2]: rows for key, rows in plain.items()}
    for stream in result.streams:
        reading = read_plainly(by_ssrc[stream.ssrc], 48_000)
        assert stream.clock_rate_hz == 48_000
        assert (stream.packets, stream.expected, stream.lost) == (reading.packets, reading.expected, reading.lost)
        assert (stream.duplicates, stream.reordered) == (reading.duplicates, reading.reordered)
        assert stream.jitter_ms == pytest.approx(reading.jitter_ms, abs=0.001)
        assert stream.jitter_mean_ms == pytest.approx(reading.jitter_mean_ms, abs=0.001)
        assert stream.jitter_max_ms == pytest.approx(reading.jitter_max_ms, abs=0.001)
        assert sum(stream.seconds["packets"].tolist()) == reading.packets
        assert sum(stream.seconds["lost"].tolist()) == reading.lost


DERIVED = {
    "dtmf-nsec.pcap": "dtmf",
    "hold_stop.pcap.gz": "hold_stop",
    "loss3_down.pcapng": "loss3_down",
    "loss_window-snap60.pcapng": "loss_window",
}


@pytest.mark.parametrize("name", DERIVED)
def test_other_forms_of_a_capture_give_the_same_streams(name):
    def of(path):
        return [
            (stream.ssrc, stream.packets, stream.expected, stream.lost, round(stream.jitter_ms, 3))
            for stream in scan(path, workers=1).streams
        ]

    assert of(LAB / "derived" / name) == of(lab_capture(DERIVED[name]))


def test_two_captures_merged_into_one_give_the_streams_of_both():
    result = scan(LAB / "derived" / "ipv6+fail_udp_drop.pcapng", workers=1)
    alone = scan(lab_capture("ipv6"), workers=1)
    assert [stream.ssrc for stream in result.streams] == [stream.ssrc for stream in alone.streams]
    assert [stream.packets for stream in result.streams] == [stream.packets for stream in alone.streams]


def test_a_capture_cut_off_is_read_as_far_as_it_goes():
    result = scan(LAB / "derived" / "ext_none-cutoff.pcap", workers=1)
    assert "ends in the middle of a record" in result.captures[0].ended_early
    assert [stream.lost for stream in result.streams] == [0, 0]


def test_mute_without_dtx_shows_in_the_clear_audio_level():
    streams = {stream.direction: stream for stream in scan(lab_capture("mute_nodtx"), workers=1).streams}
    assert streams["in"].audio_level_silent_pct < 5
    assert 30 < streams["out"].audio_level_silent_pct < 42  # muted 10 of 28 s
    levels = streams["out"].seconds["audio_level"]
    assert (levels[12:19] == 127).all()
    assert (levels[2:9] < 100).all()


def test_a_sender_that_is_starved_stalls_without_loss():
    streams = {stream.direction: stream for stream in scan(lab_capture("agent_stall"), workers=1).streams}
    assert streams["out"].lost == 0
    assert streams["out"].stalls >= 4
    assert streams["out"].longest_gap_ms >= 380


REFUSED = {"123.snoop": "snoop", "dualhome.iptrace": "iptrace", "bigendian.ntar": "NTAR", "tcpshake.cap": "Sniffer",
           "toshiba.general.gz": "text", "packetout.pcap": "text", "pcap-invalid-version-1": "version 1.4",
           "pcapng-invalid-vers-2": "version 1.1"}  # fmt: skip
"""Files that are no capture we read; the sentence must name what they are."""

T38 = "FAX-Call-t38"
"""tshark follows the re-INVITE and takes half of one stream of this call for T.38; its packets go on as G.711."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"].split("/", 1)[1])
def test_frames_and_streams_are_those_that_tshark_sees(row):
    path = SHARED / row["file"]
    refused = [words for name, words in REFUSED.items() if row["file"].endswith(name) or name in row["file"]]
    if refused:
        with pytest.raises(CaptureError, match=refused[0]):
            scan(path, workers=1)
        return
    result = scan(path, workers=1)
    counted = (row.get("capinfos") or {}).get("Number of packets")
    frames = int(counted) if counted is not None else row["frames_read"]  # frames_read has custom blocks among them
    assert result.captures[0].packets == frames
    if row.get("tshark_err") or row.get("capinfos_err"):
        assert result.captures[0].ended_early
    found = {(s.src, s.src_port, s.dst, s.dst_port, s.ssrc): s for s in result.streams}
    seen = {}
    for stream in row["rtp_streams_heuristic"] + row["rtp_streams_signalled"]:
        seen[(stream["src"], stream["sport"], stream["dst"], stream["dport"], int(stream["ssrc"], 16))] = stream
    for key, stream in seen.items():
        clean = 0 <= stream["lost"] < stream["packets"] and not (T38 in row["file"] and stream["lost"])
        if stream["packets"] >= 50 and clean:
            assert key in found
            assert (found[key].packets, found[key].lost) == (stream["packets"], stream["lost"])
    if not seen:  # H.264 whose clock nobody announces is RTP to its dissector but to no table of streams
        assert not found or "testing.ext" in row["file"]
