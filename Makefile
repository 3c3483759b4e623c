# The commands of this repository. Each installs what it needs; `make` alone lists them.
SHELL := /bin/bash
UV_VERSION := 0.13.9
UV := .uv/bin/uv
PYTHON := .venv/bin/python
GITOPS := $(PYTHON) -m koepon_gitops
FORMAT := text
.DEFAULT_GOAL := help

help: ## what can be made
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | column -ts "$$(printf '\t')"

validate: setup schemas ## check everything Argo CD would sync: schemas, policies, checks
	$(GITOPS) validate --format $(FORMAT)

test: setup schemas ## the test-suite, in parallel, without network
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/pytest

demo: setup schemas ## promote, refuse, roll back in a sandbox, in under a minute
	$(PYTHON) -m demo

bench: setup schemas ## speed as ratios measured in one run
	$(PYTHON) -m bench

e2e: setup schemas ## a real API server and a real Argo CD on loopback: build them once, then ask them everything
	$(PYTHON) -m tests.e2e.binaries
	.venv/bin/pytest tests/e2e -n 0 -vv

library: .venv/.synced ## install the library alone: all that a rollback needs

setup: library .venv-checkov/.synced ## install the locked environments

schemas: setup tools ## fetch the pinned CRD schemas, once
	@$(GITOPS) schemas fetch

tools: setup ## build the pinned kustomize when go is at hand; else the one in the kubectl wheel serves
	@if command -v go >/dev/null; then $(PYTHON) -m koepon_gitops.programs; fi

$(UV):
	@echo "Installing uv $(UV_VERSION) ..."
	@python3 -m venv .uv && .uv/bin/pip install --quiet uv==$(UV_VERSION) || { \
	  echo "make: uv could not be installed: check that python3 has the venv module and that PyPI answers." >&2; exit 1; }

# Compiled once here, modules need not be compiled by every command, whatever PYTHONDONTWRITEBYTECODE says.
.venv/.synced: $(UV) pyproject.toml uv.lock
	$(UV) sync --frozen --compile-bytecode
	$(PYTHON) -m compileall -q koepon_gitops
	@touch $@

.venv-checkov/.synced: $(UV) pyproject.toml uv.lock
	UV_PROJECT_ENVIRONMENT=.venv-checkov $(UV) sync --frozen --compile-bytecode --only-group checkov
	@touch $@

clean: ## remove the environments; caches outside the work tree stay
	rm -rf .uv .venv .venv-checkov

.PHONY: help library validate test demo bench e2e setup schemas tools clean
