# For a newcomer: `make demo` and `make test`. `make help` lists the rest.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:

NEWEST := 3.3.2
OLDER := 3.0.6 3.1.8 3.2.2
# as many tests at the same time as there are cores
PARALLEL := -n auto --dist worksteal
SOURCES := $(wildcard airflow_provider_seedance benchmarks docs example_dags tests tools)

ifndef PYTHON
PYTHON := $(shell for python in python3.11 python3; do \
	if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then command -v "$$python"; break; fi; done)
endif

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: .venv/.installed ## one prompt becomes a video; KEEP=1 leaves Airflow up, SEEDANCE_API_KEY=… asks the real service
	@.venv/bin/python -m tools.demo

.PHONY: test
test: .venv/.installed ## every test that needs no running Airflow, with coverage
	.venv/bin/python -m pytest $(PARALLEL) -m "not no_cover" --cov --cov-report=term tests/unit tests/integration tests/emulator
	.venv/bin/python -m pytest $(PARALLEL) -m no_cover tests/integration

.PHONY: e2e
e2e: .venv/.installed ## the tests on a real Airflow, and of the demo itself
	.venv/bin/python -m pytest --timeout 1800 tests/e2e

.PHONY: test-matrix
test-matrix: $(addprefix test-airflow-,$(OLDER)) test-lowest ## older versions of Airflow, and the lower bounds

test-airflow-%: .venv-airflow-%/.installed
	.venv-airflow-$*/bin/python -m pytest $(PARALLEL) tests/unit/test_imports.py tests/integration/test_example_dags.py \
		tests/integration/test_example_downstream.py

.PHONY: test-lowest
test-lowest: .venv-lowest/.installed
	@# without those of lineage, which need a client of OpenLineage that Airflow's first releases cannot have
	.venv-lowest/bin/python -m pytest $(PARALLEL) tests/unit --ignore tests/unit/telemetry \
		--deselect 'tests/unit/test_imports.py::test_module_imports[airflow_provider_seedance.telemetry.lineage]'

.PHONY: mutants
mutants: .venv/.installed ## list small changes of the code that no test notices; MODULES="api/redact.py …" chooses
	nice -n 10 .venv/bin/python -m tools.mutants $(MODULES)

.PHONY: check
check: .venv/.installed ## the linters: style, types of package, tests and tools, layers
	.venv/bin/ruff check $(SOURCES)
	.venv/bin/ruff format --check $(SOURCES)
	.venv/bin/mypy
	.venv/bin/lint-imports

.PHONY: format
format: .venv/.installed ## let ruff write the files as `check` wants them
	.venv/bin/ruff check --fix $(SOURCES)
	.venv/bin/ruff format $(SOURCES)

.PHONY: constraints
constraints: python ## resolve constraints/*.txt again
	@$(PYTHON) tools/environments.py constraints

.PHONY: clean
clean: ## remove what make and the tools have made
	rm -rf .venv .venv-airflow-* .venv-lowest .uv .scratch dist build .coverage .pytest_cache .mypy_cache .ruff_cache \
		.hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.installed: pyproject.toml constraints/airflow-$(NEWEST).txt tools/environments.py | python
	@$(PYTHON) tools/environments.py install $(NEWEST)

.venv-airflow-%/.installed: pyproject.toml constraints/airflow-%.txt tools/environments.py | python
	@$(PYTHON) tools/environments.py install $*

.venv-lowest/.installed: pyproject.toml constraints/lowest.txt tools/environments.py | python
	@$(PYTHON) tools/environments.py install lowest

.PHONY: python
python:
	@if ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	echo "Python 3.11 or newer is needed, as python3.11 or python3, or named: make PYTHON=/path/to/python" >&2; \
	exit 1; fi
