# Two commands on a fresh machine: `make demo` and `make test`. Both make their own .venv first.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin
TOOLS := $(VENV)/tools
# Tests start hundreds of processes, and each would compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE

help: ## Say what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed, $(PYTHON) is not: make install PYTHON=python3.12" >&2; exit 1; }
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

# Two for each core: half of what a test does is to wait for processes, servers and clocks.
JOBS ?= $$((2 * $$(getconf _NPROCESSORS_ONLN)))
test: $(STAMP) browser ## Run the tests on real servers (Valkey, PostgreSQL, SQLite), in under eight minutes on two cores
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

test-all: $(STAMP) browser ## Everything: each install, each combination, big fleets, long chaos, full fuzz, mutations
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m ""
	@$(MAKE) --no-print-directory chaos MINUTES=10 SEED=1..3
	@$(MAKE) --no-print-directory fuzz
	@$(MAKE) --no-print-directory mutate

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

# The part of `make test-all` that the quarter of an hour of CI has room for: every install that an image or the README
# promises, a message's way on each database and transport, and what a crash or a lost Redis does to it.
EXHAUSTIVE := tests/install/test_locks.py tests/install/test_readme.py tests/install/test_plain.py \
	tests/system/test_way.py tests/system/test_broker_intake.py tests/system/test_redis_troubles.py \
	tests/system/test_suspect.py tests/engine/test_suspect.py tests/campaigns/test_intake.py \
	tests/faults/test_two_of_everything.py tests/faults/test_crash_points.py tests/faults/test_model.py
ci: check ## What CI runs: `make check`, and the exhaustive tests that fit
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m exhaustive $(EXHAUSTIVE)

check: $(STAMP) ## Format, lint, types, import contracts, tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry dispatcher migrations
	@$(MAKE) --no-print-directory test

format: $(STAMP) ## Put the code in its form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

MINUTES ?= 2
SEED ?= 1
chaos: $(STAMP) ## The real system while everything fails: make chaos MINUTES=10 SEED=1..5; then the books
	@$(BIN)/python -m tests.faults.chaos --minutes $(MINUTES) --seed $(SEED)

TIMES ?= 5
fuzz: $(STAMP) ## Hostile input for all that reads any: make fuzz TIMES=5; then what was tried and what came of it
	@FUZZ_EXAMPLES=$(TIMES) $(BIN)/python -m tests.fuzz

mutate: $(STAMP) ## Break the code on purpose, and see that the test which proves the promise fails
	@$(BIN)/python -m tests.faults.mutate

$(TOOLS)/.installed:
	@test -d $(TOOLS) || $(PYTHON) -m venv $(TOOLS)
	@echo "installing uv and pip-audit into $(TOOLS) (once) ..."
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.9' 'uv>=0.9'
	@touch $@

# For every Python that the package supports and every machine: what only some need has a marker, and hashes are those of
# all files of a release.
OLDEST_PYTHON := $(shell sed -n 's/^requires-python = ">=\(.*\)"/\1/p' pyproject.toml)
RESOLVE = $(TOOLS)/bin/uv pip compile --quiet --no-config --upgrade --generate-hashes --no-header \
	--annotation-style line --only-binary :all: --universal --python-version $(OLDEST_PYTHON)
BUILT_WITH = 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")'
INSTALLED := pyproject.toml --extra aiohttp --extra metrics --extra web

lock: $(TOOLS)/.installed ## Pin the newest releases that the images may install, with their hashes
	@$(TOOLS)/bin/python -c $(BUILT_WITH) | $(RESOLVE) \
		-o requirements/build.lock - >/dev/null
	@$(RESOLVE) $(INSTALLED) -o requirements/dispatcher.lock >/dev/null
	@# What the sandbox's image has beyond that, agreed with it.
	@$(RESOLVE) pyproject.toml --extra embedded \
		--constraints requirements/dispatcher.lock -o $(TOOLS)/sandbox.lock >/dev/null \
		$$(sed -n 's/^\([a-z0-9-]*\)==.*/--no-emit-package \1/p' requirements/dispatcher.lock)
	@sed '/^$$/,$$d' $(TOOLS)/sandbox.lock >requirements/sandbox.lock
	@grep -c '==' requirements/*.lock

AUDIT_SERVICE ?= pypi
audit: $(TOOLS)/.installed ## Look the pinned releases up among known vulnerabilities
	@$(TOOLS)/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
		--vulnerability-service $(AUDIT_SERVICE) \
		-r requirements/build.lock -r requirements/dispatcher.lock -r requirements/sandbox.lock \
		>$(TOOLS)/audit.txt 2>&1; ended=$$?; cat $(TOOLS)/audit.txt; \
	if [ $$ended -ne 0 ] && ! grep -q '^Found ' $(TOOLS)/audit.txt; then \
		echo "NOT AUDITED: the database of vulnerabilities ($(AUDIT_SERVICE)) did not answer for every release, so this says nothing"; \
		echo "about them. Run it where that can be reached, or try make audit AUDIT_SERVICE=osv"; \
	fi; exit $$ended

clean: ## Remove what was made
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist

.PHONY: help ci install demo browser test test-all bench bench-quick check format chaos fuzz mutate lock audit clean
