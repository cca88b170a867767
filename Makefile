# Threadfly. Every target makes `.venv` by itself and brings it up to date when requirements changed.
# PYTHON=/path/to/python chooses another interpreter (3.11 or later). Works with GNU make 3.81.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-header $(if $(UPGRADE),--upgrade)

.PHONY: run test test-again check bench bench-quick bench-full format lock clean

run: $(VENV)/.runtime
	@$(BIN)/threadfly run

test: $(VENV)/.dev
	@$(BIN)/pytest -n auto --dist loadfile

# What failed last, one by one: with nothing beside it that takes its processor or its time.
test-again: $(VENV)/.dev
	@$(BIN)/pytest --last-failed --last-failed-no-failures none

check: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.dev
	@$(BIN)/python -m benchmarks

bench-quick: $(VENV)/.dev
	@$(BIN)/python -m benchmarks --quick

bench-full: $(VENV)/.dev
	@$(BIN)/python -m benchmarks --full

format: $(VENV)/.dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# Pins what changed in requirements*.in, for every platform and Python; UPGRADE=1 pins all anew.
lock: $(VENV)/.dev
	@$(LOCK) requirements.in -o requirements.txt
	@$(LOCK) requirements-dev.in -o requirements-dev.txt

clean:
	@rm -rf $(VENV) threadfly.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.runtime: requirements.txt pyproject.toml | $(VENV)/.python
	@echo "Installing what Threadfly needs ..."
	@$(PIP) install --require-hashes -r requirements.txt
	@$(PIP) install --no-deps --no-index --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	@echo "Installing what tests and checks need ..."
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/.python:
	@python=; for one in $(if $(PYTHON),"$(PYTHON)",python3.11 python3.12 python3.13 python3.14 python3); do \
	  if "$$one" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python="$$one"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Threadfly needs Python 3.11 or later, and found $$("$(if $(PYTHON),$(PYTHON),python3)" --version 2>&1 \
	    | grep '^Python' || echo none); install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
	  echo "Threadfly needs Python's venv module, which $$python lacks (Debian, Ubuntu: apt install python3-venv)" >&2; \
	  exit 1; \
	fi; \
	rm -rf $(VENV) && "$$python" -m venv $(VENV) && touch $@
