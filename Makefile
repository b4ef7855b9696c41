# What can be done in a checkout. Beforehand it needs make and a python3 of 3.11 or newer, nothing else; on what is not
# Debian the tests need a PostgreSQL, too (scripts/peers.py).

# The python that runs the bootstrap. The environment is made from a python of this machine too; none is downloaded.
PYTHON ?= python3
# More arguments for pytest: make test ARGS="-k history -x"
ARGS ?=
# Which worlds make simulate runs: the first so many, or from..to.
SEEDS ?= 1000
# How long to break things, and in which order: make chaos MINUTES=2 SEED=7
MINUTES ?= 10

FLEETCRON_DATA_DIR ?= .fleetcron
export FLEETCRON_DATA_DIR
# FLEETCRON_HOST, _PORT, _ADMIN_PASSWORD, _ACCESS_KEY, _SECRET_KEY and _PROJECT_ID reach the service as they are.

# One environment for everything. A developer's own activated one is neither used nor changed.
unexport VIRTUAL_ENV
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/.venv
export UV_PYTHON_DOWNLOADS := never
export UV_PYTHON_PREFERENCE := only-system

RUN := .venv/bin/
UV = uv=$$($(PYTHON) scripts/bootstrap.py) && "$$uv"
# What the service needs. Inexact: what the tests have brought in stays, so that run and test do not undo each other.
SYNC_RUN = @$(UV) sync --quiet --frozen --no-default-groups --inexact
SYNC_ALL = @$(UV) sync --quiet --frozen --no-default-groups --group dev --group docs

.DEFAULT_GOAL := help
.PHONY: help run test check simulate bench chaos docs clean

help: ## Say what can be made.
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST))

run: ## Start the service with the demo fleet; Ctrl-C ends it.
	$(SYNC_RUN)
	$(RUN)fleetcron serve --fleet examples/demo-fleet.toml --sign-in-file "$$FLEETCRON_DATA_DIR/sign-in.env"

test: ## Run every test.
	$(SYNC_ALL)
	@$(RUN)python scripts/peers.py
	$(RUN)pytest $(ARGS)

check: ## Lint, types, the import contract, the house rules, the documents.
	$(SYNC_ALL)
	$(RUN)ruff check .
	$(RUN)ruff format --check .
	$(RUN)mypy
	$(RUN)lint-imports
	$(RUN)pytest --quiet tests/test_house.py
	$(RUN)mkdocs build --strict --quiet

# Both start the peers of the tests.
BENCH = PYTHONPATH=tests $(RUN)python -m

simulate: ## Run many simulated worlds on every core: SEEDS=10000, or SEEDS=123..123 to see one again.
	$(SYNC_ALL)
	PYTHONPATH=tests $(RUN)python -m simulation.seeds $(SEEDS)

bench: ## Run the benchmarks and write docs/benchmarks.md.
	$(SYNC_ALL)
	@$(RUN)python scripts/peers.py
	$(BENCH) benchmarks $(ARGS)

chaos: ## Break many machines again and again for MINUTES, and check that nothing was lost or done twice.
	$(SYNC_ALL)
	@$(RUN)python scripts/peers.py
	$(BENCH) benchmarks.chaos $(MINUTES) $(SEED)

docs: ## Show the documents on http://127.0.0.1:8000 while they are written.
	$(SYNC_ALL)
	$(RUN)mkdocs serve

clean: ## Remove what was made, but not the service's data.
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis site dist
	find src tests scripts benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
