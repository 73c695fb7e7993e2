# GC ViT from Scratch. Every target makes .venv first when it is missing; `make` alone lists them.
#
# PYTHON=/path/to/python3.12 names the Python to build .venv with (3.11 or newer); left out, one is found.

PY := .venv/bin/python
STAMP := .venv/.installed
PORT ?= 8000
# Sphinx builds only the pages that changed. All are built when something changed that all of them use, and
# after a failure, whose warnings would not be given again.
BUILT := _build/.built
WHOLE_BOOK := _config.yml _toc.yml requirements.lock book/_ext book/_static
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout=300 --nbval-sanitize-with tests/nbval_sanitize.cfg

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Chapters must say the same on every machine: no colours in outputs, no editor's settings.
unexport PYTHONPATH FORCE_COLOR MPLBACKEND MPLCONFIGDIR

.DEFAULT_GOAL := help
.PHONY: help book serve lab test mutants browser notebooks citations format lock student address clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## /\1	/p' Makefile | while IFS='	' read -r name text; do \
		printf '  make %-10s %s\n' "$$name" "$$text"; done

book: $(STAMP) ## build the book from the stored outputs
	@all=$$([ -e $(BUILT) ] && [ -z "$$(find $(WHOLE_BOOK) -type f ! -name '*.pyc' -newer $(BUILT))" ] || echo --all); \
	rm -f $(BUILT); \
	.venv/bin/jupyter-book build . -W -n --keep-going $$all && touch $(BUILT)
	@echo
	@echo "The book is at file://$(CURDIR)/_build/html/index.html (make serve shows it on localhost)."

serve: book ## build the book and show it on http://localhost:8000 (another port: PORT=9000)
	@echo "The book is on http://localhost:$(PORT)/ until you press Ctrl-C."
	@$(PY) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

lab: $(STAMP) ## open the chapters in JupyterLab (its options: LAB="--no-browser --port 9000")
	$(PY) -m jupyterlab $(LAB) book

test: $(STAMP) ## style, unit tests, then every chapter run again and compared with its stored outputs
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pytest tests --ignore-glob='tests/test_browser*.py' -n 2 --dist worksteal
	$(PY) -m pytest $(NBVAL) -p tests.nbval_strict book/*.ipynb

mutants: $(STAMP) ## change one thing at a time in copies of the project; a test or a proof card must turn red
	$(PY) tests/mutate.py

browser: $(STAMP) ## look at the built book in headless Chromium (needs `make book` and Debian's chromium)
	GCVIT_EDU_REQUIRE_BROWSER=1 $(PY) -m pytest tests/test_browser*.py

notebooks: $(STAMP) ## run chapters and store their outputs (one chapter: CHAPTERS=book/NAME.ipynb)
	$(PY) book/_ext/execute.py $(CHAPTERS)

citations: $(STAMP) ## write every citation of the chapters as references.bib has it
	$(PY) book/_ext/citations.py

format: $(STAMP) ## let ruff repair the style of code and chapters
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

lock: $(STAMP) ## resolve the exact versions again (keeps those that still fit; UPGRADE=--upgrade moves all)
	$(PY) -m uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 $(UPGRADE) \
		--no-emit-index-url --no-emit-find-links --no-annotate --quiet \
		--custom-compile-command "make lock" --output-file requirements.lock

student: $(STAMP) ## write a copy without solutions, for a course, to _build/student (elsewhere: DIR=FOLDER)
	@$(PY) book/_ext/student.py "$(DIR)"

address: $(STAMP) ## name another repository: make address URL=https://github.com/you/fork BRANCH=main
	@$(PY) book/_ext/address.py "$(URL)" "$(BRANCH)"

clean: ## remove the built book and all caches; .venv stays
	rm -rf _build dist
	find . -name .venv -prune -o \( -name __pycache__ -o -name .ruff_cache -o -name .ipynb_checkpoints \) \
		-prune -exec rm -rf {} +

# ---------------------------------------------------------------------------------------------------- .venv
# The stamp is written last, so an interrupted install is done again. It holds the folder's name: the
# commands of a .venv that was moved or copied would still run in the old place, so that one is made anew.
# One whose Python was uninstalled is made anew, too.

ifneq ($(shell $(PY) -V >/dev/null 2>&1 && cat $(STAMP) 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

$(STAMP): requirements.lock pyproject.toml
	@if [ -e $(STAMP) ] && [ "$$(cat $(STAMP))" != "$(CURDIR)" ]; then rm -rf .venv; fi
	@$(PY) -m pip --version >/dev/null 2>&1 || { $(MAKE_VENV); }
	@echo "Installing the packages of requirements.lock into .venv (several GB the first time) ..."
	@$(PY) -m pip install -q -r requirements.lock
	@$(PY) -m pip install -q --no-deps --no-build-isolation -e .
	@echo "$(CURDIR)" > $(STAMP)

# Candidates are run, not looked up: the shims of pyenv exist for versions that are not there.
define MAKE_VENV
rm -rf .venv; found=; bare=; \
for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		if "$$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then found=$$candidate; break; fi; \
		bare=$$candidate; \
	fi; \
done; \
if [ -z "$$found" ] && [ -n "$$bare" ]; then \
	echo "$$bare cannot make virtual environments; on Debian or Ubuntu: apt-get install python3-venv" >&2; \
	exit 1; \
elif [ -z "$$found" ]; then \
	echo "no Python 3.11 or newer was found; install one, or name it: make PYTHON=/path/to/python3.12" >&2; \
	exit 1; \
fi; \
echo "Making .venv with $$found ..."; "$$found" -m venv .venv
endef
