"""The data directory of a node: where it is, and its files. Quick commands need nothing else of settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

DATA_DIR = Path("/var/lib/maybe-node")
"""The default of NODE_DATA_DIR."""


class NodeFiles(Protocol):
    """The files of a node, as `DataDirectory` and the settings name them."""

    @property
    def data_dir(self) -> Path: ...

    @property
    def pid_file(self) -> Path: ...


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """A data directory, which need not exist."""

    data_dir: Path

    @property
    def identity_file(self) -> Path:
        """The file with the node's identity."""
        return self.data_dir / "identity.json"

    @property
    def manual_move_file(self) -> Path:
        """The file in which `maybe-node config` leaves addresses of the broker for the agent."""
        return self.data_dir / "broker.json"

    @property
    def builtin_dir(self) -> Path:
        """The folder of the built-in engine."""
        return self.data_dir / "builtin"

    @property
    def three_proxy_dir(self) -> Path:
        """The folder of the 3proxy engine."""
        return self.data_dir / "3proxy"

    @property
    def copy_file(self) -> Path:
        """The file of the local copy."""
        return self.data_dir / "copy.db"

    @property
    def pid_file(self) -> Path:
        """The file with the agent's pid; locked while the agent runs."""
        return self.data_dir / "agent.pid"

    @property
    def tls_dir(self) -> Path:
        """The folder of the node's own certificate."""
        return self.data_dir / "tls"

    @property
    def status_file(self) -> Path:
        """The file in which the agent describes itself to the commands beside it."""
        return self.data_dir / "status.json"


def data_directory_of(env: Mapping[str, str]) -> DataDirectory:
    """Return the data directory that the environment names. Creates nothing."""
    return DataDirectory(Path(env.get("NODE_DATA_DIR") or DATA_DIR).resolve())
