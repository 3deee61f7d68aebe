# Two commands on a fresh machine with Python 3.11, make and a C compiler: `make study`, `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CORES ?= all

.PHONY: study test setup unlock check clean

study: $(READY)
	@$(BIN)/python -m robustlaws.runtime.workflow_lock
	$(BIN)/snakemake --cores $(CORES)
	@echo "The report: $(CURDIR)/results/digits/report.html"

test: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder

setup: $(READY)

# Remove a stale Snakemake lock. Refuses while a Snakemake runs in this folder, on any machine, or has jobs in SLURM.
unlock: $(READY)
	@$(BIN)/python -m robustlaws.runtime.workflow_lock

# The lock file pins every package, so pip resolves nothing.
$(READY): pyproject.toml envs/lock.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement envs/lock.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/pip check
	@touch $@

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/python -m robustlaws.study.schema workflow/schemas/*.yaml
	$(BIN)/python -m robustlaws.study workflow/schemas/config.yaml config/*.yaml
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --lint

# Refuses while a human-study database exists: answers cannot be recomputed.
clean:
	@if ls results/*/humans/*/study.sqlite >/dev/null 2>&1; then \
	  echo "make clean: the human-study database" results/*/humans/*/study.sqlite "holds people's answers; move or delete it first" >&2; exit 1; fi
	rm -rf results .snakemake .pytest_cache .ruff_cache .mypy_cache .hypothesis
