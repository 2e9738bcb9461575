# Everything a clone needs. `make demo` and `make test` are the two that matter.
PYTHON ?= python3
BIN := .venv/bin
READY := $(PYTHON) tools/bootstrap.py

.PHONY: setup demo run test lint format guide guide-base guide-eval lock keys bench bench-llama-server bench-list bench-plan bench-ui clean bench-transfer
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

# The engine beside other servers on the same model.
bench: setup
	@$(BIN)/python -m benchmarks.engine

# A llama-server of the same build for `make bench` to compare with (about 5 minutes, once).
bench-llama-server: setup
	@$(BIN)/python -m benchmarks.llama_server

# `dmr list` with ten models and with ten thousand.
bench-list: setup
	@PYTHONPATH=. $(BIN)/python benchmarks/list.py

# The memory plan beside what workers really take.
bench-plan: setup
	@PYTHONPATH=. $(BIN)/python benchmarks/plan.py

# The full screen in a real terminal: keys, frames, processor time.
bench-ui: setup
	@$(BIN)/python -m benchmarks.ui

# Write docs/keys.md anew from the table of actions.
keys: setup
	@$(BIN)/python tools/keys.py

# Make the built-in model again, from its base (half an hour on two cores).
guide: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tools/guide/requirements.txt
	@PYTHONPATH=tools OMP_NUM_THREADS=1 $(BIN)/python -m guide.train build/guide
	@cp build/guide/guide.gguf dmr_tui/guide/guide.gguf

# Train another base from nothing, into build/base (hours).
guide-base: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tools/guide/requirements.txt
	@PYTHONPATH=tools OMP_NUM_THREADS=1 $(BIN)/python -m guide.train build/base --from-nothing

guide-eval: setup
	@PYTHONPATH=tools $(BIN)/python -m guide.evaluate

# Pulls and pushes beside curl, skopeo and oras-py; needs those Debian packages and 4 GB of disk.
bench-transfer: setup
	@$(BIN)/python -m benchmarks.transfer

# Renew the pinned versions and their hashes (needs `uv`; the files name no host).
lock:
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --group dev pyproject.toml --no-emit-package llama-cpp-python -o requirements.lock
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-deps tools/engine.in -o engine.lock

clean:
	rm -rf .venv build
