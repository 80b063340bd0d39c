"""A probe document as lines for people: a table, then what is wrong in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

_WORDS = {"open": "open", "impaired": "partly", "blocked": "BLOCKED", "unknown": "?"}


def document_lines(document: dict[str, Any]) -> list[str]:
    """Write a probe document for people.

    Parameters
    ----------
    document
        Of the contract.

    Returns
    -------
    lines
        To be made printable by whoever prints them: names in them come from the network.
    """
    lines = table_lines(
        ("Region", "media (UDP)", "pages (TCP)", "round trip", "by", "hops", "DNS", "connect", "TLS"),
        [_row(region) for region in document["regions"]],
    )
    lines += ["", *diagnosis_lines(document)]
    lines += [f"Note: {note}" for note in document.get("notes") or ()]
    untested = [row["name"] for region in document["regions"] for row in region.get("untested") or ()]
    if untested:
        lines.append(
            f"Not testable without a known name: {len(untested)} wildcards (such as {untested[0]}); "
            "give names by --names-from."
        )
    if not document.get("complete", True):
        lines.append("The time was up before everything had answered: what is missing is unknown, not blocked.")
    return lines


def _row(region: dict[str, Any]) -> tuple[str, ...]:
    judged = region.get("judgement") or {}
    rtts = [rtt for rtt in region.get("rtt_ms") or () if rtt is not None]
    path = region.get("path") or {}
    return (
        region["region_code"] or "(no Region)",
        _WORDS[judged.get("udp", "unknown")],
        _WORDS[judged.get("tcp", "unknown")],
        f"{min(rtts):.1f} ms" if rtts else "-",
        region.get("via") or "-",
        "-" if path.get("hop_count") is None else str(path["hop_count"]),
        _least(row["response_ms"] for row in region["dns"]),
        _least(row["connect_ms"] for row in region["tcp"]),
        _least(row["tls_ms"] for row in region["tcp"]),
    )


def _least(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{min(known):.1f} ms" if known else "-"


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out a table in columns.

    Parameters
    ----------
    header
        Words above the columns.
    rows
        Cells.

    Returns
    -------
    lines
        The header, a rule and one line per row.
    """
    widths = [max(len(str(cell)) for cell in column) for column in zip(header, *rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]]
    return [lines[0].rstrip(), "  ".join("-" * width for width in widths), *(line.rstrip() for line in lines[1:])]


def diagnosis_lines(document: dict[str, Any]) -> list[str]:
    """Write what is wrong, each thing once with the Regions that it concerns.

    Parameters
    ----------
    document
        Of the contract.

    Returns
    -------
    lines
        One paragraph for each thing; one line if nothing is wrong.
    """
    said: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for region in document["regions"]:
        for row in region["diagnosis"]:
            said.setdefault(row["code"], []).append((region["region_code"] or "(no Region)", row))
    if not said:
        return ["Nothing wrong was found."]
    order = {"critical": 0, "warning": 1, "info": 2}
    lines: list[str] = []
    for code, pairs in sorted(said.items(), key=lambda pair: order.get(pair[1][0][1]["severity"], 3)):
        first = pairs[0][1]
        same = [region for region, row in pairs if row["text"] == first["text"]]
        others = list(dict.fromkeys(region for region, row in pairs if row["text"] != first["text"]))
        where = "" if len(same) == len(document["regions"]) else f" [{', '.join(same)}]"
        lines.append(f"{first['severity'].upper():<8} {code}{where}: {first['text']}")
        if others:
            lines.append(f"         The like in {', '.join(others)}.")
        if first.get("agent_sees") not in (None, "", "-"):
            lines.append(f"         The agent sees: {first['agent_sees']}")
        if first.get("change") not in (None, "", "-"):
            lines.append(f"         To change: {first['change']}")
    return lines
