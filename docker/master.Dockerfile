# The master. Built from the checkout's root: docker build -f docker/master.Dockerfile .
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
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin maybe
COPY requirements.txt /tmp/
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /tmp/requirements.txt
COPY --from=wheel /wheel /tmp/wheel
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-index /tmp/wheel/*.whl
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER maybe
EXPOSE 3005
# The exec form: the program itself gets the signals.
CMD ["python", "-m", "master"]
HEALTHCHECK --interval=3s --timeout=10s --start-period=60s --retries=5 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ.get(\"API_PORT\") or 3005}/health/ready', timeout=9)"]
