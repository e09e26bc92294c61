# Each command first makes .venv where it is missing. PYTHON names another interpreter than python3 (3.11 or later).
PYTHON ?= python3
SECONDS ?= 900
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
# Each test process uses one core; two run side by side.
PYTEST := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest
TOGETHER := -n 2 --dist loadfile

.PHONY: app setup dev data test test-slow test-all lint bench tables fuzz audit lock

app: .venv/installed
	$(BIN)/python app.py

setup: .venv/installed

dev: .venv/installed-dev

data: .venv/installed
	$(BIN)/python -m data_prep --corpora corpora --output data/emotion

# Style, import rules, and every test that is neither slow nor needs the machine for itself.
test: lint
	$(PYTEST) $(TOGETHER) -m "not slow and not serial"

# The tests that `make test` leaves out: those that take long, then those that need the machine for themselves.
test-slow: .venv/installed-dev
	$(PYTEST) $(TOGETHER) -m "slow and not serial"
	$(PYTEST) -m serial

test-all: test test-slow

lint: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

bench: .venv/installed-dev
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/visitors.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/archive.py
	$(BIN)/python benchmarks/page.py
	$(BIN)/python benchmarks/tables.py

tables: .venv/installed-dev
	$(BIN)/python benchmarks/tables.py --write

fuzz: .venv/installed-dev
	$(PIP) "atheris>=3"
	$(BIN)/python benchmarks/fuzz.py --seconds $(SECONDS)

audit: .venv/installed-dev
	$(BIN)/python benchmarks/audit.py

# Exact versions, from the ranges in pyproject.toml: of everything, then of what a Space installs. Versions that
# still fit stay as they are; delete a line of requirements.lock to let one change.
LOCK := $(BIN)/uv pip compile pyproject.toml --universal --no-annotate --custom-compile-command "make lock"
lock: .venv/installed-dev
	$(LOCK) --all-extras --group dev --output-file requirements.lock
	$(LOCK) --extra app --constraints requirements.lock --output-file requirements.txt

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(PIP) -r requirements.txt
	$(PIP) --no-deps --editable .
	touch $@

.venv/installed-dev: .venv/installed requirements.lock
	$(PIP) -r requirements.lock
	touch $@
