# The one list of commands. Bare `make` prints it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-kill test-resume test-learning test-memory test-cgroup2 test-cluster lint type bench bench-large bench-peers docs docs-site clean

help: ## print this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

$(STAMP): pyproject.toml constraints.txt src/seawall/windows/kernels.c
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,lightgbm,lightning,report,docs,dev]'
	touch $(STAMP)

setup: $(STAMP) ## make .venv and install seawall with everything it needs

demo: $(STAMP) ## real market data from CSV to seawall-demo/report.html inside 1 GiB
	$(BIN)/seawall demo --memory 1GiB --output seawall-demo

test: $(STAMP) ## all tests but the slow ones, in two processes (under 15 minutes on two cores)
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-all: $(STAMP) ## all tests, with the long memory and kill tests
	$(BIN)/python -m pytest

test-kill: $(STAMP) ## two hundred kills -9 over all stages, each continued to the same bytes
	$(BIN)/python -m pytest -s tests/pipeline/test_kill.py

test-resume: $(STAMP) ## training killed fifty times alone and fifty times as two ranks, each continued to the same bits
	$(BIN)/python -m pytest -s tests/pipeline/test_kill_training.py

test-learning: $(STAMP) ## planted signals are found out of sample by every model, and in noise nothing is
	$(BIN)/python -m pytest -s tests/train/test_learning.py

test-memory: $(STAMP) ## claims over sizes, models and budgets; flat over ten times the data; exact containers
	$(BIN)/python -m pytest -s tests/e2e/test_memory.py tests/e2e/test_container.py

test-cgroup2: $(STAMP) ## fences and deaths on a real kernel with cgroup version 2: KERNEL=vmlinuz (needs root and qemu-system-x86_64)
	SEAWALL_TEST_KERNEL=$(KERNEL) $(BIN)/python -m pytest -s tests/vm

test-cluster: $(STAMP) ## folds, searches and ranks over two hosts made of network namespaces (needs root)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cluster,remote]'
	test -x .venv-s3/bin/python || $(PYTHON) -m venv .venv-s3
	.venv-s3/bin/python -m pip install --quiet --disable-pip-version-check -r tests/cluster/requirements-s3.txt
	command -v ip > /dev/null || { apt-get update -qq && apt-get install -y -qq iproute2; }
	S3_SERVER=.venv-s3/bin/moto_server REQUIRE_HOSTS=1 $(BIN)/python -m pytest -s tests/cluster

lint: $(STAMP) ## style, format, and which layer may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

type: $(STAMP) ## strict types over src and tests
	$(BIN)/mypy

bench: $(STAMP) ## ours and peers in turn, with memcpy and a Python loop as yardsticks
	$(BIN)/python -m bench

bench-large: $(STAMP) ## a CSV of 20 GB into a store inside a real cgroup of 1 GiB (needs 45 GB of disk)
	$(BIN)/python -m bench ingest --gigabytes 20 --budget 1GiB --repeats 1 --only seawall

bench-peers: $(STAMP) ## ours beside whole peers, installed in .venv-peers and .venv-zipline
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r bench/peers/requirements.txt
	test -x .venv-zipline/bin/python || $(PYTHON) -m venv .venv-zipline
	.venv-zipline/bin/python -m pip install --quiet --disable-pip-version-check -r bench/peers/requirements-zipline.txt
	$(BIN)/python -m bench --peers

docs: $(STAMP) ## run every code block of README and docs
	$(BIN)/python -m pytest tests/docs

docs-site: $(STAMP) ## the documents as a site in site/, every link checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

clean: ## remove what make and the demo have made
	rm -rf $(VENV) seawall-demo runs
