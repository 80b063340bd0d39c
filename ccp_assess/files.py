"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

OPEN_MODE = 0o644
"""Permissions of files that are made to be handed over."""

PRIVATE_MODE = 0o600
PRIVATE_FOLDER_MODE = 0o700
"""Permissions of what its owner alone should read: recordings, evidence."""


@contextmanager
def whole_file(path: Path, *, mode: int = OPEN_MODE) -> Iterator[BinaryIO]:
    """Write a file in pieces beside its place; it is renamed once all of it is there.

    Parameters
    ----------
    path
        Where it shall stand; missing folders are made.
    mode
        Its permissions.

    Yields
    ------
    file
        To write to. If anything goes wrong meanwhile, no trace of it stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # a power cut after the rename must not leave an empty file
        Path(name).chmod(mode)  # mkstemp keeps a file to its owner
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: str | bytes, *, mode: int = OPEN_MODE) -> None:
    """Write a file beside its place first, then rename.

    Parameters
    ----------
    path
        Where it shall stand; missing folders are made.
    content
        Text (written as UTF-8) or bytes.
    mode
        Its permissions.
    """
    with whole_file(path, mode=mode) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)
