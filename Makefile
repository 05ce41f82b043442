# Every target sets up what it needs on a fresh Debian or Ubuntu machine; running one again is quick.
SHELL := /bin/bash
.DEFAULT_GOAL := help

BIN := .venv/bin
READY := .venv/.ready

.PHONY: help setup demo test check examples soak lint bench format clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with tidegate built and its pinned packages

$(READY): scripts/setup pyproject.toml constraints.txt CMakeLists.txt $(wildcard native/*)
	@scripts/setup
	@touch $@

demo: $(READY) ## Train on 336,776 flights, serve, kill twice, check every answer (about 3 minutes)
	@$(BIN)/tidegate demo

# A process a core; threads that wait do not spin, for they would take the other process's core.
test: lint ## Formatting, lint, types, import contracts, tests and doctests (about 15 minutes on 2 cores)
	@OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadscope $(TEST)

check: $(READY) ## The C core under sanitizers, on every instruction set, NEON emulated; fuzzing; the examples (about 50 minutes of a core)
	@scripts/check

examples: $(READY) ## Every example on all of its data: trained, reported on, served = scored? (about 20 minutes of a core)
	@scripts/examples $(EXAMPLES)

soak: $(READY) ## Kills, faults and a million events, then a million sessions; prints what was lost (8 to 40 minutes)
	@PYTHONPATH=tests/support $(BIN)/python -m faults.soak $(SOAK)

lint: $(READY) ## Formatting, lint, types and import contracts alone
	@$(BIN)/ruff format --check --quiet . || { echo "run 'make format'"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache

bench: $(READY) ## Time a step beside torch and ONNX Runtime, training, then servers (about 35 minutes): quote the ratios
	@$(BIN)/tidegate bench engine --out build/bench
	@$(BIN)/tidegate bench train --json build/bench/train.json --out build/bench
	@$(BIN)/tidegate bench serve --json build/bench/serve.json --out build/bench

format: $(READY) ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## Remove what was built (.venv, build)
	rm -rf .venv build
