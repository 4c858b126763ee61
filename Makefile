# What a person types. Each target does all of its own set-up, in .venv.
# What is run: tox.ini. What is installed: pyproject.toml, in the versions of constraints.txt.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test constraints clean

VENV := .venv
PYTHON_IN_VENV := $(VENV)/bin/python
INSTALL := $(PYTHON_IN_VENV) -m pip install --quiet --disable-pip-version-check \
	--constraint constraints.txt
SORRY := { echo "falcon-catalog: packages could not be installed; pip says why above. \
	Is the package index reachable, and is there room on the disk?" >&2; exit 1; }

help: ## Say what can be made
	@echo "Usage: make TARGET"
	@sed -nE 's/^([a-z]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/.has-demo ## Fill a lakehouse in var/demo with real weather, and show it
	@$(PYTHON_IN_VENV) -m jobs.demo

test: $(VENV)/.has-tox ## Check style, types, import contracts, and run every test
	@$(PYTHON_IN_VENV) -m tox run -e lint,types,floors,docs,py

# The one way to take newer versions: make constraints, make test, commit both.
constraints: $(VENV)/.has-uv ## Write constraints.txt anew, with the newest versions allowed
	@{ echo "# Every version, direct and transitive, that was tested together."; \
	   echo "# Written by \`make constraints\`; do not edit."; \
	   $(PYTHON_IN_VENV) -m uv pip compile --quiet --universal --python-version 3.11 --upgrade \
	       --no-emit-index-url --no-emit-find-links --no-header \
	       --extra dev --extra jobs --extra demo pyproject.toml; } > $(VENV)/constraints.new
	@mv $(VENV)/constraints.new constraints.txt

clean: ## Remove all that was made: environments, caches, and var/ with the demo's lakehouse
	rm -rf $(VENV) .tox var build dist *.egg-info dbt/target dbt/logs dbt/.user.yml
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made: .ci/venv
	@.ci/venv $(VENV)
	@touch $@

$(VENV)/.has-demo: $(VENV)/.made pyproject.toml setup.cfg constraints.txt
	@echo "Installing the catalog and the pipeline into $(VENV), which takes a minute or two …"
	@$(INSTALL) pip setuptools || $(SORRY)
	@$(INSTALL) --no-build-isolation --editable '.[jobs,demo]' || $(SORRY)
	@touch $@

$(VENV)/.has-tox: $(VENV)/.made constraints.txt
	@$(INSTALL) pip tox || $(SORRY)
	@touch $@

$(VENV)/.has-uv: $(VENV)/.made constraints.txt
	@$(INSTALL) pip uv || $(SORRY)
	@touch $@
