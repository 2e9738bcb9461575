# Everything a clone needs. `make demo` and `make test` are the two that matter.
PYTHON ?= python3
BIN := .venv/bin
READY := $(PYTHON) tools/bootstrap.py

.PHONY: setup demo run test lint format lock clean
setup:
	@$(READY)

demo: setup
	@$(BIN)/python tools/demo.py

run: setup
	@$(BIN)/dmr

test: setup
	@$(BIN)/pytest

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# Renew the pinned versions and their hashes (needs `uv`; the files name no host).
lock:
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --group dev pyproject.toml --no-emit-package llama-cpp-python -o requirements.lock
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-deps tools/engine.in -o engine.lock

clean:
	rm -rf .venv build
