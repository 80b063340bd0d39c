"""`ccp-assess trial`: the 200-call trial, planned and judged."""

from __future__ import annotations

from pathlib import Path

import typer


def trial(
    calls: int | None = typer.Option(None, "--calls", help="Calls made."),
    failures: int | None = typer.Option(None, "--failures", help="Calls that failed."),
    log: list[Path] = typer.Option(
        [], "--log", help="CSV of calls (time, class, outcome) or an agent log of the CCP; may be repeated."
    ),
    capture: list[Path] = typer.Option([], "--capture", help="Count the calls of a capture; may be repeated."),
    call_class: str = typer.Option(
        "unknown", "--class", help="What the captured calls tested: answer, conference or transfer."
    ),
    sequential: bool = typer.Option(False, "--sequential", help="Judge a log that is still growing, at every look."),
    plan_rate: float | None = typer.Option(None, "--plan", help="How many calls tell a true rate of X % from 2 %."),
    power: float = typer.Option(80.0, "--power", help="Chance that the planned trial decides, in percent."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Judge a trial of calls: whether the error rate is below 2 %."""
    from ccp_assess.cli.output import print_json, printable
    from ccp_assess.trial import count_calls, judge, plan

    read = bool(log) or bool(capture)
    if sum((plan_rate is not None, read, calls is not None or failures is not None)) != 1:
        raise typer.BadParameter("give --calls with --failures, or --log FILE, --capture FILE or both, or --plan RATE")
    if plan_rate is not None:
        planned = plan(plan_rate, power)
        if as_json:
            print_json(planned.to_document())
            return
        word = "at most" if planned.expects == "pass" else "at least"
        typer.echo(
            f"{planned.calls} calls: if the true rate is {plan_rate:g} %, the trial ends with a {planned.expects} with "
            f"a chance of at least {power:g} % ({word} {planned.most_failures} failures)."
        )
        return
    if read:
        from ccp_assess.assess.trial_calls import calls_from_captures, calls_from_log

        counted = [call for path in _different(log) for call in calls_from_log(path)]
        counted += calls_from_captures(_different(capture), call_class)
        result = count_calls(counted, sequential=sequential)
    elif calls is None or failures is None:
        raise typer.BadParameter("--calls and --failures belong together")
    else:
        result = judge(calls, failures, sequential=sequential)
    if as_json:
        print_json(result.to_document())
        return
    low, high = result.ci95_pct
    typer.echo(
        f"{result.verdict.upper()}: {result.failures} of {result.calls} calls failed, {result.failure_rate_pct:.2f} %"
    )
    typer.echo(f"95 % interval: {low:.2f} to {high:.2f} % (exact); judged by {result.method}")
    for name, counts in result.by_class.items():
        typer.echo(f"{name}: {counts['calls']} calls, {counts['failures']} failed")
    for reason in result.reasons:
        typer.echo(f"- {printable(reason)}")
    if result.calls_needed is not None:
        typer.echo(f"Still needed: {result.calls_needed} calls, if none of them fails.")


def _different(paths: list[Path]) -> list[Path]:
    """Leave out files that hold just what another one does: their calls would count twice."""
    from ccp_assess.cli.output import printable
    from ccp_assess.files import sha256_of_file

    kept: dict[str, Path] = {}
    for path in paths:
        same = kept.setdefault(sha256_of_file(path) if path.is_file() else str(path), path)
        if same is not path:
            typer.echo(printable(f"{path} holds just what {same} does; it was left out."), err=True)
    return list(kept.values())
