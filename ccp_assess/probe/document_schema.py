"""The declared schema of probe documents, for those that come from anyone: types, ranges, lengths and times.

What becomes a row of a table is declared field by field; whatever else a document holds is bounded. A document that
does not fit is refused as a whole, with the place of what is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from ccp_assess.probe.page import FORMAT as PAGE_FORMAT
from ccp_assess.probe.page import read_verdicts
from ccp_assess.probe.signed import RefusedError, check_nesting
from ccp_assess.terminal import printable

MOST_LEVELS = 24
MOST_DOCUMENTS = 10_000
MOST_REGIONS = 1_000
MOST_ROWS = 10_000
MOST_CHARS = 500_000
LARGEST_NUMBER = 1e18
LONGEST_MS = 3_600_000.0
"""An answer that takes longer than an hour is no measurement [ms]."""

EARLIEST = datetime(2017, 3, 28, tzinfo=UTC)
"""The service was announced on this day; no earlier clock was right.

References
----------
AWS News Blog, 28 March 2017: Amazon Connect is announced.
"""

FUTURE = timedelta(days=1)
"""How far ahead a computer's clock may be."""

Check = Callable[[Any], None]


class _WrongError(Exception):
    """What is wrong, and below which fields."""

    def __init__(self, told: str) -> None:
        self.told = told
        self.place = ""
        super().__init__(told)

    def within(self, name: str) -> _WrongError:
        """Return it with the field around it put before."""
        self.place = name + self.place
        return self


def _text(most: int = 255, *, printable: bool = True) -> Check:
    def check(value: Any) -> None:
        if not isinstance(value, str):
            raise _WrongError("must be text")
        if len(value) > most:
            raise _WrongError(f"must have at most {most} characters")
        if printable and not value.isprintable():
            raise _WrongError("must be printable text")

    return check


def _number(low: float, high: float) -> Check:
    def check(value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:  # NaN is not
            raise _WrongError(f"must be a number from {low:.0f} to {high:.0f}")

    return check


def _whole(low: int, high: int) -> Check:
    def check(value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _WrongError(f"must be a whole number from {low} to {high}")

    return check


def _flag(value: Any) -> None:
    if not isinstance(value, bool):
        raise _WrongError("must be true or false")


def _one_of(*words: str) -> Check:
    def check(value: Any) -> None:
        if value not in words:
            raise _WrongError(f"must be one of {', '.join(words)}")

    return check


def _pattern(form: str, told: str) -> Check:
    compiled = re.compile(form, re.ASCII)

    def check(value: Any) -> None:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise _WrongError(f"must be {told}")

    return check


def _maybe(check: Check) -> Check:
    def checked(value: Any) -> None:
        if value is not None:
            check(value)

    return checked


def _rows(check: Check, most: int = MOST_ROWS) -> Check:
    def checked(value: Any) -> None:
        if not isinstance(value, list):
            raise _WrongError("must be a list")
        if len(value) > most:
            raise _WrongError(f"must have at most {most} entries")
        for number, one in enumerate(value):
            try:
                check(one)
            except _WrongError as error:
                raise error.within(f"[{number}]") from None

    return checked


def _record(fields: Mapping[str, Check], *, needed: tuple[str, ...] = (), others: Check | None = None) -> Check:
    """Check an object: declared fields by their own check, others by their bounds."""

    def checked(value: Any) -> None:
        if not isinstance(value, dict):
            raise _WrongError("must be an object")
        for name in needed:
            if name not in value:
                raise _WrongError(f"must have {name}")
        for name, one in value.items():
            try:
                fields.get(name, others or _bounded)(one)
            except _WrongError as error:
                raise error.within(f".{printable(name[:60])}") from None

    return checked


def _bounded(value: Any, levels: int = MOST_LEVELS) -> None:
    if isinstance(value, str):
        if len(value) > MOST_CHARS:
            raise _WrongError(f"must have at most {MOST_CHARS} characters")
    elif isinstance(value, int | float):
        if not abs(value) < LARGEST_NUMBER:  # neither is NaN
            raise _WrongError(f"must be a number below {LARGEST_NUMBER:.0e}")
    elif isinstance(value, list | dict):
        if not levels:
            raise _WrongError(f"must not be nested deeper than {MOST_LEVELS} levels")
        inside = partial(_bounded, levels=levels - 1)
        if isinstance(value, list):
            _rows(inside)(value)
            return
        if len(value) > MOST_ROWS:
            raise _WrongError(f"must have at most {MOST_ROWS} fields")
        _record({}, others=inside)(value)


_MS = _maybe(_number(0.0, LONGEST_MS))
_TIMES = _rows(_MS, 100_000)  # a day of ping
_COUNT = _maybe(_whole(0, 2**53))
_NAME = _maybe(_text())
_WIRE = _maybe(_text(printable=False))
"""Names from the wire, which may hold anything."""
_ID = _maybe(_pattern(r"[0-9a-f]{32}", "32 hexadecimal digits"))
_TIME = _pattern(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})",
    "a time with its zone (RFC 3339), such as 2026-11-23T09:05:00Z",
)
_PORT = _maybe(_whole(0, 65_535))
_PERCENT = _maybe(_number(0.0, 100.0))

_RELAY = _record(
    {
        "host": _WIRE,
        "address": _WIRE,
        "port": _PORT,
        "transport": _NAME,
        "binding_rtt_ms": _TIMES,
        "allocate": _NAME,
        "mapped_address": _WIRE,
    }
)
_TRAIN = _record(
    {
        "sent": _COUNT,
        "received": _COUNT,
        "loss_pct": _PERCENT,
        "loss_ci95_pct": _rows(_PERCENT, 2),
        "jitter_ms": _MS,
        "rtt_p50_ms": _MS,
        "rtt_p95_ms": _MS,
        "reordered": _COUNT,
        "duplicates": _COUNT,
    }
)
_HOP = _record(
    {
        "ttl": _whole(1, 255),
        "address": _WIRE,
        "sent": _COUNT,
        "received": _COUNT,
        "rtt_ms": _TIMES,
        "rtt_min_ms": _MS,
        "rtt_avg_ms": _MS,
        "rtt_max_ms": _MS,
        "asn": _maybe(_whole(0, 2**32 - 1)),
        "name": _WIRE,
        "addresses": _rows(_text(printable=False), 1_000),
    },
    needed=("ttl",),
)
_PATH = _record(
    {
        "technique": _NAME,
        "hop_count": _maybe(_whole(0, 255)),
        "hops_seen": _COUNT,
        "destination_answered": _maybe(_flag),
        "hops": _rows(_HOP, 255),
    }
)
_DIAGNOSIS = _record({"code": _text(100), "severity": _text(20), "confidence": _NAME}, needed=("code",))
_TCP = _record({"host": _WIRE, "address": _WIRE, "port": _PORT, "outcome": _NAME, "connect_ms": _MS, "tls_ms": _MS})
_DNS = _record({"name": _WIRE, "answers": _rows(_text(printable=False), 1_000), "rcode": _NAME, "response_ms": _MS})
_REGION = _record(
    {
        "region_code": _NAME,
        "destination": _WIRE,
        "via": _NAME,
        "rtt_ms": _TIMES,
        "rtt_min_ms": _MS,
        "rtt_p50_ms": _MS,
        "rtt_p95_ms": _MS,
        "sent": _COUNT,
        "received": _COUNT,
        "dns": _rows(_DNS),
        "tcp": _rows(_TCP),
        "relay": _maybe(_RELAY),
        "relays": _rows(_RELAY),
        "train": _maybe(_TRAIN),
        "path": _maybe(_PATH),
        "path_tcp": _maybe(_PATH),
        "judgement": _maybe(_record({"udp": _NAME, "tcp": _NAME})),
        "diagnosis": _rows(_DIAGNOSIS, 1_000),
    },
    needed=("region_code",),
)
_HOST = _record({"os": _WIRE, "privileged": _maybe(_flag), "vantage": _NAME})
_DOCUMENT = _record(
    {
        "id": _ID,
        "site_id": _NAME,
        "time": _TIME,
        "tool": _NAME,
        "source": _maybe(_text(4_096)),
        "host": _HOST,
        "duration_ms": _maybe(_number(0.0, 86_400_000.0)),
        "total_ms": _maybe(_number(0.0, 86_400_000.0)),
        "complete": _maybe(_flag),
        "round": _COUNT,
        "regions": _rows(_REGION, MOST_REGIONS),
    },
    needed=("time", "regions"),
)

_MEASURED = _record({"host": _maybe(_HOST), "regions": _rows(_REGION)}, needed=("regions",))
"""What was measured, in a document that need not say where and when."""

_PAGE_RELAY = _record(
    {
        "host": _text(),
        "port": _PORT,
        "udp": _NAME,
        "tcp": _NAME,
        "error_code": _COUNT,
        "mapped_address": _NAME,
        "binding_ms": _rows(_MS, 1_000),
    },
    needed=("host",),
)
_PAGE_WEB = _record(
    {
        "host": _text(),
        "port": _PORT,
        "outcome": _NAME,
        "first_ms": _MS,
        "new_ms": _MS,
        "again_ms": _rows(_MS, 1_000),
        "kept_open": _maybe(_flag),
        "websocket": _NAME,
        "websocket_ms": _MS,
    },
    needed=("host",),
)
_PAGE_REGION = _record(
    {
        "region_code": _NAME,
        "relays": _rows(_PAGE_RELAY, 50),
        "web": _rows(_PAGE_WEB, 50),
        "verdicts": _rows(_one_of(*read_verdicts()), 50),
        "complete": _flag,
    },
    needed=("region_code", "relays", "web", "verdicts"),
)
_PAGE = _record(
    {
        "format": _one_of(PAGE_FORMAT),
        "id": _ID,
        "site_id": _NAME,
        "time": _TIME,
        "saved": _maybe(_TIME),
        "browser": _maybe(_record({})),
        "microphone": _maybe(_record({})),
        "complete": _flag,
        "regions": _rows(_PAGE_REGION, 100),
        "traces": _rows(_text(MOST_CHARS, printable=False), 50),
    },
    needed=("format", "time", "regions"),
)


def parse_documents(text: str) -> tuple[dict[str, Any], ...]:
    """Read what was signed: one probe document, or a list of them.

    Parameters
    ----------
    text
        JSON from anyone.

    Returns
    -------
    documents
        Each fits the schema of a probe document, or that of a result of the browser page.

    Raises
    ------
    RefusedError
        With the codes ``too_deep``, ``not_json``, ``schema``; the text names the place.
    """
    check_nesting(text, MOST_LEVELS)
    try:
        value = json.loads(text)
    except ValueError:
        raise RefusedError("not_json", "what was signed is no JSON") from None
    documents = value if isinstance(value, list) else [value]
    if not 1 <= len(documents) <= MOST_DOCUMENTS:
        raise RefusedError("schema", f"a signed result holds 1 to {MOST_DOCUMENTS} documents")
    for number, document in enumerate(documents, start=1):
        wrong = _wrong(_PAGE if is_page(document) else _DOCUMENT, document)
        if wrong:
            where = f"document {number}: " if len(documents) > 1 else ""
            raise RefusedError("schema", f"{where}{wrong}")
    return tuple(documents)


def wrong_in(document: Any) -> str | None:
    """Say what makes a file's document none of our prober's: whoever reads it may then rely on the types in it.

    Parameters
    ----------
    document
        A JSON value.

    Returns
    -------
    wrong
        One sentence with the place; ``None`` if its rows of Regions fit. Site, time and tool need not be there.
    """
    return _wrong(_MEASURED, document)


def _wrong(check: Check, document: Any) -> str | None:
    try:
        check(document)
    except _WrongError as error:
        return f"this is no probe document: {error.place.removeprefix('.') or 'it'} {error.told}"
    return None


def is_page(document: Any) -> bool:
    """Say whether a document is a result of the browser page."""
    return isinstance(document, dict) and str(document.get("format")).startswith(PAGE_FORMAT.partition("/")[0])


def check_time(document: Mapping[str, Any], *, now: datetime, since: datetime | None = None) -> None:
    """Refuse a document whose time cannot be that of a measurement.

    Parameters
    ----------
    document
        One that fits the schema.
    now
        When it is taken.
    since
        When the engagement began.

    Raises
    ------
    RefusedError
        With the codes ``time_none``, ``time_future``, ``time_past``.
    """
    stated = str(document["time"])
    try:
        moment = datetime.fromisoformat(stated).astimezone(UTC)
    except (ValueError, OverflowError):
        raise RefusedError("time_none", f"no calendar holds its time {stated}") from None
    if moment > now + FUTURE:
        raise RefusedError("time_future", f"its time {stated} has not come yet: the computer's clock is wrong")
    begin = max(EARLIEST, since or EARLIEST)
    if moment < begin:
        raise RefusedError("time_past", f"its time {stated} is before {begin.date()}, when nothing was measured yet")
