# torch for nodes without GPUs: as the main Dockerfile installs it, but for NVIDIA's libraries, which are 3 GB.
# TOOLS and BASE are its stages of these names.
ARG TOOLS
ARG BASE

FROM ${TOOLS} AS tools

FROM ${BASE} AS torch
RUN --mount=type=secret,id=ca --mount=type=cache,target=/root/.cache/uv --mount=from=tools,source=/tools,target=/tools \
    --mount=source=requirements,target=/requirements \
    awk '/^[a-z]/ {skip = /^(nvidia-|cuda-|triton)/ && !/^nvidia-cuda-runtime/} !skip' /requirements/torch.txt > /tmp/torch.txt \
 && /tools/bin/install --require-hashes -r /tmp/torch.txt && rm /tmp/torch.txt

FROM torch AS stand-ins
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc binutils > /dev/null
RUN --mount=source=e2e/images/stand_ins.py,target=/stand_ins.py \
    mkdir /stand-ins && python /stand_ins.py /opt/trainyard/lib/python3*/site-packages/torch/lib /stand-ins

FROM torch
RUN --mount=from=stand-ins,source=/stand-ins,target=/stand-ins \
    cp /stand-ins/* /opt/trainyard/lib/python3*/site-packages/torch/lib && python -c 'import torch; assert not torch.cuda.is_available()'
