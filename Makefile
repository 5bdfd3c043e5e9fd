PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: setup demo test lint bench clean

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt torch==2.13.0
	# PyTorch for CUDA brings the Triton it needs; PyTorch for the CPU brings none.
	[ "$$(uname -s)" != Linux ] || $(BIN)/python -c "import triton" 2>/dev/null \
		|| $(BIN)/pip install --quiet triton==3.6.0
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test,qm9]'
	touch $@

demo: setup
	$(BIN)/deepchem-ead demo --out demo-output

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/pip install --quiet ruff
	$(BIN)/ruff check .

bench: setup
	$(BIN)/python -m benchmarks.engine

clean:
	rm -rf .venv demo-output
