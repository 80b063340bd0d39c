"""What the parts of a large unit leave for each other, so that any worker goes on where the last one was.

A part puts the reader's state below ``parts/UNIT/`` of the destination, whole or not at all, under a name that says how
far it is. So a worker that stood still and ends its part long after another one did so puts what is there already or
what is too old to be looked at. The two furthest are kept: one that turns out damaged, or of another version of this
program, costs a part, never a wrong answer.

A site that records day and night is one unit without an end. The state before the last file of its recording stays
below ``recordings/SITE/`` when the unit is done: where that file grew or others followed it, reading goes on there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ccp_assess import __version__
from ccp_assess.fleet.dataset import Dataset
from ccp_assess.fleet.units import Unit

PARTS = "parts"
RECORDINGS = "recordings"
_MARK = b"ccp-assess part 1\n"
_DIGEST_BYTES = 32
_KEPT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where the reading of a unit stands.

    Parameters
    ----------
    state
        Of the reader; ``None`` at the beginning.
    done_bytes
        Of the files, read so far [bytes].
    left_out
        Path → why the reader cannot read this file.
    sha256
        Path → checksum, of the files hashed so far.
    is_before_last
        Whether all files but the last were read and that one was not begun.
    """

    state: bytes | None = None
    done_bytes: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    is_before_last: bool = False

    def to_bytes(self) -> bytes:
        """Return it with a checksum over all of it."""
        head = {
            "version": __version__,
            "begun": self.state is not None,
            "done_bytes": self.done_bytes,
            "left_out": self.left_out,
            "sha256": self.sha256,
        }
        body = json.dumps(head, sort_keys=True).encode("utf-8") + b"\n" + (self.state or b"")
        return _MARK + hashlib.sha256(body).digest() + body


def parse_kept(data: bytes | None) -> Kept | None:
    """Read what `Kept.to_bytes` wrote.

    Parameters
    ----------
    data
        From the destination.

    Returns
    -------
    kept
        ``None`` where it is damaged or was written by another version.
    """
    if data is None or not data.startswith(_MARK):
        return None
    digest, body = data[len(_MARK) :][:_DIGEST_BYTES], data[len(_MARK) + _DIGEST_BYTES :]
    if hashlib.sha256(body).digest() != digest:
        return None
    line, _, state = body.partition(b"\n")
    head: dict[str, Any] = json.loads(line)
    if head["version"] != __version__:
        return None
    return Kept(
        state=state if head["begun"] else None,
        done_bytes=head["done_bytes"],
        left_out=head["left_out"],
        sha256=head["sha256"],
    )


class Chain:
    """The states of one unit.

    Parameters
    ----------
    dataset
        Where they lie.
    unit
        Which.
    """

    def __init__(self, dataset: Dataset, unit: Unit) -> None:
        self._dataset = dataset
        self._unit = unit
        self._folder = f"{PARTS}/{unit.key}"

    def kept(self) -> Iterator[Kept]:
        """Give what is kept, the furthest first, then what an earlier end of the recording left, then the beginning.

        Who asks for another one could not go on from the last: that is removed, so that it stands in nobody's way.
        """
        own = self._dataset.names(self._folder)
        recording = [path for path in self._dataset.names(_recording(self._unit)) if _fits(path, self._unit)]
        for path in [*reversed(own), *reversed(recording)]:
            found = parse_kept(self._dataset.get(path))
            if found is not None:
                yield found
            self._dataset.remove(path)
        yield Kept()

    def put(self, kept: Kept) -> None:
        """Keep a further state and let go of those that are too old to be gone back to."""
        data = kept.to_bytes()
        self._dataset.put(f"{self._folder}/{len(kept.left_out):06d}-{kept.done_bytes:018d}.state", data)
        for path in self._dataset.names(self._folder)[:-_KEPT]:
            self._dataset.remove(path)
        if kept.is_before_last and self._unit.files[-1].path not in kept.left_out:
            earlier = Unit(files=self._unit.files[:-1])
            self._dataset.put(f"{_recording(self._unit)}/{len(earlier.files):06d}-{earlier.key}.state", data)

    def sweep(self) -> None:
        """Let go of all but what a recording that goes on needs."""
        for path in self._dataset.names(self._folder):
            self._dataset.remove(path)


def _recording(unit: Unit) -> str:
    site = json.dumps([unit.first.client, unit.first.site_id])
    return f"{RECORDINGS}/{hashlib.sha256(site.encode('ascii')).hexdigest()[:16]}"


def _fits(path: str, unit: Unit) -> bool:
    """Tell whether a state is of the files that a unit begins with."""
    count, _, key = path.rpartition("/")[2].removesuffix(".state").partition("-")
    if not count.isdecimal() or not 0 < int(count) < len(unit.files):
        return False
    return Unit(files=unit.files[: int(count)]).key == key


def sweep_states(dataset: Dataset, pending: Collection[str], last: Iterable[Unit]) -> None:
    """Let go of all states but those that the next run may need.

    Parameters
    ----------
    dataset
        Where they lie.
    pending
        Keys of units that are still to be done.
    last
        The last unit of each site, which may go on.
    """
    for path in dataset.names(PARTS):
        if path.split("/")[1] not in pending:
            dataset.remove(path)
    wanted = set()
    paths = dataset.names(RECORDINGS)
    for unit in last if paths else ():
        wanted |= set([path for path in paths if path.startswith(f"{_recording(unit)}/") and _fits(path, unit)][-1:])
    for path in paths:
        if path not in wanted:
            dataset.remove(path)
