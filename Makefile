# Runwatch: every target is one command; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
LOCAL := $(BIN)/python deployments/local/local.py
STAMP := $(VENV)/.installed
SOURCES := shared server console nodemanager deployments tests
# Most of the tests' time is waiting, so one more than there are processors.
WORKERS ?= $(shell expr $$(nproc) + 1)
PYTEST_ARGS ?=
AGENTS_DIR ?= .agents

.PHONY: help setup run stop demo run-api stop-api watch-api run-nodemanager stop-nodemanager \
	watch-nodemanager dev-up dev-down monitoring-up monitoring-down dashboards check test test-long fmt \
	bench bench-scale bench-stores bench-console bench-node faults faults-selftest test-agents \
	test-security schemathesis lock man reference pictures clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make the environment in .venv (once; again when its pins change)

$(STAMP): pyproject.toml requirements/constraints.txt
	@PYTHON="$(PYTHON)" deployments/ci/system-packages.sh setup
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Runwatch needs Python 3.11 or newer; name one with make PYTHON=...")'
	@test -x $(BIN)/python || { echo "Making $(VENV)"; "$(PYTHON)" -m venv $(VENV); }
	@echo "Installing Runwatch and its tools into $(VENV)"
	@PIP_CONSTRAINT=requirements/constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all,dev]'
	@# Without compiled files the console's first frame takes four times as long.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q -j 0 $(VENV)/lib $(SOURCES) >/dev/null || true
	@touch $(STAMP)

run: $(STAMP) ## Start server and local node in the background and open the console
	@$(LOCAL) run

stop: $(STAMP) ## End the server and the node that run started
	@$(LOCAL) stop

demo: $(STAMP) ## The same in a scratch directory with a small fleet of real runs
	@$(LOCAL) demo

run-api: $(STAMP) ## Start the server alone in the background
	@$(LOCAL) run-api

stop-api: $(STAMP) ## End the server that was started here
	@$(LOCAL) stop-api

watch-api: $(STAMP) ## Run the server in front, again after each change of its source
	@$(LOCAL) watch-api

run-nodemanager: $(STAMP) ## Start the local node alone in the background
	@$(LOCAL) run-nodemanager

stop-nodemanager: $(STAMP) ## End the local node that was started here
	@$(LOCAL) stop-nodemanager

watch-nodemanager: $(STAMP) ## Run the local node in front, again after each change of its source
	@$(LOCAL) watch-nodemanager

dev-up: export POSTGRES_PORT ?= 5432
dev-up: export MONGO_PORT ?= 27017
dev-up: $(STAMP) ## Start PostgreSQL and MongoDB to try the server on (POSTGRES_PORT=n, MONGO_PORT=n)
	@$(LOCAL) dev-up

dev-down: $(STAMP) ## End them and remove their data
	@$(LOCAL) dev-down

monitoring-up: export PROMETHEUS_PORT ?= 9090
monitoring-up: export GRAFANA_PORT ?= 3001
monitoring-up: $(STAMP) ## Start Prometheus and Grafana over what runs here (PROMETHEUS_PORT=n, GRAFANA_PORT=n)
	@$(LOCAL) monitoring-up

monitoring-down: $(STAMP) ## End them and remove what they measured
	@$(LOCAL) monitoring-down

dashboards: $(STAMP) ## Write the dashboards of Grafana anew from deployments/grafana/dashboards.py
	@$(BIN)/python deployments/grafana/dashboards.py

lock: $(STAMP) ## Write requirements/constraints.txt anew from pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip compile --quiet --no-emit-index-url --no-header --python-version 3.11 \
		--extra all --extra dev --output-file requirements/constraints.txt pyproject.toml

man: $(STAMP) ## Write the manual pages of the three programs to dist/man
	@mkdir -p dist/man
	@for program in monitor-server monitor-tui nodemanager; do $(BIN)/$$program man >dist/man/$$program.1; done

reference: $(STAMP) ## Write the reference pages of the documentation from the code
	@$(BIN)/python -m tests.packaging.reference

pictures: $(STAMP) ## Take the pictures of the console's screens anew, for tests and docs/pictures
	@$(BIN)/python -m tests.console.pictures

fmt: $(STAMP) ## Format the code and apply safe lint fixes
	@$(BIN)/ruff check --fix --quiet $(SOURCES) || true
	@$(BIN)/ruff format --quiet $(SOURCES)

check: $(STAMP) ## Format, lint, types, import contracts and tests
	@$(BIN)/ruff format --check --quiet $(SOURCES) || { echo "Not formatted (make fmt):"; $(BIN)/ruff format --check $(SOURCES); }
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/pytest --numprocesses=$(WORKERS) --dist=loadfile --ignore=tests/benchmarks $(PYTEST_ARGS)

test: ## Install everything tests need, then run all checks
	@deployments/ci/system-packages.sh test
	@$(MAKE) setup
	@$(BIN)/python -m tests.mongo
	@$(MAKE) check

test-agents: $(STAMP) ## Run the vendors' own agents through a node, on loopback (by npm, 1 GB)
	@deployments/ci/agents.sh "$(AGENTS_DIR)" $(BIN)/python -q $(PYTEST_ARGS)

bench: $(STAMP) ## Measure against raw baselines of the same run (BENCH=names)
	@$(BIN)/python -m tests.benchmarks $(BENCH)

SECURITY := tests/server/http tests/server/sockets tests/server/test_certificates.py tests/shared \
	tests/console/test_hostile_text.py tests/console/test_auth_screen.py tests/console/test_logins.py \
	tests/console/test_machines.py tests/console/test_tasks_screen.py tests/console/plain \
	tests/console/network tests/nodemanager/logins/test_recogniser.py tests/end_to_end/test_canaries.py \
	tests/end_to_end/test_joining.py tests/end_to_end/test_revoked.py tests/end_to_end/test_overload.py \
	tests/nodemanager/test_redaction.py tests/nodemanager/test_secrets_and_workspaces.py

test-security: export RUNWATCH_MALFORMED ?= 10000
test-security: export RUNWATCH_SLOW_CLIENTS ?= 500
test-security: $(STAMP) ## Attack a server and a console as often as is promised (ten minutes)
	@$(BIN)/pytest --numprocesses=$(WORKERS) --dist=loadfile $(SECURITY) $(PYTEST_ARGS)
	@$(BIN)/python -m tests.server.fuzz $(CALLS)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	@deployments/ci/dependencies.sh $(BIN)/python

schemathesis: $(STAMP) ## Call the API 20,000 times as its OpenAPI document allows and forbids (CALLS=n)
	@$(BIN)/python -m tests.server.fuzz $(CALLS)

bench-scale: $(STAMP) ## Measure the monitor at a million runs against 10,000 (RUNS=n, STORE=postgresql)
	@$(BIN)/python -m tests.benchmarks scale monitor_feed

bench-stores: $(STAMP) ## Measure each store behind the server against its raw driver, and two servers on one
	@$(BIN)/python -m tests.benchmarks stores postgres_parts

bench-console: $(STAMP) ## Measure the console beside DataTable and a bare Textual app
	@$(BIN)/python -m tests.benchmarks console console_scale

faults test-long: export RUNWATCH_NODE_KILLS ?= 200
faults test-long: export RUNWATCH_RUN_KILLS ?= 5
faults test-long: export RUNWATCH_SUPERVISOR_KILLS ?= 20
faults test-long: export RUNWATCH_OUTAGE_S ?= 60
faults test-long: export RUNWATCH_FLIPS ?= 1000
faults test-long: export RUNWATCH_CUT_OFF_ROUNDS ?= 50
faults test-long: export RUNWATCH_TEST_KILLS ?= 200
faults test-long: export RUNWATCH_TEST_LOGIN_KILLS ?= 6
faults test-long: export RUNWATCH_TEST_LOGIN_LIVES ?= 500
faults test-long: export RUNWATCH_DATABASE_STOPS ?= 20
faults test-long: export RUNWATCH_TERMINATED ?= 200
faults test-long: export RUNWATCH_SILENT_ROUNDS ?= 100
faults test-long: export RUNWATCH_CUT_READERS ?= 50
faults test-long: export RUNWATCH_CUTS ?= 1000
faults test-long: export RUNWATCH_SCHEDULES ?= 500
faults test-long: export RUNWATCH_DISK_FILLS ?= 20
faults test-long: export RUNWATCH_CLOCK_JUMPS ?= 20
faults test-long: export RUNWATCH_POWER_CUTS ?= 200
faults: $(STAMP) ## Kill, cut off and damage nodes, servers and stores as often as is promised (an hour)
	@$(BIN)/pytest tests/faults tests/storage/test_power_cut.py -p no:cacheprovider $(PYTEST_ARGS)

test-long: export RUNWATCH_SCALE_RUNS ?= 25000
test-long: export RUNWATCH_MALFORMED ?= 10000
test-long: export RUNWATCH_SLOW_CLIENTS ?= 500
test-long: export RUNWATCH_SESSION_KILLS ?= 20
test-long: export RUNWATCH_TEST_LAYERS ?= 2000
test-long: export RUNWATCH_ALL_RECORDINGS ?= 1
test-long: export RUNWATCH_TEST_INSTANCES ?= all
test-long: export RUNWATCH_TEST_INSTANCE_STEPS ?= 200
test-long: ## All checks as in make test, each test as often as is promised (two hours)
	@$(MAKE) test

faults-selftest: $(STAMP) ## Show that the checker of the fault tests finds every bug that is seeded
	@$(BIN)/pytest tests/faults/test_history.py tests/faults/test_writers_race.py -p no:cacheprovider $(PYTEST_ARGS)

bench-node: $(STAMP) ## Measure a node: lines to the server, fifty runs at once, how soon a cancel is done
	@$(BIN)/python -m tests.benchmarks node sessions

clean: ## Remove the environment and caches (never data)
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist build
	@find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
