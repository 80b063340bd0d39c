"""A capture made fit to leave the client: scrubbed, and still measured as before.

Two readings: the first is that of every capture and finds the conversations, the beginnings of their TCP connections
and their QUIC names; the second writes the file anew, frame by frame and in bounded memory. Whatever is not known to be
harmless becomes zero; nothing changes its length.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from ccp_assess.capture.files import Source, open_source
from ccp_assess.capture.records import Scan
from ccp_assess.capture.regions import BLOCK_BYTES, CaptureRegions
from ccp_assess.capture.scan import scan
from ccp_assess.capture.scrubbing.containers import PcapngRegions, PcapRegions, is_marked, scrub_pcap_header
from ccp_assess.capture.scrubbing.held import Queue
from ccp_assess.capture.scrubbing.keys import read_key
from ccp_assess.capture.scrubbing.mapping import Mapping, mark_of
from ccp_assess.capture.scrubbing.packets import Ends, KnownFlows, PacketScrubber
from ccp_assess.capture.scrubbing.quics import make_payloads
from ccp_assess.capture.scrubbing.streams import make_images
from ccp_assess.capture.stages import COOKED_AND_ANY
from ccp_assess.errors import CaptureError
from ccp_assess.files import whole_file
from ccp_assess.ranges import IpRanges, read_ranges
from ccp_assess.wire import dtls

_PROTOCOLS = {"tcp": 6, "udp": 17}

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrubResult:
    """What was written.

    Parameters
    ----------
    path
        The scrubbed capture.
    key
        The key file.
    packets
        Frames in it (count).
    bytes
        Its size before compression [bytes].
    already_mapped
        Whether the input had been scrubbed with this key: then names and addresses stayed.
    ranges
        Day of the published ranges whose addresses stayed.
    ended_early
        Why reading stopped before the end of the input; ``None`` if it did not.
    """

    path: str
    key: str
    packets: int
    bytes: int
    already_mapped: bool
    ranges: str
    ended_early: str | None

    def to_document(self) -> dict[str, Any]:
        """Return it as a JSON document.

        Returns
        -------
        document
            With the names of the fields.
        """
        return asdict(self)


def scrub_capture(
    source: str | Path,
    target: str | Path,
    *,
    key: str | Path,
    ranges: IpRanges | None = None,
    progress: Progress | None = None,
) -> ScrubResult:
    """Write a scrubbed copy of a capture.

    Parameters
    ----------
    source
        A file of pcap or pcapng, also compressed.
    target
        Where the copy shall stand, in the same format; it is compressed if its name ends in ``.gz``, ``.zst`` or
        ``.lz4``. It appears whole or not at all, and only its owner can read it.
    key
        File of the key; it is made if it is not there.
    ranges
        Published ranges, whose addresses stay; ``None`` for the shipped snapshot.
    progress
        Called while bytes are read.

    Returns
    -------
    result
        What was written.

    Raises
    ------
    CaptureError
        If the source is no capture, or source, target and key are not three files.
    """
    _check_places(Path(source), Path(target), Path(key))
    first = scan([str(source)], progress=_told(progress, "reading"))
    secret = read_key(key)
    published = ranges or read_ranges()
    is_done = is_marked(str(source), mark_of(secret))
    mapping = Mapping(secret, published, is_done=is_done)
    known = know_flows(first, mapping)
    rewriting = _Rewriting(str(source), PacketScrubber(mapping, known), mapping)
    written = 0
    with whole_file(Path(target), mode=0o600) as file, _packed(file, Path(target)) as stream:
        report = _told(progress, "scrubbing")
        for piece in rewriting.pieces():
            stream.write(piece)
            written += len(piece)
            if report is not None:
                report(rewriting.source.done_bytes, rewriting.source.size)
    return ScrubResult(
        path=str(target),
        key=str(key),
        packets=rewriting.packets,
        bytes=written,
        already_mapped=is_done,
        ranges=published.retrieved,
        ended_early=rewriting.ended_early,
    )


def _check_places(source: Path, target: Path, key: Path) -> None:
    if str(source) == "-":
        raise CaptureError("scrubbing reads a capture twice; save standard input to a file and name that")
    if target.is_dir():
        raise CaptureError(f"{target} is a folder; name the file to write")
    real = [path.resolve() for path in (source, target, key)]
    if real[0] == real[1] or (target.exists() and source.exists() and target.samefile(source)):
        raise CaptureError(f"{target}: the scrubbed copy must not overwrite its original; name another file")
    if real[2] in real[:2]:
        raise CaptureError(f"{key}: the key must be a file of its own; name another one")


def _told(progress: Progress | None, what: str) -> Callable[[int, int | None], None] | None:
    return None if progress is None else lambda done, total: progress(what, done, total or 0)


def know_flows(first: Scan, mapping: Mapping) -> KnownFlows:
    """Tell from a first reading what the second needs to know.

    Parameters
    ----------
    first
        What the reader found.
    mapping
        Of the client's key.

    Returns
    -------
    known
        Conversations of interest, mapped beginnings of connections, mapped QUIC Initials.
    """
    flows = first.flows
    images = make_images(flows, first.datagrams, mapping)
    dtls_flows = {
        datagram.flow
        for datagram in first.datagrams
        if datagram.payload and dtls.CHANGE_CIPHER_SPEC <= datagram.payload[0] <= dtls.ACK
        if flows[datagram.flow].transport in _PROTOCOLS
    }
    turn_over_tcp = frozenset(number for number, flow in enumerate(flows) if flow.transport == "tcp" and flow.is_turn)
    numbers: dict[Ends, tuple[int, bool]] = {}
    for number in {flow for flow, _ in images} | dtls_flows | turn_over_tcp:
        flow = flows[number]
        a, b = ip_address(flow.a).packed, ip_address(flow.b).packed
        protocol = _PROTOCOLS[flow.transport]
        numbers[b, flow.b_port, a, flow.a_port, protocol] = (number, False)
        numbers[a, flow.a_port, b, flow.b_port, protocol] = (number, True)
    return KnownFlows(
        numbers=numbers,
        images=images,
        turn_over_tcp=turn_over_tcp,
        dtls=frozenset(dtls_flows),
        payloads=make_payloads(flows, first.datagrams, mapping),
    )


class _Rewriting:
    """The second reading: the file as pieces to write, in order."""

    def __init__(self, path: str, packets: PacketScrubber, mapping: Mapping) -> None:
        self._file = CaptureRegions(path)
        self._scrubber = packets
        self._mapping = mapping
        self._queue = Queue()
        self.packets = 0

    @property
    def ended_early(self) -> str | None:
        """Why reading stopped before the end."""
        return self._file.reader.ended_early

    @property
    def source(self) -> Source:
        """The file that is read."""
        return self._file.source

    def pieces(self) -> Iterator[bytes]:
        """Read, map and give what is ready."""
        reader = self._file.reader
        around: PcapRegions | PcapngRegions
        if reader.format == "pcap":
            yield scrub_pcap_header(self._pcap_header(), self._mapping)
            around = PcapRegions(int(reader.layout[1]))
        else:
            around = PcapngRegions(self._mapping)
        try:
            for region, frames in self._file:
                yield from self._region(region, frames, around)
            yield from self._queue.drain()
            yield from self._rest()
        finally:
            self.source.close()

    def _pcap_header(self) -> bytes:
        """Read the header once more: the reader has taken it in."""
        again = open_source(self.source.path)
        try:
            buffer = bytearray(24)
            again.readinto(memoryview(buffer))
        finally:
            again.close()
        return bytes(buffer)

    def _region(
        self, region: bytes, rows: npt.NDArray[np.void], around: PcapRegions | PcapngRegions
    ) -> Iterator[bytes]:
        offsets, captured = rows["offset"].tolist(), rows["captured"].tolist()
        places = [(start, start + size) for start, size in zip(offsets, captured, strict=True)]
        pieces = around.split(region, places)
        is_pcapng = self._file.reader.format == "pcapng"
        for (start, stop), before, wire_bytes, link_type, time_ns, interface in zip(
            places,
            pieces,
            rows["length"].tolist(),
            self._file.link_types(rows),
            rows["time_ns"].tolist(),
            rows["interface"].tolist(),
            strict=False,
        ):
            seen_on = interface if is_pcapng or link_type in COOKED_AND_ANY else None
            frame = self._scrubber.scrub(region[start:stop], wire_bytes, link_type, time_ns, interface=seen_on)
            frame.before = before
            self.packets += 1
            yield from self._queue.put(frame)
        for after in pieces:  # what follows the last frame goes behind whatever still waits
            yield from self._queue.put_bytes(after)

    def _rest(self) -> Iterator[bytes]:
        """Give as many zeros as the file goes on where reading stopped at damage."""
        buffer = bytearray(BLOCK_BYTES)
        while (got := self.source.readinto(memoryview(buffer))) > 0:
            yield bytes(got)


def _packed(file: BinaryIO, target: Path) -> AbstractContextManager[BinaryIO]:
    """Compress what is written, as the name of the target says."""
    suffix = target.suffix.lower()
    if suffix == ".gz":
        return cast("AbstractContextManager[BinaryIO]", gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0))
    if suffix == ".zst":
        import zstandard  # noqa: PLC0415  (only who writes zstd pays for it)

        return cast("AbstractContextManager[BinaryIO]", zstandard.ZstdCompressor().stream_writer(file, closefd=False))
    if suffix == ".lz4":
        import lz4.frame  # noqa: PLC0415  (the same)

        return cast("AbstractContextManager[BinaryIO]", lz4.frame.open(file, mode="wb"))
    return nullcontext(file)


__all__: Sequence[str] = ("ScrubResult", "scrub_capture")
