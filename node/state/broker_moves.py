"""Moves of the node to other addresses of the broker: the decisions, and what of them is kept on disk. Pure.

The addresses that a master has confirmed last are never dropped before it confirms later ones, so that a node always
has a way back.
"""

from dataclasses import dataclass, replace

from shared.bus.addresses import BrokerAddresses, without_login
from shared.messages.broker_config import BrokerReport, BrokerState

REASON_LENGTH = 300
URL_LENGTH = 500


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """Addresses of the broker with the node's login, and their revision in the cluster.

    `confirmed`: the master has heard the node there. Those from the enrolment are.
    """

    rev: int
    addresses: BrokerAddresses
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class FailedMove:
    """The revision that could not be used, and why."""

    rev: int
    reason: str


@dataclass(frozen=True, slots=True)
class NodeMoves:
    """The addresses in use, those to return to (in order of preference), those to try next, and the last failure."""

    current: BrokerConfig
    previous: tuple[BrokerConfig, ...] = ()
    next: BrokerConfig | None = None
    failed: FailedMove | None = None

    @property
    def seen(self) -> int:
        """The highest revision that the node was asked to use, as far as it still matters."""
        candidates = [self.current.rev, *(each.rev for each in self.previous)]
        return max([*candidates, self.next.rev if self.next else 0, self.failed.rev if self.failed else 0])

    @property
    def state(self) -> BrokerState:
        """The state that reports name."""
        if self.failed is not None:
            return "failed"
        return "moved" if self.current.confirmed else "trial"

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts of all addresses that the node uses, or may use soon."""
        configs = [self.current, *self.previous, *([self.next] if self.next else [])]
        return tuple(dict.fromkeys(host for each in configs for host in each.addresses.hosts))


def asked(moves: NodeMoves, wanted: BrokerConfig) -> NodeMoves:
    """Take a request of the master. One in use, under way or older than another changes nothing; one that has failed is
    tried again, and one for the addresses in use needs no new connection."""
    is_under_way = moves.next is not None and moves.next.rev == wanted.rev
    if wanted.rev <= moves.current.rev or wanted.rev < moves.seen or is_under_way:
        return moves
    if wanted.addresses == moves.current.addresses:
        current = replace(moves.current, rev=wanted.rev)
        return NodeMoves(current, () if current.confirmed else moves.previous)
    return replace(moves, next=wanted, failed=None)


def asked_by_hand(moves: NodeMoves, addresses: BrokerAddresses, rev: int | None) -> NodeMoves:
    """Take a request of the node's operator. Without a revision of its own it has the current one, so that whatever the
    master sends later counts."""
    rev = moves.current.rev if rev is None else rev
    if (addresses, rev) == (moves.current.addresses, moves.current.rev):
        return replace(moves, next=None, failed=None)
    return replace(moves, next=BrokerConfig(rev, addresses), failed=None)


def refused(moves: NodeMoves, rev: int, reason: str) -> NodeMoves:
    """Note that the request of this revision cannot be read."""
    if rev <= moves.current.rev or rev < moves.seen or moves.next is not None:
        return moves
    return replace(moves, failed=FailedMove(rev, printed(reason)))


def arrived(moves: NodeMoves, wanted: BrokerConfig) -> NodeMoves:
    """Use the addresses of this request, after a login there."""
    if moves.next != wanted:
        return moves
    confirmed = tuple(each for each in moves.previous if each.confirmed)
    return NodeMoves(replace(wanted, confirmed=False), (moves.current, *confirmed))


def gave_up(moves: NodeMoves, wanted: BrokerConfig, reason: str) -> NodeMoves:
    """Drop this request, which has failed."""
    if moves.next != wanted:
        return moves
    return replace(moves, next=None, failed=FailedMove(wanted.rev, printed(reason)))


def fell_back(moves: NodeMoves, to: BrokerConfig, reason: str) -> NodeMoves:
    """Use earlier addresses again, after a login there. Those that were lost are kept as the last to return to, so that
    a node that loses one after the other comes to all of them."""
    if to not in moves.previous:
        return moves
    others = tuple(each for each in moves.previous if each != to)
    failures = [FailedMove(moves.current.rev, printed(reason)), *([moves.failed] if moves.failed else [])]
    failed = max((each for each in failures if each.rev > to.rev), key=lambda each: each.rev, default=None)
    return replace(moves, current=to, previous=(*others, moves.current), failed=failed)


def confirmed(moves: NodeMoves, rev: int) -> NodeMoves:
    """Drop the earlier addresses: a master has heard the node at the current ones."""
    if rev != moves.current.rev or moves.current.confirmed:
        return moves
    return replace(moves, current=replace(moves.current, confirmed=True), previous=())


def report_of(moves: NodeMoves, url: str) -> BrokerReport:
    """Describe the moves in a report. `url` is the address in use."""
    failed = moves.failed or FailedMove(moves.current.rev, "")
    bare = without_login(url)
    shown = bare if bare.isascii() and len(bare) <= URL_LENGTH else ""
    return BrokerReport(rev=failed.rev, url=shown, state=moves.state, reason=printed(failed.reason))


def printed(text: str) -> str:
    """Keep what a report may hold."""
    return "".join(letter for letter in text if letter.isprintable())[:REASON_LENGTH]
