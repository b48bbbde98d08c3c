# Everything runs in a virtual environment of its own; only Python and make are needed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS ?= test
# Tests mostly wait for servers and workers: more processes than cores pay.
JOBS ?= 4
# The directory that the demo takes an inventory of; by default Celery's own source.
DEMO_PATH ?= $(shell $(BIN)/python -c "import celery, pathlib; print(pathlib.Path(celery.__file__).parent)" 2>/dev/null)
DEMO = TESTPROJECT_VAR=$(CURDIR)/var/demo $(BIN)/python manage.py

.PHONY: help demo serve test soak lint docs screenshots bench clean

help:  ## show what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.installed-%: setup.cfg pyproject.toml | $(BIN)/python
	PYTHONWARNINGS="ignore:Editable installation" $(BIN)/python -m pip install --quiet --editable ".[$*]"
	@touch $@

demo: $(VENV)/.installed-demo  ## run a real tree: an inventory of a directory, with an embedded worker on SQLite
	$(DEMO) migrate --verbosity 0
	$(DEMO) run_tasktree inventory --param path=$(or $(DEMO_PATH),$(CURDIR)/django_tasktree) --worker

serve: $(VENV)/.installed-demo  ## the demo's pages and admin (demo, demo) on http://127.0.0.1:8000/, with a worker
	$(DEMO) migrate --verbosity 0
	$(DEMO) shell -v 0 -c "from django.contrib.auth.models import User; User.objects.filter(username='demo').exists() or User.objects.create_superuser('demo', password='demo')"
	@TESTPROJECT_VAR=$(CURDIR)/var/demo $(BIN)/python -m testproject.serve

test: $(VENV)/.installed-$(EXTRAS)  ## run the tests; those whose service is absent are skipped
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

lint: $(VENV)/.installed-lint  ## formatting, style, layers and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --config setup.cfg
	$(BIN)/mypy django_tasktree testproject
	$(BIN)/python manage.py makemigrations --check --dry-run

soak: $(VENV)/.installed-$(EXTRAS)  ## minutes of mixed trees while everything is killed; needs servers' programs
	TASKTREE_REQUIRE_SERVICES=1 $(BIN)/python -m pytest tests/faults/soak.py -q -s --timeout 0 $(ARGS)

docs: $(VENV)/.installed-docs  ## build the documentation into docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

screenshots: $(VENV)/.installed-$(EXTRAS)  ## take the documentation's pictures of all pages; needs Chromium
	$(BIN)/python -m docs.screenshots $(PAGES)

bench: $(VENV)/.installed-test  ## compare with Celery's canvas; needs PostgreSQL and Redis
	$(BIN)/python -m benchmarks $(ARGS)

clean:  ## remove what was built, the virtual environment too
	rm -rf $(VENV) build dist var docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
