# One-word verbs. `make demo` and `make test` work on a fresh clone, with the newest Python that works there, or with
# `make demo PYTHON=…`.
PYTHON ?=
VENV   ?= .venv
BIN     = $(VENV)/bin
PIP     = $(BIN)/python -m pip --disable-pip-version-check
SOURCES = pyproject.toml constraints.txt
WORKERS ?= auto
# What the wheel is tried in by `make dist`.
TRIAL   = build/trial
# What `make detector` makes the shipped detector from: a folder of videos and their list, a CSV.
VIDEOS ?=
LIST   ?=
# Options of `make fuzz` and `make kills`: FUZZ="--seed 7 --files 200", KILLS="--training 4".
FUZZ   ?=
KILLS  ?=

.PHONY: demo test test-long lint tables reproduce speed fuzz kills detector dist clean python

demo: $(VENV)/.installed
	$(BIN)/bench demo

test: lint tables
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

test-long: $(VENV)/.developer
	$(BIN)/python -m pytest -m long

lint: $(VENV)/.developer
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The published tables, and those of README, are what the published records say.
tables: $(VENV)/.developer
	$(BIN)/bench leaderboard --published leaderboards/published --document README.md --check

# The published runs once more, from a clean commit: hours are said first; stopped, it goes on; then what differs.
reproduce: $(VENV)/.installed
	$(BIN)/python scripts/reproduce.py

speed: $(VENV)/.developer
	$(BIN)/python -m pytest tests/speed -m speed -s

# 1,000 mutated files through every command that opens one, 20 minutes at most; what failed is kept in build/fuzz.
fuzz: $(VENV)/.developer
	PYTHONPATH=tests $(BIN)/python -m fuzz.run $(FUZZ)

# Commands that are killed 30 times at random moments and run again: half an hour.
kills: $(VENV)/.developer
	PYTHONPATH=tests $(BIN)/python -m fuzz.kills $(KILLS)

# The detector that ships, from videos that are named: `make detector VIDEOS=folder LIST=list.csv`; killed, it goes on.
detector: $(VENV)/.developer
	@[ -n "$(VIDEOS)" ] && [ -n "$(LIST)" ] || \
	  { echo "Name the videos and their list: make detector VIDEOS=folder LIST=list.csv" >&2; exit 1; }
	$(BIN)/python scripts/make_detector.py "$(VIDEOS)" "$(LIST)"

# The sdist, and the wheel from it; then the wheel as a stranger installs it.
dist: $(VENV)/.developer
	rm -rf dist $(TRIAL)
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/python -m venv $(TRIAL)
	scripts/install_torch.sh $(TRIAL)/bin/python
	$(TRIAL)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt dist/*.whl
	cd $(TRIAL) && bin/bench --version && bin/bench list methods

# Runs always: an environment of another Python than the one asked for is noticed.
python:
	@python=$$(scripts/choose_python.sh $(VENV) "$(PYTHON)") && \
	  { [ "$$python" = $(BIN)/python ] || { echo "$$python -m venv $(VENV)"; "$$python" -m venv $(VENV); }; }

# The models of the pose extractor are part of what is installed: after it nothing needs a network. Where no extractor can
# run, the demo says so, not the install.
$(VENV)/.installed: $(SOURCES) | python
	scripts/install_torch.sh $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt --editable .
	-$(BIN)/bench data models >/dev/null
	touch $@

$(VENV)/.developer: $(SOURCES) | python
	scripts/install_torch.sh $(BIN)/python
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev,tensorboard]'
	-$(BIN)/bench data models >/dev/null
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
