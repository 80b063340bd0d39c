"""What a worker does: a unit, or a part of a large one, from files to tables. It knows nothing of who asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from ccp_assess.assess.captures import CaptureAssessment, assess_captures, assess_scan
from ccp_assess.capture.records import Scan
from ccp_assess.csvtext import Row, optional_integer, optional_text, read_rows, text
from ccp_assess.errors import CcpAssessError, ParseError, StateError, UnavailableError
from ccp_assess.files import sha256_of_file
from ccp_assess.fleet.chain import Chain, Kept
from ccp_assess.fleet.dataset import DamagedPartError, Dataset
from ccp_assess.fleet.inputs import (
    ChangedMeanwhileError,
    InputObject,
    check_same,
    local_paths,
    sha256_of_input,
    work_folder,
)
from ccp_assess.fleet.lease import check_permit
from ccp_assess.fleet.probe_rows import probe_rows
from ccp_assess.fleet.rows import Parts, parts_by_day, table_of_rows, tables_of_captures
from ccp_assess.fleet.sources import Place, SourceFile, open_place
from ccp_assess.fleet.units import PART_BYTES, Unit
from ccp_assess.memory import keep_large_blocks
from ccp_assess.probe.imports import probe_document_json, read_probe_file
from ccp_assess.probe.round_files import read_rounds

Found = tuple[Parts, dict[str, Any]]
"""The tables of a unit, and what its record holds beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a unit is read; what is found does not depend on it.

    Parameters
    ----------
    threads
        To read captures with.
    hash_inputs
        Whether to record the checksum of each file.
    part_bytes
        How much of a large unit is read at a time [bytes].
    permit
        Of the run's `Lease`, without which nothing is put; ``None`` where there is none.
    """

    threads: int = 1
    hash_inputs: bool = False
    part_bytes: int = PART_BYTES
    permit: str | None = None


def do_unit(unit: dict[str, Any], source_url: str, dest_url: str, manner: Manner = Manner()) -> dict[str, Any]:
    """Read a unit in one go and put its parts and its record.

    Parameters
    ----------
    unit
        ``Unit.to_document``.
    source_url, dest_url
        Where its files lie, and where the dataset does.
    manner
        How to read.

    Returns
    -------
    record
        What was written; ``{"changed": path}`` where a file changed meanwhile and nothing was.
    """
    source, dataset, files, check = _opened(unit, source_url, dest_url, manner)
    if (done := dataset.record(unit["key"])) is not None:  # the answer of who did it was lost with its worker
        return done
    with work_folder() as folder:
        try:
            check_same(source, files)
            root, paths = local_paths(source, files, folder)
            parts, found = _read(files, paths, root, manner.threads)
            sums = zip(files, paths, strict=True) if manner.hash_inputs else ()
            found["sha256"] = {file.path: sha256_of_file(path) for file, path in sums}
            check_same(source, files)
        except (ChangedMeanwhileError, FileNotFoundError):
            return {"changed": files[0].path}
    return dataset.write_unit(unit, parts, found, check)


def do_part(unit: dict[str, Any], source_url: str, dest_url: str, manner: Manner) -> dict[str, Any]:
    """Read a part of a unit of captures, from where the last one left off.

    Parameters
    ----------
    unit
        ``Unit.to_document``.
    source_url, dest_url
        Where its files lie, and where the dataset does.
    manner
        How to read.

    Returns
    -------
    told
        ``{"done_bytes": …}`` where it goes on, the record where this was the last part, ``{"changed": path}`` where a
        file changed meanwhile.
    """
    source, dataset, files, check = _opened(unit, source_url, dest_url, manner)
    if (done := dataset.record(unit["key"])) is not None:  # the answer of who did it was lost with its worker
        return done
    chain = Chain(dataset, Unit(files=tuple(files)))
    try:
        check_same(source, files)
        kept, found = _next_part(source, files, chain, manner)
        if manner.hash_inputs:
            kept = replace(kept, sha256=_sums(source, files, kept))
        check_same(source, files)
    except (ChangedMeanwhileError, FileNotFoundError):
        return {"changed": files[0].path}
    if found is None:
        check()
        chain.put(kept)
        return {"done_bytes": kept.done_bytes}
    record = dataset.write_unit(unit, found[0], found[1] | {"sha256": kept.sha256}, check)
    chain.sweep()
    return record


def do_again(
    unit: dict[str, Any], record: dict[str, Any], source_url: str, dest_url: str, manner: Manner = Manner()
) -> dict[str, Any]:
    """See whether files that look changed hold what they held, and if so keep what was made of them.

    Parameters
    ----------
    unit
        ``Unit.to_document``.
    record
        Of the unit with the same files but for their stamps.
    source_url, dest_url
        Where its files lie, and where the dataset does.
    manner
        With the permit to write.

    Returns
    -------
    told
        The record in its place; ``{"differs": …}`` where one holds something else or what was made of it is damaged,
        ``{"changed": path}`` where one changed meanwhile.
    """
    source, dataset, files, check = _opened(unit, source_url, dest_url, manner)
    if (done := dataset.record(unit["key"])) is not None:  # as above
        return done
    was = {entry["path"]: entry["stamp"] for entry in record["files"]}
    try:
        for file in files:
            if file.stamp != was[file.path] and sha256_of_input(source, file) != record["sha256"][file.path]:
                return {"differs": file.path}
        check_same(source, files)
    except (ChangedMeanwhileError, FileNotFoundError):
        return {"changed": files[0].path}
    check()
    try:
        return dataset.rename_unit(record, unit)
    except DamagedPartError as error:
        return {"differs": str(error)}


def _opened(
    unit: dict[str, Any], source_url: str, dest_url: str, manner: Manner
) -> tuple[Place, Dataset, list[SourceFile], Callable[[], None]]:
    """Open where files lie and tables go; the last is called before anything is put, and was called once."""
    keep_large_blocks()
    dataset = Dataset(open_place(dest_url))
    check = partial(check_permit, dataset, manner.permit)
    check()
    return open_place(source_url), dataset, [SourceFile(**file) for file in unit["files"]], check


def _next_part(source: Place, files: list[SourceFile], chain: Chain, manner: Manner) -> tuple[Kept, Found | None]:
    """Read on from the newest state that can be used; at the end of the unit give what was found."""
    for kept in chain.kept():
        try:
            return _read_on(source, files, kept, manner)
        except StateError:  # damaged, or of another version: one part less
            check_same(source, files)
        except UnavailableError:
            check_same(source, files)
            raise
    raise AssertionError("the beginning needs no state")


def _read_on(source: Place, files: list[SourceFile], kept: Kept, manner: Manner) -> tuple[Kept, Found | None]:
    from ccp_assess.capture.parts import scan_part  # noqa: PLC0415 - compiled code, loaded when needed
    from ccp_assess.capture.scan import BLOCK_BYTES  # noqa: PLC0415 - the same

    root = "" if source.local is None else f"{source.local}/"
    inputs = {
        file.path: f"{root}{file.path}" if root else InputObject(source, file, is_hashed=manner.hash_inputs)
        for file in files
        if file.path not in kept.left_out
    }
    if not inputs:
        return kept, _found(None, files, root, kept.left_out)
    try:
        part = scan_part(
            list(inputs.values()),
            kept.state,
            most_bytes=manner.part_bytes,
            stop_before_last=True,
            workers=manner.threads,
            block_bytes=manner.part_bytes if manner.part_bytes < BLOCK_BYTES else None,
        )
        found = None if part.scan is None else _found(assess_scan(part.scan), files, root, kept.left_out)
    except (StateError, UnavailableError):
        raise
    except Exception:
        check_same(source, files)

        def alone(file: SourceFile) -> None:
            scan = scan_part([inputs[file.path]], None, most_bytes=file.size + 1, workers=manner.threads).scan
            assess_scan(cast("Scan", scan))

        left_out = _left_out([file for file in files if file.path in inputs], alone, root)
        if not left_out:
            raise
        return Kept(left_out=kept.left_out | left_out, sha256=kept.sha256), None
    objects = [entry for entry in inputs.values() if isinstance(entry, InputObject)]
    kept = replace(
        kept,
        state=part.state,
        done_bytes=part.done_bytes,
        sha256=kept.sha256 | {entry.name: entry.sha256 for entry in objects if entry.sha256 is not None},
        is_before_last=part.is_before_last,
    )
    return kept, found


def _sums(source: Place, files: list[SourceFile], kept: Kept) -> dict[str, str]:
    """Hash the files that were read so far and are not hashed yet: it keeps pace with the reading."""
    sums, before_bytes = dict(kept.sha256), 0
    for file in files:
        if file.path not in sums and (kept.state is None or before_bytes < kept.done_bytes):
            sums[file.path] = sha256_of_input(source, file)
        before_bytes += file.size
    return sums


def _read(files: list[SourceFile], paths: list[Path], root: str, threads: int) -> Found:
    kind = files[0].kind
    if kind == "captures":
        return _read_captures(files, paths, root, threads)
    return _read_probes(files, paths, root) if kind == "probes" else _read_sites(files, paths, root)


def _read_captures(files: list[SourceFile], paths: list[Path], root: str, threads: int) -> Found:
    by_path = dict(zip((file.path for file in files), paths, strict=True))
    try:
        return _found(assess_captures(paths, workers=threads), files, root, {})
    except Exception:  # noqa: BLE001 - whatever a poisoned file does to the reader, the others go on
        left_out = _left_out(files, lambda file: assess_captures([by_path[file.path]], workers=threads), root)
        good = [path for name, path in by_path.items() if name not in left_out]
        return _found(assess_captures(good, workers=threads) if good else None, files, root, left_out)


def _left_out(files: list[SourceFile], read: Callable[[SourceFile], object], root: str) -> dict[str, str]:
    """Read each file alone, and tell of those that cannot be read why."""
    reasons = {}
    for file in files:
        try:
            read(file)
        except UnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - see above
            reasons[file.path] = _reason(error, root)
    return reasons


def _found(assessment: CaptureAssessment | None, files: list[SourceFile], root: str, left_out: dict[str, str]) -> Found:
    """Make the tables of a unit of captures, and what its record holds beside them."""
    set_aside = [{"path": path, "reason": reason} for path, reason in sorted(left_out.items())]
    if assessment is None:
        return _without_packets({}, set_aside)
    tables = tables_of_captures(assessment, files[0].client, files[0].site_id, root=root)
    return parts_by_day(tables), {
        "rows": {name: table.num_rows for name, table in sorted(tables.items())},
        "packets": sum(capture.packets for capture in assessment.scan.captures),
        "spans": _spans(assessment, root),
        "limits": list(assessment.scan.limits_hit),
        "set_aside": set_aside,
    }


def _without_packets(tables: dict[str, Any], set_aside: list[dict[str, str]]) -> Found:
    rows = {name: table.num_rows for name, table in tables.items()}
    return parts_by_day(tables), {"rows": rows, "packets": 0, "spans": {}, "limits": [], "set_aside": set_aside}


def _spans(assessment: CaptureAssessment, root: str) -> dict[str, list[int | None]]:
    return {
        Path(capture.path).as_posix().removeprefix(root): [capture.first_ns, capture.last_ns]
        for capture in assessment.scan.captures
    }


def _reason(error: Exception, root: str) -> str:
    text = (str(error) or type(error).__name__).splitlines()[0]
    text = text.replace(root, "") if root else text
    return text if isinstance(error, CcpAssessError) else f"the reader failed on it ({type(error).__name__}: {text})"


def _read_probes(files: list[SourceFile], paths: list[Path], root: str) -> Found:
    rows, set_aside = [], []
    for file, path in zip(files, paths, strict=True):
        try:
            for document in _documents(path):
                rows += probe_rows(document, file.path)
        except CcpAssessError as error:
            set_aside.append({"path": file.path, "reason": _reason(error, root)})
    rows.sort(key=lambda row: (row["time"] or "", row["region_code"] or "", row["source"]))
    return _without_packets({"probes": table_of_rows("probes", rows, files[0].client, files[0].site_id)}, set_aside)


def _documents(path: Path) -> tuple[dict[str, Any], ...]:
    """Read rounds of our own prober as they are, and what other tools wrote as the same kind of document."""
    try:
        rounds = read_rounds(path).documents
    except ParseError:
        rounds = ()
    if rounds and all(document.get("tool") == "ccp-assess" for document in rounds):
        return rounds
    return (probe_document_json(read_probe_file(path)),)


def _read_sites(files: list[SourceFile], paths: list[Path], root: str) -> Found:
    rows, set_aside = [], []
    for file, path in zip(files, paths, strict=True):
        try:
            rows += [_site_row(row) for row in read_rows(path, name=file.path, required=("site_id",))]
        except CcpAssessError as error:
            set_aside.append({"path": file.path, "reason": _reason(error, root)})
    rows.sort(key=lambda row: row["site_id"])
    return _without_packets({"sites": table_of_rows("sites", rows, files[0].client, files[0].site_id)}, set_aside)


def _site_row(row: Row) -> dict[str, Any]:
    words = ("name", "place", "country", "access", "provider")
    return {
        "site_id": text(row, "site_id"),
        "agents": optional_integer(row, "agents", low=0),
        **{name: optional_text(row, name) for name in words},
    }
