"""``ccp-assess capture plan``: the test calls of an engagement, to tick off."""

from __future__ import annotations

from pathlib import Path

import typer


def plan(
    file: Path = typer.Argument(..., metavar="PLAN.csv", help="The plan, such as CLIENT_DIR/test-calls.csv."),
    new: bool = typer.Option(False, "--new", help="Make it: inbound, outbound, transfer, conference, hold, long."),
    rounds: int = typer.Option(1, "--rounds", min=1, max=100, help="With --new: how often the list is gone through."),
    done: int | None = typer.Option(None, "--done", min=1, help="Tick off the call with this number."),
    outcome: str = typer.Option("ok", "--outcome", help="With --done: ok, softphone_error, dropped or no_audio."),
    began: str | None = typer.Option(None, "--began", help="With --done: when the call began (ISO); without it, now."),
    note: str | None = typer.Option(None, "--note", help="With --done: a remark."),
    capture: list[Path] = typer.Option([], "--capture", help="Tie the calls to what this capture shows; may repeat."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Keep the list of test calls: make it, tick calls off, tie them to captures.

    The file is also a log for `ccp-assess trial --log`.
    """
    from datetime import UTC, datetime

    from ccp_assess.assess.call_plan import join_captures, new_plan, read_plan, tick, write_plan
    from ccp_assess.cli.output import print_json, printable

    if new and file.exists():
        raise typer.BadParameter(f"{file} is there already; leave out --new", param_hint="--new")
    calls = new_plan(rounds=rounds) if new else read_plan(file)
    if done is not None:
        try:
            moment = datetime.now(UTC) if began is None else datetime.fromisoformat(began).astimezone()
        except (ValueError, OverflowError) as error:
            raise typer.BadParameter(
                f"{began!r} is no time; write it as 2026-11-23T09:30", param_hint="--began"
            ) from error
        calls = tick(calls, done, outcome, moment, note=note)
    if capture:
        from ccp_assess.assess.captures import assess_captures

        calls = join_captures(calls, [(path.name, assess_captures([path]).to_document()) for path in capture])
    if new or done is not None or capture:
        write_plan(calls, file)
    if as_json:
        print_json([call.to_document() for call in calls])
        return
    for call in calls:
        state = f"{call.outcome} at {call.time}" if call.is_done else "to do"
        shown = f", call {call.call_id} in {call.capture}" if call.call_id else ""
        typer.echo(printable(f"{call.number:3d}  {call.kind:10s}  {state}{shown}"))
        if not call.is_done:
            typer.echo(printable(f"     {call.what_to_do}"))
    typer.echo(f"{sum(call.is_done for call in calls)} of {len(calls)} calls made.")
