"""What was collected, on its destination: rows and ledger in one, evidence as it came, and what was refused.

``units/collected-….json`` is the record of one site and day: it names the part with its rows and every document that
they were made of. These records are the ledger, too, so that rows and ledger cannot contradict each other. A record is
replaced whole; its part has another name whenever it holds something else. The same documents give the same bytes in
whatever order and portions they came.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ccp_assess.errors import CcpAssessError
from ccp_assess.fleet.collect_documents import Document, Terms, document_of
from ccp_assess.fleet.collect_inbox import Dropped
from ccp_assess.fleet.dataset import COLLECTED, FORMAT, UNITS, Dataset, parse_record, part_path, record_path
from ccp_assess.fleet.inputs import in_threads
from ccp_assess.fleet.rows import parquet_bytes, sha256_of, table_of_rows
from ccp_assess.fleet.schema import TABLES, arrow_schema
from ccp_assess.probe.signed import RefusedError

EVIDENCE = "collected"
QUARANTINE = "quarantine"
MOST_QUARANTINED_FILES = 1_000
MOST_QUARANTINED_BYTES = 100_000_000

Standing = Literal["new", "known", "replayed"]


class Ledger:
    """Which documents are in the store already.

    Parameters
    ----------
    records
        Of the collector's units.
    """

    def __init__(self, records: Iterable[dict[str, Any]]) -> None:
        self._digests: set[str] = set()
        self._measurements: dict[str, str] = {}
        for record in records:
            for entry in record["files"]:
                self._note(entry["stamp"], entry["id"])

    def __len__(self) -> int:
        return len(self._digests)

    def _note(self, digest: str, measurement: str | None) -> None:
        self._digests.add(digest)
        if measurement is not None:
            self._measurements[measurement] = digest

    def standing(self, document: Document) -> Standing:
        """Say whether a document is new, known word by word, or a measurement that is known with other words."""
        if document.digest in self._digests:
            return "known"
        return "replayed" if document.measurement in self._measurements else "new"

    def add(self, documents: Iterable[Document]) -> None:
        """Note documents that are in the store now."""
        for document in documents:
            self._note(document.digest, document.measurement)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A file with documents that are new.

    Parameters
    ----------
    data
        As it came.
    documents
        All of it.
    new
        Those that are not in the store yet.
    """

    data: bytes
    documents: tuple[Document, ...]
    new: tuple[Document, ...]

    @property
    def evidence(self) -> str:
        """Where the file is kept: a name that follows from what it says, below the day of its first document."""
        said = "\n".join(document.digest for document in self.documents)
        return f"{EVIDENCE}/{self.documents[0].day}/{hashlib.sha256(said.encode('ascii')).hexdigest()[:32]}.json"


@dataclass(frozen=True, slots=True)
class CollectedStore:
    """The collector's part of a dataset.

    Parameters
    ----------
    dataset
        The destination.
    """

    dataset: Dataset

    def records(self) -> dict[str, dict[str, Any]]:
        """Read the records of the collector's units, by key; what is damaged or of another edition is none."""
        return {key: record for key, record in self.dataset.units().items() if key.startswith(COLLECTED)}

    def add(self, files: Sequence[Accepted], terms: Terms) -> None:
        """Keep files and make rows of what is new in them: evidence first, then site by site and day by day.

        Parameters
        ----------
        files
            Of any sites and days.
        terms
            Whose they are.
        """
        in_threads(self.dataset.place, lambda file: self.dataset.put(file.evidence, file.data), files)
        by_unit: dict[tuple[str, str], list[tuple[Document, str]]] = defaultdict(list)
        for file in files:
            for document in file.new:
                by_unit[document.site_id, document.day].append((document, file.evidence))
        for (site_id, day), members in sorted(by_unit.items()):
            self._add_to_unit(site_id, day, members, terms)

    def _add_to_unit(self, site_id: str, day: str, members: list[tuple[Document, str]], terms: Terms) -> None:
        key = unit_key(terms.client, site_id, day)
        old = parse_record(self.dataset.get(record_path(key)) or b"")
        table = table_of_rows("probes", [row for one, _ in members for row in one.rows], terms.client, site_id)
        entries = [_entry(document, path, terms.client) for document, path in members]
        if old is not None:
            table = _concatenated(self._rows_of(old, terms), table)
            entries += old["files"]
        data = parquet_bytes(_sorted(table))
        digest = sha256_of(data)
        path = part_path("probes", terms.client, site_id, day, f"{key}-{digest[:16]}")
        self.dataset.put(path, data)
        record = {
            "format": FORMAT,
            "key": key,
            "files": sorted(entries, key=lambda entry: str(entry["stamp"])),
            "rows": {"probes": table.num_rows},
            "packets": 0,
            "spans": {},
            "set_aside": [],
            "parts": [{"path": path, "bytes": len(data), "sha256": digest}],
        }
        self.dataset.put_record(record)

    def _rows_of(self, record: dict[str, Any], terms: Terms) -> Any:
        """Read the rows of a unit; where its part is gone, damaged or of another edition, make them of the evidence."""
        import pyarrow as pa  # noqa: PLC0415 - a fifth of a second that only this work need pay
        import pyarrow.parquet as pq  # noqa: PLC0415 - the same

        (part,) = record["parts"]
        data = self.dataset.get(part["path"])
        if data is not None and sha256_of(data) == part["sha256"]:
            table = pq.read_table(pa.BufferReader(data))
            if table.schema.equals(arrow_schema("probes")):
                return table
        first = record["files"][0]
        wanted = {entry["stamp"] for entry in record["files"]}
        rows: list[dict[str, Any]] = []
        for path in sorted({entry["path"] for entry in record["files"]}):
            for document in evidence_documents(self.dataset.get(path), terms):
                if document.digest in wanted:
                    wanted.discard(document.digest)
                    rows += document.rows
        if wanted:
            raise CcpAssessError(
                f"{self.dataset.place.url}/{part['path']} is not what was written, and the evidence for it is gone; "
                f"remove units/{record['key']}.json to go on without these rows"
            )
        return table_of_rows("probes", rows, first["client"], first["site_id"])

    def orphans(self, records: Iterable[dict[str, Any]]) -> list[Dropped]:
        """List evidence that no record names: a collector was killed, or a record was lost, before or after."""
        named = {entry["path"] for record in records for entry in record["files"]}
        listed = self.dataset.listed(EVIDENCE)
        return [
            Dropped(path=path, size=file.size, stamp="", changed_s=file.time)
            for path, file in listed.items()
            if path not in named and not _is_draft(path)
        ]

    def leftovers(self, records: Iterable[dict[str, Any]]) -> list[str]:
        """List the collector's parts that no record names, and drafts: replaced, or left by one that was killed.

        Parts are not removed when they are replaced, since whoever asks a question may be reading them.
        """
        named = {part["path"] for record in records for part in record["parts"]}
        found = [path for folder in (EVIDENCE, QUARANTINE) for path in self.dataset.names(folder) if _is_draft(path)]
        for folder in ("probes", UNITS):
            for path in self.dataset.names(folder):
                is_ours = path.rpartition("/")[2].lstrip(".").startswith(COLLECTED)
                if is_ours and (_is_draft(path) or (folder != UNITS and path not in named)):
                    found.append(path)
        return found


def _is_draft(path: str) -> bool:
    """Tell a file that was being written when its program was killed."""
    return path.rpartition("/")[2].startswith(".")


def unit_key(client: str, site_id: str, day: str) -> str:
    """Name the collector's unit of one site and day."""
    text = json.dumps([client, site_id, day])
    return f"{COLLECTED}{hashlib.sha256(text.encode('ascii')).hexdigest()[:24]}"


def _entry(document: Document, path: str, client: str) -> dict[str, Any]:
    """Write one document as a file of a unit, so that the manifest's counts add up."""
    return {
        "client": client,
        "site_id": document.site_id,
        "kind": "collected",
        "path": path,
        "size": document.size,
        "stamp": document.digest,
        "id": document.measurement,
    }


def evidence_documents(data: bytes | None, terms: Terms) -> list[Document]:
    """Read evidence again; whether it is still what was accepted is told by the digests in the ledger.

    Parameters
    ----------
    data
        A signed file; ``None`` where it is gone.
    terms
        As when it was accepted.

    Returns
    -------
    documents
        None of a damaged file.
    """
    try:
        value = json.loads(json.loads(data or b"{}")["payload"])
        return [document_of(one, terms) for one in (value if isinstance(value, list) else [value])]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _concatenated(one: Any, other: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - see above

    return pa.concat_tables([one, other])


def _sorted(table: Any) -> Any:
    """Order rows by all that they hold, so that the order of arrival leaves no trace."""
    first = ["time", "source", "region_code"]
    names = first + [name for name in TABLES["probes"] if name not in first]
    return table.sort_by([(name, "ascending") for name in names]).combine_chunks()


class Quarantine:
    """Where refused files stand with their reason, up to a bound; names from outside become no names here.

    Parameters
    ----------
    dataset
        The destination.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        fs, root = dataset.place.fs, dataset.place.full(QUARANTINE)
        fs.invalidate_cache()
        found = fs.find(root, detail=True)
        self._names = {name.replace("\\", "/").rpartition("/")[2] for name in found}
        self._bytes = sum(int(info.get("size") or 0) for info in found.values())

    def put(self, name: str, reason: RefusedError, data: bytes | None, *, known_as: str) -> bool:
        """Set a refused file aside.

        Parameters
        ----------
        name
            As it stood in the inbox.
        reason
            Why it was refused.
        data
            What it holds; ``None`` where it was not read.
        known_as
            What it is known by where it was not read.

        Returns
        -------
        is_kept
            Whether its bytes are in the quarantine now.
        """
        stem = hashlib.sha256(data if data is not None else known_as.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        told = {
            "name": name[:1_000],
            "reason": reason.code,
            "text": str(reason),
            "bytes": None if data is None else len(data),
        }
        if data is not None and not self._put(f"{stem}.data", data):
            return False
        text = (json.dumps(told, indent=1, sort_keys=True) + "\n").encode("ascii")
        return self._put(f"{stem}.json", text) and data is not None

    def _put(self, name: str, data: bytes) -> bool:
        if name in self._names:
            return True
        files = len(self._names) + 1
        if files > 2 * MOST_QUARANTINED_FILES or self._bytes + len(data) > MOST_QUARANTINED_BYTES:
            return False
        self._dataset.put(f"{QUARANTINE}/{name}", data)
        self._names.add(name)
        self._bytes += len(data)
        return True
