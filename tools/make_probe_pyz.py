"""Build `probe.pyz`: the measuring alone, in one file that any Python of 3.11 or newer runs, with nothing to install.

    python tools/make_probe_pyz.py --out out/probe.pyz

It holds the modules that `ccp_assess.probe.standalone` needs, found by following the imports, and the tables that they
read. A module that would need a library stops the build.
"""

from __future__ import annotations

import argparse
import ast
import sys
import tempfile
import zipapp
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "ccp_assess"
START = ("ccp_assess.probe.standalone", "ccp_assess.probe.prober", "ccp_assess.probe.jobs", "ccp_assess.reference")
"""What is run: the command, and the process of its own that it starts, which finds its jobs by name."""
OPTIONAL = {"pypac", "dukpy", "maxminddb"}
"""Asked for inside a function and done without where they are missing."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Build probe.pyz.")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "probe.pyz")
    given = parser.parse_args()
    modules = needed_modules()
    build(given.out, modules)
    print(f"{given.out}: {given.out.stat().st_size / 1000:.0f} kB, {len(modules)} modules, no library")


def needed_modules() -> dict[str, Path]:
    """Return the modules of the project that the measuring needs, by name; a library among the imports ends it."""
    found: dict[str, Path] = {}
    waiting = [*START]
    while waiting:
        name = waiting.pop()
        path = path_of(name)
        if name in found or path is None:
            continue
        found[name] = path
        if "." in name:
            waiting.append(name.rpartition(".")[0])
        for imported in imports_of(path, name):
            top = imported.partition(".")[0]
            if top == "ccp_assess":
                waiting.append(imported)
            elif top not in sys.stdlib_module_names and top not in OPTIONAL:
                sys.exit(f"{path.relative_to(ROOT)} needs {top}, which no bare Python has")
    return found


def needed_tables(modules: dict[str, Path]) -> list[Path]:
    """Return the files of reference facts whose names stand in the modules."""
    sources = "".join(path.read_text(encoding="utf-8") for path in modules.values())
    return [path for path in sorted((PACKAGE / "reference").iterdir()) if f'"{path.name}"' in sources]


def path_of(name: str) -> Path | None:
    place = ROOT.joinpath(*name.split("."))
    if (place / "__init__.py").exists():
        return place / "__init__.py"
    file = place.with_suffix(".py")
    return file if file.exists() else None


def imports_of(path: Path, name: str) -> Iterator[str]:
    """Yield what a module imports, inside functions too, but not what only a type checker reads."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in walk_without_type_checking(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                sys.exit(f"{path.relative_to(ROOT)}: imports by a relative name, which is not followed")
            yield node.module or name
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def walk_without_type_checking(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from walk_without_type_checking(node)


def build(out: Path, modules: dict[str, Path]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path in modules.values():
            copy(path, root)
        for table in needed_tables(modules):
            copy(table, root)
        (root / "__main__.py").write_text(
            "import sys\n"
            "if sys.version_info < (3, 11):\n"
            "    sys.exit('this needs Python 3.11 or newer, this is %d.%d' % sys.version_info[:2])\n"
            "from ccp_assess.probe.standalone import main\n"
            "main()\n",
            encoding="utf-8",
        )
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = out.with_name(f".{out.name}")
        zipapp.create_archive(root, beside, interpreter="/usr/bin/env python3", compressed=True)
        beside.replace(out)


def copy(path: Path, root: Path) -> None:
    target = root / path.relative_to(ROOT)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(path.read_bytes())


if __name__ == "__main__":
    main()
