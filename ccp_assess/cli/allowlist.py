"""`ccp-assess allowlist`: build the rules, audit a client's, verify them, and watch the published ranges."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

_CODE = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-\d{1,2}")


class ManyRegions(TyperCommand):
    """Understands ``--region us-east-1 us-west-2`` as well as the option repeated."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each further code."""
        told: list[str] = []
        within = False
        for arg in args:
            if within and _CODE.fullmatch(arg) and told[-1] != "--region":
                told.append("--region")
            told.append(arg)
            within = arg == "--region" or arg.startswith("--region=") or (within and bool(_CODE.fullmatch(arg)))
        return super().parse_args(ctx, told)


app = typer.Typer(no_args_is_help=True, help="Firewall rules: build, audit, verify, diff, watch.")

REGION = typer.Option(
    ..., "--region", help="Region code(s); may be repeated, or several in one, with commas or spaces."
)
OPTION = typer.Option("domains", "--option", help="domains (Option 1), addresses (Option 2) or hybrid.")
TURN = typer.Option("wildcard", "--turn", help="Audio relays by wildcard or by the named load balancers.")
STATIC = typer.Option("all", "--static", help="all, or named: without *.cloudfront.net where names are listed.")
FROM = typer.Option([], "--from", help="Subnet of the workstations (CIDR); may be repeated.")
INSTANCE = typer.Option(None, "--instance", help="Alias of the instance.")
INSTANCE_ID = typer.Option(None, "--instance-id", help="Identifier of the instance (Global Resiliency).")
LEGACY = typer.Option(False, "--legacy-domain", help="Also the old awsapps.com domain.")
NO_SAML = typer.Option(False, "--no-saml", help="Agents do not sign in by SAML.")
RESILIENCY = typer.Option(False, "--global-resiliency", help="Onboarded to Global Resiliency.")
SCHEDULING = typer.Option(False, "--scheduling", help="Uploads of time-off balances and allowances.")
APP_CALLING = typer.Option(False, "--app-calling", help="In-app, web and video calling.")
STATELESS = typer.Option(None, "--stateless", help="Stateless firewall: windows, linux, macos or any.")
MEDIA_LESS = typer.Option(False, "--media-less", help="No audio in the browser, or audio rerouted to a telephone.")
BUCKET = typer.Option(None, "--attachments-bucket", help="Name of the attachments' S3 bucket.")
EC2_GLOBAL = typer.Option(False, "--ec2-global", help="Also the EC2 entries that belong to no Region.")
SHIFT = typer.Option(None, "--shift", help="Length of a shift, such as 8h.")
BREAKS = typer.Option(None, "--breaks", help="Breaks on top of it, such as 1h.")
RANGES = typer.Option(None, "--ip-ranges", help="An ip-ranges.json (plain or gzip) instead of the shipped snapshot.")
AS_JSON = typer.Option(False, "--json", help="Print one JSON document.")
OUT = typer.Option(None, "--out", help="Write to this file instead of standard output.")


def _regions(values: list[str]) -> list[str]:
    return [code for value in values for code in value.replace(",", " ").split()]


def _ranges(path: Path | None) -> Any:
    from ccp_assess.ranges import read_ranges

    return read_ranges(path)


def _emit(content: str | bytes, out: Path | None) -> None:
    from ccp_assess.cli.output import write_whole

    if out is not None:
        write_whole(out, content)
    elif isinstance(content, bytes):
        sys.stdout.buffer.write(content)
    else:
        sys.stdout.write(content)


def _say(sentences: tuple[str, ...]) -> None:
    from ccp_assess.cli.output import printable

    for sentence in sentences:
        sys.stderr.write(f"left out: {printable(sentence)}\n")


@app.command("build", cls=ManyRegions)
def build_rules(
    region: list[str] = REGION,
    option: str = OPTION,
    turn: str = TURN,
    static: str = STATIC,
    from_subnets: list[str] = FROM,
    instance: str = INSTANCE,
    instance_id: str = INSTANCE_ID,
    legacy_domain: bool = LEGACY,
    no_saml: bool = NO_SAML,
    global_resiliency: bool = RESILIENCY,
    scheduling: bool = SCHEDULING,
    app_calling: bool = APP_CALLING,
    stateless: str = STATELESS,
    media_less: bool = MEDIA_LESS,
    attachments_bucket: str = BUCKET,
    ec2_global: bool = EC2_GLOBAL,
    shift: str = SHIFT,
    breaks: str = BREAKS,
    ip_ranges: Path = RANGES,
    format_name: str = typer.Option("table", "--format", help="table, csv, json, … (a wrong name lists them all)."),
    proxy: str = typer.Option(None, "--proxy", help="HOST:PORT for everything else, in a PAC file."),
    as_json: bool = AS_JSON,
    out: Path = OUT,
) -> None:
    """Build the rules for one or more Regions."""
    from ccp_assess.allowlist import build
    from ccp_assess.allowlist.formats import render

    built = build(
        _regions(region),
        option,  # type: ignore[arg-type]  # checked by build
        ranges=_ranges(ip_ranges),
        turn=turn,  # type: ignore[arg-type]
        static=static,  # type: ignore[arg-type]
        from_subnets=from_subnets,
        instance=instance,
        instance_id=instance_id,
        legacy_domain=legacy_domain,
        saml=not no_saml,
        global_resiliency=global_resiliency,
        scheduling=scheduling,
        app_calling=app_calling,
        stateless=stateless,  # type: ignore[arg-type]
        media_less=media_less,
        attachments_bucket=attachments_bucket,
        ec2_global=ec2_global,
        shift=shift,
        breaks=breaks,
    )
    rendered = render(built, "json" if as_json else format_name, proxy=proxy)
    _say(rendered.left_out)
    _emit(rendered.content, out)
