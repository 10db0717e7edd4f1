# LoRA Bench. No target needs anything done before it: each makes the environment and fetches what it lacks.
# `make help` says what there is.

PYTHON ?= python3
SCALE ?= laptop
RESULTS ?= results
STUDY ?= rank-sweep
FAMILY ?=
JOBS ?=
STORAGE ?=
LAUNCHER ?=
ADDRESS ?=
GPUS ?=
CPUS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKERS ?= auto

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install test test-long test-cluster lint figures claims mlflow-ui dashboard smoke bench gpu-check clean

help: ## Say what there is (this text)
	@echo 'LoRA Bench: which fine-tuning method, with how much rank, and where in the network?'
	@echo
	@echo 'usage: make TARGET [SCALE=smoke|laptop|overnight|full] [FAMILY=images|text|detection] [JOBS=n] [RESULTS=folder] [PYTHON=python3.12]'
	@echo
	@awk -F ' *## ' '/^[a-z%-]+:.*## / { split($$1, t, ":"); gsub("%", "NAME", t[1]); \
		printf "  %-12s %s\n", t[1], $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo 'Studies: $(STUDIES)'
	@echo
	@echo 'SCALE is the size of a study:'
	@echo '  smoke      seconds; a tiny random network, nothing fetched; for tests'
	@echo '  laptop     the default: real data and real pretrained weights, cut to what two CPU cores can bear (bench plan says how long)'
	@echo '  overnight  two CPU cores, some nights: more tasks, seeds and epochs, in fp32, so that any CPU may add to it'
	@echo '  full       one GPU; the figures one would publish'
	@echo
	@echo 'FAMILY runs one part of a study alone; without it all parts run, images first.'
	@echo
	@echo 'JOBS is how many runs go on at once, each in a process of its own; by default one for each core, four at most.'
	@echo 'LAUNCHER=ray runs a study on a Ray cluster: ADDRESS=auto, GPUS=0.25 and CPUS=1 of each run (studies/README.md).'
	@echo 'STORAGE is the URL of a database for the trials; by default a file beside the records.'
	@echo
	@echo 'RESULTS is where the records, tables and figures go; by default results/, where the committed ones are.'
	@echo
	@echo 'A study may be interrupted at any time: the same command goes on where it stopped.'
	@echo 'The first target also makes .venv and installs PyTorch into it: about 5 GB, a few minutes, once.'

# studies/rank_sweep.py is `make study-rank-sweep`.
STUDIES := $(subst _,-,$(basename $(notdir $(shell grep -l '^def study' studies/*.py))))

study-%: $(INSTALLED) ## Run studies/NAME.py at SCALE: records, table, figures, MLflow runs
	$(BIN)/bench run $* --scale $(SCALE) --results $(RESULTS) \
		$(if $(FAMILY),--family $(FAMILY)) $(if $(JOBS),--jobs $(JOBS)) $(if $(STORAGE),--storage $(STORAGE)) \
		$(if $(LAUNCHER),--launcher $(LAUNCHER)) $(if $(ADDRESS),--address $(ADDRESS)) \
		$(if $(GPUS),--gpus-per-run $(GPUS)) $(if $(CPUS),--cpus-per-run $(CPUS))

dashboard: $(INSTALLED) ## Browse the trials of STUDY (rank-sweep) at SCALE in optuna-dashboard
	@$(BIN)/python -c 'import optuna_dashboard' 2>/dev/null || $(BIN)/python -m pip install --quiet '.[dashboard]'
	$(BIN)/bench dashboard $(STUDY) --scale $(SCALE) --results $(RESULTS) $(if $(STORAGE),--storage $(STORAGE))

PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist loadgroup

test: $(INSTALLED) ## Run the tests (those marked gpu, long or cluster are left out)
	$(PYTEST) -m 'not gpu and not long and not cluster'

test-long: $(INSTALLED) ## Run the tests that take long: processes that are killed, servers, real sizes (two minutes)
	$(PYTEST) -m long

test-cluster: $(INSTALLED) ## Test Ray for longer: 200 runs and five kills, heads that die, machines that differ (some minutes)
	$(BIN)/python -m pytest -q tests/execution/test_ray_faults.py tests/execution/test_ray_heads.py -m cluster

lint: $(INSTALLED) ## Check style, formatting and types (ruff, mypy)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

figures: $(INSTALLED) ## Redraw every figure from the records in results/ that has changed
	$(BIN)/bench figures --results $(RESULTS)

claims: $(INSTALLED) ## Hold what others published against the records: confirmed, refuted, no better or inconclusive
	@$(BIN)/bench claims --scale $(SCALE) --results $(RESULTS) --figure $(RESULTS)/claims/$(SCALE)

mlflow-ui: $(INSTALLED) ## Browse all runs in MLflow on 127.0.0.1: results/ is synced first, a link printed for each study
	$(BIN)/bench mlflow ui --results $(RESULTS)

smoke: $(INSTALLED) ## Run the rank sweep at scale smoke, from nothing, into build/results
	rm -rf build/results
	$(BIN)/bench run rank-sweep --scale smoke --results build/results

# Made for a borrowed machine without a network: with this folder's .venv where there is one, else with PYTHON's packages.
gpu-check: ## Measure on a GPU what is only estimated here, in eight minutes, into build/gpu-check (DEVICE=cpu: a rehearsal)
	$(or $(wildcard $(BIN)/python),$(PYTHON)) -m tests.benchmarks.gpu --device $(or $(DEVICE),cuda)

bench: $(INSTALLED) ## Time our code against peft's and the limit, and what search and records cost (WHOLE=1: an hour)
	WHOLE=$(WHOLE) $(BIN)/python -m tests.benchmarks

install: $(INSTALLED) ## Make .venv and install what the rest needs (every target does this itself)

clean: ## Remove .venv, build outputs and tool caches; never results/, nor fetched assets
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find bench studies tests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# The stamp is written last, so that a failed or interrupted installation is done again.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'error: $(PYTHON) is missing or older than 3.11; name a newer one: make PYTHON=python3.12 ...' >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo 'error: $(PYTHON) cannot make virtual environments; on Debian or Ubuntu: apt-get install python3-venv' >&2; exit 2; }
	@rm -f $@
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade --disable-pip-version-check pip
	@echo 'Installing into $(VENV): PyTorch and the rest, about 5 GB and a few minutes, once.'
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[mlflow,dev]'
	@touch $@
