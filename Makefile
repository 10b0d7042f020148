# Mintstream. `make` alone lists the targets.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first Python on the PATH that is new enough; set PYTHON to choose another one.
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$each" && break; done)
DATA ?= .data
# Tests at a time: one more than there are processors, because they wait more than they work.
JOBS ?= $(shell expr "$$(getconf _NPROCESSORS_ONLN)" + 1)
TESTS ?= tests
MINUTES ?= 10
BIN := .venv/bin

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: .venv/.local .venv/bin/mintstream ## Start everything, mint 30 NFTs, check each against the chain, stay up (ARGS="--once" ends)
	@$(BIN)/python -m mintstream demo --data "$(DATA)" $(ARGS)

.PHONY: up
up: .venv/.local .venv/bin/mintstream ## Start the embedded stack alone, until Ctrl-C (ARGS="--help" lists the flags)
	@$(BIN)/python -m mintstream up --data "$(DATA)" $(ARGS)

.PHONY: test
test: .venv/.dev .venv/bin/mintstream tests/js/node_modules/.package-lock.json clients/typescript/node_modules/.package-lock.json ## Run every test (TESTS=tests/unit for some)
	@$(BIN)/pytest -n $(JOBS) $(TESTS)

.PHONY: bench-ipfs
bench-ipfs: .venv/.dev ## MB/s and pins/s of the ipfs service against the ideal, with its memory (ARGS="--help")
	@$(BIN)/python -m tests.bench.bench_ipfs $(ARGS)

.PHONY: bench-replay
bench-replay: .venv/.dev ## Events/s of a replay into Postgres against a bare COPY, with its memory (ARGS="--help")
	@$(BIN)/python -m tests.bench.bench_replay $(ARGS)

.PHONY: bench-index
bench-index: .venv/.dev ## Backfill of a tree of a million leaves, and what the API's lists then cost (ARGS="--document docs/queries.md")
	@$(BIN)/python -m tests.bench.bench_index $(ARGS)

.PHONY: bench-faults
bench-faults: .venv/.dev ## 10,000 mints under faults with the minter killed every 5 s: 0 lost, 0 doubled (ARGS="--count 500")
	@$(BIN)/python -m tests.bench.fault_run $(ARGS)

.PHONY: soak
soak: .venv/.dev ## Mixed load under random faults for HOURS, then every witness is asked (HOURS=1, ARGS="--without kill --document")
	@$(BIN)/python -m tests.chaos.soak --minutes $$(( $(or $(HOURS),1) * 60 )) $(ARGS)

.PHONY: bench-mint
bench-mint: .venv/.dev tests/js/node_modules/.package-lock.json ## NFTs/s beside the official client and the bare cluster (ARGS="--help")
	@$(BIN)/python -m tests.bench.bench_mint $(ARGS)

.PHONY: bench-gateway
bench-gateway: .venv/.dev tests/js/node_modules/.package-lock.json ## Accepted mints/s beside a bare app and Express (ARGS="--help")
	@$(BIN)/python -m tests.bench.bench_gateway $(ARGS)

.PHONY: bench-telemetry
bench-telemetry: .venv/.dev ## What spans and metrics cost a handler while nothing is exported (ARGS="--help")
	@$(BIN)/python -m tests.bench.bench_telemetry $(ARGS)

.PHONY: fuzz
fuzz: .venv/.dev ## Feed hostile input to every parser of outside bytes, led by coverage, for MINUTES=10 (ARGS="--help")
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(ARGS)

.PHONY: screenshots
screenshots: .venv/.dev tests/js/node_modules/.package-lock.json ## Make the console's screenshots of docs/images anew (needs Chromium)
	@CONSOLE_SCREENSHOTS=docs/images $(BIN)/pytest -q tests/e2e/test_console.py

.PHONY: bench-load
bench-load: .venv/.dev ## The whole stack under load, and with more workers of each service, in 6 minutes (ARGS="--full")
	@$(BIN)/python -m tests.bench.load $(ARGS)

.PHONY: bench-cost
bench-cost: .venv/.dev ## What an NFT costs, and what a million and a billion would: writes docs/scale.md (ARGS="--help")
	@$(BIN)/python -m tests.bench.cost $(ARGS)

.PHONY: secrets
secrets: .venv/.dev ## Look for keys and passwords in what git tracks, offline
	@git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --no-verify --baseline .secrets.baseline

# --strict: a package that the database could not be asked about would pass for one without a finding.
.PHONY: vulnerabilities
vulnerabilities: .venv/.dev ## Ask the public advisory database about the locked packages (needs the network)
	@for each in runtime local dev; do \
	    $(BIN)/uvx pip-audit --strict --disable-pip --require-hashes -r "requirements/$$each.txt"; done

.PHONY: check
check: lint types walls generated ## Everything CI checks besides the tests

.PHONY: lint
lint: .venv/.dev ## Lint and check the format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/hadolint deploy/images/Dockerfile

.PHONY: types
types: .venv/.dev ## Check the types (pyright, strict)
	@$(BIN)/pyright

.PHONY: walls
walls: .venv/.dev ## Check which room imports which (import-linter)
	@$(BIN)/lint-imports --no-logo

.PHONY: generated
generated: .venv/.dev ## Check that generated files are what their sources say
	@$(BIN)/python -m contracts.generate --check
	@$(BIN)/python -m programs.build --check
	@$(BIN)/python -m deploy.generate --check
	@$(BIN)/python -m deploy.render --check
	@$(BIN)/python -m chassis.metrics_document --check
	@$(BIN)/python -m mintstream.cli_document --check
	@$(BIN)/python -m services.gateway.api.export --check
	@$(BIN)/python -m tests.chaos.report --check

.PHONY: format
format: .venv/.dev ## Format the code and mend what lint can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: contracts
contracts: .venv/.dev ## Write the JSON Schemas and asyncapi.yaml from the message classes
	@$(BIN)/python -m contracts.generate

.PHONY: metrics
metrics: .venv/.dev ## Write docs/metrics.md from the list of metrics
	@$(BIN)/python -m chassis.metrics_document

.PHONY: cli
cli: .venv/.dev ## Write docs/cli.md from the command line itself
	@$(BIN)/python -m mintstream.cli_document

.PHONY: trace
trace: .venv/.dev ## Mint one NFT and draw its trace into docs/observability.md
	@$(BIN)/python -m tests.support.otlp

.PHONY: deployment
deployment: .venv/.dev ## Write the generated manifests and docs/configuration.md, render every overlay (needs kubectl)
	@$(BIN)/python -m deploy.generate
	@$(BIN)/python -m deploy.render

.PHONY: openapi
openapi: .venv/.dev ## Write clients/openapi.json from the gateway's code
	@$(BIN)/python -m services.gateway.api.export

.PHONY: clients
clients: openapi clients/typescript/node_modules/.package-lock.json ## Generate the Python and TypeScript clients
	@$(BIN)/python clients/generate.py

.PHONY: programs
programs: .venv/.dev ## Rebuild the local on-chain programs, or FROM=<rpc-url> fetch the deployed ones
	@$(BIN)/python -m programs.build $(if $(FROM),--from-rpc "$(FROM)") $(ARGS)

.PHONY: lock
lock: .venv/.dev ## Resolve the dependencies anew and write the hashed requirements
	@for each in "runtime" "local --extra local" "dev --extra dev"; do set -- $$each; name=$$1; shift; \
		$(BIN)/uv pip compile --quiet pyproject.toml "$$@" --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-header --no-annotate --output-file "requirements/$$name.txt"; done
	@$(BIN)/uv pip compile --quiet clients/python/generator.in --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate --output-file requirements/clients.txt

.PHONY: hooks
hooks: .venv/.dev ## Install the pre-commit hooks, which run what CI checks
	@$(BIN)/pre-commit install

.PHONY: clean
clean: ## Remove the data directory of the embedded stack: its log, database, chain and keys
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m mintstream clean --data "$(DATA)"; \
	else echo "nothing to remove: no stack was ever started here"; fi

# Only after success is the stamp written: an interrupted installation starts again. Stdout is for what a command prints
# (`make demo ARGS=--json`); a log gets no moving line.
INSTALL = echo "Installing the locked packages of requirements/$(1).txt" >&2; \
	tell() { if [ -t 2 ]; then printf '\r%s\033[K' "$$1" >&2; fi; }; count=0; \
	$(BIN)/pip install --disable-pip-version-check --require-hashes --requirement requirements/$(1).txt \
	| { while read -r word name _; do case "$$word" in \
		Collecting) count=$$((count + 1)); tell "  $$count packages, $$name" ;; \
		Requirement) count=$$((count + 1)); tell "  $$count packages, already there" ;; \
		Installing) tell "  $$count packages, unpacking" ;; esac; done; tell ""; } \
	|| { echo "Not every package could be installed; pip says above why. Is its package index reachable?" >&2; exit 1; }

.venv/.local: requirements/local.txt | .venv/bin/pip
	@$(call INSTALL,local)
	@touch $@

.venv/.dev: requirements/dev.txt | .venv/bin/pip
	@$(call INSTALL,dev)
	@touch .venv/.local $@

.venv/bin/pip:
	@if [ -z "$(PYTHON)" ]; then echo "Mintstream needs Python 3.11 or newer on the PATH, and there is none." \
		"Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@if [ ! -w . ]; then echo "You may not write to $(CURDIR), where .venv and .data are made." >&2; exit 1; fi
	@echo "Making a virtual environment in .venv" >&2
	@"$(PYTHON)" -m venv .venv || { rm -rf .venv; echo "$(PYTHON) cannot make virtual environments." \
		"On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

# The command line from any directory, once .venv/bin/activate has put it on the PATH.
.venv/bin/mintstream: | .venv/bin/pip
	@printf '#!/bin/sh\nPYTHONPATH="%s$${PYTHONPATH:+:$$PYTHONPATH}" exec "%s/.venv/bin/python" -P -m mintstream "$$@"\n' \
		"$$PWD" "$$PWD" > $@
	@chmod +x $@

# The tests that need Node.js say themselves that they are skipped; CI always has it.
tests/js/node_modules/.package-lock.json: tests/js/package-lock.json
	@if command -v npm >/dev/null; then echo "Installing the npm packages that the tests compare with (minutes)"; \
		npm ci --prefix tests/js --no-audit --no-fund && touch $@; \
	else echo "npm is not on the PATH: the tests that need Node.js 20 are skipped" >&2; fi

clients/typescript/node_modules/.package-lock.json: clients/typescript/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix clients/typescript --no-audit --no-fund --loglevel=error && touch $@; \
	else echo "npm is not on the PATH: the TypeScript client is neither generated nor tested" >&2; fi
