"""`ccp-assess regions`: what geography says of round trips (`estimate`), and where the instance should be (`rank`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="regions", no_args_is_help=True, help="Where the instance should be, and why.")


@app.command()
def estimate(
    pairs: Annotated[
        Path, typer.Option(help="CSV with from_lat, from_lon, to_lat, to_lon (from_country, to_country).")
    ],
    access: Annotated[bool, typer.Option("--access", help="One end of each pair is an office or a home.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate round-trip times of pairs of points from geography alone."""
    from ccp_assess.cli.output import print_json
    from ccp_assess.selection.pairs import estimate_pairs, read_pairs

    estimates = estimate_pairs(read_pairs(pairs), ends="access" if access else "data_centres")
    if as_json:
        print_json(
            [
                {
                    "great_circle_km": one.great_circle_km,
                    "rtt_ms": one.rtt_ms,
                    "rtt_band90_ms": list(one.rtt_band90_ms),
                    "basis": one.basis,
                }
                for one in estimates
            ]
        )
        return
    typer.echo("great_circle_km  rtt_ms  band90_low_ms  band90_high_ms  basis")
    for one in estimates:
        low_ms, high_ms = one.rtt_band90_ms
        typer.echo(f"{one.great_circle_km:15.1f}  {one.rtt_ms:6.1f}  {low_ms:13.1f}  {high_ms:14.1f}  {one.basis}")


@app.command()
def rank(
    *,
    client_dir: Annotated[Path, typer.Argument(help="The client folder.")],
    instances: Annotated[int, typer.Option(help="Up to how many instances an option may have.", min=1, max=4)] = 1,
    draws: Annotated[int, typer.Option(help="How many worlds to simulate.", min=1)] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 1,
    captures: Annotated[bool, typer.Option(help="Take round trips and loss from captures too.")] = True,
    use_case: Annotated[
        str | None,
        typer.Option(help="voice, video, telephone_only, media_less or chat: which legs and limits count."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Rank where the instance (or the instances) should be, with reasons and certainty."""
    from ccp_assess.assess.region_ranking import rank_client
    from ccp_assess.cli.output import print_json, printable

    ranking, left_out = rank_client(
        client_dir, instances=instances, draws=draws, seed=seed, captures=captures, use_case=use_case
    )
    for sentence in left_out:
        typer.echo(f"ccp-assess: {printable(sentence)}", err=True)
    document = ranking.to_document()
    if as_json:
        print_json(document)
        return
    for sentence in ranking.sentences:
        typer.echo(printable(sentence))
    typer.echo("\n                                     at the median of every leg      expected (decides)")
    typer.echo("rank  region(s)                      mean_ms  p95_ms   MOS  over_400   MOS  over_400  best_in_pct")
    for option in document["options"]:
        if option["rank"] is None or option["rank"] > 15:
            continue
        delay, expected = option["mouth_to_ear_ms"], option["expected"]
        typer.echo(
            f"{option['rank']:4d}  {' + '.join(option['regions']):30s}  {delay['mean']:7.0f}  {delay['p95']:6.0f}  "
            f"{_cell(option['mos_cqe']['mean'], 2):>4s}  {option['share_over_400_ms_pct']:8.1f}  "
            f"{_cell(expected['mos_cqe'], 2):>4s}  {expected['share_over_400_ms_pct']:8.1f}  "
            f"{_cell(option['probability_best_pct'], 0):>11s}"
        )
    for caveat in document["recommendation"]["caveats"]:
        typer.echo(f"- {printable(caveat)}")


def _cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
