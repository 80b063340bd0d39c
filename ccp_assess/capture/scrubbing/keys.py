"""The key of a mapping: a small file that stays with the client.

With the same key the same address or name is mapped to the same other one in every file. Who has the key can undo the
mapping of addresses, so the file is for its owner alone and is never copied into a report or a bundle.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from ccp_assess.errors import CaptureError

KEY_BYTES = 32


def read_key(path: str | Path) -> bytes:
    """Read the key; make it where there is none yet.

    Parameters
    ----------
    path
        A file with 64 hexadecimal digits. A new one can be read by its owner only.

    Returns
    -------
    key
        32 bytes.

    Raises
    ------
    CaptureError
        If the file holds something else; it is never overwritten.
    """
    place = Path(path)
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _parse_key(place)
    except OSError as error:
        raise CaptureError(f"{path}: the key file cannot be made ({error.strerror or error})") from None
    key = secrets.token_bytes(KEY_BYTES)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key.hex() + "\n")
    return key


def _parse_key(path: Path) -> bytes:
    try:
        text = path.read_bytes()[:4096].decode("ascii").strip()
        key = bytes.fromhex(text)
    except OSError as error:
        raise CaptureError(f"{path}: the key file cannot be read ({error.strerror or error})") from None
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise CaptureError(
            f"{path} is no key: it must hold {2 * KEY_BYTES} hexadecimal digits; name a new file to have one made"
        )
    return key


def derive(key: bytes, purpose: str) -> bytes:
    """Make the key of one purpose, so that no two parts of the mapping share one.

    Parameters
    ----------
    key
        The client's key.
    purpose
        What for.

    Returns
    -------
    key
        32 bytes.
    """
    return hmac.new(key, purpose.encode(), hashlib.sha256).digest()
