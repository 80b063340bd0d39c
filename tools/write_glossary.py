"""Write the table of columns in docs/glossary.md again, from ccp_assess/tables.py."""

from pathlib import Path

from ccp_assess.tables import COLUMNS, Column

GLOSSARY = Path(__file__).resolve().parents[1] / "docs" / "glossary.md"
MARK = "<!-- From here on made by tools/write_glossary.py from ccp_assess/tables.py: change it there. -->"


def columns_text() -> str:
    """Return the table of all columns in Markdown."""
    lines = ["| column | unit | label | meaning |", "|---|---|---|---|"]
    lines += [_line(column) for column in sorted(COLUMNS.values(), key=lambda column: column.name)]
    return "\n".join(lines) + "\n"


def _line(column: Column) -> str:
    cells = (f"`{column.name}`", column.unit, column.label, column.meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def glossary_text(current: str) -> str:
    """Return the glossary with its table of columns made again."""
    words, mark, _ = current.partition(MARK)
    return f"{words.rstrip()}\n\n{mark or MARK}\n\n{columns_text()}"


if __name__ == "__main__":
    GLOSSARY.write_text(glossary_text(GLOSSARY.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {GLOSSARY}")
