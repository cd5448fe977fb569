.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

UV_VERSION := 0.13.9
# Run, not just looked up: a version manager's shim may be on PATH without a uv behind it.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .tools/bin/uv)
# The machine's own Python 3.11 or later; uv must not fetch one from elsewhere.
export UV_PYTHON_DOWNLOADS := never
# Where it is set, as in many containers, each Python process compiles torch and MLflow anew: ten
# seconds of processor time for each of hundreds of processes of the tests.
unexport PYTHONDONTWRITEBYTECODE
RUN := $(UV) run --frozen
LOCALCLUSTER := $(RUN) localcluster
# `make integration MLFLOW=oldest`: servers and trainers have the oldest MLflow that the trainer has.
MLFLOW := newest
$(if $(filter newest oldest,$(MLFLOW)),,$(error MLFLOW=$(MLFLOW): must be newest or oldest))
ifeq ($(MLFLOW),oldest)
WITH_MLFLOW := --with-requirements tests/oldest_mlflow/requirements.txt
endif
# `python -m`: the script of pytest would run outside of what `--with-requirements` adds.
# Three for two cores: the tests on clusters wait more than they compute.
TESTS := $(RUN) $(WITH_MLFLOW) python -m pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder
COVERAGE := --cov --cov-report=
# The modules that the tests reach least, and the total.
COVERAGE_REPORT := $(RUN) coverage report --sort=cover | sed -n '1,14p;$$p'
# Each of these waits for pods nearly all of its time.
E2E := $(RUN) pytest --numprocesses=2 --dist=worksteal tests/e2e
CACHE := $(or $(TRAININGJOB_CACHE_DIR),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/trainingjob)

.PHONY: help
help: ## Show this help
	@echo "Usage: make TARGET"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: setup ## Train MNIST on a local cluster and show the job's MLflow run
	@$(MAKE) deploy
	@$(RUN) python -m demo

.PHONY: test
test: setup frameworks ## Run everything that CI runs: lint, unit, integration, e2e
	@$(MAKE) -j2 static deploy
	@$(MAKE) generated actionlint
	$(TESTS) tests/unit tests/integration
	$(E2E)

.PHONY: unit
unit: setup ## Run the unit tests
	$(TESTS) $(COVERAGE) tests/unit
	@$(COVERAGE_REPORT)

.PHONY: integration
integration: setup frameworks ## Run the integration tests (fake nodes, real API server and MLflow)
	$(TESTS) tests/integration

.PHONY: e2e
e2e: setup ## Run the end-to-end tests (real node, real images, helm install)
	@$(MAKE) deploy
	$(E2E)

.PHONY: bench
bench: setup ## Run the benchmarks beside their baselines (docs/benchmarks.md)
	$(UV) sync --frozen --quiet --group bench
	$(LOCALCLUSTER) up --profile kwok
	$(RUN) --group bench pytest --capture=no tests/bench

.PHONY: gpu
gpu: setup ## Check monitor, trainingjob-exec and trainer on this machine's GPU (3 minutes, no cluster)
	$(RUN) python -m tests.gpu

.PHONY: faults
faults: setup ## Kill the operator at every write, break both servers in every way, lose a node
	@$(MAKE) deploy
	$(LOCALCLUSTER) up --profile kwok
	$(RUN) pytest --capture=no tests/faults

.PHONY: lint
lint: static generated actionlint ## Check format, style, types, imports, workflows, generated files

.PHONY: cluster
cluster: setup ## Start the local cluster with a real node
	$(LOCALCLUSTER) up --profile node

.PHONY: images
images: setup ## Build the images of the operator, the trainer and the agent
	$(LOCALCLUSTER) build $(BUILD_OPTIONS)

.PHONY: deploy
deploy: setup # The cluster with the images on it; the two long builds run at the same time
	@$(MAKE) -j2 cluster images
	$(LOCALCLUSTER) load operator trainer agent

.PHONY: manifests
manifests: setup ## Write the generated files: CRD, references, chart README, rendered manifests
	$(RUN) python -m trainingjob_operator.crd
	$(RUN) python helm/monitoring.py
	$(RUN) python helm/generate.py --helm "$$($(LOCALCLUSTER) tool helm)"
	$(RUN) python client/generate.py

.PHONY: site
site: $(filter .tools/bin/uv,$(UV)) ## Build the documentation site into out/site; fails on a link that leads nowhere
	NO_MKDOCS_2_WARNING=1 $(UV) run --frozen --isolated --only-group docs \
	    mkdocs build --strict --config-file website/mkdocs.yml

.PHONY: version
version: setup ## Write the version of VERSION into all places that have it
	$(RUN) python -m release.version
	$(UV) lock --quiet
	@$(MAKE) manifests

.PHONY: release-dry-run
release-dry-run: setup ## Make what a release has into out/release: wheels, chart, SBOM, NOTICE, notes
	UV=$(UV) $(RUN) python -m release --helm "$$($(LOCALCLUSTER) tool helm)" $(RELEASE_OPTIONS)

.PHONY: screenshot
screenshot: setup ## Take the pictures of the demo's run in docs/images (the demo has run)
	$(RUN) python -m demo.screenshot

.PHONY: pictures
pictures: setup ## Take the pictures of tj in docs/images (the demo has run)
	$(UV) sync --frozen --quiet --group pictures
	$(RUN) --group pictures python -m demo.pictures

.PHONY: static
static: style types imports

.PHONY: style
style: setup
	$(RUN) ruff check
	$(RUN) ruff format --check

.PHONY: types
types: setup
	$(RUN) mypy
	$(RUN) mypy --python-version 3.10 --package trainingjob_agent
	$(RUN) mypy --explicit-package-bases demo helm release tests website client/generate.py

.PHONY: imports
imports: setup
	$(RUN) lint-imports

.PHONY: actionlint
actionlint: setup
	"$$($(LOCALCLUSTER) tool actionlint)" -color

.PHONY: generated
generated: setup # Fails when a generated file is not what its source says, or the CRD is refused
	$(RUN) python -m trainingjob_operator.crd --check
	$(RUN) python client/generate.py --check
	$(RUN) python helm/monitoring.py --check
	$(RUN) python -m release.version --check
	"$$($(LOCALCLUSTER) tool crd-check)" manifests/crd.yaml
	helm="$$($(LOCALCLUSTER) tool helm)"; \
	    "$$helm" lint --strict helm/trainingjob-operator --values demo/values.yaml; \
	    $(RUN) python helm/generate.py --check --helm "$$helm"

.PHONY: setup
setup: $(filter .tools/bin/uv,$(UV))
	@if [ -x .venv/bin/python ]; then $(UV) sync --frozen --quiet; else \
	    echo "Making the Python environment from uv.lock: several GB, PyTorch with CUDA above all"; \
	    $(UV) sync --frozen; fi

.PHONY: frameworks
frameworks: .venv/frameworks/of-uv.lock

# Beside the environment, not in it: pyproject.toml says why.
.venv/frameworks/of-uv.lock: uv.lock | setup
	@echo "Installing Lightning and Transformers for the tests of unmodified scripts"
	@rm -rf $(@D)
	@$(UV) export --quiet --frozen --only-group frameworks --prune torch | \
	    $(UV) pip install --quiet --no-deps --target $(@D) --requirements -
	@touch $@

.tools/bin/uv:
	@echo "uv is not installed: fetching uv $(UV_VERSION) from PyPI into .tools/"
	@python3 -c 'import ensurepip' 2>/dev/null || { \
	    echo "python3 has no venv: installing Debian's python3-venv (needs root)"; \
	    apt-get update -qq && apt-get install --yes -qq python3-venv; }
	@python3 -m venv .tools
	@.tools/bin/pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"

.PHONY: clean
clean: ## Remove the local clusters and what was built here (caches stay)
	@if [ -x .venv/bin/localcluster ]; then \
	    .venv/bin/localcluster down --profile node; .venv/bin/localcluster down --profile kwok; \
	    for cache in "$(CACHE)"/processes/*; do if [ -d "$$cache" ]; then \
	        TRAININGJOB_CACHE_DIR="$$cache" .venv/bin/localcluster down --profile kwok; fi; done; \
	    rm -rf "$(CACHE)/processes"; \
	else echo "No environment here: no cluster to remove from this clone"; fi
	rm -rf out dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: distclean
distclean: clean ## Also remove the cache of built tools and images, and the environment
	rm -rf .venv .tools "$(CACHE)"
