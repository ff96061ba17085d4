.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s '	'

setup: .venv/.ready node_modules/.ready ## prepare everything in .venv and node_modules

.venv/.ready: requirements.lock pyproject.toml
	@echo "setting up .venv (a minute the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make setup PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check "$$(grep -o '^uv==[0-9.]*' requirements.lock)"
	@# uv is many times faster; pip knows a company's own index and certificates.
	@VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip sync --quiet --require-hashes requirements.lock \
		|| $(BIN)/pip install --require-hashes --prefer-binary -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

node_modules/.ready: package-lock.json
	@echo "fetching the local chains (anvil) and the Solidity compiler"
	@npm install --silent --no-save --no-audit --no-fund --ignore-scripts
	@touch $@

demo: setup ## run the whole bridge on local chains, with orders and the UI
	@$(BIN)/mmbot demo

test: setup ## run the whole suite
	@$(BIN)/pytest

chaos: setup ## kill and break everything under load, and check that nothing is wrong after
	@$(BIN)/python -m mmbot_pipelines.devnet.chaos

bench: setup ## measure ticks and the scrape at 1 k, 100 k and 1 M stored orders (minutes, 4 GB)
	@$(BIN)/python -m tests.bench

check: setup ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup ## write the code in one style
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## write requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --generate-hashes \
		--no-emit-index-url --no-header --quiet --upgrade --output-file requirements.lock

clean: ## remove what the demo left behind
	@rm -rf .mmbot

.PHONY: help setup demo test chaos bench check format lock clean
