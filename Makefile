# `make` alone lists the targets. PYTHON=/path/to/python chooses the Python that .venv is made with.
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DIST := dist
ARGS :=

# The stamp holds the checkout's path: a copied or moved tree, or a Python since removed, needs a new environment.
USABLE = [ -x $(BIN)/python ] && [ "$$(cat $(STAMP) 2>/dev/null)" = "$$(pwd -P)" ]

.PHONY: help demo test lint check format docs wheel clean unusable

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(STAMP) ## train a network on the simulated chip and print where its report is
	@$(BIN)/python -m training $(ARGS)

test: $(STAMP) ## run the tests on all cores; ARGS="-k transfer -x" goes to pytest
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

lint: $(STAMP) ## check style, format and types
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/python -m pyright --pythonpath $(BIN)/python

check: lint test ## lint and test: run before every commit

format: $(STAMP) ## format the code and sort its imports
	@$(BIN)/python -m ruff check --select I --fix .
	@$(BIN)/python -m ruff format .

docs: $(STAMP) ## build the documentation site in site/ (`.venv/bin/mkdocs serve` shows it)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet --site-dir site

wheel: $(STAMP) ## build the source archive, and the wheel from it, in DIST (dist)
	@$(BIN)/python -m build --no-isolation --outdir "$(DIST)"

clean: ## remove the environment, builds and caches; runs/ is kept
	@rm -rf $(VENV) build dist site *.egg-info .hypothesis .pytest_cache .ruff_cache
	@find . -name .git -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt $(shell $(USABLE) || echo unusable)
	@if ! { $(USABLE); }; then \
	    python=$$(tools/find-python) || exit 1; \
	    echo "Setting up $(VENV) with $$python: a few minutes, once."; \
	    "$$python" -m venv --clear $(VENV) || exit 1; \
	fi; \
	$(BIN)/python -m pip install -qq --disable-pip-version-check \
	    -e '.[experiments,notebooks,docs,dev]' -c constraints.txt && pwd -P > $@
