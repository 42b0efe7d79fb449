# Everything a new user or CI needs: Python 3.11 or later, make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test coverage lint types docs bench fuzz kills clean
.DEFAULT_GOAL := demo

$(VENV)/.installed: setup.cfg pyproject.toml tools/constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'mammo_tf needs Python 3.11 or later: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c tools/constraints.txt -e '.[dev,docs]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/mammo-tf recipe compression --preset demo --run-dir runs/demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

coverage: $(VENV)/.installed
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --cov --cov-report=term

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/python tools/types_report.py

docs: $(VENV)/.installed
	$(BIN)/mkdocs build --strict

bench: $(VENV)/.installed
	$(BIN)/python tools/bench.py

FUZZ ?= --minutes 0.5
fuzz: $(VENV)/.installed
	$(BIN)/python tools/fuzz.py $(FUZZ)

# Commands killed at random moments, ten times each: about an hour.
KILLS ?= --times 10
kills: $(VENV)/.installed
	$(BIN)/python tools/kills.py $(KILLS)

clean:
	rm -rf build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache
