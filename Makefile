# The two commands of the README, and the parts they are made of.
#
#   make demo                     documents → graph → Cypher, predicted links, search, a picture
#   make demo GRAPH=neo4j://host  the same on a Neo4j server (NEO4J_USERNAME, NEO4J_PASSWORD)
#   make test                     lint, types, doctests, unit, contract, Neo4j and notebook tests
#
# All they need is git, make and a Python with pip; the tests also need Java 17 and Maven.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
GRAPH ?= demo/pioneers.kg
UV := $(or $(shell command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1 && command -v uv),.tools/bin/uv)
# Idle OpenMP threads that spin take the other core away: twice the speed on a busy machine.
export OMP_WAIT_POLICY := PASSIVE
export GOMP_SPINCOUNT := 0

.PHONY: demo test lint types unit neo4j clean

demo: .venv/.ready
	@.venv/bin/sheaf demo "$(GRAPH)"

test: .venv/.ready
	@began=$$SECONDS; \
	for part in lint types unit; do \
	  echo "── make $$part"; part_began=$$SECONDS; \
	  $(MAKE) --no-print-directory $$part; \
	  echo "── $$part passed in $$((SECONDS - part_began)) s"; \
	done; \
	echo "all tests passed in $$((SECONDS - began)) s"

lint: .venv/.ready
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .

types: .venv/.ready
	@.venv/bin/mypy

unit: .venv/.ready
	@if [[ -z "$${SHEAF_TEST_NEO4J_URI:-}" ]] && ! { command -v java && command -v mvn; } >/dev/null; then \
	  echo "make test: the Neo4j tests need Java 17 and Maven on the PATH (or SHEAF_TEST_NEO4J_URI of an empty server)" >&2; \
	  exit 2; \
	fi
	@.venv/bin/pytest

neo4j: .venv/.ready
	@.venv/bin/python -m tests.neo4j_server run

.venv/.ready: pyproject.toml uv.lock .python-version
	@began=$$SECONDS; echo "── making the environment in .venv (once; downloads about 3 GB, most of it torch)"; \
	if [[ "$(UV)" == .tools/bin/uv && ! -x .tools/bin/uv ]]; then \
	  $(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target .tools uv; \
	fi; \
	$(UV) sync --frozen --quiet --compile-bytecode; touch $@; \
	echo "── environment ready in $$((SECONDS - began)) s"

clean:
	rm -rf .venv .tools demo .pytest_cache .mypy_cache .ruff_cache
