"""Identity of the node (id, cluster and broker login) in one file that is written whole or not at all."""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from node.errors import BadIdentity, IdentityUnread
from node.state.broker_moves import BrokerConfig, FailedMove, NodeMoves
from shared.bus.addresses import BrokerAddresses, addresses
from shared.enrolment.bodies import NodeConfig

IDENTITY_LIMIT = 262_144
"""Bytes that an identity stays below, with certificates of the longest in each of its addresses."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The configuration from the enrolment. `challenge` is set until the broker has accepted the login once.

    `moved` is None until the node was asked to use other addresses of the broker than those of the enrolment.
    """

    config: NodeConfig
    challenge: str | None = field(default=None, repr=False)
    moved: NodeMoves | None = None

    @property
    def moves(self) -> NodeMoves:
        """The addresses of the broker that the node uses, and those that it keeps beside."""
        return self.moved or NodeMoves(BrokerConfig(self.config.broker_rev, self.config.broker, confirmed=True))

    @property
    def owner(self) -> str:
        """Name the owner of a local copy: cluster and node id."""
        return f"{self.config.cluster}/{self.config.node_id}"


def read_identity(path: Path) -> Identity | None:
    """Read the identity; None for a node that has none yet. Raises BadIdentity, IdentityUnread."""
    try:
        return identity_of(path, path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise IdentityUnread(path=str(path), reason=error.strerror or type(error).__name__) from error


def identity_of(path: Path, content: bytes) -> Identity:
    """Read the content of the file. Raises BadIdentity."""
    try:
        body = json.loads(content)
        moved = body.get("broker")
        return Identity(
            NodeConfig.model_validate(body["config"]),
            body.get("challenge"),
            moves_of(moved) if moved is not None else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError) as error:
        raise BadIdentity(path=str(path), reason=type(error).__name__) from error


def write_identity(path: Path, identity: Identity) -> None:
    """Store the identity durably, readable by this user only. On OSError the earlier file stays."""
    moved = members_of(identity.moved, exposed_urls) if identity.moved is not None else None
    body = {"config": identity.config.exposed(), "challenge": identity.challenge, "broker": moved}
    write_secret(path, json.dumps(body).encode())


def members_of(moves: NodeMoves, urls: Callable[[BrokerAddresses], Sequence[str]]) -> dict[str, Any]:
    """Return the members for JSON. `urls` returns the addresses with their login, or without it."""

    def config(of: BrokerConfig) -> dict[str, Any]:
        members = {"rev": of.rev, "amqp_urls": list(urls(of.addresses)), "ca": of.addresses.ca}
        return {**members, "confirmed": of.confirmed}

    return {
        "current": config(moves.current),
        "previous": [config(each) for each in moves.previous],
        "next": config(moves.next) if moves.next is not None else None,
        "failed": {"rev": moves.failed.rev, "reason": moves.failed.reason} if moves.failed is not None else None,
    }


def exposed_urls(addresses: BrokerAddresses) -> list[str]:
    """Return the addresses with the login in clear."""
    return [url.get_secret_value() for url in addresses.urls]


def moves_of(body: Any) -> NodeMoves:
    """Read what `members_of` has written with the login in clear.

    Raises ValueError, KeyError, TypeError, AttributeError.
    """
    following, failed = body["next"], body["failed"]
    return NodeMoves(
        current=config_of(body["current"]),
        previous=tuple(config_of(each) for each in body["previous"]),
        next=config_of(following) if following is not None else None,
        failed=FailedMove(int(failed["rev"]), str(failed["reason"])) if failed is not None else None,
    )


def config_of(body: Any) -> BrokerConfig:
    """Read one of the members that `members_of` has written. Raises ValueError, KeyError, TypeError, AttributeError."""
    return BrokerConfig(int(body["rev"]), addresses(body["amqp_urls"], body["ca"]), body["confirmed"] is True)


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
