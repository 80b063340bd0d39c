"""Names of the client and its sites made unrecognisable in one step, for a projector or a report to show around.

Places stay: a map and a delay need them. What is masked everywhere in a text: the client's name, the names of sites and
transfer targets, the instance's alias. Short codes such as a site's ``A`` are masked where they stand for a site (in
records and paths), not in the middle of a sentence, where they might be a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ccp_assess.client.records import Client, ClientFile

CLIENT = "The client"
FOLDER = Path("CLIENT_DIR")
_ALIAS = re.compile(r"(?<![\w.-])[a-z0-9][a-z0-9-]*(?=\.(?:my\.connect\.aws|awsapps\.com))", re.IGNORECASE)
_SHORTEST_IN_TEXT = 3
"""Codes with fewer characters are not looked for in sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """What stands for what.

    Parameters
    ----------
    names
        Names as people write them to their mask; found in any writing of case, blanks, hyphens and underscores.
    codes
        Identifiers of sites and transfer targets to their mask; found as they are.
    """

    names: Mapping[str, str]
    codes: Mapping[str, str]

    def code(self, identifier: str | None) -> str | None:
        """Return the mask of an identifier; what is none of the client's stays."""
        return None if identifier is None else self.codes.get(identifier, identifier)

    def text(self, words: str) -> str:
        """Return a text without the client's names."""
        masked = _ALIAS.sub("instance", words)
        for name in sorted(self.names, key=len, reverse=True):
            masked = _pattern(name).sub(self.names[name], masked)
        for code in sorted(self.codes, key=len, reverse=True):
            masked = _code_pattern(code).sub(self.codes[code], masked)
        return masked

    def tree(self, value: Any) -> Any:
        """Return a document with every text in it masked; its keys stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.tree(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.tree(item) for item in value)
        return value


def _pattern(name: str) -> re.Pattern[str]:
    words = [re.escape(word) for word in re.split(r"[\s_-]+", name.strip()) if word]
    return re.compile(r"(?<!\w)" + r"[\s_-]*".join(words) + r"(?!\w)", re.IGNORECASE)


def _code_pattern(code: str) -> re.Pattern[str]:
    inside_a_path = rf"(?:(?<=/)|^){re.escape(code)}(?=/|__)"
    if len(code) < _SHORTEST_IN_TEXT:
        return re.compile(inside_a_path)
    return re.compile(rf"{inside_a_path}|(?<![\w-]){re.escape(code)}(?![\w-])")


def mask_client(client: Client) -> tuple[Client, Mask]:
    """Return a client under other names.

    Parameters
    ----------
    client
        As read.

    Returns
    -------
    client
        The same tables and files, with sites called ``site-1`` (``Site 1``) and targets ``target-1``. Its folder is
        still the real one, so that its files can be read; the decision log is kept, masked.
    mask
        To mask texts that were made from the files.
    """
    codes = {site.site_id: f"site-{number}" for number, site in enumerate(client.sites, start=1)}
    codes |= {
        target.target_id: f"target-{number}"
        for number, target in enumerate(client.transfers, start=1)
        if target.target_id not in codes
    }
    names = {client.name: CLIENT} | {
        site.name: f"Site {number}" for number, site in enumerate(client.sites, start=1) if site.name
    }
    mask = Mask(names={name: alias for name, alias in names.items() if name.strip(" _-")}, codes=codes)
    masked = replace(
        client,
        name=CLIENT,
        sites=tuple(
            replace(
                site,
                site_id=codes[site.site_id],
                name=f"Site {number}",
                via_site_id=mask.code(site.via_site_id),
            )
            for number, site in enumerate(client.sites, start=1)
        ),
        transfers=tuple(replace(target, target_id=codes[target.target_id]) for target in client.transfers),
        reroutes=tuple(replace(reroute, site_id=codes.get(reroute.site_id, "")) for reroute in client.reroutes),
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


def _files(files: tuple[ClientFile, ...], mask: Mask) -> tuple[ClientFile, ...]:
    return tuple(replace(file, site_id=mask.code(file.site_id)) for file in files)
