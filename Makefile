# Two commands do all the set-up: `make up` and `make test`.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
ARGS ?=
DISTRIBUTIONS := $(wildcard libs/*/pyproject.toml services/*/pyproject.toml)
EDITABLE := $(foreach d,$(DISTRIBUTIONS),-e $(dir $(d)))
COMMA := ,
SERVICES := $(notdir $(wildcard services/*))
MODULES := heliograph.stack.__main__$(foreach s,$(SERVICES),$(COMMA) heliograph.$(s).__main__)
LOCKED := $(VENV)/.locked
WARMED := $(VENV)/.warmed
KERNEL := $(wildcard services/consensus/heliograph/consensus/engine/*.py) libs/common/heliograph/common/outcomes.py

.DEFAULT_GOAL := help
.PHONY: help up test check bench chaos lock install format clean

help:  ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(BIN)/uv: requirements-bootstrap.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.txt
	@touch $@

$(LOCKED): $(BIN)/uv requirements.lock $(DISTRIBUTIONS)
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --require-hashes requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation $(EDITABLE)
	@# Bytecode of what runs: made here once, so that every start is quick.
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c "import $(MODULES)"
	@touch $@

$(WARMED): $(LOCKED) $(KERNEL)
	@# The kernel's machine code likewise, anew whenever a file that it is compiled from is.
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m heliograph.consensus --warm
	@touch $@

install: $(LOCKED) $(WARMED)  ## Install everything into .venv, as locked

up: install  ## Start the engines and all services, replay the sample (ARGS="--once --json" for one run)
	@$(BIN)/heliograph up $(ARGS)

test: install  ## Run the tests on the real engines
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: install  ## Lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# One distribution at a time: each has a package `tests` of its own.
	for d in $(dir $(DISTRIBUTIONS)) tests benchmarks; do $(BIN)/mypy $$d || exit 1; done
	MYPYPATH=deploy $(BIN)/mypy deploy

chaos: install  ## Kill services and engines at random; the signal set must not change
	$(BIN)/python -m pytest tests/chaos --timeout 900 $(ARGS)

bench: install  ## Measure the figures of the design, with hardware, date and command
	$(BIN)/python -m benchmarks $(ARGS)

format: install  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(BIN)/uv  ## Resolve the dependencies again and write requirements.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 \
		--group dev requirements-build.in $(DISTRIBUTIONS) --no-emit-package heliograph-common --no-emit-package heliograph-fetcher \
		--no-emit-package heliograph-consensus --no-emit-package heliograph-reasoning --no-emit-package heliograph-tracker \
		--no-emit-package heliograph-archiver --no-emit-package heliograph-gateway --no-emit-package heliograph-lab --no-emit-package heliograph-client \
		-o requirements.lock

clean:  ## Remove what `make` installed and what `heliograph up` stored
	rm -rf $(VENV) .heliograph
