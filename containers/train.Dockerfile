# All of edge, to train, export and measure. docs/containers.md says how it is run.
#   docker build -f containers/train.Dockerfile -t edge-train .
ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS build
ARG EXTRAS=all
# Where torch comes from decides whether CUDA comes along: several GB, of use only beside an NVIDIA card.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
COPY . /src/
RUN python -m venv --without-pip /opt/edge && \
    python -m pip --python /opt/edge/bin/python install --no-cache-dir "/src[${EXTRAS}]"

FROM ${PYTHON}
COPY --from=build /opt/edge /opt/edge
# LOGNAME: torch asks what the user is called, and whom `--user 1000:1000` names has no name here.
ENV PATH=/opt/edge/bin:$PATH PYTHONDONTWRITEBYTECODE=1 HOME=/tmp LOGNAME=edge MPLCONFIGDIR=/tmp/matplotlib \
    EDGE_CACHE=/cache TORCH_HOME=/cache/torch HF_HOME=/cache/huggingface
RUN mkdir -m 1777 /cache
VOLUME /cache
WORKDIR /work
USER 65532:65532
ENTRYPOINT ["/opt/edge/bin/edge"]
CMD ["--help"]
