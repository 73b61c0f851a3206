"""The proxies that one worker runs."""

from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from node.engine.builtin.accounting.account import Account
from node.engine.builtin.accounting.ledger import Ledger
from node.engine.builtin.net.exits import SessionExit
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.policy.quota_periods import QuotaUsage
from node.engine.builtin.policy.records import Record
from node.engine.builtin.sessions.protocol_detection import FIRST_STAGES
from node.engine.builtin.sessions.proxy import Proxy
from node.engine.builtin.sessions.rate_limit import Levels
from node.engine.builtin.worker.bookkeeping import Bookkeeping
from shared.destinations import canonical_ports


class Proxies:
    """Put and remove cost the same however many there are.

    `left`: those that another process has taken over, each with the connections that could not be moved.
    """

    def __init__(self, reactor: Reactor, ledger: Ledger) -> None:
        self.left: list[Proxy] = []
        self._reactor = reactor
        self._by_id: dict[int, Proxy] = {}
        self.bookkeeping = Bookkeeping(reactor, ledger, self._all)

    def put(self, record: Record, listeners: Sequence[Socket]) -> bool:
        """Runs the record in place of the version before; False: it takes other listeners. Raises OSError, ValueError.

        What is at ports that the record does not have is closed.
        """
        first_stage = FIRST_STAGES[record.protocol]
        for before in self._left(record.id) if self.left else ():
            before.change(record, first_stage)
        proxy = self._by_id.get(record.id)
        ports = [each.getsockname()[1] for each in listeners]
        if not {*ports, *(proxy.acceptors.ports if proxy else ())}.issuperset(record.ports):
            return False
        if proxy is None:
            proxy = Proxy(self._reactor, record, first_stage, self.bookkeeping.account(record))
        else:
            proxy.change(record, first_stage)
            proxy.acceptors.keep(record.ports)
        for listener, port in zip(listeners, ports, strict=True):
            proxy.acceptors.open(listener, port)
        self._by_id[record.id] = proxy
        self.bookkeeping.watch(proxy)
        self._reactor.sweep()
        return True

    def deny_ports(self, ports: tuple[int | str, ...]) -> None:
        """What the node denies to the clients of all proxies that say nothing else. Raises ValueError."""
        self._reactor.deny_ports = canonical_ports(ports)
        for proxy in self._all():
            proxy.update_denied()

    def remove(self, proxy_id: int) -> None:
        """Nothing happens when it is unknown."""
        proxy = self._by_id.pop(proxy_id, None)
        gone = [*self._left(proxy_id), *([proxy] if proxy is not None else [])]
        self.left = [each for each in self.left if each.record.id != proxy_id]
        for each in gone:
            each.close()
        if gone:
            self.bookkeeping.finish(gone)
            self._reactor.sweep()

    def close(self) -> None:
        for proxy_id in [*self._by_id, *(proxy.record.id for proxy in self.left)]:
            self.remove(proxy_id)
        self.bookkeeping.close()

    def conditions(self) -> list[tuple[int, str, str]]:
        """(id, word, reason) of the proxies that refuse everybody at this moment."""
        held = [(proxy.record.id, proxy.suspension) for proxy in self._by_id.values() if proxy.suspension is not None]
        return [(id_, hold.word, hold.reason) for id_, hold in held]

    def some(self, most: int) -> list[Proxy]:
        """Some of those that nobody has taken over."""
        return list(islice(self._by_id.values(), most))

    def leave(self, proxies: Iterable[Proxy]) -> None:
        """Another process runs these now."""
        for proxy in proxies:
            del self._by_id[proxy.record.id]
            self.left.append(proxy)

    def has_clients(self) -> bool:
        """Whether there is a connection left to those that were taken over."""
        ended = [proxy for proxy in self.left if not proxy.open]
        if ended:
            self.left = [proxy for proxy in self.left if proxy.open]
            self.bookkeeping.finish(ended)
        return bool(self.left)

    def inherit(
        self,
        record: Record,
        listeners: Sequence[Socket],
        spent: QuotaUsage,
        sessions: list[tuple[str, str]],
        levels: Levels | None,
    ) -> None:
        """From the process that ran it before. Raises OSError, ValueError."""
        if record.id in self._by_id:
            for listener in listeners:
                listener.close()
            return
        first_stage = FIRST_STAGES[record.protocol]
        proxy = Proxy(self._reactor, record, first_stage, Account(record.id, spent))
        if isinstance(proxy.exit, SessionExit):
            proxy.exit.adopt(sessions, self._reactor.now)
        for listener in listeners:
            proxy.acceptors.open(listener, listener.getsockname()[1])
        self._by_id[record.id] = proxy
        self.bookkeeping.watch(proxy)
        if levels is not None and proxy.rate_limit is not None:
            proxy.rate_limit.restore(levels)

    def get(self, proxy_id: int) -> Proxy | None:
        return self._by_id.get(proxy_id)

    def listening(self) -> list[tuple[int, int, list[int]]]:
        """(id, version, ports) of what takes connections at this moment."""
        return [
            (proxy.record.id, proxy.record.version, ports)
            for proxy in self._by_id.values()
            if (ports := proxy.acceptors.ports)
        ]

    def records(self, ids: Iterable[int]) -> list[Record]:
        """Of those that are here."""
        return [proxy.record for id_ in ids if (proxy := self._by_id.get(id_)) is not None]

    def counters(self) -> list[dict[str, Any]]:
        """Per proxy, since it came to this worker."""
        return [
            {
                "id": proxy.record.id,
                "open": len(proxy.open),
                "accepted": proxy.accepted,
                "refused": sum(proxy.account.refused.values()),
                "paused": proxy.acceptors.pauses,
                "received_bytes": proxy.received,
                "sent_bytes": proxy.sent,
            }
            for proxy in self._by_id.values()
        ]

    def _all(self) -> list[Proxy]:
        return [*self._by_id.values(), *self.left]

    def _left(self, proxy_id: int) -> list[Proxy]:
        return [proxy for proxy in self.left if proxy.record.id == proxy_id]
