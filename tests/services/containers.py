"""Services in Docker containers, by testcontainers."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.launch.patience import EVERY_S
from tests.services.ports import HOST
from tests.services.programs import ProgramError

INFO_S = 10.0
PULL_S = 900.0


def docker_answers() -> bool:
    """Whether a Docker engine can be used."""
    if not shutil.which("docker"):
        return False
    try:
        return _docker("info", timeout_s=INFO_S).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def has_image(image: str, report: Callable[[str], None]) -> bool:
    """Whether the image exists, or can be pulled now."""
    return _docker("image", "inspect", image).returncode == 0 or _pulled(image, report)


def _pulled(image: str, report: Callable[[str], None]) -> bool:
    report(f"pulling {image} by Docker")
    quiet = subprocess.DEVNULL
    with subprocess.Popen(["docker", "pull", "-q", image], stdin=quiet, stdout=quiet, stderr=quiet) as pulling:
        for waited_s in range(int(EVERY_S), int(PULL_S), int(EVERY_S)):
            try:
                return pulling.wait(EVERY_S) == 0
            except subprocess.TimeoutExpired:
                report(f"still pulling {image}: {waited_s} s")
        pulling.kill()
    return False


def _docker(*arguments: str, timeout_s: float | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["docker", *arguments], capture_output=True, check=False, timeout=timeout_s)


@dataclass
class Container:
    """A container with fixed ports on 127.0.0.1. Its data lives as long as the container, or in `folders`."""

    name: str
    image: str
    log: Path
    ports: Mapping[int, int]
    """Ports of this machine by ports in the container."""
    environment: Mapping[str, str] = field(repr=False)
    folders: Mapping[Path, str]
    """Paths in the container by folders of this machine."""
    files: Mapping[Path, str] = field(default_factory=dict[Path, str])
    """Paths in the container by read-only files of this machine."""
    command: str = ""
    label: str = ""
    client: object = field(default=None, init=False)
    follower: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def pid(self) -> int | None:
        state = self._state()
        return int(state["Pid"]) or None if state else None

    @property
    def is_running(self) -> bool:
        state = self._state()
        return bool(state and state["Running"])

    def _state(self) -> Mapping[str, int] | None:
        if self.client is None:
            return None
        container = self.client.get_wrapped_container()
        container.reload()
        return container.attrs["State"]

    async def start(self) -> None:
        """Create or start the container. Raises ProgramError when Docker refuses."""
        await self._ask("start", self._create_or_start)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = ["docker", "logs", "--follow", "--since", "1s", self.client.get_wrapped_container().id]
        with self.log.open("ab") as log:
            self.follower = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _create_or_start(self) -> None:
        if self.client is not None:
            self.client.get_wrapped_container().start()
            return
        self.client = self._described()
        self.client.start()

    def _described(self) -> object:
        # The reaper of testcontainers is an image of its own, which may be missing; tests.services.leash does its work.
        os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
        from testcontainers.core.container import DockerContainer

        container = DockerContainer(self.image).with_kwargs(
            labels={"maybe-proxy.run": self.label}, hostname=self.name, mem_swappiness=None
        )
        for inside, outside in self.ports.items():
            container.ports[f"{inside}/tcp"] = (HOST, outside)  # with_bind_ports would listen on all addresses
        for key, value in self.environment.items():
            container.with_env(key, value)
        for folder, inside in self.folders.items():
            folder.mkdir(parents=True, exist_ok=True)
            container.with_volume_mapping(str(folder), inside, "rw")
        for path, inside in self.files.items():
            container.with_volume_mapping(str(path), inside, "ro")
        return container.with_command(self.command) if self.command else container

    async def stop(self) -> None:
        """Stop the container, which can be started again."""
        if self.client is not None:
            await self._ask("stop", lambda: self.client.get_wrapped_container().stop(timeout=10))
            await self._log_ended()

    async def end(self) -> None:
        """Remove the container, with its data outside of `folders`."""
        if self.client is None:
            return
        await self._ask("remove", lambda: self.client.stop(force=True, delete_volume=True))
        self.client = None
        await self._log_ended()

    async def kill(self) -> None:
        """Kill everything in the container, which can be started again."""
        await self._ask("kill", lambda: self.client.get_wrapped_container().kill())
        await self._log_ended()

    async def _log_ended(self) -> None:
        """Wait for the follower of the log, which ends with its container."""
        if self.follower:
            await asyncio.to_thread(self.follower.wait)

    async def freeze(self) -> None:
        await self._ask("freeze", lambda: self.client.get_wrapped_container().pause())

    async def thaw(self) -> None:
        await self._ask("thaw", lambda: self.client.get_wrapped_container().unpause())

    async def _ask(self, what: str, act: Callable[[], object]) -> None:
        from docker.errors import DockerException

        try:
            await asyncio.to_thread(act)
        except DockerException as error:
            raise ProgramError(f"cannot {what} the container of {self.name}: {error}") from error
