# Every target creates .venv and installs what it needs.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
RUN     = work_dirs/quickstart
# More than four processes need more memory than laptops have.
PYTEST  = $(BIN)/python -m pytest -n auto --maxprocesses 4

.PHONY: install quickstart test test-slow check docs bench clean chromium

install: $(VENV)/.installed

$(VENV)/.installed: setup.cfg requirements.lock tools/install.sh
	PYTHON=$(PYTHON) VENV=$(VENV) sh tools/install.sh

quickstart: install
	$(BIN)/python tools/train.py configs/quickstart.py --data sample --work-dir $(RUN) --resume
	$(BIN)/python tools/predict.py $(RUN)/best.pth sample --out $(RUN)/images --threshold 0.5 --force
	$(BIN)/python tools/video.py $(RUN)/best.pth sample --out $(RUN)/video.mp4 --threshold 0.5 --force
	@echo
	@sed 's|^log .*|&\nimages      $(RUN)/images\nvideo       $(RUN)/video.mp4|' $(RUN)/summary.txt

test: install
	$(PYTEST)

test-slow: install chromium
	$(PYTEST) -m slow

# For the tests in a browser, which are skipped with the reason where it cannot be installed.
chromium:
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && apt-get update -q && apt-get install -y -q chromium; } \
	  || echo "no chromium: the tests in a browser are skipped" >&2

check: install
	$(BIN)/flake8 detkit tools tests configs benchmarks
	$(BIN)/isort --check-only detkit tools tests configs benchmarks
	$(BIN)/mypy

# Into build/docs; a warning is an error.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

$(VENV)/.installed-docs: $(VENV)/.installed requirements-docs.lock
	PYTHON=$(PYTHON) VENV=$(VENV) sh tools/install.sh docs

bench: install
	$(BIN)/python benchmarks/bench_roi_align.py
	$(BIN)/python benchmarks/bench_backbones.py
	$(BIN)/python benchmarks/bench_classifiers.py
	$(BIN)/python benchmarks/bench_busy.py

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache
