"""Answers in which nobody is named: clients, sites, places, providers, files and hosts under other names.

Rows are masked column by column, so that nothing of a table has to be guessed; texts that were made from files are
searched for names, as in the report of one client (`ccp_assess.client.masking`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from ccp_assess.assess.masked import names_on_the_wire
from ccp_assess.client.masking import CLIENT, TOKEN, Mask, client_names, place_names, site_name, telling_names
from ccp_assess.fleet.answers import Answers, Rows
from ccp_assess.fleet.sources import NO_SITE
from ccp_assess.regions import read_regions

STORE = "DATASET_DIR"
"""What stands for the place of a masked dataset."""

_UNKNOWN = "unknown"
_OWN_WORDS = frozenset({
    "call_id", "code", "failure_phase", "findings", "outcome", "period", "relay_transport", "severity", "trips",
})  # fmt: skip
"""Columns whose texts are words of ours; whatever else is text is searched for names."""
_NAMES = frozenset({"client", "site_id", "name", "place", "provider", "site_ids"})
_VANTAGES = frozenset({"", "bench", "workstation"})
_FOLDERS = frozenset({"captures", "probes"})
_ENDINGS = frozenset({".csv", ".gz", ".json", ".jsonl", ".log", ".pcap", ".pcapng", ".txt", ".xml", ".xz", ".zst"})
_HOST_OR_ADDRESS = re.compile(r"\.[A-Za-z][A-Za-z0-9-]+$|^\d+\.\d+\.\d+\.\d+$|:.*:")
"""TLSv1.3 and 2.5 are neither."""
_PORT = re.compile(r"^([^:]+):\d+$")
_QUOTED = re.compile(r"""(?:(?<!\w)|(?<=\bb))(['"]).*\1""")
_MOST_SITES = 8
"""Sites that a row of findings names."""


class AnswersMask:
    """What stands for what in the answers of a dataset.

    Parameters
    ----------
    clients
        Names of clients.
    sites
        Client and site; sites of several clients are numbered through.
    providers
        Names and numbers of providers.
    names
        What else names somebody in a text.
    """

    def __init__(
        self,
        *,
        clients: Mapping[str, str],
        sites: Mapping[tuple[str, str], str],
        providers: Mapping[str, str],
        names: Mapping[str, str],
    ) -> None:
        self.clients, self.sites, self._providers = clients, sites, providers
        self._codes = {site: alias for (_, site), alias in sites.items()}
        self._words = Mask(names=names, codes=self._codes)
        self._hosts: dict[str, None] = {}
        self._files: dict[str, str] = {}

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row of an answer without names."""
        masked = {name: self._value(name, value) for name, value in row.items()}
        pair = str(row.get("client", "")), str(row.get("site_id", ""))
        site = self.sites.get(pair, NO_SITE)
        known = {
            "client": self.clients.get(pair[0], CLIENT),
            "site_id": site,
            "name": site_name(site),
            "provider": self._providers.get(str(row.get("provider")), _UNKNOWN),
            "place": None,
        }
        return masked | {name: value for name, value in known.items() if row.get(name) is not None}

    def _value(self, name: str, value: Any) -> Any:
        if not isinstance(value, str) or name in _OWN_WORDS or name in _NAMES or value in read_regions():
            return value
        if name == "vantages":
            return value if _VANTAGES.issuperset(value.split(", ")) else "masked"
        return self.text(value)

    def text(self, words: str) -> str:
        """Return a text made from files without names; the same host has the same number in all of them."""
        hosts = (_PORT.sub(r"\1", token.rstrip(".:")) for token in TOKEN.findall(words) if not _is_file(token))
        new = [host for host in hosts if host not in self._hosts and _HOST_OR_ADDRESS.search(host)]
        if new:
            self._hosts |= dict.fromkeys(new)
            self._words = replace(self._words, wire=names_on_the_wire({"host": list(self._hosts)}))
        return self._words.text(words)

    def path(self, path: str) -> str:
        """Return a file of evidence by its kind, site and number; the same file has the same number."""
        if path not in self._files:
            folders = PurePosixPath(path).parts[:-1]
            kind = next((part[:-1] for part in folders if part in _FOLDERS), "file")
            ending = PurePosixPath(path).suffix.lower()
            name = f"{kind}-{len(self._files) + 1}{ending if ending in _ENDINGS else ''}"
            said = (part if part in _FOLDERS else self._codes.get(part) for part in folders)
            self._files[path] = "/".join([*filter(None, said), name])
        return self._files[path]

    def reason(self, path: str, reason: str) -> str:
        """Return why a file was set aside; what it quotes of the file is left out."""
        names = sorted({path, PurePosixPath(path).name} - {""}, key=len, reverse=True)
        named = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names))
        alias = self.path(path)
        return self.text(_QUOTED.sub("(masked)", named.sub(lambda _: alias, reason)))


def mask_answers(answers: Answers) -> tuple[Answers, AnswersMask]:
    """Mask whatever names a client or its places in the answers of a dataset.

    Parameters
    ----------
    answers
        As read.

    Returns
    -------
    answers
        The same numbers. Sites are called ``site-1`` (``Site 1``) and so on, those of ``sites.csv`` first, in the
        order of their identifiers: as in the masked report of one client. Hosts and public addresses that are not
        AWS's are replaced, too.
    mask
        For what else is shown.
    """
    mask = _mask_of(answers.rows)
    rows = {name: [mask.row(row) for row in found] for name, found in answers.rows.items()}
    where: dict[tuple[str, str], list[str]] = {}
    for row in rows["findings_by_site"]:
        where.setdefault((row["code"], row["severity"]), []).append(row["site_id"])
    for row in rows["findings"]:
        named = sorted(set(where.get((row["code"], row["severity"]), ())), key=_number)
        row["site_ids"] = ", ".join(named[:_MOST_SITES])
    aside = [
        {"path": mask.path(row["path"]), "reason": mask.reason(row["path"], row["reason"])} for row in answers.set_aside
    ]
    manifest = answers.manifest | {"set_aside": aside} if answers.manifest else {}
    count = len(mask.clients)
    store = STORE if count <= 1 else f"{count} clients"
    return replace(answers, store=store, manifest=manifest, rows=rows, masked=True), mask


def _mask_of(rows: Mapping[str, Rows]) -> AnswersMask:
    listed = {(row["client"], row["site_id"]): bool(row["is_listed"]) for row in rows["coverage"]}
    everywhere = [row for found in rows.values() for row in found]
    pairs = {(row["client"], row["site_id"]) for row in everywhere if row.keys() >= {"client", "site_id"}}
    ordered = sorted(pairs | listed.keys(), key=lambda pair: (pair[0], not listed.get(pair, False), pair[1]))
    known = [pair for pair in ordered if pair[1] != NO_SITE]
    sites = {pair: f"site-{number}" for number, pair in enumerate(known, start=1)}
    names = sorted({str(row["client"]) for row in everywhere if "client" in row})
    clients = {name: CLIENT if len(names) == 1 else f"Client {number}" for number, name in enumerate(names, start=1)}
    providers = _providers(everywhere)
    words: dict[str, str] = {}
    for row in rows["coverage"]:
        pair = (row["client"], row["site_id"])
        words |= place_names(row["place"]) if row["place"] else {}
        words |= {row["name"]: site_name(sites[pair])} if row["name"] and pair in sites else {}
    words = telling_names(words | dict(providers))
    for name, alias in clients.items():
        words |= client_names(name, alias)
    return AnswersMask(clients=clients, sites=sites, providers=providers, names=words)


def _providers(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    named = sorted({str(row["provider"]) for row in rows if row.get("provider")} - {_UNKNOWN})
    return {name: f"Provider {number}" for number, name in enumerate(named, start=1)}


def _is_file(token: str) -> bool:
    return PurePosixPath(token.rstrip(".:")).suffix.lower() in _ENDINGS


def _number(alias: str) -> tuple[int, str]:
    return (int(alias.rpartition("-")[2]) if alias != NO_SITE else 0, alias)
