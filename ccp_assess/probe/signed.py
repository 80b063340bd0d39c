"""What comes back from agents' computers, signed with the key of an engagement.

Everyone who was sent a page of the engagement has its key. The signature therefore keeps out what was changed or cut on
the way and what strangers made; it does not make anyone honest.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ccp_assess.errors import CcpAssessError, ParseError

FORMAT = "ccp-assess-signed/1"
"""What a signed result says that it is."""

MOST_BYTES = 2_000_000
"""Longest signed file; a round of all Regions with everything measured takes some 200 kB [bytes]."""

_TOKENS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[{]|[\]}]', re.DOTALL)
"""Strings, whole or cut, and brackets: every character is looked at once, whatever the text."""


class RefusedError(ParseError):
    """A signed result that is not taken.

    Parameters
    ----------
    code
        Why, one word of a closed list.
    text
        Why, one sentence.
    """

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(text)


def key_id(key: bytes) -> str:
    """Name a key without telling it.

    Parameters
    ----------
    key
        The key of the engagement.

    Returns
    -------
    key_id
        Sixteen hexadecimal digits.
    """
    return hashlib.sha256(b"ccp-assess key id " + key).hexdigest()[:16]


def sign(text: str, key: bytes) -> dict[str, str]:
    """Sign a text.

    Parameters
    ----------
    text
        What to sign, such as a probe document as JSON.
    key
        The key of the engagement.

    Returns
    -------
    envelope
        The text beside its HMAC (RFC 2104) with SHA-256.
    """
    return {"format": FORMAT, "key_id": key_id(key), "payload": text, "hmac_sha256": _hmac(text, key)}


def _hmac(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def signed_file(document: Any, key: bytes) -> bytes:
    """Sign a document as a file.

    Parameters
    ----------
    document
        A probe document, or a list of them.
    key
        The key of the engagement.

    Returns
    -------
    data
        The whole file, ASCII.

    Raises
    ------
    CcpAssessError
        If it is too long to be taken.
    """
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    data = (json.dumps(sign(text, key)) + "\n").encode("ascii")
    if len(data) > MOST_BYTES:
        raise CcpAssessError(
            f"this result is {len(data)} bytes long when signed, more than the {MOST_BYTES} that are taken"
        )
    return data


def signed_files(documents: Iterable[dict[str, Any]], key: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Sign documents; many of them become several files, so that none is too long to be taken.

    Parameters
    ----------
    documents
        Probe documents, such as the rounds of a monitor.
    key
        The key of the engagement.

    Yields
    ------
    first, data
        The first document of a file, which names site and time, and the file.

    Raises
    ------
    CcpAssessError
        If one document alone is too long.
    """
    batch: list[dict[str, Any]] = []
    size = 0
    for document in documents:
        own = len(signed_file(document, key))
        if batch and size + own > MOST_BYTES:
            yield batch[0], signed_file(batch, key)
            batch, size = [], 0
        batch.append(document)
        size += own
    if batch:
        yield batch[0], signed_file(batch if len(batch) > 1 else batch[0], key)


def is_signed(document: Any) -> bool:
    """Say whether a JSON value is a signed result.

    Parameters
    ----------
    document
        Any JSON value.

    Returns
    -------
    is_signed
        Whether it says so itself.
    """
    return isinstance(document, dict) and document.get("format") == FORMAT


def payload_of(envelope: Mapping[str, Any], key: bytes | None) -> Any:
    """Open a signed result.

    Parameters
    ----------
    envelope
        What was signed.
    key
        The key of the engagement; ``None`` to leave the signature unchecked.

    Returns
    -------
    document
        The JSON value inside.

    Raises
    ------
    ParseError
        If the signature does not fit, or there is no JSON inside.
    """
    try:
        text = _signed_text(envelope, None if key is None else {key_id(key): key})
    except RefusedError as error:
        raise ParseError(f"line 1: {error}; ask for the file again") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ParseError("line 1: this signed result holds no JSON; ask for the file again") from None


def _signed_text(envelope: Mapping[str, Any], keys: Mapping[str, bytes] | None) -> str:
    text, stated, named = envelope.get("payload"), envelope.get("hmac_sha256"), envelope.get("key_id")
    if not isinstance(text, str) or not isinstance(stated, str):
        raise RefusedError("damaged", "this signed result is damaged")
    if keys is None:
        return text
    key = keys.get(named) if isinstance(named, str) else None
    if key is None:
        raise RefusedError("other_key", "the signature does not fit: it was signed with another key")
    if not hmac.compare_digest(_hmac(text, key), stated if stated.isascii() else ""):
        raise RefusedError("changed", "the signature does not fit: it was changed after it was signed")
    return text


def open_signed(data: bytes, keys: Mapping[str, bytes]) -> str:
    """Check a signed file from anyone; nothing of what is inside is read before the signature was found to fit.

    Parameters
    ----------
    data
        The whole file.
    keys
        Keys of the engagement by their ``key_id``.

    Returns
    -------
    text
        What was signed.

    Raises
    ------
    RefusedError
        With the codes ``empty``, ``cut_off``, ``not_json``, ``not_signed``, ``damaged``, ``other_key``, ``changed``.
    """
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            raise RefusedError("cut_off", "the file breaks off") from None
        raise RefusedError("not_json", "this is no text in UTF-8") from None
    if "\x00" in text:  # a place for the file was made, and not all of it has come
        raise RefusedError("cut_off", "the file is not all there")
    if not text:
        raise RefusedError("empty", "the file is empty")
    if not text.startswith("{"):
        raise RefusedError("not_json", "this is not the JSON of a signed result")
    try:
        check_nesting(text, 1)
    except RefusedError:  # most often a result as the prober wrote it
        raise RefusedError("not_signed", "this is no signed result; sign it with `ccp-assess fleet sign`") from None
    envelope = _json_object(text)
    if not is_signed(envelope):
        raise RefusedError("not_signed", "this is no signed result; sign it with `ccp-assess fleet sign`")
    return _signed_text(envelope, keys)


def _json_object(text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = dict(pairs)
        if len(names) < len(pairs):
            raise RefusedError("damaged", "a name stands twice in this signed result")
        return names

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError:
        if not text.endswith("}"):
            raise RefusedError("cut_off", "the file breaks off") from None
        raise RefusedError("not_json", "this JSON is damaged") from None
    except ValueError as error:
        if isinstance(error, RefusedError):
            raise
        raise RefusedError("not_json", "this JSON holds a number that no tool writes") from None


def check_nesting(text: str, most: int) -> None:
    """Refuse JSON that is nested deeply, before it is parsed.

    Parameters
    ----------
    text
        JSON, or what claims to be.
    most
        Levels that are taken (count).

    Raises
    ------
    RefusedError
        With the code ``too_deep``.
    """
    depth = 0
    for token in _TOKENS.finditer(text):
        mark = token[0]
        if mark in "[{":
            depth += 1
            if depth > most:
                raise RefusedError("too_deep", f"this JSON is nested deeper than {most} levels")
        elif mark in "]}":
            depth -= 1
