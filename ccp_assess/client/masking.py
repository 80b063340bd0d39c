"""Names of the client and its places made unrecognisable in one step, for a projector or a report to show around.

The tables are masked record by record. In texts that were made from files everything is looked for that names somebody:
the client (each telling word of its name), sites, caller origins, transfer targets, cities, files, the instance's
alias. Short codes such as a site's ``A`` are masked where they stand for a site (in records and paths), not in the
middle of a sentence, where they might be a word. Ranking needs the true places; what is shown afterwards has blurred
ones (:func:`blur_places`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from ccp_assess.client.records import Client, ClientFile
from ccp_assess.sites import CallerOrigin, Reroute, Site, TransferTarget

CLIENT = "The client"
FOLDER = Path("CLIENT_DIR")
PLACE = "a masked place"
_ALIAS = re.compile(r"(?<![\w.-])[a-z0-9][a-z0-9-]*(?=\.(?:my\.connect\.aws|awsapps\.com))", re.IGNORECASE)
_SHORTEST_IN_TEXT = 3
"""Codes and cities with fewer characters are not looked for in sentences."""
_SHORTEST_TELLING_WORD = 4
_WORD = re.compile(r"[^\W_]+")
TOKEN = re.compile(r"[0-9A-Za-z:][\w.:-]*")
"""What may be a host name or an address in a text, with its port."""
_COMMON = frozenset({
    "agent", "agents", "amazon", "and", "assumed", "audio", "bank", "bench", "call", "calls", "center", "centre",
    "client", "cloud", "company", "connect", "contact", "corporation", "critical", "customer", "data", "delay", "east",
    "error", "firewall", "for", "global", "group", "holding", "holdings", "home", "industries", "info",
    "international", "limited", "loss", "measured", "media", "modelled", "network", "networks", "north", "of",
    "office", "packet", "packets", "proxy", "region", "service", "services", "site", "sites", "solution", "solutions",
    "south", "success", "support", "system", "systems", "the", "united", "unknown", "video", "voice", "warning",
    "west", "workstation",
})  # fmt: skip
"""Words that our own texts need: alone they name nobody, unless that is all of the client's name."""

FIELD_DEG, _NEXT_DEG, _PER_ROW = 20.0, 3.0, 5
"""Side of a field that a place is known to, and the distance of places drawn side by side in one [degrees]."""

Placed = TypeVar("Placed", Site, CallerOrigin, TransferTarget, Reroute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """What stands for what.

    Parameters
    ----------
    names
        Names as people write them to their mask; found in any writing of case, blanks, hyphens and underscores.
    codes
        Identifiers of sites, caller origins and transfer targets to their mask; found as they are.
    wire
        Host names and addresses seen on the wire, in lower case, to their mask; found as whole words.
    """

    names: Mapping[str, str]
    codes: Mapping[str, str]
    wire: Mapping[str, str] = field(default_factory=dict)
    _by_word: dict[str, list[tuple[str, str]]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Note with which words each name may begin, so that a text is searched for few of thousands."""
        for name, alias in self.names.items():
            begun = ""
            for word in _WORD.findall(name.casefold()):
                begun += word
                self._by_word.setdefault(begun, []).append((_pattern(name), alias))
        for code, alias in self.codes.items():
            for word in _WORD.findall(code.casefold())[:1]:
                self._by_word.setdefault(word, []).append((_code_pattern(code), alias))

    def code(self, identifier: str | None) -> str | None:
        """Return the mask of an identifier; what is none of the client's stays."""
        return None if identifier is None else self.codes.get(identifier, identifier)

    def text(self, words: str) -> str:
        """Return a text without the client's names."""
        masked = TOKEN.sub(lambda found: self._on_the_wire(found[0]), words) if self.wire else words
        masked = _ALIAS.sub("instance", masked)
        near = {one for word in _WORD.findall(masked.casefold()) for one in self._by_word.get(word, ())}
        if near:
            wanted = sorted(near, key=lambda one: (-len(one[0]), one))
            whole = re.compile("|".join(f"({pattern})" for pattern, _ in wanted))
            masked = whole.sub(lambda found: wanted[(found.lastindex or 1) - 1][1], masked)
        return masked

    def _on_the_wire(self, token: str) -> str:
        bare = token.rstrip(".:")
        host, colon, port = bare.rpartition(":")
        if bare.lower() not in self.wire and port.isdigit() and host.lower() in self.wire:
            return self.wire[host.lower()] + colon + port + token[len(bare) :]
        return self.wire.get(bare.lower(), bare) + token[len(bare) :]

    def tree(self, value: Any) -> Any:
        """Return a document with every text in it masked; its keys stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.tree(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.tree(item) for item in value)
        return value


def _pattern(name: str) -> str:
    words = [re.escape(word) for word in re.split(r"[\s_-]+", name.strip()) if word]
    city = r"(?<!\()" if "," not in name else ""  # a Region's place stands in brackets: Europe (London)
    case = "" if name.casefold() in _COMMON else "i"  # a client called Media: our own "media" stays
    return rf"(?<!\w){city}(?{case}:" + r"[\s_-]*".join(words) + r")(?!\w)"


def _code_pattern(code: str) -> str:
    inside_a_path = rf"(?:(?<=/)|^){re.escape(code)}(?=/|__)"
    if len(code) < _SHORTEST_IN_TEXT:
        return inside_a_path
    return rf"{inside_a_path}|(?<![\w-]){re.escape(code)}(?![\w-])"


def mask_client(client: Client) -> tuple[Client, Mask]:
    """Return a client under other names.

    Parameters
    ----------
    client
        As read.

    Returns
    -------
    client
        The same tables and files, with sites called ``site-1`` (``Site 1``), caller origins ``origin-1`` and targets
        ``target-1``. Its folder and its coordinates are still the real ones, so that its files can be read and its
        Regions be ranked; the decision log is kept, masked.
    mask
        To mask texts that were made from the files.
    """
    codes = dict(_numbered("origin", (origin.origin_id for origin in client.callers)))
    codes |= dict(_numbered("target", (target.target_id for target in client.transfers)))
    sites = dict(_numbered("site", sorted(site.site_id for site in client.sites)))  # as in a dataset of many sites
    codes |= sites
    origins = dict(_numbered("origin", (origin.origin_id for origin in client.callers)))
    targets = dict(_numbered("target", (target.target_id for target in client.transfers)))
    names = {site_id: site_name(alias) for site_id, alias in sites.items()}
    mask = Mask(names=_names(client, codes, names), codes=codes)
    masked = replace(
        client,
        name=CLIENT,
        sites=tuple(
            replace(
                site,
                site_id=codes[site.site_id],
                name=names[site.site_id],
                place=None,
                subnets=(),
                via_site_id=mask.code(site.via_site_id),
            )
            for site in client.sites
        ),
        callers=tuple(
            replace(origin, origin_id=origins[origin.origin_id], place=origins[origin.origin_id])
            for origin in client.callers
        ),
        transfers=tuple(
            replace(target, target_id=targets[target.target_id], place=None) for target in client.transfers
        ),
        reroutes=tuple(
            replace(reroute, site_id=codes.get(reroute.site_id, ""), place=None) for reroute in client.reroutes
        ),
        captures=_files(client.captures, mask),
        probes=_files(client.probes, mask),
        logs=_files(client.logs, mask),
        rules=_files(client.rules, mask),
        unknowns=mask.tree(client.unknowns),
        notes=mask.tree(client.notes),
        decisions=tuple(
            replace(one, who="", decision=mask.text(one.decision), why=mask.text(one.why)) for one in client.decisions
        ),
        actions=tuple(replace(one, site_id=mask.code(one.site_id), owner=None) for one in client.actions),
        extras={},
    )
    return masked, mask


def _numbered(kind: str, identifiers: Iterable[str]) -> Iterator[tuple[str, str]]:
    return ((identifier, f"{kind}-{number}") for number, identifier in enumerate(identifiers, start=1))


def site_name(alias: str) -> str:
    """Return the masked name of a site.

    Parameters
    ----------
    alias
        Its masked identifier.

    Returns
    -------
    name
        For people.

    Examples
    --------
    >>> site_name("site-3")
    'Site 3'
    """
    return alias.replace("site-", "Site ")


def client_names(name: str, alias: str) -> dict[str, str]:
    """Return what names a client in texts: its name, and each telling word of it.

    Parameters
    ----------
    name
        Of the client.
    alias
        What stands for it.

    Returns
    -------
    names
        For a `Mask`.
    """
    words = [word for word in re.findall(r"[^\W\d_]+", name) if len(word) >= _SHORTEST_TELLING_WORD]
    return {**telling_names(dict.fromkeys(words, alias)), **({name: alias} if _WORD.search(name) else {})}


def place_names(place: str) -> dict[str, str]:
    """Return what names a place in texts: as it is written, and its city alone.

    Parameters
    ----------
    place
        Such as ``Denver, US``.

    Returns
    -------
    names
        For a `Mask`; not filtered yet.
    """
    return dict.fromkeys((place.strip(), place.partition(",")[0].strip()), PLACE)


def telling_names(names: Mapping[str, str]) -> dict[str, str]:
    """Leave out what names nobody: words of a letter or two, and those that our own texts need.

    Parameters
    ----------
    names
        Names and what stands for them.

    Returns
    -------
    names
        Those to look for in texts.
    """
    return {
        name: alias
        for name, alias in names.items()
        if len(name.strip(" _-")) >= _SHORTEST_IN_TEXT and name.casefold() not in _COMMON and _WORD.search(name)
    }


def _names(client: Client, codes: Mapping[str, str], site_names: Mapping[str, str]) -> dict[str, str]:
    """Collect what names somebody or some place in texts, and what stands for it there."""
    cities = {
        name: alias
        for group in (client.sites, client.callers, client.transfers, client.reroutes)
        for one in group
        if one.place
        for name, alias in place_names(one.place).items()
    }
    sites = {site.name: site_names[site.site_id] for site in client.sites if site.name}
    named = client_names(client.name, CLIENT)
    return {**telling_names({**cities, **named, **sites, **dict(_file_names(client, codes))}), **named}


def _file_names(client: Client, codes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each file of evidence as it may be named in a text: by itself, within the folder, and whole."""
    kinds = (("capture", client.captures), ("probe", client.probes), ("log", client.logs), ("rules", client.rules))
    for kind, files in kinds:
        for number, file in enumerate(files, start=1):
            name = f"{kind}-{number}{''.join(file.path.suffixes[-1:])}"
            try:
                inside = file.path.relative_to(client.folder)
            except ValueError:
                inside = Path(file.path.name)
            top = [inside.parts[0]] if len(inside.parts) > 1 else []
            site = [codes.get(file.site_id, "")] if file.site_id and len(inside.parts) > 2 else []
            alias = "/".join([*top, *site, name])
            yield file.path.name, name
            yield inside.as_posix(), alias
            yield str(file.path), f"{FOLDER}/{alias}"


def _files(files: tuple[ClientFile, ...], mask: Mask) -> tuple[ClientFile, ...]:
    return tuple(replace(file, site_id=mask.code(file.site_id)) for file in files)


def blur_places(client: Client) -> Client:
    """Return a masked client whose places are known to a field of 20 by 20 degrees only.

    Parameters
    ----------
    client
        Of :func:`mask_client`, once nothing has to be computed from its coordinates any more.

    Returns
    -------
    client
        The same with coordinates in the middle of their fields, side by side where a field holds several, and without
        countries.
    """
    used: dict[tuple[float, float], int] = {}

    def blurred(one: Placed) -> Placed:
        latitude, longitude = _middle(one.latitude), _middle(one.longitude)
        nth = used[latitude, longitude] = used.get((latitude, longitude), -1) + 1
        return replace(
            one,
            latitude=latitude + _NEXT_DEG * (_beside(nth // _PER_ROW % _PER_ROW)),
            longitude=longitude + _NEXT_DEG * _beside(nth % _PER_ROW),
            country=None,
            place=None,
        )

    return replace(
        client,
        sites=tuple(blurred(site) for site in client.sites),
        callers=tuple(blurred(origin) for origin in client.callers),
        transfers=tuple(blurred(target) for target in client.transfers),
        reroutes=tuple(blurred(reroute) for reroute in client.reroutes),
    )


def _middle(degrees: float) -> float:
    """Return the middle of the field that a latitude or longitude lies in."""
    return degrees // FIELD_DEG * FIELD_DEG + FIELD_DEG / 2


def _beside(nth: int) -> int:
    """Return 0, 1, -1, 2, -2 for what stands in the middle, beside it, on its other side ..."""
    return (nth + 1) // 2 * (1 if nth % 2 else -1)
