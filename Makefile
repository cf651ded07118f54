# make demo | test | lint | types | bench | fuzz | pi   each makes .venv first; Python >= 3.11 and make are all they need
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-fast test-trackers test-ray test-servers test-lean lint types bench benchmarks-table fuzz pi format clean

demo: $(VENV)/.installed
	$(BIN)/edge demo

# Two processes, each file's tests in one of them, the long files of the commands first; WORKERS=0 runs all in one.
WORKERS ?= 2
test: $(VENV)/.tools
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# Without the tests marked slow.
test-fast: $(VENV)/.tools
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not slow"

# The trackers and the notebook, whose packages no other test needs; in the whole suite their tests are skipped.
test-trackers: $(VENV)/.tools
	$(BIN)/python -m pip install --quiet --group trackers-test --group notebook-test
	$(BIN)/pytest tests/train/trackers tests/python/test_notebook.py

# Ray, whose packages no other test needs, and the nodes of torchrun: what takes several machines, on this one.
test-ray: $(VENV)/.tools
	$(BIN)/python -m pip install --quiet --group ray-test
	EDGE_TEST_NODES=1 $(BIN)/pytest tests/benchmarks/tuning/test_ray_engine.py tests/train/run/test_torchrun_job.py

# KServe's own server, in an environment of its own, asked beside edge serve.
KSERVE ?= .venv-kserve
test-servers: $(VENV)/.tools
	test -x $(KSERVE)/bin/python || $(PYTHON) -m venv $(KSERVE)
	$(KSERVE)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(KSERVE)/bin/python -m pip install --quiet --group kserve-test
	EDGE_TEST_KSERVE=$(abspath $(KSERVE))/bin/python $(BIN)/pytest tests/serve/api/test_kserve_server.py

# What a Raspberry Pi gets: the base install alone, and the tests that need no torch.
LEAN ?= .venv-lean
test-lean: $(LEAN)/.installed
	$(LEAN)/bin/python -c "import importlib.util as u; assert u.find_spec('torch') is None, 'torch is here'"
	$(LEAN)/bin/pytest tests/runtime tests/data tests/benchmarks tests/cli tests/python tests/house tests/lean tests/end_to_end/test_predict*.py tests/end_to_end/test_watch.py
	$(LEAN)/bin/python -m pip install --quiet '.[serve]'
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
	$(LEAN)/bin/python -m pip install --quiet . --group lean-test
	touch $@

clean:
	rm -rf $(VENV) $(LEAN) $(KSERVE) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
