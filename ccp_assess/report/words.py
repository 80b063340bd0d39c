"""How numbers, instants and names are written for people: unit always, unknown never as 0, hostile text harmless."""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

UNKNOWN = "unknown"
_THIN_SPACE = "\u202f"
_MINUS = "\u2212"
# Characters that steer the direction of the text around them; a name must not turn a table cell's neighbours.
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def known(value: Any) -> bool:
    """Say whether a value is known: not ``None`` and not NaN.

    Parameters
    ----------
    value
        Anything from a document or a table.

    Returns
    -------
    known
        False for ``None``, NaN and infinities.

    Examples
    --------
    >>> known(0), known(None), known(float("nan"))
    (True, False, False)
    """
    if value is None:
        return False
    return not (isinstance(value, float) and not math.isfinite(value))


def number(value: Any, digits: int = 0) -> str:
    """Write a number with a thin space between thousands, the same in every language.

    Parameters
    ----------
    value
        A number, or ``None`` where it is unknown.
    digits
        Digits after the point.

    Returns
    -------
    text
        The number, or the word ``unknown``.

    Examples
    --------
    >>> number(1234.56, 1) == "1\u202f234.6"
    True
    >>> number(None)
    'unknown'
    """
    if not known(value):
        return UNKNOWN
    text = f"{float(value):,.{digits}f}" if digits or isinstance(value, float) else f"{int(value):,d}"
    if text.lstrip("-0.,") == "":
        text = text.lstrip("-")
    return text.replace(",", _THIN_SPACE).replace("-", _MINUS)


def with_unit(value: Any, unit: str, digits: int = 0) -> str:
    """Write a number with its unit.

    Parameters
    ----------
    value
        A number, or ``None`` where it is unknown.
    unit
        Such as ``ms`` or ``%``.
    digits
        Digits after the point.

    Returns
    -------
    text
        Such as ``38 ms``, or the word ``unknown`` without a unit.

    Examples
    --------
    >>> with_unit(38.2, "ms") == "38\u202fms", with_unit(None, "ms")
    (True, 'unknown')
    """
    if not known(value):
        return UNKNOWN
    return f"{number(float(value), digits)}{_THIN_SPACE}{unit}"


def ms(value: Any, digits: int = 0) -> str:
    """Write a duration in milliseconds.

    Parameters
    ----------
    value
        Duration, or ``None`` where it is unknown [ms].
    digits
        Digits after the point.

    Returns
    -------
    text
        Such as ``38 ms``.
    """
    return with_unit(value, "ms", digits)


def pct(value: Any, digits: int = 0) -> str:
    """Write a percentage; a small share that is not zero never reads as zero.

    Parameters
    ----------
    value
        Share from 0 to 100, or ``None`` where it is unknown [%].
    digits
        Digits after the point.

    Returns
    -------
    text
        Such as ``12 %`` or ``<1 %``.

    Examples
    --------
    >>> pct(0.2) == "<1\u202f%", pct(0) == "0\u202f%", pct(99.9) == ">99\u202f%"
    (True, True, True)
    """
    if not known(value):
        return UNKNOWN
    step = 10.0**-digits
    if 0 < value < step / 2:
        return f"<{with_unit(step, '%', digits)}"
    if 100 - step / 2 <= value < 100:
        return f">{with_unit(100 - step, '%', digits)}"
    return with_unit(value, "%", digits)


def band(low_high: Any, unit: str = "ms", digits: int = 0) -> str:
    """Write a band of two values.

    Parameters
    ----------
    low_high
        Two numbers, or ``None`` where they are unknown.
    unit
        Unit of both.
    digits
        Digits after the point.

    Returns
    -------
    text
        Such as ``112 to 148 ms``.
    """
    if low_high is None or len(low_high) != 2 or not all(known(value) for value in low_high):
        return UNKNOWN
    low, high = low_high
    return f"{number(float(low), digits)} to {with_unit(high, unit, digits)}"


def day(instant: Any) -> str:
    """Write the day of an instant.

    Parameters
    ----------
    instant
        RFC 3339 text, a date, or ``None``.

    Returns
    -------
    text
        Such as ``22 Nov 2026``; the text itself where it is no instant.

    Examples
    --------
    >>> day("2026-11-22T23:06:38.01Z")
    '22 Nov 2026'
    """
    if not known(instant) or instant == "":
        return UNKNOWN
    text = str(instant)
    try:
        moment = datetime.fromisoformat(text[:10])
    except ValueError:
        return clean(text, 40)
    return f"{moment.day} {moment:%b %Y}"


def minute(instant: Any) -> str:
    """Write an instant to the second, in UTC.

    Parameters
    ----------
    instant
        RFC 3339 text in UTC, or ``None``.

    Returns
    -------
    text
        Such as ``22 Nov 2026 23:06:38 UTC``.

    Examples
    --------
    >>> minute("2026-11-22T23:06:38.01Z")
    '22 Nov 2026 23:06:38 UTC'
    """
    if not known(instant) or instant == "":
        return UNKNOWN
    text = str(instant)
    if len(text) < 19 or text[10] not in "T ":
        return day(text)
    return f"{day(text)} {text[11:19]} UTC"


def clean(text: Any, limit: int | None = None) -> str:
    r"""Make text from a client, a capture or the wire harmless for a page or a picture.

    Control characters and those that turn the direction of the surrounding text become visible escapes.

    Parameters
    ----------
    text
        Anything; ``None`` becomes the word ``unknown``.
    limit
        Longest result, cut with an ellipsis (count of characters).

    Returns
    -------
    text
        One line of printable text.

    Examples
    --------
    >>> clean("a\x00b\u202ec")
    'a\\x00b\\u202ec'
    >>> clean("Lisbon headquarters", 8)
    'Lisbon …'
    """
    if text is None:
        return UNKNOWN
    flat = "".join(_visible(character) for character in str(text))
    if limit is not None and len(flat) > limit:
        return flat[: limit - 1] + "…"
    return flat


def _visible(character: str) -> str:
    if character in "\t\n\r":
        return " "
    if character in _BIDI_CONTROLS or unicodedata.category(character) in {"Cc", "Cs", "Cn", "Co"}:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character


def cell_for_spreadsheet(text: Any) -> Any:
    """Keep a text from being run as a formula when a spreadsheet opens the file.

    Parameters
    ----------
    text
        A cell's value.

    Returns
    -------
    value
        Text that starts like a formula gets an apostrophe in front; everything else stays.

    Examples
    --------
    >>> cell_for_spreadsheet("=cmd()"), cell_for_spreadsheet(-3)
    ("'=cmd()", -3)
    """
    if isinstance(text, str) and text[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        return f"'{text}"
    return text


def plain(value: Any) -> str:
    """Write a number without superfluous digits, or any other value as harmless text.

    Parameters
    ----------
    value
        A number, a text or ``None``.

    Returns
    -------
    text
        Such as ``63`` or ``12.5``.

    Examples
    --------
    >>> plain(63.0), plain(12.46), plain(None)
    ('63', '12.5', 'unknown')
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return clean(value)
    if not known(value):
        return UNKNOWN
    return number(float(value), 0 if float(value).is_integer() or abs(value) >= 100 else 1)


def big(value: Any) -> str:
    """Write a count that may be too large for a float, such as the addresses of IPv6.

    Parameters
    ----------
    value
        Digits as text, an integer or ``None``.

    Returns
    -------
    text
        Grouped below a million million, else as a power of two or ten.

    Examples
    --------
    >>> big("0"), big(str(2**80))
    ('0', '1.2·10²⁴')
    """
    if value is None:
        return UNKNOWN
    count = int(value)
    if count < 10**12:
        return number(count)
    power = len(str(count)) - 1
    digits = str(power).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{count / 10**power:.1f}\u00b710{digits}"


def prose(text: Any) -> Markup:
    """Make a sentence ready for the page: escaped, with what stands in backticks as code.

    Parameters
    ----------
    text
        One or more sentences; ``None`` becomes the word ``unknown``.

    Returns
    -------
    html
        Safe to place into HTML.

    Examples
    --------
    >>> prose("give `--instance` <ALIAS>")
    Markup('give <code>--instance</code> &lt;ALIAS&gt;')
    """
    return Markup(re.sub(r"`([^`]{1,120})`", r"<code>\1</code>", str(escape(clean(text)))))  # noqa: S704 - escaped first
