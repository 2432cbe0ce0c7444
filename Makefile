# Two commands do everything on a fresh machine with Python 3.11+, pip and make:
#   make quickstart   train a small detector on synthetic scenes and draw the words it finds
#   make test         lint, types and tests (make test-fast leaves out the slow tests)
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN ?= runs/quickstart
WORKERS ?= 2
BOUNDS_TESTS ?= tests

.PHONY: install quickstart test test-fast mutants bounds constraints docs container lint clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

# Steps that are done are skipped, an interrupted one is continued; `make clean` starts over.
quickstart: install
	$(BIN)/craft synth --preset quickstart --count 320 --seed 1 --workers $(WORKERS) --out $(RUN)/train
	$(BIN)/craft synth --preset quickstart --count 50 --seed 2 --workers $(WORKERS) --out $(RUN)/unseen
	$(BIN)/craft train configs/quickstart.yaml --set data.train.0.path=$(RUN)/train --out $(RUN)/training --resume
	$(BIN)/craft detect $(RUN)/unseen --weights $(RUN)/training/best.safetensors --format icdar --draw --out $(RUN)/unseen_found
	$(BIN)/craft detect data/sample --weights $(RUN)/training/best.safetensors --format icdar --draw --out $(RUN)/sample_found
	@echo; echo "== 50 unseen synthetic scenes"
	$(BIN)/craft evaluate --detections $(RUN)/unseen_found --truth $(RUN)/unseen --protocol icdar2017
	@echo; echo "== data/sample: harder scenes, of a kind it was not trained on"
	$(BIN)/craft evaluate --detections $(RUN)/sample_found --truth data/sample --protocol icdar2017
	@echo; echo "Scenes:     $(RUN)/train, $(RUN)/unseen"
	@echo "Training:   $(RUN)/training (metrics.jsonl, maps/, best.safetensors)"
	@echo "Detections: $(RUN)/unseen_found, $(RUN)/sample_found (text files and pictures)"
	@echo "Try yours:  $(BIN)/craft detect PHOTO.jpg --weights $(RUN)/training/best.safetensors --draw --out found"
	@echo "Compare:    $(BIN)/craft compare configs/compare_quick.yaml --out runs/compare   (3 OHEM rules, 2 seeds)"

test: lint
	$(BIN)/python -m pytest -n $(WORKERS)

# The inner loop: everything but tests that train, start processes or a browser.
test-fast: lint
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow"

# Small faults planted one at a time, each of which a test should notice; hours the first time, then what has changed.
mutants: install
	$(BIN)/python benchmarks/agreement/mutants.py --write

# The documentation as a site, build/docs/index.html, with every link checked. Links between files keep their folders.
STAGED := README.md CONTRIBUTING.md LICENSE benchmarks craft configs docs tools data/README.md data/sample/README.md

docs: $(VENV)/.docs-installed
	rm -rf build/docs_source && mkdir -p build/docs_source/data/sample
	for path in $(STAGED); do ln -s "$(CURDIR)/$$path" build/docs_source/$$path || exit; done
	$(BIN)/mkdocs build --strict
	@echo "build/docs/index.html"

$(VENV)/.docs-installed: pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $$($(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['docs'])")
	touch $@

# An image with craft and what training needs: DEVICE=cpu or cuda.
DEVICE ?= cpu
container:
	@docker info >/dev/null 2>&1 || { echo "make container needs docker, which is not running here: https://docs.docker.com/get-docker"; exit 1; }
	docker build --build-arg DEVICE=$(DEVICE) --tag craft:$(DEVICE) .

# The oldest and the newest releases that pyproject.toml allows, each in an environment of its own (6 GB each on Linux).
bounds: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	for end in lowest-direct highest; do \
	  $(BIN)/uv venv --quiet --clear --seed --python $(BIN)/python $(VENV)-$$end && \
	  $(BIN)/uv pip install --quiet --python $(VENV)-$$end --resolution $$end --editable . && \
	  $(BIN)/uv pip install --quiet --python $(VENV)-$$end pytest hypothesis && \
	  $(VENV)-$$end/bin/python -m pytest -m "not slow" $(BOUNDS_TESTS) || exit 1; \
	done

# What a repeatable installation takes: pip install -c constraints.txt 'craft-ohem[dev]'
constraints: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --extra dev --no-annotate --no-header \
	  --output-file constraints.txt pyproject.toml

lint: install
	$(BIN)/ruff format --check craft tests benchmarks tools
	$(BIN)/ruff check craft tests benchmarks tools
	$(BIN)/mypy

clean:
	rm -rf $(RUN)
