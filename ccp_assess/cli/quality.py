"""``ccp-assess quality``: the E-model alone."""

from __future__ import annotations

import typer


def quality(
    *,
    delay_ms: float = typer.Option(..., "--delay-ms", help="One-way mouth-to-ear delay [ms]."),
    loss_pct: float = typer.Option(0.0, "--loss-pct", help="Packet loss, network plus late [%]."),
    burst_ratio: float = typer.Option(1.0, "--burst-ratio", help="BurstR of G.107; 1 is random loss."),
    codec: str = typer.Option("none", "--codec", help="none, opus, g711, opus+g711 or another row of codecs.csv."),
    echo_telr_db: float | None = typer.Option(
        None, "--echo-telr-db", help="Talker echo loudness rating [dB]; without it echo counts as cancelled."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Rate a connection by the E-model (ITU-T G.107): delay, loss and codec in, R and MOS out."""
    from ccp_assess.cli.output import print_json
    from ccp_assess.quality.emodel import rate

    rating = rate(delay_ms, loss_pct, burst_ratio, codec, echo_telr_db=echo_telr_db)
    if as_json:
        print_json(
            {
                "scale": rating.scale,
                "r_factor": rating.r_factor,
                "mos_cqe": rating.mos_cqe,
                "id": rating.id,
                "ie_eff": rating.ie_eff,
                "idte": rating.idte,
                "idle": rating.idle,
                "idd": rating.idd,
                "ro": rating.ro,
                "is": rating.is_,
                "codec": rating.codec,
            }
        )
        return
    typer.echo(
        f"R {rating.r_factor:.1f}, MOS-CQE {rating.mos_cqe:.2f} ({rating.scale}, codec {rating.codec}); "
        f"delay costs {rating.id:.1f}, codec and loss {rating.ie_eff:.1f}"
    )
