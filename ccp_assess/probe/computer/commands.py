"""Commands of the system whose answer is a fact: short, bounded, and no fact if they fail."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

LONGEST_S = 4.0
"""No fact is worth a longer wait [s]."""


def said(words: Sequence[str]) -> str | None:
    """Run a command and return what it writes.

    Parameters
    ----------
    words
        The command and its arguments.

    Returns
    -------
    text
        ``None`` if it is not there, fails or takes too long.
    """
    program = shutil.which(words[0])
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603 - the commands are ours, without a shell
            [program, *words[1:]],
            capture_output=True,
            timeout=LONGEST_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
