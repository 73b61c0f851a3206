"""Identity of the node (id, cluster and broker login) in one file that is written whole or not at all."""

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from node.errors import BadIdentity, IdentityUnread
from shared.enrolment.bodies import NodeConfig


@dataclass(frozen=True, slots=True)
class Identity:
    """The configuration from the master. `challenge` is set until the broker has accepted the login once."""

    config: NodeConfig
    challenge: str | None = field(default=None, repr=False)

    @property
    def owner(self) -> str:
        """Name the owner of a local copy: cluster and node id."""
        return f"{self.config.cluster}/{self.config.node_id}"


def read_identity(path: Path) -> Identity | None:
    """Read the identity; None for a node that has none yet. Raises BadIdentity, IdentityUnread."""
    try:
        body = json.loads(path.read_bytes())
        return Identity(NodeConfig.model_validate(body["config"]), body.get("challenge"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise IdentityUnread(path=str(path), reason=error.strerror or type(error).__name__) from error
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise BadIdentity(path=str(path), reason=type(error).__name__) from error


def write_identity(path: Path, identity: Identity) -> None:
    """Store the identity durably, readable by this user only. On OSError the earlier file stays."""
    body = {"config": identity.config.exposed(), "challenge": identity.challenge}
    write_secret(path, json.dumps(body).encode())


def write_secret(path: Path, body: bytes) -> None:
    """Replace the file atomically and durably, with mode 0600. Raises OSError."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
