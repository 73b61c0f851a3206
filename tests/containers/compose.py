"""A compose project of a test, used as an operator uses it: by docker commands, and from outside of its containers."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.launch.registry import ROOT
from tests.services.containers import docker_answers, has_image

SETTLED_S = 120.0
BASE_IMAGES = ("python:3.13-slim", "postgres:17", "rabbitmq:4-management")


def need_containers() -> None:
    """Skip the test where containers cannot run."""
    if not docker_answers():
        pytest.skip("no Docker engine answers")
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker has no compose plugin")
    if os.geteuid() != 0:
        pytest.skip("only root may kill the programs in containers")
    if missing := [image for image in BASE_IMAGES if not has_image(image, print)]:
        pytest.skip(f"these images are neither here nor can be pulled: {', '.join(missing)}")


def docker(*arguments: str) -> str:
    """Run a command of docker and return its output."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr[-3000:]}"
    return done.stdout.strip()


@dataclass
class Project:
    """A compose project, with the API on a port of this machine."""

    name: str
    files: Sequence[Path]
    api_port: int
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    env_files: Sequence[Path] = ()

    def compose(self, *arguments: str) -> str:
        """Run a command of docker compose and return its output."""
        done = self.attempt(*arguments)
        assert done.returncode == 0, f"docker compose {' '.join(arguments)}: {done.stderr[-3000:]}"
        return done.stdout.strip()

    def attempt(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command of docker compose, which may fail."""
        options = [
            *(f"--env-file={path}" for path in self.env_files),
            f"--project-name={self.name}",
            f"--project-directory={ROOT}",
            *(f"--file={path}" for path in self.files),
        ]
        environment = {**os.environ, "API_PORT": str(self.api_port), **self.environment}
        command = ["docker", "compose", *options, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def containers(self, *services: str) -> dict[str, dict[str, Any]]:
        """Return what docker knows of the running containers, by name."""
        ids = self.compose("ps", "--quiet", *services).split()
        return {each["Name"].lstrip("/"): each for each in json.loads(docker("inspect", *ids))}

    def started(self) -> dict[str, str]:
        """Return when each running container was started."""
        return {name: each["State"]["StartedAt"] for name, each in self.containers().items()}

    def get(self, path: str) -> Any:
        """Return an answer of the API."""
        return self.request("GET", path)

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Return the answer of the API to a request."""
        address = f"http://127.0.0.1:{self.api_port}{path}"
        answer = httpx.request(method, address, json=body, headers={"Prefer": "wait=20"}, trust_env=False, timeout=30)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    @property
    def gateway(self) -> str:
        """This machine's address in the network of the project."""
        [network] = json.loads(docker("network", "inspect", f"{self.name}_default"))
        return network["IPAM"]["Config"][0]["Gateway"]


@contextmanager
def origin(host: str) -> Iterator[str]:
    """Serve the word "origin" on this address, and yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"origin")

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer((host, 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://{host}:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def through(proxy: str, target: str) -> str:
    """Return what curl gets through a proxy, or its error."""
    assert shutil.which("curl")
    command = ["curl", "-sS", "--max-time", "10", "--noproxy", "", "--proxy", proxy, target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout or done.stderr


def require(condition: bool, message: str) -> None:
    """Raise an assertion with a message."""
    assert condition, message


def eventually(condition: Callable[[], object], within_s: float = SETTLED_S) -> None:
    """Wait for a condition. An error of an assertion or of HTTP within it counts as not yet."""
    end = time.monotonic() + within_s
    while True:
        try:
            condition()
            return
        except (AssertionError, httpx.HTTPError) as error:
            if time.monotonic() > end:
                raise AssertionError(f"not within {within_s} s: {error}") from error
        time.sleep(0.2)
