# Cairn. On a fresh machine: `make demo`, `make test`. Each installs what it needs into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CONSTRAINTS := constraints.txt
TORCH := torch==2.13.0
JOBS ?= 2
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test test-core check install docs screenshots bench statistical system clean

help:  ## what can be done here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

# Python, its version and venv, checked before anything else; one line says what is missing.
.PHONY: python
python:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is missing: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Try: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv is missing: apt-get install python3-venv"; exit 1; }

$(BIN)/python: | python
	$(PYTHON) -m venv $(VENV)

# What runs the product and the demonstration; no torch, no compiler.
$(VENV)/.base: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo "installing Cairn into $(VENV): about a minute, once"
	@$(PIP) install --progress-bar off -q -c $(CONSTRAINTS) -e '.[demo]'
	@touch $@

# What the checks need besides.
$(VENV)/.dev: $(VENV)/.base
	@echo "installing what checks need"
	@$(PIP) install --progress-bar off -q -c $(CONSTRAINTS) -e '.[audit,demo,dev,docs]'
	@touch $@

# Every extra but Spark, as the tests need it. The CPU build of torch goes first, so that no other build is taken.
$(VENV)/.all: $(VENV)/.dev
	@echo "installing every extra: torch is large"
	@$(PIP) install --progress-bar off -q -c $(CONSTRAINTS) '$(TORCH)'
	@$(PIP) install --progress-bar off -q -c $(CONSTRAINTS) -e '.[audit,demo,dev,docs,neural,postgresql,postgresql-store]'
	@touch $@

# What the engines' tests need besides; Spark is for who has one, and not part of `install`.
$(VENV)/.engines: $(VENV)/.all
	@echo "installing Spark: 400 MB"
	@$(PIP) install --progress-bar off -q -c $(CONSTRAINTS) -e '.[audit,demo,dev,docs,neural,postgresql,postgresql-store,spark]'
	@touch $@

install: $(VENV)/.all  ## make .venv with every extra but Spark

# Programs of the system that the tests start: engines, databases, an identity provider.
.PHONY: programs
programs:
	@command -v java >/dev/null || { echo "Java 17 or newer is missing: apt-get install openjdk-17-jre-headless"; exit 1; }
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { echo "PostgreSQL is missing: apt-get install postgresql"; exit 1; }
	@command -v node >/dev/null && command -v npm >/dev/null || { echo "Node.js is missing: apt-get install nodejs npm"; exit 1; }
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { echo "Chromium is missing: apt-get install chromium"; exit 1; }

demo: $(VENV)/.base  ## three organisations answer a researcher (ONCE=1 exits afterwards)
	@$(BIN)/python -m deploy.demo $(if $(ONCE),--once)

test: programs $(VENV)/.engines  ## install what is needed and pass every test
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -q $(ARGS)

test-core: $(VENV)/.all  ## the tests that need Python alone: no processes, no ports
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -q -m 'not processes' $(ARGS)

statistical: $(VENV)/.all  ## the heavy statistical runs
	$(BIN)/python -m pytest -q -m statistical $(ARGS)

check: $(VENV)/.dev  ## formatting, lint, types, import arrows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev  ## build the documentation's site into build/docs; a broken link fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build -f mkdocs.yml
	@echo "$(CURDIR)/build/docs/index.html"

screenshots: programs $(VENV)/.all  ## take the tutorials' pictures in docs/screens anew
	CAIRN_PICTURES=1 $(BIN)/python -m pytest -q tests/pages/test_tutorials.py

bench: $(VENV)/.all  ## measure; prints a table and writes bench/results/*.json (QUICK=1 is shorter)
	$(BIN)/python -m bench $(if $(QUICK),--quick) $(ARGS)

clean:  ## remove what was built and installed here
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
