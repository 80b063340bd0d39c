"""Collect what agents' computers dropped: checked, once only, into the same store as a run; what is bad is set aside.

A file leaves the inbox only after the destination holds it. Whatever happens meanwhile, the next collector ends with
the same tables: evidence is put first, then rows and ledger in one record, then the inbox is cleared.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from ccp_assess.errors import CcpAssessError, first_line
from ccp_assess.fleet.collect_documents import Document, Terms, read_dropped, too_large
from ccp_assess.fleet.collect_inbox import Dropped, Inbox
from ccp_assess.fleet.collect_store import Accepted, CollectedStore, Ledger, Quarantine
from ccp_assess.fleet.dataset import COLLECTED, FORMAT, UNITS, Dataset, open_dataset
from ccp_assess.fleet.inputs import in_threads
from ccp_assess.fleet.lease import COLLECTOR, BusyError, Lease
from ccp_assess.fleet.merging import merge_all
from ccp_assess.fleet.needs import FleetError
from ccp_assess.fleet.refusals import is_of_a_store, told_as_kept, told_as_unread
from ccp_assess.fleet.schema import TABLES
from ccp_assess.fleet.sources import Place, lies_inside, open_place
from ccp_assess.probe.signed import RefusedError

PATIENCE_S = 3_600.0
"""So long a file that breaks off may still be on its way [s]."""

_PORTION_FILES, _PORTION_BYTES = 1_000, 64_000_000
_MOST_TOLD = 1_000
_ROUNDS_TO_A_SUM = 10
"""Summing up reads the collected rows of a month: it waits for a quiet round, but not for ever."""
_UNFINISHED = frozenset({"cut_off", "empty", "unreadable"})
"""Refusals of files that may still be on their way: written, sent, or locked by who writes them."""
_MAY_PASS = frozenset({"time_future"})

Progress = Callable[[str, int, int], None]


@dataclass(slots=True, kw_only=True)
class CollectResult:
    """What one round did; counts are of files where nothing else is said.

    Parameters
    ----------
    client
        Under whose name rows are kept.
    accepted, documents, rows
        Files with something new, documents that are new, and rows made of them.
    duplicates
        Files that hold nothing new: left from earlier, dropped twice, or copies.
    refused
        Refusals by reason.
    refusals
        The first of them, each with file, reason and sentence.
    waiting
        Files that may still be on their way.
    taken
        Files that left the inbox.
    unknown_sites
        Sites that are not among those of the engagement, with their new documents.
    """

    client: str
    accepted: int = 0
    documents: int = 0
    rows: int = 0
    duplicates: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    refusals: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    taken: int = 0
    unknown_sites: Counter[str] = field(default_factory=Counter)

    def refuse(self, path: str, refusal: RefusedError, *, kept: bool) -> None:
        """Note a refusal, and whether the file is held by the destination."""
        self.refused[refusal.code] += 1
        if len(self.refusals) < _MOST_TOLD:
            self.refusals.append({"path": path, "reason": refusal.code, "text": str(refusal), "kept": kept})

    def to_document(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "client": self.client,
            "accepted": self.accepted,
            "documents": self.documents,
            "rows": self.rows,
            "duplicates": self.duplicates,
            "refused": dict(sorted(self.refused.items())),
            "refusals": self.refusals,
            "waiting": self.waiting,
            "taken": self.taken,
            "unknown_sites": dict(sorted(self.unknown_sites.items())),
        }


@dataclass(frozen=True, slots=True)
class _Read:
    """What became of reading one file."""

    dropped: Dropped
    data: bytes | None
    documents: tuple[Document, ...] = ()
    refusal: RefusedError | None = None


class Collector:
    """A collector at work on a destination; use it as a context, and ask it for rounds.

    Parameters
    ----------
    inbox_url, dest_url
        Folders or buckets.
    terms
        What is taken.
    take
        Whether files leave the inbox once the destination holds them.
    now
        The clock.

    Raises
    ------
    FleetError
        If the destination cannot be written to, or another collector is at work on it.
    """

    def __init__(
        self,
        inbox_url: str,
        dest_url: str,
        terms: Terms,
        *,
        take: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        inbox, dest = open_place(inbox_url), open_place(dest_url)
        _check_apart(inbox, dest)
        self._inbox, self._terms, self._take, self._now = Inbox(inbox), terms, take, now
        self._inbox.check()  # before anything is written
        try:
            _check_layout(Dataset(dest))
        except Exception as error:  # what cannot be read cannot be written either, and is told so below
            if not is_of_a_store(error):
                raise
        self._dataset = open_dataset(dest)
        self._store = CollectedStore(self._dataset)
        self._lease = Lease(self._dataset, COLLECTOR)
        self._settled: set[tuple[str, int, str]] = set()
        self._ledger = Ledger(())
        self._is_sound = self._adds_up = False

    def __enter__(self) -> Self:
        self._lease.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lease.__exit__(kind, value, trace)

    def _begin(self, result: CollectResult) -> None:
        """Learn what is known, and mend what a collector that was killed left."""
        records = self._store.records()
        self._ledger, self._quarantine = Ledger(records.values()), Quarantine(self._dataset)
        self._settled.clear()
        self._adds_up = False
        for portion in _portions(self._store.orphans(records.values())):
            self._lease.check()
            self._adopt(portion, result)

    def _adopt(self, portion: Sequence[Dropped], result: CollectResult) -> None:
        """Make rows of evidence that no record names; where all of it is known by other evidence it is not needed."""
        found: list[Accepted] = []
        needless: list[str] = []
        for path, data in self._dataset.get_many([one.path for one in portion]):
            try:
                accepted = self._accept(data or b"", read_dropped(data or b"", self._terms, now=self._now()))
            except RefusedError as refusal:  # such as signed with a key that is not given now: it stays as it is
                result.refuse(path, refusal, kept=True)
                continue
            if accepted is not None:
                found.append(accepted)
                self._count(accepted, result)
            if accepted is None or accepted.evidence != path:
                needless.append(path)
        self._store.add(found, self._terms)
        kept = {accepted.evidence for accepted in found}
        for path in needless:
            if path not in kept:
                self._dataset.remove(path)

    def round(self, progress: Progress | None = None) -> CollectResult:
        """Go through the inbox once.

        Parameters
        ----------
        progress
            Called with what is done and what there is (count).

        Returns
        -------
        result
            What was new since the round before.
        """
        with told_as_kept(self._dataset.place.url):
            return self._round(progress)

    def _round(self, progress: Progress | None) -> CollectResult:
        result = CollectResult(client=self._terms.client)
        is_sound, self._is_sound = self._is_sound, False  # until all of this round is in the store
        if not is_sound:
            self._begin(result)
        found = [one for one in self._inbox.files() if (one.path, one.size, one.stamp) not in self._settled]
        done = 0
        for portion in _portions(found):
            self._lease.check()
            self._portion(portion, result)
            done += len(portion)
            if progress is not None:
                progress("collecting", done, len(found))
        self._adds_up = self._adds_up and not result.accepted
        self._is_sound = True
        return result

    def sum_up(self) -> bool:
        """Bring manifest and index up to what was collected, and remove parts that were replaced.

        Returns
        -------
        is_done
            ``False`` while a run is at work, which does the same at its end.
        """
        if self._adds_up:
            return True
        with told_as_kept(self._dataset.place.url):
            try:
                with Lease(self._dataset, brief=True) as lease:
                    _sum_up(self._store, lease.check)
            except BusyError:
                return False
        self._adds_up = True
        return True

    def _portion(self, portion: Sequence[Dropped], result: CollectResult) -> None:
        accepted: list[Accepted] = []
        held: list[Dropped] = []
        for read in in_threads(self._inbox.place, self._read, portion):
            if read is None:
                continue  # it went away, and is nobody's business any more
            key = (read.dropped.path, read.dropped.size, read.dropped.stamp)
            try:
                if read.refusal is not None:
                    raise read.refusal
                taken = self._accept(read.data or b"", read.documents)
            except RefusedError as refusal:
                if self._may_be_on_its_way(read, refusal):
                    result.waiting.append(read.dropped.path)
                    continue
                if self._refuse(read, refusal, result):
                    held.append(read.dropped)
                if refusal.code not in _MAY_PASS:
                    self._settled.add(key)
                continue
            held.append(read.dropped)
            self._settled.add(key)
            if taken is None:
                result.duplicates += 1
            else:
                accepted.append(taken)
                self._count(taken, result)
        self._lease.check()
        self._store.add(accepted, self._terms)
        if self._take:
            result.taken += sum(self._inbox.take(dropped) for dropped in held)

    def _count(self, accepted: Accepted, result: CollectResult) -> None:
        result.accepted += 1
        result.documents += len(accepted.new)
        result.rows += sum(len(document.rows) for document in accepted.new)
        if self._terms.sites:
            strangers = (one.site_id for one in accepted.new if one.site_id not in self._terms.sites)
            result.unknown_sites.update(strangers)

    def _read(self, dropped: Dropped) -> _Read | None:
        if not dropped.is_file:
            return _Read(dropped, None, refusal=RefusedError("no_file", "this is no plain file, and is not opened"))
        if dropped.size > self._terms.most_bytes:
            return _Read(dropped, None, refusal=too_large(self._terms))
        data = None
        try:
            data = self._inbox.read(dropped, self._terms.most_bytes)
            return _Read(dropped, data, documents=read_dropped(data, self._terms, now=self._now()))
        except RefusedError as error:
            return _Read(dropped, data, refusal=error)
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = RefusedError("unreadable", f"it cannot be read ({first_line(error)})")
            return _Read(dropped, None, refusal=reason)

    def _accept(self, data: bytes, documents: tuple[Document, ...]) -> Accepted | None:
        """Hold documents against the ledger and note what is new; ``None`` where nothing is."""
        new: dict[str, Document] = {}
        measurements: set[str] = set()
        for document in documents:
            standing = self._ledger.standing(document)
            if standing == "known" or document.digest in new:
                continue
            if standing == "replayed" or document.measurement in measurements:
                raise RefusedError(
                    "replay", f"the measurement {document.measurement} was taken before, and it said something else"
                )
            new[document.digest] = document
            if document.measurement is not None:
                measurements.add(document.measurement)
        self._ledger.add(new.values())
        return Accepted(data=data, documents=documents, new=tuple(new.values())) if new else None

    def _refuse(self, read: _Read, refusal: RefusedError, result: CollectResult) -> bool:
        """Set a file aside and tell; return whether its bytes are kept."""
        dropped = read.dropped
        known_as = f"{dropped.path}\n{dropped.size}\n{dropped.stamp}"
        kept = self._quarantine.put(dropped.path, refusal, read.data, known_as=known_as)
        result.refuse(dropped.path, refusal, kept=kept)
        return kept

    def _may_be_on_its_way(self, read: _Read, refusal: RefusedError) -> bool:
        if refusal.code not in _UNFINISHED:
            return False
        if read.data is not None and len(read.data) != read.dropped.size:
            return True  # it grew since it was listed
        changed_s = read.dropped.changed_s
        return changed_s is not None and abs(self._now().timestamp() - changed_s) < PATIENCE_S


def _portions(files: Sequence[Dropped]) -> Iterator[list[Dropped]]:
    """Divide files, so that no more than one portion is held in memory."""
    portion: list[Dropped] = []
    size = 0
    for one in files:
        if portion and (len(portion) >= _PORTION_FILES or size + one.size > _PORTION_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(one)
        size += one.size
    if portion:
        yield portion


def _check_apart(inbox: Place, dest: Place) -> None:
    for one, other in ((inbox, dest), (dest, inbox)):
        if lies_inside(one, other):
            raise FleetError(f"{one.url} lies inside {other.url}; choose an inbox and a destination apart")


def _check_layout(dataset: Dataset) -> None:
    """Refuse to write beside units of an older edition: the dataset would claim to be of this one."""
    found = dataset.layout()
    if found is not None and found < FORMAT:
        strangers = [path for path in dataset.names(UNITS) if not path.startswith(f"{UNITS}/{COLLECTED}")]
        if strangers:
            raise FleetError(
                f"{dataset.place.url}: an older ccp-assess made this dataset; run `ccp-assess fleet run SOURCE --out "
                f"{dataset.place.url}` again, which makes its tables anew, then collect"
            )


def _sum_up(store: CollectedStore, check: Callable[[], None]) -> None:
    dataset = store.dataset
    records = dataset.units()
    for path in store.leftovers(records.values()):
        dataset.remove(path)
    stored = dataset.manifest()
    if stored is None and not all(key.startswith(COLLECTED) for key in records):
        return  # a run did not end: nobody shall take it for one that did
    own = {row["path"] for record in records.values() for row in record["set_aside"]}
    aside = [] if stored is None else [row for row in stored["set_aside"] if row["path"] not in own]
    dataset.write_manifest(records.values(), aside)
    merge_all(dataset, records.values(), check=check)


def watch(
    make: Callable[[], Collector],
    every_s: float,
    tell: Callable[[CollectResult | CcpAssessError | OSError], None],
    sleep_s: Callable[[float], None] = time.sleep,
) -> None:
    """Collect again and again until interrupted; what fails after a good beginning is told and tried again.

    Parameters
    ----------
    make
        Makes the collector.
    every_s
        From the end of one round to the beginning of the next [s].
    tell
        Hears of each round.
    sleep_s
        Waits.
    """
    has_begun = False
    while True:
        try:
            with make() as collector:
                for number in count(1):
                    result = collector.round()
                    tell(result)
                    has_begun = True
                    if not result.accepted or number % _ROUNDS_TO_A_SUM == 0:
                        collector.sum_up()
                    sleep_s(every_s)
        except (CcpAssessError, OSError) as error:
            if not has_begun:
                raise
            tell(error)
        sleep_s(every_s)


def known_clients(dest_url: str) -> list[str]:
    """List the clients that a dataset holds.

    Parameters
    ----------
    dest_url
        The destination, which need not be there.

    Returns
    -------
    clients
        Their names.
    """
    place = open_place(dest_url)
    found = set()
    for table in TABLES:
        with told_as_unread(dest_url), suppress(FileNotFoundError, NotADirectoryError):
            for name in place.fs.ls(place.full(table), detail=False):
                key, _, client = name.replace("\\", "/").rstrip("/").rpartition("/")[2].partition("=")
                if key == "client":
                    found.add(unquote(client))
    return sorted(found)


def known_sites(dest_url: str, client: str) -> frozenset[str]:
    """Read which sites a client has, as far as a run has read its ``sites.csv``.

    Parameters
    ----------
    dest_url
        The destination.
    client
        Whose.

    Returns
    -------
    site_ids
        None where no run has read one.

    Raises
    ------
    FleetError
        If what the run wrote is damaged.
    """
    import pyarrow as pa  # noqa: PLC0415 - a fifth of a second that only this work need pay
    import pyarrow.parquet as pq  # noqa: PLC0415 - the same

    dataset = Dataset(open_place(dest_url))
    sites: set[str] = set()
    for path, data in dataset.get_many(dataset.names("sites")):
        try:
            table = pq.read_table(pa.BufferReader(data or b""), columns=["client", "site_id"])
        except (pa.ArrowException, OSError, ValueError):
            raise FleetError(
                f"{dest_url}: {path} is damaged; start the run again, which makes it anew, or name the sites with "
                "--sites FILE"
            ) from None
        rows = zip(table["client"].to_pylist(), table["site_id"].to_pylist(), strict=True)
        sites |= {site_id for name, site_id in rows if name == client}
    return frozenset(sites)
