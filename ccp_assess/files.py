"""Files that appear whole or not at all, and turns that processes take."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ccp_assess.errors import CcpAssessError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

OPEN_MODE = 0o644
"""Permissions of files that are made to be handed over."""

PRIVATE_MODE = 0o600
PRIVATE_FOLDER_MODE = 0o700
"""Permissions of what its owner alone should read: recordings, evidence."""

_TURN_POLL_S = 0.05

_STEM_CHARACTERS = 40
"""Of a file's name in that of its draft: a name may be as long as the file system allows, its draft's no longer."""


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
        To write to. If anything goes wrong meanwhile, no trace of it stays. What is no plain file (a pipe, a terminal,
        the null device) is written to as it is and never replaced; of a link the file that it leads to is replaced.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as file:
            yield file
        return
    with _told_of(path):
        place = Path(os.path.realpath(path))
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name[:_STEM_CHARACTERS]}.")
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            with _told_of(path):
                file.flush()
                os.fsync(file.fileno())  # a power cut after the rename must not leave an empty file
        with _told_of(path):
            draft.chmod(mode)  # mkstemp keeps a file to its owner
            draft.replace(place)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Let an error name the file that was asked for, not its draft, of which nobody knows."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


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


@contextmanager
def taking_turns(path: Path, *, longest_wait_s: float) -> Iterator[None]:
    """Let one process at a time do a job; others wait for their turn, but never for ever.

    The system ends the turn of a process that ends, however it ends. Who waited in vain (the other one was stopped)
    goes on without a turn, and so does everybody where no file can be made or locked: the job must bear to be done
    twice.

    Parameters
    ----------
    path
        A file for this alone, in a folder that is there; it is made, stays and remains empty.
    longest_wait_s
        How long to wait for a turn [s].

    Yields
    ------
    nothing
        While it is this process's turn.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_MODE)
    except OSError:
        yield
        return
    try:
        until = time.monotonic() + longest_wait_s
        while not (has_turn := _lock(handle)) and time.monotonic() < until:
            time.sleep(_TURN_POLL_S)
        try:
            yield
        finally:
            if has_turn:
                _unlock(handle)
    finally:
        os.close(handle)


_BUSY = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})


def _lock(handle: int) -> bool:
    """Try to lock an open file; ``False`` only if someone else holds it."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _BUSY
    return True


def _unlock(handle: int) -> None:
    """End a turn at once: closing is not enough where a forked child has the file open as well."""
    with suppress(OSError):
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_UN)


def sha256_of_file(path: Path) -> str:
    """Return the checksum of a file, read in pieces.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    digest
        SHA-256 in hexadecimal digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


KEY_BYTES = 32


def read_key(path: str | Path, wrong: type[CcpAssessError]) -> bytes:
    """Read a secret key; make it where there is none yet.

    Parameters
    ----------
    path
        A file with 64 hexadecimal digits. A new one can be read by its owner only.
    wrong
        The error to raise if the file holds something else; it is never overwritten.

    Returns
    -------
    key
        32 bytes.
    """
    try:
        return make_key(path)
    except FileExistsError:
        return read_made_key(path, wrong)
    except OSError as error:
        raise wrong(f"{path}: the key file cannot be made ({error.strerror or error})") from None


def make_key(path: str | Path) -> bytes:
    """Make a secret key of a file that is not there yet; it appears whole or not at all.

    Parameters
    ----------
    path
        The new file, for its owner's eyes only.

    Returns
    -------
    key
        32 bytes.

    Raises
    ------
    OSError
        ``FileExistsError`` where something stands at its place, which stays as it is.
    """
    place, key = Path(path), secrets.token_bytes(KEY_BYTES)
    if os.path.lexists(place):  # also where nothing may be written beside it
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
    with _told_of(place):
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")  # for its owner only
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(key.hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        _name_once(Path(name), place)
    finally:
        Path(name).unlink(missing_ok=True)
    return key


def _name_once(written: Path, place: Path) -> None:
    """Give a file its name unless something bears it: by a link, which never replaces; else by creating it anew."""
    try:
        os.link(written, place)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE), "wb") as file:
            file.write(written.read_bytes())


def read_made_key(path: str | Path, wrong: type[CcpAssessError]) -> bytes:
    """Read a secret key that was made before.

    Parameters
    ----------
    path
        A file with 64 hexadecimal digits.
    wrong
        The error to raise if there is none, or the file holds something else.

    Returns
    -------
    key
        32 bytes.
    """
    try:
        with Path(path).open("rb") as file:
            text = file.read(4096).decode("ascii").strip()
        key = bytes.fromhex(text)
    except OSError as error:
        raise wrong(f"{path}: the key file cannot be read ({error.strerror or error})") from None
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise wrong(
            f"{path} is no key: it must hold {2 * KEY_BYTES} hexadecimal digits; name a new file to have one made"
        )
    return key
