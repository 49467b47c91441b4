# What a person or a continuous-integration machine runs. Nothing has to be installed first but make and Python 3.11 to 3.13.
#
#   make demo     learn from unlabelled phantom cines and show the result: runs/demo/report.html
#   make test     all fast tests; those with a window run under Xvfb
#   make check    lint, format, types, import rules, napari manifest
#   make bench    speed ratios against other packages
#   make docs     links, code blocks and command names of the documentation

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Peers of the benchmarks. Their own dependencies stay out: they would replace torch, and what is compared needs none of them.
PEERS := decord kornia kornia_rs lightly lightly_utils pysaliency torchvision

.DEFAULT_GOAL := demo
.PHONY: demo test check check-lint check-format check-types check-imports check-manifest bench docs install

install: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "usssl needs Python 3.11 to 3.13, and $(PYTHON) is not: name one, as in make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || { rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); } || { \
	  echo "$(PYTHON) cannot make a virtual environment: install its venv module (Debian: apt-get install python3-venv)" >&2; \
	  rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,napari,dev]'
	@touch $@

demo: $(READY)
	$(BIN)/usssl demo -o runs/demo

test: $(READY)
	@.ci/window-packages || true
	$(BIN)/python -m pytest -m "not gui and not slow and not gpu"
	@if .ci/window-packages --check; then \
	  xvfb-run --auto-servernum --server-args="-screen 0 1600x1200x24" \
	    $(BIN)/python -m pytest -m "gui and not slow and not gpu" || test $$? = 5; \
	else echo "tests with a window were skipped: there is no Xvfb or no OpenGL here"; fi

check: check-lint check-format check-types check-imports check-manifest  # make -k check goes on after the first that fails

check-lint: $(READY)
	$(BIN)/ruff check .

check-format: $(READY)
	$(BIN)/ruff format --check .

check-types: $(READY)
	$(BIN)/mypy

check-imports: $(READY)
	$(BIN)/lint-imports

check-manifest: $(READY)
	@if test -f napari_plugin/napari_usssl/napari.yaml; then $(BIN)/npe2 validate napari_plugin/napari_usssl/napari.yaml; fi

bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt $(PEERS)
	@failed=""; for file in benchmarks/*.py; do \
	  echo "== $$file"; $(BIN)/python $$file || failed="$$failed $$file"; \
	done; \
	if test -n "$$failed"; then echo "fell short or failed:$$failed" >&2; exit 1; fi

docs: $(READY)
	$(BIN)/python -m pytest tests/test_docs.py
