# Two commands for people: `make demo` and `make test`. Each makes .venv when it is missing or stale.
# `make docs` builds the site into site/, `make bench` measures speed (quarter of an hour),
# `make fuzz` damages sources of every format, 2 000 each.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test browser docs bench lint format fuzz clean

demo: .venv/installed
	$(BIN)/shapmix demo

test: .venv/installed lint browser
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Pages are tested in the system's Chromium. Where this may install it (root on Debian, a container),
# it does; elsewhere these tests are skipped and say so.
browser:
	@command -v chromium > /dev/null || { \
	test "$$(id -u)" = 0 && command -v apt-get > /dev/null && echo "installing chromium" && \
	apt-get -qq update > /dev/null && DEBIAN_FRONTEND=noninteractive \
	apt-get -qq install -y --no-install-recommends chromium > /dev/null 2>&1; } || \
	echo "no Chromium: the tests in a browser will be skipped"

docs: .venv/installed
	$(BIN)/mkdocs build --strict

bench: .venv/installed
	$(BIN)/python benchmarks/speed.py

fuzz: .venv/installed
	SHAPMIX_FUZZ_INPUTS=2000 $(BIN)/python -m pytest -n 2 tests/data/importers/test_fuzz.py

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf site .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis runs
