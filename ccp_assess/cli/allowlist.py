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
HOST = typer.Option([], "--host", help="A real name that stands for a wildcard; may be repeated.")
TIMEOUT = typer.Option(3.0, "--timeout", min=0.1, max=60, help="Seconds per attempt.")
AS_JSON = typer.Option(False, "--json", help="Print one JSON document.")
OUT = typer.Option(None, "--out", help="Write to this file instead of standard output.")


def _regions(values: list[str]) -> list[str]:
    return [code for value in values for code in value.replace(",", " ").split()]


def _ranges(path: Path | None) -> Any:
    from ccp_assess.ranges import read_ranges

    return read_ranges(path)


def _emit(content: str | bytes, out: Path | None) -> None:
    from ccp_assess.files import write_whole

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
    client: Path | None = typer.Option(None, "--client", help="Client folder: its sites' subnets count as --from."),
    out: Path = OUT,
) -> None:
    """Build the rules for one or more Regions."""
    from ccp_assess.allowlist import build
    from ccp_assess.allowlist.formats import render

    if client is not None:
        from ccp_assess.client import read_client

        from_subnets = [*from_subnets, *(subnet for site in read_client(client).sites for subnet in site.subnets)]

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
    if out is not None and format_name.startswith("change-request") and not as_json:
        _emit(render(built, "json").content, out.with_name("REQUEST.json"))  # what `verify` reads
        sys.stderr.write("the same request as data: REQUEST.json beside it\n")


def _shown_drift(drift: Any, as_json: bool) -> None:
    from ccp_assess.cli.output import print_json, printable

    if as_json:
        print_json(drift.to_document())
        return
    lines = [f"As of {drift.today:%Y-%m-%d}, {len(drift.snapshots)} snapshots since {drift.snapshots[0]:%Y-%m-%d}:"]
    for addition in drift.open:
        row = addition.row
        word = {"to_allow": "allow by", "ramp": "OVERDUE since", "in_use": "OVERDUE, in full use since"}[
            addition.status
        ]
        when = addition.ramp_until if addition.status == "in_use" else addition.deadline
        extra = f", came back {addition.flaps} times" if addition.flaps else ""
        extra += f", moved from {addition.moved_from}" if addition.moved_from else ""
        lines.append(f"{word} {when:%Y-%m-%d %H:%M}Z  {row.prefix.text}  {row.service} {row.region_code}{extra}")
    quiet = [addition for addition in drift.added if addition.already_covered_by is not None]
    for addition in quiet:
        row = addition.row
        lines.append(
            f"no work: {row.prefix.text}  {row.service} {row.region_code} is inside {addition.already_covered_by}"
        )
    for removal in drift.removed:
        row = removal.row
        told = (
            f"stale rule: {row.prefix.text}  {row.service} {row.region_code} gone since {removal.gone_since:%Y-%m-%d}"
        )
        told += f", moved to {removal.moved_to}" if removal.moved_to else ""
        told += f", still covered by {removal.still_covered_by}" if removal.still_covered_by else ""
        told += f", keep {', '.join(removal.keep)}" if removal.keep else ""
        lines.append(told)
    if len(lines) == 1:
        lines.append("nothing changed for the Region.")
    typer.echo("\n".join(printable(line) for line in lines))


def _only(drift: Any, services: list[str]) -> Any:
    from dataclasses import replace

    from ccp_assess.allowlist.change import SERVICES
    from ccp_assess.errors import AllowlistError

    wanted = {service.upper() for service in services}
    if not wanted:
        return drift
    if not wanted <= set(SERVICES):
        raise AllowlistError(f"service {min(wanted - set(SERVICES))[:40]!r} is unknown; use {', '.join(SERVICES)}")
    return replace(
        drift,
        added=tuple(addition for addition in drift.added if addition.row.service in wanted),
        removed=tuple(removal for removal in drift.removed if removal.row.service in wanted),
    )


SERVICE = typer.Option([], "--service", help="Only AMAZON_CONNECT, EC2 or CLOUDFRONT; may be repeated.")


@app.command("diff", cls=ManyRegions)
def diff_ranges(
    old: Path = typer.Argument(help="The earlier ip-ranges.json."),
    new: Path = typer.Argument(help="The later one."),
    region: list[str] = REGION,
    first_seen: str | None = typer.Option(None, "--first-seen", help="When the new rows were first published."),
    service: list[str] = SERVICE,
    as_json: bool = AS_JSON,
) -> None:
    """Compare two dated documents of published ranges."""
    from ccp_assess.allowlist.change import diff, read_instant

    seen = read_instant(first_seen) if first_seen is not None else None
    drift = diff(_ranges(old), _ranges(new), _regions(region), first_seen=seen)
    _shown_drift(_only(drift, service), as_json)


@app.command("watch", cls=ManyRegions)
def watch_ranges(
    snapshots: list[Path] | None = typer.Argument(None, help="Dated ip-ranges.json files, in any order."),
    region: list[str] = REGION,
    today: str | None = typer.Option(None, "--today", help="The day of the question; default: the last snapshot's."),
    service: list[str] = SERVICE,
    ics: Path | None = typer.Option(None, "--ics", help="Write the deadlines as a calendar file."),
    fetch: bool = typer.Option(False, "--fetch", help="Fetch the newest document into --history first."),
    history: Path | None = typer.Option(None, "--history", help="Folder of dated documents."),
    url: str | None = typer.Option(None, "--url", help="Where to fetch from, instead of AWS."),
    as_json: bool = AS_JSON,
) -> None:
    """Replay dated documents and say what must be done by when."""
    from ccp_assess.allowlist.change import read_instant, watch
    from ccp_assess.cli.output import printable
    from ccp_assess.files import write_whole

    if fetch:
        from ccp_assess.online.ranges import FetchError, fetch_ranges

        if history is None:
            raise typer.BadParameter("--fetch needs --history FOLDER")
        try:
            path, taken = fetch_ranges(history, url)
            sys.stderr.write(printable(f"{'new' if taken else 'no change'}: {path.name}") + "\n")
        except FetchError as error:  # the old documents stay in force: the question can still be answered
            if not any(history.glob("ip-ranges*.json*")):
                raise
            sys.stderr.write(f"warning: {printable(str(error))}\n")
    paths = [*(snapshots or []), *(sorted(history.glob("ip-ranges*.json*")) if history is not None else [])]
    if not paths:
        raise typer.BadParameter("name at least one SNAPSHOT or a --history FOLDER with documents")
    day = read_instant(today) if today is not None else None
    drift = _only(watch([_ranges(path) for path in paths], _regions(region), today=day), service)
    if ics is not None:
        write_whole(ics, drift.to_calendar())
    _shown_drift(drift, as_json)


@app.command("audit", cls=ManyRegions)
def audit_rules(
    rules: Path | None = typer.Argument(None, help="The client's rules, in any of the known formats."),
    region: list[str] = REGION,
    option: str = OPTION,
    turn: str = TURN,
    static: str = STATIC,
    from_subnets: list[str] = FROM,
    instance: str | None = INSTANCE,
    instance_id: str | None = INSTANCE_ID,
    legacy_domain: bool = LEGACY,
    no_saml: bool = NO_SAML,
    global_resiliency: bool = RESILIENCY,
    scheduling: bool = SCHEDULING,
    app_calling: bool = APP_CALLING,
    stateless: str | None = STATELESS,
    media_less: bool = MEDIA_LESS,
    attachments_bucket: str | None = BUCKET,
    ec2_global: bool = EC2_GLOBAL,
    ip_ranges: Path | None = RANGES,
    capture: list[Path] = typer.Option([], "--capture", help="Hold what a capture contacted against the rules."),
    live: bool = typer.Option(False, "--live", help="Also probe each required rule from this workstation, now."),
    host: list[str] = HOST,
    timeout: float = TIMEOUT,
    as_json: bool = AS_JSON,
) -> None:
    """Hold a client's rules, or a capture, against what is required."""
    from ccp_assess.cli.output import print_json

    if rules is None and not capture and not live:
        raise typer.BadParameter("name the file of RULES, a --capture FILE, or --live")
    switches: dict[str, Any] = {
        "turn": turn,
        "static": static,
        "from_subnets": from_subnets,
        "instance": instance,
        "instance_id": instance_id,
        "legacy_domain": legacy_domain,
        "saml": not no_saml,
        "global_resiliency": global_resiliency,
        "scheduling": scheduling,
        "app_calling": app_calling,
        "stateless": stateless,
        "media_less": media_less,
        "attachments_bucket": attachments_bucket,
        "ec2_global": ec2_global,
    }
    if capture:
        from ccp_assess.assess.allowlist_audit import audit_capture

        document = audit_capture(
            capture, _regions(region), option, rules=rules, ranges=_ranges(ip_ranges), switches=switches
        )
    elif rules is not None:
        from ccp_assess.allowlist import audit, read_client_rules

        found = audit(
            read_client_rules(rules),
            _regions(region),
            option,  # type: ignore[arg-type]  # checked by audit
            ranges=_ranges(ip_ranges),
            **switches,
        )
        document = found.to_document()
    else:
        document = {"missing": [], "too_wide": [], "stale": [], "covered": [], "notes": []}
    if live:
        from ccp_assess.assess.allowlist_audit import audit_live
        from ccp_assess.probe.attempts import SocketProber

        document = audit_live(
            document,
            _regions(region),
            option,
            SocketProber(timeout),
            ranges=_ranges(ip_ranges),
            switches=switches,
            hosts=host,
        )
    if as_json:
        print_json(document)
        return
    _shown_audit(document)


def _shown_audit(document: dict[str, Any]) -> None:
    from ccp_assess.cli.output import printable

    lines = []
    for row in document["missing"]:
        part = f", {row['addresses_missing']} addresses of it" if row.get("addresses_missing") else ""
        lines.append(
            f"MISSING   {row['target']} {row['port']}/{row['transport']} {row['direction']}{part}: {row['symptom']}"
        )
    for key, word in (("too_wide", "TOO WIDE"), ("stale", "STALE   ")):
        lines += [f"{word}  line {row['line']}: {row['rule']}: {row['why']}" for row in document[key]]
    for row in document["covered"]:
        by = ", ".join(f"line {held['line']}" for held in row.get("covered_by", []))
        lines.append(f"covered   {row['target']} {row['port']}/{row['transport']}" + (f" by {by}" if by else ""))
    keys = ("missing", "too_wide", "stale", "covered")
    lines += [
        f"live {row['result']:<8} {row['target']} {row['port']}/{row['transport']}: {row['text']}"
        for row in document.get("live", {}).get("lines", ())
    ]
    lines += [f"- {note}" for note in document["notes"]]
    if any(document[key] for key in keys) or "live" not in document:
        lines.append(", ".join(f"{len(document[key])} {key.replace('_', ' ')}" for key in keys) + ".")
    if "live" in document:
        lines.append("live: " + ", ".join(f"{n} {colour}" for colour, n in document["live"]["counts"].items()) + ".")
    typer.echo("\n".join(printable(line) for line in lines))


@app.command("verify")
def verify_request(
    request: Path = typer.Argument(help="REQUEST.json, written by allowlist build --format json."),
    line: list[int] = typer.Option([], "--line", help="Only this line; may be repeated."),
    host: list[str] = HOST,
    timeout: float = TIMEOUT,
    as_json: bool = AS_JSON,
) -> None:
    """Re-run the tests of a change request: every line green, red or untested."""
    from ccp_assess.allowlist.verify import read_request, verified_document, verify
    from ccp_assess.cli.output import print_json, printable
    from ccp_assess.errors import AllowlistError
    from ccp_assess.probe.attempts import SocketProber

    lines, regions = read_request(request)
    wanted = [row for row in lines if not line or row.number in line]
    if not wanted:
        raise AllowlistError(f"{request}: no line {line[0]}; it has lines 1 to {len(lines)}")
    results = verify(wanted, regions, SocketProber(timeout), hosts=host)
    document = verified_document(results)
    if as_json:
        print_json(document)
        return
    colours = {"green": typer.colors.GREEN, "red": typer.colors.RED, "untested": typer.colors.YELLOW}
    for row in results:
        word = typer.style(f"{row.colour.upper():<8}", fg=colours[row.colour])
        told = f"{row.line.number:>4} {row.line.target} {row.line.port}/{row.line.transport}: {row.text}"
        typer.echo(f"{word} {printable(told)}")
    typer.echo(", ".join(f"{number} {colour}" for colour, number in document["counts"].items()) + ".")


@app.command("formats")
def list_formats(as_json: bool = AS_JSON) -> None:
    """List the output formats and what each can express."""
    from ccp_assess.allowlist.formats import FORMATS
    from ccp_assess.cli.output import print_json

    words = ("names", "wildcards", "partial_wildcards", "udp_names", "urls", "blocks", "ports", "inbound", "sources")
    rows = [
        {"name": form.name, "title": form.title, **{word: getattr(form, word) for word in (*words, "comments")}}
        for form in FORMATS.values()
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        able = ", ".join(word.replace("_", " ") for word in words if row[word])
        typer.echo(f"{row['name']:<20} {row['title']}: {able}")
