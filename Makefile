# Each command makes .venv first when it is missing; PYTHON names another interpreter than python3 (3.11 or later).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: app test setup data audit

app: .venv/installed
	$(BIN)/python app.py

test: .venv/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m pytest

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
