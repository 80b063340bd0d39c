"""A client's own rules held against the required ones: missing, too wide, stale, covered. Address arithmetic is exact.

Within one list of rules the first match decides; a sweep over the addresses finds, for each stretch of them, the rule
that decides about it. A required block is covered only if every address of it is let through, by whatever rules.
"""

from __future__ import annotations

import heapq
import itertools
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

from ccp_assess.allowlist.choices import OptionName, Switches
from ccp_assess.allowlist.inputs.model import Addresses, ClientRule, ClientRules
from ccp_assess.allowlist.rules import Allowlist, Rule, build
from ccp_assess.endpoints import EVERY_REGION, EndpointPattern, host_expression, read_patterns
from ccp_assess.prefixes import (
    WIDTH_BITS,
    Prefix,
    Spans,
    contains,
    count,
    intersect,
    overlaps,
    parse_prefix,
    prefixes_of,
    spans_of,
    subtract,
    union,
)
from ccp_assess.ranges import CONNECT, IpRanges, read_ranges

WITHDRAWN = {"18.233.213.128/25": "published for AMAZON_CONNECT in us-east-1 from 2018-05-10, gone by 2021-05-12"}
"""Blocks of the service that dated documents held once and the newest does not (ip-ranges.json, 2018 to 2026)."""

SHOWN_RULES = 5
_MOST_ATOMS = 400
_MOST_SOURCES = 20

Segment = tuple[int, int, int]
"""First and last address of a stretch, and the number of the rule that lets it through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What an audit found; each row is ready for JSON.

    Parameters
    ----------
    missing
        Required rules that are not let through, or not wholly, with the symptom the agent sees.
    too_wide
        The client's rules that open more than is needed, with the number of addresses.
    stale
        The client's rules for what is published no longer.
    covered
        Required rules that are let through, and by which of the client's rules.
    notes
        What was read, and what was not understood.
    """

    missing: tuple[dict[str, Any], ...]
    too_wide: tuple[dict[str, Any], ...]
    stale: tuple[dict[str, Any], ...]
    covered: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]

    def to_document(self) -> dict[str, Any]:
        """Return the JSON of the contract."""
        return {
            "missing": list(self.missing),
            "too_wide": list(self.too_wide),
            "stale": list(self.stale),
            "covered": list(self.covered),
            "notes": list(self.notes),
        }


def audit(
    client: ClientRules,
    regions: Sequence[str],
    option: OptionName = "domains",
    *,
    ranges: IpRanges | None = None,
    **switches: Unpack[Switches],
) -> Audit:
    """Hold a client's rules against what an instance in these Regions needs.

    Parameters
    ----------
    client
        The client's rules.
    regions
        Codes such as ``eu-west-2``.
    option
        What is required: names, blocks or both. A required name also counts as covered where the client lets every
        block through that could answer for it.
    ranges
        Published ranges; ``None`` for the shipped snapshot.
    **switches
        The client's choices, as for `build`.

    Returns
    -------
    audit
        Missing, too wide, stale, covered.
    """
    published = ranges or read_ranges()
    required = build(regions, option, ranges=published, **switches)
    blocks = required if option == "addresses" else build(regions, "addresses", ranges=published, **switches)
    check = _Check(client, required, blocks, published)
    missing: list[dict[str, Any]] = []
    covered: list[dict[str, Any]] = []
    for rule in required.rules:
        row, held = check.requirement(rule)
        if row is not None:
            (covered if held else missing).append(row)
    too_wide, stale = check.excess()
    return Audit(
        missing=tuple(missing),
        too_wide=tuple(too_wide),
        stale=tuple(stale),
        covered=tuple(covered),
        notes=(f"Read as {client.format}: {len(client.rules)} rules.", *client.notes, *check.notes()),
    )


def first_match(intervals: Iterable[tuple[int, int, int, bool]]) -> list[Segment]:
    """Find which stretches of addresses are let through, where the first matching rule decides.

    Parameters
    ----------
    intervals
        First and last address, number of the rule (lower decides) and whether it allows.

    Returns
    -------
    segments
        Sorted and disjoint; stretches of one rule that touch are one.

    Examples
    --------
    >>> first_match([(0, 9, 2, True), (4, 5, 1, False)])
    [(0, 3, 2), (6, 9, 2)]
    """
    starts = sorted(intervals)
    if all(allow for _, _, _, allow in starts):
        return _all_allowed(starts)
    points = sorted({row[0] for row in starts} | {row[1] + 1 for row in starts})
    waiting: list[tuple[int, int, bool]] = []
    found: list[Segment] = []
    at = 0
    for point, after in itertools.pairwise(points):
        while at < len(starts) and starts[at][0] == point:
            _, last, number, allow = starts[at]
            heapq.heappush(waiting, (number, last, allow))
            at += 1
        while waiting and waiting[0][1] < point:
            heapq.heappop(waiting)
        if waiting and waiting[0][2]:
            number = waiting[0][0]
            if found and found[-1][2] == number and found[-1][1] == point - 1:
                found[-1] = (found[-1][0], after - 1, number)
            else:
                found.append((point, after - 1, number))
    return found


def _all_allowed(starts: list[tuple[int, int, int, bool]]) -> list[Segment]:
    """Do the same where nothing is forbidden: then the order of the rules does not matter."""
    found: list[Segment] = []
    reached = -1
    for first, last, number, _ in starts:
        if last > reached:
            found.append((max(first, reached + 1), last, number))
            reached = last
    return found


@dataclass(slots=True)
class _Let:
    """What the client lets through towards one port, by IP version."""

    spans: dict[int, Spans]
    segments: dict[int, list[list[Segment]]]


class _Check:
    """One audit: what is asked often is worked out once."""

    def __init__(self, client: ClientRules, required: Allowlist, blocks: Allowlist, ranges: IpRanges) -> None:
        self.client, self.required, self.blocks, self.ranges = client, required, blocks, ranges
        self.regions = required.regions
        self.sources = tuple(parse_prefix(text) for text in required.choices.from_subnets)
        self._let: dict[tuple[str, str, int, int], _Let] = {}
        rows = [row.prefix for service in ranges.by_service for row in ranges.rows(service)]
        self.aws = {version: spans_of(rows, version) for version in (4, 6)}
        connect = ranges.prefixes(CONNECT)
        self.connect = {version: spans_of(connect, version) for version in (4, 6)}
        self.needed = {
            key: {version: spans_of(self._needed(*key), version) for version in (4, 6)}
            for key in (("443", "tcp"), ("3478", "udp"))
        }
        self.names = _Names(client.rules)
        self.unpublished = f"not published by AWS for this use (ip-ranges.json of {ranges.retrieved})"
        self._told: list[str] = []
        self._published: dict[Addresses, bool] = {}
        self._any_v6 = any(
            (row.destination is None or row.destination[1]) and (row.source is None or row.source[1])
            for row in client.rules
            if not row.hosts and row.allow
        )

    def _needed(self, port: str, transport: str) -> list[Prefix]:
        return [
            parse_prefix(rule.target)
            for rule in self.blocks.rules
            if (rule.port, rule.transport, rule.direction) == (port, transport, "outbound") and rule.kind == "cidr"
        ]

    def notes(self) -> tuple[str, ...]:
        """Return what the audit could not look at."""
        restricted = not self.sources and any(
            row.source is not None and row.source[0] != (_ALL_V4,) for row in self.client.rules
        )
        told = ["Some rules hold for certain sources only; give --from SUBNET to check them for your sites."]
        return (*self._told, *(told if restricted else ()))

    def requirement(self, rule: Rule) -> tuple[dict[str, Any] | None, bool]:
        """Return the row of a required rule and whether it is let through; no row where it does not apply."""
        if rule.kind != "cidr":
            return self._name(rule)
        block = parse_prefix(rule.target)
        if self.sources and not any(source.version == block.version for source in self.sources):
            return None, True  # no workstation has an address of this version
        let = self._towards(rule.direction, rule.transport, rule.port)
        gaps = subtract(((block.first, block.last),), let.spans[block.version])
        row = _required_row(rule)
        if not gaps:
            return row | {"covered_by": self._deciding(let, block)}, True
        row["uncovered"] = [prefix.text for prefix in prefixes_of(gaps, block.version)][:64]
        row["addresses_missing"] = count(gaps) if block.version == 4 else str(count(gaps))
        row["severity"] = "critical"
        if block.version == 6 and not self._any_v6:
            row["severity"] = "info"
            row["note"] = "the rules hold no IPv6 at all: needed only where the network has IPv6"
        return row, False

    # ---- what is let through -------------------------------------------------------------------------------------

    def _towards(self, direction: str, transport: str, port: str) -> _Let:
        low, _, high = port.partition("-")
        key = (direction, transport, int(low), int(high or low))
        if key not in self._let:
            self._let[key] = self._worked_out(*key)
        return self._let[key]

    def _worked_out(self, direction: str, transport: str, low: int, high: int) -> _Let:
        fitting = self._fitting(direction, transport, low, high)
        cuts = {low} | {rule.low for _, rule in fitting} | {rule.high + 1 for _, rule in fitting}
        atoms = sorted(cut for cut in cuts if low <= cut <= high)[:_MOST_ATOMS]
        spans: dict[int, Spans] = {}
        segments: dict[int, list[list[Segment]]] = {}
        for version in (4, 6):
            sources = self._source_atoms(fitting, direction, version)
            parts: list[list[Segment]] = []
            for port in atoms:
                looks = [self._segments(fitting, direction, port, source, version) for source in sources]
                held = [union((first, last) for part in look for first, last, _ in part) for look in looks]
                # Known sites must all be let through; of unknown ones we ask whether any source is.
                here = _all_of(held) if self.sources else union(span for one in held for span in one)
                spans[version] = here if version not in spans else intersect(spans[version], here)
                parts = parts or [part for look in (looks[:1] if self.sources else looks) for part in look]
            spans.setdefault(version, ())
            segments[version] = parts
        return _Let(spans, segments)

    def _fitting(self, direction: str, transport: str, low: int, high: int) -> list[tuple[int, ClientRule]]:
        """Return the lines that can decide about what is needed; the many others are set aside once, here."""
        wanted = self.connect if direction == "inbound" else self.needed[str(low), transport]
        four, six = wanted[4], wanted[6]
        outbound = direction == "outbound"
        found = []
        for number, rule in enumerate(self.client.rules):
            if (
                rule.low > high
                or rule.high < low
                or (rule.transport != transport and rule.transport != "any")  # noqa: PLR1714  # read 100,000 times
                or (rule.direction != direction and rule.direction != "both")  # noqa: PLR1714
                or rule.hosts
            ):
                continue
            far = rule.destination if outbound else rule.source
            if far is not None and not (
                any(overlaps(four, first, last) for first, last in far[0])
                or any(overlaps(six, first, last) for first, last in far[1])
            ):
                continue
            if rule.direction == "both" and self._points_back(rule, direction):
                continue
            found.append((number, rule))
        return found

    def _points_back(self, rule: ClientRule, direction: str) -> bool:
        """Tell whether a line without direction is about the other one: its far side is published by AWS."""
        near = rule.source if direction == "outbound" else rule.destination
        if near is None:
            return False
        if near not in self._published:
            self._published[near] = any(near) and all(
                contains(self.aws[version], first, last)
                for version, spans in ((4, near[0]), (6, near[1]))
                for first, last in spans
            )
        return self._published[near]

    def _source_atoms(
        self, fitting: list[tuple[int, ClientRule]], direction: str, version: int
    ) -> list[tuple[int, int] | None]:
        """Cut the workstations' subnets where a rule begins or ends to hold.

        Where the sites are unknown: ``None`` for anybody, and each source that some rule lets through.
        """
        if not self.sources:
            sides = [rule.source if direction == "outbound" else rule.destination for _, rule in fitting if rule.allow]
            own = {side[version == 6][0]: None for side in sides if side is not None and side[version == 6]}
            return [None, *list(own)[:_MOST_SOURCES]]
        near = [rule.source if direction == "outbound" else rule.destination for _, rule in fitting]
        edges = {
            edge
            for side in set(near)
            if side is not None
            for first, last in side[version == 6]
            for edge in (first, last + 1)
        }
        ordered = sorted(edges)
        atoms: list[tuple[int, int] | None] = []
        for first, last in spans_of(self.sources, version):
            inner = ordered[bisect_right(ordered, first) : bisect_right(ordered, last)]
            atoms += list(zip([first, *inner], [*(cut - 1 for cut in inner), last], strict=True))
        if len(atoms) > _MOST_ATOMS:
            self._told.append(f"The sources are cut into {len(atoms)} parts by the rules; {_MOST_ATOMS} were checked.")
        return atoms[:_MOST_ATOMS]

    def _segments(
        self,
        fitting: list[tuple[int, ClientRule]],
        direction: str,
        port: int,
        source: tuple[int, int] | None,
        version: int,
    ) -> list[list[Segment]]:
        groups: dict[str, list[tuple[int, int, int, bool]]] = {}
        six = version == 6
        everything = ((0, (1 << (128 if six else 32)) - 1),)
        for number, rule in fitting:
            if not rule.low <= port <= rule.high:
                continue
            near, far = (rule.source, rule.destination) if direction == "outbound" else (rule.destination, rule.source)
            if near is not None and (source is None or not contains(near[six], *source)):
                continue
            target = everything if far is None else far[six]
            if target:
                rows = groups.setdefault(rule.group, [])
                rows += [(first, last, number, rule.allow) for first, last in target]
        return [first_match(rows) for rows in groups.values()]

    def _deciding(self, let: _Let, block: Prefix) -> list[dict[str, Any]]:
        numbers: list[int] = []
        for part in let.segments[block.version]:
            at = max(bisect_right(part, (block.first, 1 << 130, 0)) - 1, 0)
            while at < len(part) and part[at][0] <= block.last and len(numbers) < SHOWN_RULES:
                if part[at][1] >= block.first:
                    numbers.append(part[at][2])
                at += 1
        return [_rule_row(self.client.rules[number]) for number in dict.fromkeys(numbers)]

    # ---- names ---------------------------------------------------------------------------------------------------

    def _name(self, rule: Rule) -> tuple[dict[str, Any], bool]:
        row = _required_row(rule)
        numbers = self.names.covering(rule)
        if not numbers and rule.host.lower().startswith("turnnlb-*"):
            listed = [p for p in read_patterns() if p.needed_for == "turn_named" and p.region_code == rule.region_code]
            found = [self.names.covering(rule, host=pattern.host) for pattern in listed]
            if found and all(found):
                numbers = [number for held in found for number in held]
                row["note"] = "covered by the named load balancers, which go stale when AWS adds one"
        if numbers:
            return row | {"covered_by": [_rule_row(self.client.rules[n]) for n in numbers[:SHOWN_RULES]]}, True
        needed = self.needed[rule.port, rule.transport]
        let = self._towards("outbound", rule.transport, rule.port)
        own = {source.version for source in self.sources}
        versions = [version for version in (4, 6) if version in own or (not own and (version == 4 or self._any_v6))]
        if all(needed[version] for version in versions[:1]) and all(
            not subtract(needed[version], let.spans[version]) for version in versions
        ):
            version = versions[0]
            first = needed[version][0]
            row["note"] = "covered by address blocks: every published block that could answer is let through"
            block = Prefix(version, first[0], 32 if version == 4 else 128)
            return row | {"covered_by": self._deciding(let, block)}, True
        return row | {"severity": "critical"}, False

    # ---- too wide, stale -----------------------------------------------------------------------------------------

    def excess(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the rows of what the client opens without need, and of what is published no longer."""
        too_wide: list[dict[str, Any]] = []
        stale: list[dict[str, Any]] = []
        union_of = {
            version: union([*self.needed["443", "tcp"][version], *self.needed["3478", "udp"][version]])
            for version in (4, 6)
        }
        counters = {
            (web, audio, version): _Counter(spans)
            for version in (4, 6)
            for web, audio, spans in (
                (True, False, self.needed["443", "tcp"][version]),
                (False, True, self.needed["3478", "udp"][version]),
                (True, True, union_of[version]),
            )
        }
        for rule in self.client.rules:
            if not rule.allow:
                continue
            if rule.hosts:
                self._excess_names(rule, too_wide, stale)
                continue
            if rule.direction == "inbound" or self._points_back(rule, "outbound"):
                self._excess_inbound(rule, too_wide)
                continue
            web = rule.transport in {"tcp", "any"} and rule.low <= 443 <= rule.high
            audio = rule.transport in {"udp", "any"} and rule.low <= 3478 <= rule.high
            if web or audio:
                self._excess_blocks(rule, web, audio, counters, too_wide, stale)
        return too_wide, stale

    def _excess_blocks(  # noqa: PLR0917
        self,
        rule: ClientRule,
        web: bool,  # noqa: FBT001
        audio: bool,  # noqa: FBT001
        counters: dict[tuple[bool, bool, int], _Counter],
        too_wide: list[dict[str, Any]],
        stale: list[dict[str, Any]],
    ) -> None:
        target = rule.destination or (((0, 2**32 - 1),), ((0, 2**128 - 1),))
        four, six = counters[web, audio, 4], counters[web, audio, 6]
        held = [0, 0]
        for first, last in target[0]:
            held[0] += four.within(first, last)
        for first, last in target[1]:
            held[1] += six.within(first, last)
        only_audio = audio and rule.low == rule.high
        if not any(held) and not self.client.dedicated and not only_audio:
            return  # somebody else's rule
        sizes = [count(spans) for spans in target]
        row = _rule_row(rule) | {"addresses_opened": {"v4": sizes[0], "v6": str(sizes[1])}}
        if rule.text.split(" ")[0] in WITHDRAWN and rule.text.split(" ")[0] not in self._texts():
            stale.append(row | {"why": WITHDRAWN[rule.text.split(" ")[0]]})
        elif any(held):
            beyond = [size - inside for size, inside in zip(sizes, held, strict=True)]
            row["addresses_beyond"] = {"v4": beyond[0], "v6": str(beyond[1])}
            wide_ports = not self.client.dedicated and rule.high - rule.low > 0
            if any(beyond):
                number = f"{beyond[0]} IPv4" if beyond[0] else f"{beyond[1]} IPv6"
                too_wide.append(row | {"why": f"opens {number} addresses beyond the required ones"})
            elif wide_ports:
                ports = "every port" if (rule.low, rule.high) == (0, 65535) else f"ports {rule.low}-{rule.high}"
                too_wide.append(row | {"why": f"opens {ports}; 443/tcp and 3478/udp are needed"})
        else:
            self._excess_elsewhere(
                rule, row, only_audio=audio and rule.low == rule.high, too_wide=too_wide, stale=stale
            )

    def _texts(self) -> set[str]:
        return {prefix.text for prefix in self.ranges.prefixes(CONNECT)}

    def _excess_elsewhere(
        self,
        rule: ClientRule,
        row: dict[str, Any],
        *,
        only_audio: bool,
        too_wide: list[dict[str, Any]],
        stale: list[dict[str, Any]],
    ) -> None:
        """Judge a rule that lets nothing of ours through: only where it is plain that it was meant to."""
        if not (self.client.dedicated or only_audio) or rule.destination is None:
            return
        own = self.connect if only_audio else self.aws
        published = any(overlaps(own[4], *span) for span in rule.destination[0])
        published = published or any(overlaps(own[6], *span) for span in rule.destination[1])
        if not published:
            stale.append(row | {"why": self.unpublished})
            return
        version = 4 if rule.destination[0] else 6
        first = rule.destination[version == 6][0][0]
        text = Prefix(version, first, 32 if version == 4 else 128).text.split("/")[0]
        region = self.ranges.region_of(text)
        too_wide.append(
            row
            | {
                "addresses_beyond": row["addresses_opened"],
                "why": f"not needed for {' '.join(self.regions)}: {self.ranges.service_of(text)}"
                + (f" of {region}" if region else ""),
            }
        )

    def _excess_inbound(self, rule: ClientRule, too_wide: list[dict[str, Any]]) -> None:
        if self.required.choices.stateless or rule.transport not in {"udp", "any"}:
            return
        if rule.source is None:
            meant = rule.direction == "inbound" and rule.transport == "udp" and rule.high - rule.low > 1000
        else:
            meant = any(overlaps(self.connect[v], *span) for v in (4, 6) for span in rule.source[v == 6])
        if meant:
            target = rule.source or (((0, 2**32 - 1),), ((0, 2**128 - 1),))
            too_wide.append(
                _rule_row(rule)
                | {
                    "addresses_opened": {"v4": count(target[0]), "v6": str(count(target[1]))},
                    "addresses_beyond": {"v4": count(target[0]), "v6": str(count(target[1]))},
                    "why": "needless inbound rule: a stateful firewall lets the answers in by itself",
                }
            )

    def _excess_names(self, rule: ClientRule, too_wide: list[dict[str, Any]], stale: list[dict[str, Any]]) -> None:
        for entry in rule.hosts:
            host = _wildcard_form(entry.partition("/")[0])
            row = _rule_row(rule) | {"target": entry, "addresses_opened": None}
            verdict, why = _judge_name(host, self.required)
            if verdict == "too_wide":
                too_wide.append(row | {"why": why})
            elif verdict == "stale":
                stale.append(row | {"why": why})


def _all_of(sets: Sequence[Spans]) -> Spans:
    held = sets[0] if sets else ()
    for other in sets[1:]:
        held = intersect(held, other)
    return held


_ALL_V4 = (0, 2**32 - 1)


class _Counter:
    """How many addresses of a set lie between two addresses, by bisection."""

    def __init__(self, spans: Spans) -> None:
        self.firsts = [first for first, _ in spans]
        self.lasts = [last for _, last in spans]
        self.before = [0]
        for first, last in spans:
            self.before.append(self.before[-1] + last - first + 1)

    def within(self, first: int, last: int) -> int:
        low = bisect_left(self.lasts, first)
        high = bisect_right(self.firsts, last)
        if low >= high:
            return 0
        whole = self.before[high] - self.before[low]
        return whole - max(0, first - self.firsts[low]) - max(0, self.lasts[high - 1] - last)


def _required_row(rule: Rule) -> dict[str, Any]:
    return {
        "target": rule.target,
        "kind": rule.kind,
        "port": rule.port,
        "transport": rule.transport,
        "direction": rule.direction,
        "purpose": rule.purpose,
        "symptom": rule.symptom,
        "region_code": rule.region_code,
        "source": rule.source,
        "retrieved": rule.retrieved,
    }


def _rule_row(rule: ClientRule) -> dict[str, Any]:
    return {"line": rule.line, "rule": rule.text[:200], "target": _target_text(rule)}


def _target_text(rule: ClientRule) -> str:
    if rule.hosts:
        return ", ".join(rule.hosts[:SHOWN_RULES])
    far = rule.source if rule.direction == "inbound" else rule.destination
    if far is None:
        return "any"
    if len(far[0]) + len(far[1]) == 1:  # nearly every rule of a long list
        version = 4 if far[0] else 6
        ((first, last),) = far[version == 6]
        size = last - first + 1
        if size & (size - 1) == 0 and first % size == 0:
            return Prefix(version, first, WIDTH_BITS[version] + 1 - size.bit_length()).text
    texts = [
        prefix.text
        for version in (4, 6)
        for prefix in prefixes_of(far[version == 6][:SHOWN_RULES], version)[: SHOWN_RULES + 1]
    ]
    return ", ".join(texts[:SHOWN_RULES]) + (", …" if len(texts) > SHOWN_RULES else "")


# ---- names -------------------------------------------------------------------------------------------------------


def _wildcard_form(host: str) -> str:
    """Write ``.example.com`` (proxies, Check Point) as ``*.example.com``."""
    return f"*{host}" if host.startswith(".") else host.lower()


def _probes(host: str) -> list[str]:
    """Return names that stand for all that a pattern matches: letters that no rule can name stand for its wildcards."""
    if "*" not in host:
        return [host]
    return [host.replace("*", word) for word in ("zq7", "zq7x.zq8" if host.startswith("*.") else "zq7-zq8")]


class _Names:
    """The client's names, found by exact name, by suffix, and only for the few odd ones by expression."""

    def __init__(self, rules: Sequence[ClientRule]) -> None:
        self.rules = rules
        self.exact: dict[str, list[tuple[int, str]]] = {}
        self.suffix: dict[str, list[tuple[int, str]]] = {}
        self.odd: list[tuple[re.Pattern[str], int, str]] = []
        for number, rule in enumerate(rules):
            for entry in rule.hosts:
                host, slash, path = entry.partition("/")
                place = (number, slash + path)
                if host.startswith("."):
                    self.exact.setdefault(host[1:], []).append(place)
                    self.suffix.setdefault(host[1:], []).append(place)
                elif host == "*":
                    self.suffix.setdefault("", []).append(place)
                elif host.startswith("*.") and "*" not in host[1:]:
                    self.suffix.setdefault(host[2:], []).append(place)
                elif "*" in host:
                    expression = re.escape(host).replace(r"\*", "[^.]*")
                    expression = "(?:[^.]+\\.)*" + expression[6:] if host.startswith("*.") else expression
                    self.odd.append((re.compile(expression), number, place[1]))
                else:
                    self.exact.setdefault(host, []).append(place)

    def matching(self, name: str) -> list[tuple[int, str]]:
        """Return the numbers and paths of the rules that a name meets, the first first."""
        labels = name.split(".")
        found = list(self.exact.get(name, ()))
        for at in range(1, len(labels) + 1):
            found += self.suffix.get(".".join(labels[at:]), ())
        found += [(number, path) for expression, number, path in self.odd if expression.fullmatch(name)]
        return sorted(found)

    def covering(self, rule: Rule, host: str | None = None) -> list[int]:
        """Return the numbers of the rules that let a required name through, wholly; empty if none does."""
        wanted = (host or rule.host).lower()
        if wanted in {"*.my.connect.aws", "*.awsapps.com"} and host is None:
            return self._instance(rule, wanted[1:])
        decided = [self._deciding(name, rule) for name in _probes(wanted)]
        return [number for number in decided if number is not None] if None not in decided else []

    def _instance(self, rule: Rule, suffix: str) -> list[int]:
        """Find any instance's own name: the alias is not known, so one that the client lets through will be it."""
        hosts = [host for host in self.exact if host.endswith(suffix)] or [f"zq7{suffix}"]
        found = [self._deciding(host, rule) for host in hosts]
        return [number for number in found if number is not None][:1]

    def _deciding(self, name: str, rule: Rule) -> int | None:
        for number, path in self.matching(name):
            held = self.rules[number]
            if held.transport not in {rule.transport, "any"} or not held.low <= int(rule.port) <= held.high:
                continue
            if path and not _path_covers(path, rule.path):
                continue
            return number if held.allow else None
        return None


def _path_covers(held: str, wanted: str) -> bool:
    stem = held.rstrip("*")
    return (
        wanted == stem.rstrip("/")
        or wanted == stem
        or (wanted.startswith(stem) and (held != stem or stem.endswith("/")))
    )


def _judge_name(host: str, required: Allowlist) -> tuple[str, str]:
    """Judge a name of the client's: needed, too wide, stale, or none of our business."""
    regions = required.regions
    if host == "*":
        return "too_wide", "opens every name there is"
    mine = [p for p in read_patterns() if p.region_code in {EVERY_REGION, *regions} and p.needed_for != "identify"]
    probes = _probes(host)
    if any(all(_pattern_holds(pattern, name, regions) for name in probes) for pattern in mine):
        if host.endswith(".awsapps.com") and not required.choices.legacy_domain:
            return "stale", "awsapps.com is the old domain and is going away: migrate to my.connect.aws"
        if host == "*.my.connect.aws" and required.choices.instance:
            return "too_wide", "opens the instance of every client of the service; the alias alone is enough"
        if re.fullmatch(r"turnnlb-[0-9a-f]+\.elb\.[a-z0-9-]+\.amazonaws\.com", host):
            listed = {pattern.host.lower() for pattern in mine if pattern.needed_for == "turn_named"}
            if host not in listed:
                return "stale", "a TURN load balancer that AWS's page does not list for the Region"
        return "needed", ""
    if "*" in host:
        if any(rule.host.lower() == host for rule in required.rules if rule.kind != "cidr"):
            return "needed", ""
        wider = [rule.target for rule in required.rules if rule.kind != "cidr" and _glob_holds(host, rule.host.lower())]
        if wider:
            return "too_wide", f"opens every name under {host.lstrip('*.')}; needed in it: {', '.join(wider[:3])}"
    others = [p for p in read_patterns() if p.needed_for != "identify"]
    if any(_expression(p.host).fullmatch(name) for p in others for name in probes[:1]):
        return "too_wide", f"belongs to another Region than {' '.join(regions)}"
    return "foreign", ""


def _expression(host: str) -> re.Pattern[str]:
    return host_expression(host)


def _pattern_holds(pattern: EndpointPattern, name: str, regions: Sequence[str]) -> bool:
    match = host_expression(pattern.host).fullmatch(name)
    if match is None:
        return False
    if "region" in match.groupdict():
        return match["region"] in regions
    return True


def _glob_holds(wide: str, narrow: str) -> bool:
    """Tell whether a pattern of names holds all that another one matches."""
    expression = re.escape(wide).replace(r"\*\.", r"(?:[^.]+\.)+", 1) if wide.startswith("*.") else re.escape(wide)
    expression = expression.replace(r"\*", r"[^.]*")
    return all(re.fullmatch(expression, name) for name in _probes(narrow))
