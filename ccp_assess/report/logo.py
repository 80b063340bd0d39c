"""The logo at the head of a report: a small picture, put into the page itself."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from ccp_assess.errors import CcpAssessError

LARGEST_BYTES = 1_000_000
"""A page that is sent by mail should not carry more for its head [bytes]."""

_KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def logo_uri(path: Path) -> str:
    """Return a picture as a data address.

    Parameters
    ----------
    path
        A PNG or JPEG; told by its content.

    Returns
    -------
    uri
        To stand in the ``src`` of an image.

    Raises
    ------
    CcpAssessError
        If it cannot be read, is too large, or is another kind of file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CcpAssessError(f"the logo {path} cannot be read ({error.strerror})") from error
    if len(data) > LARGEST_BYTES:
        raise CcpAssessError(f"the logo {path} has {len(data)} bytes; give one of at most {LARGEST_BYTES}")
    kind = next((kind for start, kind in _KINDS.items() if data.startswith(start)), None)
    if kind is None:
        raise CcpAssessError(f"the logo {path} is neither PNG nor JPEG; convert it")
    return f"data:{kind};base64,{b64encode(data).decode('ascii')}"
