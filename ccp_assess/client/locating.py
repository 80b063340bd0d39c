"""Files of a client folder by their names, without regard to case, as Windows would find them."""

from __future__ import annotations

from pathlib import Path

from ccp_assess.errors import TableError


def child_of(folder: Path, name: str) -> Path | None:
    """Return a file or folder by its name, without regard to case, as Windows would.

    Parameters
    ----------
    folder
        Where to look.
    name
        Its name.

    Returns
    -------
    path
        ``None`` if there is none.
    """
    exact = folder / name
    if exact.exists():
        return exact
    try:
        children = sorted(folder.iterdir())
    except OSError:
        return None
    return next((child for child in children if child.name.casefold() == name.casefold()), None)


def check_is_folder(folder: Path) -> None:
    """Check that a client folder is there.

    Parameters
    ----------
    folder
        The client folder.

    Raises
    ------
    TableError
        If it is not.
    """
    if folder.is_dir():
        return
    if folder.exists():
        raise TableError("this is a file, not a client folder", file=str(folder))
    raise TableError(
        f"the client folder does not exist; check its name, or lay one out with `ccp-assess new {folder.name}`",
        file=str(folder),
    )
