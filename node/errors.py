"""What can go wrong in a node, for its operator.

NodeError
├── BadConfiguration    a setting is missing or unreadable; the program ends with exit code 2
├── BadIdentity         the file that says who this node is makes no sense
│   └── IdentityUnread  it cannot be read now: a disk, a right or a descriptor is missing
├── StoreFailed         the local copy could not be written; what it held before is whole
└── DataDirInUse        another agent works on this data directory
(node.engine.EngineError: a proxy could not be started.)
"""

from dataclasses import dataclass


class NodeError(Exception):
    """The root of this program's errors."""


@dataclass
class NodeConfigurationError(NodeError):
    """A setting is missing or unreadable."""

    variable: str
    reason: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.reason}"


@dataclass
class BadIdentity(NodeError):
    """The file that says who this node is makes no sense."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}; `maybe-node forget` makes this node wait to be enrolled anew"


class IdentityUnread(BadIdentity):
    """The file that says who this node is cannot be read now. It may be whole."""

    def __str__(self) -> str:
        return f"{self.path} cannot be read: {self.reason}"


@dataclass
class StoreFailed(NodeError):
    """The local copy could not be written; what it held before is whole."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass
class DataDirInUse(NodeError):
    """Another agent works on this data directory."""

    path: str

    def __str__(self) -> str:
        return f"another agent works in {self.path}"
