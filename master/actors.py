"""Who acts in the present unit of work, and for which API request. Every event that it records carries both."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from structlog.contextvars import bound_contextvars

API, MASTER, SCHEDULE, COMMAND_LINE = "api", "master", "schedule", "command line"


@dataclass(frozen=True, slots=True)
class Cause:
    """The actor, and the id of the request on whose behalf it acts, if there is one."""

    actor: str
    request_id: str | None = None


OWN_WORK = Cause(MASTER)
"""Whatever nobody else causes, the master does of its own accord."""
_CAUSE: ContextVar[Cause] = ContextVar("cause", default=OWN_WORK)


def cause() -> Cause:
    """Return the cause of the present unit of work."""
    return _CAUSE.get()


@contextmanager
def acting(actor: str, request_id: str | None = None) -> Generator[None]:
    """Act for this cause until the context is left. Log lines carry the id of the request, too."""
    token = _CAUSE.set(Cause(actor, request_id))
    try:
        with bound_contextvars(**({} if request_id is None else {"request_id": request_id})):
            yield
    finally:
        _CAUSE.reset(token)


def node_actor(node_id: int) -> str:
    """Return the actor of a node's messages."""
    return f"node {node_id}"


def invitation_actor(invitation_id: int) -> str:
    """Return the actor of a node that enrols itself by this invitation."""
    return f"invitation {invitation_id}"


def link_actor(link_id: int) -> str:
    """Return the actor of the user of a link."""
    return f"link {link_id}"


def token_actor(name: str) -> str:
    """Return the actor of requests with the token of this name."""
    return f"token {name}"
