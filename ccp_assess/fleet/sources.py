"""Where evidence of many sites lies: folders or buckets, listed once, each file with its client and site.

Three layouts are understood: a client folder (``captures/SITE/…``, ``probes/SITE/…``, ``sites.csv``), a folder of
client folders, and plain folders of sites (``SITE/…``). A file that stands in no site's folder names its site as
``SITE__….pcap``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from ccp_assess.client.evidence import is_left_over, may_be_capture, site_by_name
from ccp_assess.fleet.needs import FleetError, need
from ccp_assess.fleet.refusals import why

Kind = Literal["captures", "probes", "sites"]
NO_SITE = "unknown"
_NO_SOURCE = "there is no such folder; give the folder or bucket that holds the captures"
_SITES_NAME = "sites.csv"
_PLAIN_GOOGLE = ("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
"""Else gcsfs asks a second service before each request what kind of bucket it is. Where that does not answer (an
emulator, a proxy, a machine without credentials) each request takes half a minute more; ``true`` is for zonal ones."""

_PROBE_SUFFIXES = frozenset({".json", ".jsonl", ".txt", ".xml", ".csv", ".log"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file of evidence.

    Parameters
    ----------
    client, site_id
        Whose it is; ``unknown`` where nothing names the site.
    kind
        What it holds.
    path
        Below the source, with slashes.
    size
        [bytes].
    stamp
        What changes when the content does: entity tag of an object, else time of the last change.
    """

    client: str
    site_id: str
    kind: Kind
    path: str
    size: int
    stamp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder, local or of object storage.

    Parameters
    ----------
    url
        As it was given; of a folder the whole path.
    fs
        Of fsspec.
    root
        Below which all of it lies.
    """

    url: str
    fs: Any
    root: str

    @property
    def local(self) -> Path | None:
        """The folder itself where it lies on this machine's file system."""
        protocol = self.fs.protocol
        names = (protocol,) if isinstance(protocol, str) else protocol
        return Path(self.root) if "file" in names else None

    def full(self, path: str) -> str:
        """Return the name of a file for the file system."""
        return f"{self.root}/{path}" if path else self.root


def lies_inside(one: Place, other: Place) -> bool:
    """Tell whether a folder is another one, or lies below it.

    Parameters
    ----------
    one, other
        Folders or buckets.

    Returns
    -------
    so
        Links of local folders are followed.
    """
    if one.local is not None and other.local is not None:
        return one.local.resolve().is_relative_to(other.local.resolve())
    return one.fs is other.fs and f"{one.root}/".startswith(f"{other.root}/")


def open_place(url: str) -> Place:
    """Find the file system of a folder or bucket.

    Parameters
    ----------
    url
        A path, or ``s3://bucket/folder``, ``gs://``, ``abfs://``.

    Returns
    -------
    place
        To list, read and write.

    Raises
    ------
    FleetError
        Where its kind is unknown or its library not installed.
    """
    fsspec = need("fsspec")
    os.environ.setdefault(*_PLAIN_GOOGLE)
    try:
        fs, root = fsspec.core.url_to_fs(url)
    except Exception as error:
        raise FleetError(f"{url}: cannot be opened ({why(error, url)})") from error
    place = Place(url=url, fs=fs, root=str(root).rstrip("/"))
    if place.local is not None:  # workers have other folders to begin from
        return replace(place, url=str(place.local))
    fs.use_listings_cache = False
    return place


def check_source_is_there(place: Place) -> None:
    """Check a folder before anything is written because of it; of a bucket the listing tells.

    Parameters
    ----------
    place
        Of the captures.

    Raises
    ------
    FleetError
        If there is none.
    """
    if place.local is not None and not place.local.is_dir():
        raise FleetError(f"{place.url}: {_NO_SOURCE}")


def list_source(place: Place) -> tuple[SourceFile, ...]:
    """List all evidence of a source.

    Parameters
    ----------
    place
        The source.

    Returns
    -------
    files
        By path.

    Raises
    ------
    FleetError
        If it cannot be listed.
    """
    place.fs.invalidate_cache()
    try:
        found = place.fs.find(place.root, detail=True) if place.fs.isdir(place.root) else None
    except Exception as error:
        raise FleetError(f"{place.url}: cannot be listed ({why(error, place.url)})") from error
    if found is None:
        raise FleetError(f"{place.url}: {_NO_SOURCE}")
    files = []
    for name, info in found.items():
        path = PurePosixPath(name.replace("\\", "/")).relative_to(place.root.replace("\\", "/")).as_posix()
        told = place_of(path, PurePosixPath(place.root.replace("\\", "/")).name or "client")
        if told is not None:
            client, site_id, kind = told
            size, stamp = stamp_of(info)
            files.append(SourceFile(client=client, site_id=site_id, kind=kind, path=path, size=size, stamp=stamp))
    return tuple(sorted(files, key=lambda file: file.path))


def stamp_of(info: dict[str, Any]) -> tuple[int, str]:
    """Tell the size of a file and what changes with its content.

    Parameters
    ----------
    info
        Of fsspec.

    Returns
    -------
    size, stamp
        [bytes], text.
    """
    for key in ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified", "updated"):
        if info.get(key):
            return int(info["size"] or 0), str(info[key]).strip('"')
    return int(info["size"] or 0), ""


def changed_s(info: Mapping[str, Any]) -> float | None:
    """Tell when a file was last changed, as the library of its store writes it.

    Parameters
    ----------
    info
        Of fsspec.

    Returns
    -------
    time_s
        By the clock of its store; ``None`` where nothing tells [s since 1970].
    """
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = info.get(key)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                continue
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None


def place_of(path: str, root_name: str) -> tuple[str, str, Kind] | None:
    """Tell whose a file is by its path below the source.

    Parameters
    ----------
    path
        With slashes.
    root_name
        Name of the source's folder, the client where no folder names one.

    Returns
    -------
    client, site_id, kind
        ``None`` where the file is no evidence.

    Examples
    --------
    >>> place_of("captures/LIS/a.pcap", "acme")
    ('acme', 'LIS', 'captures')
    >>> place_of("acme/captures/LIS__a.pcap", "all")
    ('acme', 'LIS', 'captures')
    >>> place_of("LIS/monday/a.pcap", "acme")
    ('acme', 'LIS', 'captures')
    """
    parts = PurePosixPath(path).parts
    if any(is_left_over(part) for part in parts):
        return None
    marks = [number for number, part in enumerate(parts[:-1]) if part in ("captures", "probes")]
    if marks:
        mark = marks[0]
        client = parts[mark - 1] if mark else root_name
        kind: Kind = "captures" if parts[mark] == "captures" else "probes"
        below = parts[mark + 1 :]
    elif parts[-1] == _SITES_NAME and len(parts) <= 2:
        return (parts[0] if len(parts) == 2 else root_name), NO_SITE, "sites"
    else:
        client, kind, below = root_name, "captures", parts
    name = PurePosixPath(below[-1])
    if kind == "captures" and not may_be_capture(name):
        return None
    if kind == "probes" and name.suffix.casefold() not in _PROBE_SUFFIXES:
        return None
    site_id = below[0] if len(below) > 1 else site_by_name(name.name, {}) or NO_SITE
    return client, site_id, kind
