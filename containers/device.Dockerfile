# What a device needs to classify and to serve: no torch, for amd64 and arm64. docs/containers.md says how it is run.
#   docker build -f containers/device.Dockerfile -t edge-device .
ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS build
ARG EXTRAS=serve,sign
COPY . /src/
# The environment has no pip of its own: nothing is installed on a device later.
RUN python -m venv --without-pip /opt/edge && \
    python -m pip --python /opt/edge/bin/python install --no-cache-dir "/src[${EXTRAS}]"

FROM ${PYTHON}
COPY --from=build /opt/edge /opt/edge
ENV PATH=/opt/edge/bin:$PATH PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=2 HOME=/tmp EDGE_CACHE=/tmp/edge
WORKDIR /work
USER 65532:65532
EXPOSE 8000
ENTRYPOINT ["/opt/edge/bin/edge"]
CMD ["--help"]
