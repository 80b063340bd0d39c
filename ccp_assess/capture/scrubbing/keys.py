"""The key of a mapping: a small file that stays with the client.

With the same key the same address or name is mapped to the same other one in every file. Who has the key can undo the
mapping of addresses, so the file is for its owner alone and is never copied into a report or a bundle.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from ccp_assess import files
from ccp_assess.errors import CaptureError


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
    return files.read_key(path, CaptureError)


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
