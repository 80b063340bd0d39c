"""The command line that people copy along with the output: it names the destination and the kind of probe."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ccp_assess.paths import Technique
from ccp_assess.probe.imports.text import address_or_none, clean_name

_TYPED = re.compile(
    r"(?:^|[$#>%\u276f]\s*|\bsudo\s+|/)(?P<tool>mtr|traceroute6?|tcptraceroute|tracert|tracepath6?|pathping|ping6?)(?:\.exe)?\s+(?P<rest>\S.*)$",
    re.IGNORECASE,
)
_ICMP_ONLY = {"tracert", "pathping", "ping", "ping6"}
_UDP_ONLY = {"tracepath", "tracepath6"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What was typed.

    Parameters
    ----------
    tool
        Its name in lower case; empty if no command was seen.
    destination
        Name or address.
    technique
        What the probes were made of.
    """

    tool: str = ""
    destination: str | None = None
    technique: Technique | None = None


def read(text: str) -> Command | None:
    """Recognise a typed command.

    Parameters
    ----------
    text
        A line, with or without a prompt.

    Returns
    -------
    command
        ``None`` if the line is none.

    Examples
    --------
    >>> read("$ traceroute -n -T -p 443 18.236.61.10").technique
    'tcp'
    """
    match = _TYPED.search(text.strip()[:1000])
    if not match:
        return None
    tool, words = match["tool"].lower(), match["rest"].split()
    if words[0] in {"to", "statistics"} or words[0].endswith(":"):  # "traceroute to x": a header
        return None
    target = _target(words)
    if target is None:
        return None
    return Command(tool=tool, destination=clean_name(target), technique=_technique(tool, words))


def _target(words: list[str]) -> str | None:
    """Take the last word that can be a host: an address, else a name with a point, else the last plain word."""
    plain = [word for word in words if not word.startswith(("-", "/", "|", ">", "<", "&", "2>"))]
    addresses = [word for word in plain if address_or_none(word)]
    if addresses:
        return addresses[-1]
    names = [
        word
        for word in plain
        if re.fullmatch(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+\.?", word) and re.search(r"[A-Za-z]", word)
    ]
    if names:
        return names[-1]
    last = words[-1]
    return last if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", last) and len(words) == 1 else None


def _technique(tool: str, words: list[str]) -> Technique | None:
    if tool in _ICMP_ONLY:
        return "icmp"
    if tool in _UDP_ONLY:
        return "udp"
    if tool == "tcptraceroute":
        return "tcp"
    if tool == "mtr":
        return _mtr_technique(words)
    stated: dict[str, Technique] = {
        "-I": "icmp",
        "--icmp": "icmp",
        "-T": "tcp",
        "--tcp": "tcp",
        "-U": "udp",
        "--udp": "udp",
        "-UL": "udp",
    }
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in stated:
            return stated[word]
        if word in {"-P", "-M", "--module"} and following.lower().removesuffix("conn") in {"icmp", "tcp", "udp"}:
            return {"icmp": "icmp", "tcp": "tcp", "udp": "udp"}[following.lower().removesuffix("conn")]  # type: ignore[return-value]
    return "udp"  # the default of every traceroute but Windows'


def _mtr_technique(words: list[str]) -> Technique:
    for word in words:
        if word in {"-u", "--udp"} or re.fullmatch(r"-[rwncbz46]*u[rwncbz46]*", word):
            return "udp"
        if word in {"-T", "--tcp"} or re.fullmatch(r"-[rwncbz46]*T[rwncbz46]*", word):
            return "tcp"
    return "icmp"
