"""The tables of a capture as Parquet files, each with its full set of columns even when it has no row."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from ccp_assess.assess.capturerows import FLAG, INSTANT, INTEGER, NUMBER, SCHEMAS, TEXT, table_columns
from ccp_assess.capture.collecting import address_text

if TYPE_CHECKING:
    import pyarrow as pa

    from ccp_assess.assess.captures import CaptureAssessment

_TCP = 6


def _arrow_type(kind: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - a fifth of a second that only --out need pay

    return {
        TEXT: pa.string(),
        INTEGER: pa.int64(),
        NUMBER: pa.float64(),
        FLAG: pa.bool_(),
        INSTANT: pa.timestamp("ns", tz="UTC"),
    }[kind]


def table_of(assessment: CaptureAssessment, name: str) -> pa.Table:
    """Make one table.

    Parameters
    ----------
    assessment
        Of a capture.
    name
        A key of :data:`SCHEMAS`.

    Returns
    -------
    table
        With every column of its schema.
    """
    import pyarrow as pa  # noqa: PLC0415 - a fifth of a second that only --out need pay

    columns = table_columns(assessment, name)
    arrays = [pa.array(columns[column], type=_arrow_type(kind)) for column, kind in SCHEMAS[name].items()]
    schema = pa.schema([(column, _arrow_type(kind)) for column, kind in SCHEMAS[name].items()])
    return pa.Table.from_arrays(arrays, schema=schema)


def write_tables(assessment: CaptureAssessment, folder: Path) -> list[Path]:
    """Write the tables as Parquet, each whole or not at all.

    Parameters
    ----------
    assessment
        Of a capture.
    folder
        Made if it is missing.

    Returns
    -------
    paths
        What was written.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 - a fifth of a second that only --out need pay

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in SCHEMAS:
        path = folder / f"{name}.parquet"
        temporary = _temporary(folder, name)
        try:
            pq.write_table(table_of(assessment, name), temporary)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        written.append(path)
    return written


def _temporary(folder: Path, name: str) -> Path:
    handle, path = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
    os.close(handle)
    return Path(path)


class PacketTable:
    """The table of packets, written block by block while a capture is read; memory does not grow with the file.

    Use it as a context: only when the context ends without an error does ``packets.parquet`` appear.

    Parameters
    ----------
    folder
        Made if it is missing.
    """

    COLUMNS: ClassVar[dict[str, str]] = {
        "time": INSTANT, "frame": INTEGER, "src": TEXT, "src_port": INTEGER, "dst": TEXT, "dst_port": INTEGER,
        "protocol": INTEGER, "bytes": INTEGER, "payload_bytes": INTEGER, "captured_bytes": INTEGER, "ttl": INTEGER,
        "tcp_flags": INTEGER, "tcp_seq": INTEGER, "fragmented": FLAG,
    }  # fmt: skip
    """Columns with their kinds; ``protocol`` is the IP protocol number."""

    def __init__(self, folder: Path) -> None:
        import pyarrow as pa  # noqa: PLC0415 - a fifth of a second that only --out need pay
        import pyarrow.parquet as pq  # noqa: PLC0415 - the same

        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "packets.parquet"
        self._temporary = _temporary(folder, "packets")
        self._schema = pa.schema([(name, _arrow_type(kind)) for name, kind in self.COLUMNS.items()])
        self._writer = pq.ParquetWriter(str(self._temporary), self._schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.close()
        if kind is None:
            self._temporary.replace(self._path)
        else:
            self._temporary.unlink(missing_ok=True)

    def add(self, rows: npt.NDArray[np.void]) -> None:
        """Write a block of packets.

        Parameters
        ----------
        rows
            Rows of ``ccp_assess.wire.columns.PACKET``.
        """
        import pyarrow as pa  # noqa: PLC0415 - see above

        is_tcp = rows["protocol"] == _TCP
        values = {
            "time": rows["time_ns"],
            "frame": rows["frame"],
            "src": _addresses(rows["src_high"], rows["src_low"]),
            "src_port": rows["src_port"],
            "dst": _addresses(rows["dst_high"], rows["dst_low"]),
            "dst_port": rows["dst_port"],
            "protocol": rows["protocol"],
            "bytes": rows["bytes"],
            "payload_bytes": rows["length"],
            "captured_bytes": rows["captured"],
            "ttl": rows["ttl"],
            "tcp_flags": np.ma.masked_array(rows["tcp_flags"], ~is_tcp),
            "tcp_seq": np.ma.masked_array(rows["tcp_seq"], ~is_tcp),
            "fragmented": rows["fragmented"],
        }
        arrays = []
        for name, kind in self.COLUMNS.items():
            column = values[name]
            mask = column.mask if isinstance(column, np.ma.MaskedArray) else None
            plain = np.ascontiguousarray(np.ma.getdata(column)) if isinstance(column, np.ndarray) else column
            plain = plain.astype(np.int64) if isinstance(plain, np.ndarray) and kind in {INTEGER, INSTANT} else plain
            arrays.append(pa.array(plain, type=_arrow_type(kind), mask=mask))
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))


def _addresses(high: npt.NDArray[np.int64], low: npt.NDArray[np.int64]) -> list[str]:
    pairs, inverse = np.unique(np.stack([high, low], axis=1), axis=0, return_inverse=True)
    texts = [address_text(int(a), int(b)) for a, b in pairs]
    return [texts[number] for number in inverse.ravel().tolist()]
