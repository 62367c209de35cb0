# An image for each kind of node: `docker build --target door .`, or cpu, cuda, rocm, xpu. What each promises is in
# docs/containers.md, why it is made so in docs/decisions/0036.
#
# One Python minor for all: Ray refuses nodes of another. The GPUs' base images have 3.12.
ARG PYTHON=3.12
ARG PYTHON_BASE=docker.io/library/python:${PYTHON}-slim-bookworm
# These bring the vendor's torch and vLLM.
ARG VLLM=0.32.0
ARG CUDA_BASE=docker.io/vllm/vllm-openai:v${VLLM}
ARG ROCM_BASE=docker.io/vllm/vllm-openai-rocm:v${VLLM}
ARG XPU_BASE=docker.io/vllm/vllm-openai-xpu:v${VLLM}
# The locks, of requirements/, with what images have beside the door; `none` for nothing.
ARG CPU_EXTRAS=cpu
ARG GPU_EXTRAS=gpu
ARG XTTS_EXTRAS=xtts-cuda
ARG VERSION=0.1.0
ARG REVISION=unknown

# What all images share, Ray among it. As in the Makefile: locks whole, and nothing that is not in them.
FROM ${PYTHON_BASE} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_NO_DEPS=1 PIP_QUIET=1
WORKDIR /build
RUN python3 -m venv /opt/motley/env
COPY requirements/embedded.txt requirements/door.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/motley/env/bin/python -m pip install --require-hashes -r requirements/embedded.txt -r requirements/door.txt
ARG PYTHON
COPY deploy/image/settle.py deploy/image/
RUN python3 deploy/image/settle.py "${PYTHON}"

# Motley itself lies beside its packages: another version of it is another small layer, and they stay.
FROM packages AS own
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY backends backends
RUN /opt/motley/env/bin/python -m pip install --no-build-isolation --target /opt/motley/own .

FROM packages AS cpu-packages
ARG CPU_EXTRAS
COPY requirements/cpu.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip [ "${CPU_EXTRAS}" = none ] \
    || /opt/motley/env/bin/python -m pip install --require-hashes -r "requirements/${CPU_EXTRAS}.txt"

FROM packages AS gpu-packages
ARG GPU_EXTRAS
COPY requirements/gpu.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip [ "${GPU_EXTRAS}" = none ] \
    || /opt/motley/env/bin/python -m pip install --require-hashes -r "requirements/${GPU_EXTRAS}.txt"

# XTTS has an interpreter, and a torch, of its own.
FROM packages AS xtts-packages
ARG XTTS_EXTRAS
RUN python3 -m venv /opt/motley/xtts
COPY requirements/xtts-cuda.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip [ "${XTTS_EXTRAS}" = none ] \
    || /opt/motley/xtts/bin/python -m pip install --require-hashes -r "requirements/${XTTS_EXTRAS}.txt"

# The same from here to CMD in all four that follow, but for what a vendor's image lends: a test compares them. bash and
# wget are for KubeRay's probes, wget is for HEALTHCHECK too.
FROM ${PYTHON_BASE} AS slim
ARG VERSION
ARG REVISION
USER 0
RUN apt-get update && apt-get install -y --no-install-recommends bash wget && rm -rf /var/lib/apt/lists/* \
    && useradd --no-log-init --uid 10001 --home-dir /cache --no-create-home --shell /usr/sbin/nologin motley \
    && install -d -o 10001 -g 10001 /cache
COPY deploy/fleets/embedded.yaml /etc/motley/fleet.yaml
ENV PATH=/opt/motley/own/bin:/opt/motley/env/bin:${PATH} \
    HOME=/cache XDG_CACHE_HOME=/cache MOTLEY_STORE=/cache/models \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0 RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL=minor
LABEL org.opencontainers.image.title=motley \
      org.opencontainers.image.description="One OpenAI-compatible endpoint for a motley fleet of GPUs" \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=${VERSION} org.opencontainers.image.revision=${REVISION}
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=3m --retries=3 \
    CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8000/health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["motley"]
CMD ["up", "/etc/motley/fleet.yaml", "--host", "0.0.0.0"]

FROM slim AS door
COPY --from=packages /opt/motley/env /opt/motley/env
COPY --from=own /opt/motley/own /opt/motley/own

FROM slim AS cpu
COPY --from=cpu-packages /opt/motley/env /opt/motley/env
COPY --from=own /opt/motley/own /opt/motley/own

FROM ${CUDA_BASE} AS cuda
ARG PYTHON
ARG GPU_EXTRAS
ARG VERSION
ARG REVISION
USER 0
RUN apt-get update && apt-get install -y --no-install-recommends bash wget && rm -rf /var/lib/apt/lists/* \
    && useradd --no-log-init --uid 10001 --home-dir /cache --no-create-home --shell /usr/sbin/nologin motley \
    && install -d -o 10001 -g 10001 /cache
COPY deploy/fleets/embedded.yaml /etc/motley/fleet.yaml
COPY --from=xtts-packages /opt/motley/xtts /opt/motley/xtts
COPY --from=gpu-packages /opt/motley/env /opt/motley/env
COPY --from=own /opt/motley/own /opt/motley/own
RUN --mount=type=bind,source=deploy/image,target=/image python3 /image/settle.py "${PYTHON}" "${GPU_EXTRAS}"
ENV PATH=/opt/motley/own/bin:/opt/motley/env/bin:${PATH} \
    HOME=/cache XDG_CACHE_HOME=/cache MOTLEY_STORE=/cache/models \
    MOTLEY_VLLM_PYTHON=/opt/motley/vllm/bin/python MOTLEY_XTTS_PYTHON=/opt/motley/xtts/bin/python \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0 RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL=minor
LABEL org.opencontainers.image.title=motley \
      org.opencontainers.image.description="One OpenAI-compatible endpoint for a motley fleet of GPUs" \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=${VERSION} org.opencontainers.image.revision=${REVISION}
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=3m --retries=3 \
    CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8000/health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["motley"]
CMD ["up", "/etc/motley/fleet.yaml", "--host", "0.0.0.0"]

FROM ${ROCM_BASE} AS rocm
ARG PYTHON
ARG GPU_EXTRAS
ARG VERSION
ARG REVISION
USER 0
RUN apt-get update && apt-get install -y --no-install-recommends bash wget && rm -rf /var/lib/apt/lists/* \
    && useradd --no-log-init --uid 10001 --home-dir /cache --no-create-home --shell /usr/sbin/nologin motley \
    && install -d -o 10001 -g 10001 /cache
COPY deploy/fleets/embedded.yaml /etc/motley/fleet.yaml
COPY --from=gpu-packages /opt/motley/env /opt/motley/env
COPY --from=own /opt/motley/own /opt/motley/own
RUN --mount=type=bind,source=deploy/image,target=/image python3 /image/settle.py "${PYTHON}" "${GPU_EXTRAS}"
ENV PATH=/opt/motley/own/bin:/opt/motley/env/bin:${PATH} \
    HOME=/cache XDG_CACHE_HOME=/cache MOTLEY_STORE=/cache/models \
    MOTLEY_VLLM_PYTHON=/opt/motley/vllm/bin/python \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0 RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL=minor
LABEL org.opencontainers.image.title=motley \
      org.opencontainers.image.description="One OpenAI-compatible endpoint for a motley fleet of GPUs" \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=${VERSION} org.opencontainers.image.revision=${REVISION}
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=3m --retries=3 \
    CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8000/health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["motley"]
CMD ["up", "/etc/motley/fleet.yaml", "--host", "0.0.0.0"]

FROM ${XPU_BASE} AS xpu
ARG PYTHON
ARG GPU_EXTRAS
ARG VERSION
ARG REVISION
USER 0
RUN apt-get update && apt-get install -y --no-install-recommends bash wget && rm -rf /var/lib/apt/lists/* \
    && useradd --no-log-init --uid 10001 --home-dir /cache --no-create-home --shell /usr/sbin/nologin motley \
    && install -d -o 10001 -g 10001 /cache
COPY deploy/fleets/embedded.yaml /etc/motley/fleet.yaml
COPY --from=gpu-packages /opt/motley/env /opt/motley/env
COPY --from=own /opt/motley/own /opt/motley/own
RUN --mount=type=bind,source=deploy/image,target=/image python3 /image/settle.py "${PYTHON}" "${GPU_EXTRAS}"
ENV PATH=/opt/motley/own/bin:/opt/motley/env/bin:${PATH} \
    HOME=/cache XDG_CACHE_HOME=/cache MOTLEY_STORE=/cache/models \
    MOTLEY_VLLM_PYTHON=/opt/motley/vllm/bin/python \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0 RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL=minor
LABEL org.opencontainers.image.title=motley \
      org.opencontainers.image.description="One OpenAI-compatible endpoint for a motley fleet of GPUs" \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.version=${VERSION} org.opencontainers.image.revision=${REVISION}
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=3m --retries=3 \
    CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8000/health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["motley"]
CMD ["up", "/etc/motley/fleet.yaml", "--host", "0.0.0.0"]
