"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file beside its place first, then rename.

    Parameters
    ----------
    path
        Where it shall stand; missing folders are made.
    content
        Text (written as UTF-8) or bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode("utf-8") if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # a power cut after the rename must not leave an empty file
        Path(name).chmod(0o644)  # mkstemp keeps a file to its owner; what we write is to be handed over
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
