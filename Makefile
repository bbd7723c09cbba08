# Two commands on a fresh machine: `make demo` and `make test`. Both make their own .venv first.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin

help: ## Say what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

install: $(STAMP) ## Make .venv with everything in it

demo: $(STAMP) ## A burst, failures, retries, a gift in doubt, and books that balance, in under a minute
	@$(BIN)/dispatcher demo

browser: ## Install Chromium for the browser tests, where that is possible
	@command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 \
		|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 \
			&& apt-get update -qq >/dev/null 2>&1 && apt-get install -y -qq chromium >/dev/null 2>&1; } \
		|| echo "no Chromium here and it cannot be installed: the browser tests will be skipped"

test: $(STAMP) browser ## Run every test on real servers (Valkey, PostgreSQL, SQLite)
	@$(BIN)/python -m pytest

$(VENV)/.bench: $(STAMP)
	@echo "installing what benchmarks compare with ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@# These ask for an older client of Redis than they need.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps 'arq>=0.25' 'taskiq-redis>=1.1'
	@touch $@

bench: $(VENV)/.bench ## Messages a second beside peers and bare loops, in about fifteen minutes; nothing else should run
	@$(BIN)/python benchmarks/throughput.py --json benchmarks/results/throughput.json \
		--picture docs/pictures/throughput.svg

bench-quick: $(VENV)/.bench ## The same with few rows and one round, in under two minutes
	@$(BIN)/python benchmarks/throughput.py --quick --messages 16000

check: $(STAMP) ## Format, lint, types, import contracts, tests: what CI runs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

format: $(STAMP) ## Put the code in its form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## Remove what was made
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist

.PHONY: help install demo browser test bench bench-quick check format clean
