# Three images: `docker build --target operator .`, and so `trainer` and `payload` (launcher and SDK for images of people's own).
#
# BASE is any image with python3 (3.11 or newer, with venv) and a C library as new as Debian 12's. Not 3.12: its JSON
# decoder goes no deeper than 1,500 levels, and one manifest of that depth would keep the operator from listing any.
# TORCH is an image made FROM that base with torch in the environment /opt/trainyard, for builds of other vendors.
# Where a proxy signs TLS anew: --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt (it stays out of the images).
# What is installed stands in /opt/trainyard/sbom.cdx.json (CycloneDX).
ARG BASE=python:3.13.14-slim-bookworm@sha256:67a1e1f215ccda113cfc024e8639049257e88f273898f595b61476d128d387e8
ARG TORCH=torch

FROM ${BASE} AS base
ENV PATH=/opt/trainyard/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN groupadd --gid 65532 trainyard \
 && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin trainyard

# --- what builds, and is in no image ---

FROM base AS tools
COPY requirements/image.txt /requirements.txt
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache/pip \
    if [ -f /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
 && python3 -m venv /tools && /tools/bin/pip install --quiet --disable-pip-version-check --require-hashes -r /requirements.txt
# `install`: pinned packages with their checksums, nothing else; a layer of its own for each call.
RUN printf '%s\n' '#!/bin/sh' 'set -eu' \
    'if [ -f /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi' \
    'export UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_PYTHON=/opt/trainyard/bin/python' \
    '[ -e $UV_PYTHON ] || /tools/bin/uv venv --quiet --python "$(command -v python3)" /opt/trainyard' \
    'exec /tools/bin/uv pip install --quiet --compile-bytecode --no-deps "$@"' > /tools/bin/install \
 && chmod 755 /tools/bin/install

FROM tools AS wheel
WORKDIR /source
COPY . .
RUN /tools/bin/hatchling build --target wheel --directory /wheel

# --- operator ---

FROM base AS operator
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache/uv --mount=from=tools,source=/tools,target=/tools \
    --mount=source=requirements,target=/requirements \
    /tools/bin/install --require-hashes -r /requirements/operator.txt
RUN --mount=from=tools,source=/tools,target=/tools --mount=from=wheel,source=/wheel,target=/wheel \
    /tools/bin/install --no-cache --offline /wheel/*.whl \
 && /tools/bin/cyclonedx-py environment --output-reproducible --output-file /opt/trainyard/sbom.cdx.json /opt/trainyard/bin/python
USER 65532:65532
ENTRYPOINT ["python", "-m", "trainyard_operator"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="trainyard-operator" \
      org.opencontainers.image.description="Runs TrainingJobs on a Kubernetes cluster" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# --- payload: what an init container brings into an image that has only Python and torch; see trainyard_launcher/payload ---

FROM base AS payload
# uv's cache is in the same file system, so that it links files instead of copying them, and gone at the end.
RUN --mount=type=secret,id=ca --mount=from=tools,source=/tools,target=/tools --mount=source=requirements,target=/requirements \
    --mount=source=trainer/trainyard_launcher/payload/packages.py,target=/packages.py \
    if [ -f /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi \
 && export PATH=$PATH:/tools/bin UV_PYTHON_DOWNLOADS=never UV_CACHE_DIR=/cache \
 && uv venv --quiet --python "$(command -v python3)" /opt/trainyard \
 && python /packages.py /requirements/payload.txt /opt/trainyard/payload 3.11 3.12 3.13 3.14 \
 && rm -r /cache \
 && cyclonedx-py requirements --output-reproducible --output-file /opt/trainyard/sbom.cdx.json /requirements/payload.txt
RUN --mount=from=tools,source=/tools,target=/tools --mount=from=wheel,source=/wheel,target=/wheel \
    /tools/bin/install --no-cache --offline /wheel/*.whl
USER 65532:65532
ENTRYPOINT ["python", "-m", "trainyard_launcher.payload"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="trainyard-payload" \
      org.opencontainers.image.description="Launcher and SDK for images that have only Python and torch" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# --- trainer: the base, torch, what else is installed, our code: a change of the last moves a megabyte ---

FROM base AS torch
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache/uv --mount=from=tools,source=/tools,target=/tools \
    --mount=source=requirements,target=/requirements \
    /tools/bin/install --require-hashes -r /requirements/torch.txt

FROM ${TORCH} AS trainer
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache/uv --mount=from=tools,source=/tools,target=/tools \
    --mount=source=requirements,target=/requirements \
    /tools/bin/install --require-hashes -r /requirements/trainer.txt
RUN --mount=from=tools,source=/tools,target=/tools --mount=from=wheel,source=/wheel,target=/wheel \
    /tools/bin/install --no-cache --offline /wheel/*.whl \
 && /tools/bin/cyclonedx-py environment --output-reproducible --output-file /opt/trainyard/sbom.cdx.json /opt/trainyard/bin/python
USER 65532:65532
ENTRYPOINT ["python", "-m", "trainyard_launcher"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="trainyard-trainer" \
      org.opencontainers.image.description="Prepares data, trains under torchrun, evaluates, exports and serves" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
