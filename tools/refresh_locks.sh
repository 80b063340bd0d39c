#!/bin/sh
# Write the three pinned sets again (each a superset of the one before); needs uv. The files name no host.
set -eu
compile="uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet $*"
$compile --all-extras pyproject.toml locks/build.in -o locks/dev.txt
$compile -c locks/dev.txt --extra notebook --extra report --extra capture pyproject.toml locks/build.in -o locks/notebook.txt
$compile -c locks/dev.txt pyproject.toml locks/build.in -o locks/core.txt
! grep -nE 'https?://|file://' locks/*.txt
