# The commands of the project: type `make help`. Plain POSIX sh and make 3.81, so that macOS' own make will do.
# PYTHON=python3.12 picks the Python of a new .venv; TORCH=cuda takes the registry's own build of torch into it.
PYTHON ?= python3
TORCH ?= cpu
ARGS ?=

ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
INSTALL := $(BIN)/python -m pip --disable-pip-version-check --no-input install --quiet
PINS := -c binder/constraints.txt

.PHONY: help setup demo lab check test walk chromium figures bench pin clean distclean

help: ## list the targets
	@echo "make TARGET, where TARGET is one of:"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  %-10s %s\n", $$1, $$2 }'

setup: .venv/.core ## make .venv with the pinned, tested versions (TORCH=cuda for a GPU of NVIDIA on Linux)

demo: setup ## train a first model in a real Jupyter kernel, about a minute; leaves a page to look at
	@$(BIN)/nbllm demo

lab: setup ## open the notebooks live in JupyterLab
	@$(BIN)/nbllm lab

check: .venv/.test ## lint, format, types and layers alone
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

test: chromium check ## everything: checks, tests, notebooks and browser tests (ARGS="-k loop" for some)
	@$(BIN)/python -m pytest -n 2 --no-loadscope-reorder $(ARGS)

walk: chromium .venv/.test ## walk a newcomer's hour in a browser, a picture a step, into output/walk (ARGS="FOLDER CHAPTER")
	@$(BIN)/python -m tests.browser.walk $(ARGS)

figures: .venv/.test ## measure what is not measured yet and write the README's tables (ARGS="--again NAME" anew)
	@$(BIN)/python -m tests.figures.run $(ARGS)

bench: .venv/.test ## run and print the benchmarks (ARGS="NAME" for one)
	@$(BIN)/python -m tests.benchmarks.run $(ARGS)

pin: .venv/.core ## resolve the newest versions for Python 3.11 to 3.13 on every system into binder/constraints.txt
	@$(BIN)/python binder/pin.py

clean: ## remove caches and built files; runs and .venv stay
	@rm -rf build dist output .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
	@find nbllm tests binder -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv
	@rm -rf .venv

# The stamps: each says that its part of .venv is newer than what it was made from.
.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "nbllm needs Python 3.11 or newer and $(PYTHON) is not. Type: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { \
	  echo "$(PYTHON) cannot make environments. On Debian and Ubuntu type: apt-get install python3-venv" >&2; exit 1; }
	@$(INSTALL) --upgrade pip
	@touch $@

.venv/.core: .venv/.python pyproject.toml binder/constraints.txt
	@echo "Installing torch ..."
	@$(INSTALL) $(PINS) `$(BIN)/python binder/torch_index.py $(TORCH)` torch
	@echo "Installing nbllm and what it needs ..."
	@$(INSTALL) $(PINS) -e .
	@touch $@

.venv/.test: .venv/.core
	@echo "Installing what the tests need ..."
	@$(INSTALL) $(PINS) -e ".[test]"
	@touch $@

# Chromium for the browser tests, with a font for Chinese: installed where that needs no question, skipped elsewhere.
chromium:
	@for name in chromium chromium-browser google-chrome google-chrome-stable; do \
	  command -v $$name >/dev/null 2>&1 && exit 0; \
	done; \
	if command -v apt-get >/dev/null 2>&1 && [ "`id -u`" = 0 ]; then \
	  echo "Installing Chromium ..."; \
	  apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends chromium fonts-noto-cjk >/dev/null </dev/null \
	    || echo "Chromium could not be installed."; \
	else \
	  echo "No Chromium here: the browser tests will be skipped. Install chromium or google-chrome to run them."; \
	fi
