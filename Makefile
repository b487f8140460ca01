# Every target does its own set-up. PYTHON may name another interpreter (3.11 or newer).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup lint format test docs reference demo demo-kafka bench endurance fuzz faults clean
help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

.venv/.ready: pyproject.toml constraints.txt
	@echo "setting up .venv: a few minutes the first time, for torch is large"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[trainer,serve,tune,docs,dev]'
	@touch $@

setup: .venv/.ready  ## the virtual environment .venv with everything in it

lint: setup  ## ruff, mypy, import-linter, deptry
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .

format: setup  ## lets ruff put the code in form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint  ## lint and every test, those against a real Apache Kafka included
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report= -p tests.support.coverage_floors

docs: setup  ## the documentation as a site in site/; a warning or a dead link is an error
	$(BIN)/python -m sphinx --builder html --fresh-env --fail-on-warning --keep-going --nitpicky --quiet docs site
	@echo "open site/index.html"

reference: setup  ## writes the generated pages of docs/reference anew
	$(BIN)/python -m docs.generate

demo: setup  ## a simulated plant: train, watch, alarms, drift, retraining, report
	$(BIN)/watchkeeper demo

demo-kafka: setup  ## the same over a real Apache Kafka
	$(BIN)/python -m deploy.local -- $(BIN)/watchkeeper demo --bootstrap-servers {bootstrap}

bench: setup  ## throughput and latency against a real Apache Kafka
	$(BIN)/python -m benchmarks.speed

endurance: setup  ## restarts, rolling restarts, hot swaps and a soak of half an hour; an hour and a half in all
	$(BIN)/python -m tests.reliability.endurance stops
	$(BIN)/python -m tests.reliability.endurance state
	$(BIN)/python -m tests.reliability.endurance rolling
	$(BIN)/python -m tests.reliability.endurance swaps
	$(BIN)/python -m tests.reliability.endurance soak --picture soak.png

fuzz: setup  ## a million cases a target with coverage in view, and ten thousand damaged bundles; one to two hours
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[fuzz]'
	$(BIN)/python -m tests.reliability.fuzz
	$(BIN)/python -m tests.reliability.fuzz.bundles

faults: setup  ## the long form of the fault matrix; FAULTS_BUDGET=60 gives it an hour
	$(BIN)/python -m tests.reliability.faults

clean:  ## removes what the targets made
	rm -rf .venv .kafka demo-out fuzz-out site soak.png var/faults .mypy_cache .ruff_cache .pytest_cache
