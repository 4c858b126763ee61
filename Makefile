# What a person types. Each target does all of its own set-up, in .venv.
# What is run: tox.ini. What is installed: pyproject.toml, in the versions of constraints.txt.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup start stop status demo demo-s3 demo-serve demo-stop demo-crash run-weather run-dbt run-pipeline fetch-stations \
	fetch-observations load-data fetch-all dbt-parse dbt-compile dbt-run dbt-test test-all dbt-docs dbt-all lint format test \
	bench constraints dist images clean clean-data

VENV := .venv
PYTHON_IN_VENV := $(VENV)/bin/python
INSTALL := $(PYTHON_IN_VENV) -m pip install --quiet --disable-pip-version-check \
	--constraint constraints.txt
SORRY := { echo "falcon-catalog: packages could not be installed; pip says why above. \
	Is the package index reachable, and is there room on the disk?" >&2; exit 1; }

IMAGE ?= falcon-catalog
VERSION = $(or $(TAG),latest)
SAME_VERSION = [ -z "$(TAG)" ] || grep -qx 'version = "$(TAG:v%=%)"' pyproject.toml || { \
	echo "TAG=$(TAG) is not the version in pyproject.toml" >&2; exit 1; }

# Where `make start` and the demo keep things.
STACK_STATE ?= var
STACK := $(PYTHON_IN_VENV) -m jobs.stack
DBT := $(PYTHON_IN_VENV) -m jobs.transform
TOX := $(PYTHON_IN_VENV) -m tox

# $(call with,HOUR STATIONS): flags of those that are set; others that are set are an error.
VARIABLES := DATE HOUR DAYS STATIONS STATES
flag = $(if $($(1)),--$(shell echo $(1) | tr A-Z a-z) $($(1)))
refuse = $(if $($(1)),$(error `make $@` knows no $(1)=; it takes $(or $(2),none)))
others = $(foreach name,$(filter-out $(1),$(VARIABLES)),$(call refuse,$(name),$(1)))
with = $(call others,$(1))$(strip $(foreach name,$(1),$(call flag,$(name))))
# A step's period is an hour or a day.
period = --period $(or $(HOUR),$(DATE),$(shell date --utc --date=yesterday +%F 2>/dev/null || date -u -v-1d +%F))
step = $(call others,DATE HOUR STATIONS STATES)$(strip $(period) \
	$(call flag,STATIONS) $(call flag,STATES))

NOT_RUNNING = if compgen -G '$(STACK_STATE)/demo/run/*.json' >/dev/null || \
	compgen -G '$(STACK_STATE)/demo-s3/run/*.json' >/dev/null; then \
	echo "The demo's catalog may be running: make demo-stop first." >&2; exit 1; fi; \
	if compgen -G '$(STACK_STATE)/run/*.json' >/dev/null; then \
	echo "The catalog or luigid may be running: make stop first." >&2; exit 1; fi

help: ## Say what can be made
	@echo "Usage: make TARGET [VARIABLE=value …]"
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-20s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '%s\n' '' 'Variables, of the targets that name them' \
		'  DATE=2013-07-02     the day, in UTC; yesterday if not given' \
		'  HOUR=2013-07-02T14  the hour, in UTC; the last one if not given' \
		'  DAYS=7              how many days, of which DATE is the last' \
		'  STATIONS=KJFK,KLGA  stations to read; STATES=NY,NJ all of a state' \
		'  LISTEN=HOST:PORT    where the catalog of demo-serve listens' \
		'  YES=1               answers the question of clean-data'

##@ Begin
setup: $(VENV)/.has-demo ## Install the catalog and the pipeline into .venv
demo: $(VENV)/.has-demo ## Fill a lakehouse in var/demo with real weather, and show it
	@$(PYTHON_IN_VENV) -m jobs.demo
demo-s3: $(VENV)/.has-demo-s3 ## The same with the tables on s3://, in an emulator; in var/demo-s3
	@$(PYTHON_IN_VENV) -m jobs.demo --s3
demo-serve: $(VENV)/.has-demo ## Run the demo, and leave its catalog running; LISTEN
	@$(PYTHON_IN_VENV) -m jobs.demo serve $(if $(LISTEN),--listen $(LISTEN))
demo-stop: $(VENV)/.has-demo ## Stop what the demo left running
	@$(PYTHON_IN_VENV) -m jobs.demo stop
demo-crash: $(VENV)/.has-demo ## Run the demo anew with faults and a kill -9, in var/demo-crash
	@rm -rf var/demo-crash
	@$(PYTHON_IN_VENV) -m jobs.demo crash

##@ Serve
start: $(VENV)/.has-demo ## Start the catalog and luigid in the background, and say where
	@$(STACK) start
stop: $(VENV)/.has-demo ## Stop them, in order
	@$(STACK) stop
status: $(VENV)/.has-demo ## Say what runs where, since when and how well
	@$(STACK) status

##@ Run, watched in luigid if it runs
run-weather: $(VENV)/.has-demo ## Fetch and load an hour of weather; HOUR, STATIONS, STATES
	@$(STACK) run WeatherIngestion $(call with,HOUR STATIONS STATES)
run-dbt: $(VENV)/.has-demo ## Load an hour and build the marts; HOUR, STATIONS, STATES
	@$(STACK) run DbtTransformations $(call with,HOUR STATIONS STATES)
run-pipeline: $(VENV)/.has-demo ## Whole days, to marts and report; DATE, DAYS, STATIONS, STATES
	@$(STACK) run WeatherPipeline $(call with,DATE DAYS STATIONS STATES)

##@ The steps of a day or an hour; each DATE or HOUR, STATIONS, STATES
fetch-stations: $(VENV)/.has-demo ## Fetch the stations' descriptions
	@$(STACK) run Stations $(step)
fetch-observations: $(VENV)/.has-demo ## Fetch the observations
	@$(STACK) run Observations $(step)
load-data: $(VENV)/.has-demo ## Load what was fetched into the lake, fetching what is missing
	@$(STACK) run LoadStations $(step)
	@$(STACK) run LoadObservations $(step)
fetch-all: fetch-stations fetch-observations ## Fetch all of it, loading nothing

##@ dbt by hand, on what is loaded
dbt-parse: $(VENV)/.has-demo ## Read the project, without a catalog
	@$(DBT) parse $(call with)
dbt-compile: $(VENV)/.has-demo ## Write the models' SQL
	@$(DBT) compile $(call with)
dbt-run: $(VENV)/.has-demo ## Build the marts
	@$(DBT) run $(call with)
dbt-test: $(VENV)/.has-demo ## Test the marts
	@$(DBT) test $(call with)
dbt-docs: $(VENV)/.has-demo ## Write the marts' documentation, one page to open
	@$(DBT) docs generate --static $(call with)
dbt-all: $(VENV)/.has-demo ## Build and test in dbt's order, then write the documentation
	@$(DBT) build $(call with)
	@$(DBT) docs generate --static

##@ Develop
test: $(VENV)/.has-tox ## Check style, types and import contracts, and run the tests
	@$(TOX) run -e lint,types,floors,docs,py
test-all: $(VENV)/.has-tox ## Run every suite: slow tests, kills, processes, clouds, Apache's kit, engines
	@$(TOX) run -e lint,types,floors,docs,py,slow,scale,durability,processes,boot,clouds,rck,spark,go,rust,trino,seaweedfs,postgres,identity,web,deploy
bench: $(VENV)/.has-tox ## Measure the catalog's speed beside other servers
	@$(TOX) run -e bench -- --json var/bench/report.json
lint: $(VENV)/.has-tox ## Check style, types and import contracts
	@$(TOX) run -e lint,types,floors
format: $(VENV)/.has-tox ## Put the code into its form, and mend what can be mended
	@$(TOX) exec -e lint -- bash -c 'ruff format && ruff check --fix'
# The one way to take newer versions: make constraints, make test, commit both.
constraints: $(VENV)/.has-uv ## Write constraints.txt anew, with the newest versions allowed
	@{ echo "# Every version, direct and transitive, that was tested together."; \
	   echo "# Written by \`make constraints\`; do not edit."; \
	   $(PYTHON_IN_VENV) -m uv pip compile --quiet --universal --python-version 3.11 --upgrade \
	       --no-emit-index-url --no-emit-find-links --no-header \
	       --extra dev --extra jobs --extra jobs-azure --extra demo --extra emulators --extra spark --extra browser pyproject.toml; } > $(VENV)/constraints.new
	@mv $(VENV)/constraints.new constraints.txt

##@ Release; TAG=v1.2.3 must be the version, if it is given
dist: $(VENV)/.has-tox ## Write the packages and a list of what they install to dist
	@$(SAME_VERSION)
	@rm -rf dist
	@$(TOX) run -e dist
images: ## Build the images of catalog and pipeline; PUSH=1 uploads them; IMAGE, TAG
	@$(SAME_VERSION)
	@for target in catalog pipeline; do \
	    docker buildx build --target $$target --tag $(IMAGE)/$$target:$(patsubst v%,%,$(VERSION)) \
	        $(if $(PUSH),--push --sbom=true --provenance=mode=max,--load) .; \
	done

##@ Clean
clean: ## Remove environments, caches and the demo; the lakehouse of make start stays
	@$(NOT_RUNNING)
	rm -rf $(VENV) .tox '$(STACK_STATE)/demo' '$(STACK_STATE)/demo-s3' \
	    '$(STACK_STATE)/demo-crash' build dist *.egg-info
	rm -rf dbt/target dbt/logs dbt/.user.yml
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
clean-data: ## Delete the lakehouse, the raw weather and the demo; asks first
	@$(NOT_RUNNING)
	@cd '$(STACK_STATE)' 2>/dev/null || { echo "Nothing to delete: no $(STACK_STATE)."; exit 0; }; \
	data=$$(find . -mindepth 1 -maxdepth 1 \( -name catalog -o -name luigi -o -name weather \
	    -o -name demo -o -name demo-s3 -o -name demo-crash -o -name run \) | cut -c3- | sort); \
	[ -n "$$data" ] || { echo "Nothing to delete in $(STACK_STATE)."; exit 0; }; \
	echo "In $$PWD:"; du -sh -- $$data; \
	if [ "$(YES)" != 1 ]; then \
	    [ -t 0 ] || { echo "Nobody to ask: make clean-data YES=1 deletes it." >&2; exit 1; }; \
	    read -r -p "Delete all of it? [y/N] " answer; \
	    [[ "$$answer" == [yY]* ]] || { echo "Nothing was deleted."; exit 0; }; \
	fi; \
	rm -rf -- $$data; echo "Deleted."

$(VENV)/.made: .ci/venv
	@.ci/venv $(VENV)
	@touch $@

$(VENV)/.has-demo: $(VENV)/.made pyproject.toml setup.cfg constraints.txt
	@echo "Installing the catalog and the pipeline into $(VENV), which takes a minute or two …"
	@$(INSTALL) pip setuptools || $(SORRY)
	@# setuptools warns of every editable installation that is in a checkout.
	@PYTHONWARNINGS=ignore $(INSTALL) --no-build-isolation --editable '.[jobs,demo]' || $(SORRY)
	@touch $@

$(VENV)/.has-demo-s3: $(VENV)/.has-demo
	@echo "Installing an emulator of Amazon S3 into $(VENV) …"
	@PYTHONWARNINGS=ignore $(INSTALL) --no-build-isolation --editable '.[jobs,demo,s3,emulators]' \
	    || $(SORRY)
	@touch $@

$(VENV)/.has-tox: $(VENV)/.made constraints.txt
	@$(INSTALL) pip tox tox-uv || $(SORRY)
	@touch $@

$(VENV)/.has-uv: $(VENV)/.made constraints.txt
	@$(INSTALL) pip uv || $(SORRY)
	@touch $@
