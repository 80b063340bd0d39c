"""`ccp-assess regions`: what geography says of round trips (`estimate`)."""

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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate round-trip times of pairs of points from geography alone."""
    from ccp_assess.cli.output import print_json
    from ccp_assess.selection.pairs import estimate_pairs, read_pairs

    estimates = estimate_pairs(read_pairs(pairs))
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
