"""Write docs/diagnoses.md from reference/diagnoses.csv; a test keeps the two equal.

python tools/write_diagnoses.py
"""

from __future__ import annotations

import re
from pathlib import Path

from ccp_assess.probe.diagnoses import read_diagnoses

PAGE = Path(__file__).resolve().parents[1] / "docs" / "diagnoses.md"
HEAD = """# What a probe can find wrong

The closed list of `ccp-assess probe`. Each diagnosis carries its evidence, says how sure it is (`certain`, `likely`,
`cannot_tell`) and what to change. Words in braces are filled in. UDP (the sound) and TCP (pages and signalling) are
judged apart; what has a nearer cause is not named a second time. Written by `tools/write_diagnoses.py` from
`ccp_assess/reference/diagnoses.csv`.

| code | severity | what is wrong | what the agent sees | what proves it | control |
|---|---|---|---|---|---|
"""


def page() -> str:
    """Return the page's text."""
    rows = [
        (f"`{row.code}`", row.severity, row.text, row.agent_sees, row.proof, row.control)
        for row in read_diagnoses().values()
    ]
    return HEAD + "".join(f"| {' | '.join(_cell(cell) for cell in row)} |\n" for row in rows)


def _cell(text: str) -> str:
    plain = text.replace("{agent}", "depends on the name: see the table of endpoints")
    return re.sub(r"\{(\w+)[^}]*\}", r"{\1}", plain).replace("|", "\\|").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
