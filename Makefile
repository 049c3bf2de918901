# Two commands do everything on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DATA ?= var

.PHONY: ha ha-down run test test-fast test-interop check bench load load-ha map build clean

$(READY): pyproject.toml setup.py $(wildcard ext/pilothouse/*)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

build: $(READY)

run: $(READY)
	@echo "export KUBECONFIG=$(abspath $(DATA))/admin.kubeconfig   # in another shell, then: kubectl get ns"
	$(BIN)/pilothouse serve --data-dir $(DATA)

test: $(READY)
	$(BIN)/python -m pytest -q

test-fast: $(READY)
	$(BIN)/python -m pytest -q -m 'not slow'

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/cython-lint ext
	$(BIN)/lint-imports

# Ours and kube-apiserver on one etcd: PILOTHOUSE_REFERENCE=/path/to/kube-apiserver make test-interop
test-interop: $(READY)
	@test -n "$(PILOTHOUSE_REFERENCE)" || { echo 'PILOTHOUSE_REFERENCE names no kube-apiserver' >&2; exit 1; }
	$(BIN)/python -m pytest -q tests/e2e/test_interop.py

bench: $(READY)
	$(BIN)/python benchmarks/regress.py

# Three members of etcd, three servers and HAProxy on loopback.
ha: $(READY)
	@$(BIN)/python -m pilothouse.testing.ha up $(abspath $(DATA))/ha $(PORT)

ha-down: $(READY)
	@$(BIN)/python -m pilothouse.testing.ha down $(abspath $(DATA))/ha

# A bounded mix of requests against the server of `make run`, by Locust.
load: $(READY)
	$(BIN)/python -m pip install --quiet 'pilothouse[load]'
	KUBECONFIG=$(DATA)/admin.kubeconfig $(BIN)/locust -f loadtest/locustfile.py --headless -u 20 -r 10 -t 30s

# The mixes of loadtest/cluster.py against `make ha`: a report in $(DATA)/load.html.
load-ha: $(READY)
	@test -f $(DATA)/ha/pids.json || { echo 'no cluster runs: make ha' >&2; exit 1; }
	$(BIN)/python -m pip install --quiet 'pilothouse[load]'
	KUBECONFIG=$(DATA)/ha/kubeconfig $(BIN)/locust -f loadtest/cluster.py --headless -u 40 -r 10 -t 60s \
		--html $(DATA)/load.html --csv $(DATA)/load

# The tables of docs/architecture.md, anew.
map:
	$(PYTHON) tools/gen_map.py

clean:
	rm -rf $(VENV) build src/pilothouse/*.so
