"""The agent's description of itself in a file, for the commands that run beside it.

The agent writes it whole or not at all. A command may run as root while the agent runs as another user, so a reader
follows no link, waits for no pipe, and believes neither size nor content.
"""

import json
import os
import stat
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

READ_LIMIT = 65_536
BEAT_S = 5.0
"""The agent touches the file at least this often while its event loop runs."""
OLD_S = 30.0
"""Age at which the file shows that the agent hangs, or cannot write it."""

NodeLinkState = Literal["waiting", "connecting", "up", "down", "refused", "occupied", "untrusted"]
"""The connection to the broker. `waiting`: the node waits to be enrolled. The others are as in shared.bus.client."""
LINKS: tuple[NodeLinkState, ...] = ("waiting", "connecting", "up", "down", "refused", "occupied", "untrusted")


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingChallenge:
    """A challenge that waits: the members of POST /nodes, and the second since 1970 at which it expires."""

    ip: str
    port: int
    challenge: str
    expires_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentCounts:
    """Numbers of proxies. `failed` do not run at their version, or serve nobody."""

    wanted: int = 0
    running: int = 0
    failed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerUse:
    """The address of the broker that is used (`url`, without login), and how the last move went, as in reports."""

    url: str
    rev: int = 0
    state: str = "moved"
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentStatus:
    """What the agent reports of itself. `started_at` is in seconds since 1970."""

    version: str
    pid: int
    started_at: float
    ready: bool = False
    link: NodeLinkState = "waiting"
    broker: BrokerUse | None = None
    """None while the node waits to be enrolled."""
    listen: str = ""
    """The address on which the proxies listen; empty for every address."""
    proxies: AgentCounts = AgentCounts()
    challenge: WaitingChallenge | None = None


class NoStatus(Exception):
    """There is no status that can be used; the text says why, and what to do."""


def write_status(path: Path, status: AgentStatus) -> None:
    """Replace the file. It is not durable: it describes a process. Raises OSError."""
    aside = path.with_name(f".{path.name}")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(json.dumps(asdict(status)).encode())
    aside.rename(path)


def read_status(path: Path, *, now: float | None = None) -> AgentStatus:
    """Read the status of a running agent. Raises NoStatus."""
    now = time.time() if now is None else now
    try:
        body, written_at = read_bounded(path)
    except FileNotFoundError as error:
        text = "the agent has not written its status yet, is of an earlier release, or cannot write to its disk"
        raise NoStatus(f"{path} does not exist: {text}; see its log") from error
    except PermissionError as error:
        raise NoStatus(f"{path} cannot be read by this user; run the command as root or as the agent's user") from error
    except OSError as error:
        raise NoStatus(f"{path} cannot be read: {error.strerror or error}") from error
    status = parsed(path, body)
    if now - written_at > OLD_S:
        text = "it hangs, or cannot write to its disk; see its log, and restart it if it hangs"
        raise NoStatus(
            f"{path} is {now - written_at:.0f} s old; an agent that works renews it every few seconds: {text}"
        )
    return status


def read_bounded(path: Path, limit: int = READ_LIMIT) -> tuple[bytes, float]:
    """Read a small regular file; return it and the second of its last change. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is not a regular file")
        body = file.read(limit + 1)
    if len(body) > limit:
        raise OSError(f"it has more than {limit} bytes")
    return body, status.st_mtime


def parsed(path: Path, body: bytes) -> AgentStatus:
    """Read the content. Raises NoStatus."""
    try:
        members: Any = json.loads(body)
        return status_of(members)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NoStatus(f"{path} is damaged, or of another release; restart the agent, which writes it again") from error


def status_of(members: Any) -> AgentStatus:
    """Check every member. Raises ValueError, KeyError, TypeError, AttributeError."""
    proxies, challenge = members["proxies"], members["challenge"]
    if members["link"] not in LINKS:
        raise ValueError("unknown link")
    return AgentStatus(
        version=text(members["version"]),
        pid=number(members["pid"]),
        started_at=moment(members["started_at"]),
        ready=members["ready"] is True,
        link=cast("NodeLinkState", members["link"]),
        broker=broker_use_of(members.get("broker")),
        listen=text(members["listen"]),
        proxies=AgentCounts(**{name: number(proxies[name]) for name in ("wanted", "running", "failed")}),
        challenge=challenge_of(challenge) if challenge is not None else None,
    )


def broker_use_of(members: Any) -> BrokerUse | None:
    """Check the members of the address in use, which an agent of another release may lack. Raises ValueError, KeyError,
    TypeError."""
    if members is None:
        return None
    return BrokerUse(
        url=text(members["url"], 500),
        rev=number(members["rev"]),
        state=text(members["state"]),
        reason=text(members["reason"], 300),
    )


def challenge_of(members: Any) -> WaitingChallenge:
    """Check the members of a challenge. Raises ValueError, KeyError, TypeError."""
    return WaitingChallenge(
        ip=text(members["ip"]),
        port=number(members["port"]),
        challenge=text(members["challenge"]),
        expires_at=moment(members["expires_at"]),
    )


def text(value: object, limit: int = 200) -> str:
    """Check a short text that a terminal can show. Raises ValueError."""
    if not isinstance(value, str) or len(value) > limit or not value.isprintable():
        raise ValueError("not a printable text")
    return value


def number(value: object) -> int:
    """Check a count. Raises ValueError."""
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("not a count")
    return value


def moment(value: object) -> float:
    """Check a moment that the calendar has. Raises ValueError."""
    if type(value) not in (int, float) or not 0 <= cast("float", value) < 10**11:
        raise ValueError("not a moment")
    return float(cast("float", value))
