"""Rules as firewalls really export them: what turns a rule round, limits it, or hides that it is none of the kind."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccp_assess.allowlist.inputs import parse_client_rules
from ccp_assess.allowlist.inputs.model import ClientRule, without
from ccp_assess.errors import AllowlistError
from ccp_assess.prefixes import parse_address

CONNECT, ELSEWHERE = "15.193.5.10", "192.0.2.10"


def lets_through(text, address, transport, port, *, name="rules"):
    """Whether any list of the rules lets a packet through; the first match of each list decides."""
    return any(
        next((rule.allow for rule in rules if matches(rule, address, transport, port)), False)
        for rules in by_group(parse_client_rules(text, name=name).rules).values()
    )


def by_group(rules):
    found = {}
    for rule in rules:
        found.setdefault(rule.group, []).append(rule)
    return found


def matches(rule, address, transport, port):
    version, value = parse_address(address)
    if rule.hosts or rule.transport not in {"any", transport} or not rule.low <= port <= rule.high:
        return False
    return rule.destination is None or any(low <= value <= high for low, high in rule.destination[version == 6])


def fortigate(policy, more=""):
    lines = "\n".join(f"set {line}" for line in policy.split("; "))
    return f"""config firewall address
edit "aws"
set subnet 15.193.0.0 255.255.224.0
set comment "Bob's note
config firewall policy"
next
edit "london"
set subnet 15.193.5.0 255.255.255.0
next
end
config firewall addrgrp
edit "but-london"
set member "aws"
set exclude enable
set exclude-member "london"
next
end
config firewall service custom
edit "ALL"
set protocol IP
next
edit "turn"
set udp-portrange 3478:1024-65535
next
end
{more}
config firewall policy
edit 7
{lines}
next
end
"""


ALLOW = 'action accept; srcaddr "all"; schedule "always"'


@pytest.mark.parametrize(
    ("policy", "connect", "elsewhere"),
    [
        (f'{ALLOW}; dstaddr "aws"; service "turn"', True, False),
        (f'{ALLOW}; dstaddr "all"; service "ALL"', True, True),  # a backup spells its own services out, ALL too
        (f'{ALLOW}; dstaddr "aws"; dstaddr-negate enable; service "ALL"', False, True),
        (f'{ALLOW}; dstaddr "but-london"; service "ALL"', False, False),
        (f'{ALLOW}; dstaddr "aws"; service "turn"; service-negate enable', False, False),
        ('action accept; srcaddr "all"; schedule "office"; dstaddr "aws"; service "turn"', None, None),
        (f'{ALLOW}; internet-service enable; internet-service-name "Amazon-AWS"', None, None),
    ],
)
def test_fortigate_policies_that_are_turned_round_limited_or_open(policy, connect, elsewhere):
    text = fortigate(policy)
    if connect is None:  # what cannot be judged is said, and counts for nothing
        other = fortigate(f"{policy}\nnext\nedit 8\n" + f'set {ALLOW}; dstaddr "london"; service "turn"'[4:])
        rules = parse_client_rules(other, name="x")
        assert [rule.text for rule in rules.rules] == ["policy 8"]
        assert "not taken in" in rules.notes[0]
        return
    assert lets_through(text, CONNECT, "udp", 3478) is connect
    assert lets_through(text, ELSEWHERE, "udp", 3478) is elsewhere


def test_fortigate_domains_keep_their_own_policies_and_objects_and_old_releases_their_own_table_for_ipv6():
    domain = 'config vdom\nedit {0}\nconfig firewall address\nedit "a"\nset subnet {1}\nnext\nend\n{2}end\n'
    policy = 'config firewall policy\nedit 1\nset {0}srcaddr "all"\nset dstaddr "a"\nset service "HTTPS"\nnext\nend\n'
    six = (
        'config firewall address6\nedit "six"\nset ip6 2600:f0f2:7100::/40\nnext\nend\nconfig firewall policy6\n'
        'edit 1\nset action accept\nset srcaddr "all"\nset dstaddr "six"\nset service "ALL"\nnext\nend\n'
    )
    text = domain.format("root", "15.193.5.0/24", policy.format("action accept\nset ")) + domain.format(
        "guest", "192.0.2.0/24", policy.format("") + six
    )
    assert lets_through(text, CONNECT, "tcp", 443)
    assert not lets_through(text, ELSEWHERE, "tcp", 443)
    assert lets_through(text, "2600:f0f2:7105::1", "udp", 3478)


ASA = """names
name 15.193.5.0 connect-london description AWS
object network LAN
 subnet 10.1.0.0 255.255.0.0
 nat (inside,outside) dynamic interface
object-group protocol BOTH
 protocol-object udp
 protocol-object tcp
access-list NONAT extended permit ip any any
{0}
access-group inside_in in interface inside
"""


@pytest.mark.parametrize(
    ("line", "transport", "port", "passes"),
    [
        ("permit udp any connect-london 255.255.255.0 eq 3478", "udp", 3478, True),
        ("permit object-group BOTH any any eq 443", "tcp", 443, True),
        ("permit object-group BOTH any any eq 443", "udp", 443, True),
        ("permit tcp any any neq 25", "tcp", 443, True),
        ("permit tcp any any neq 443", "tcp", 443, False),
        ("deny ip any any", "udp", 3478, False),  # the list for NAT exemption is bound to no interface
    ],
)
def test_asa_lists_with_names_and_protocol_groups_bound_to_an_interface(line, transport, port, passes):
    text = ASA.format(f"access-list inside_in extended {line}")
    assert lets_through(text, CONNECT, transport, port) is passes
    notes = parse_client_rules(text, name="x").notes
    assert notes == ("1 line not taken in (the access list NONAT is bound to no interface), the first is line 9",)


def test_a_permit_of_asa_that_keeps_hours_is_said_and_not_counted():
    lines = "access-list inside_in extended permit udp any any eq 3478 time-range office\n"
    read = parse_client_rules(ASA.format(lines + "access-list inside_in extended deny ip any any"), name="x")
    assert [rule.allow for rule in read.rules] == [False]
    assert any("time-range" in note for note in read.notes)


@pytest.mark.parametrize(
    ("lines", "port", "passes"),
    [
        ("access-list 101 permit tcp 10.0.0.0 0.255.255.255 15.193.0.0 0.0.31.255 eq 443", 443, True),
        ("access-list 101 deny ip any any\naccess-list 101 permit ip any any", 443, False),
        ("access-list 10 permit 10.9.9.0 0.0.0.255\naccess-list 101 permit tcp any any eq www 443 8443", 443, True),
        ("access-list 101 permit tcp any any eq www 443 8443", 8443, True),
        ("access-list 101 permit tcp any any eq www 443 8443", 22, False),
    ],
)
def test_numbered_lists_of_ios_have_wildcard_masks_and_several_ports(lines, port, passes):
    assert lets_through(lines, CONNECT, "tcp", port) is passes


PAN = """set address AWS ip-netmask 15.193.0.0/19
set service turn protocol udp port 3478
set rulebase security rules first source any destination any {0}
set rulebase security rules last source any destination AWS application any service turn action allow
"""


@pytest.mark.parametrize(
    ("first", "connect", "elsewhere"),
    [
        ("application bittorrent service any action deny", True, False),
        ("application [ ms-office365 ms-teams ] service any action allow", True, False),
        ("application any service any category gambling action allow", True, False),
        ("application any service any schedule office action allow", True, False),
        ("application stun service any action allow", True, True),
        ("application any service any action deny", False, False),
    ],
)
def test_palo_alto_rules_for_one_application_category_or_time_decide_about_nothing_else(first, connect, elsewhere):
    text = PAN.format(first)
    assert lets_through(text, CONNECT, "udp", 3478) is connect
    assert lets_through(text, ELSEWHERE, "udp", 3478) is elsewhere
    assert not lets_through(text, ELSEWHERE, "tcp", 443)


def test_palo_alto_negated_destinations_and_rules_of_one_name_in_two_groups():
    negated = PAN.format("application any service any action allow").replace(
        "destination any", "destination AWS negate-destination yes"
    )
    assert lets_through(negated, ELSEWHERE, "tcp", 443)
    assert not lets_through(negated, CONNECT, "tcp", 443)
    rule = "set device-group {0} pre-rulebase security rules r source any destination {1} service any action {2}\n"
    both = rule.format("A", CONNECT, "allow") + rule.format("B", ELSEWHERE, "deny")
    assert lets_through(both, CONNECT, "udp", 3478)
    assert not lets_through(both, ELSEWHERE, "udp", 3478)


def test_a_packet_that_a_chain_sends_back_is_judged_by_the_chain_it_came_from():
    text = """*filter
:FORWARD DROP [0:0]
:BLOCK - [0:0]
-A FORWARD -j BLOCK
-A FORWARD -p udp -m udp --dport 3478 -j ACCEPT
-A BLOCK -d 15.193.0.0/19 -p udp -m udp --dport 3478 -j RETURN
-A BLOCK -p udp -j DROP
-A BLOCK -p tcp -m tcp ! --dport 443 -j DROP
-A BLOCK -p tcp -j ACCEPT
COMMIT
"""
    assert lets_through(text, CONNECT, "udp", 3478)
    assert not lets_through(text, ELSEWHERE, "udp", 3478)
    assert lets_through(text, ELSEWHERE, "tcp", 443)
    assert not lets_through(text, ELSEWHERE, "tcp", 80)


def test_nft_returns_negated_ports_and_hours():
    text = """table inet fw {
  chain forward {
    type filter hook forward priority filter; policy drop;
    meta hour "08:00"-"18:00" tcp dport 22 accept
    tcp dport != 443 drop
    jump more
  }
  chain more {
    ip daddr 192.0.2.0/24 return
    tcp dport 443 accept
    udp dport 3478 accept
  }
}
"""
    assert lets_through(text, CONNECT, "tcp", 443)
    assert not lets_through(text, ELSEWHERE, "tcp", 443)
    assert not lets_through(text, CONNECT, "tcp", 22)
    assert "certain times" in parse_client_rules(text, name="x").notes[0]


@given(
    st.tuples(st.sampled_from(["tcp", "udp", "any"]), st.integers(0, 9), st.integers(0, 9), st.integers(0, 15)),
    st.tuples(st.sampled_from(["tcp", "udp", "any"]), st.integers(0, 9), st.integers(0, 9), st.integers(0, 15)),
)
def test_a_rule_without_another_matches_just_what_the_other_does_not(one, two):
    def rule(given):
        transport, low, high, addresses = given
        spans = tuple((n, n) for n in range(4) if addresses >> n & 1)
        return ClientRule(
            1, "x", True, "both", transport, min(low, high), max(low, high), None, (spans, ()), (), "list"
        )

    first, second = rule(one), rule(two)
    parts = without(first, second)
    for transport in ("tcp", "udp"):
        for port in range(10):
            for address in ("0.0.0.0", "0.0.0.1", "0.0.0.2", "0.0.0.3"):  # noqa: S104 - the first addresses there are
                wanted = matches(first, address, transport, port) and not matches(second, address, transport, port)
                assert any(matches(part, address, transport, port) for part in parts) is wanted


TABLES = {
    "a title above, several things in a cell": (
        'Rules of the branch\n\nSource,Destination,Port,Protocol,Action\nany,"15.193.4.0/24; 15.193.5.0/24",'
        '"3478, 443",UDP,Allow\nany,any,any,any,Deny\n'
    ),
    "services": "Rule,Source,Destination,Service,Action\n1,any,15.193.0.0/19,UDP/3478,permit\n2,any,any,any,deny\n",
    "German": "Name;Quelle;Ziel;Port;Protokoll;Aktion\nCCP;10.1.0.0/16;15.193.0.0/19;3478;UDP;Zulassen\n",
    "a row switched off": (
        "Enabled,Source,Destination,Port,Protocol,Action\nyes,any,15.193.5.0 255.255.255.0,3478,17,Allow\n"
        "no,any,0.0.0.0/0,any,any,Allow\n"
    ),
}


@pytest.mark.parametrize("table", TABLES)
def test_tables_of_rules_as_spreadsheets_have_them(table):
    assert lets_through(TABLES[table], CONNECT, "udp", 3478)
    assert not lets_through(TABLES[table], ELSEWHERE, "udp", 3478)
    assert not lets_through(TABLES[table], CONNECT, "tcp", 80)
    assert not parse_client_rules(TABLES[table], name="x").dedicated


def test_a_service_that_only_the_firewall_knows_is_said_with_its_line():
    text = "Source,Destination,Service,Action\nany,15.193.0.0/19,svc-voice,permit\nany,15.193.0.0/19,HTTPS,permit\n"
    read = parse_client_rules(text, name="x")
    assert [(rule.transport, rule.low) for rule in read.rules] == [("tcp", 443)]
    assert "the first is line 2" in read.notes[0]


def test_a_list_takes_netmasks_and_no_exceptions():
    text = "15.193.0.0 255.255.224.0\n! 10.0.0.0/8\n"
    read = parse_client_rules(text, name="x")
    assert lets_through(text, CONNECT, "udp", 3478)
    assert not lets_through(text, "10.1.1.1", "udp", 3478)
    assert "exception" in read.notes[0]


def test_rules_of_security_groups_one_by_one():
    entry = {"GroupId": "sg-1", "IsEgress": True, "IpProtocol": "udp", "FromPort": 3478, "ToPort": 3478}
    rows = [entry | {"CidrIpv4": "15.193.0.0/19"}, entry | {"PrefixListId": "pl-1"}]
    text = json.dumps({"SecurityGroupRules": rows})
    assert lets_through(text, CONNECT, "udp", 3478)
    assert not lets_through(text, ELSEWHERE, "udp", 3478)
    assert "prefix list" in parse_client_rules(text, name="x").notes[0]


GROUP_RULE = {"GroupId": "sg-1", "IsEgress": True, "IpProtocol": "udp", "FromPort": 3478, "ToPort": 3478}


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"FromPort": "3478 "}, "ports that are no numbers"),
        ({"FromPort": True, "ToPort": True}, "ports that are no numbers"),
        ({"FromPort": None}, "ports that are no numbers"),
        ({"ToPort": 99999}, "ports that are no numbers"),
        ({"FromPort": 4000}, "ports that are no numbers"),
        ({"IpProtocol": None}, "no protocol"),
    ],
)
def test_what_cannot_be_read_of_a_security_group_allows_nothing(changes, note):
    good = GROUP_RULE | {"CidrIpv4": "203.0.113.0/24"}
    text = json.dumps({"SecurityGroupRules": [good, GROUP_RULE | {"CidrIpv4": "15.193.0.0/19"} | changes]})
    assert not lets_through(text, CONNECT, "udp", 3478)
    assert not lets_through(text, CONNECT, "udp", 53)
    assert note in parse_client_rules(text, name="x").notes[0]


@pytest.mark.parametrize(("first", "last"), [("3478", "3478"), ("-1", "-1"), (-1, -1), ("3000", 4000)])
def test_ports_may_stand_in_quotes(first, last):
    text = json.dumps(
        {"SecurityGroupRules": [GROUP_RULE | {"CidrIpv4": "15.193.0.0/19", "FromPort": first, "ToPort": last}]}
    )
    assert lets_through(text, CONNECT, "udp", 3478)
    assert lets_through(text, CONNECT, "udp", 53) is (int(first) < 0)


def test_only_true_makes_a_rule_of_a_security_group_outbound():
    text = json.dumps({"SecurityGroupRules": [GROUP_RULE | {"CidrIpv4": "15.193.0.0/19", "IsEgress": "false"}]})
    assert [rule.direction for rule in parse_client_rules(text, name="x").rules] == ["inbound"]


@pytest.mark.parametrize(
    "text",
    [
        {"SecurityGroups": [{"IpPermissionsEgress": [{"IpProtocol": "-1", "IpRanges": 0.5}]}]},
        {"planned_values": ["x"]},
        {"planned_values": {"root_module": "x"}},
        {"planned_values": {"root_module": {"resources": 1, "child_modules": 2}}},
        {"resource_changes": [{"type": "aws_security_group", "change": ["x"]}]},
        {"resource_changes": [{"type": "aws_security_group", "change": {"after": {"egress": 1}}}]},
        {"resource_changes": [{"type": "aws_security_group",
                               "change": {"after": {"egress": [{"protocol": "-1", "cidr_blocks": 7}]}}}]},
    ],
)  # fmt: skip
def test_json_of_another_shape_is_refused_in_one_sentence(text):
    with pytest.raises(AllowlistError, match="no rule found"):
        parse_client_rules(json.dumps(text), name="x")
