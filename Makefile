# Two commands that need nothing but Python 3.11 or newer:
#
#   make demo    simulate a particle, find and refine its atoms, say how good they are
#   make test    run the tests
#
# and one that makes the reference of all public names in site/:
#
#   make docs
#
# Each makes what it needs in .venv. Another interpreter: make demo PYTHON=python3.12

VENV ?= .venv
DEMO := demo
SITE := site
RECENT := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python,\
	$(if $(shell $(name) -c '$(RECENT)' 2>/dev/null && echo yes),$(name))))
# Windows keeps its programs elsewhere.
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)

.PHONY: test-all test-lowest demo test lint check docs clean
.DEFAULT_GOAL := demo

demo: $(VENV)/ready-to-run
	$(BIN)/atomfit simulate --out $(DEMO)/particle --rotate random --overwrite
	$(BIN)/atomfit build $(DEMO)/particle/map.mrc --element Pt --out $(DEMO)/result --overwrite
	$(BIN)/python experiments/score.py $(DEMO)/particle/truth.csv $(DEMO)/result/atoms.csv
	@echo "report: $(DEMO)/result/report.html (atoms: $(DEMO)/result/atoms.csv)"

# Two processes, each file in one of them: most of the time is compilation, which uses one core. What is run only
# once or twice is done sooner if it is not optimised (tests/conftest.py).
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
test: export JAX_DISABLE_MOST_OPTIMIZATIONS := 1
# Modules are read and checked once, not by each process, whatever the environment says.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/ready-to-test
	$(PYTEST) -m "not slow"

# The same with the tests that take longest, and compiled as users have it.
test-all: $(VENV)/ready-to-test
	$(PYTEST)

# The oldest versions that pyproject.toml allows, in an environment of their own; they warn of what newer ones have.
LOWEST := .venv-lowest
test-lowest: export JAX_DISABLE_MOST_OPTIMIZATIONS := 1
test-lowest: $(VENV)/made
	$(BIN)/python -m venv --clear $(LOWEST)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python -m uv pip install --quiet --resolution lowest-direct --python $(LOWEST) --editable '.[test]'
	$(LOWEST)/bin/python -m pytest -n 2 --dist loadfile -W ignore::DeprecationWarning -m "not slow" \
		tests/golden tests/inference tests/columns tests/test_command_line.py

lint: $(VENV)/ready-to-lint
	$(BIN)/ruff check --output-format concise .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Both at once, as most of lint is mypy, which uses one core; installed before, as two pips would meet in .venv.
check: $(VENV)/ready-to-check
	@touch $(VENV)/ready-to-lint $(VENV)/ready-to-test
	@$(MAKE) --no-print-directory -j 2 lint test

# Warnings are errors, and so is what is public and has no docstring, and a link that leads nowhere.
docs: $(VENV)/ready-to-document
	$(BIN)/python -W error docs/reference --out $(SITE)

clean:
	rm -rf $(VENV) $(LOWEST) $(DEMO) $(SITE)

$(VENV)/ready-to-run: WITH :=
$(VENV)/ready-to-test: WITH := [test,browser,docs]
$(VENV)/ready-to-lint: WITH := [lint]
$(VENV)/ready-to-check: WITH := [test,browser,docs,lint]
$(VENV)/ready-to-document: WITH := [docs]
$(VENV)/ready-to-%: pyproject.toml | $(VENV)/made
	$(BIN)/python -m pip install --quiet --editable '.$(WITH)'
	@touch $@

$(VENV)/made:
	@test -n "$(PYTHON)" || { echo "atomfit needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	@$(PYTHON) -c '$(RECENT)' || { echo "$(PYTHON) is older than 3.11; name another: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@
