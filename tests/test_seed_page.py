"""Every domain and address of the seed page is found in our tables."""

import re
from pathlib import Path

import pytest

from ccp_assess.endpoints import read_patterns
from ccp_assess.ranges import read_ranges

pytestmark = pytest.mark.shared

HOST = re.compile(
    r"[A-Za-z0-9*<>-]+(?:\.[A-Za-z0-9*<>-]+)*\.(?:amazonaws\.com|cloudfront\.net|connect\.aws|awsapps\.com|chime\.aws)"
)


def our_hosts() -> set[str]:
    return {re.sub(r"\{(\w+)\}", "*", pattern.host).lower() for pattern in read_patterns()}


def seed_hosts(shared: Path) -> set[str]:
    page = (shared / "seed" / "amazon-connect-ccp-networking.txt").read_text(encoding="utf-8")
    cells = (shared / "seed" / "missing-cells.md").read_text(encoding="utf-8")
    # The saved page breaks lines around its placeholder: "TurnNlb-*.elb.\nregion\n.amazonaws.com".
    joined = re.sub(r"(?<=[.-])\s*\n?\s*\bregion\b\s*\n?\s*(?=[.-])", "<region>", page)
    return {host.lower() for host in HOST.findall(joined) + HOST.findall(cells)}


def generalised(host: str) -> str:
    host = re.sub(r"<[a-z -]+>", "*", host)
    host = re.sub(r"^(?:myinstancename)\.", "*.", host)
    host = host.removeprefix("bucket>").removeprefix("important")  # cut by the pattern; glued to the line before
    return host.replace("turnnlb-xxxxxxxxxxxxx.", "turnnlb-*.")


def test_each_domain_of_the_seed_page_is_in_our_tables(shared: Path) -> None:
    ours = our_hosts()
    found = seed_hosts(shared)
    assert len(found) > 45
    missing = set()
    for host in found:
        wanted = generalised(host)
        if wanted in ours or wanted in {"*.my.connect.aws", "*.awsapps.com"}:
            continue
        # "<instance-id>", "<attachments bucket>": the text before the placeholder was cut by the pattern above
        if any(name.endswith(wanted) for name in ours):
            continue
        missing.add(host)
    assert not missing


def test_each_turn_name_stands_under_its_region(shared: Path) -> None:
    page = (shared / "seed" / "amazon-connect-ccp-networking.txt").read_text(encoding="utf-8")
    names = set(re.findall(r"TurnNlb-[0-9a-f]{16}\.elb\.([a-z0-9-]+)\.amazonaws\.com", page))
    listed = {(p.region_code, p.host) for p in read_patterns() if p.needed_for == "turn_named"}
    assert {region for region, _ in listed} == names
    for region, host in listed:
        assert f".elb.{region}." in host
        assert host in page


def test_each_cloudfront_name_stands_under_its_region(shared: Path) -> None:
    page = (shared / "seed" / "amazon-connect-ccp-networking.txt").read_text(encoding="utf-8")
    region = None
    pairs = set()
    for line in page.splitlines():
        row = re.match(r"([a-z]{2}(?:-gov)?-[a-z]+-\d):? \|$", line)
        region = row.group(1) if row else region
        pairs |= {(region, host) for host in re.findall(r"https://(\S+\.cloudfront\.net)/", line)}
        pairs |= {(region, host) for host in re.findall(r"https://(s3-us-gov\S+?amazonaws\.com)/", line)}
    ours = {
        (p.region_code, p.host)
        for p in read_patterns()
        if p.endpoint_id.startswith("cloudfront_") and p.region_code != "*"
    }
    assert len(pairs) == 26
    assert pairs == ours


def test_each_address_block_of_the_seed_is_published(shared: Path) -> None:
    ranges = read_ranges()
    for name in ("amazon-connect-ccp-networking.txt", "missing-cells.md"):
        for block in re.findall(r"\d+\.\d+\.\d+\.\d+/\d+", (shared / "seed" / name).read_text(encoding="utf-8")):
            published = {p.text for s in ("AMAZON_CONNECT", "CHIME_MEETINGS") for p in ranges.prefixes(s)}
            assert block in published
