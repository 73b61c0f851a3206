"""Errors of a node that its operator sees.

NodeError
├── NodeConfigurationError  a setting is missing or invalid; the program ends with exit code 2
├── BadIdentity             the identity file is damaged
│   └── IdentityUnread      the identity file cannot be read now, for want of a disk, a right or a descriptor
├── StoreFailed             the local copy could not be written; its earlier content is whole
└── DataDirInUse            another agent uses this data directory
(node.engine.interface.EngineError: a proxy could not be started.)
"""

from dataclasses import dataclass

from shared.settings.errors import ConfigurationError


class NodeError(Exception):
    """Root of the node's errors."""


class NodeConfigurationError(ConfigurationError, NodeError):
    """A setting is missing or invalid."""


@dataclass
class BadIdentity(NodeError):
    """The identity file is damaged."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} is damaged ({self.reason}); `maybe-node forget` deletes it, then enrol the node again"


class IdentityUnread(BadIdentity):
    """The identity file cannot be read now. Its content may be whole."""

    def __str__(self) -> str:
        return f"{self.path} cannot be read: {self.reason}"


@dataclass
class StoreFailed(NodeError):
    """The local copy could not be written; its earlier content is whole."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass
class DataDirInUse(NodeError):
    """Another agent uses this data directory."""

    path: str

    def __str__(self) -> str:
        return f"another agent uses {self.path}"
