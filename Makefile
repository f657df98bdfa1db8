# The verbs. `make run` and `make test` do all their own set-up.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PROOFS ?= tests/proof tests/crash tests/shm

.PHONY: setup run test proof crash soak soak-rate fuzz lockstep check bench clean

setup: $(READY)

KERNEL_SOURCES := $(wildcard shm/*.pyx shm/*.pxd shm/*.h ingest/*.pyx ingest/*.pxd ingest/*.h engine/*.pyx engine/*.pxi engine/*.pxd engine/*.h executor/*.pyx executor/*.pxd executor/*.h)

$(READY): pyproject.toml requirements/dev.txt $(KERNEL_SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "polytrio needs Python 3.11, 3.12 or 3.13; set PYTHON=python3.x"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing requirements (hashes checked)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/dev.txt
	@echo "building the kernels"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -c 'from shm import backend; print(backend.notice())'
	@touch $(READY)

run: setup
	$(BIN)/polytrio run $(ARGS)

test: setup
	$(BIN)/python -m pytest $(ARGS)

proof: setup
	$(BIN)/python -m pytest -m "proof or contract" $(PROOFS) $(ARGS)

crash: setup
	$(BIN)/python -m tests.crash --cycles 2000 $(ARGS)

soak: setup
	POLYTRIO_SOAK=long $(BIN)/python -m pytest --timeout 0 -m "proof or contract" tests/proof tests/crash tests/shm $(ARGS)

soak-rate: setup
	$(BIN)/polytrio bench soak --profile twice --minutes 10 $(ARGS)

fuzz: setup
	$(BIN)/python -m pytest --timeout 0 -m fuzz tests/fuzz $(ARGS)

lockstep: setup
	$(BIN)/python -m tests.fuzz.lockstep $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m tests.bench $(ARGS)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f */*.so shm/native.c ingest/native.c ingest/listener.c ingest/scanner.c engine/kernel.c executor/native.c executor/pen.c
	find . -name __pycache__ -prune -exec rm -rf {} +
