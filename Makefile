# Two commands do everything on a fresh machine with Python 3.11+, pip and make:
#   make quickstart   learn to find text in synthetic scenes, and draw what was found
#   make test         lint, types and tests
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN ?= runs/quickstart
WORKERS ?= 2

.PHONY: install quickstart test clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

# Every step is skipped, or continued, where it was done before; `make clean` starts over.
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

test: install
	$(BIN)/ruff format --check craft tests benchmarks
	$(BIN)/ruff check craft tests benchmarks
	$(BIN)/mypy
	$(BIN)/python -m pytest -n $(WORKERS)

clean:
	rm -rf $(RUN)
