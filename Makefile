# Everything a newcomer needs: make up, make test, make play. Only Python 3.11 to 3.13 and make are assumed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help setup up play test test-all lint types audit contracts compiled chaos bench-orders bench-edge bench-peers bench-memory bench-acceptance bench-inventory bench-beside locks clean

help: ## what can be made here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(INSTALLED) ## create the virtual environment from the hashed lock file

$(INSTALLED): requirements-dev.lock pyproject.toml
	@sh deploy/set_up.sh "$(PYTHON)" $(VENV)
	@touch $@

up: $(INSTALLED) ## engines, gateway, worker, a real Tryton and sandboxes; prints the console's address
	@$(BIN)/crossdock up --demo

play: $(INSTALLED) ## run the main story once and exit 0 when every step showed what it should
	@$(BIN)/crossdock play main-job

test: $(INSTALLED) lint types ## everything that runs from Python wheels alone
	$(BIN)/python -m pytest -m "not long" -n 2 --dist loadgroup --disable-socket --allow-unix-socket

test-all: $(INSTALLED) ## test, and what needs Debian or npm packages, long fault runs, browsers, deep contract tests
	bash tests/install_outside_tools.sh
	$(MAKE) lint types
	CROSSDOCK_ALL=1 $(BIN)/python -m pytest -n 2 --dist loadgroup --disable-socket --allow-unix-socket

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(INSTALLED)
	$(BIN)/mypy

audit: $(INSTALLED) ## known vulnerabilities of what is locked (asks the public advisory service; needs the internet)
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements.lock

contracts: $(INSTALLED) ## write openapi/ from the code
	$(BIN)/crossdock contracts export

compiled: $(INSTALLED) ## the packages with their door compiled, in build/compiled: run with PYTHONPATH=build/compiled (needs a C compiler)
	$(BIN)/python -m gateway.compiling build/compiled --copy

SEED ?= 1
chaos: $(INSTALLED) ## everything is killed again and again under 11,000 orders: make chaos SEED=2; an independent checker judges
	$(BIN)/crossdock play chaos --folder .crossdock/chaos-$(SEED) --seed $(SEED)

bench-edge: $(INSTALLED) ## the door, compiled if it can be, beside FastAPI and other proxies with the same checks; JSON on the last line
	-$(MAKE) compiled
	PYTHONPATH=build/compiled PYTHONSAFEPATH=1 $(BIN)/python -m benchmarks.edge

bench-peers: $(INSTALLED) ## install what bench-edge and bench-beside measure: nginx with Lua, HAProxy, Envoy, Fastify; Vendure (Debian, PyPI, npm)
	PYTHON="$(PYTHON)" bash benchmarks/edge/install_peers.sh
	PYTHON="$(BIN)/python" bash benchmarks/beside/install.sh

bench-memory: $(INSTALLED) ## the gateway's memory over 500,000 requests of 100,000 clients; JSON on the last line
	$(BIN)/python -m benchmarks.edge.memory

bench-acceptance: $(INSTALLED) ## ten-line orders per second, ours beside FastAPI, counted in the record; JSON on the last line
	$(BIN)/python -m benchmarks.acceptance

bench-orders: $(INSTALLED) ## 25,000 orders of ten lines through the whole saga to an ERP and two warehouses; JSON on the last line
	$(BIN)/python -m benchmarks.orders

bench-inventory: $(INSTALLED) ## movements, reservations and availability answers per second; JSON on the last line
	$(BIN)/python -m benchmarks.inventory

bench-beside: $(INSTALLED) ## claims per second and N buyers of one piece beside Tryton and Vendure; JSON on the last line
	$(BIN)/python -m benchmarks.beside

locks: $(INSTALLED) ## renew the lock files
	bash deploy/lock.sh

clean: ## remove the virtual environment and all local data
	rm -rf $(VENV) .crossdock build
