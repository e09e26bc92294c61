# Each command makes .venv first when it is missing; PYTHON names another interpreter than python3 (3.11 or later).
PYTHON ?= python3
SECONDS ?= 900
BIN := .venv/bin

.PHONY: app test bench fuzz audit setup data

app: .venv/installed
	$(BIN)/python app.py

test: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m pytest

bench: .venv/installed-bench
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/visitors.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/page.py
	$(BIN)/python benchmarks/table.py

fuzz: .venv/installed-fuzz
	$(BIN)/python benchmarks/fuzz.py --seconds $(SECONDS)

setup: .venv/installed

audit: .venv/installed-dev
	$(BIN)/python benchmarks/audit.py

data: .venv/installed
	$(BIN)/python -m data_prep --corpora corpora --output data/emotion

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/installed-dev: .venv/installed requirements-train.txt requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

.venv/installed-bench: .venv/installed-dev requirements-bench.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	touch $@

.venv/installed-fuzz: .venv/installed-dev requirements-fuzz.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-fuzz.txt
	touch $@
