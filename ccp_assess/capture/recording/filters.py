"""Which packets a recording takes: those of the softphone, in the language of libpcap's filters (pcap-filter).

Media relays are told by their port. HTTPS is told by the published ranges of the Region, of CloudFront and of Global
Accelerator, so that the agent's other browsing stays out. A filter is compiled into a program of the kernel, which
takes 4,096 instructions: IPv6 ranges are therefore taken coarser than published.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from ccp_assess.errors import RecordingError
from ccp_assess.prefixes import Prefix, collapse, parse_prefix
from ccp_assess.ranges import CONNECT, EVERYTHING, IpRanges

TURN_PORTS = (3478, 5349)
"""STUN and TURN, and the same over TLS (RFC 8656)."""

_COARSEST_V6_BITS = 32
_WORLDWIDE = ("CLOUDFRONT", "GLOBALACCELERATOR", CONNECT, "CHIME_MEETINGS")

ICMP_ERRORS = (
    "(icmp and (icmp[0] == 3 or icmp[0] == 4 or icmp[0] == 11 or icmp[0] == 12))",
    "(icmp6 and ip6[40] < 5)",
)
LATER_FRAGMENTS = "(udp and ip[6:2] & 0x1fff != 0)"
"""Fragments after the first have no ports; large DTLS messages come in them."""


def softphone_filter(
    region_codes: Sequence[str],
    ranges: IpRanges,
    *,
    hosts: Iterable[str] = (),
    ports: Iterable[int] = (),
) -> str:
    """Write the filter for the softphone's traffic.

    Parameters
    ----------
    region_codes
        Regions whose ranges count; none takes the ranges of all Regions that Connect has.
    ranges
        Published ranges.
    hosts
        Further addresses, such as a proxy's or those of a private deployment: all of their traffic is taken.
    ports
        Further ports of relays.

    Returns
    -------
    expression
        For tcpdump, dumpcap and libpcap.

    Raises
    ------
    RecordingError
        If a Region has no published range, or an address is none.
    """
    relays = " or ".join(f"port {port}" for port in sorted({*TURN_PORTS, *ports}))
    parts = [relays, "port 53", *ICMP_ERRORS, LATER_FRAGMENTS]
    parts += [f"host {_checked(host)}" for host in dict.fromkeys(hosts)]
    nets = " or ".join(f"net {prefix.text}" for prefix in https_prefixes(region_codes, ranges))
    parts.append(f"(port 443 and ({nets}))")
    return " or ".join(parts)


def _checked(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError as error:
        raise RecordingError(f"{host!r} is no address; give the IPv4 or IPv6 address to record as well") from error


def https_prefixes(region_codes: Sequence[str], ranges: IpRanges) -> tuple[Prefix, ...]:
    """Return the ranges behind the softphone's HTTPS.

    Parameters
    ----------
    region_codes
        Regions; none means all that Connect has.
    ranges
        Published ranges.

    Returns
    -------
    prefixes
        As few as cover them; IPv6 no finer than /32.

    Raises
    ------
    RecordingError
        If a Region has no published range.
    """
    own: list[Prefix] = [prefix for service in _WORLDWIDE for prefix in ranges.prefixes(service)]
    for code in region_codes:
        found = ranges.prefixes(EVERYTHING, code)
        if not found:
            raise RecordingError(f"no published range belongs to the Region {code!r}; name it as in eu-west-2")
        own += found
    if not region_codes:
        codes = {row.region_code for row in ranges.rows(CONNECT)}
        own += [row.prefix for row in ranges.rows("EC2") if row.region_code in codes]
    return collapse([_coarse(prefix) for prefix in own])


def _coarse(prefix: Prefix) -> Prefix:
    if prefix.version == 4 or prefix.length <= _COARSEST_V6_BITS:
        return prefix
    return parse_prefix(f"{prefix.text.split('/')[0]}/{_COARSEST_V6_BITS}", strict=False)


def route_targets(region_codes: Sequence[str], ranges: IpRanges, hosts: Iterable[str] = ()) -> list[str]:
    """Return addresses towards which the route tells the interface to record on.

    Parameters
    ----------
    region_codes
        Regions.
    ranges
        Published ranges.
    hosts
        Further addresses; they come first.

    Returns
    -------
    addresses
        Best first; nothing is sent to them.
    """
    found = list(hosts)
    for code in (*region_codes, None):
        for version in (4, 6):
            first = next((p for p in ranges.prefixes(CONNECT, code) if p.version == version), None)
            if first is not None:
                found.append(first.text.split("/")[0])
    return list(dict.fromkeys(found))
