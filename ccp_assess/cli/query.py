"""``ccp-assess query``: questions to the dataset of many sites."""

from __future__ import annotations

import typer


def query(
    sql: str | None = typer.Argument(None, help="One select; without it, what can be asked is listed."),
    store: str = typer.Option(".", "--store", help="Folder or bucket of the dataset."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
    as_csv: bool = typer.Option(False, "--csv", help="Print CSV."),
) -> None:
    """Ask the dataset of `fleet run` in SQL; `select * from worst_sites` is a good first question."""
    import atexit
    import gc

    from ccp_assess.cli.output import print_json
    from ccp_assess.fleet.store import Store, describe

    atexit.unregister(gc.freeze)  # the database's binding wants to be taken apart at the end, and says so loudly
    if sql is None:
        for name, told in describe():
            typer.echo(f"{name}: {told}")
        return
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv", param_hint="--csv")
    with Store(store) as opened:
        answer = opened.ask(sql)
    rows = [{name: _plain(value) for name, value in row.items()} for row in answer.to_rows()]
    if as_json:
        print_json(rows)
    elif as_csv:
        _print_csv(answer.columns, rows)
    else:
        _print_table(answer.columns, rows)


def _plain(value: object) -> object:
    """Write instants as RFC 3339 and whatever else JSON does not know as text."""
    from datetime import datetime

    if isinstance(value, datetime):
        return value.isoformat() + "Z"
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value)


def _print_csv(columns: tuple[str, ...], rows: list[dict[str, object]]) -> None:
    import csv
    import sys

    from ccp_assess.cli.output import printable

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([printable(name) for name in columns])
    for row in rows:
        writer.writerow(["" if value is None else _safe(value) for value in row.values()])


def _safe(value: object) -> object:
    """Keep a spreadsheet from taking hostile text for a formula."""
    from ccp_assess.cli.output import printable

    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _print_table(columns: tuple[str, ...], rows: list[dict[str, object]]) -> None:
    from ccp_assess.cli.output import printable

    cells = [["" if value is None else printable(_shown(value)) for value in row.values()] for row in rows]
    names = [printable(name) for name in columns]
    widths = [max([len(name), *(len(row[number]) for row in cells)]) for number, name in enumerate(names)]
    for line in (names, *cells):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
