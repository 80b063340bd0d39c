"""What a worker does: one unit from files to parts. It knows nothing of who asked."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ccp_assess.assess.captures import CaptureAssessment, assess_captures
from ccp_assess.csvtext import Row, optional_integer, optional_text, read_rows, text
from ccp_assess.errors import CcpAssessError, ParseError
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.probe_rows import probe_rows
from ccp_assess.fleet.rows import Parts, parts_by_day, table_of_rows, tables_of_captures
from ccp_assess.fleet.sources import Place, SourceFile, open_place, stamp_of
from ccp_assess.probe.imports import probe_document_json, read_probe_file
from ccp_assess.probe.round_files import read_rounds


class ChangedMeanwhileError(CcpAssessError):
    """A file changed while it was read: its unit is planned again."""


def do_unit(unit: dict[str, Any], source_url: str, dest_url: str) -> dict[str, Any]:
    """Read a unit and put its parts and its record.

    Parameters
    ----------
    unit
        ``Unit.to_document``.
    source_url, dest_url
        Where its files lie, and where the dataset does.

    Returns
    -------
    record
        What was written; ``{"changed": path}`` where a file changed meanwhile and nothing was.
    """
    source = open_place(source_url)
    files = [SourceFile(**file) for file in unit["files"]]
    with tempfile.TemporaryDirectory(prefix="ccp-assess-fleet-") as folder:
        try:
            root, paths = _bring(source, files, Path(folder))
            parts, found = _read(files, paths, root)
            _still_the_same(source, files)
        except (ChangedMeanwhileError, FileNotFoundError):
            return {"changed": files[0].path}
    return Dataset(open_place(dest_url)).write_unit(unit, parts, found)


def _bring(source: Place, files: list[SourceFile], folder: Path) -> tuple[str, list[Path]]:
    """Find local files for a unit: the files themselves, or copies of the objects."""
    _still_the_same(source, files)
    if source.local is not None:
        return f"{source.local}/", [source.local / file.path for file in files]
    paths = []
    for file in files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        source.fs.get_file(source.full(file.path), str(path))
        if path.stat().st_size != file.size:
            raise ChangedMeanwhileError(file.path)
        paths.append(path)
    return f"{folder}/", paths


def _still_the_same(source: Place, files: list[SourceFile]) -> None:
    source.fs.invalidate_cache()
    for file in files:
        if stamp_of(source.fs.info(source.full(file.path))) != (file.size, file.stamp):
            raise ChangedMeanwhileError(file.path)


def _read(files: list[SourceFile], paths: list[Path], root: str) -> tuple[Parts, dict[str, Any]]:
    kind = files[0].kind
    if kind == "captures":
        return _read_captures(files, paths, root)
    return _read_probes(files, paths, root) if kind == "probes" else _read_sites(files, paths, root)


def _read_captures(files: list[SourceFile], paths: list[Path], root: str) -> tuple[Parts, dict[str, Any]]:
    good, set_aside = list(paths), []
    try:
        assessment = assess_captures(good, workers=1)
    except Exception:  # noqa: BLE001 - whatever a poisoned file does to the reader, the others go on
        good = []
        for file, path in zip(files, paths, strict=True):
            try:
                assess_captures([path], workers=1)
                good.append(path)
            except Exception as error:  # noqa: BLE001 - the same
                set_aside.append({"path": file.path, "reason": _reason(error, root)})
        if not good:
            return {}, {"rows": {}, "packets": 0, "spans": {}, "set_aside": set_aside}
        assessment = assess_captures(good, workers=1)
    tables = tables_of_captures(assessment, files[0].client, files[0].site_id, root=root)
    found = {
        "rows": {name: table.num_rows for name, table in sorted(tables.items())},
        "packets": sum(capture.packets for capture in assessment.scan.captures),
        "spans": _spans(assessment, root),
        "set_aside": set_aside,
    }
    return parts_by_day(tables), found


def _spans(assessment: CaptureAssessment, root: str) -> dict[str, list[int | None]]:
    return {
        Path(capture.path).as_posix().removeprefix(root): [capture.first_ns, capture.last_ns]
        for capture in assessment.scan.captures
    }


def _reason(error: Exception, root: str) -> str:
    text = (str(error) or type(error).__name__).splitlines()[0].replace(root, "")
    return text if isinstance(error, CcpAssessError) else f"the reader failed on it ({type(error).__name__}: {text})"


def _read_probes(files: list[SourceFile], paths: list[Path], root: str) -> tuple[Parts, dict[str, Any]]:
    rows, set_aside = [], []
    for file, path in zip(files, paths, strict=True):
        try:
            for document in _documents(path):
                rows += probe_rows(document, file.path)
        except CcpAssessError as error:
            set_aside.append({"path": file.path, "reason": _reason(error, root)})
    rows.sort(key=lambda row: (row["time"] or "", row["region_code"] or "", row["source"]))
    table = table_of_rows("probes", rows, files[0].client, files[0].site_id)
    found = {"rows": {"probes": table.num_rows}, "packets": 0, "spans": {}, "set_aside": set_aside}
    return parts_by_day({"probes": table}), found


def _documents(path: Path) -> tuple[dict[str, Any], ...]:
    """Read rounds of our own prober as they are, and what other tools wrote as the same kind of document."""
    try:
        rounds = read_rounds(path).documents
    except ParseError:
        rounds = ()
    if rounds and all(document.get("tool") == "ccp-assess" for document in rounds):
        return rounds
    return (probe_document_json(read_probe_file(path)),)


def _read_sites(files: list[SourceFile], paths: list[Path], root: str) -> tuple[Parts, dict[str, Any]]:
    rows, set_aside = [], []
    for file, path in zip(files, paths, strict=True):
        try:
            rows += [_site_row(row) for row in read_rows(path, name=file.path, required=("site_id",))]
        except CcpAssessError as error:
            set_aside.append({"path": file.path, "reason": _reason(error, root)})
    rows.sort(key=lambda row: row["site_id"])
    table = table_of_rows("sites", rows, files[0].client, files[0].site_id)
    return parts_by_day({"sites": table}), {
        "rows": {"sites": len(rows)},
        "packets": 0,
        "spans": {},
        "set_aside": set_aside,
    }


def _site_row(row: Row) -> dict[str, Any]:
    words = ("name", "place", "country", "access", "provider")
    return {
        "site_id": text(row, "site_id"),
        "agents": optional_integer(row, "agents", low=0),
        **{name: optional_text(row, name) for name in words},
    }
