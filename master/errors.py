"""What can go wrong in the master, for its user.

MasterError
├── BadConfiguration         a setting is missing or unreadable; the program ends with exit code 2
├── DatabaseError            PostgreSQL did not do what it was asked
│   ├── DatabaseAway         it does not answer now
│   ├── DatabaseFailed       it answers with an error that no code foresees, such as a missing table
│   ├── RowConflict          a constraint of the schema; services answer it with one of the following
│   └── RowReferenced        a row that is pointed at cannot go, or one that is pointed at is not there
├── BrokerAway               RabbitMQ's management API does not answer now
└── Refused                  the request cannot be done as asked; each has a status and members for programs
    (see below)
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar


class MasterError(Exception):
    """The root of this program's errors."""


@dataclass
class BadConfiguration(MasterError):
    """A setting is missing or unreadable."""

    variable: str
    reason: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.reason}"


@dataclass
class DatabaseError(MasterError):
    """PostgreSQL did not do what it was asked. The reason holds no data of rows."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class DatabaseAway(DatabaseError):
    """PostgreSQL does not answer now."""


@dataclass
class DatabaseFailed(DatabaseError):
    """PostgreSQL answers with an error that no code foresees. `sqlstate`: see Appendix A of its manual."""

    sqlstate: str

    @property
    def is_of_data(self) -> bool:
        """Whether the statement's own values are wrong (classes 21 to 23), which no waiting mends."""
        return self.sqlstate[:2] in ("21", "22", "23")


@dataclass
class BrokerAway(MasterError, ConnectionError):
    """RabbitMQ's management API does not answer, or not as expected."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass
class RowConflict(DatabaseError):
    """A row breaks this constraint."""

    constraint: str


@dataclass
class RowReferenced(DatabaseError):
    """A row is still pointed at, or points at none, by this constraint."""

    constraint: str


@dataclass
class Refused(MasterError):
    """A request that cannot be done; `members` go into the problem document beside `detail`."""

    status: ClassVar[int] = 409
    title: ClassVar[str] = "Conflict"

    detail: str
    members: dict[str, Any] = field(default_factory=dict[str, Any])

    def __str__(self) -> str:
        return self.detail


class BadRequest(Refused):
    """The request breaks a rule of HTTP or of its format, whatever it asks for."""

    status = 400
    title = "Bad request"


class ForeignOrigin(Refused):
    """A web page of another origin asks for more than to look."""

    status = 403
    title = "Foreign origin"


class NotJson(Refused):
    """A body has another media type than JSON."""

    status = 415
    title = "Not sent as JSON"


class UnknownHost(Refused):
    """The Host of the request is not a name of the API; member setting names what to change."""

    status = 421
    title = "Unknown host"


class NotFound(Refused):
    """No such resource."""

    status = 404
    title = "Not found"


class Invalid(Refused):
    """The request is well-formed but says something impossible; `members["errors"]` points at where."""

    status = 422
    title = "Invalid request"


class Conflict(Refused):
    """The request is at odds with what there is."""


class PreconditionFailed(Refused):
    """The version in If-Match is not the present one."""

    status = 412
    title = "Version is not the present one"


class TooSoon(Refused):
    """It may be done again later; member retry_after_s."""

    status = 429
    title = "Too soon"


class NodeRefused(Refused):
    """The node does not accept the challenge."""

    status = 403
    title = "Node refused the challenge"


class NodeUnreachable(Refused):
    """Nobody answers as a waiting node at that address."""

    status = 502
    title = "Node unreachable"


class NodeTooSlow(Refused):
    """The node did not answer in time."""

    status = 504
    title = "Node too slow"
