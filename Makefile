# The commands people use. `make help` lists them.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

help: ## list these commands
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

run: .venv/.run ## install what is pinned, then train and publish the digits example
	trainyard run examples/digits/job.yaml

test: .venv/.dev ## run every test (needs Go for the S3 server and Kubernetes, Chromium for the report)
	PYTHONPATH=tests python -m support.tools go chromium chromedriver curl jq openssl
	PYTHONPATH=tests python -m support.s3_server
	PYTHONPATH=tests python -m support.control_plane.binaries
	for tool in helm kube_score kustomize prometheus schemas; do PYTHONPATH=tests python -m support.$$tool; done
	pytest -n $${TEST_WORKERS:-2} --dist worksteal $(ARGS)

e2e: .venv/.dev ## run the product on a kind cluster, made and removed by it (KEEP=1 leaves it; wants docker, as root or in its group)
	export PYTHONPATH=tests:e2e
	python -m support.tools go openssl
	trap '[ -n "$${KEEP:-}" ] || python -m harness down' EXIT
	python -m harness up
	pytest -s $(or $(ARGS),e2e)

lint: .venv/.dev ## format check, lint, types, import directions
	ruff format --check .
	ruff check .
	mypy
	lint-imports

format: .venv/.dev ## format and mend what can be mended
	ruff format .
	ruff check --fix .

bench: .venv/.dev ## run every benchmark; each prints a ratio (half an hour on 2 cores)
	for bench in bench/[a-z]*.py; do echo "== $$bench"; python "$$bench"; done

generate: .venv/.dev ## write the generated files anew: CRDs, the chart's copies and dashboards, the kustomize base, docs/api.md
	python -m trainyard_api.crd
	python -m trainyard_api.reference
	cp crds/trainyard.dev_*.yaml helm/trainyard/files/crds/
	PYTHONPATH=helm python -m dashboards
	PYTHONPATH=tests python -m support.gitops_base

lock: .venv/.dev ## pin the newest dependencies that fit pyproject.toml, with hashes
	pin() { uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet \
	  --no-emit-index-url --no-emit-find-links "$$@"; }
	pin pyproject.toml --extra trainer --extra serve --extra cluster --extra build -o requirements/run.txt
	pin pyproject.toml --extra trainer --extra serve --extra cluster --extra operator --extra build --extra dev -c requirements/run.txt \
	  -o requirements/dev.txt
	# For the images. torch.txt and trainer.txt share no package: each is a layer.
	pin pyproject.toml --extra operator -c requirements/dev.txt -o requirements/operator.txt
	pin - -c requirements/run.txt -o requirements/torch.txt <<< torch
	pin pyproject.toml --extra trainer --extra serve -c requirements/run.txt -o requirements/trainer.txt \
	  $$(sed -nE 's/^([a-z0-9._-]+)==.*/--no-emit-package \1/p' requirements/torch.txt)
	pin - -c requirements/dev.txt -o requirements/image.txt <<< $$'cyclonedx-bom==7.5.0\nhatchling==1.33.0\nuv'
	pin pyproject.toml --extra payload -c requirements/run.txt -o requirements/payload.txt
	grep -A99 '^uv==' requirements/dev.txt | awk 'NR==1 || /^ +--hash/ {print; next} {exit}' > requirements/uv.txt

clean: ## remove the virtual environment and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*

# --- installation: uv, pinned by hash like the rest, installs everything else -----------------------------------
# Bytecode is made with it, once: else every process compiles torch anew where PYTHONDONTWRITEBYTECODE is set.

.venv/.uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
	  echo "Trainyard needs Python 3.11 or newer as '$(PYTHON)'. Install it (sudo apt-get install python3 python3-venv)," \
	    "or name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv || {
	  rm -rf .venv; echo "Python's venv module is missing: sudo apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	touch $@

.venv/.run: .venv/.uv requirements/run.txt pyproject.toml
	export VIRTUAL_ENV=$(CURDIR)/.venv
	uv pip install --quiet --compile-bytecode --require-hashes -r requirements/run.txt
	uv pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv/.dev: .venv/.run requirements/dev.txt
	VIRTUAL_ENV=$(CURDIR)/.venv uv pip install --quiet --compile-bytecode --require-hashes -r requirements/dev.txt
	touch $@

.PHONY: help run test e2e lint format bench generate lock clean
