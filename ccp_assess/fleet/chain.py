"""What the parts of a large unit leave for each other, so that any worker goes on where the last one was.

A part puts the reader's state below ``parts/UNIT/`` of the destination, whole or not at all. The two newest are kept:
one that turns out damaged, or of another version of this program, costs a part, never a wrong answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from ccp_assess import __version__
from ccp_assess.fleet.dataset import Dataset

FOLDER = "parts"
_MARK = b"ccp-assess part 1\n"
_DIGEST_BYTES = 32
_KEPT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where the reading of a unit stands.

    Parameters
    ----------
    number
        Parts read so far (count).
    state
        Of the reader; ``None`` at the beginning.
    done_bytes
        Of the files, read so far [bytes].
    left_out
        Path → why the reader cannot read this file.
    sha256
        Path → checksum, of the files hashed so far.
    """

    number: int = 0
    state: bytes | None = None
    done_bytes: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return it with a checksum over all of it."""
        head = {
            "version": __version__,
            "number": self.number,
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
        number=head["number"],
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
    key
        Of the unit.
    """

    def __init__(self, dataset: Dataset, key: str) -> None:
        self._dataset = dataset
        self._folder = f"{FOLDER}/{key}"

    def kept(self) -> Iterator[Kept]:
        """Give what is kept, the newest first, and the beginning at last."""
        for path in reversed(self._dataset.names(self._folder)):
            found = parse_kept(self._dataset.get(path))
            if found is not None:
                yield found
        yield Kept()

    def put(self, kept: Kept) -> None:
        """Keep a further state and let go of those that are too old to be gone back to."""
        self._dataset.put(f"{self._folder}/{kept.number:06d}.state", kept.to_bytes())
        for path in self._dataset.names(self._folder)[:-_KEPT]:
            self._dataset.remove(path)

    def sweep(self) -> None:
        """Let go of all."""
        for path in self._dataset.names(self._folder):
            self._dataset.remove(path)


def sweep_states(dataset: Dataset, wanted: Collection[str]) -> None:
    """Let go of all states but those of some units.

    Parameters
    ----------
    dataset
        Where they lie.
    wanted
        Keys of units that are still to be done.
    """
    for path in dataset.names(FOLDER):
        if path.split("/")[1] not in wanted:
            dataset.remove(path)
