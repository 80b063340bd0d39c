"""The measuring alone, for an agent's computer: one file to run, one JSON to send back, only Python's own library.

`make probe-pyz` packs it; see the README for its size.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ccp_assess import __version__
from ccp_assess.errors import CcpAssessError
from ccp_assess.files import write_whole
from ccp_assess.probe.rounds import RoundOptions, probe_round
from ccp_assess.probe.shown import document_lines
from ccp_assess.terminal import printable


def main(words: Sequence[str] | None = None) -> None:
    """Measure once, show what was found, and write it to a file.

    Parameters
    ----------
    words
        Arguments; those of the process if ``None``.
    """
    given = _parser().parse_args(words)
    options = RoundOptions(
        regions=tuple(given.region or ()),
        site_id=given.site,
        full=given.full,
        endpoints=given.endpoints,
        instance=given.instance,
        names_from=given.names_from,
        proxy=given.proxy,
        pac=given.pac,
        source=given.source,
        seconds=given.seconds,
        asn_table=given.asn_table,
    )
    try:
        document = probe_round(options, _tell if sys.stderr.isatty() else None)
        out = given.out or Path(file_name(document))
        write_whole(out, json.dumps(document, indent=1, allow_nan=False) + "\n")
    except CcpAssessError as error:
        sys.exit(f"probe: {printable(str(error))}")
    except OSError as error:
        sys.exit(f"probe: {printable(str(error.filename or ''))}: {error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit("probe: interrupted; nothing was written")
    for line in document_lines(document):
        print(printable(line))  # noqa: T201 - this is a command
    print(f"\nPlease send this file back: {printable(str(out))}")  # noqa: T201 - the same


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="probe", description="Measure the way from this computer to the Regions of Amazon Connect."
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--region", action="append", help="only this Region; may be repeated")
    parser.add_argument("--site", help="the site that this computer stands at")
    parser.add_argument("--full", action="store_true", help="also proofs, trains, NAT and packet sizes")
    parser.add_argument("--endpoints", type=Path, help="a table that stands in for the Regions (CSV)")
    parser.add_argument("--instance", help="alias of an instance whose own names are tested too")
    parser.add_argument("--proxy", help="HOST:PORT instead of the proxy in force, or `direct`")
    parser.add_argument("--names-from", type=Path, help="log, capture or list with the names behind wildcards")
    parser.add_argument("--pac", help="address or file of a proxy script; evaluated where pypac is installed")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the trains of --full [s]")
    parser.add_argument("--asn-table", type=Path, help="table of autonomous systems, for the owners of hops")
    parser.add_argument("--source", help="local address to send from")
    parser.add_argument("--out", type=Path, help="where the JSON is written")
    return parser


def file_name(document: dict[str, Any]) -> str:
    """Return a name that says site and time, and that every system takes.

    Parameters
    ----------
    document
        A probe document.

    Returns
    -------
    name
        Such as ``LIS__probe-2026-11-23T090500Z.json``, which a client folder sorts to its site.

    Examples
    --------
    >>> file_name({"site_id": "LIS/1", "time": "2026-11-23T09:05:00.123456Z"})
    'LIS1__probe-2026-11-23T090500Z.json'
    """
    site = "".join(mark for mark in str(document.get("site_id") or "") if mark.isalnum() or mark in "-_")[:40]
    moment = str(document.get("time") or "")[:19].replace(":", "")
    return f"{site + '__' if site else ''}probe-{moment}Z.json"


def _tell(what: str, done: int, total: int) -> None:
    print(f"{printable(what)} ({done} of {total}) ...", file=sys.stderr)  # noqa: T201 - this is a command
