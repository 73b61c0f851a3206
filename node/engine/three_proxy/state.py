"""What the engine remembers of a running proxy across restarts of the agent: one small file each."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.proxies import ProxyId, Version


class State(BaseModel):
    """A process that accepts connections. `stem` names its configuration and log; `digest` is of the configuration.

    A pid alone proves nothing: it is the process meant only if the boot and the start time agree too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: ProxyId
    version: Version
    port: int
    digest: str
    stem: str
    boot: str
    pid: int
    started: int
    listener_fd: int
    listener: str


class Folder:
    """The engine's directory. Everything in it is private: configurations hold passwords."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def configuration(self, stem: str) -> Path:
        return self.path / f"{stem}.cfg"

    def log(self, stem: str) -> Path:
        return self.path / f"{stem}.log"

    def state(self, proxy_id: ProxyId) -> Path:
        return self.path / f"{proxy_id}.json"

    def states(self) -> Iterator[State]:
        """What is written down and readable."""
        for path in self.path.glob("*.json"):
            try:
                yield State.model_validate_json(path.read_bytes())
            except ValidationError:
                continue  # written by another release or damaged: its process is found as a stray

    def remember(self, state: State) -> None:
        """Whole or not at all. Not flushed to the disk: after a power cut the boot is another anyway."""
        aside = self.path / f"{state.id}.json.new"
        write_private(aside, state.model_dump_json())
        aside.replace(self.state(state.id))

    def forget(self, proxy_id: ProxyId) -> None:
        self.state(proxy_id).unlink(missing_ok=True)

    def discard(self, stem: str) -> None:
        self.configuration(stem).unlink(missing_ok=True)
        self.log(stem).unlink(missing_ok=True)

    def keep_only(self, kept: dict[ProxyId, str]) -> None:
        """Removes what was left behind by a crash; `kept` are the stems by id."""
        names = {f"{id_}.json" for id_ in kept} | {f"{stem}{end}" for stem in kept.values() for end in (".cfg", ".log")}
        for end in ("*.json", "*.json.new", "*.cfg", "*.log"):
            for path in self.path.glob(end):
                if path.name not in names:
                    path.unlink(missing_ok=True)


def new_stem(proxy_id: ProxyId) -> str:
    """Not used before, so that a successor never writes over what its predecessor was started with."""
    return f"{proxy_id}-{secrets.token_hex(4)}"


def write_private(path: Path, text: str) -> None:
    """A fresh file of mode 0600 from its first moment. Raises OSError, also on a full disk."""
    path.unlink(missing_ok=True)
    with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
