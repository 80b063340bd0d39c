"""Lay out an empty client folder: commented examples, folders for evidence, and the questionnaire for the client."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path

from ccp_assess.client.locating import child_of
from ccp_assess.client.questionnaire import questionnaire_bytes
from ccp_assess.client.settings import FILE
from ccp_assess.client.workbook import QUESTIONNAIRE
from ccp_assess.errors import TableError
from ccp_assess.regions import read_regions
from ccp_assess.services import service_names
from ccp_assess.tables import COLUMNS, LAYOUTS, TableLayout

_FOLDERS = {
    "captures": (
        "Packet captures of test calls: pcap or pcapng, also gzip, zstd or lz4.\n"
        "Put those of a site into a folder with its site_id (captures/LIS/call1.pcapng),\n"
        "or begin the file's name with it (captures/LIS__call1.pcapng).\n"
    ),
    "probes": (
        "Measurements of paths and delays: the output of mtr, traceroute, tracert, pathping,\n"
        "WinMTR or ping, saved as text or JSON.\n"
        "Put those of a site into a folder with its site_id (probes/LIS/mtr-london.json),\n"
        "or begin the file's name with it (probes/LIS__mtr-london.json).\n"
    ),
    "logs": (
        "What the softphone recorded: agent-log.txt, webrtc-internals dumps, contact records,\n"
        "results of the endpoint test. Put those of a site into a folder with its site_id.\n"
    ),
    "rules": "The client's own firewall rules (CSV or JSON); they are held against what the softphone needs.\n",
}


def new_client(folder: str | Path, *, today: date | None = None) -> tuple[Path, ...]:
    """Lay out an empty client folder; nothing that is there already is touched.

    Parameters
    ----------
    folder
        A new folder, an empty one, or a client folder in which files are missing.
    today
        Day to be proposed in ``client.toml``.

    Returns
    -------
    written
        What was written; empty if nothing was missing.

    Raises
    ------
    TableError
        If it is a file, a folder of something else, or cannot be written.
    """
    folder = Path(folder)
    _check_may_be_client(folder)
    contents: dict[Path, Callable[[], bytes]] = {
        Path(FILE): partial(_settings_bytes, folder.resolve().name, today),
        **{Path(layout.file): partial(_table_bytes, layout) for layout in LAYOUTS.values()},
        Path(QUESTIONNAIRE): questionnaire_bytes,
        **{Path(name) / "README.txt": partial(str.encode, text) for name, text in _FOLDERS.items()},
    }
    try:
        return tuple(
            written
            for relative, content in contents.items()
            if (written := _write_if_missing(folder, relative, content)) is not None
        )
    except OSError as error:
        raise TableError(
            f"the client folder cannot be written ({error.strerror}); choose another place", file=str(folder)
        ) from None


def _check_may_be_client(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise TableError("this is a file; choose another name for the client folder", file=str(folder))
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    ours = (FILE, QUESTIONNAIRE, *(layout.file for layout in LAYOUTS.values()), *_FOLDERS)
    if not any(child_of(folder, name) for name in ours):
        raise TableError("the folder holds other things and is no client folder; choose a new name", file=str(folder))


def _write_if_missing(folder: Path, relative: Path, content: Callable[[], bytes]) -> Path | None:
    parent = folder if relative.parent == Path() else child_of(folder, relative.parent.name)
    if parent is not None and parent.is_dir() and child_of(parent, relative.name):
        return None
    path = (parent or folder / relative.parent) / relative.name
    data = content()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:  # x: somebody may have written it meanwhile
            file.write(data)
    except FileExistsError:
        return None
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return path


def _settings_bytes(name: str, today: date | None) -> bytes:
    known, services = _listed(list(read_regions())), _listed(service_names())
    text = f"""# Who the client is, what it allows, and what matters to it.
# A line that begins with # is a comment; delete the # to make it count.
# The tables stand beside this file: sites.csv, callers.csv, transfers.csv and reroutes.csv,
# or as sheets in questionnaire.xlsx. Only the sites are needed; what is missing is reported as unknown.

[client]
# What is left out here is taken from the sheet client of the questionnaire; a name from this folder's.
# name = {json.dumps(name, ensure_ascii=False)}
# date = "{today.isoformat() if today else "2026-11-23"}"
# What the instance is for: "voice", "video", "telephone_only", "media_less" or "chat". It decides which legs count.
# use_case = "voice"

[constraints]
# Limits come before every comparison. Regions that may be used (all if left out), and those that may not:
# allowed_regions = ["eu-central-1", "eu-west-2"]
# excluded_regions = ["us-east-1"]
# Known Regions:
{known}
# Where data may lie: ISO country codes, or EU.
# residency = ["EU", "GB"]
# Services that the Region must offer:
{services}
# services = ["voice"]
# Whether a Global Resiliency pair of Regions is wanted, and whether there is a GovCloud account.
# resiliency_pair = false
# govcloud = false

[weights]
# Importance of each part, 0 or more. Only their proportion matters.
# agents = 1
# callers = 1
# transfers = 1
# hops = 0

[measure]
# How files in probes/ name their site, where they stand in no folder of a site:
#   "auto" (the site_id inside, else the name before __), "site_id", "name", or a pattern such as "SITE__*.json|txt".
# probes_match = "auto"
"""
    return text.encode(errors="replace")  # the folder's name may be no text


def _listed(names: Sequence[str], each: int = 5) -> str:
    """Return names as lines of comment."""
    return "\n".join(f"#   {', '.join(names[start : start + each])}" for start in range(0, len(names), each))


def _table_bytes(layout: TableLayout) -> bytes:
    """Return a table with its header and commented examples; a byte order mark, so that Excel keeps the accents."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(layout.columns)
    lines = [layout.what, *_column_lines(layout), "Examples (delete the # and make them yours):"]
    comments = "".join(f"# {line}\r\n" for line in lines)
    examples = io.StringIO()
    csv.writer(examples, lineterminator="\r\n").writerows(layout.examples)
    commented = "".join(f"# {line}\r\n" for line in examples.getvalue().splitlines())
    return (text.getvalue() + comments + commented).encode("utf-8-sig")


def _column_lines(layout: TableLayout) -> list[str]:
    ways = " or ".join(" and ".join(way) for way in layout.location)
    lines = [f"Needed: {', '.join(layout.required)}; and {ways}."]
    lines += [f"{name}: {COLUMNS[name].meaning}" for name in layout.columns]
    lines += [f"{name} left empty means: {meaning}." for name, meaning in layout.defaults.items()]
    return lines
