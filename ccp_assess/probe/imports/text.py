"""What all importers share about text: how it becomes lines, and the shapes of numbers, addresses and names in it.

Windows tools write in the console's code page and in the user's language. Everything that matters in their output
(digits, addresses, brackets, stars) is ASCII in each of these code pages, so words are never looked at: whatever cannot
be decoded for sure is decoded by a table that has no control characters, and the numbers are found by their shape.
"""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass

from ccp_assess.errors import ParseError

MAX_BYTES = 16 * 1024 * 1024
"""Largest file that is read; real output of these tools is thousands of times smaller."""
MAX_LINES = 50_000
"""About what ping prints in half a day; longer texts are refused."""
MAX_LINE_CHARS = 600
"""What stands behind this in a line is cut: no tool writes longer lines, but hostile text may."""
MAX_NAME_CHARS = 255  # RFC 1035, section 2.3.4
MAX_MS = 3_600_000.0
"""An answer that takes longer than an hour is no measurement."""

_BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])")
_QUOTED = re.compile(r"^(?:>\s?){1,8}")  # as in an answered mail
_LINE_END = re.compile(r"\r\n|\r|\n")
_IPV4 = re.compile(r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w]|\.[0-9])", re.ASCII)
_IPV6 = re.compile(
    r"(?<![0-9A-Za-z:.])(?=[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:)[0-9A-Fa-f:.]{2,45}(?:%[\w.-]{1,32})?", re.ASCII
)
_BRACKETS = re.compile(r"[\[(]([^\[\]()]{2,600})[\])]")
_NUMBER = re.compile(r"[0-9]{1,9}(?:[.,][0-9]{1,9})?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a text.

    Parameters
    ----------
    number
        Counted from 1.
    text
        Without its end, without terminal control sequences.
    """

    number: int
    text: str


def text_from_bytes(data: bytes) -> str:
    """Decode what a tool wrote, in whatever encoding its console had.

    Parameters
    ----------
    data
        The whole file.

    Returns
    -------
    text
        Exact for UTF-8, UTF-16 and UTF-32; in code pages all ASCII is exact and the rest merely printable.

    Raises
    ------
    ParseError
        If it is larger than any such output, or no text.

    Examples
    --------
    >>> text_from_bytes("1 ms".encode("utf-16"))
    '1 ms'
    """
    if len(data) > MAX_BYTES:
        raise ParseError(
            f"this is {len(data)} bytes long, more than the {MAX_BYTES} that are read; give one output a file"
        )
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data.decode(encoding, errors="replace")
    wide = _utf16_without_bom(data)
    if wide:
        return data.decode(wide, errors="replace")
    if b"\x1b$B" in data[:65_536] or b"\x1b$@" in data[:65_536]:
        return data.decode("iso2022_jp", errors="replace")  # as in Japanese mail; its words are made of ASCII bytes
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp437")  # every byte has a printable character: no false line ends or spaces


def _utf16_without_bom(data: bytes) -> str | None:
    sample = data[:4096]
    half = len(sample) // 2
    if half < 8:
        return None
    even, odd = sample[0::2].count(0), sample[1::2].count(0)  # blanks and digits have one zero byte each
    if odd > 0.15 * half and even < 0.1 * odd:
        return "utf-16-le"
    if even > 0.15 * half and odd < 0.1 * even:
        return "utf-16-be"
    return None


def lines_from_text(text: str) -> tuple[Line, ...]:
    """Split a text into lines and take out what only steers a terminal.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    lines
        Of at most ``MAX_LINE_CHARS`` characters each.

    Raises
    ------
    ParseError
        If there are more than ``MAX_LINES``.
    """
    parts = _LINE_END.split(text.removeprefix("\ufeff"), maxsplit=MAX_LINES)
    if len(parts) > MAX_LINES:
        raise ParseError(
            f"line {MAX_LINES + 1}: texts of more than {MAX_LINES} lines are not read; give one run a file"
        )
    return tuple(
        Line(number=number, text=_QUOTED.sub("", _ANSI.sub("", part[:MAX_LINE_CHARS]).replace("\x00", "")))
        for number, part in enumerate(parts, start=1)
    )


def address_or_none(text: str) -> str | None:
    """Read an IP address, written as RFC 5952 wants it.

    Parameters
    ----------
    text
        What may be an address, also in brackets.

    Returns
    -------
    address
        ``None`` if it is none.

    Examples
    --------
    >>> address_or_none("2001:0db8:0000:f101::1")
    '2001:db8:0:f101::1'
    """
    bare = text.strip().strip("[]()")
    if len(bare) > 80:
        return None
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return None


def addresses_in(text: str) -> list[str]:
    """Find the IP addresses in a line, in order.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    addresses
        Each written as RFC 5952 wants it.
    """
    found = [(match.start(), match.group()) for match in _IPV4.finditer(text)]
    found += [
        (match.start(), match.group().rstrip(".:") if "::" not in match.group()[-2:] else match.group())
        for match in _IPV6.finditer(text)
    ]
    readable = ((start, address_or_none(written)) for start, written in sorted(found))
    return [address for _, address in readable if address is not None]


def without_addresses(text: str) -> str:
    """Blank the IP addresses in a line, so that the numbers that remain are counts.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    text
        The same with a blank for every address.
    """
    return _IPV6.sub(" ", _IPV4.sub(" ", text))


def bracketed_address(text: str) -> tuple[str | None, str] | None:
    """Find the last ``name [address]`` or ``name (address)`` of a line.

    Parameters
    ----------
    text
        Any text; blanks inside the brackets (from wrapped copies) are forgiven.

    Returns
    -------
    found
        Name (``None`` if nothing stands before the bracket) and address; ``None`` if there is no such pair.
    """
    for match in reversed(list(_BRACKETS.finditer(text))):
        address = address_or_none(re.sub(r"\s+", "", match.group(1)))
        if address is not None:
            before = text[max(match.start() - MAX_NAME_CHARS - 1, 0) : match.start()]
            words = before.removesuffix(" ").rpartition(" ")[2]
            return clean_name(re.split(r"[\s\[\]()]", words)[-1]), address
    return None


def clean_name(text: str | None) -> str | None:
    """Make a name from a text printable and of bounded length.

    Parameters
    ----------
    text
        What a tool wrote as a name.

    Returns
    -------
    name
        ``None`` if nothing is left.
    """
    if text is None:
        return None
    printable = "".join(c if c.isprintable() else "?" for c in text.strip()[:MAX_NAME_CHARS])
    return printable or None


def milliseconds(text: object) -> float | None:
    """Read a duration as tools write it: digits with a point or a comma, or a JSON number.

    Parameters
    ----------
    text
        A number or its text; a leading ``<`` (Windows' "less than one", whole milliseconds cut) reads as 0.

    Returns
    -------
    duration_ms
        ``None`` if it is no plausible duration [ms].

    Examples
    --------
    >>> milliseconds("12,5"), milliseconds("<1"), milliseconds("-3")
    (12.5, 0.0, None)
    """
    if isinstance(text, bool) or text is None:
        return None
    if isinstance(text, int | float):
        value = float(text) if abs(text) <= MAX_MS else math.inf
    else:
        written = str(text).strip()
        if written.startswith("<") and _NUMBER.match(written[1:].strip()):
            return 0.0
        if not _NUMBER.match(written):
            return None
        value = float(written.replace(",", "."))
    return value if math.isfinite(value) and 0.0 <= value <= MAX_MS else None


def count(text: object) -> int | None:
    """Read a count as tools write it.

    Parameters
    ----------
    text
        A number or its text.

    Returns
    -------
    count
        ``None`` if it is no plausible count.
    """
    if isinstance(text, bool) or text is None:
        return None
    if isinstance(text, int):
        return text if 0 <= text <= 10**9 else None
    if isinstance(text, float):
        return int(text) if math.isfinite(text) and text == int(text) and 0 <= text <= 10**9 else None
    written = str(text).strip()
    return int(written) if re.fullmatch(r"[0-9]{1,9}", written) else None


def asn_or_none(text: object) -> int | None:
    """Read an AS number as tools write it: ``AS15169``, ``15169``; unknown ones are ``AS???``, ``AS0`` or ``*``.

    Parameters
    ----------
    text
        What the tool wrote.

    Returns
    -------
    asn
        ``None`` if it is unknown.

    Examples
    --------
    >>> asn_or_none("[AS15169]"), asn_or_none("AS???"), asn_or_none("[AS0]")
    (15169, None, None)
    """
    match = re.search(r"(?<![0-9])([0-9]{1,10})(?![0-9])", str(text)[:64])
    number = int(match.group(1)) if match else 0
    return number if 0 < number < 2**32 else None
