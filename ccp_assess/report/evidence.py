"""The evidence bundle: tables, documents and a manifest with checksums, so that every number can be followed back.

Packets stay with the client unless they are asked for, and then they are scrubbed. The bundle is its owner's alone
until it is handed over: folders 0700, files 0600.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, Literal

from ccp_assess.errors import CaptureError
from ccp_assess.files import PRIVATE_FOLDER_MODE, PRIVATE_MODE, sha256_of_file, write_whole
from ccp_assess.report import content
from ccp_assess.report.assumptions import assumption_rows
from ccp_assess.report.budgets import site_budgets
from ccp_assess.report.words import cell_for_spreadsheet

Row = dict[str, Any]

SCRUB_KEY_NAME = "scrub.key"
"""The client's key for scrubbing, in the client folder; it is never part of a bundle."""


def write_evidence(
    assessment: Any,
    folder: str | Path,
    *,
    parquet: bool = True,
    packets: Literal["none", "scrubbed", "original"] | bool = "none",
) -> Path:
    """Write the evidence bundle of an assessment.

    Parameters
    ----------
    assessment
        A client assessment.
    folder
        Where the bundle shall stand; it is made.
    parquet
        Whether to write the tables as Parquet beside CSV.
    packets
        Whether the client's captures come into it: ``scrubbed`` with the client's key (also ``True``), which stays in
        the client folder, or ``original``.

    Returns
    -------
    path
        Of ``manifest.json``.
    """
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(PRIVATE_FOLDER_MODE)
    written: list[Path] = []
    for name, document in _documents(assessment):
        written.append(_write(root / "json" / f"{name}.json", _json(document)))
    for name, rows in tables(assessment).items():
        flat = [dict(_flat(row)) for row in rows]
        if not flat:
            continue
        written.append(_write(root / "tables" / f"{name}.csv", csv_text(flat)))
        if parquet:
            written.append(_write(root / "tables" / f"{name}.parquet", parquet_bytes(flat)))
    if packets and packets != "none":
        written += _copy_captures(assessment.client, root / "captures", is_original=packets == "original")
    return _write(root / "manifest.json", _json(_manifest(assessment, root, written)))


def tables(assessment: Any) -> dict[str, list[Row]]:
    """Return the tables of an assessment, one list of rows each.

    Parameters
    ----------
    assessment
        A client assessment.

    Returns
    -------
    tables
        ``options, legs, budgets, calls, streams, seconds, endpoints, transactions, measurements, hops, findings,
        rules, assumptions`` and ``unknowns``; empty lists where there is nothing.
    """
    return {
        "options": [
            {key: value for key, value in option.items() if not key.startswith("by_")}
            for option in assessment.ranking.get("options", [])
        ],
        "legs": list(_legs(assessment.ranking)),
        "budgets": list(_budgets(assessment)),
        "calls": [
            {
                **call,
                "site_id": entry["site_id"],
                "file": entry.get("file"),
                "findings": [f["code"] for f in call["findings"]],
            }
            for entry in assessment.captures
            for call in entry["document"]["calls"]
        ],
        **{
            name: list(_capture_table(assessment, name)) for name in ("streams", "seconds", "endpoints", "transactions")
        },
        "measurements": content.measurement_rows(assessment),
        "hops": list(_hops(assessment)),
        "findings": [{**row, "evidence": dict(row["evidence"])} for row in content.finding_rows(assessment)],
        "rules": list((assessment.allowlist or {}).get("rules", [])),
        "assumptions": assumption_rows(assessment),
        "unknowns": [{"text": text} for text in assessment.unknowns],
    }


def _legs(ranking: dict[str, Any]) -> Iterator[Row]:
    for option in ranking.get("options", []):
        regions = " + ".join(option["regions"])
        for part, key in (
            ("agent", "by_site"),
            ("caller", "by_caller_origin"),
            ("transfer", "by_transfer"),
            ("reroute", "by_reroute"),
        ):
            for row in option.get(key) or []:
                yield {"option": regions, "part": part, **row}


def _budgets(assessment: Any) -> Iterator[Row]:
    for budget in site_budgets(assessment.client, assessment.ranking):
        for part in budget.parts:
            yield {
                "site_id": budget.site_id,
                "region_code": budget.region_code,
                "part": part.label,
                "one_way_ms": part.one_way_ms,
                "basis": part.basis,
            }


def _capture_table(assessment: Any, name: str) -> Iterator[Row]:
    for entry in assessment.captures:
        rows = entry.get(name) if name == "seconds" else entry["document"].get(name)
        rows = rows.to_dict("records") if hasattr(rows, "to_dict") else rows
        for row in rows or []:
            yield {"site_id": entry["site_id"], "file": entry.get("file"), **row}


def _hops(assessment: Any) -> Iterator[Row]:
    for document in assessment.measurements:
        for region in document["regions"]:
            for hop in (region.get("path") or {}).get("hops") or []:
                yield {
                    "site_id": document.get("site_id"),
                    "region_code": region.get("region_code"),
                    "time": document.get("time"),
                    "source": document.get("source"),
                    **hop,
                }


def _documents(assessment: Any) -> Iterator[tuple[str, Any]]:
    yield "ranking", assessment.ranking
    yield "measurements", list(assessment.measurements)
    if assessment.allowlist:
        yield "allowlist", assessment.allowlist
    for index, entry in enumerate(assessment.captures, start=1):
        yield f"capture-{index:03d}", {key: entry.get(key) for key in ("site_id", "file", "document")}
    for index, entry in enumerate(getattr(assessment, "audit", ()) or (), start=1):
        yield f"audit-{index:03d}", entry


def _manifest(assessment: Any, root: Path, written: Iterable[Path]) -> Row:
    return {
        "client": assessment.client.name,
        "assessed_at": assessment.assessed_at,
        "valid_until": content.valid_until(assessment.assessed_at),
        "versions": dict(content.versions()),
        "files": [
            {"path": path.relative_to(root).as_posix(), "bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
            for path in sorted(written)
        ],
        "inputs": content.input_files(assessment),
        "reference": content.reference_rows(),
    }


def _copy_captures(client: Any, folder: Path, *, is_original: bool) -> list[Path]:
    """Copy the client's captures, scrubbed unless the originals are asked for; what is no capture is left out."""
    from ccp_assess.capture.scrub import scrub_capture  # noqa: PLC0415 - compiled code: only when packets are asked for

    folder.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
    written = []
    for file in client.captures:
        target = folder / Path(f"{file.site_id}__{file.path.name}" if file.site_id else file.path.name).name
        try:
            if is_original:
                written.append(_write(target, file.path.read_bytes()))
                continue
            scrub_capture(file.path, target, key=client.folder / SCRUB_KEY_NAME)
        except CaptureError:  # the assessment has said why already
            continue
        written.append(target)
    return written


def _write(path: Path, data: str | bytes) -> Path:
    path.parent.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
    write_whole(path, data, mode=PRIVATE_MODE)
    return path


def _plain(value: Any) -> Any:
    """Make a value fit for JSON: no NaN, no numpy scalars, no tuples."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _json(document: Any) -> str:
    return json.dumps(_plain(document), indent=1, allow_nan=False) + "\n"


def _flat(row: Row, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Flatten nested values: `in.loss_pct`; lists of plain values become one text."""
    for key, value in row.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}.")
        elif isinstance(value, list | tuple):
            plain = all(not isinstance(item, dict | list | tuple) for item in value)
            yield (
                name,
                " ".join("unknown" if v is None else str(v) for v in value) if plain else json.dumps(_plain(value)),
            )
        else:
            yield name, _plain(value)


def _columns(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def csv_text(rows: list[Row]) -> str:
    """Write rows as CSV: unknown is an empty cell, and no cell starts a formula.

    Parameters
    ----------
    rows
        Flat rows.

    Returns
    -------
    text
        UTF-8 with a byte order mark, so that spreadsheets read names right.
    """
    buffer = StringIO()
    writer = csv.DictWriter(buffer, _columns(rows), restval="", lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: "" if value is None else cell_for_spreadsheet(value) for key, value in row.items()})
    return "\ufeff" + buffer.getvalue()


def parquet_bytes(rows: list[Row]) -> bytes:
    """Write rows as Parquet: unknown is null.

    Parameters
    ----------
    rows
        Flat rows.

    Returns
    -------
    data
        The file's content.
    """
    import pyarrow as pa  # noqa: PLC0415 - a heavy library that only this file needs
    from pyarrow import parquet  # noqa: PLC0415 - the same

    arrays = {}
    for name in _columns(rows):
        values = [row.get(name) for row in rows]
        try:
            arrays[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError):  # a column of numbers and words: words then
            numbers = all(
                value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
            )
            arrays[name] = (
                pa.array([None if value is None else float(value) for value in values])
                if numbers
                else pa.array([None if value is None else str(value) for value in values])
            )
    sink = BytesIO()
    parquet.write_table(pa.table(arrays), sink)
    return sink.getvalue()
