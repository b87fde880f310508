# `make check` is the quick loop, `make test` is everything as CI runs it. Both set themselves up.
.DEFAULT_GOAL := check
.PHONY: bench chaos demo docs fuzz check check-decide check-simulation check-sources check-style check-units mutants simulate test lab lab-down lock clean

PYTHON ?= python3
BIN := .venv/bin
TOOLS := tests/lab/require.sh

# --- the environment -------------------------------------------------------------------------

$(BIN)/.ready: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || sh $(TOOLS) ensurepip:python3-venv
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch $@

# --- something to see ------------------------------------------------------------------------

demo: $(BIN)/.ready
	@$(BIN)/registrar demo $(if $(FOR),--for $(FOR))

# --- the quick loop --------------------------------------------------------------------------

# Two parts at a time, the long ones first.
check: $(BIN)/.ready
	@sh $(TOOLS) openssl:openssl
	@$(MAKE) --no-print-directory -j2 -Otarget \
	  check-simulation check-units check-sources check-style check-decide

check-simulation: $(BIN)/.ready
	PYTHONHASHSEED=0 $(BIN)/pytest -q tests/simulation

check-units: $(BIN)/.ready
	$(BIN)/pytest -q tests/unit tests/properties tests/fuzz

check-sources: $(BIN)/.ready
	$(BIN)/pytest -q tests/sources tests/contract

check-style: $(BIN)/.ready
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

check-decide: $(BIN)/.ready
	$(BIN)/coverage run -m pytest -q tests/decide
	$(BIN)/coverage report

# --- the fault matrix in virtual time -------------------------------------------------------------

# SEEDS=100 runs each row so often, and as many mixtures; SEED=7 ROW=row_03 replays one. Hashes are
# fixed, for the order of a set is part of what a seed stands for.
simulate: $(BIN)/.ready
	PYTHONHASHSEED=0 SEEDS=$(SEEDS) SEED=$(SEED) $(BIN)/pytest -q tests/simulation \
	  $(if $(ROW),-k '$(ROW)')

# --- chaos on real processes ---------------------------------------------------------------------

# Faults at random for SECONDS (default 100), drawn from SEED; BUG=guard, lease or cache has registrar
# be broken so, which must be found.
chaos: $(BIN)/.ready
	@$(BIN)/python -m tests.integration.chaos $(if $(SECONDS),--seconds $(SECONDS)) \
	  $(if $(SEED),--seed $(SEED)) $(if $(BUG),--bug $(BUG))

# --- everything ------------------------------------------------------------------------------

# Two labs at a time: a test waits more than it works, and some hold registrar to seconds.
# KUBE=1.34 has the lab be of the oldest Kubernetes that is supported, instead of the newest, which is
# the one that the embedded API server is held against.
test: check
	$(BIN)/python -m tests.lab prepare
	$(BIN)/pytest -n 2 --dist loadscope --no-loadscope-reorder tests/integration \
	  $(if $(KUBE),--ignore tests/integration/test_api_contract.py)

# --- do the tests of the decisions notice what is broken? ---------------------------------------

# Breaks registrar/decide/ in every way that a tool knows; what no test notices is listed at the end.
mutants: $(BIN)/.ready
	$(BIN)/mutmut run
	$(BIN)/mutmut results | grep survived || true

# --- parsers against what nobody meant ------------------------------------------------------------

# Round after round for SECONDS (default 600); what has failed is kept, and comes first next time.
fuzz: $(BIN)/.ready
	@$(BIN)/python -m tests.fuzz $(if $(SECONDS),--seconds $(SECONDS))

# --- measurements ----------------------------------------------------------------------------

# All of it takes some half an hour; `python -m bench.NAME` is one of them.
bench: $(BIN)/.ready
	@$(BIN)/python -m bench

# --- the lab by hand ---------------------------------------------------------------------------

lab: $(BIN)/.ready
	@$(BIN)/python -m tests.lab up

lab-down: $(BIN)/.ready
	@$(BIN)/python -m tests.lab down

# --- pages that are made of code ------------------------------------------------------------

docs: $(BIN)/.ready
	$(BIN)/python -m registrar.metrics > docs/metrics.md

# --- releases --------------------------------------------------------------------------------

# docs/releasing.md says how to make one. BASE=... builds on another base image.
.PHONY: dist image sbom wheels

dist: $(BIN)/.ready
	rm -f dist/registrar-*
	$(BIN)/hatchling build -d dist

sbom: $(BIN)/.ready
	$(BIN)/python -m release.sbom dist/registrar.cdx.json

# For the Python of this machine; `make image` collects those for the base's.
wheels: $(BIN)/.ready
	$(BIN)/python -m release.wheels dist/wheels

image: $(BIN)/.ready
	@$(BIN)/python -m release.image $(BASE)

# --- upkeep ----------------------------------------------------------------------------------

# Hashes only: --no-emit-index-url keeps the address of the package index out of the files.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
       --no-emit-index-url --no-annotate --no-header $(LOCKFLAGS)

lock: $(BIN)/.ready
	$(BIN)/pip install --quiet uv
	$(LOCK) pyproject.toml -o requirements.lock
	$(LOCK) pyproject.toml --group dev -o requirements-dev.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
