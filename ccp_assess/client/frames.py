"""The client's tables as plain records, ready for a data frame."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ccp_assess.client.records import Client

TABLES = ("sites", "callers", "transfers", "reroutes", "files")
_FILE_KINDS = ("captures", "probes", "logs", "rules")


def records_of(client: Client, table: str) -> list[dict[str, Any]]:
    """Return one table of a client as records.

    Parameters
    ----------
    client
        The client.
    table
        One of ``TABLES``.

    Returns
    -------
    records
        One mapping of column to value for each row; the client's own columns stand last.

    Raises
    ------
    KeyError
        If there is no such table.
    """
    if table == "files":
        return [
            {"kind": kind, "site_id": file.site_id, "path": str(file.path)}
            for kind in _FILE_KINDS
            for file in getattr(client, kind)
        ]
    if table not in TABLES:
        raise KeyError(f"table {table!r} is unknown; there are {', '.join(TABLES)}")
    rows = [asdict(row) for row in getattr(client, table)]
    extras = client.extras.get(table, ({},) * len(rows))
    return [
        {**_plain(row), **{name: cell for name, cell in extra.items() if name not in row}}
        for row, extra in zip(rows, extras, strict=True)
    ]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: " ".join(value) if isinstance(value, tuple) else value for name, value in row.items()}
