"""What stands beside our programs in the images: health check of the master, versions, digests of the base images."""

import os
import re
import ssl
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.launch.registry import ROOT
from tests.tls.authority import Authority

DIGEST = "sha256:" + "0123456789abcdef" * 4


@contextmanager
def answering(status: int, certificate: tuple[Path, Path] | None = None) -> Iterator[int]:
    """Answer every request with this status, over TLS if there is a certificate, and yield the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health/ready" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_master_whose_api_speaks_tls_is_healthy_too(tmp_path: Path) -> None:
    chain, key = Authority().issue(tmp_path, "master.example.net")
    with answering(200, (chain, key)) as ready:
        assert health(API_PORT=str(ready), API_TLS_CERT=str(chain)) == 0
        assert health(API_PORT=str(ready)) == 1


def health(**settings: str) -> int:
    command = [sys.executable, "-IS", str(ROOT / "docker/health.py")]
    return subprocess.run(command, env=settings, check=False).returncode


def test_a_master_is_healthy_while_it_answers_that_it_is_ready():
    with answering(200) as ready, answering(503) as not_ready:
        assert health(API_PORT=str(ready)) == 0
        assert health(API_PORT=str(ready), API_HOST="127.0.0.1") == 0
        assert health(API_PORT=str(not_ready)) == 1
    assert health(API_PORT=str(ready)) == 1


def test_the_images_are_labelled_with_the_version_of_the_project():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"ARG VERSION={version}\n" in (ROOT / "docker/Dockerfile").read_text()


def test_the_pinned_images_are_those_whose_tags_the_local_cluster_follows():
    pinned = re.findall(r"^\w+_IMAGE=([\w.:-]+)@(sha256:[0-9a-f]{64})$", images().read_text(), re.MULTILINE)
    tags = re.findall(r"^    image: ([\w.-]+:[\w.-]+)$", (ROOT / "compose.yaml").read_text(), re.MULTILINE)
    [python] = re.findall(r"^ARG PYTHON_IMAGE=(.+)$", (ROOT / "docker/Dockerfile").read_text(), re.MULTILINE)
    assert sorted(tag for tag, _ in pinned) == sorted([*tags, python])


def images() -> Path:
    return ROOT / "docker/images.env"


@pytest.fixture
def pin(tmp_path: Path):
    """Run pin-images.sh on a copy of images.env, with a docker that answers as given; yield the copy and the call."""
    copy = tmp_path / "images.env"
    copy.write_text(images().read_text())

    def run(answer: str) -> int:
        docker = tmp_path / "docker"
        docker.write_text(f"#!/bin/sh\n[ $# = 6 ] && case $4 in *@*) exit 1 ;; esac\n{answer}\n")
        docker.chmod(0o755)
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        command = ["sh", str(ROOT / "docker/pin-images.sh"), str(copy)]
        return subprocess.run(command, env=environment, check=False, capture_output=True).returncode

    return copy, run


def test_pinning_writes_the_digests_that_the_tags_have_now(pin):
    copy, run = pin
    assert run(f"echo {DIGEST}") == 0
    assert f"\nPYTHON_IMAGE=python:3.13-slim@{DIGEST}\n" in copy.read_text()
    assert copy.read_text().count(DIGEST) == 3
    assert run(f"echo {DIGEST}") == 0
    assert [path.name for path in copy.parent.iterdir() if path.name.startswith("images")] == ["images.env"]


@pytest.mark.parametrize(
    "answer", ["exit 1", "echo", "echo none", "case $4 in python*) exit 1 ;; esac; echo " + DIGEST]
)
def test_pinning_changes_nothing_when_a_digest_is_unknown(pin, answer: str):
    copy, run = pin
    assert run(answer) != 0
    assert copy.read_text() == images().read_text()
