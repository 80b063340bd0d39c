"""Units of work: captures of one site that belong together, so that reading them alone changes nothing.

Rotated files follow each other without a pause, and calls run across them: they are one unit and are read as one
capture. Files with a silence of `SILENCE_NS` between them are different units. When a file ends is only known once it
was read, so the plan is a guess that is verified: units that turn out to touch, or to share a stream, are joined and
read again. Probes do not depend on each other: their units are small, so that a new file costs few others.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ccp_assess.fleet.sources import SourceFile
from ccp_assess.units import NS_PER_S

SILENCE_NS = 3600 * NS_PER_S
"""No exchange of a softphone bridges this pause: the longest lifetime that a relay grants an allocation by default.

References
----------
RFC 8656, section 7.2: at most 3,600 s is suggested.
"""

PART_BYTES = 2_000_000_000
"""Units of captures that are larger are read in parts of this size: a few seconds of work each."""

COPIED_BYTES = 512_000_000
"""Larger units of a bucket are read where they lie; smaller ones are copied to the worker's folder first."""

_PROBES_PER_UNIT = 32
"""Files of a unit of probes on the average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Files that are read as one.

    Parameters
    ----------
    files
        Of one site and kind, by path.
    """

    files: tuple[SourceFile, ...]

    @property
    def first(self) -> SourceFile:
        """Its first file, which names client, site and kind."""
        return self.files[0]

    @property
    def key(self) -> str:
        """Name of the unit: a hash of what its files are; it changes when one of them does."""
        text = json.dumps([asdict(file) for file in self.files], sort_keys=True)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()[:24]

    @property
    def size(self) -> int:
        """All its files [bytes]."""
        return sum(file.size for file in self.files)

    def is_for_parts(self, part_bytes: int, *, is_local: bool) -> bool:
        """Tell whether it is read in parts, and where its files lie, rather than in one go."""
        most_bytes = part_bytes if is_local else min(part_bytes, COPIED_BYTES)
        return self.first.kind == "captures" and self.size > most_bytes

    def to_document(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"key": self.key, "files": [asdict(file) for file in self.files]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """When a file begins, and when it ends as far as that is known.

    Parameters
    ----------
    first_ns, last_ns
        Of its packets; ``None`` without any [ns].
    """

    first_ns: int | None
    last_ns: int | None


def plan_units(
    files: Iterable[SourceFile], spans: Mapping[str, Span], joined: Iterable[frozenset[str]] = ()
) -> list[Unit]:
    """Divide files into units.

    Parameters
    ----------
    files
        All files that can be read.
    spans
        Path → when its packets are.
    joined
        Sets of paths that share streams and so must be read together.

    Returns
    -------
    units
        Every file is in exactly one; by path.
    """
    by_site: dict[tuple[str, str, str], list[SourceFile]] = defaultdict(list)
    for file in files:
        by_site[file.client, file.site_id, file.kind].append(file)
    units = []
    for (_, _, kind), members in sorted(by_site.items()):
        groups = _groups(members, spans, joined) if kind == "captures" else _batches(members)
        units += [Unit(files=tuple(sorted(group, key=lambda file: file.path))) for group in groups]
    return units


def _batches(files: list[SourceFile]) -> list[list[SourceFile]]:
    """Cut the list of files where a name says so by its hash: a further file moves no other cut."""
    batches: list[list[SourceFile]] = [[]]
    for file in sorted(files, key=lambda file: file.path):
        batches[-1].append(file)
        if hashlib.sha256(file.path.encode("utf-8", "surrogateescape")).digest()[0] < 256 // _PROBES_PER_UNIT:
            batches.append([])
    return [batch for batch in batches if batch]


def _groups(
    files: list[SourceFile], spans: Mapping[str, Span], joined: Iterable[frozenset[str]]
) -> list[list[SourceFile]]:
    def first(file: SourceFile) -> int:
        span = spans.get(file.path)
        return -1 if span is None or span.first_ns is None else span.first_ns

    groups: list[list[SourceFile]] = []
    end_ns = -1
    for file in sorted(files, key=lambda file: (first(file), file.path)):
        begin_ns = first(file)
        if begin_ns < 0:  # no packet: nothing that could belong to anything
            groups.append([file])
            continue
        if end_ns >= 0 and begin_ns - end_ns <= SILENCE_NS:
            groups[-1].append(file)
        else:
            groups.append([file])
            end_ns = -1
        last_ns = spans[file.path].last_ns
        end_ns = max(end_ns, begin_ns, begin_ns if last_ns is None else last_ns)
    for together in joined:
        touched = [group for group in groups if any(file.path in together for file in group)]
        if len(touched) > 1:
            groups = [group for group in groups if group not in touched]
            groups.append([file for group in touched for file in group])
    return groups
