"""What can go wrong in the master, for its user.

MasterError
├── BadConfiguration         a setting is missing or unreadable; the program ends with exit code 2
├── DatabaseError            PostgreSQL did not do what it was asked
│   ├── DatabaseAway         it does not answer now (Reported)
│   ├── DatabaseFailed       it answers with an error that no code foresees, such as a missing table (Reported)
│   ├── RowConflict          a constraint of the schema; services answer it with one of the following
│   └── RowReferenced        a row that is pointed at cannot go, or one that is pointed at is not there
└── Reported                 the API answers it with a problem document; each has its own type, title and status
    ├── BrokerAway           RabbitMQ's management API does not answer now
    └── Refused              the request cannot be done as asked; each may have members for programs
        (see below, master.conflicts and master.api.problems)
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, TypedDict


class MasterError(Exception):
    """The root of this program's errors."""


@dataclass
class BadConfiguration(MasterError):
    """A setting is missing or unreadable."""

    variable: str
    reason: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.reason}"


class NoMembers(TypedDict):
    """Nothing beside the members of every problem document."""


class Reported(MasterError):
    """An error that the API reports as a problem document (RFC 9457).

    `type`, `title` and `status` are the same for every error of a class, and no two classes share a type: programs tell
    errors apart by it. The first line of the class's docstring describes it in the OpenAPI document, where `Members`
    gives the types of its further members.
    """

    Members: ClassVar[type[Any]] = NoMembers
    title: ClassVar[str]
    status: ClassVar[int]
    type: ClassVar[str]


@dataclass
class DatabaseError(MasterError):
    """PostgreSQL did not do what it was asked. The reason holds no data of rows."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class DatabaseAway(DatabaseError, Reported):
    """The database does not answer now; nothing is known to be changed."""

    type = "/problems/database-away"
    title = "Database away"
    status = 503


@dataclass
class DatabaseFailed(DatabaseError, Reported):
    """The database answers with an error that no code foresees; nothing is known to be changed.

    `sqlstate`: see Appendix A of PostgreSQL's manual.
    """

    type = "/problems/database-failed"
    title = "Database failed"
    status = 503

    sqlstate: str

    @property
    def is_of_data(self) -> bool:
        """Whether the statement's own values are wrong (classes 21 to 23), which no waiting mends."""
        return self.sqlstate[:2] in ("21", "22", "23")


@dataclass
class RowConflict(DatabaseError):
    """A row breaks this constraint."""

    constraint: str


@dataclass
class RowReferenced(DatabaseError):
    """A row is still pointed at, or points at none, by this constraint."""

    constraint: str


@dataclass
class BrokerAway(Reported, ConnectionError):
    """The broker does not answer now, or not as expected."""

    type = "/problems/broker-away"
    title = "Broker away"
    status = 503

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass
class Refused(Reported):
    """A request that cannot be done; `members` go into the problem document beside `detail`."""

    detail: str
    members: dict[str, Any] = field(default_factory=dict[str, Any])

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True, kw_only=True, slots=True)
class Complaint:
    """What is wrong, and where: a JSON pointer into the body (RFC 6901), a parameter or a header."""

    detail: str
    pointer: str = field(default_factory=str)
    parameter: str = field(default_factory=str)
    header: str = field(default_factory=str)


class Complaints(TypedDict, total=False):
    """Each wrong place; `proxy_id` names the proxy of a stack or a fleet that cannot be changed so."""

    errors: list[Complaint]
    proxy_id: int


class WaitingNode(TypedDict):
    """Where the master called the node."""

    ip: str
    port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LackingExit:
    """What a node lacks for an exit, and what it has."""

    node_id: int
    reason: str
    addresses: list[str]
    ipv6_prefixes: list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class UnrotatableProxy:
    """A proxy, and what it lacks."""

    proxy_id: int
    reason: str


class BadRequest(Refused):
    """The request breaks a rule of HTTP or of JSON, whatever it asks for."""

    type = "/problems/bad-request"
    title = "Bad request"
    status = 400


class ForeignOrigin(Refused):
    """A web page of another origin asks for more than to look."""

    type = "/problems/foreign-origin"
    title = "Foreign origin"
    status = 403


class NotJson(Refused):
    """The body has a media type other than application/json, or none."""

    type = "/problems/not-json"
    title = "Not sent as JSON"
    status = 415


class UnknownHost(Refused):
    """The Host of the request is not a name of the API; `setting` names the setting to add it to."""

    type = "/problems/unknown-host"
    title = "Unknown host"
    status = 421

    class Members(TypedDict):
        setting: str


class NotFound(Refused):
    """Nothing has this id, name or path."""

    type = "/problems/not-found"
    title = "Not found"
    status = 404


class Invalid(Refused):
    """The request is well-formed but says something impossible; `errors` says where and why."""

    type = "/problems/invalid"
    title = "Invalid request"
    status = 422
    Members = Complaints


class Conflict(Refused):
    """The request collides with another one that was just carried out; look again, then repeat it."""

    type = "/problems/conflict"
    title = "Conflict"
    status = 409


class PreconditionFailed(Refused):
    """The version in If-Match is not the present one."""

    type = "/problems/version-differs"
    title = "Version is not the present one"
    status = 412

    class Members(TypedDict, total=False):
        version: int


class TooSoon(Refused):
    """The least interval between two uses is not over; Retry-After and `retry_after_s` give the seconds left."""

    type = "/problems/too-soon"
    title = "Too soon"
    status = 429

    class Members(TypedDict):
        retry_after_s: int


class NodeRefused(Refused):
    """The node refuses the challenge: it shows another one."""

    type = "/problems/node-refused"
    title = "Node refused the challenge"
    status = 403
    Members = WaitingNode


class NodeUnreachable(Refused):
    """No waiting node answers at this address."""

    type = "/problems/node-unreachable"
    title = "Node unreachable"
    status = 502
    Members = WaitingNode


class NodeTooSlow(Refused):
    """The node did not answer in time."""

    type = "/problems/node-too-slow"
    title = "Node too slow"
    status = 504
    Members = WaitingNode
