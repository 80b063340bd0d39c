# ccp-assess: the commands of the project. `make assess` and `make test` set up all they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Hundreds of processes of the tests would each compile the package anew.
unexport PYTHONDONTWRITEBYTECODE
PIP_FLAGS := --quiet --disable-pip-version-check --no-input --require-hashes

FAST := -m "not long and not browser"
BROWSER = -m "browser and not long" $$(grep -rl --include='test_*.py' mark.browser tests)
# What failed beside others is tried once more, alone: waits and round trips are real, and a busy machine is no fault.
AGAIN = echo "Once more, alone, what failed:" && $(BIN)/python -m pytest --last-failed --last-failed-no-failures none

.PHONY: assess lab app test test-long packages check bench fuzz kits kit probe-pyz clean

assess: $(VENV)/.core
	$(BIN)/ccp-assess assess data/sample --out out/sample

lab: $(VENV)/.notebook
	$(BIN)/jupyter lab notebooks/00-start-here.ipynb

app: $(VENV)/.notebook
	JUPYTER_PATH="$(CURDIR)/ccp_assess/widgets/jupyter" $(BIN)/voila --template=ccp notebooks/00-start-here.ipynb

# Side by side where one waits for the network and the other for the processor.
test:
	$(MAKE) --no-print-directory -j2 packages $(VENV)/.dev
	$(MAKE) --no-print-directory -j2 check kits
	$(BIN)/python -m pytest $(FAST) -n 2 --dist loadfile || { $(AGAIN) $(FAST); }
	$(BIN)/python -m pytest $(BROWSER) -n 2 --dist loadfile || { $(AGAIN) $(BROWSER); }

test-long: packages $(VENV)/.dev
	$(BIN)/python -m pytest -m long

packages:
	sh tools/system_packages.sh

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.selection
	$(BIN)/python -m benchmarks.probing
	$(BIN)/python -m benchmarks.reaching
	$(BIN)/python -m benchmarks.calls
	$(BIN)/python -m benchmarks.store
	$(BIN)/python -m benchmarks.fleet
	$(BIN)/python -m benchmarks.fleet_matching
	$(BIN)/python -m benchmarks.store_bucket

fuzz: $(VENV)/.dev
	$(BIN)/python tools/fuzz_parsers.py --seconds 300
	$(BIN)/python tools/fuzz.py

# The measuring alone in one file, for an agent's computer: any Python from 3.11 on runs it, nothing is installed.
probe-pyz: $(VENV)/.core
	$(BIN)/python tools/make_probe_pyz.py

kits: $(VENV)/.dev
	$(BIN)/python tools/make_kit.py

# What installs ccp-assess at a client's without internet: one folder (and one file) for each system, see tools/kit.
kit: $(VENV)/.dev
	$(BIN)/python tools/make_kit.py --zip

clean:
	rm -rf $(VENV) out bench-data

# Each environment is a superset of the one before; a stamp says which pins it was made from.
$(VENV)/.core: locks/core.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit("ccp-assess needs Python 3.11 or newer, this is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up the environment in $(VENV) (once) ..."
	@$(BIN)/python -m pip install $(PIP_FLAGS) -r locks/core.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.notebook: locks/notebook.txt $(VENV)/.core
	@$(BIN)/python -m pip install $(PIP_FLAGS) -r locks/notebook.txt
	@touch $@

$(VENV)/.dev: locks/dev.txt $(VENV)/.notebook
	@$(BIN)/python -m pip install $(PIP_FLAGS) -r locks/dev.txt
	@touch $@
