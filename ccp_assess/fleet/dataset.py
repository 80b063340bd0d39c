"""The dataset on its destination: parts put whole, one record per unit, and what they add up to.

``TABLE/client=…/site_id=…/day=…/UNIT.parquet`` are the rows; ``units/UNIT.json`` says that a unit is done, and which
parts belong to it. A part that no record names does not count. Nothing holds a clock, so the same source gives the same
bytes.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ccp_assess.files import write_whole
from ccp_assess.fleet.needs import FleetError
from ccp_assess.fleet.refusals import why
from ccp_assess.fleet.rows import Parts, sha256_of
from ccp_assess.fleet.schema import TABLES
from ccp_assess.fleet.sources import Place, changed_s
from ccp_assess.shapes import has_shape, parse_json

FORMAT = 2
"""Of the layout and of the tables; a unit whose record tells another one is done again."""

UNITS = "units"
RECORDS = "units.jsonl"
"""All records in one file, one a line, written at the end of a run; what stands in `UNITS` counts."""

COLLECTED = "collected-"
"""Begins the names of the units and parts that the collector writes, beside a run that may be at work."""
_AT_A_TIME = 256


class DamagedPartError(FleetError):
    """A part is not what its record says."""


def part_path(table: str, client: str, site_id: str, day: str, key: str) -> str:
    """Name a part.

    Parameters
    ----------
    table, client, site_id, day, key
        What it holds, and its unit.

    Returns
    -------
    path
        Below the destination; hostile names are escaped.
    """

    def safe(text: str) -> str:
        return quote(text, safe="").replace(".", "%2E") or "%00"

    return f"{table}/client={safe(client)}/site_id={safe(site_id)}/day={day}/{key}.parquet"


@dataclass(frozen=True, slots=True)
class Listed:
    """What a listing tells of a file.

    Parameters
    ----------
    size
        [bytes].
    time
        When it was put, by the clock of where it lies; ``None`` where nothing tells [s].
    md5
        Of its content, in hexadecimal digits; ``None`` where the store does not tell, and something else where an
        entity tag is none.
    """

    size: int
    time: float | None
    md5: str | None

    def is_older(self, other: Listed) -> bool:
        """Say whether it was surely put before another one."""
        return self.time is not None and other.time is not None and self.time < other.time


def _listed(info: Mapping[str, Any]) -> Listed:
    return Listed(int(info.get("size") or 0), changed_s(info), str(info.get("ETag") or "").strip('"') or None)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset of many sites.

    Parameters
    ----------
    place
        Where it lies.
    """

    place: Place

    def put(self, path: str, data: bytes) -> None:
        """Put a file whole or not at all."""
        local = self.place.local
        if local is not None:
            write_whole(Path(self.place.full(path)), data)
        else:  # an object appears when all of it was sent
            self.place.fs.pipe_file(self.place.full(path), data)

    def get(self, path: str) -> bytes | None:
        """Read a file; ``None`` where there is none."""
        fs, full, begin = self.place.fs, self.place.full(path), self._begin
        try:
            if self.place.local is not None:
                return Path(full).read_bytes()
            data = fs.cat_file(full, start=begin)
        except FileNotFoundError:
            return None
        except OSError as error:
            if begin is None or error.errno != errno.EINVAL:
                raise
            data = fs.cat_file(full)  # an empty one has no first byte
        return bytes(data)

    @property
    def _begin(self) -> int | None:
        """Where to begin reading: the library for S3 asks how long an object is first, unless it is told."""
        protocol = self.place.fs.protocol
        return 0 if "s3" in ((protocol,) if isinstance(protocol, str) else protocol) else None

    def get_many(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        """Read files by path; from a bucket many at a time, since each answer has a way to travel."""
        if self.place.local is not None:
            for path in paths:
                yield path, self.get(path)
            return
        for begin in range(0, len(paths), _AT_A_TIME):
            some = paths[begin : begin + _AT_A_TIME]
            places = [self.place.full(path) for path in some]
            starts, ends = [self._begin] * len(some), [None] * len(some)
            for path, data in zip(some, self.place.fs.cat_ranges(places, starts, ends, on_error="return"), strict=True):
                if isinstance(data, FileNotFoundError):
                    yield path, None
                else:
                    yield path, self.get(path) if isinstance(data, Exception) else bytes(data)

    def listed(self, folder: str) -> dict[str, Listed]:
        """List the files below a folder (or one file), by path below the dataset."""
        self.place.fs.invalidate_cache()
        found = self.place.fs.find(self.place.full(folder), detail=True)
        prefix = len(self.place.root) + 1
        return {name[prefix:].replace("\\", "/"): _listed(info) for name, info in sorted(found.items())}

    def told(self, path: str) -> Listed | None:
        """Look at one file; ``None`` where there is none."""
        self.place.fs.invalidate_cache()
        try:
            return _listed(self.place.fs.info(self.place.full(path)))
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        """List the files below a folder, by path below the dataset."""
        return list(self.listed(folder))

    def remove(self, path: str) -> None:
        """Remove a file that may be gone already."""
        try:
            self.place.fs.rm_file(self.place.full(path))
        except FileNotFoundError:
            return

    def layout(self) -> int | None:
        """Return the format of the dataset; ``None`` where there is none."""
        data = self.get("dataset.json")
        if data is None:
            return None
        found = _parsed(data, {"format": int})
        return 0 if found is None else int(found["format"])

    def write_unit(
        self, unit: dict[str, Any], parts: Parts, found: dict[str, Any], check: Callable[[], None] = lambda: None
    ) -> dict[str, Any]:
        """Put all parts of a unit, then its record.

        Parameters
        ----------
        unit
            ``Unit.to_document``.
        parts
            Its tables by day.
        found
            What else was found: ``spans``, ``rows``, ``sha256`` of each file, ``limits`` of the reader, ``set_aside``.
        check
            Called before the first part and before the record; it raises where neither may be put any more.

        Returns
        -------
        record
            As written.
        """
        first = unit["files"][0]
        entries = []
        check()
        for (table, day), data in sorted(parts.items()):
            path = part_path(table, first["client"], first["site_id"], day, unit["key"])
            self.put(path, data)
            entries.append({"path": path, "bytes": len(data), "sha256": sha256_of(data)})
        record = {"format": FORMAT, **unit, **found, "parts": entries}
        check()
        self.put_record(record)
        return record

    def record(self, key: str) -> dict[str, Any] | None:
        """Read the record of a unit; ``None`` where it is not done."""
        record = parse_record(self.get(record_path(key)) or b"")
        return record if record is not None and record["key"] == key else None

    def put_record(self, record: dict[str, Any]) -> None:
        """Say that a unit is done, and what belongs to it."""
        self.put(record_path(record["key"]), record_bytes(record))

    def rename_unit(self, record: dict[str, Any], unit: dict[str, Any]) -> dict[str, Any]:
        """Give a unit that is done to files that hold the same and differ in their stamps alone.

        Parameters
        ----------
        record
            Of the unit as it was.
        unit
            As it is now, ``Unit.to_document``.

        Returns
        -------
        record
            As written in its place; never do both stand there.

        Raises
        ------
        DamagedPartError
            If a part is not what the record says.
        """
        entries = []
        old_paths = [part["path"] for part in record["parts"]]
        for part, (path, data) in zip(record["parts"], self.get_many(old_paths), strict=True):
            if data is None or sha256_of(data) != part["sha256"]:
                raise DamagedPartError(f"{path} is not what was written")
            new = f"{path.rpartition('/')[0]}/{unit['key']}.parquet"
            self.put(new, data)
            entries.append({**part, "path": new})
        self.remove(record_path(record["key"]))
        renamed = {**record, **unit, "parts": entries}
        self.put_record(renamed)
        for path in old_paths:
            self.remove(path)
        return renamed

    def units(self, *, one_by_one: bool = False) -> dict[str, dict[str, Any]]:
        """Read the records of all units that are done, by key; what is no record of this format is none.

        Parameters
        ----------
        one_by_one
            Whether each record itself is read, whatever `RECORDS` says.
        """
        listed = {path: file for path, file in self.listed(UNITS).items() if path.endswith(".json")}
        lines = {} if one_by_one else self._lines(listed)
        unread = self.get_many([path for path in listed if path not in lines])
        lines |= {path: data for path, data in unread if data is not None}
        records = {}
        for path in listed:
            record = parse_record(lines.get(path, b""))
            if record is not None and record_path(record["key"]) == path:
                records[str(record["key"])] = record
        return records

    def units_of_runs(self) -> dict[str, dict[str, Any]]:
        """Read the records of the units that were made of a source, by key: not those of the collector."""
        return {key: record for key, record in self.units().items() if record["files"][0]["kind"] != "collected"}

    def _lines(self, listed: Mapping[str, Listed]) -> dict[str, bytes]:
        """Take from `RECORDS` what is there still: of the same bytes, or the same length and put before that file."""
        whole = self.told(RECORDS)
        lines = {}
        for line in (self.get(RECORDS) or b"").splitlines(keepends=True) if whole is not None else ():
            name, _, record = line.partition(b"\t")
            path = record_path(name.decode("ascii", "replace"))
            file = listed.get(path)
            if whole is None or file is None or file.size != len(record):
                continue
            if file.is_older(whole) or file.md5 == hashlib.md5(record, usedforsecurity=False).hexdigest():
                lines[path] = record
        return lines

    def write_records(self, records: Iterable[dict[str, Any]]) -> str:
        """Write all records once more into one file.

        Parameters
        ----------
        records
            Of all units.

        Returns
        -------
        fingerprint
            Of these records; see `fingerprint`.
        """
        lines = sorted((str(record["key"]), record_bytes(record)) for record in records)
        self.put(RECORDS, b"".join(key.encode("ascii") + b"\t" + data for key, data in lines))
        return _fingerprint((record_path(key), len(data)) for key, data in lines)

    def fingerprint(self, since: str) -> str | None:
        """Say which records are there, by their names and lengths.

        Parameters
        ----------
        since
            A file that was made of the records.

        Returns
        -------
        fingerprint
            ``None`` where that file is not there, or a record may have been replaced after it.
        """
        made = self.told(since)
        listed = self.listed(UNITS)
        if made is None or not all(file.is_older(made) for file in listed.values()):
            return None
        return _fingerprint((path, file.size) for path, file in listed.items())

    def drop_unit(self, record: dict[str, Any]) -> None:
        """Take a unit back: its record first, so that it never stands without its parts."""
        self.remove(record_path(record["key"]))
        for part in record["parts"]:
            self.remove(part["path"])

    def write_manifest(self, records: Iterable[dict[str, Any]], set_aside: list[dict[str, Any]]) -> dict[str, Any]:
        """Write what the whole adds up to.

        Parameters
        ----------
        records
            Of all units.
        set_aside
            Files that could not be read, with the reason.

        Returns
        -------
        manifest
            Counts, and one hash over the hashes of all parts.
        """
        ordered = sorted(records, key=lambda record: str(record["key"]))
        rows: dict[str, int] = {}
        for record in ordered:
            for table, count in record["rows"].items():
                rows[table] = rows.get(table, 0) + count
        hashes = sorted(f"{part['sha256']}  {part['path']}" for record in ordered for part in record["parts"])
        aside = sorted(
            [*set_aside, *(entry for record in ordered for entry in record["set_aside"])], key=lambda row: row["path"]
        )
        manifest = {
            "format": FORMAT,
            "units": len(ordered),
            "files": sum(len(record["files"]) for record in ordered),
            "bytes": sum(file["size"] for record in ordered for file in record["files"]),
            "packets": sum(record["packets"] for record in ordered),
            "rows": dict(sorted(rows.items())),
            "parts": len(hashes),
            "sha256": sha256_of("\n".join(hashes).encode("utf-8")),
            "limits": [
                {"path": record["files"][0]["path"], "reason": reason}
                for record in sorted(ordered, key=lambda record: str(record["files"][0]["path"]))
                for reason in record.get("limits", ())
            ],
            "set_aside": aside,
        }
        self.put("manifest.json", json_bytes(manifest))
        return manifest

    def manifest(self) -> dict[str, Any] | None:
        """Read what the dataset adds up to; ``None`` where no run has ended, or where it is damaged."""
        return _parsed(self.get("manifest.json") or b"", _MANIFEST)

    def check(self) -> list[str]:
        """Hold every part against its record and the sums against the manifest.

        Returns
        -------
        problems
            One sentence each; none if all adds up.
        """
        records = self.units(one_by_one=True)
        problems = []
        named = set()
        for record in records.values():
            for part in record["parts"]:
                named.add(part["path"])
                data = self.get(part["path"])
                if data is None:
                    problems.append(f"{part['path']} is missing.")
                elif sha256_of(data) != part["sha256"]:
                    problems.append(f"{part['path']} is not what was written.")
        stored = self.manifest()
        if stored is None:
            problems.append("There is no manifest: the run did not end; start it again.")
        elif stored.get("units") != len(records) or stored.get("parts") != len(named):
            problems.append("The manifest does not count the units that are there; start the run again.")
        return problems

    def sweep(self, records: Iterable[dict[str, Any]]) -> int:
        """Remove what no record names, left by a run that was killed; the collector sweeps its own.

        Parameters
        ----------
        records
            Of all units.

        Returns
        -------
        count
            How many there were.
        """
        kept = list(records)
        named = {part["path"] for record in kept for part in record["parts"]}
        named |= {record_path(record["key"]) for record in kept}
        count = 0
        for folder in (UNITS, *TABLES):
            for path in self.names(folder):
                if path not in named and not path.rpartition("/")[2].lstrip(".").startswith(COLLECTED):
                    self.remove(path)
                    count += 1
        return count


def json_bytes(value: Any) -> bytes:
    """Write a document: the same value is the same bytes."""
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode("utf-8")


def record_path(key: str) -> str:
    """Name the record of a unit."""
    return f"{UNITS}/{key}.json"


def record_bytes(record: dict[str, Any]) -> bytes:
    """Write a record: one line, the same wherever it stands."""
    return (json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n").encode("ascii")


def parse_record(data: bytes) -> dict[str, Any] | None:
    """Read a record; ``None`` of what is none of this format, or is damaged."""
    record = _parsed(data, _RECORD)
    if record is None or record["format"] != FORMAT or not record["files"]:
        return None
    is_collected = record["files"][0]["kind"] == "collected"
    hashed = record.get("sha256") or {}
    is_whole = (
        (is_collected or "sha256" in record)
        and all(file["path"] in hashed for file in record["files"] if hashed)
        and all(len(span) == 2 for span in record["spans"].values())
        and all(_is_part(part["path"]) for part in record["parts"])
        and (not is_collected or len(record["parts"]) == 1)
    )
    return record if is_whole else None


def _is_part(path: str) -> bool:
    """Tell whether a path is one of `part_path`: parts are removed by it, so it must not lead out of the dataset."""
    pieces = path.split("/")
    return len(pieces) == 5 and pieces[0] in TABLES and ".." not in pieces


def _parsed(data: bytes, shape: dict[str, Any]) -> dict[str, Any] | None:
    """Read a document; ``None`` where it is not of its shape."""
    try:
        value = parse_json(data)
    except ValueError:
        return None
    return value if has_shape(value, shape) else None


_ASIDE = [{"path": str, "reason": str}]
_RECORD: dict[str, Any] = {
    "format": int,
    "key": str,
    "files": [{"client": str, "site_id": str, "kind": str, "path": str, "size": int, "stamp": str}],
    "rows": {str: int},
    "packets": int,
    "spans": {str: [(int, None)]},
    "sha256": ({str: str}, None),
    "limits": ([str], None),
    "set_aside": _ASIDE,
    "parts": [{"path": str, "bytes": int, "sha256": str}],
}
_MANIFEST: dict[str, Any] = {
    "units": int,
    "files": int,
    "bytes": int,
    "rows": {str: int},
    "parts": int,
    "limits": _ASIDE,
    "set_aside": _ASIDE,
}


def _fingerprint(files: Iterable[tuple[str, int]]) -> str:
    return sha256_of("".join(f"{path} {size}\n" for path, size in sorted(files)).encode("utf-8"))


def open_dataset(place: Place) -> Dataset:
    """Open a destination for writing.

    Parameters
    ----------
    place
        Its folder.

    Returns
    -------
    dataset
        Made if it is missing.

    Raises
    ------
    FleetError
        Where nothing can be written.
    """
    dataset = Dataset(place)
    try:
        found = dataset.layout()
        if found is None or found <= FORMAT:
            dataset.put("dataset.json", json_bytes({"format": FORMAT, "tool": "ccp-assess fleet"}))
    except FleetError:
        raise
    except Exception as error:
        raise FleetError(f"{place.url}: nothing can be written there ({why(error, place.url)})") from error
    if found is not None and found > FORMAT:
        raise FleetError(f"{place.url}: a newer ccp-assess made this dataset (layout {found}); update to write to it")
    return dataset
