# Everything one does with the source tree. `make run` and `make test` prepare what they need, once.

VENV ?= .venv
PYTHON ?= python3
CONFIG ?= config.toml
CYCLES ?= 2000
ALONE := tests/kill tests/actions/test_kill.py
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check

.PHONY: run demo test bench chaos chaos-models screenshots format clean debian-packages

run: $(VENV)/.installed
	@exec $(BIN)/frontdesk serve --config $(CONFIG)

# The example shop with its Frontdesk: examples/store/README.md.
demo: $(VENV)/.installed
	@exec $(BIN)/python -m examples.store.demo

# Every check runs even when an earlier one failed; the tests come last, so that their summaries stand at the end. What kills processes by the
# clock runs beside nothing else.
test: $(VENV)/.installed-test debian-packages
	@failed=; \
	check() { echo "$$*"; $(BIN)/"$$@" || failed="$$failed, $$1"; }; \
	check ruff format --check --quiet .; \
	check ruff check --quiet .; \
	check mypy; \
	check lint-imports --no-logo; \
	check pytest -q -n 3 --dist loadfile $(patsubst %,--ignore=%,$(ALONE)); \
	check pytest -q -n 2 --dist loadfile $(ALONE); \
	[ -z "$$failed" ] || { echo "Failed: $${failed#, }"; exit 1; }

bench: $(VENV)/.installed-test
	@exec $(BIN)/python -m benchmarks

chaos: $(VENV)/.installed-test
	@$(BIN)/python -m tests.kill --cycles $(CYCLES)
	@$(BIN)/python -m tests.kill --cycles $(CYCLES) --model
	@$(BIN)/python -m tests.kill --cycles $(CYCLES) --channels
	@exec $(BIN)/python -m tests.handoff.interleavings --machine 100000 --core $(CYCLES)

chaos-models: $(VENV)/.installed-test
	@exec $(BIN)/python -m tests.chaos --conversations 10000

screenshots: $(VENV)/.installed-test debian-packages
	@$(BIN)/python -m tests.e2e.screenshots
	@$(BIN)/python -m tests.browser.console.screenshots
	@exec $(BIN)/python -m tests.platforms.pictures

format: $(VENV)/.installed-test
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# Conversations in data/ stay.
clean:
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Frontdesk needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo "Python's venv module is missing. On Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "Installing Frontdesk into $(VENV)"
	@$(PIP) install --editable .
	@$(BIN)/python -m compileall -q bot adapters
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	@echo "Installing Frontdesk and its tests' tools into $(VENV)"
	@$(PIP) install --editable '.[test]'
	@$(BIN)/python -m compileall -q bot adapters tests benchmarks
	@touch $@ $(VENV)/.installed

# What some tests need beside Python. Never fails: a test that misses its program says so and is skipped.
debian-packages:
	@[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0; \
	missing=; \
	for pair in chromium:chromium systemd-analyze:systemd gcc:gcc,libc6-dev; do \
	  command -v "$${pair%%:*}" >/dev/null || missing="$$missing $$(echo "$${pair#*:}" | tr , ' ')"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	echo "Installing$$missing"; \
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $$missing; } >/dev/null 2>&1 \
	  || echo "Could not install$$missing: the tests that need them are skipped"
