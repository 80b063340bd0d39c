"""What is to do: files listed, looked into at their beginning, divided into units, held against what is done."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ccp_assess.capture.files import open_source
from ccp_assess.capture.reading import FileReader, InterfaceTable
from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.sources import Place, SourceFile, list_source
from ccp_assess.fleet.units import Span, Unit, plan_units
from ccp_assess.wire.columns import REASONS

_PEEK_BYTES = 262_144
_THREADS = 16
_JOINED = "joined.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run has to do.

    Parameters
    ----------
    units
        All units of the source.
    done
        Records of those that are done, by key.
    set_aside
        Files that are no captures, with the reason.
    """

    units: tuple[Unit, ...]
    done: dict[str, dict[str, Any]]
    set_aside: list[dict[str, Any]]

    @property
    def pending(self) -> list[Unit]:
        """Units still to do, the largest first, so that none straggles at the end."""
        left = [unit for unit in self.units if unit.key not in self.done]
        return sorted(left, key=lambda unit: (-unit.size, unit.key))


def make_plan(source: Place, dataset: Dataset, heads: dict[SourceFile, Span | str]) -> Plan:
    """List the source and hold it against the destination; units of files that changed or went are taken back.

    Parameters
    ----------
    source, dataset
        Where from and where to.
    heads
        What the beginnings of files told; entries are added.

    Returns
    -------
    plan
        What is to do.
    """
    files = list_source(source)
    records = {key: record for key, record in dataset.units().items() if record["files"][0]["kind"] != "collected"}
    known = _known_spans(records.values())
    unknown = [file for file in files if file.kind == "captures" and file not in known and file not in heads]
    with ThreadPoolExecutor(1 if source.local is not None else _THREADS) as threads:
        heads.update(zip(unknown, threads.map(lambda file: peek(source, file), unknown), strict=True))
    spans, aside = {}, []
    for file in files:
        head = known.get(file) or heads.get(file)
        if isinstance(head, str):
            aside.append({"path": file.path, "reason": head})
        elif head is not None:
            spans[file.path] = head
    refused = {row["path"] for row in aside}
    readable = [file for file in files if file.path not in refused]
    units = tuple(plan_units(readable, spans, _joined(dataset, readable)))
    wanted = {unit.key for unit in units}
    for key, record in records.items():
        if key not in wanted:
            dataset.drop_unit(record)
    return Plan(units=units, done={key: row for key, row in records.items() if key in wanted}, set_aside=aside)


def _known_spans(records: Iterable[dict[str, Any]]) -> dict[SourceFile, Span]:
    known = {}
    for record in records:
        for entry in record["files"]:
            if entry["path"] in record["spans"]:
                first_ns, last_ns = record["spans"][entry["path"]]
                known[SourceFile(**entry)] = Span(first_ns=first_ns, last_ns=last_ns)
    return known


def peek(source: Place, file: SourceFile) -> Span | str:
    """Look at the beginning of a capture for the time of its first packet.

    Parameters
    ----------
    source
        Where it lies.
    file
        The file.

    Returns
    -------
    span
        With the first time, or one sentence why this is no capture.
    """
    with tempfile.TemporaryDirectory(prefix="ccp-assess-fleet-") as folder:
        try:
            if source.local is not None:
                path = source.local / file.path
            else:
                path = Path(folder) / "head"
                path.write_bytes(source.fs.cat_file(source.full(file.path), start=0, end=_PEEK_BYTES))
            origin = open_source(str(path))
            try:
                reader = FileReader(origin, 0, InterfaceTable(), np.zeros((1, len(REASONS), 2), np.int64))
                return Span(first_ns=reader.peek_first_ns(), last_ns=None)
            finally:
                origin.close()
        except CcpAssessError as error:
            return str(error).splitlines()[0].replace(str(path), file.path)
        except FileNotFoundError:
            return "it went away before it could be read"
        except PermissionError:
            return "it may not be read by this user"


def _joined(dataset: Dataset, files: Iterable[SourceFile]) -> list[frozenset[str]]:
    """Give the sets of files that an earlier look found to share a stream, as far as they are still the same."""
    same = {json.dumps(asdict(file), sort_keys=True) for file in files}
    entries = json.loads(dataset.get(_JOINED) or b"[]")
    return [
        frozenset(file["path"] for file in entry)
        for entry in entries
        if all(json.dumps(file, sort_keys=True) in same for file in entry)
    ]


def join_shared(dataset: Dataset, records: Mapping[str, dict[str, Any]]) -> int:
    """Find units of one site that hold parts of one stream, and note that they must be read together.

    Parameters
    ----------
    dataset
        With all units done.
    records
        Of the units.

    Returns
    -------
    count
        How many sets of units were found.
    """
    by_site: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for record in records.values():
        first = record["files"][0]
        if first["kind"] == "captures" and record["rows"].get("streams"):
            by_site[first["client"], first["site_id"]].append(record)
    found = []
    for members in by_site.values():
        if len(members) > 1:
            found += _sharing(dataset, members)
    if found:
        old = json.loads(dataset.get(_JOINED) or b"[]")
        dataset.put(_JOINED, json.dumps(sorted([*old, *found], key=str), indent=1, sort_keys=True).encode("utf-8"))
    return len(found)


_STREAM_KEY = ("src", "src_port", "dst", "dst_port", "ssrc", "channel_number", "peer")


def _sharing(dataset: Dataset, members: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    import pyarrow as pa  # noqa: PLC0415 - a fifth of a second that only this work need pay
    import pyarrow.parquet as pq  # noqa: PLC0415 - the same

    owner: dict[tuple[Any, ...], int] = {}
    group = list(range(len(members)))
    for number, record in enumerate(members):
        for part in record["parts"]:
            if not part["path"].startswith("streams/"):
                continue
            table = pq.read_table(pa.BufferReader(dataset.get(part["path"])), columns=list(_STREAM_KEY))
            for key in zip(*(table[name].to_pylist() for name in _STREAM_KEY), strict=True):
                other = owner.setdefault(key, number)
                if group[other] != group[number]:
                    old, new = group[number], group[other]
                    group = [new if value == old else value for value in group]
    sets = defaultdict(list)
    for number, name in enumerate(group):
        sets[name].append(members[number])
    return [[file for record in records for file in record["files"]] for records in sets.values() if len(records) > 1]
