# A node. Built from the checkout's root: docker build -f docker/node.Dockerfile .
ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS wheel
COPY docker/requirements-build.txt /build/
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /build/requirements-build.txt
COPY pyproject.toml hatch_build.py README.md LICENSE /build/
COPY master /build/master
COPY node /build/node
COPY shared /build/shared
RUN pip wheel --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir /wheel /build

FROM ${PYTHON}
# The folders are made here so that volumes mounted on them belong to the user.
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin maybe \
    && install -d -o maybe -g maybe -m 0700 /var/lib/maybe-node /run/maybe-node
COPY requirements.txt /tmp/
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /tmp/requirements.txt
COPY --from=wheel /wheel /tmp/wheel
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-index /tmp/wheel/*.whl
COPY docker/node-entry.sh docker/enrol.py /usr/local/lib/maybe-proxy/
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 NODE_DATA_DIR=/var/lib/maybe-node
USER maybe
# Who this node is and its copy of the proxies: a volume of its own, or one with a slot per container (NODE_SLOTS).
VOLUME /var/lib/maybe-node
EXPOSE 3006
# It ends in an exec: the agent itself gets the signals.
ENTRYPOINT ["/bin/sh", "/usr/local/lib/maybe-proxy/node-entry.sh"]
CMD ["python", "-m", "node"]
# Asks what `python -m node health` asks, whether an agent holds its lock, without starting another Python each time.
HEALTHCHECK --interval=3s --timeout=10s --start-period=60s --retries=5 \
    CMD ["sh", "-c", "! flock --nonblock --shared \"$NODE_DATA_DIR\" true"]
