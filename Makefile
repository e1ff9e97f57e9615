# Everything sets itself up: a virtual environment, pinned packages, the local model, the browser and the database that
# tests drive, what contains trials.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready
BROWSER := .venv/.browser
CONTAINMENT := .venv/.containment
DATABASE := .venv/.database
NODE := .venv/.node
home ?= $(or $(FLYWHEEL_HOME),var/demo)
only ?=
workers ?= 2

export FLYWHEEL_HOME := $(home)
export UV_COMPILE_BYTECODE := 1
export CMAKE_ARGS ?= -DLLAVA_BUILD=OFF
export DAGSTER_DISABLE_TELEMETRY := 1
export DO_NOT_TRACK := 1

.PHONY: help demo test up bench lint format clean pins setup

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(READY) ## four turns on a real catalogue, with a real model and a simulated audience
	$(BIN)/flywheel demo

test: $(READY) $(BROWSER) $(CONTAINMENT) $(DATABASE) $(NODE) ## all tests
	$(BIN)/python -m pytest -n $(workers) --dist loadfile --no-loadscope-reorder

up: $(READY) ## the Dagster UI, its daemon and the MLflow UI on 127.0.0.1; Ctrl-C ends all
	$(BIN)/flywheel up

bench: $(READY) $(CONTAINMENT) ## all benchmarks, or one: make bench only=NAME
	$(BIN)/python -m benchmarks $(if $(only),--only $(only))

lint: $(READY) ## style and types
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: $(READY) ## put the code in order
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

setup: $(READY) ## only the set-up

$(READY): requirements.txt pyproject.toml
	@echo "Setting up .venv (a few minutes the first time: the local model's server is compiled)"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --python $(BIN)/python --quiet -r requirements.txt
	$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps -e .
	$(BIN)/python -c "from orchestration.warehouse.dbt_project import manifest_path; manifest_path()"
	@touch $@

# Any Chromium on the machine will do; where there is none, Debian's is installed.
$(BROWSER): $(READY)
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
		(apt-get update -q && apt-get install -y -q --no-install-recommends chromium) || \
		(echo "Install Chromium: tests drive the Dagster UI with it." && false)
	@touch $@

# Trials of programs are contained by bubblewrap: the one on the machine, else Debian's.
$(CONTAINMENT): $(READY)
	@command -v bwrap >/dev/null || \
		(apt-get update -q && apt-get install -y -q --no-install-recommends bubblewrap) || \
		(echo "Install bubblewrap: trials of programs are contained by it." && false)
	@touch $@

# Tests start a server of their own; of an installed one only the programs are needed.
$(DATABASE): $(READY)
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
		(apt-get update -q && apt-get install -y -q --no-install-recommends postgresql) || \
		echo "No Postgres server here: its tests are skipped."
	@touch $@

# The file that applications in JavaScript serve by is tested with Node.
$(NODE): $(READY)
	@command -v node >/dev/null || \
		(apt-get update -q && apt-get install -y -q --no-install-recommends nodejs) || \
		(echo "Install Node 18 or later: tests serve a release in JavaScript with it." && false)
	@touch $@

pins: ## renew requirements.txt from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --all-extras --python-version 3.11 --no-emit-index-url --no-annotate \
		--no-header -q -o requirements.txt
	sed -i '1i # Pinned for Python 3.11 by `make pins`; names no registry, so the one your machine is set up for is used.' \
		requirements.txt

clean: ## remove what was made here, the home included
	rm -rf .venv var dbt_project/target dbt_project/logs build *.egg-info .pytest_cache .mypy_cache .ruff_cache
