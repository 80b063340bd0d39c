"""A Region and a client's choices → the exact rules, each with its source and date.

Option 1 comes from the table of endpoints, Option 2 from the published ranges. Blocks for the same port are collapsed
together: the rules hold each address once, whatever the services are called.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal, Unpack

from ccp_assess.allowlist.choices import EPHEMERAL_PORTS, Choices, OptionName, Switches
from ccp_assess.allowlist.notes import notes_for
from ccp_assess.endpoints import EVERY_REGION, EndpointPattern, read_patterns
from ccp_assess.errors import AllowlistError
from ccp_assess.prefixes import Prefix, collapse, count, parse_prefix, spans_of
from ccp_assess.ranges import CONNECT, GLOBAL, IpRanges, RangeRow, read_ranges
from ccp_assess.regions import region_by_code

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["domain", "cidr", "url"]
Direction = Literal["outbound", "inbound"]

PAGE = "Amazon Connect administrator guide, Set up your network (ccp-networking)"
MEDIA_SYMPTOM = (
    "Failed to establish softphone connection: Browser unable to establish media channel with "
    "turn:TurnNlb-…:3478?transport=udp (ice_collection_timeout)"
)
WEB_SYMPTOM = "The CCP does not open or shows 'Initialization failed': connections to port 443 end in a time-out"
ASSET_SYMPTOM = "The CCP opens without images, styles or scripts"
INBOUND_SYMPTOM = "Calls connect but the agent hears nothing: answers of the audio relay are dropped"

_BLOCK_WORDS = {
    CONNECT: ("Softphone audio (TURN relay)", MEDIA_SYMPTOM),
    "EC2": ("Signalling, API and telemetry", WEB_SYMPTOM),
    "CLOUDFRONT": ("Static assets", ASSET_SYMPTOM),
    "CHIME_MEETINGS": ("In-app, web and video calling", "In-app, web and video calls have no audio or picture"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of the allowlist.

    Parameters
    ----------
    target
        Name, block or URL at the other end.
    kind
        What the target is.
    from_subnets
        Where the workstations are; empty for anywhere.
    port
        Destination port, or a range such as ``49152-65535``.
    transport
        ``tcp`` or ``udp``.
    direction
        Seen from the workstation.
    purpose
        What it is for.
    symptom
        What the agent sees if it is missing.
    region_code
        Region, ``GLOBAL`` for all, several separated by spaces where a block spans them.
    source
        Where the requirement was read.
    retrieved
        When (ISO date).
    """

    target: str
    kind: Kind
    from_subnets: tuple[str, ...]
    port: str
    transport: Literal["tcp", "udp"]
    direction: Direction
    purpose: str
    symptom: str
    region_code: str
    source: str
    retrieved: str

    def to_row(self) -> dict[str, Any]:
        """Return the rule with the names of the JSON contract."""
        row = asdict(self)
        subnets = row.pop("from_subnets")
        return {"target": row.pop("target"), "kind": row.pop("kind"), "from": list(subnets), **row}

    @property
    def host(self) -> str:
        """The name alone, without scheme and path; for a block the block."""
        return self.target.removeprefix("https://").split("/", 1)[0] if self.kind == "url" else self.target

    @property
    def path(self) -> str:
        """Path of a URL, empty for the others."""
        return self.target.removeprefix(f"https://{self.host}") if self.kind == "url" else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowlist:
    """The rules for a client, what they open, and what must be known with them.

    Parameters
    ----------
    option
        Which of the three ways.
    regions
        The Regions they are for.
    rules
        In the order of AWS's page; blocks sorted by address.
    notes
        Sentences that belong to the rules.
    choices
        What was chosen.
    ranges_date
        Day of the published ranges that were used.
    """

    option: OptionName
    regions: tuple[str, ...]
    rules: tuple[Rule, ...]
    notes: tuple[str, ...]
    choices: Choices
    ranges_date: str

    @property
    def blocks(self) -> tuple[Prefix, ...]:
        """Blocks of addresses that the rules name."""
        return tuple(parse_prefix(rule.target) for rule in self.rules if rule.kind == "cidr")

    @property
    def addresses_opened(self) -> dict[str, int | str]:
        """Size of the union of all blocks: ``v4`` as a number, ``v6`` as a decimal string."""
        blocks = self.blocks
        return {"v4": count(spans_of(blocks, 4)), "v6": str(count(spans_of(blocks, 6)))}

    def to_document(self) -> dict[str, Any]:
        """Return the JSON of the contract."""
        return {
            "rules": [rule.to_row() for rule in self.rules],
            "addresses_opened": self.addresses_opened,
            "notes": list(self.notes),
            "option": self.option,
            "regions": list(self.regions),
            "ranges_date": self.ranges_date,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return the rules as a table, one row each."""
        import pandas as pd  # noqa: PLC0415  # heavy, and only notebooks need it

        return pd.DataFrame([rule.to_row() | {"from": " ".join(rule.from_subnets)} for rule in self.rules])

    def _repr_html_(self) -> str:
        head = ("Target", "Port", "Direction", "Purpose", "Region")
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td>{escape(cell)}</td>"
                for cell in (
                    rule.target,
                    f"{rule.port}/{rule.transport}",
                    rule.direction,
                    rule.purpose,
                    rule.region_code,
                )
            )
            + "</tr>"
            for rule in self.rules
        )
        titles = "".join(f"<th>{title}</th>" for title in head)
        return f"<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>"


def build(
    regions: Sequence[str],
    option: OptionName = "domains",
    *,
    ranges: IpRanges | None = None,
    **switches: Unpack[Switches],
) -> Allowlist:
    """Build the rules that let agents work with an instance in these Regions.

    Parameters
    ----------
    regions
        Codes such as ``eu-west-2``.
    option
        ``domains`` (AWS's Option 1), ``addresses`` (Option 2) or ``hybrid``.
    ranges
        Published ranges; ``None`` for the shipped snapshot.
    **switches
        The client's choices, see `Choices`.

    Returns
    -------
    allowlist
        Rules, the size of what they open, and notes.

    Raises
    ------
    UnknownRegionError
        If a Region is not in the table of Regions.
    AllowlistError
        If a choice is wrong or its text hostile.

    Examples
    --------
    >>> build(["eu-west-2"], "hybrid").addresses_opened["v4"]
    8192
    """
    if isinstance(regions, str):
        regions = [regions]
    codes = tuple(dict.fromkeys(regions))
    if not codes:
        raise AllowlistError("no Region given; name at least one, such as eu-west-2")
    for code in codes:
        region_by_code(code)
    choices = Choices(option=option, **switches)
    published = ranges or read_ranges()
    parts = [*_names(codes, choices), *_blocks(codes, choices, published)]
    return Allowlist(
        option=option,
        regions=codes,
        rules=tuple(parts),
        notes=notes_for(codes, choices, published),
        choices=choices,
        ranges_date=published.retrieved,
    )


def compare_options(
    regions: Sequence[str], *, ranges: IpRanges | None = None, **switches: Unpack[Switches]
) -> list[dict[str, Any]]:
    """Count what each option opens, for the table and the picture that compare them.

    Parameters
    ----------
    regions
        Codes such as ``eu-west-2``.
    ranges
        Published ranges; ``None`` for the shipped snapshot.
    **switches
        The client's choices, see `Choices`.

    Returns
    -------
    rows
        One per option: ``option``, ``label``, ``rules``, ``names``, ``wildcards``, ``blocks_v4``, ``blocks_v6``,
        ``addresses_v4`` (count), ``addresses_v6`` (count, an exact integer), ``udp_addresses_v4``.
    """
    rows = []
    for option, label in (
        ("domains", "Option 1: names"),
        ("hybrid", "Hybrid: names for 443, blocks for 3478"),
        ("addresses", "Option 2: address blocks"),
    ):
        built = build(regions, option, ranges=ranges, **switches)  # type: ignore[arg-type]
        names = {rule.host for rule in built.rules if rule.kind != "cidr"}
        blocks = built.blocks
        audio = [parse_prefix(rule.target) for rule in built.rules if rule.kind == "cidr" and rule.transport == "udp"]
        rows.append(
            {
                "option": option,
                "label": label,
                "rules": len(built.rules),
                "names": len(names),
                "wildcards": sum("*" in name for name in names),
                "blocks_v4": len({block for block in blocks if block.version == 4}),
                "blocks_v6": len({block for block in blocks if block.version == 6}),
                "addresses_v4": count(spans_of(blocks, 4)),
                "addresses_v6": count(spans_of(blocks, 6)),
                "udp_addresses_v4": count(spans_of(audio, 4)),
            }
        )
    return rows


def _names(regions: Sequence[str], choices: Choices) -> list[Rule]:
    rules = []
    for pattern in read_patterns():
        wanted = _wanted(pattern, choices) and (choices.option != "addresses" or _has_no_blocks(pattern))
        if not wanted or (choices.option == "hybrid" and pattern.transport == "udp"):
            continue
        named = "{region}" in pattern.host or pattern.region_code != EVERY_REGION
        for region in regions if named else (GLOBAL,):
            if pattern.region_code not in (EVERY_REGION, region):
                continue
            if pattern.needed_for == "cloudfront" and choices.static == "named" and _all_listed(regions):
                continue
            rules.append(_name_rule(pattern, region, choices))
    return rules


def _wanted(pattern: EndpointPattern, choices: Choices) -> bool:
    """Tell whether the choices call for an endpoint; its word stands in the column ``needed_for``."""
    return {
        "always": True,
        "domain": True,
        "cloudfront": True,
        "static": True,
        "legacy_domain": choices.legacy_domain,
        "turn": choices.turn == "wildcard" and not choices.media_less,
        "turn_named": choices.turn == "named" and not choices.media_less,
        "attachments": choices.attachments_bucket is not None,
        "saml": choices.saml,
        "no_saml": not choices.saml,
        "scheduling": choices.scheduling,
        "global_resiliency": choices.global_resiliency,
        "app_calling": choices.app_calling,
    }.get(pattern.needed_for, False)


def _has_no_blocks(pattern: EndpointPattern) -> bool:
    """Tell whether an endpoint is outside the blocks of Option 2, as buckets of S3 are: then only its name helps."""
    return pattern.needed_for in {"attachments", "scheduling", "global_resiliency"} or pattern.host.startswith("s3-")


def _all_listed(regions: Sequence[str]) -> bool:
    listed = {pattern.region_code for pattern in read_patterns() if pattern.needed_for == "static"}
    # ca-central-1 keeps its static contents behind *.my.connect.aws, so it needs no CloudFront name.
    return all(region in listed or region == "ca-central-1" for region in regions)


def _name_rule(pattern: EndpointPattern, region: str, choices: Choices) -> Rule:
    host = pattern.host.format(
        region=region,
        alias=(choices.instance or "*").lower(),
        bucket=choices.attachments_bucket,
        instance_id=(choices.instance_id or "*").lower(),
    )
    return Rule(
        target=f"https://{host}{pattern.path}" if pattern.path else host,
        kind="url" if pattern.path else "domain",
        from_subnets=tuple(choices.from_subnets),
        port=str(pattern.port),
        transport=pattern.transport,
        direction="outbound",
        purpose=pattern.purpose,
        symptom=pattern.symptom,
        region_code=region,
        source=pattern.source,
        retrieved=pattern.retrieved,
    )


def connect_rows(regions: Sequence[str], ranges: IpRanges) -> list[RangeRow]:
    """Return the published rows that softphone audio needs: GLOBAL and the Regions' own.

    Parameters
    ----------
    regions
        Codes such as ``eu-west-2``.
    ranges
        Published ranges.

    Returns
    -------
    rows
        As published.
    """
    return [row for row in ranges.rows(CONNECT) if row.region_code == GLOBAL or row.region_code in regions]


def ec2_rows(regions: Sequence[str], ranges: IpRanges, *, with_global: bool) -> list[RangeRow]:
    """Return the published rows of EC2 that TCP 443 needs under Option 2.

    Parameters
    ----------
    regions
        Codes such as ``eu-west-2``.
    ranges
        Published ranges.
    with_global
        Also the rows without a Region, although each Region has its own.

    Returns
    -------
    rows
        The Regions' own; those without a Region where a Region has none.
    """
    rows = ranges.rows("EC2")
    held = {row.region_code for row in rows}
    fallback = with_global or any(region not in held for region in regions)
    return [row for row in rows if row.region_code in regions or (fallback and row.region_code == GLOBAL)]


def _blocks(regions: Sequence[str], choices: Choices, ranges: IpRanges) -> list[Rule]:
    rules: list[Rule] = []
    audio = [] if choices.media_less else connect_rows(regions, ranges)
    chime = list(ranges.rows("CHIME_MEETINGS")) if choices.app_calling else []
    if choices.option != "domains":
        rules += _block_rules(audio + chime, ("3478", "udp", "outbound"), choices, ranges)
    if choices.option == "addresses":
        web = ec2_rows(regions, ranges, with_global=choices.ec2_global) + list(ranges.rows("CLOUDFRONT")) + chime
        rules += _block_rules(web, ("443", "tcp", "outbound"), choices, ranges)
    if choices.stateless and audio:
        port, why = EPHEMERAL_PORTS[choices.stateless]
        rules += _block_rules(audio, (port, "udp", "inbound"), choices, ranges, why)
    return rules


def _block_rules(
    rows: Sequence[RangeRow],
    service: tuple[str, Literal["tcp", "udp"], Direction],
    choices: Choices,
    ranges: IpRanges,
    why: str = "",
) -> list[Rule]:
    port, transport, direction = service
    blocks = collapse([row.prefix for row in rows])
    owners: list[set[tuple[str, str]]] = [set() for _ in blocks]
    for row in rows:
        owners[bisect_right(blocks, (row.prefix.version, row.prefix.first, 129)) - 1].add(
            (row.service, row.region_code)
        )
    subnets = tuple(choices.from_subnets)
    words: dict[frozenset[tuple[str, str]], tuple[str, str, str]] = {}  # a few kinds of owner, thousands of blocks
    rules = []
    for block, owner in zip(blocks, owners, strict=True):
        kind = frozenset(owner)
        if kind not in words:
            words[kind] = _words(owner, direction)
        purpose, symptom, region = words[kind]
        rules.append(
            Rule(
                target=block.text,
                kind="cidr",
                from_subnets=subnets,
                port=port,
                transport=transport,
                direction=direction,
                purpose=purpose,
                symptom=symptom,
                region_code=region,
                source=f"{ranges.source}; {PAGE}" + (f"; {why}" if why else ""),
                retrieved=ranges.retrieved,
            )
        )
    return rules


def _words(owner: set[tuple[str, str]], direction: Direction) -> tuple[str, str, str]:
    services = sorted({service for service, _ in owner})
    regions = sorted({region for _, region in owner} - {GLOBAL}) if len({r for _, r in owner}) > 1 else []
    holds_global = any(region == GLOBAL for _, region in owner)
    # A block that holds a GLOBAL row is GLOBAL, even if a Region's block lies inside it.
    region = GLOBAL if holds_global else " ".join(regions or sorted({region for _, region in owner}))
    if direction == "inbound":
        return f"Answers of the audio relay to the browser ({CONNECT}, from UDP 3478)", INBOUND_SYMPTOM, region
    purpose = "; ".join(f"{_BLOCK_WORDS[service][0]} ({service})" for service in services)
    return purpose, _BLOCK_WORDS[services[0]][1], region
