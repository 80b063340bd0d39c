"""What is to do: files listed, looked into at their beginning, divided into units, held against what is done."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, BinaryIO

import numpy as np

from ccp_assess.capture.files import open_source
from ccp_assess.capture.reading import FileReader, InterfaceTable
from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.inputs import in_threads
from ccp_assess.fleet.needs import FleetError
from ccp_assess.fleet.rows import sha256_of
from ccp_assess.fleet.sources import Place, SourceFile, list_source
from ccp_assess.fleet.units import Span, Unit, plan_units
from ccp_assess.shapes import has_shape, parse_json
from ccp_assess.wire.columns import REASONS

_PEEK_BYTES = 262_144
_JOINED = "joined.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run has to do.

    Parameters
    ----------
    units
        All units of the source.
    spans
        Path → when its packets are, as far as that is known.
    done
        Records of those that are done, by key.
    replaced
        Records of units with the same files but for their stamps, and with checksums, by the key of the unit that takes
        their place.
    set_aside
        Files that are no captures, with the reason.
    """

    units: tuple[Unit, ...]
    spans: dict[str, Span]
    done: dict[str, dict[str, Any]]
    replaced: dict[str, dict[str, Any]]
    set_aside: list[dict[str, Any]]

    @property
    def pending(self) -> list[Unit]:
        """Units still to do, the largest first, so that none straggles at the end."""
        left = [unit for unit in self.units if unit.key not in self.done]
        return sorted(left, key=lambda unit: (-unit.size, unit.key))

    @property
    def last(self) -> list[Unit]:
        """The last unit of captures of each site: its recording may go on."""
        found: dict[tuple[str, str], tuple[int, str, Unit]] = {}
        for unit in self.units:
            if unit.first.kind == "captures":
                site = (unit.first.client, unit.first.site_id)
                begun = max(self.spans[file.path].first_ns or 0 for file in unit.files)
                found[site] = max(found.get(site, (-1, "", unit)), (begun, unit.key, unit), key=lambda entry: entry[:2])
        return [unit for _, _, unit in found.values()]


def make_plan(
    source: Place, dataset: Dataset, heads: dict[SourceFile, Span | str], records: dict[str, dict[str, Any]]
) -> Plan:
    """List the source and hold it against what is done; units of files that changed or went are taken back.

    Parameters
    ----------
    source, dataset
        Where from and where to.
    heads
        What the beginnings of files told; entries are added.
    records
        Of the units that are done, by key; those that are taken back are left out.

    Returns
    -------
    plan
        What is to do.
    """
    files = list_source(source)
    known = _known_spans(records.values())
    unknown = [file for file in files if file.kind == "captures" and file not in known and file not in heads]
    heads.update(zip(unknown, in_threads(source, lambda file: peek(source, file), unknown), strict=True))
    before = {(file.path, file.size): span for file, span in known.items()}
    spans, aside = {}, []
    for file in files:
        head = known.get(file) or heads.get(file)
        if isinstance(head, str):
            aside.append({"path": file.path, "reason": head})
        elif head is not None:
            old = before.get((file.path, file.size))  # a file that was only touched ends when it did
            spans[file.path] = old if old is not None and old.first_ns == head.first_ns else head
    refused = {row["path"] for row in aside}
    readable = [file for file in files if file.path not in refused]
    units = tuple(plan_units(readable, spans, _sets_of(dataset, readable)))
    done = {unit.key: records[unit.key] for unit in units if unit.key in records}
    heirs = {_without_stamps(unit.to_document()["files"]): unit.key for unit in units if unit.key not in done}
    replaced = {}
    for key, record in list(records.items()):
        if key in done:
            continue
        heir = heirs.pop(_without_stamps(record["files"]), None) if record["sha256"] else None
        if heir is not None:
            replaced[heir] = record
        else:
            dataset.drop_unit(record)
            del records[key]
    return Plan(units=units, spans=spans, done=done, replaced=replaced, set_aside=aside)


def _without_stamps(files: list[dict[str, Any]]) -> str:
    return json.dumps([{**file, "stamp": None} for file in files], sort_keys=True)


def _known_spans(records: Iterable[dict[str, Any]]) -> dict[SourceFile, Span]:
    known = {}
    for record in records:
        for entry in record["files"]:
            if entry["path"] in record["spans"]:
                first_ns, last_ns = record["spans"][entry["path"]]
                file = SourceFile(**{field.name: entry[field.name] for field in fields(SourceFile)})
                known[file] = Span(first_ns=first_ns, last_ns=last_ns)
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
    try:
        if source.local is not None:
            origin = open_source(source.local / file.path)
        else:
            head = source.fs.cat_file(source.full(file.path), start=0, end=_PEEK_BYTES)
            origin = open_source(_Head(file.path, bytes(head)))
        try:
            reader = FileReader(origin, 0, InterfaceTable(), np.zeros((1, len(REASONS), 2), np.int64))
            return Span(first_ns=reader.peek_first_ns(), last_ns=None)
        finally:
            origin.close()
    except CcpAssessError as error:
        text = str(error).splitlines()[0]
        return text.replace(f"{source.local}/", "") if source.local is not None else text
    except FileNotFoundError:
        return "it went away before it could be read"
    except PermissionError:
        return "it may not be read by this user"


@dataclass(frozen=True, slots=True)
class _Head:
    """The beginning of an object."""

    name: str
    data: bytes

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)


def _noted(dataset: Dataset) -> dict[str, Any]:
    """Read what earlier looks found: sites that were looked through, and files that belong together."""
    nothing: dict[str, Any] = {"looked_through": {}, "sets": []}
    try:
        noted = parse_json(dataset.get(_JOINED) or b"{}")
    except ValueError:
        return nothing
    return dict(noted) if has_shape(noted, {"looked_through": {str: str}, "sets": [[dict]]}) else nothing


def _sets_of(dataset: Dataset, files: Iterable[SourceFile]) -> list[frozenset[str]]:
    """Give the sets of files that an earlier look found to share a stream, as far as they are still the same."""
    same = {json.dumps(asdict(file), sort_keys=True) for file in files}
    return [
        frozenset(file["path"] for file in entry)
        for entry in _noted(dataset)["sets"]
        if all(json.dumps(file, sort_keys=True) in same for file in entry)
    ]


def join_shared(dataset: Dataset, plan: Plan) -> int:
    """Find units of one site that hold parts of one stream, and note that they must be read together.

    A site whose units are those of an earlier look is not looked through again.

    Parameters
    ----------
    dataset
        With all units done.
    plan
        Of which nothing is pending but what failed.

    Returns
    -------
    count
        How many sets of units were found.
    """
    by_site: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in plan.done.values():
        first = record["files"][0]
        if first["kind"] == "captures" and record["rows"].get("streams"):
            by_site[json.dumps([first["client"], first["site_id"]])].append(record)
    noted = _noted(dataset)
    looked_through: dict[str, str] = {}
    found: list[list[dict[str, Any]]] = []
    for site, members in by_site.items():
        if len(members) < 2:
            continue
        digest = sha256_of(" ".join(sorted(record["key"] for record in members)).encode("ascii"))
        sharing = [] if noted["looked_through"].get(site) == digest else _sharing(dataset, members)
        found += sharing
        if not sharing:
            looked_through[site] = digest
    alone = {unit.key for unit in plan_units([file for unit in plan.units for file in unit.files], plan.spans)}
    sets = [unit.to_document()["files"] for unit in plan.units if unit.key in plan.done and unit.key not in alone]
    now = {"looked_through": looked_through, "sets": sorted([*sets, *found], key=str)}
    if not any(now.values()):
        dataset.remove(_JOINED)
    elif now != noted:
        dataset.put(_JOINED, json.dumps(now, indent=1, sort_keys=True).encode("utf-8"))
    return len(found)


_STREAM_KEY = ("src", "src_port", "dst", "dst_port", "ssrc", "channel_number", "peer")


def _sharing(dataset: Dataset, members: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    import pyarrow as pa  # noqa: PLC0415 - a fifth of a second that only this work need pay
    import pyarrow.parquet as pq  # noqa: PLC0415 - the same

    owner: dict[tuple[Any, ...], int] = {}
    group = list(range(len(members)))
    for number, record in enumerate(members):
        paths = [part["path"] for part in record["parts"] if part["path"].startswith("streams/")]
        for path, data in dataset.get_many(paths):
            if data is None:
                raise FleetError(f"{path} went away while the run was at work; run it again")
            table = pq.read_table(pa.BufferReader(data), columns=list(_STREAM_KEY))
            for key in zip(*(table[name].to_pylist() for name in _STREAM_KEY), strict=True):
                other = owner.setdefault(key, number)
                if group[other] != group[number]:
                    old, new = group[number], group[other]
                    group = [new if value == old else value for value in group]
    sets = defaultdict(list)
    for number, name in enumerate(group):
        sets[name].append(members[number])
    return [[file for record in records for file in record["files"]] for records in sets.values() if len(records) > 1]
