"""Write the part of docs/validation.md about captures: the lab's truth, our value, the difference.

    python tools/make_validation.py [--shared FOLDER]

The lab's captures and their truth stand beside the checkout in a folder `shared`; the page is generated, never edited.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ccp_assess.assess.captures import CaptureAssessment, assess_captures

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "validation.md"
BEGIN, END = "<!-- captures: begin -->", "<!-- captures: end -->"
RELAY_METHODS = ("0x1", "0x3", "0x4", "0x8", "0x9")
COUNTS = ("packets", "expected", "lost", "dup", "reordered")

HEAD = """## Captures

Real browser calls through a TURN relay, each with an independent reading of the same packets made by another
program. *Counts* are packets, expected, lost, duplicates and reordered of every stream; *jitter* is the largest
difference of the last, mean and maximum of the RFC 3550 estimator [ms]; *round trips* are the number and the median
towards relay and media server, ours / theirs.

| capture | calls | streams with equal counts | jitter differs by at most [ms] | relay round trips | media round trips |
|---|---|---|---|---|---|
"""

TAIL = """
Where the numbers of round trips differ, the independent reading kept those of repeated requests; Karn's rule leaves
them out, as a late answer cannot be told from the answer to the repetition.

### The browser's own statistics

The browser counts for itself, and differs where it must. Loss of the inbound stream, ours / the browser's:

| capture | lost here | lost by getStats | why they differ |
|---|---|---|---|
"""

WHY = {
    "outage5": "after a jump of the sequence number the browser begins its statistics anew and reports none lost",
    "midcall": "the capture began 8 s into the call",
}
FIELDS = """
| field of getStats | why it differs from ours |
|---|---|
| packetsReceived | a few more here: the last packets meet a closed socket, the capture still sees them |
| packetsLost | negative or 0 after duplicates, resets and long outages; ours is expected less unique (RFC 3550 A.3) |
| jitter | the browser leaves out packets out of order and rounds to 1 ms; ours takes every arrival in arrival order |
| roundTripTime (RTCP) | holds the time the other side took, and its timer; ours is check to answer |
| currentRoundTripTime | the same measurement as ours, rounded to 1 ms |
| remote-inbound-rtp | the other side's view of our uplink: this capture point cannot see it |
"""


def truth_of(folder: Path, name: str) -> dict[str, Any]:
    """Read the independent reading of a capture."""
    text = (folder / "truth" / f"{name}.summary.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def stream_row(assessment: CaptureAssessment, truth: dict[str, Any]) -> tuple[int, int, float]:
    """Compare all streams: how many have equal counts, how many there are, and the largest difference of jitter."""
    ours = {(s.ssrc, "up" if s.direction == "out" else "down"): s for s in assessment.streams}
    equal, worst = 0, 0.0
    for expected in truth["streams"]:
        stream = ours.get((expected["ssrc_dec"], expected["dir"]))
        if stream is None:
            continue
        counts = (stream.packets, stream.expected, stream.lost, stream.duplicates, stream.reordered)
        equal += counts == tuple(expected[key] for key in COUNTS)
        pairs = (
            (stream.jitter_ms, "jitter_end_ms"),
            (stream.jitter_mean_ms, "jitter_mean_ms"),
            (stream.jitter_max_ms, "jitter_max_ms"),
        )
        worst = max(worst, *(abs((value or 0.0) - expected[key]) for value, key in pairs))
    return equal, len(truth["streams"]), worst


def trips_text(assessment: CaptureAssessment, truth: dict[str, Any]) -> tuple[str, str]:
    """Write number and median of both round trips, ours / theirs."""
    theirs = truth.get("turn_rtt_ms", {})
    relay_n = sum(theirs[key]["n"] for key in RELAY_METHODS if key in theirs)
    media = theirs.get("ice-agent")
    ours = [entry for entry in assessment.calls if entry.call.failure is None]
    relay = f"{sum(entry.relay_rtt.n for entry in assessment.calls)} / {relay_n}"
    if media is None or not ours:
        return relay, "none"
    p50 = ours[0].media_rtt.p50
    medians = f"{p50:.1f} / {media['p50']} ms" if len(ours) == 1 and p50 is not None else "several calls"
    return relay, f"{sum(entry.media_rtt.n for entry in ours)} / {media['n']}, {medians}"


def lost_rows(name: str, assessment: CaptureAssessment, truth: dict[str, Any]) -> list[str]:
    """Compare the inbound loss with what the browser counted."""
    rows = []
    by_ssrc = {stream.ssrc: stream for stream in assessment.streams if stream.direction == "in"}
    for stats in truth.get("getstats", []):
        stream = by_ssrc.get(stats.get("in_ssrc"))
        if stream is not None and stats["who"].startswith("agent") and stream.lost != stats["in_lost"]:
            why = WHY.get(
                name, "duplicates are subtracted by the browser" if stream.duplicates else "counted at another time"
            )
            rows.append(f"| {name} | {stream.lost} | {stats['in_lost']} | {why} |\n")
    return rows


def make_section(lab: Path) -> str:
    """Read every capture of the lab that has a truth, and write the section."""
    body, lost = "", ""
    for path in sorted((lab / "pcap").iterdir()):
        name = path.name.split(".")[0]
        if not (lab / "truth" / f"{name}.summary.json").exists():
            continue
        truth, assessment = truth_of(lab, name), assess_captures([path])
        equal, total, worst = stream_row(assessment, truth["capture"])
        relay, media = trips_text(assessment, truth["capture"])
        failed = [entry.call.failure.reason for entry in assessment.calls if entry.call.failure]
        calls = f"failed: {failed[0]}" if failed else str(len(assessment.calls))
        jitter = f"{worst:.3f}" if total else "none"
        body += f"| {name} | {calls} | {equal} of {total} | {jitter} | {relay} | {media} |\n"
        lost += "".join(lost_rows(name, assessment, truth))
    return HEAD + body + TAIL + (lost or "| (none differs) | | | |\n") + FIELDS


def main() -> int:
    """Write the section into the page, between its marks."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="the folder of real data")
    lab = options.parse_args().shared / "captures" / "lab"
    if not lab.is_dir():
        print("The lab's captures are not beside this checkout: nothing was written.", file=sys.stderr)
        return 1
    section = f"{BEGIN}\n{make_section(lab)}{END}\n"
    page = (
        PAGE.read_text(encoding="utf-8")
        if PAGE.exists()
        else "# Validation\n\nGenerated by `tools/make_validation.py`.\n\n"
    )
    if BEGIN in page and END in page:
        before, rest = page.split(BEGIN, 1)
        page = before + section + rest.split(END, 1)[1].lstrip("\n")
    else:
        page = page.rstrip("\n") + "\n\n" + section
    PAGE.write_text(page, encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)} is written.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
