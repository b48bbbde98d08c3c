# Everything runs in a virtual environment of its own; only Python and make are needed, and Node.js where scripts and
# style sheets are checked.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS ?= test
# Tests mostly wait for servers and workers: more processes than cores pay.
JOBS ?= 4
# The directory that the demo takes an inventory of; by default Celery's own source.
DEMO_PATH ?= $(shell $(BIN)/python -c "import celery, pathlib; print(pathlib.Path(celery.__file__).parent)" 2>/dev/null)
DEMO = TESTPROJECT_VAR=$(CURDIR)/var/demo $(BIN)/python manage.py

.PHONY: help demo demo-orders serve quick test coverage mutants soak lint lint-static style layers types mypy basedpyright check-migrations format docs screenshots bench bench-smoke dist clean

help:  ## show what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.installed-%: setup.cfg pyproject.toml | $(BIN)/python
	PYTHONWARNINGS="ignore:Editable installation" $(BIN)/python -m pip install --quiet --editable ".[$*]"
	@touch $@

demo: $(VENV)/.installed-demo  ## run a real tree: an inventory of a directory, with an embedded worker on SQLite
	$(DEMO) migrate --verbosity 0
	$(DEMO) run_tasktree inventory --param path=$(or $(DEMO_PATH),$(CURDIR)/django_tasktree) --worker

demo-orders: $(VENV)/.installed-demo  ## import orders from CSV files: maps, tolerated failures, an approval, a report
	$(DEMO) migrate --verbosity 0
	TESTPROJECT_VAR=$(CURDIR)/var/demo $(BIN)/python -m testproject.orders.demo

serve: $(VENV)/.installed-demo  ## the demo's pages and admin (demo, demo) on http://127.0.0.1:8000/, with a worker
	$(DEMO) migrate --verbosity 0
	$(DEMO) shell -v 0 -c "from django.contrib.auth.models import User; User.objects.filter(username='demo').exists() or User.objects.create_superuser('demo', password='demo')"
	@TESTPROJECT_VAR=$(CURDIR)/var/demo $(BIN)/python -m testproject.serve

# On SQLite alone: the other databases are not even made. What CI runs must not depend on how long this takes.
quick: $(VENV)/.installed-$(EXTRAS)  ## the tests to run while you work: unit tests, and the fastest with SQLite; seconds
	TEST_WITHOUT=postgresql,mariadb $(BIN)/python -m pytest -q -n 2 -m "not worker and not exhaustive and not long" \
		$$($(BIN)/python -m tests.tiers) $(ARGS)

test: $(VENV)/.installed-$(EXTRAS)  ## run the tests; those whose service is absent are skipped
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

# Workers and other processes that the tests start write files of their own, which are combined.
coverage: $(VENV)/.installed-$(EXTRAS)  ## run the tests and measure which branches they reach; fails below the limit in setup.cfg
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -n $(JOBS) --dist worksteal $(ARGS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

# MODULE=release, or a pattern: MODULE='control.*'. One at a time: all would use one database file.
mutants: $(VENV)/.installed-mutants  ## change the engine in small ways, and see which changes no test notices
	TEST_WITHOUT=postgresql,mariadb $(BIN)/python -m mutmut run --max-children 1 $(if $(MODULE),"django_tasktree.engine.*$(MODULE).*")
	$(BIN)/python -m mutmut results

lint: style layers types check-migrations lint-static  ## formatting, style, layers and types

# The parts of `make lint`; the hooks of pre-commit call them too, so that both check the same.
style: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell -D - -D docs/words_to_avoid.txt django_tasktree docs testproject benchmarks *.rst *.md

layers: $(VENV)/.installed-lint
	$(BIN)/lint-imports setup.cfg

# Two targets, so that `make --jobs 2` runs them side by side.
types: mypy basedpyright

mypy: $(VENV)/.installed-lint
	$(BIN)/mypy django_tasktree testproject benchmarks tests

basedpyright: $(VENV)/.installed-lint
	$(BIN)/basedpyright --pythonpath $(BIN)/python

check-migrations: $(VENV)/.installed-lint
	$(BIN)/python manage.py makemigrations --check --dry-run

format: $(VENV)/.installed-lint  ## format the code, and correct what ruff can correct
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

node_modules/.installed: package.json package-lock.json
	npm ci --loglevel error --no-audit --no-fund
	@touch $@

# Those who change no script can do without Node.js; CI can't.
lint-static:
	@if command -v node >/dev/null && command -v npm >/dev/null; then \
		$(MAKE) --silent node_modules/.installed && npm run --silent lint; \
	elif [ -n "$$CI" ] || [ "$$TASKTREE_REQUIRE_SERVICES" = 1 ]; then \
		echo "Node.js is missing, and so JavaScript and CSS can't be checked: apt-get install nodejs npm" >&2; exit 1; \
	else \
		echo "Node.js is missing, and so JavaScript and CSS are NOT checked: apt-get install nodejs npm" >&2; \
	fi

soak: $(VENV)/.installed-$(EXTRAS)  ## minutes of mixed trees while everything is killed; needs servers' programs
	TASKTREE_REQUIRE_SERVICES=1 $(BIN)/python -m pytest tests/faults/soak.py -q -s --timeout 0 $(ARGS)

docs: $(VENV)/.installed-docs  ## build the documentation into docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

screenshots: $(VENV)/.installed-$(EXTRAS)  ## take the documentation's pictures of all pages; needs Chromium
	$(BIN)/python -m docs.screenshots $(PAGES)

bench: $(VENV)/.installed-test  ## compare with Celery's canvas and others; needs PostgreSQL and Redis
	$(BIN)/python -m benchmarks $(ARGS)

bench-smoke: $(VENV)/.installed-test  ## check the statements and messages of nodes against limits; a minute
	$(BIN)/python -m benchmarks smoke

dist: $(VENV)/.installed-dist  ## build the sdist and the wheel into dist/, and try the wheel in a new environment
	rm -rf build dist $(VENV)-wheel
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python .ci/check_dist.py $(TAG)
	$(BIN)/python -m venv $(VENV)-wheel
	$(VENV)-wheel/bin/python -m pip install --quiet "$$(echo dist/*.whl)[demo]"
	mkdir -p build/project
	cp -R manage.py testproject build/project  # away from here, where the package would be that of this directory
	cd build/project && $(abspath $(VENV)-wheel)/bin/python manage.py check
	cd build/project && $(abspath $(VENV)-wheel)/bin/python manage.py migrate --verbosity 0
	cd build/project && $(abspath $(VENV)-wheel)/bin/python -c "import django_tasktree as t; print(t.__version__, t.__file__)"

clean:  ## remove what was built, the virtual environment too
	rm -rf $(VENV) $(VENV)-wheel .venv-peers node_modules build dist var mutants docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* *.egg-info
