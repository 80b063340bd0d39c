"""Files of evidence in a client folder, and the site that each of them belongs to.

A file in ``probes/LIS/`` belongs to the site LIS. Otherwise its name says so (``LIS__mtr.txt``), or, for probes, the
``site_id`` inside it. ``[measure] probes_match`` in ``client.toml`` can narrow that down, or give a pattern.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal

from ccp_assess.client.locating import child_of
from ccp_assess.client.records import ClientFile

KINDS = ("captures", "probes", "logs", "rules")

_CAPTURE_SUFFIXES = frozenset({".pcap", ".pcapng", ".cap", ".dmp", ".ntar", ".pcapc"})
_PACKED_SUFFIXES = frozenset({".gz", ".zst", ".lz4"})
_NOT_CAPTURE_SUFFIXES = frozenset(
    {".json", ".jsonl", ".txt", ".csv", ".md", ".xlsx", ".toml", ".html", ".pdf", ".png", ".docx", ".log", ".zip"}
)
_LEFT_BY_SYSTEMS = frozenset({"thumbs.db", "desktop.ini", "icon\r"})
_LARGEST_JSON_BYTES = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRule:
    """How files in ``probes/`` that stand in no site's folder name their site.

    Parameters
    ----------
    by
        ``auto``: by the ``site_id`` inside, else by name; ``site_id`` or ``name``: by that alone.
    patterns
        Patterns of file names with ``SITE`` where the site stands, such as ``SITE__*.json``.
    table
        File name (or pattern) to site.
    """

    by: Literal["auto", "site_id", "name"] = "auto"
    patterns: tuple[str, ...] = ()
    table: Mapping[str, str] = field(default_factory=dict)


def site_rule(value: object) -> SiteRule:
    """Read the value of ``probes_match``.

    Parameters
    ----------
    value
        ``auto``, ``site_id``, ``name``, a pattern such as ``SITE__*.json|txt``, or a table of file names to sites.

    Returns
    -------
    rule
        How to name the site.

    Raises
    ------
    ValueError
        If it is none of these.

    Examples
    --------
    >>> site_rule("SITE__*.json|txt").patterns
    ('SITE__*.json', 'SITE__*.txt')
    """
    if isinstance(value, dict) and all(isinstance(site, str) for site in value.values()):
        return SiteRule(table={str(name): str(site) for name, site in value.items()})
    if value in ("auto", ""):
        return SiteRule()
    if value == "site_id":
        return SiteRule(by="site_id")
    if value in ("name", "file_name", "filename"):
        return SiteRule(by="name")
    if isinstance(value, str) and "SITE" in value:
        return SiteRule(by="name", patterns=_alternatives(value))
    raise ValueError(
        f"{str(value)[:60]!r} is not understood; write auto, site_id, name, or a pattern such as SITE__*.json|txt"
    )


def _alternatives(pattern: str) -> tuple[str, ...]:
    first, *others = (part.strip() for part in pattern.split("|"))
    stem = first.rpartition(".")[0]
    return (first, *(other if "SITE" in other else f"{stem}.{other.lstrip('.')}" for other in others if other))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Files of one kind, each with its site, and what was odd.

    Parameters
    ----------
    files
        In the order of their paths.
    notes
        One sentence for each oddity.
    """

    files: tuple[ClientFile, ...]
    notes: tuple[str, ...]


def find_evidence(folder: Path, kind: str, site_ids: Sequence[str], rule: SiteRule) -> Evidence:
    """Find the files of one kind and the site that each belongs to.

    Parameters
    ----------
    folder
        The client folder.
    kind
        ``captures``, ``probes``, ``logs`` or ``rules``.
    site_ids
        The known sites.
    rule
        How files in ``probes/`` name their site.

    Returns
    -------
    evidence
        Files and notes.
    """
    root = child_of(folder, kind)
    if root is None or not root.is_dir():
        return Evidence(files=(), notes=())
    known = {site_id.casefold(): site_id for site_id in site_ids}
    files: list[ClientFile] = []
    notes: dict[str, None] = {}
    for path in _files_below(root):
        shown = f"{kind}/{path.relative_to(root).as_posix()}"
        if kind == "captures" and not may_be_capture(path):
            notes[f"{shown} is no capture by its name and was left out."] = None
            continue
        site_id, note = _site_of(path, root, kind, known, rule)
        if note:
            notes[note] = None
        files.append(ClientFile(site_id=site_id, path=path))
    return Evidence(files=tuple(files), notes=tuple(notes))


def _files_below(root: Path) -> list[Path]:
    found = [
        path
        for path in root.rglob("*")
        if path.is_file() and not any(is_left_over(part) for part in path.relative_to(root).parts)
    ]
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def is_left_over(name: str) -> bool:
    """Tell whether a system, an editor or we ourselves left this file there.

    Parameters
    ----------
    name
        Of a file or folder.

    Returns
    -------
    is_left_over
        It is no evidence.
    """
    folded = name.casefold()
    return (
        folded.startswith((".", "~$"))
        or folded in _LEFT_BY_SYSTEMS
        or bool(re.fullmatch(r"read[ _-]?me(\.(md|txt))?", folded))
    )


def may_be_capture(path: PurePath) -> bool:
    """Tell by the name; the engine tells by the content, and says so where the name lied.

    Parameters
    ----------
    path
        Of a file.

    Returns
    -------
    may_be_capture
        False where its suffix says that it is something else.
    """
    suffixes = [suffix.casefold() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in _PACKED_SUFFIXES:
        suffixes.pop()
    return not suffixes or suffixes[-1] in _CAPTURE_SUFFIXES or suffixes[-1] not in _NOT_CAPTURE_SUFFIXES


def _site_of(
    path: Path, root: Path, kind: str, known: Mapping[str, str], rule: SiteRule
) -> tuple[str | None, str | None]:
    """Return the site of a file, and a sentence where it names one that is not known."""
    parts = path.relative_to(root).parts
    if len(parts) > 1:
        site_id = known.get(parts[0].casefold())
        if site_id is not None:
            return site_id, None
    named = _named_site(path, kind, known, rule)
    if named is not None:
        site_id = known.get(named.casefold())
        return site_id, None if site_id else _not_a_site(f"{kind}/{'/'.join(parts)}", named, known)
    if len(parts) > 1:
        return None, _not_a_site(f"{kind}/{parts[0]}/", parts[0], known)
    return None, None


def _named_site(path: Path, kind: str, known: Mapping[str, str], rule: SiteRule) -> str | None:
    if kind != "probes":
        return site_by_name(path.name, known)
    for pattern, site_id in rule.table.items():
        if fnmatch.fnmatchcase(path.name.casefold(), pattern.casefold()):
            return site_id
    if rule.patterns:
        return next((site for pattern in rule.patterns if (site := _by_pattern(path.name, pattern))), None)
    inside = site_id_inside(path) if rule.by in ("auto", "site_id") else None
    if inside is not None or rule.by == "site_id":
        return inside
    return site_by_name(path.name, known)


def site_by_name(name: str, known: Mapping[str, str]) -> str | None:
    """Return the site that a file's name begins with, as in ``LIS__mtr.txt``.

    Parameters
    ----------
    name
        The file's name.
    known
        Known sites by their names in folded case.

    Returns
    -------
    site_id
        The longest known site that fits, else what stands before ``__``; ``None`` where there is no ``__``.

    Examples
    --------
    >>> site_by_name("LIS__a__mtr.txt", {"lis": "LIS", "lis__a": "LIS__A"})
    'LIS__A'
    """
    folded = name.casefold()
    fitting = [site_id for site_id in known if folded.startswith(f"{site_id}__")]
    if fitting:
        return known[max(fitting, key=len)]
    before, mark, _ = name.partition("__")
    return before if mark and before else None


def _by_pattern(name: str, pattern: str) -> str | None:
    before, _, after = pattern.partition("SITE")
    expression = f"{_as_expression(before)}(?P<site>.+?){_as_expression(after)}"
    match = re.fullmatch(expression, name, flags=re.IGNORECASE | re.DOTALL)
    return match["site"] if match else None


def _as_expression(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(mark, re.escape(mark)) for mark in pattern)


def site_id_inside(path: Path) -> str | None:
    """Return the ``site_id`` that a probe document names.

    Parameters
    ----------
    path
        A JSON document, JSON Lines, or anything else.

    Returns
    -------
    site_id
        ``None`` where it is no such document or names no site.
    """
    try:
        if path.stat().st_size > _LARGEST_JSON_BYTES:
            return None
        text = path.read_bytes().decode("utf-8-sig").lstrip()
    except (OSError, UnicodeDecodeError):
        return None
    if not text.startswith(("{", "[")):
        return None
    try:
        document, _ = json.JSONDecoder().raw_decode(text)  # of JSON Lines, the first
    except (ValueError, RecursionError):
        return None
    first = document[0] if isinstance(document, list) and document else document
    site_id = first.get("site_id") if isinstance(first, dict) else None
    return site_id if isinstance(site_id, str) and site_id.strip() else None


def _not_a_site(shown: str, named: str, known: Mapping[str, str]) -> str:
    listed = ", ".join(list(known.values())[:12]) + (", ..." if len(known) > 12 else "")
    return (
        f"{shown} names the site {named[:60]!r}, which is not in the sites table ({listed}); it is read without a site."
    )
