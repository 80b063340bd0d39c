"""What a file is that is no capture we read, in words."""

from __future__ import annotations

_OTHER_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"snoop\0\0\0", "a snoop capture (Solaris)"),
    (b"iptrace 1.0", "an iptrace capture (AIX)"),
    (b"iptrace 2.0", "an iptrace capture (AIX)"),
    (b"btsnoop\0", "a Bluetooth btsnoop capture"),
    (b"XCP\0", "a NetXray or Windows Sniffer capture"),
    (b"TRSNIFF data", "a DOS Sniffer capture"),
    (b"RTSS", "a Network Monitor capture"),
    (b"GMBU", "a Network Monitor capture"),
    (b"ObserverPktBuffe", "an Observer capture"),
    (b"\x05VNF", "a Visual Networks capture"),
    (b"\x7fver", "an EtherPeek capture"),
    (b"\x13\x00\x00\x00\x00\x01ETL", "an event trace (ETL)"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"MDMP", "a Windows memory dump"),
    (b"\x89PNG", "a PNG picture"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3\0", "a database"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
    (b"PAR1", "a Parquet file"),
)

_TEXT_BYTES = frozenset(range(32, 127)) | {7, 8, 9, 10, 11, 12, 13, 27}


def describe_other(head: bytes) -> str:
    """Say in words what a file holds that is not pcap or pcapng.

    Parameters
    ----------
    head
        Its first bytes.

    Returns
    -------
    words
        Such as ``a snoop capture (Solaris)``.
    """
    if not head:
        return "empty (0 bytes)"
    for magic, words in _OTHER_KINDS:
        if head.startswith(magic):
            return words
    if _looks_like_erf(head):
        return "an ERF capture (Endace)"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "a text file (UTF-16)"
    sample = head[:4096]
    if sample.startswith(b"\xef\xbb\xbf"):
        sample = sample[3:]
    if all(byte in _TEXT_BYTES or byte > 127 for byte in sample) and _is_utf8(sample):
        return "a text file"
    return f"no capture that is known (it begins with {head[:8].hex(' ')})"


def _is_utf8(sample: bytes) -> bool:
    """Tell UTF-8, of which the last character may be cut."""
    for cut in range(4):
        try:
            sample[: len(sample) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return True
    return False


def _looks_like_erf(head: bytes) -> bool:
    """Follow ERF record headers: little-endian time, type, length; the format has no magic number."""
    at, records, before = 0, 0, 0
    while at + 16 <= len(head) and records < 8:
        seconds = int.from_bytes(head[at + 4 : at + 8], "little")
        kind = head[at + 8] & 0x7F
        length = int.from_bytes(head[at + 10 : at + 12], "big")
        if (
            not 1 <= kind <= 48
            or length < 16
            or not 600_000_000 < seconds < 4_000_000_000
            or abs(seconds - before) > (1 << 32 if records == 0 else 100_000)
        ):
            return False
        before = seconds
        at += length
        records += 1
    return records >= 3 or (records >= 1 and at == len(head))
