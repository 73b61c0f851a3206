"""The errors of the master, for its users.

Longer than most modules because it is one table: each class has the type, title and status of its problem document.

MasterError
├── BadConfiguration         a setting is missing or unreadable; the program ends with exit code 2
├── BundleError              bundles cannot be made, read or trusted; the text names the file and the reason
├── TlsError                 certificates of the broker cannot be made or read; the text names the file and the reason
├── DatabaseError            PostgreSQL did not execute a statement
│   ├── DatabaseAway         it does not answer now (Reported)
│   ├── DatabaseFailed       it answers with an unforeseen error, such as a missing table (Reported)
│   ├── RowConflict          a row violates a constraint; services translate it into a RequestRefused
│   └── RowReferenced        a row is still referenced, or references a missing one; translated, too
└── Reported                 the API answers with a problem document; each class has its type, title and status
    ├── BrokerAway           RabbitMQ's management API does not answer now
    └── RequestRefused       the request cannot be carried out; a class may have further members for programs

The module is long because it is the complete list of the API's problem types (master.api.problems). The functions at
its end build the errors that several packages raise.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal, TypedDict

from shared.proxies import NodeId, ProxyId
from shared.settings.errors import ConfigurationError


class MasterError(Exception):
    """The root of the master's errors."""


class BadConfiguration(ConfigurationError, MasterError):
    """A setting is missing or unreadable."""


class BundleError(MasterError):
    """Bundles of the node cannot be made, read or trusted. The text names the file and the reason."""


class TlsError(MasterError):
    """Certificates of the broker cannot be made or read. The text names the file and the reason."""


class NoMembers(TypedDict):
    """No members besides those of every problem document."""


class Reported(MasterError):
    """An error that the API reports as a problem document (RFC 9457).

    `type`, `title` and `status` are the same for every error of a class. No two classes share a type, so programs can
    distinguish errors by it. The first line of the class's docstring describes it in the OpenAPI document, where
    `Members` gives the types of its further members.
    """

    Members: ClassVar[type[Any]] = NoMembers
    title: ClassVar[str]
    status: ClassVar[int]
    type: ClassVar[str]


@dataclass
class DatabaseError(MasterError):
    """PostgreSQL did not execute a statement. The reason holds no data of rows."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class DatabaseAway(DatabaseError, Reported):
    """The database does not answer now. As far as is known, nothing was changed."""

    type = "/problems/database-away"
    title = "Database away"
    status = 503


@dataclass
class DatabaseFailed(DatabaseError, Reported):
    """The database answers with an unexpected error. As far as is known, nothing was changed.

    `sqlstate` is a code of Appendix A of PostgreSQL's manual.
    """

    type = "/problems/database-failed"
    title = "Database failed"
    status = 503

    sqlstate: str

    @property
    def is_of_data(self) -> bool:
        """Whether the statement's own values are wrong (classes 21 to 23), so that a retry cannot help."""
        return self.sqlstate[:2] in ("21", "22", "23")


@dataclass
class RowConflict(DatabaseError):
    """A row violates this constraint."""

    constraint: str


@dataclass
class RowReferenced(DatabaseError):
    """A row is still referenced, or references a missing row, by this constraint."""

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
class RequestRefused(Reported):
    """A request that cannot be carried out; `members` are added to the problem document."""

    detail: str
    members: dict[str, Any] = field(default_factory=dict[str, Any])

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorPlace:
    """A fault and its place: a JSON pointer into the body (RFC 6901), a parameter or a header."""

    detail: str
    pointer: str = field(default_factory=str)
    parameter: str = field(default_factory=str)
    header: str = field(default_factory=str)


class InvalidMembers(TypedDict, total=False):
    """All faults. `proxy_id` names the proxy of a stack or a fleet that cannot have the new settings."""

    errors: list[ErrorPlace]
    proxy_id: int


class WaitingNode(TypedDict):
    """The address at which the master called the node."""

    ip: str
    port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LackingExit:
    """Why a node cannot provide an exit, and the addresses and prefixes that it has."""

    node_id: int
    reason: str
    addresses: list[str]
    ipv6_prefixes: list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class UnrotatableProxy:
    """A proxy, and why it cannot be rotated."""

    proxy_id: int
    reason: str


class BadRequest(RequestRefused):
    """The request breaks a rule of HTTP or of JSON."""

    type = "/problems/bad-request"
    title = "Bad request"
    status = 400


class Unauthorized(RequestRefused):
    """The request has no token, or one that is mistyped, unknown, revoked or expired."""

    type = "/problems/unauthorized"
    title = "Unauthorized"
    status = 401


class Forbidden(RequestRefused):
    """The token does not allow this request: `scopes` lists what it lacks, or its filter or address is the reason."""

    type = "/problems/forbidden"
    title = "Forbidden"
    status = 403

    class Members(TypedDict, total=False):
        scopes: list[str]


class ForeignOrigin(RequestRefused):
    """A web page of another origin tries to change something."""

    type = "/problems/foreign-origin"
    title = "Foreign origin"
    status = 403


class NotJson(RequestRefused):
    """The body has a media type other than application/json, or none."""

    type = "/problems/not-json"
    title = "Not sent as JSON"
    status = 415


class UnknownHost(RequestRefused):
    """The Host of the request is not a name of the API. `setting` names the setting that lists its names."""

    type = "/problems/unknown-host"
    title = "Unknown host"
    status = 421

    class Members(TypedDict):
        setting: str


class NotFound(RequestRefused):
    """No resource has this id, name or path."""

    type = "/problems/not-found"
    title = "Not found"
    status = 404


class Invalid(RequestRefused):
    """The request is well-formed but invalid. `errors` gives each place and reason."""

    type = "/problems/invalid"
    title = "Invalid request"
    status = 422
    Members = InvalidMembers


class Conflict(RequestRefused):
    """The request conflicts with another one that was just carried out. Read the resource again, then repeat it."""

    type = "/problems/conflict"
    title = "Conflict"
    status = 409


class PreconditionFailed(RequestRefused):
    """The current version is none of those in If-Match."""

    type = "/problems/version-differs"
    title = "Version is not the present one"
    status = 412

    class Members(TypedDict, total=False):
        version: int


class TooSoon(RequestRefused):
    """The least interval between two uses is not over. Retry-After and `retry_after_s` give the seconds left."""

    type = "/problems/too-soon"
    title = "Too soon"
    status = 429

    class Members(TypedDict):
        retry_after_s: int


class LicenseRefused(RequestRefused):
    """The licence allows nothing new of this kind: it has expired, or its limit is reached. What runs goes on.

    `counted` is how many there are and `allowed` how many the licence allows, if a limit is the reason.
    """

    type = "/problems/license"
    title = "Refused by the licence"
    status = 403

    class Members(TypedDict):
        kind: str
        counted: int | None
        allowed: int | None


class NodeRefused(RequestRefused):
    """The node refuses the challenge, because it prints another one."""

    type = "/problems/node-refused"
    title = "Node refused the challenge"
    status = 403
    Members = WaitingNode


class NodeUnreachable(RequestRefused):
    """No waiting node answers at this address."""

    type = "/problems/node-unreachable"
    title = "Node unreachable"
    status = 502
    Members = WaitingNode


class NodeTooSlow(RequestRefused):
    """The node did not answer in time."""

    type = "/problems/node-too-slow"
    title = "Node too slow"
    status = 504
    Members = WaitingNode


class TooFewProxies(Conflict):
    """Fewer proxies match and are free than were wanted, so none was claimed. `possible` is how many there are."""

    type = "/problems/too-few-proxies"
    title = "Too few proxies"

    class Members(TypedDict):
        wanted: int
        possible: int


class NameTaken(Conflict):
    """Another location, node, proxy or stack has this name. `by_node` is the node that has it, if it is known."""

    type = "/problems/name-taken"
    title = "Name taken"

    class Members(TypedDict, total=False):
        by_node: int


class ChallengeUsed(Conflict):
    """The challenge was used before for another node. `node_id` is that node, if it is known."""

    type = "/problems/challenge-used"
    title = "Challenge used"

    class Members(TypedDict, total=False):
        node_id: int


class PortTaken(Conflict):
    """Another proxy has this port on the address of the node. `by_proxy` is that proxy."""

    type = "/problems/port-taken"
    title = "Port taken"

    class Members(TypedDict, total=False):
        by_proxy: int
        node_id: int
        port: int


class PortOutsideRange(Conflict):
    """The port is outside the range `ports` of the node."""

    type = "/problems/port-outside-range"
    title = "Port outside the node's range"

    class Members(TypedDict, total=False):
        node_id: int
        port: int
        ports: str


class PortsExcluded(Conflict):
    """Proxies of the node have ports outside the new range `ports`. `count` is their number."""

    type = "/problems/ports-excluded"
    title = "Ports in use are excluded"

    class Members(TypedDict):
        node_id: int
        count: int
        ports: str


class EngineMissing(Conflict):
    """The nodes `node_ids` do not have this engine."""

    type = "/problems/engine-missing"
    title = "Engine missing"

    class Members(TypedDict):
        node_ids: list[int]
        engine: str


class ExitMissing(Conflict):
    """Connections cannot leave the nodes by this exit. `nodes` lists what each of them lacks and has."""

    type = "/problems/exit-missing"
    title = "Exit missing"

    class Members(TypedDict):
        nodes: list[LackingExit]


class ExitsUsed(Conflict):
    """Proxies of the node use an address or a prefix that would be removed. `count` is their number."""

    type = "/problems/exits-used"
    title = "Exits are in use"

    class Members(TypedDict):
        node_id: int
        count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeCapacity:
    """How many proxies a node can take, and why no more."""

    node_id: NodeId
    possible: int
    reason: str


class InsufficientCapacity(Conflict):
    """The nodes cannot take all of the proxies, so none was created or moved.

    `wanted` is the number of proxies, `possible` how many of them fit, and `by_node` lists how many each candidate can
    take and why no more. It is empty if there is no candidate.
    """

    type = "/problems/insufficient-capacity"
    title = "Insufficient capacity"

    class Members(TypedDict):
        wanted: int
        possible: int
        by_node: list[NodeCapacity]


class BrokerMoveUnderWay(Conflict):
    """The broker is being moved already. Finish or abort that move first. `rev` is its revision."""

    type = "/problems/broker-move-under-way"
    title = "Broker move under way"

    class Members(TypedDict):
        rev: int


class NoBrokerMove(Conflict):
    """The broker is not being moved."""

    type = "/problems/no-broker-move"
    title = "No broker move under way"


class MastersNotMoved(Conflict):
    """Masters are not connected to the broker at its new place. `masters` lists their hosts."""

    type = "/problems/masters-not-moved"
    title = "Masters have not moved"

    class Members(TypedDict):
        masters: list[str]


class NodesNotMoved(Conflict):
    """Nodes have not moved, and are not named in `force`. `count` is their number, `nodes` names the first hundred."""

    type = "/problems/nodes-not-moved"
    title = "Nodes have not moved"

    class Members(TypedDict):
        count: int
        nodes: list[str]


class StillUsed(Conflict):
    """The resource cannot be removed while others depend on it. `count` is their number."""

    type = "/problems/still-used"
    title = "Still used"

    class Members(TypedDict, total=False):
        count: int
        node_id: int


class CountDiffers(Conflict):
    """The filter matches another number of proxies than expected. Nothing was changed."""

    type = "/problems/count-differs"
    title = "Unexpected count"

    class Members(TypedDict):
        expected: int
        matched: int


class LastAdminToken(Conflict):
    """The token is the last one that can manage tokens. Create another one first, or revoke it at the command line."""

    type = "/problems/last-admin-token"
    title = "Last admin token"

    class Members(TypedDict):
        token_id: int


class UpgradeUnderWay(Conflict):
    """An upgrade is running, paused or halted already. `upgrade_id` is that upgrade, if it is known."""

    type = "/problems/upgrade-under-way"
    title = "Upgrade under way"

    class Members(TypedDict, total=False):
        upgrade_id: int
        state: str


class UpgradeEnded(Conflict):
    """The upgrade cannot change to this state any more. `state` is the one that it is in."""

    type = "/problems/upgrade-ended"
    title = "Upgrade ended"

    class Members(TypedDict):
        upgrade_id: int
        state: str


class NoRelease(Conflict):
    """This master has no bundles of the version that nodes could trust. `why` is the reason.

    `no-bundles`: it has none at all. `unknown-version`: `known` lists its versions. `untrusted`: the newest manifest
    cannot be read, or no trusted key has signed it.
    """

    type = "/problems/no-release"
    title = "No release to install"

    class Members(TypedDict, total=False):
        why: Literal["no-bundles", "unknown-version", "untrusted"]
        version: str
        known: list[str]


class RotationUnderWay(Conflict):
    """A rotation of the proxy is already under way. `rotation_id` is that rotation, if it is known."""

    type = "/problems/rotation-under-way"
    title = "Rotation under way"

    class Members(TypedDict, total=False):
        proxy_id: int
        rotation_id: int


class NotRotatable(Conflict):
    """A proxy cannot be rotated in this way. `proxies` lists what each of them lacks."""

    type = "/problems/not-rotatable"
    title = "Not rotatable"

    class Members(TypedDict):
        proxies: list[UnrotatableProxy]


def invalid_at(detail: str, *pointers: str) -> Invalid:
    """Return the refusal of the members at these JSON pointers of the body."""
    return Invalid(detail, {"errors": [{"pointer": pointer, "detail": detail} for pointer in pointers]})


def port_taken(port: int, by_proxy: ProxyId, node_id: NodeId) -> PortTaken:
    """Return the conflict with the proxy that has the port."""
    return PortTaken(
        f"port {port} is taken by proxy {by_proxy} on node {node_id}",
        {"by_proxy": by_proxy, "node_id": node_id, "port": port},
    )


def rotation_under_way(proxy_id: ProxyId, rotation_id: int) -> RotationUnderWay:
    """Return the conflict with an open rotation."""
    detail = f"proxy {proxy_id} is being rotated"
    return RotationUnderWay(detail, {"proxy_id": proxy_id, "rotation_id": rotation_id})


def not_rotatable(reasons: Mapping[int, str]) -> NotRotatable:
    """Return the conflict for these proxies, each with its reason."""
    proxies = [{"proxy_id": id_, "reason": reason} for id_, reason in reasons.items()]
    first = proxies[0]
    which = f"proxy {first['proxy_id']}: {first['reason']}" if len(proxies) == 1 else f"{len(proxies)} proxies"
    return NotRotatable(f"this cannot be rotated: {which}", {"proxies": proxies})


def insufficient_capacity(
    detail: str, *, requested: int, possible: int, by_node: Iterable[NodeCapacity]
) -> InsufficientCapacity:
    """Return the conflict, with how many proxies fit and the capacity of each node."""
    shares = [asdict(share) for share in sorted(by_node, key=lambda one: one.node_id)]
    detail = detail if shares else "there is no node to choose from"
    return InsufficientCapacity(detail, {"wanted": requested, "possible": possible, "by_node": shares})


def engine_missing(engine: str, node_ids: Iterable[int]) -> EngineMissing:
    """Return the conflict for the nodes without this engine."""
    ids = sorted(node_ids)
    which = f"node {ids[0]} has" if len(ids) == 1 else f"{len(ids)} nodes have"
    return EngineMissing(f"{which} no engine {engine}", {"node_ids": ids, "engine": engine})


def exit_missing(reasons: Sequence[tuple[Mapping[str, Any], str]]) -> ExitMissing:
    """Return the conflict for these nodes, given as rows, each with its reason."""
    nodes = [
        {
            "node_id": node["id"],
            "reason": reason,
            "addresses": node["local_addresses"],
            "ipv6_prefixes": node["ipv6_prefixes"],
        }
        for node, reason in reasons
    ]
    which = f"node {nodes[0]['node_id']}: {nodes[0]['reason']}" if len(nodes) == 1 else f"{len(nodes)} nodes lack it"
    return ExitMissing(f"connections cannot use this exit: {which}", {"nodes": nodes})
