# Everything a developer types. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements-dev.lock
FASTMCP_VERSION := 4.1.2
FASTMCP := .bench/fastmcp-$(FASTMCP_VERSION)
# The stamp is named after what was installed: another lock or another project table makes another stamp.
STAMP = $(VENV)/.installed-$(shell cat $(LOCK) pyproject.toml | sha256sum | cut -c1-16)

# The first interpreter that runs and is new enough. Version-manager shims exist without running, so each one is tried.
define FIND_PYTHON
for candidate in $${PYTHON:-} python3 python3.13 python3.12 python3.11; do \
  if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2])' >/dev/null 2>&1; then \
    echo "$$candidate"; exit 0; \
  fi; \
done; \
echo "No usable Python 3.11 or newer was found (tried: $${PYTHON:-} python3 python3.13 python3.12 python3.11)." >&2; \
echo "Install one with its venv module (Debian, Ubuntu: apt-get install python3 python3-venv)," >&2; \
echo "or name one: make setup PYTHON=/path/to/python3.13" >&2; \
exit 1
endef

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{ printf "  \033[36m%-14s\033[0m %s\n", $$1, $$2 }'

.PHONY: setup
setup: ## Create .venv with everything that is needed (does nothing when nothing changed)
	@test -e $(STAMP) || $(MAKE) install

.PHONY: install
install:
	@python=$$($(FIND_PYTHON)); \
	echo "Setting up $(VENV) with $$("$$python" --version)…"; \
	test -x $(BIN)/python || "$$python" -m venv $(VENV); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(LOCK); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	rm -f $(VENV)/.installed-*; touch $(STAMP)

.PHONY: demo
demo: setup ## Start everything, run the example workflows, serve until Ctrl-C (ONCE=1 exits after the table)
	@exec $(BIN)/agentic demo

.PHONY: up
up: setup ## Start everything and serve until Ctrl-C
	@exec $(BIN)/agentic up

# Tests that start no servers: they run beside the others, on the core that those leave free.
PURE := tests/simulation/ tests/stateful/ tests/unit/

.PHONY: test
test: setup ## Run the tests on their own ports and folders
	@said=$$(mktemp); status=0; \
	$(BIN)/python -m pytest $(PURE) >$$said 2>&1 & pure=$$!; \
	$(BIN)/python -m pytest $(filter-out $(PURE),$(wildcard tests/*/)) || status=$$?; \
	wait $$pure || status=$$?; cat $$said; rm -f $$said; exit $$status

.PHONY: simulate
simulate: setup ## Run SEEDS seeds of the simulation of the engine, from FROM on
	@$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),10000) --from $(or $(FROM),0)

.PHONY: check
check: setup ## Formatting, lint, types and the rules of who may import whom
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/contract/test_architecture.py

.PHONY: format
format: setup ## Format the code and apply the safe fixes
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

.PHONY: conformance
conformance: setup ## Run the official MCP conformance suite against the gateway and its client (LEG='gateway*' picks some)
	@$(BIN)/python -m tests.conformance --leg '$(or $(LEG),*)'

.PHONY: bench-engine
bench-engine: setup ## Measure the workflow engine; the last line is JSON
	@$(BIN)/python -m bench.engine

.PHONY: bench-scale
bench-scale: setup ## Measure one, two and four workflow processes; the last line is JSON
	@$(BIN)/python -m bench.scale

.PHONY: bench-lists
bench-lists: setup ## Measure lists of executions at a million of them; the last line is JSON
	@$(BIN)/python -m bench.lists

.PHONY: bench-gateway
bench-gateway: setup $(FASTMCP) ## Measure tool calls through the MCP gateway, directly and through fastmcp; the last line is JSON
	@BENCH_FASTMCP=$(FASTMCP)/bin/python $(BIN)/python -m bench.gateway

# What the gateway is held against lives in an environment of its own: nothing here depends on it.
$(FASTMCP):
	@echo "Setting up $@…"; rm -rf $@.new; $(BIN)/python -m venv $@.new; \
	$@.new/bin/python -m pip install --quiet --disable-pip-version-check fastmcp==$(FASTMCP_VERSION) uvloop; \
	mv $@.new $@

.PHONY: lock
lock: ## Resolve the newest versions that pyproject.toml allows into both locks (needs uv)
	@command -v uv >/dev/null || { echo "uv is not installed: pip install uv" >&2; exit 1; }
	@compile() { uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate --no-emit-index-url --no-emit-find-links "$$@"; }; \
	compile --upgrade pyproject.toml --group build --output-file requirements.lock; \
	compile --constraint requirements.lock pyproject.toml --group build --group dev --output-file requirements-dev.lock

.PHONY: clean
clean: ## Remove the environment, the local data and the caches
	@rm -rf $(VENV) .agentic .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
