# Everything a newcomer needs: `make demo` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test lint types imports document words check-document check-wheel coverage branches mutants swarm bench clean

demo: $(VENV)/run
	$(BIN)/chat-sim run sim/scenarios/the-story.yaml

# Tests that wait for programs on real sockets and terminals: they share the machine only with each other, because some
# expect something within a time. All other tests only compute, and are run before them.
# Not the longest files first, which are the judge's: two of them at a time leave a judge's pauses between two pieces of a
# request too short. Of the tests that only compute they come first, so that no process waits for the last of them.
LONGEST = $(addprefix tests/,docs interleavings sim/swarm engine/test_total.py sim/test_scenarios.py tools explore view)
REAL_TIME = tests/judge tests/cli/test_sockets.py tests/cli/test_client_comes_back.py tests/net tests/live tests/interop \
  tests/deploy $(addprefix tests/cli/test_,chat_session.py client.py client_languages.py client_plain.py conform.py \
    console.py control.py dask_workers.py listen.py output.py server.py settings.py step.py summary.py)

test: $(VENV)/dev
	$(BIN)/python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder $(addprefix --ignore=,$(REAL_TIME)) \
	  $(LONGEST) tests
	$(BIN)/python -m pytest -q -n 2 --dist loadfile $(REAL_TIME)

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev
	$(BIN)/mypy

imports: $(VENV)/dev
	$(BIN)/lint-imports

document: $(VENV)/run
	$(BIN)/python -m tools.protocol_document write
	$(BIN)/python -m tools.generated write

# Draws docs/run.svg, the picture in the README, and docs/view.svg and view.png from runs of the current code.
.PHONY: picture
picture: $(VENV)/dev
	$(BIN)/python -m tools.picture write
	$(BIN)/python -m tools.view_pictures write

# The documents as a site in .site/; a broken link is an error. To read it: python -m http.server -d .site
.PHONY: site
site: $(VENV)/dev
	$(BIN)/python -m mkdocs build --quiet --strict

# Brings the Japanese catalogue up to date with the texts in the code, and compiles it.
words: $(VENV)/dev
	$(BIN)/pybabel -q extract -k _ --no-default-keywords --sort-by-file --no-location -o $(VENV)/tcrp.pot cli/tcrp/cli
	$(BIN)/pybabel -q update -D tcrp -d cli/tcrp/cli/locale -i $(VENV)/tcrp.pot -w 120 --no-fuzzy-matching --ignore-pot-creation-date
	$(BIN)/pybabel -q compile -D tcrp -d cli/tcrp/cli/locale

check-document: $(VENV)/run
	$(BIN)/python -m tools.protocol_document check
	$(BIN)/python -m tools.generated check

coverage: $(VENV)/run
	$(BIN)/chat-sim coverage sim/scenarios

# Fails if random scenarios take less than 98 % of the branches of the server's engine. One in four is compared with the
# reference server, which takes as long as all other checks together.
branches: $(VENV)/dev
	$(BIN)/chat-sim swarm --coverage --runs 2500 --reference-every 4

# The built wheel, in an environment of its own and away from the clone: all three programs, and their data.
check-wheel: $(VENV)/dev
	rm -rf dist $(VENV)-wheel
	$(BIN)/python -m build --quiet --wheel
	$(PYTHON) -m venv $(VENV)-wheel
	$(VENV)-wheel/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	cd / && "$(CURDIR)/$(VENV)-wheel/bin/chat-sim" run --format quiet "$(CURDIR)/sim/scenarios/the-story.yaml"
	cd $(VENV)-wheel && bin/chat-sim new mine && bin/chat-sim new its-story --like cut
	cd $(VENV)-wheel && bin/chat-sim run mine.yaml its-story.yaml && bin/chat-sim explain R-TOK-4 > /dev/null
	cd $(VENV)-wheel && mkdir runs && cp mine.yaml runs && bin/chat-sim show mine.yaml -o mine.html
	cd $(VENV)-wheel && bin/chat-sim report runs > /dev/null && test -s runs/report.xml
	cd $(VENV)-wheel && test -f "$$(sed -n 's|.*$$schema=file://||p' mine.yaml)"
	cd / && "$(CURDIR)/$(VENV)-wheel/bin/chat-server" --dialect name-port --print-config > /dev/null
	cd / && LANG=ja_JP.UTF-8 "$(CURDIR)/$(VENV)-wheel/bin/chat-client" --help | grep --quiet 部屋
	cd / && "$(CURDIR)/$(VENV)-wheel/bin/chat-sim" run --sockets "$(CURDIR)/sim/scenarios/a-relay-too-long-for-one-form-reaches-the-others.yaml"
	$(BIN)/python -m tools.installed $(VENV)-wheel/bin > /dev/null
	rm -rf $(VENV)-wheel

# The wheel whose core is compiled by mypyc, in dist/. Needs a C compiler and Python's headers.
.PHONY: wheel-compiled
wheel-compiled: $(VENV)/dev
	rm -rf dist
	TCRP_COMPILED=1 $(BIN)/python -m build --quiet --wheel --no-isolation

# It, in an environment of its own without anything else: in an empty folder the story runs, and a server carries a chat.
.PHONY: check-wheel-compiled
check-wheel-compiled: wheel-compiled
	$(PYTHON) -m venv --clear $(VENV)-wheel
	$(VENV)-wheel/bin/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	cd / && "$(CURDIR)/$(VENV)-wheel/bin/chat-sim" --version | grep --quiet '(compiled)'
	$(BIN)/python -m tools.installed $(VENV)-wheel/bin > /dev/null
	rm -rf $(VENV)-wheel

# It, in an environment of its own, with what the tests need.
COMPILED = $(VENV)-compiled
.PHONY: compiled-environment
compiled-environment: wheel-compiled
	$(PYTHON) -m venv --clear $(COMPILED)
	$(COMPILED)/bin/python -m pip install --quiet --disable-pip-version-check "$$(ls dist/*.whl)[dev]"
	cd / && "$(CURDIR)/$(COMPILED)/bin/chat-sim" --version | grep --quiet '(compiled)'

# Both builds give the same traces of all scenarios and of random ones, and pass all tests.
.PHONY: test-compiled
test-compiled: compiled-environment
	$(BIN)/python tools/digests.py --random 1000 > $(COMPILED)/digests-pure
	$(COMPILED)/bin/python tools/digests.py --random 1000 > $(COMPILED)/digests-compiled
	cmp $(COMPILED)/digests-pure $(COMPILED)/digests-compiled
	$(COMPILED)/bin/python -m pytest -q -n auto --dist loadfile -o 'pythonpath=. tests' $(addprefix --ignore=,$(REAL_TIME))
	$(COMPILED)/bin/python -m pytest -q -n 2 --dist loadfile -o 'pythonpath=. tests' $(REAL_TIME)

# The core compiled in a hurry gives the traces of the sources. Needs no environment of its own.
QUICKLY = .compiled
.PHONY: check-compiled
check-compiled: $(VENV)/dev
	TCRP_OPTIMIZE=0 $(BIN)/python -m tools.compiled $(QUICKLY)
	PYTHONPATH=$(QUICKLY) $(BIN)/chat-sim --version | grep --quiet '(compiled)'
	$(BIN)/python tools/digests.py --random 20 > $(QUICKLY)/digests-pure
	PYTHONPATH=$(QUICKLY) $(BIN)/python tools/digests.py --random 20 > $(QUICKLY)/digests-compiled
	cmp $(QUICKLY)/digests-pure $(QUICKLY)/digests-compiled

# Changes one thing at a time in spec, engine and the simulator's judging parts, and reports what neither the
# tests nor a swarm noticed. An interrupted run goes on where it was.
MODULES ?=
mutants: $(VENV)/dev
	$(BIN)/python -m tools.mutants --jobs 2 --swarm 500 --resume .mutants.jsonl $(MODULES)

# Explores the scenarios in sim/proofs/ on all cores and writes what that proves to spec/proved.json; takes an hour.
.PHONY: prove
prove: $(VENV)/run
	$(BIN)/python -m tools.prove

# Twenty times as many random examples as the gate has, for those tests that draw them; takes long.
.PHONY: fuzz
fuzz: $(VENV)/dev
	TCRP_EXAMPLES_TIMES=20 $(BIN)/python -m pytest -q -n auto tests/engine tests/trace tests/cluster tests/spec \
	  tests/sim/scenario/test_reader.py tests/sim/hosts

# Takes hours on two cores (docs/performance.md has the speed); failures are kept in swarm-failures/.
swarm: $(VENV)/run
	$(BIN)/chat-sim swarm --runs 1000000

bench: $(VENV)/dev
	$(BIN)/python -m bench
	$(BIN)/python -m bench.swarm
	$(BIN)/python -m bench.explore
	$(BIN)/python -m bench.sockets

# Draws the curves of docs/performance.md.
.PHONY: plots
plots: $(VENV)/dev
	$(BIN)/python -m bench.curves

# Draws the flame graph of now.
.PHONY: flames
flames: $(VENV)/dev
	$(PIP) "py-spy>=0.4"
	$(BIN)/python -m bench.flames docs/performance-flame-now.svg

# Recreate the environment if a different or too old Python created it.
NEW_ENOUGH = import sys; sys.exit(sys.version_info < (3, 11))
define environment
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { echo "tcrp needs Python 3.11 or newer, but $(PYTHON) is" \
		"$$($(PYTHON) --version 2>&1). If another is installed: make $@ PYTHON=python3.12" >&2; exit 1; }
	$(BIN)/python -c '$(NEW_ENOUGH)' 2> /dev/null || $(PYTHON) -m venv --clear $(VENV)
endef

$(VENV)/run: pyproject.toml
	$(environment)
	$(PIP) --editable '.[view,watch,judge]'
	touch $@

$(VENV)/dev: pyproject.toml
	$(environment)
	$(PIP) --editable '.[dev]'
	touch $@ $(VENV)/run

clean:
	rm -rf $(VENV) $(VENV)-wheel $(COMPILED) $(QUICKLY) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
