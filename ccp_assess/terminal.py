"""Hostile text made harmless for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Replace control characters, so that a name from the wire cannot steer the terminal.

    Parameters
    ----------
    text
        Any text.

    Returns
    -------
    text
        The same with every non-printable character written as its escape.

    Examples
    --------
    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
