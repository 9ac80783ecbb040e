# Needs Python 3.11 or newer and make; the rest installs itself into .venv, by locked versions and hashes.

PYTHON ?= python3
DATA ?= .tallystick
WORKERS ?= 2
TESTS ?=

BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links

.DEFAULT_GOAL := verbs
.PHONY: verbs demo test check fix lock schema bench verify clean

verbs:
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-12s %s\n", $$1, $$2 }'

demo: .venv/base.stamp  ## start everything here, with a demo programme, credentials and curl lines to try
	@exec $(BIN)/tallystick up --demo --data $(DATA)

test: .venv/dev.stamp .venv/strangers.stamp  ## run the tests (TESTS=tests/rewards for some of them)
	$(BIN)/python -m pytest -n $(WORKERS) $(TESTS)

check: .venv/dev.stamp  ## look at format, lint, types, floors and migrations
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/squawk tallystick/db/migrations/*.sql

fix: .venv/dev.stamp  ## format, and repair what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: .venv/dev.stamp  ## choose versions again within the ranges of pyproject.toml; UPGRADE=--upgrade for the newest
	$(LOCK) $(UPGRADE) pyproject.toml -o requirements/base.txt
	$(LOCK) $(UPGRADE) --all-extras pyproject.toml -o requirements/dev.txt
	echo hatchling | $(LOCK) $(UPGRADE) - -o requirements/build.txt
	npm install --prefix tests/webhooks/strangers --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts

schema: .venv/dev.stamp  ## write tallystick/db/schema.sql anew from the migrations
	$(BIN)/python -m tests.house.schema

bench: .venv/dev.stamp  ## measure beside the usual stack
	@exec $(BIN)/tallystick bench

verify: .venv/base.stamp  ## prove that the books of the demo's data add up
	@exec $(BIN)/tallystick verify --data $(DATA)

clean:  ## remove what make and the tools made; data stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -prune -exec rm -rf {} +

# A stamp is newer than what it was made from, so that a second run has nothing to do.
.venv/base.stamp: requirements/base.txt requirements/build.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Tallystick needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." \
			"Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || { echo "Making .venv"; $(PYTHON) -m venv --clear .venv; }
	@echo "Installing what Tallystick needs"
	@$(INSTALL) --require-hashes -r requirements/base.txt
	@$(INSTALL) --require-hashes -r requirements/build.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: .venv/base.stamp requirements/dev.txt
	@echo "Installing what its tests need"
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

# Other people's verifiers, for machines that have Node; its tests are skipped where it is not.
.venv/strangers.stamp: .venv/base.stamp tests/webhooks/strangers/package-lock.json
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
		echo "Installing verifiers from npm" && \
		npm ci --prefix tests/webhooks/strangers --ignore-scripts --no-audit --no-fund --loglevel error; fi
	@touch $@
