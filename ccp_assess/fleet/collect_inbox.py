"""The inbox, where anyone drops files: listed without following links, read up to a limit and never beyond it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ccp_assess.fleet.needs import FleetError
from ccp_assess.fleet.refusals import is_of_a_store, why
from ccp_assess.fleet.sources import Place, changed_s, stamp_of

_UNFINISHED_SUFFIXES = frozenset({".tmp", ".part", ".partial", ".crdownload", ".filepart"})
_LEFT_BY_SYSTEMS = frozenset({"thumbs.db", "desktop.ini"})
_MOST_LEVELS = 16
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_FOLDER = getattr(os, "O_DIRECTORY", 0)
_WALKS_BY_HANDLE = os.open in os.supports_dir_fd and bool(_NOFOLLOW)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A file of the inbox.

    Parameters
    ----------
    path
        Below the inbox, with slashes.
    size
        [bytes].
    stamp
        What changes when the content does.
    changed_s
        When it last changed, by the clock of its store; ``None`` where that is not told [s since 1970].
    is_file
        Whether it is a plain file: no link, pipe or device.
    """

    path: str
    size: int
    stamp: str
    changed_s: float | None
    is_file: bool = True


@dataclass(frozen=True, slots=True)
class Inbox:
    """An inbox.

    Parameters
    ----------
    place
        Where it lies.
    """

    place: Place

    def check(self) -> None:
        """Look whether it is there, where that is a look.

        Raises
        ------
        FleetError
            If there is no such folder.
        """
        if self.place.local is not None and not self.place.local.is_dir():
            raise FleetError(
                f"{self.place.url}: the inbox cannot be listed (there is no such folder); name the folder or bucket in "
                "which results are dropped"
            )

    def files(self) -> list[Dropped]:
        """List what lies there, by path; what a system or a program that is not done put there is left out.

        Raises
        ------
        FleetError
            If it cannot be listed.
        """
        self.check()
        local = self.place.local
        try:
            found = list(_walk(local)) if local is not None else list(self._objects())
        except Exception as error:
            if not is_of_a_store(error):
                raise
            reason = why(error, self.place.url)
            raise FleetError(f"{self.place.url}: the inbox cannot be listed ({reason})") from error
        return sorted((one for one in found if not _is_none(one.path)), key=lambda one: one.path)

    def _objects(self) -> Iterator[Dropped]:
        fs, root = self.place.fs, self.place.root
        fs.invalidate_cache()
        for name, info in fs.find(root, detail=True).items():
            path = name[len(root) + 1 :]
            if not path or path.endswith("/") or info.get("type") != "file":
                continue
            size, stamp = stamp_of(info)
            yield Dropped(path=path, size=size, stamp=stamp, changed_s=changed_s(info))

    def read(self, dropped: Dropped, most: int) -> bytes:
        """Read a file.

        Parameters
        ----------
        dropped
            As listed.
        most
            So many bytes at most, and one more to tell that there are more.

        Returns
        -------
        data
            What there is.

        Raises
        ------
        FileNotFoundError
            If it went away.
        """
        local = self.place.local
        if local is None:
            return bytes(self.place.fs.cat_file(self.place.full(dropped.path), start=0, end=most + 1))
        with _opened(local, dropped.path) as file:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise FileNotFoundError(errno.ENOENT, "it is no plain file any more", dropped.path)
            pieces, left = [], most + 1
            while left and (piece := os.read(file, left)):
                pieces.append(piece)
                left -= len(piece)
            return b"".join(pieces)

    def take(self, dropped: Dropped) -> bool:
        """Remove a file that is still the one that was listed.

        Parameters
        ----------
        dropped
            As listed.

        Returns
        -------
        is_taken
            Whether it left the inbox; another file under its name stays, and is for the next time.

        Raises
        ------
        FleetError
            If files may not be removed there.
        """
        local = self.place.local
        try:
            return _remove(local, dropped) if local is not None else self._remove_object(dropped)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise FleetError(
                f"{self.place.url}: files cannot be removed from the inbox ({why(error, self.place.url)}); what was "
                "collected is kept; leave --take out, or let this user remove files there"
            ) from error

    def _remove_object(self, dropped: Dropped) -> bool:
        fs, name = self.place.fs, self.place.full(dropped.path)
        fs.invalidate_cache()
        if stamp_of(fs.info(name)) != (dropped.size, dropped.stamp):
            return False
        fs.rm_file(name)
        return True


def _is_none(path: str) -> bool:
    """Say whether a file is none of ours: hidden, left by a system, or not finished by its own name."""
    name = PurePosixPath(path).name.casefold()
    hidden = any(part.startswith(".") and part.strip(".") for part in path.split("/"))
    return (
        hidden
        or name.startswith("~$")
        or name in _LEFT_BY_SYSTEMS
        or PurePosixPath(name).suffix in _UNFINISHED_SUFFIXES
    )


def _stamp(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns}-{found.st_ino}"


def _walk(root: Path) -> Iterator[Dropped]:
    waiting: list[tuple[Path, str]] = [(root, "")]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            if prefix:
                continue  # it went away
            raise
        except (PermissionError, NotADirectoryError):
            if not prefix:
                raise
            yield Dropped(path=prefix.rstrip("/"), size=0, stamp="", changed_s=None, is_file=False)
            continue
        for entry in entries:
            path = prefix + entry.name
            try:
                found = os.lstat(entry.path)  # an entry's own answer names no file on Windows
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(found.st_mode):
                if path.count("/") < _MOST_LEVELS:
                    waiting.append((Path(entry.path), f"{path}/"))
                continue
            plain = stat.S_ISREG(found.st_mode)
            yield Dropped(path=path, size=found.st_size, stamp=_stamp(found), changed_s=found.st_mtime, is_file=plain)


@contextmanager
def _opened(root: Path, path: str) -> Iterator[int]:
    """Open a file to read, so that neither it nor a folder on the way can be a link that leads out of the inbox."""
    with _folder(root, path) as (folder, name):
        flags = os.O_RDONLY | _NOFOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            handle = os.open(name, flags, dir_fd=folder)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENXIO}:  # a link, or a socket
                raise FileNotFoundError(errno.ENOENT, "it is no plain file any more", path) from None
            raise
        try:
            yield handle
        finally:
            os.close(handle)


@contextmanager
def _folder(root: Path, path: str) -> Iterator[tuple[int | None, str]]:
    """Go down to the folder of a file by handles, where the system can; else look at each step whether it is a link."""
    parts = path.split("/")
    if not _WALKS_BY_HANDLE:
        step = root
        for part in parts:
            step /= part
            if step.is_symlink():
                raise FileNotFoundError(errno.ENOENT, "it is a link", path)
        yield None, str(step)
        return
    handle = os.open(root, os.O_RDONLY | _FOLDER)
    try:
        for part in parts[:-1]:
            try:
                below = os.open(part, os.O_RDONLY | _FOLDER | _NOFOLLOW, dir_fd=handle)
            except OSError as error:
                if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                    raise FileNotFoundError(errno.ENOENT, "its folder is none any more", path) from None
                raise
            os.close(handle)
            handle = below
        yield handle, parts[-1]
    finally:
        os.close(handle)


def _remove(root: Path, dropped: Dropped) -> bool:
    with _folder(root, dropped.path) as (folder, name):
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if found.st_size != dropped.size or _stamp(found) != dropped.stamp:
            return False
        os.unlink(name, dir_fd=folder)
        return True
