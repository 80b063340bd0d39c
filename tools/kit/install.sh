#!/bin/sh
# Installs ccp-assess from this folder: no internet, no administrator rights. Needs Python @PYTHON@.
set -eu
cd "$(dirname "$0")"
home="${1:-${XDG_DATA_HOME:-$HOME/.local/share}/ccp-assess}"
python=""
for candidate in "${PYTHON:-}" python@PYTHON@ python3 python; do
  if [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 &&
    [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" = "@PYTHON@" ]; then
    python="$candidate"
    break
  fi
done
if [ -z "$python" ]; then
  echo "This kit needs Python @PYTHON@. Install it for your own user and start this again, or say where it is:" >&2
  echo "  PYTHON=/where/it/is/python@PYTHON@ sh install.sh" >&2
  exit 1
fi
echo "Installing into $home ..."
"$python" -m venv "$home/python"
"$home/python/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-index --find-links wheels --no-deps --require-hashes -r requirements.txt
"$home/python/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-index --no-deps --force-reinstall wheels/ccp_assess-*.whl
cp -R notebooks docs data "$home/"
printf '#!/bin/sh\nexec "%s/python/bin/jupyter-lab" "%s/notebooks/00-start-here.ipynb"\n' "$home" "$home" >"$home/notebooks.sh"
printf '#!/bin/sh\nexec "%s/python/bin/ccp-assess" "$@"\n' "$home" >"$home/ccp-assess.sh"
chmod +x "$home/notebooks.sh" "$home/ccp-assess.sh"
echo "Done. Notebooks: $home/notebooks.sh    Command: $home/ccp-assess.sh"
