"""The measuring alone, for an agent's computer: one file to run, one JSON to send back, only Python's own library.

`make probe-pyz` packs it; see the README for its size.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ccp_assess import __version__
from ccp_assess.errors import CcpAssessError, ProbeError
from ccp_assess.files import read_made_key, write_whole
from ccp_assess.probe.drop import drop, drop_name, file_name
from ccp_assess.probe.rounds import RoundOptions, probe_round
from ccp_assess.probe.shown import document_lines
from ccp_assess.probe.signed import signed_file
from ccp_assess.terminal import printable


def main(words: Sequence[str] | None = None) -> None:
    """Measure once, show what was found, and write it to a file.

    Parameters
    ----------
    words
        Arguments; those of the process if ``None``.
    """
    parser = _parser()
    given = parser.parse_args(words)
    if given.drop and not given.key:
        parser.error("--drop needs --key FILE: only what is signed is taken")
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
        key = read_made_key(given.key, ProbeError) if given.key else None
        document = probe_round(options, _tell if sys.stderr.isatty() else None)
        out = given.out or Path(file_name(document))
        data = signed_file(document, key) if key else (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()
        write_whole(out, data)
    except CcpAssessError as error:
        sys.exit(f"probe: {printable(str(error))}")
    except OSError as error:
        sys.exit(f"probe: {printable(str(error.filename or ''))}: {error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit("probe: interrupted; nothing was written")
    for line in document_lines(document):
        print(printable(line))  # noqa: T201 - this is a command
    if given.drop:
        try:
            place = drop(data, given.drop, drop_name(document), proxy=given.proxy)
        except ProbeError as error:
            sys.exit(f"probe: {printable(str(error))}. The result stands in {printable(str(out))}: please send it back")
        print(f"\nHanded over to {printable(place)}; nothing more is to do.")  # noqa: T201 - the same
        return
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
    parser.add_argument("--key", type=Path, help="key of the engagement: the JSON is signed with it")
    parser.add_argument("--drop", help="folder, or https:// address, to which the signed JSON is handed over")
    return parser


def _tell(what: str, done: int, total: int) -> None:
    print(f"{printable(what)} ({done} of {total}) ...", file=sys.stderr)  # noqa: T201 - this is a command
