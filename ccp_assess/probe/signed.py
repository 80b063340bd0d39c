"""What comes back from agents' computers, signed with the key of an engagement.

Everyone who was sent a page of the engagement has its key. The signature therefore keeps out what was changed or cut on
the way and what strangers made; it does not make anyone honest.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from ccp_assess.errors import ParseError

FORMAT = "ccp-assess-signed/1"
"""What a signed result says that it is."""


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
    text, stated = envelope.get("payload"), envelope.get("hmac_sha256")
    if not isinstance(text, str) or not isinstance(stated, str):
        raise ParseError("line 1: this signed result is damaged; ask for the file again")
    if key is not None and not hmac.compare_digest(_hmac(text, key), stated if stated.isascii() else ""):
        other = envelope.get("key_id") != key_id(key)
        reason = "it was signed with another key" if other else "it was changed after it was signed"
        raise ParseError(f"line 1: the signature does not fit: {reason}; ask for the file again")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ParseError("line 1: this signed result holds no JSON; ask for the file again") from None
