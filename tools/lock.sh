#!/bin/sh
# Pin and hash every package of every environment. UV names the uv to use.
set -eu
compile() { "$UV" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate "$@"; }

compile pyproject.toml requirements/install.in -o requirements/embedded.txt
compile requirements/models.in --no-deps >> requirements/embedded.txt
compile requirements/dev.in -c requirements/embedded.txt -o requirements/dev.txt
# The images: any Python from 3.11 on. Torch is the base image's.
compile requirements/door.in -c requirements/embedded.txt -o requirements/door.txt
compile requirements/cpu.in -c requirements/embedded.txt -c requirements/door.txt -o requirements/cpu.txt
compile requirements/gpu.in -c requirements/embedded.txt -c requirements/door.txt \
  --override requirements/gpu-overrides.txt -o requirements/gpu.txt
compile requirements/xtts-cuda.in -o requirements/xtts-cuda.txt
compile requirements/clients.in -o requirements/clients.txt
compile requirements/cohere.in -o requirements/cohere.txt
compile requirements/litellm.in -o requirements/litellm.txt
compile requirements/wyoming.in -o requirements/wyoming.txt
compile requirements/docs.in -o requirements/docs.txt
# vLLM's CPU build, for tests: Python 3.11 on Linux only, because its torch is.
"$UV" pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate \
  --override requirements/vllm-overrides.txt requirements/vllm.in -o requirements/vllm.txt
# Torch and transformers beside the tools for tests, likewise.
"$UV" pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate \
  --override requirements/vllm-overrides.txt -c requirements/embedded.txt -c requirements/dev.txt \
  requirements/torch.in -o requirements/torch.txt
# XTTS with the same CPU build of torch, for tests.
"$UV" pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate \
  requirements/xtts.in -o requirements/xtts.txt
# infinity on the same CPU build of torch, for bench/vectors.
"$UV" pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate \
  --override requirements/vllm-overrides.txt requirements/infinity.in -o requirements/infinity.txt
