"""The dataset on its destination: parts put whole, one record per unit, and what they add up to.

``TABLE/client=…/site_id=…/day=…/UNIT.parquet`` are the rows; ``units/UNIT.json`` says that a unit is done, and which
parts belong to it. A part that no record names does not count. Nothing holds a clock, so the same source gives the same
bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ccp_assess.files import write_whole
from ccp_assess.fleet.needs import FleetError
from ccp_assess.fleet.rows import Parts, sha256_of
from ccp_assess.fleet.schema import TABLES
from ccp_assess.fleet.sources import Place

FORMAT = 1
COLLECTED = "collected-"
"""Begins the names of the units and parts that the collector writes, beside a run that may be at work."""
_AT_A_TIME = 256


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
        try:
            data = self.place.fs.cat_file(self.place.full(path))
        except FileNotFoundError:
            return None
        return bytes(data)

    def get_many(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
        """Read files by path; from a bucket many at a time, since each answer has a way to travel."""
        if self.place.local is not None:
            for path in paths:
                yield path, self.get(path)
            return
        for begin in range(0, len(paths), _AT_A_TIME):
            some = paths[begin : begin + _AT_A_TIME]
            found = self.place.fs.cat([self.place.full(path) for path in some], on_error="return")
            for path in some:
                data = found.get(self.place.full(path))
                if isinstance(data, Exception) and not isinstance(data, FileNotFoundError):
                    raise data
                yield path, data if isinstance(data, bytes) else None

    def names(self, folder: str) -> list[str]:
        """List the files below a folder, by path below the dataset."""
        self.place.fs.invalidate_cache()
        found = self.place.fs.find(self.place.full(folder))
        prefix = len(self.place.root) + 1
        return sorted(name[prefix:].replace("\\", "/") for name in found)

    def remove(self, path: str) -> None:
        """Remove a file that may be gone already."""
        try:
            self.place.fs.rm_file(self.place.full(path))
        except FileNotFoundError:
            return

    def write_unit(self, unit: dict[str, Any], parts: Parts, found: dict[str, Any]) -> dict[str, Any]:
        """Put all parts of a unit, then its record.

        Parameters
        ----------
        unit
            ``Unit.to_document``.
        parts
            Its tables by day.
        found
            What else was found: ``spans``, ``rows``, ``sha256`` of each file, ``limits`` of the reader, ``set_aside``.

        Returns
        -------
        record
            As written.
        """
        first = unit["files"][0]
        entries = []
        for (table, day), data in sorted(parts.items()):
            path = part_path(table, first["client"], first["site_id"], day, unit["key"])
            self.put(path, data)
            entries.append({"path": path, "bytes": len(data), "sha256": sha256_of(data)})
        record = {"format": FORMAT, **unit, **found, "parts": entries}
        self.put(f"units/{unit['key']}.json", _json(record))
        return record

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
        FleetError
            If a part is not what the record says.
        """
        entries = []
        old_paths = [part["path"] for part in record["parts"]]
        for part, (path, data) in zip(record["parts"], self.get_many(old_paths), strict=True):
            if data is None or sha256_of(data) != part["sha256"]:
                raise FleetError(f"{path} is not what was written")
            new = f"{path.rpartition('/')[0]}/{unit['key']}.parquet"
            self.put(new, data)
            entries.append({**part, "path": new})
        self.remove(f"units/{record['key']}.json")
        renamed = {**record, **unit, "parts": entries}
        self.put(f"units/{unit['key']}.json", _json(renamed))
        for path in old_paths:
            self.remove(path)
        return renamed

    def units(self) -> dict[str, dict[str, Any]]:
        """Read the records of all units that are done, by key."""
        records = {}
        for path, data in self.get_many([path for path in self.names("units") if path.endswith(".json")]):
            try:
                record = json.loads(data or b"")
                records[record["key"]] = record
            except (ValueError, KeyError, TypeError):
                self.remove(path)  # no record: its unit is done again
        return records

    def drop_unit(self, record: dict[str, Any]) -> None:
        """Take a unit back: its record first, so that it never stands without its parts."""
        self.remove(f"units/{record['key']}.json")
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
        self.put("manifest.json", _json(manifest))
        return manifest

    def check(self) -> list[str]:
        """Hold every part against its record and the sums against the manifest.

        Returns
        -------
        problems
            One sentence each; none if all adds up.
        """
        records = self.units()
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
        stored = json.loads(self.get("manifest.json") or b"{}")
        if not stored:
            problems.append("There is no manifest: the run did not end; start it again.")
        elif stored["units"] != len(records) or stored["parts"] != len(named):
            problems.append("The manifest does not count the units that are there; start the run again.")
        return problems

    def sweep(self, records: Iterable[dict[str, Any]]) -> int:
        """Remove parts that no record names, left by a run that was killed; the collector sweeps its own.

        Parameters
        ----------
        records
            Of all units.

        Returns
        -------
        count
            How many there were.
        """
        named = {part["path"] for record in records for part in record["parts"]}
        count = 0
        for table in TABLES:
            for path in self.names(table):
                if path not in named and not path.rpartition("/")[2].startswith(COLLECTED):
                    self.remove(path)
                    count += 1
        return count


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode("utf-8")


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
        dataset.put("dataset.json", _json({"format": FORMAT, "tool": "ccp-assess fleet"}))
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise FleetError(f"{place.url}: nothing can be written there ({str(reason).splitlines()[0]})") from error
    return dataset
