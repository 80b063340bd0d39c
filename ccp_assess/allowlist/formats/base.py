"""What a format can express, and the fitting of rules into it: nothing is dropped without a sentence that says so."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ccp_assess.allowlist.rules import Allowlist, Rule
from ccp_assess.errors import AllowlistError
from ccp_assess.prefixes import Prefix, parse_prefix

_HOST = re.compile(r"[A-Za-z0-9*_-]+(?:\.[A-Za-z0-9*_-]+)+", re.ASCII)
_PATH = re.compile(r"[A-Za-z0-9/_.-]*", re.ASCII)
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 .,:;/()_+*-]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One output format and what it can express.

    Parameters
    ----------
    name
        As on the command line.
    title
        For people.
    suffix
        Usual ending of such a file.
    write
        Fitted rules → the file's content.
    names
        Whether it knows names at all.
    wildcards
        ``*.example.com``.
    partial_wildcards
        ``TurnNlb-*.elb…``: a wildcard inside a label.
    udp_names
        Names for UDP.
    udp_wildcards
        Names with wildcards for UDP.
    urls
        A path after the name.
    blocks
        Blocks of addresses.
    ports
        Ports and protocols.
    inbound
        Inbound rules.
    sources
        Where the workstations are.
    comments
        Whether the file can carry comments.
    whole
        Whether it writes the rules themselves, so that nothing is ever left out.
    versions
        IP versions that one file can hold.
    """

    name: str
    title: str
    suffix: str
    write: Callable[[Fitted], str | bytes]
    names: bool = True
    wildcards: bool = True
    partial_wildcards: bool = False
    udp_names: bool = False
    udp_wildcards: bool = False
    urls: bool = False
    blocks: bool = True
    ports: bool = True
    inbound: bool = True
    sources: bool = True
    comments: bool = True
    whole: bool = False
    versions: tuple[int, ...] = (4, 6)

    def __post_init__(self) -> None:
        if not self.names:  # what knows no names knows no wildcards either
            object.__setattr__(self, "wildcards", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One rule as a format can take it.

    Parameters
    ----------
    host
        Name in lower case but for AWS's own spelling, empty for a block.
    path
        Path of the URL where the format takes one.
    block
        The block, ``None`` for a name.
    port
        Port or range, as ``low-high``.
    transport, direction
        As in the rule.
    comment
        Purpose in plain characters, one line.
    """

    host: str
    path: str
    block: Prefix | None
    port: str
    transport: str
    direction: str
    comment: str

    @property
    def text(self) -> str:
        """The target as text."""
        return self.block.text if self.block else self.host + self.path

    @property
    def ports(self) -> tuple[int, int]:
        """Lowest and highest port."""
        low, _, high = self.port.partition("-")
        return int(low), int(high or low)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The rules as one format can take them.

    Parameters
    ----------
    allowlist
        Where they come from.
    entries
        Each once, in the order of the rules.
    subnets
        Where the workstations are; empty for anywhere.
    left_out
        Sentences on what the format cannot say.
    proxy
        ``HOST:PORT`` for what is not in the list, where a format needs one.
    """

    allowlist: Allowlist
    entries: tuple[Entry, ...]
    subnets: tuple[Prefix, ...]
    left_out: tuple[str, ...]
    proxy: str = "proxy.example:8080"

    @property
    def names(self) -> tuple[Entry, ...]:
        """The entries with a name."""
        return tuple(entry for entry in self.entries if not entry.block)

    def blocks(self, direction: str = "outbound", version: int | None = None) -> tuple[Entry, ...]:
        """Return the entries with a block, of one direction and, if given, of one IP version."""
        return tuple(
            entry
            for entry in self.entries
            if entry.block and entry.direction == direction and version in (None, entry.block.version)
        )

    def groups(self, entries: Iterable[Entry]) -> dict[tuple[str, str], tuple[Entry, ...]]:
        """Group entries by transport and port, in order of appearance."""
        grouped: dict[tuple[str, str], list[Entry]] = {}
        for entry in entries:
            grouped.setdefault((entry.transport, entry.port), []).append(entry)
        return {key: tuple(rows) for key, rows in grouped.items()}

    def sources(self, version: int) -> tuple[Prefix, ...]:
        """Return the workstations' subnets of one IP version."""
        return tuple(prefix for prefix in self.subnets if prefix.version == version)

    def serves(self, version: int) -> bool:
        """Tell whether rules of an IP version make sense: subnets of the other version alone rule it out."""
        return not self.subnets or bool(self.sources(version))

    def heading(self, mark: str) -> list[str]:
        """Return the comment lines that open a file: what it is, from when, what is left out, what to know."""
        built = self.allowlist
        told = [
            f"Amazon Connect softphone allowlist: {' '.join(built.regions)}, option {built.option}",
            f"Made by ccp-assess from the networking page of AWS and ip-ranges.json of {built.ranges_date}",
            *(f"LEFT OUT: {sentence}" for sentence in self.left_out),
        ]
        return [f"{mark} {plain(line)}" for line in told]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A finished file.

    Parameters
    ----------
    content
        Text, or bytes for a document.
    left_out
        Sentences on what the format cannot say.
    suffix
        Usual ending of such a file.
    """

    content: str | bytes
    left_out: tuple[str, ...]
    suffix: str


def plain(text: str) -> str:
    r"""Reduce text to characters that mean nothing in any of the formats; one line.

    Parameters
    ----------
    text
        Any text, hostile text too.

    Returns
    -------
    text
        ASCII letters, digits, spaces and harmless punctuation, at most 240 characters.

    Examples
    --------
    >>> plain('a"; drop `x`\n$(reboot)')
    'a ; drop x (reboot)'
    """
    return re.sub(r" +", " ", _NOT_PLAIN.sub(" ", text.replace("…", "..."))).strip()[:240]


def fit(allowlist: Allowlist, form: Format, *, proxy: str | None = None) -> Fitted:
    """Fit rules into what a format can express.

    Parameters
    ----------
    allowlist
        The rules.
    form
        The format.
    proxy
        ``HOST:PORT`` where the format needs one.

    Returns
    -------
    fitted
        Entries and the sentences on what was left out.
    """
    if proxy is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,250}:[0-9]{1,5}", proxy, re.ASCII):
        raise AllowlistError(f"{proxy[:80]!r} is no proxy such as proxy.example:8080")
    entries: dict[tuple[str, str, str, str, str], Entry] = {}
    lost: dict[str, list[str]] = {}
    for rule in allowlist.rules:
        entry = _entry(rule, form, lost)
        if entry:
            entries.setdefault(
                (entry.host, entry.path, entry.text, entry.port, entry.transport + entry.direction), entry
            )
    left_out = [f"{reason}: {_some(targets)}" for reason, targets in lost.items()]
    subnets = tuple(parse_prefix(text) for text in allowlist.choices.from_subnets)
    if subnets and not form.sources:
        left_out.append("the format cannot say where the workstations are: the rules hold for every source")
    if not form.ports and entries:
        left_out.append(
            "the format cannot say ports: " + ", ".join(sorted({f"{e.port}/{e.transport}" for e in entries.values()}))
        )
    return Fitted(
        allowlist=allowlist,
        entries=tuple(entries.values()),
        subnets=subnets,
        left_out=tuple(left_out),
        **({"proxy": proxy} if proxy else {}),
    )


def _some(targets: list[str]) -> str:
    unique = list(dict.fromkeys(targets))
    return ", ".join(unique[:6]) + (f" and {len(unique) - 6} more" if len(unique) > 6 else "")


def _entry(rule: Rule, form: Format, lost: dict[str, list[str]]) -> Entry | None:
    """Return the rule as the format can take it, or ``None`` with the reason noted."""
    reason = _why_not(rule, form)
    if reason:
        lost.setdefault(reason, []).append(rule.target)
        return None
    if rule.kind == "cidr":
        return _made(rule, "", "", parse_prefix(rule.target))
    host, path = rule.host, rule.path
    if path and not form.urls:
        lost.setdefault("the format cannot match paths, the host alone stands in the list for", []).append(rule.target)
        path = ""
    if _has_partial(host) and not form.partial_wildcards:
        host = "*." + host.split(".", 1)[1]
        lost.setdefault(f"the format has no wildcard inside a label, the wider {host} stands for", []).append(
            rule.target
        )
    return _made(rule, host, path, None)


def _has_family(rule: Rule) -> bool:
    """Tell whether a workstation can have this kind of address at all; unknown sites can have any."""
    return not rule.from_subnets or any((":" in subnet) == (":" in rule.target) for subnet in rule.from_subnets)


def _has_partial(host: str) -> bool:
    return re.search(r"[^.]\*|\*[^.]", host) is not None


def _why_not(rule: Rule, form: Format) -> str | None:
    """Say why a format cannot take a rule; ``None`` if it can."""
    if form.whole:
        return None
    if rule.kind == "cidr" and (6 if ":" in rule.target else 4) not in form.versions:
        return f"the format holds IPv{form.versions[0]} only, the other version is a file of its own"
    if rule.direction == "inbound" and not form.inbound:
        return "the format has no inbound rules, add by hand"
    if form.sources and rule.kind == "cidr" and not _has_family(rule):
        return "no workstation of the sites has an address of this IP version"
    if rule.kind == "cidr":
        return None if form.blocks else "the format knows names only, no address blocks"
    if not form.names:
        return "the format knows addresses only, no names; use --option addresses, or hybrid for the audio"
    if rule.transport == "udp" and not form.udp_names:
        return "the format cannot match UDP by name; use --option hybrid"
    if rule.transport == "udp" and "*" in rule.host and not form.udp_wildcards:
        return "the format cannot match UDP by a name with a wildcard; use --turn named or --option hybrid"
    if rule.path and not form.urls and rule.host.startswith("s3-"):
        return "the format cannot match a path, and the host alone would open every bucket of the Region"
    # connect-telecom is a domain of Amazon Connect alone: the whole of it instead of "rtc*" opens little more.
    if "*" in rule.host and not form.wildcards:
        return "the format has no wildcards"
    if _has_partial(rule.host) and not form.partial_wildcards and ".connect-telecom." not in rule.host:
        return "the format has no wildcard inside a label; use --turn named or --option hybrid"
    return None


def _made(rule: Rule, host: str, path: str, block: Prefix | None) -> Entry:
    # The builder lets nothing hostile through; a rule made by other hands is checked again before it is written.
    if block is None and not (_HOST.fullmatch(host) and _PATH.fullmatch(path)):
        raise AllowlistError(f"{rule.target[:80]!r} is no name that can be written into a firewall's configuration")
    return Entry(
        host=host,
        path=path,
        block=block,
        port=rule.port,
        transport=rule.transport,
        direction=rule.direction,
        comment=plain(f"{rule.purpose} [{rule.region_code}]"),
    )


def lines(*parts: Iterable[str]) -> str:
    """Join lines into the text of a file with a final line break."""
    return "\n".join(line for part in parts for line in part) + "\n"


def netmask(block: Prefix) -> str:
    """Return the dotted netmask of an IPv4 block.

    Examples
    --------
    >>> netmask(parse_prefix("15.193.0.0/19"))
    '255.255.224.0'
    """
    value = (0xFFFFFFFF << (32 - block.length)) & 0xFFFFFFFF
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def address_of(block: Prefix) -> str:
    """Return the first address of a block, without its length."""
    return block.text.split("/", 1)[0]


def blocks_only(fitted: Fitted, title: str) -> None:
    """Refuse to write a firewall's file that would hold no rule at all.

    Parameters
    ----------
    fitted
        The rules.
    title
        What the format is called.

    Raises
    ------
    AllowlistError
        If nothing is left.
    """
    if not any(entry.block for entry in fitted.entries):
        option = fitted.allowlist.option
        raise AllowlistError(f"{title} knows addresses only and option {option} has none; use addresses or hybrid")


def object_names(entries: Iterable[Entry], stem: str) -> list[tuple[str, Entry]]:
    """Give each target an object name of letters, digits, dots and hyphens, at most 63 characters, each once."""
    named: dict[str, Entry] = {}
    for entry in entries:
        text = entry.text.lower().replace("*", "any").replace("/", "-").replace(":", "-")
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{stem}-{text}")
        if len(name) > 63:
            name = f"{name[:50]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
        named.setdefault(name, entry)
    return list(named.items())
