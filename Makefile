PYTHON ?= python3.11
BIN := .venv/bin
PROCESSES := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: setup demo test test-docs test-nightly lint types bench clean

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch==2.13.0
	# PyTorch for CUDA brings the Triton it needs; PyTorch for the CPU brings none.
	[ "$$(uname -s)" != Linux ] || $(BIN)/python -c "import triton" 2>/dev/null \
		|| $(BIN)/pip install --quiet triton==3.6.0
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test,qm9,judge]'
	touch $@

demo: setup
	$(BIN)/deepchem-ead demo --out demo-output

test: setup
	$(BIN)/python -m pytest $(PROCESSES)

# README, guide and notebooks as a new user runs them: a quarter of an hour.
test-docs: setup
	$(BIN)/pip install --quiet --constraint constraints.txt nbclient ipykernel
	$(BIN)/python -m pytest -m slow --durations=4 tests/integration/test_docs_verbatim.py

# With the newest pre-release of DeepChem, which needs tqdm and transformers without saying so and
# takes another numpy than constraints.txt names.
test-nightly: .venv-nightly/installed
	.venv-nightly/bin/python -m pytest $(PROCESSES)

.venv-nightly/installed: pyproject.toml
	$(PYTHON) -m venv .venv-nightly
	.venv-nightly/bin/pip install --quiet torch==2.13.0
	.venv-nightly/bin/pip install --quiet --pre 'deepchem>2.8.0' tqdm transformers
	.venv-nightly/bin/pip install --quiet --editable '.[test,qm9,judge]'
	touch $@

lint: .venv/checked
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/checked
	$(BIN)/mypy

.venv/checked: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt ruff mypy
	touch $@

bench: setup
	$(BIN)/python -m benchmarks.engine

clean:
	rm -rf .venv .venv-nightly demo-output
