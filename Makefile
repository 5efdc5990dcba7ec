# make demo, make test, make lint, make bench: everything else is made on the way.
# Needs Python 3.11 or newer, make and, for the browser of the tests, Debian's apt.

PYTHON ?= python3
PORT ?= 8000
SANDBOX_PORT ?= 9966
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: demo test first second third alone coverage mutants lint bench soak fuzz clean

demo: $(VENV)/demo
	PORT=$(PORT) SANDBOX_PORT=$(SANDBOX_PORT) exec $(RUN) -m examples.newspaper

# PYTEST='tests/core -k gate' for some of the tests; all of them run in three parts: they wait a lot.
test: $(VENV)/test programs
	$(if $(PYTEST),$(RUN) -m pytest $(PYTEST),$(MAKE) --no-print-directory --jobs=3 first second third)
	$(if $(PYTEST),,$(MAKE) --no-print-directory alone coverage)

FIRST := $(addprefix tests/,core proxy reader_side sandbox)
SECOND := $(addprefix tests/,attacks clients commands fuzz shared_cache site)
# These measure what a fault changes: nothing runs beside them.
ALONE := tests/faults
first:
	$(RUN) -m pytest $(FIRST)
second:
	$(RUN) -m pytest $(SECOND)
third:
	$(RUN) -m pytest $(addprefix --ignore=,$(FIRST) $(SECOND) $(ALONE))
alone:
	$(RUN) -m pytest $(ALONE)

# Every branch of the modules that decide whether content is delivered, by tests that draw no examples: a run is like
# the next.
DECIDING := path gate rules session visit forms flow offer evidence merchant http polling proof own_refund currencies flights cache breaker flow_faults addresses report
coverage: $(VENV)/test
	$(RUN) -m coverage run -m pytest -q -p no:cacheprovider -m "not hypothesis" $(DECIDING:%=tests/core/test_%.py)
	$(RUN) -m coverage report

# Two thousand small changes to these modules, and how many of them the same tests notice: a quarter of an hour.
# MUTANTS='taler_paywall.gate*' for some of them.
mutants: $(VENV)/test $(VENV)/mutants
	nice $(RUN) tests/mutants.py $(MUTANTS)

lint: $(VENV)/lint $(VENV)/test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# One table, in 20 minutes; ROWS=a,c for some groups of it (python -m benchmarks --help names them).
bench: $(VENV)/test $(VENV)/bench wrk
	$(RUN) -m benchmarks $(ROWS)

# Half an hour of all kinds of readers, four workers, and a fault every minute; MINUTES=2 for less.
MINUTES ?= 30
soak: $(VENV)/test programs
	PYTHONPATH=tests $(RUN) -m faults --minutes $(MINUTES)

# A million paths, 100,000 cookies and 100,000 answers; FUZZ='--seed=2 --paths=1000' for others.
fuzz: $(VENV)/test
	PYTHONPATH=tests $(RUN) -m fuzz $(FUZZ)

clean:
	rm -rf $(VENV) .demo build dist *.egg-info

# One environment; each stamp adds the extra that its command needs.
$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "python cannot make an environment; on Debian: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/demo: pyproject.toml | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

# Two of the stamps would run pip in one environment.
$(VENV)/lint $(VENV)/mutants $(VENV)/bench: $(VENV)/test
$(VENV)/test $(VENV)/lint $(VENV)/mutants $(VENV)/bench: $(VENV)/%: pyproject.toml | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@

# The browser of the tests, the client of the scripts in the guides and the reverse proxy are the system's, as is what
# drives the servers of the benchmark; where they cannot be had the tests say so and fail, and the benchmark leaves that
# group out. Each is a command, with its package where that has another name.
programs: NEEDED := chromium curl nginx:nginx-light redis-server
wrk: NEEDED := wrk
.PHONY: programs wrk
programs wrk:
	@missing=; PATH="$$PATH:/usr/sbin"; for program in $(NEEDED); do \
	  command -v $${program%:*} >/dev/null || missing="$$missing $${program#*:}"; done; \
	[ -z "$$missing" ] || { \
	  sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends $$missing; } \
	|| echo "cannot be installed:$$missing: what needs them will fail, or is left out" >&2
