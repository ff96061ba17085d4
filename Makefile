.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s '	'

setup: .venv/.ready node_modules/.ready ## prepare everything in .venv and node_modules

server: .venv/.server ## prepare .venv for a server: no development tools, no local chains

# Compiled here once: where a process may not write bytecode (PYTHONDONTWRITEBYTECODE, a read-only
# folder), every run would compile all it imports again, for seconds.
# Nothing is installed whose hash the lock does not name, uv itself included. uv is many times
# faster than pip; pip knows a company's own index and certificates.
define install
	@echo "setting up .venv (a minute the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make $(1) PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@rm -f .venv/.ready .venv/.server
	@awk '/^[^ ]/ { ours = /^uv==/ } ours' $< > .venv/uv.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r .venv/uv.lock
	@VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip sync --quiet --require-hashes $< \
		|| $(BIN)/pip install --require-hashes --prefer-binary -r $<
	@rm -rf build
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(2)
	@$(BIN)/python -m compileall -q -j 0 mmbot_pipelines
	@$(BIN)/python -m compileall -qq -j 0 .venv/lib || true  # packages ship files of other Pythons
	@touch $@
endef

.venv/.ready: requirements.lock pyproject.toml mmbot_pipelines/devnet/pyproject.toml
	$(call install,setup,-e . -e mmbot_pipelines/devnet)

# The server gets a copy of the sources, so whatever changes in them is installed again.
SOURCES = $(shell find mmbot_pipelines -not -path '*/devnet*' -not -name __pycache__ -not -name '*.pyc')
.venv/.server: requirements-server.lock pyproject.toml $(SOURCES)
	$(call install,server,--reinstall-package mmbot .)

node_modules/.ready: package-lock.json
	@echo "fetching the local chains (anvil) and the Solidity compiler"
	@npm install --silent --no-save --no-audit --no-fund --ignore-scripts
	@touch $@

demo: setup ## run the whole bridge on local chains, with orders and the UI
	@$(BIN)/mmbot demo

# Half of the suite waits: five processes use two cores, two of them for the whole product at first.
# tests/conftest.py has the groups, and puts the longest first.
GROUPS := --dist loadscope --no-loadscope-reorder
test: setup ## run the whole suite
	@PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 5 $(GROUPS)  # or each process compiles all tests

FAST := $(addprefix tests/,core bridge trading settings ports cli adapters test_docs.py test_wiring.py)
test-fast: setup ## run what starts no chain and no Dagster: pure tests, and the bridge on Postgres
	@$(BIN)/pytest -n 3 $(GROUPS) --hypothesis-profile=fast -m "not server" $(FAST)

soak: setup ## walk the bridge's states at random, ten minutes long, on Postgres
	@$(BIN)/pytest --hypothesis-profile=long tests/bridge/test_state_machine.py

chaos: setup ## kill and break everything under load, and check that nothing is wrong after
	@$(BIN)/python -m tests.chaos

bench: setup ## measure all floors, beside a serial bot: 2 hours (RESUME=1 goes on; BENCH_QUICK=1: 2 minutes)
	@$(BIN)/python -m tests.bench $(if $(RESUME),--resume)

bench-commands: setup ## measure the commands that a person waits for, beside SQLAlchemy alone
	@$(BIN)/python -m tests.bench.commands

bench-detection: setup ## measure how soon orders are found at one a second, with WebSocket and without
	@$(BIN)/python -m tests.bench.detection

bench-idle: setup ## measure CPU and RPC calls while nothing happens
	@$(BIN)/python -m tests.bench.idle

bench-growth: setup ## measure ticks and the scrape at 1 k, 100 k and 1 M stored orders (minutes, 4 GB)
	@$(BIN)/python -m tests.bench.growth

bench-outage: setup ## measure how soon the product goes on after an outage, and how soon it halts
	@$(BIN)/python -m tests.bench.outage

bench-slices: setup ## measure what a run of many orders takes: time, requests, statements, the lane
	@$(BIN)/python -m tests.bench.slices

bench-gas: setup ## measure the L1 gas of an order, claimed alone and with others
	@$(BIN)/python -m tests.bench.gas --json .mmbot/bench/gas.json

bench-imports: setup ## measure what the code location and a worker import, beside Dagster alone
	@$(BIN)/python -m tests.bench.imports

bench-profile: setup ## show where the CPU of a single order goes (py-spy)
	@$(BIN)/python -m tests.bench.profile

bench-runs: setup ## measure how soon a run's own work begins, on warm workers and without
	@$(BIN)/python -m tests.bench.runs

mutate: setup ## change core/ and the applications at random places, and count what tests without a chain notice
	@$(BIN)/python -m tests.mutation

settings: setup ## write docs/settings.md from the settings' classes and .env.example
	@$(BIN)/python -m tests.settings.reference

# A site of the same files, where they link to each other as they do here.
docs: .venv-docs/.ready settings ## build the documents as a site in .mmbot/site
	@rm -rf .mmbot/docs && mkdir -p .mmbot/docs/docs .mmbot/docs/deploy
	@sed -E 's/\[([^]]+)\]\(mmbot_pipelines[^)]*\)/`\1`/g' README.md > .mmbot/docs/index.md
	@cp CHANGELOG.md .mmbot/docs
	@cp -r docs/*.md docs/site.css docs/pictures .mmbot/docs/docs
	@cp deploy/runbook.md .mmbot/docs/deploy
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --strict
	@echo "open .mmbot/site/index.html"

pictures: setup ## take the pictures of docs/desk.md again, of the running product in a browser
	@MMBOT_PICTURES=docs/pictures $(BIN)/pytest -q tests/e2e/test_desk.py

.venv-docs/.ready: requirements-docs.lock
	@echo "setting up .venv-docs"
	@$(PYTHON) -m venv .venv-docs
	@.venv-docs/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

snapshot: setup ## write again which definitions Dagster is given (tests/defs/definitions.json)
	@$(BIN)/python -m tests.defs.snapshot

check: setup ## format, lint, types, import contracts, words
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.check_words

format: setup ## write the code in one style
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

COMPILE := $(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url \
	--no-header --quiet

lock: ## write all locks again from pyproject.toml: requirements.lock, the server's within it, the docs'
	@$(COMPILE) pyproject.toml --upgrade --group dev --output-file requirements.lock
	@$(COMPILE) pyproject.toml --upgrade --group build --constraint requirements.lock --no-annotate --output-file requirements-server.lock
	@$(COMPILE) --upgrade --group docs --output-file requirements-docs.lock

clean: ## remove what the demo left behind
	@rm -rf .mmbot

.PHONY: help setup server demo test test-fast soak chaos bench bench-commands bench-detection bench-gas bench-idle bench-imports bench-growth bench-outage bench-profile bench-runs bench-slices mutate settings docs pictures snapshot check format lock clean
