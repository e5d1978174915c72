# One-word verbs. `make demo` and `make test` work on a fresh clone.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
PIP     = $(BIN)/python -m pip --disable-pip-version-check
SOURCES = pyproject.toml constraints.txt
WORKERS ?= auto

.PHONY: demo test test-long lint speed clean

demo: $(VENV)/.installed
	$(BIN)/bench demo

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

test-long: $(VENV)/.developer
	$(BIN)/python -m pytest -m long

lint: $(VENV)/.developer
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

speed: $(VENV)/.developer
	$(BIN)/python -m pytest tests/speed -m speed -s

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(SOURCES) | $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.developer: $(SOURCES) | $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev,tensorboard]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
