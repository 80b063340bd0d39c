"""What a client chooses before rules can be built, and the check that nothing hostile gets into them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict, get_args

from ccp_assess.errors import AllowlistError, ParseError
from ccp_assess.prefixes import parse_prefix

OptionName = Literal["domains", "addresses", "hybrid"]
Turn = Literal["wildcard", "named"]
Static = Literal["all", "named"]
System = Literal["windows", "linux", "macos", "any"]

EPHEMERAL_PORTS: dict[str, tuple[str, str]] = {
    "windows": ("49152-65535", "networking page, stateless firewalls: Windows"),
    "linux": ("32768-61000", "networking page, stateless firewalls: Linux"),
    "macos": (
        "49152-65535",
        "Darwin's net.inet.ip.portrange.first and .last, the range of RFC 6335; not on AWS's page",
    ),
    "any": ("32768-65535", "the ranges of Windows, Linux and macOS together"),
}
"""Ports that answers to the softphone's own requests arrive on, by operating system, with the source."""

# AWS: letters, digits and single hyphens inside, at most 45 characters, not beginning with "d-".
_ALIAS = re.compile(r"(?!d-)[A-Za-z0-9](?:[A-Za-z0-9-]{0,43}[A-Za-z0-9])?", re.ASCII)
_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_INSTANCE_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_DURATION = re.compile(r"(?:(\d{1,4}(?:\.\d{1,3})?)h)?(?:(\d{1,5})m(?:in)?)?", re.ASCII)


class Switches(TypedDict, total=False):
    """The switches of ``build`` and ``audit`` by name; each is explained in `Choices`."""

    turn: Turn
    static: Static
    from_subnets: Sequence[str]
    instance: str | None
    instance_id: str | None
    legacy_domain: bool
    saml: bool
    global_resiliency: bool
    scheduling: bool
    app_calling: bool
    stateless: System | None
    media_less: bool
    attachments_bucket: str | None
    ec2_global: bool
    shift: str | None
    breaks: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the client has decided.

    Parameters
    ----------
    option
        ``domains`` (AWS's Option 1), ``addresses`` (Option 2) or ``hybrid`` (names for TCP 443, blocks for UDP 3478).
    turn
        Audio relays by wildcard or by the names that AWS lists.
    static
        ``named`` leaves ``*.cloudfront.net`` out where AWS lists the Region's own CloudFront names.
    from_subnets
        Where the agents' workstations are; empty for anywhere.
    instance
        Alias of the instance; ``None`` leaves a wildcard.
    instance_id
        Identifier of the instance, used by Global Resiliency; ``None`` leaves a wildcard.
    legacy_domain
        Whether agents still use ``awsapps.com``.
    saml
        Whether agents sign in by SAML.
    global_resiliency
        Whether the client has onboarded to Global Resiliency.
    scheduling
        Whether time-off balances and allowances are uploaded.
    app_calling
        Whether in-app, web and video calling is used.
    stateless
        Operating system of the workstations behind a stateless firewall; ``None`` for a stateful one.
    media_less
        No audio in the browser: a media-less CCP, or audio rerouted to a telephone.
    attachments_bucket
        Name of the S3 bucket of attachments.
    ec2_global
        Also the rows of EC2 that belong to no Region.
    shift, breaks
        Length of the agents' shift and of its breaks, such as ``8h`` and ``90m``.
    """

    option: OptionName = "domains"
    turn: Turn = "wildcard"
    static: Static = "all"
    from_subnets: Sequence[str] = ()
    instance: str | None = None
    instance_id: str | None = None
    legacy_domain: bool = False
    saml: bool = True
    global_resiliency: bool = False
    scheduling: bool = False
    app_calling: bool = False
    stateless: System | None = None
    media_less: bool = False
    attachments_bucket: str | None = None
    ec2_global: bool = False
    shift: str | None = None
    breaks: str | None = None

    def __post_init__(self) -> None:
        _one_of("option", self.option, get_args(OptionName))
        _one_of("turn", self.turn, get_args(Turn))
        _one_of("static", self.static, get_args(Static))
        if self.stateless is not None:
            _one_of("stateless", self.stateless, get_args(System))
        _check_alias(self.instance)
        if self.attachments_bucket is not None and not _BUCKET.fullmatch(self.attachments_bucket):
            raise AllowlistError(
                f"{self.attachments_bucket[:80]!r} is no name of an S3 bucket: "
                "3 to 63 lower-case letters, digits, dots and hyphens"
            )
        if self.instance_id is not None and not _INSTANCE_ID.fullmatch(self.instance_id):
            raise AllowlistError(f"{self.instance_id[:80]!r} is no instance identifier such as 12345678-1234-…")
        # Kept normalised, so that equal subnets are written equally in every format.
        object.__setattr__(self, "from_subnets", read_subnets(self.from_subnets))
        if self.breaks is not None and self.shift is None:
            raise AllowlistError("the length of the breaks says nothing without the shift: give --shift too")
        self.certificate_cache_minutes  # noqa: B018  # checks both durations now rather than while notes are written

    @property
    def certificate_cache_minutes(self) -> int | None:
        """How long a proxy must keep a certificate: the shift and its breaks [min]; ``None`` if unknown."""
        if self.shift is None:
            return None
        return minutes_of(self.shift) + (minutes_of(self.breaks) if self.breaks is not None else 0)


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise AllowlistError(f"{name} {str(value)[:40]!r} is unknown; use one of {', '.join(allowed)}")


def _check_alias(alias: str | None) -> None:
    if alias is None or _ALIAS.fullmatch(alias):
        return
    bare = re.sub(r"^https?://", "", alias.strip()).split("/", 1)[0].split(".", 1)[0]
    hint = f"; give the alias alone: {bare}" if bare != alias and _ALIAS.fullmatch(bare) else ""
    raise AllowlistError(
        f"{alias[:80]!r} is no instance alias: letters, digits and hyphens, at most 45, not beginning with d-{hint}"
    )


def read_subnets(texts: Sequence[str]) -> tuple[str, ...]:
    """Check the subnets of the workstations.

    Parameters
    ----------
    texts
        Blocks in CIDR notation, each possibly several separated by spaces or commas as in ``sites.csv``.

    Returns
    -------
    subnets
        Each once, in CIDR notation, sorted.

    Raises
    ------
    AllowlistError
        If one is no block.
    """
    words = [word for text in texts for word in re.split(r"[\s,;]+", text) if word]
    try:
        return tuple(prefix.text for prefix in sorted({parse_prefix(word) for word in words}))
    except ParseError as error:
        raise AllowlistError(f"subnet of the workstations: {error}") from error


def minutes_of(duration: str) -> int:
    """Read a duration such as ``8h``, ``7.5h``, ``90m`` or ``8h30m``.

    Parameters
    ----------
    duration
        Hours and minutes with their letters.

    Returns
    -------
    minutes
        Rounded up [min].

    Raises
    ------
    AllowlistError
        If it is no such duration.

    Examples
    --------
    >>> minutes_of("7.5h"), minutes_of("1h15m")
    (450, 75)
    """
    match = _DURATION.fullmatch(duration.strip().lower().replace(" ", ""))
    if not match or not (match[1] or match[2]):
        raise AllowlistError(f"{duration[:40]!r} is no duration such as 8h, 90m or 8h30m")
    return -int(-(float(match[1] or 0) * 60 + int(match[2] or 0)) // 1)
