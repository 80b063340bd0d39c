"""Every output format: read back where a reader exists, parsed where a parser exists, hostile text kept harmless."""

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ccp_assess.allowlist import Allowlist, audit, build, parse_client_rules
from ccp_assess.allowlist.formats import FORMATS, render
from ccp_assess.allowlist.formats.base import plain
from ccp_assess.errors import AllowlistError

REGIONS = ["us-west-2"]
BLOCKS = build(REGIONS, "addresses")
NAMES = build(REGIONS, "domains", instance="acme", turn="named")
NOT_FOR_NAMES = {
    "nftables",
    "iptables",
    "ip6tables",
    "pf",
    "aws-sg-json",
    "aws-sg-terraform",
    "windows-firewall",
    "cisco-ios",
    "edl-ip",
}
NOT_FOR_BLOCKS = {"pac", "proxy-bypass", "zscaler", "netskope", "edl-url"}


def text_of(built: Allowlist, name: str, **more: Any) -> str:
    content = render(built, name, **more).content
    assert isinstance(content, str)
    return content


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_writes_both_options_or_says_why_not(name: str) -> None:
    for built, refused in ((NAMES, NOT_FOR_NAMES), (BLOCKS, NOT_FOR_BLOCKS)):
        if name in refused:
            with pytest.raises(AllowlistError, match="nothing of option"):
                render(built, name)
        else:
            assert render(built, name).content


@pytest.mark.parametrize(
    "name",
    ["csv", "json", "list", "edl-ip", "nftables", "cisco-asa", "cisco-ios", "paloalto", "fortigate", "aws-sg-json"],
)
@pytest.mark.parametrize("stateless", [None, "windows"])
def test_blocks_come_back_exactly_from_what_was_written(name: str, stateless: Any) -> None:
    built = build(REGIONS, "addresses", stateless=None if name in {"list", "edl-ip"} else stateless)
    rules = parse_client_rules(text_of(built, name), name=name)
    found = audit(rules, REGIONS, "addresses", stateless=built.choices.stateless)
    assert found.missing == (), rules.notes
    assert found.stale == ()
    assert [row for row in found.too_wide if "beyond" in row["why"]] == []
    assert len(found.covered) == len(built.rules)


@pytest.mark.parametrize("stateless", [None, "linux"])
def test_iptables_of_both_versions_come_back_together(stateless: Any) -> None:
    built = build(REGIONS, "addresses", stateless=stateless, from_subnets=["10.0.0.0/8", "fd00::/8"])
    text = text_of(built, "iptables") + text_of(built, "ip6tables")
    found = audit(
        parse_client_rules(text, name="x"),
        REGIONS,
        "addresses",
        stateless=stateless,
        from_subnets=["10.7.0.0/16", "fd00::/16"],
    )
    assert found.missing == ()
    elsewhere = audit(parse_client_rules(text, name="x"), REGIONS, "addresses", from_subnets=["192.168.0.0/24"])
    assert elsewhere.covered == ()


@pytest.mark.parametrize("name", ["paloalto", "fortigate", "cisco-asa", "nftables"])
def test_rules_hold_for_the_workstations_only(name: str) -> None:
    built = build(REGIONS, "addresses", from_subnets=["10.0.0.0/8", "fd00::/8"])
    rules = parse_client_rules(text_of(built, name), name=name)

    def audio(subnet: str) -> set[str]:
        rows = audit(rules, REGIONS, "addresses", from_subnets=[subnet]).covered
        return {row["target"] for row in rows if row["port"] == "3478"}

    assert "15.193.0.0/19" in audio("10.9.0.0/16")
    assert audio("192.168.0.0/16") == set()
    assert audio("fd00:1::/32") == {"2600:f0f2:7100::/40"}


@pytest.mark.parametrize("name", ["csv", "json", "list", "paloalto", "fortigate"])
def test_names_come_back_from_what_was_written(name: str) -> None:
    rules = parse_client_rules(text_of(NAMES, name), name=name)
    found = audit(rules, REGIONS, "domains", instance="acme", turn="named")
    assert found.missing == (), rules.notes


def test_what_a_format_cannot_say_is_said() -> None:
    built = build(REGIONS, "domains", instance="acme")
    asa = text_of(built, "cisco-asa")
    assert "connect-telecom" not in re.sub(r"(?m)^!.*$", "", asa)
    assert "object network CCP-acme.my.connect.aws" in asa
    assert "acme.my.connect.aws/ ]" in text_of(built, "paloalto")
    left = " ".join(render(built, "fortigate").left_out)
    assert "TurnNlb-*.elb.us-west-2.amazonaws.com" in left
    assert "--turn named or --option hybrid" in left
    assert "*.connect-telecom.us-west-2.amazonaws.com stands for" in left
    assert "cannot match paths" in left
    text = text_of(built, "fortigate")
    assert "LEFT OUT" in text
    assert "rtc*" not in re.sub(r"(?m)^#.*$", "", text)
    assert "UDP by name" in " ".join(render(build(REGIONS), "pac").left_out)


def test_shared_storage_is_never_opened_by_its_bare_host() -> None:
    built = build(["us-gov-west-1"], "domains", saml=False, instance="acme", turn="named")
    for name, form in FORMATS.items():
        if not form.names:
            continue
        content = render(built, name).content
        if not isinstance(content, str):
            continue
        body = "\n".join(line for line in content.splitlines() if "LEFT OUT" not in line)
        if form.urls:
            assert "warp-drive-console-static-content-prod-pdt" in body, name
        else:
            assert "s3-us-gov-west-1.amazonaws.com" not in body, name


HOSTILE = "x';`reboot`$(id)\"|<script>\n\r\u2028=cmd|' /C calc'!A0"


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_hostile_file_name_cannot_reach_a_configuration(name: str, tmp_path: Path) -> None:
    from dataclasses import replace

    base = NAMES if name not in NOT_FOR_NAMES else BLOCKS
    rules = tuple(replace(rule, purpose=HOSTILE, source=HOSTILE, symptom=HOSTILE) for rule in base.rules)
    content = render(replace(base, rules=rules, notes=(HOSTILE,)), name).content
    if isinstance(content, bytes):
        assert content.startswith(b"PK")
        return
    assert "\r" not in content
    assert "\u2028" not in content or name == "json"
    if name in {"json", "csv", "table"}:
        return  # data with its own quoting, tested below
    dangers = ["`reboot`", "<script>"] + ([] if name in {"markdown", "change-request"} else ["$(id)"])
    assert not [danger for danger in dangers if danger in content]


def test_a_target_made_by_other_hands_is_checked_again() -> None:
    from dataclasses import replace

    bad = replace(NAMES, rules=(replace(NAMES.rules[-1], target='evil"; drop', kind="domain"),))
    with pytest.raises(AllowlistError, match="no name"):
        render(bad, "paloalto")


def test_a_spreadsheet_never_runs_a_cell() -> None:
    from dataclasses import replace

    rules = tuple(replace(rule, purpose="=cmd|' /C calc'!A0") for rule in NAMES.rules)
    rows = list(csv.DictReader(io.StringIO(text_of(replace(NAMES, rules=rules), "csv"))))
    assert len(rows) == len(rules)
    assert all(row["purpose"].startswith("'=") for row in rows)


def test_comments_keep_plain_characters_only() -> None:
    assert plain('a"\n#b;{c}$(d)`e`\x1b[2J') == "a b; c (d) e 2J"


def test_json_is_the_contracts_document() -> None:
    assert json.loads(text_of(BLOCKS, "json"))["addresses_opened"] == BLOCKS.addresses_opened


def test_the_change_request_has_symptom_and_retest_in_each_line() -> None:
    text = text_of(NAMES, "change-request")
    rows = [line for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    assert len(rows) == len(NAMES.rules)
    for number, (row, rule) in enumerate(zip(rows, NAMES.rules, strict=True), 1):
        assert f"allowlist verify REQUEST.json --line {number} |" in row
        assert rule.symptom[:12] in row
        assert rule.target.replace("*", "\\*") in row


def test_the_word_document_holds_the_same_lines(tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    content = render(NAMES, "change-request-docx").content
    assert isinstance(content, bytes)
    document = docx.Document(io.BytesIO(content))
    (table,) = document.tables
    assert len(table.rows) == len(NAMES.rules) + 1
    assert [cell.text for cell in table.rows[1].cells][2] == NAMES.rules[0].target


def run(command: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)


def test_the_pac_file_decides_as_a_browser_would(tmp_path: Path, tool: Any) -> None:
    node = tool("node", "nodejs")
    built = build(REGIONS, "domains", instance="acme")
    file = tmp_path / "ccp.js"
    cases = {
        "acme.my.connect.aws": "DIRECT",
        "ACME.my.connect.aws.": "DIRECT",
        "other.my.connect.aws": "PROXY p.example:3128",
        "abc.transport.connect.us-west-2.amazonaws.com": "DIRECT",
        "a.b.transport.connect.us-west-2.amazonaws.com": "DIRECT",
        "rtc-cell1.connect-telecom.us-west-2.amazonaws.com": "DIRECT",
        "rtc.connect-telecom.us-west-2.amazonaws.com.evil.example": "PROXY p.example:3128",
        "evilrtc.connect-telecom.us-west-2.amazonaws.com": "PROXY p.example:3128",
        "xparticipant.connect.us-west-2.amazonaws.com": "PROXY p.example:3128",
        "www.example.com": "PROXY p.example:3128",
    }
    calls = "".join(f"console.log(FindProxyForURL('https://{host}/', '{host}'));\n" for host in cases)
    file.write_text(text_of(built, "pac", proxy="p.example:3128") + calls)
    done = run([node, str(file)])
    assert done.stderr == ""
    assert done.stdout.splitlines() == list(cases.values())


@pytest.mark.parametrize("proxy", ["", "x", "a b:1", 'x";alert(1)//:1', "x:99999999"])
def test_a_hostile_proxy_is_refused(proxy: str) -> None:
    with pytest.raises(AllowlistError, match="proxy"):
        render(NAMES, "pac", proxy=proxy)


@pytest.mark.parametrize("name", ["aws-sg-terraform", "aws-nfw-terraform"])
@pytest.mark.parametrize("built", [BLOCKS, build(REGIONS, "hybrid", stateless="any")], ids=["blocks", "hybrid"])
def test_terraform_is_well_formed(name: str, built: Allowlist, tmp_path: Path) -> None:
    text = text_of(built, name)
    bare = re.sub(r'(?m)^#.*$|"[^"\n]*"', "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("[") == bare.count("]")
    assert text.count('"') % 2 == 0
    terraform = shutil.which("terraform")
    if terraform:
        file = tmp_path / "main.tf"
        file.write_text(text)
        done = run([terraform, "fmt", "-check=false", "-write=false", str(file)])
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["aws-sg-json", "aws-nfw-json", "azure-firewall"])
def test_json_formats_hold_every_block(name: str) -> None:
    text = text_of(BLOCKS, name)
    json.loads(text)
    for rule in BLOCKS.rules:
        assert f'"{rule.target}"' in text


def test_network_firewall_passes_names_by_sni_and_blocks_by_set() -> None:
    document = json.loads(text_of(build(REGIONS, "hybrid", instance="acme"), "aws-nfw-json"))
    listed = document["ccp-names"]["RuleGroup"]["RulesSource"]["RulesSourceList"]
    assert listed["GeneratedRulesType"] == "ALLOWLIST"
    assert ".transport.connect.us-west-2.amazonaws.com" in listed["Targets"]
    assert "acme.my.connect.aws" in listed["Targets"]
    (rule,) = document["ccp-blocks"]["RuleGroup"]["RulesSource"]["StatefulRules"]
    assert rule["Header"]["Protocol"] == "UDP"
    assert rule["Header"]["Destination"] == "$CCP_OUT_UDP_3478"


def test_check_point_domain_objects_begin_with_a_dot() -> None:
    text = text_of(NAMES, "checkpoint")
    assert 'add dns-domain name ".transport.connect.us-west-2.amazonaws.com" is-sub-domain true' in text
    assert 'add dns-domain name ".acme.my.connect.aws" is-sub-domain false' in text
    assert text.startswith("#!/bin/sh")
    assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0


def test_squid_is_given_no_name_below_another_of_which_it_warns() -> None:
    text = text_of(build(REGIONS, "domains", instance="acme"), "squid")
    names = re.findall(r"dstdomain (\S+)", text)
    assert ".cloudfront.net" in names
    assert [name for name in names if any(f".{name}".endswith(other) for other in names if other != name)] == []


def test_squid_has_suffixes_with_a_dot_and_expressions_for_odd_wildcards() -> None:
    text = text_of(build(REGIONS, "domains", instance="acme"), "squid")
    assert "acl ccp_names dstdomain .transport.connect.us-west-2.amazonaws.com" in text
    assert "acl ccp_names dstdomain acme.my.connect.aws" in text
    expression = re.search(r"acl ccp_patterns dstdom_regex -i (\S+)", text)
    assert expression
    assert re.fullmatch(expression[1], "rtc-1.connect-telecom.us-west-2.amazonaws.com")
    assert not re.fullmatch(expression[1], "rtc-1.connect-telecom.us-west-2.amazonaws.com.evil")


def test_suricata_rules_have_one_sid_each_and_balanced_options() -> None:
    text = text_of(build(REGIONS, "hybrid", instance="acme", from_subnets=["10.0.0.0/8"]), "suricata")
    rules = [line for line in text.splitlines() if line.startswith("pass ")]
    sids = re.findall(r"sid:(\d+);", text)
    assert len(sids) == len(set(sids)) == len(rules)
    for rule in rules:
        assert re.fullmatch(r"pass \w+ \S+ \S+ -> \S+ \S+ \((?:[a-z._]+(?::(?:\"[^\"]*\"|[^;\"]+))?; ?)+\)", rule), rule
    assert any('dotprefix; content:".transport.connect.us-west-2.amazonaws.com"' in rule for rule in rules)


def test_powershell_quotes_and_groups() -> None:
    text = text_of(BLOCKS, "windows-firewall")
    assert text.count("@(") == text.count("\n)\n")
    assert "-Protocol UDP -RemotePort 3478" in text
    assert "-Protocol TCP -RemotePort 443" in text
    assert len(re.findall(r"^  '", text, re.MULTILINE)) == len(BLOCKS.rules)


def test_pf_tables_hold_every_block() -> None:
    text = text_of(build(REGIONS, "addresses", from_subnets=["10.0.0.0/8", "fd00::/8"]), "pf")
    assert "pass quick proto udp from <ccp_workstations> to <ccp_out_udp_3478> port 3478 keep state" in text
    assert all(f"  {rule.target}" in text for rule in BLOCKS.rules)


def test_an_unknown_format_lists_the_known_ones() -> None:
    with pytest.raises(AllowlistError, match="cisco-asa"):
        render(NAMES, "carrier-pigeon")


def test_blocks_that_no_workstation_can_use_are_left_out_and_said() -> None:
    built = build(REGIONS, "addresses", from_subnets=["10.0.0.0/8"])
    for name in ("fortigate", "paloalto", "cisco-asa", "nftables", "checkpoint"):
        rendered = render(built, name)
        assert any("no workstation" in sentence for sentence in rendered.left_out), name
        body = "\n".join(line for line in str(rendered.content).splitlines() if "LEFT OUT" not in line)
        assert "2600:f0f2:7100::" not in body, name
