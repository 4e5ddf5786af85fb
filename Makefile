# One entry for people and for CI. Every target sets up .venv by itself; a set-up that is up to date costs nothing.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3.13 python3.12 python3.11 python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
ONLY   ?=
LIVE   ?=
ARGS   ?=

.PHONY: help run test check bandit audit format bench chaos swarm swarm-trial swarm-down drill soak conformance n8n fuzz lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Compiled here for whoever has Python write no bytecode: six processes would compile it anew at each start.
COMPILED := $(VENV)/.compiled

$(COMPILED): $(READY) $(shell find crypto_mcp workers scheduler -name '*.py')
	@$(BIN)/python -m compileall -q crypto_mcp workers scheduler && touch $@

run: $(COMPILED) ## Run the whole product on this machine (LIVE=1: real market data)
	@exec $(BIN)/crypto-mcp run $(if $(LIVE),--live)

# A file's tests stay together, for they share servers; each process has servers of its own. More than two cores' worth,
# since tests wait most of the time.
SIDE_BY_SIDE := -n 4 --dist loadfile --no-loadscope-reorder

test: $(READY) ## Run the test suite against real servers (ARGS="-k name", ARGS=-n0 for one process)
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

check: $(READY) bandit ## Linter, format, types, import contracts, bandit
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Bandit looks at each file by itself: those that have not changed since it last found nothing are not looked at again.
BANDIT_CLEAN := $(VENV)/.bandit-clean

bandit: $(READY)
	@files=$$(find crypto_mcp workers scheduler -name '*.py' \
	  $$([ $(BANDIT_CLEAN) -nt $(READY) ] && echo -newer $(BANDIT_CLEAN))); \
	touch $(BANDIT_CLEAN).now; \
	if [ -n "$$files" ]; then echo "bandit: $$(wc -w <<<"$$files") files"; \
	  $(BIN)/bandit --quiet --configfile pyproject.toml $$files 2>&1 \
	    | { grep -v 'nosec encountered .* but no failed test' || true; }; fi; \
	mv $(BANDIT_CLEAN).now $(BANDIT_CLEAN)

PIP_AUDIT := pip-audit==2.10.1

audit: $(READY) ## Known weaknesses of what requirements.lock pins (needs the network)
	@[ -x $(VENV)/audit/bin/pip-audit ] || { "$(BIN)/python" -m venv $(VENV)/audit && \
	  $(VENV)/audit/bin/pip install -qq --disable-pip-version-check $(PIP_AUDIT); } || { \
	  echo "audit: $(PIP_AUDIT) cannot be installed: a package registry is needed." >&2; exit 1; }
	@$(VENV)/audit/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r requirements.lock || { \
	  echo "audit: see above. Weaknesses that were found are listed; where a package 'could not be audited' or nothing" \
	    "answered, nothing was looked at: this needs the vulnerability service of PyPI." >&2; exit 1; }

format: $(READY) ## Format the code and fix what the linter can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(COMPILED) ## Measure speed beside other systems (ONLY=queue for one section)
	@$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY)) $(ARGS)

chaos: $(READY) ## Kill, cut and restart everything, then count what was lost (ONLY=feed; default: the queue)
	@$(BIN)/python -m tests.chaos$(if $(filter-out queue,$(ONLY)),.$(ONLY)) $(ARGS)

swarm: $(READY) ## Build the images, deploy the whole stack to a docker swarm, try it
	@compose/swarm.sh up

swarm-trial: $(READY) ## Kill, replace and scale that stack under load; count what was lost (ONLY=kills for one part)
	@compose/swarm.sh trial $(ONLY) $(ARGS)

swarm-down: ## Remove the stack of `make swarm` and its data (KEEP=1 keeps the data)
	@compose/swarm.sh down

drill: $(READY) ## Lose all data on purpose and measure the restore (ARGS="--documents 500000")
	@$(BIN)/crypto-mcp drill $(ARGS)

conformance: $(READY) ## The official MCP conformance suite against the front end (needs npm)
	@$(BIN)/python -m tests.conformance $(ARGS)

MINUTES ?= 20
soak: $(READY) ## Steady load on the whole product: what grows that should not? (MINUTES=60)
	@$(BIN)/python -m tests.soak --minutes $(MINUTES) $(ARGS)

n8n: $(READY) ## The workflows of docs/n8n, imported and run on a real n8n (needs npm, 3 GB once)
	@$(BIN)/python -m tests.n8n $(ARGS)

fuzz: $(READY) ## 20,000 requests made from the OpenAPI by schemathesis (needs a package registry)
	@$(BIN)/python -m tests.fuzz $(ARGS)

lock: ## Pin the dependencies of pyproject.toml anew (needs uv)
	@uv pip compile --universal --all-extras --generate-hashes --no-header --no-emit-index-url --quiet \
	  --python-version 3.11 --output-file requirements.lock pyproject.toml

clean: ## Remove .venv, caches and the data of `make run`
	@if [ -s .local/run.lock ] && kill -0 "$$(cat .local/run.lock)" 2>/dev/null; then \
	  echo "A stack is running here as process $$(cat .local/run.lock): end it first." >&2; exit 1; fi
	rm -rf $(VENV) .local .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache bench-out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One set-up at a time: two terminals may start at once. The stamp is looked at again under the lock.
$(READY): requirements.lock pyproject.toml
	@exec 9<Makefile; if command -v flock >/dev/null; then flock 9; fi; \
	if [ -e $@ ] && [ ! requirements.lock -nt $@ ] && [ ! pyproject.toml -nt $@ ]; then exit 0; fi; \
	python=; seen=; for name in $(PYTHON); do \
	  version=$$("$$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue; \
	  seen="$$seen $$version"; \
	  case $$version in 3.11|3.12|3.13) python=$$name; break;; esac; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Python 3.11, 3.12 or 3.13 is needed (found:$${seen:- none}). On Debian 12: apt-get install python3 python3-venv." >&2; \
	  echo 'One that is not on PATH: make PYTHON=/path/to/python3.12' >&2; exit 1; fi; \
	"$$python" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$$python cannot make virtual environments: apt-get install python3-venv" >&2; exit 1; }; \
	echo "Setting up .venv with $$python (once)"; \
	$(BIN)/python -c '' 2>/dev/null || "$$python" -m venv --clear $(VENV); \
	$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r requirements.lock; \
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	touch $@
