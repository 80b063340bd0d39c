"""The sentences that belong to an allowlist: what the rules cannot say, each true for the choices made."""

from __future__ import annotations

from collections.abc import Sequence

from ccp_assess.allowlist.choices import EPHEMERAL_PORTS, Choices
from ccp_assess.endpoints import read_patterns
from ccp_assess.prefixes import parse_prefix
from ccp_assess.ranges import CONNECT, GLOBAL, IpRanges
from ccp_assess.regions import region_by_code


def notes_for(regions: Sequence[str], choices: Choices, ranges: IpRanges) -> tuple[str, ...]:
    """Return the notes for a set of rules.

    Parameters
    ----------
    regions
        Codes such as ``eu-west-2``.
    choices
        What the client has decided.
    ranges
        The published ranges in use.

    Returns
    -------
    notes
        Sentences, the important ones first.
    """
    notes = [note for region in regions for note in _region_notes(region, choices, ranges)]
    if choices.option != "addresses":
        notes += _name_notes(regions, choices)
    if choices.option != "domains":
        notes += _block_notes(regions, choices, ranges)
    return tuple(notes + _dns_notes(regions, choices) + _common_notes(choices))


def _region_notes(region: str, choices: Choices, ranges: IpRanges) -> list[str]:
    entry = region_by_code(region)
    notes = []
    if entry.status == "replica_only":
        notes.append(
            f"{region} ({entry.place}) serves only as the replica of {entry.replica_region} under Global Resiliency: "
            f"allow both Regions."
        )
    if entry.status == "evidence_only":
        notes.append(f"{region} ({entry.place}) is not in AWS's table of Amazon Connect Regions: {entry.note}.")
    if entry.status == "gov":
        notes.append(f"{region} is for GovCloud accounts only; its endpoints differ in part.")
    listed = {pattern.region_code for pattern in read_patterns() if pattern.needed_for == "static"}
    if choices.option != "addresses" and region == "ca-central-1":
        notes.append(
            "ca-central-1 has no CloudFront names of its own in AWS's table: its static contents are behind "
            "*.my.connect.aws."
        )
    elif choices.option != "addresses" and region not in listed:
        notes.append(
            f"AWS lists no CloudFront names for static assets of {region}: *.cloudfront.net is the only way by name."
        )
    media = not choices.media_less
    if media and choices.turn == "named" and choices.option == "domains" and not _turn_names(region):
        notes.append(
            f"AWS lists no named TURN load balancers for {region}: no rule for audio by name could be made; use "
            f"--turn wildcard or --option hybrid."
        )
    if media and (choices.option != "domains" or choices.stateless):
        held = {prefix.version for prefix in ranges.prefixes(CONNECT, region)}
        if not ranges.rows(CONNECT):
            notes.append(
                f"ip-ranges.json of {ranges.retrieved} holds no entry of {CONNECT} at all: no rule for audio could be "
                f"made; use a newer document."
            )
            held = {4, 6}
        notes += [
            f"ip-ranges.json of {ranges.retrieved} has no IPv{version} entry of {CONNECT} for {region}: the GLOBAL "
            f"entries alone are used, as AWS's page says."
            for version in (4, 6)
            if version not in held
        ]
    return notes


def _turn_names(region: str) -> list[str]:
    return [p.host for p in read_patterns() if p.needed_for == "turn_named" and p.region_code == region]


def _name_notes(regions: Sequence[str], choices: Choices) -> list[str]:
    notes = []
    if choices.instance is None:
        notes.append(
            "No instance alias was given: *.my.connect.aws stands in the rules and opens every client's instance; give "
            "--instance ALIAS for the smallest rules."
        )
    if choices.legacy_domain:
        notes.append(
            "awsapps.com is the old domain and is going away: migrate to my.connect.aws (administrator guide, Update "
            "your domain), then remove these rows."
        )
    if choices.static == "all":
        notes.append(
            "*.cloudfront.net is in AWS's minimum list and opens every CloudFront customer; where the Region's own "
            "CloudFront names are listed, --static named leaves the wildcard out: test it with the 200-call trial."
        )
    if not choices.media_less and choices.turn == "named" and choices.option == "domains":
        notes.append(
            "Named TURN load balancers go stale silently: us-west-2 had two names in April 2023 and has three now. "
            "Compare the list with AWS's page every month, or use the wildcard."
        )
    if not choices.media_less and choices.turn == "wildcard" and choices.option == "domains":
        notes.append(
            "Many firewalls cannot match a wildcard inside a label (TurnNlb-*, rtc*) or UDP by name: then use "
            "--turn named or --option hybrid."
        )
    notes += [
        (
            "The names cannot be changed or customised per client; where names are not acceptable, Option 2 (address "
            "blocks) is the way out."
        ),
        (
            "Some proxies handle WebSockets oddly: test rtc*.connect-telecom.REGION.amazonaws.com, "
            "*.transport.connect.REGION.amazonaws.com and, if still used, ALIAS.awsapps.com before going live."
        ),
        (
            "Test with more than 200 calls (softphone errors, dropped calls, conference and transfer); above 2 % "
            "errors look at the proxy's name resolution and consider Option 2: `ccp-assess trial` gives the verdict."
        ),
    ]
    if choices.attachments_bucket is None:
        notes.append(
            "Attachments: if agents send or open them, give --attachments-bucket NAME; the bucket's name is in the "
            "instance's data storage settings."
        )
    if choices.global_resiliency:
        pairs = [region_by_code(region).replica_region for region in regions]
        missing = sorted({pair for pair in pairs if pair} - set(regions))
        if missing:
            notes.append(
                f"Global Resiliency: agents must also reach the other Region of the pair: {', '.join(missing)}."
            )
        if choices.instance_id is None:
            notes.append(
                "Global Resiliency: * stands for the instance identifier in *.REGION.sign-in.connect.aws; give "
                "--instance-id for the exact name."
            )
    if choices.app_calling:
        notes.append(
            "In-app, web and video calling: AWS also lists 99.77.128.0/18 for TCP 443 and UDP 3478; video does not "
            "work in a VDI."
        )
    return notes


def _block_notes(regions: Sequence[str], choices: Choices, ranges: IpRanges) -> list[str]:
    notes = []
    if choices.option == "addresses":
        if choices.saml:
            hosts = [p.host for p in read_patterns() if p.needed_for == "saml" and p.region_code in regions]
            notes.append(
                f"Agents who sign in by SAML also need AWS Sign-In, which Option 2 does not list: "
                f"{', '.join(dict.fromkeys(hosts))} by name, TCP 443."
            )
        if choices.attachments_bucket or choices.scheduling or choices.global_resiliency:
            notes.append(
                "Buckets of S3 and the endpoints of Global Resiliency are in no block of Option 2: they stand here by "
                "name."
            )
        held = {row.region_code for row in ranges.rows("EC2")}
        without = [region for region in regions if region not in held]
        if without:
            notes.append(f"EC2 has no entry for {', '.join(without)}: its GLOBAL entries are used instead.")
        elif choices.ec2_global:
            notes.append("EC2: the GLOBAL entries are added to the Region's own (--ec2-global).")
        else:
            notes.append(
                "EC2: AWS's table says both 'GLOBAL and Region' and 'GLOBAL only if a Region entry does not exist'; "
                "the Region's entries alone are used; --ec2-global adds the GLOBAL ones."
            )
        notes.append(
            "CLOUDFRONT: every entry of the service is listed, whatever its Region, since the edge nearest to the "
            "agents answers."
        )
    if not choices.media_less:
        outside = [
            row.prefix.text
            for row in ranges.rows(CONNECT)
            if row.region_code in regions and not _inside_global(row.prefix.text, ranges)
        ]
        if outside:
            notes.append(
                f"15.193.0.0/19 alone is not enough: {', '.join(sorted(outside))} of the Region lie outside the GLOBAL "
                f"block."
            )
    notes += [
        (
            f"Blocks are those of ip-ranges.json of {ranges.retrieved}; new ones come into use 30 days after "
            "publication: `ccp-assess allowlist watch` keeps the dates."
        ),
        (
            "IPv6: AWS publishes IPv6 blocks since 2025 but its networking page does not mention them; whether the CCP "
            "uses IPv6 is unproven. They are listed so that nothing is missing where the network has IPv6."
        ),
    ]
    return notes


def _inside_global(text: str, ranges: IpRanges) -> bool:
    block = parse_prefix(text)
    return any(row.covers(block) for row in ranges.prefixes(CONNECT, GLOBAL))


def _dns_notes(regions: Sequence[str], choices: Choices) -> list[str]:
    if choices.media_less:
        return []
    name = next(
        (host for region in regions for host in _turn_names(region)), f"TurnNlb-….elb.{regions[0]}.amazonaws.com"
    )
    if choices.option == "domains":
        return [f"DNS: the workstations must resolve the TURN names; check with `nslookup {name}`."]
    return [
        (
            "DNS: with the blocks allowed, the TurnNlb names need no rule unless name resolution is restricted; check "
            f"with `nslookup {name}`; if it does not resolve, allow TurnNlb-*.elb.REGION.amazonaws.com in DNS."
        )
    ]


def _common_notes(choices: Choices) -> list[str]:
    notes = []
    minutes = choices.certificate_cache_minutes
    if minutes is None:
        notes.append(
            "Proxy: keep its certificate cache for the whole shift with breaks; --shift 8h --breaks 1h prints "
            "the value."
        )
    else:
        notes.append(
            f"Proxy: set the timeout of its SSL certificate cache to at least {minutes // 60} h {minutes % 60:02d} min "
            f"({minutes} minutes): the shift of {choices.shift}"
            + (f" and the breaks of {choices.breaks}." if choices.breaks else "; add the breaks with --breaks.")
        )
    if choices.stateless and not choices.media_less:
        port, why = EPHEMERAL_PORTS[choices.stateless]
        notes.append(
            f"Stateless firewall ({choices.stateless}): inbound UDP {port} from {CONNECT} is the browser's own "
            f"ephemeral range ({why}); answers of TCP 443 and of DNS need the firewall's usual rule for established "
            f"traffic."
        )
    elif not choices.stateless:
        notes.append(
            "A stateful firewall needs no inbound rule: the browser opens every connection; --stateless SYSTEM adds "
            "the ephemeral range where a firewall keeps no state."
        )
    if choices.media_less:
        notes.append(
            "No audio in the browser (media-less CCP, or audio rerouted to a telephone): port 443 is needed, UDP 3478 "
            "is not."
        )
    notes.append(
        "Checklist, no firewall row: integrated applications that embed the CCP must be listed under approved origins "
        "in the instance's settings."
    )
    return notes
