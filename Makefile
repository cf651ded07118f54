# make demo | test | lint | types | bench | fuzz | pi   each makes .venv first; Python >= 3.11 and make are all they need
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-fast test-trackers test-engines test-examples notebooks test-ray test-nodes test-servers test-lean lint types bench benchmarks-table fuzz pi format clean

demo: $(VENV)/.installed
	$(BIN)/edge demo

# Two processes, each file's tests in one of them, the long files of the commands first; WORKERS=0 runs all in one.
WORKERS ?= 2
test: $(VENV)/.tools
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# Without the tests marked slow.
test-fast: $(VENV)/.tools
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not slow"

# The trackers, whose packages no other test needs; in the whole suite their tests are skipped.
test-trackers: $(VENV)/.tools
	$(BIN)/python -m pip install --quiet --group trackers-test
	$(BIN)/pytest tests/train/trackers

# The course in examples/: every script with its smallest settings, two of the notebooks; the whole suite runs one script.
test-examples: $(VENV)/.tools
	$(BIN)/python -m pip install --quiet --group notebook-test
	EDGE_TEST_EXAMPLES=1 $(BIN)/pytest -n $(WORKERS) tests/python/test_examples.py

# The notebooks in examples/, made anew of their scripts.
notebooks: $(VENV)/.tools
	$(BIN)/python -m pip install --quiet --group notebook-test
	$(BIN)/python examples/make_notebooks.py

# OpenVINO behind the Classifier; in the whole suite its tests are skipped, and others act it.
test-engines: $(VENV)/.tools
	$(BIN)/python -m pip install --quiet -e '.[fast]'
	$(BIN)/pytest tests/runtime/model/test_openvino_session.py tests/runtime/model/test_open_graph.py tests/benchmarks/models/test_engine_parity.py tests/benchmarks/models/test_engines.py

# What runs on Ray, with its processes and two-node clusters; in the whole suite it is skipped.
test-ray: $(VENV)/.tools
	$(BIN)/python -m pip install --quiet --group ray-test
	$(BIN)/pytest tests/batch tests/benchmarks/tuning/test_ray_engine.py

# Two nodes of torchrun on this machine, a worker and a node of them killed.
test-nodes: $(VENV)/.tools
	EDGE_TEST_NODES=1 $(BIN)/pytest tests/train/run/test_torchrun_job.py

# KServe's own server, in an environment of its own, asked beside edge serve.
KSERVE ?= .venv-kserve
test-servers: $(VENV)/.tools
	test -x $(KSERVE)/bin/python || $(PYTHON) -m venv $(KSERVE)
	$(KSERVE)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(KSERVE)/bin/python -m pip install --quiet --group kserve-test
	EDGE_TEST_KSERVE=$(abspath $(KSERVE))/bin/python $(BIN)/pytest tests/serve/api/test_kserve_server.py

# The built site, and the tutorials run as they stand.
test-docs: docs $(VENV)/.tools
	EDGE_TEST_SITE=$(abspath $(SITE)) EDGE_TEST_TUTORIALS=1 $(BIN)/pytest tests/cli/test_site.py tests/end_to_end/test_tutorials.py

# Every other command that a page shows, as it is printed, on small pictures; of some pages alone with ONLY="README or signing".
ONLY ?=
test-pages: $(VENV)/.tools
	EDGE_TEST_TUTORIALS=all $(BIN)/pytest -n $(WORKERS) tests/end_to_end/test_pages.py -k "$(ONLY)"

# What a Raspberry Pi gets: the base install alone, and the tests that need no torch. PACKAGE is what is installed.
LEAN ?= .venv-lean
PACKAGE ?= .
test-lean: $(LEAN)/.installed
	$(LEAN)/bin/python -c "import importlib.util as u; assert u.find_spec('torch') is None, 'torch is here'"
	$(LEAN)/bin/pytest tests/runtime tests/data tests/benchmarks tests/cli tests/python tests/house tests/lean tests/end_to_end/test_predict*.py tests/end_to_end/test_watch.py
	$(LEAN)/bin/python -m pip install --quiet '$(PACKAGE)[serve]'
	$(LEAN)/bin/pytest tests/serve tests/end_to_end/test_serve.py -m "not slow"

lint: $(VENV)/.tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.tools
	$(BIN)/mypy

bench: $(VENV)/.installed
	$(BIN)/edge bench --backbones mobilenet_v3_small,mobilenet_v2,resnet18
	$(BIN)/python benchmarks/self_checks/cold_start.py

# The figures that users share (edge bench --share), as the table in docs/benchmarks.md.
benchmarks-table: $(VENV)/.installed
	$(BIN)/python -m edge_benchmarks.report.machines_table docs/machines docs/benchmarks.md

# Damaged pictures through the runtime; the test suite takes the first 20,000.
FILES ?= 1000000
fuzz: $(VENV)/.installed
	$(BIN)/python tests/mutated_images.py --count $(FILES)

# The lean install on an emulated Raspberry Pi 4 and 5, compared with this machine; as root, see tests/arm64/run.sh.
#   make pi PHOTOS=photos/val MODELS="runs/NAME/model.onnx runs/NAME/model-int8.onnx"
pi: $(VENV)/.installed
	PYTHON=$(BIN)/python tests/arm64/run.sh "$(PHOTOS)" $(MODELS)

.PHONY: images test-containers
# The images of containers/ (docs/containers.md).
BUILDER ?= $(firstword $(foreach name,docker podman,$(if $(shell command -v $(name)),$(name))) docker)
images:
	$(BUILDER) build -f containers/device.Dockerfile -t edge-device .
	$(BUILDER) build -f containers/train.Dockerfile -t edge-train .

# Builds the device's image and asks it; skipped where there is neither docker nor podman that can build.
test-containers: $(VENV)/.tools
	EDGE_TEST_BUILDER="$(BUILDER)" $(BIN)/pytest tests/house/test_built_image.py

.PHONY: docs docs-serve docs-pictures test-docs test-pages release-check
# The documentation as a site that opens from this disk; a wheel built after it carries it. Needs no torch.
DOCS ?= .venv-docs
SITE ?= cli/edge_cli/site
docs: $(DOCS)/.installed
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --site-dir $(abspath $(SITE))
	rm -rf $(SITE)/assets/javascripts/lunr $(SITE)/sitemap.xml* $(SITE)/search/search_index.json
	find $(SITE) -name '*.map' -delete
	@echo "$(SITE)/index.html"

# The same in the browser, built anew whenever a page changes.
docs-serve: $(DOCS)/.installed
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs serve --open

# Draws the pictures in the pages anew, by the project's own commands.
docs-pictures: $(VENV)/.installed
	$(BIN)/python docs/draw_pictures.py

# What is released, in dist/: wheel and sdist, checked, with a list of what a bare install of it brings (CycloneDX); then the
# lean tests on that wheel, in an environment of their own.
RELEASE ?= .venv-release
release-check: docs
	rm -rf dist $(RELEASE)
	$(PYTHON) -m venv $(RELEASE)/tools
	$(RELEASE)/tools/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(RELEASE)/tools/bin/python -m pip install --quiet --group release
	$(RELEASE)/tools/bin/python -m build --outdir dist .
	$(RELEASE)/tools/bin/twine check --strict dist/*
	$(PYTHON) -m venv $(RELEASE)/bare
	$(RELEASE)/bare/bin/python -m pip install --quiet dist/*.whl
	cd $(RELEASE) && bare/bin/edge --version && bare/bin/edge docs --print train && bare/bin/edge doctor
	$(RELEASE)/tools/bin/cyclonedx-py environment $(RELEASE)/bare/bin/python --pyproject pyproject.toml --output-reproducible \
	    --of JSON --output-file dist/edge-vision.cdx.json
	$(MAKE) test-lean LEAN=$(RELEASE)/lean PACKAGE="$$(echo $(CURDIR)/dist/*.whl)"

format: $(VENV)/.tools
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/bin/python:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'edge needs Python 3.11 or newer: make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.installed: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e '.[all]'
	touch $@

$(VENV)/.tools: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

$(LEAN)/.installed: pyproject.toml
	$(PYTHON) -m venv $(LEAN)
	$(LEAN)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(LEAN)/bin/python -m pip install --quiet '$(PACKAGE)' --group lean-test
	touch $@

$(DOCS)/.installed: pyproject.toml
	test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(DOCS)/bin/python -m pip install --quiet --group docs
	touch $@

clean:
	rm -rf $(VENV) $(LEAN) $(KSERVE) $(DOCS) $(SITE) $(RELEASE) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
