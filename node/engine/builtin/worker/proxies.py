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
        self._services: dict[int, Proxy] = {}
        self.bookkeeping = Bookkeeping(reactor, ledger, self._all)

    def put(self, record: Record, listeners: Sequence[Socket]) -> bool:
        """Runs the record in place of the version before; False: it takes other listeners. Raises OSError, ValueError.

        What is at ports that the record does not have is closed.
        """
        first_stage = FIRST_STAGES[record.protocol]
        for before in self._left(record.id) if self.left else ():
            before.change(record, first_stage)
        service = self._services.get(record.id)
        ports = [each.getsockname()[1] for each in listeners]
        if not {*ports, *(service.acceptors.ports if service else ())}.issuperset(record.ports):
            return False
        if service is None:
            service = Proxy(self._reactor, record, first_stage, self.bookkeeping.account(record))
        else:
            service.change(record, first_stage)
            service.acceptors.keep(record.ports)
        for listener, port in zip(listeners, ports, strict=True):
            service.acceptors.open(listener, port)
        self._services[record.id] = service
        self.bookkeeping.watch(service)
        self._reactor.sweep()
        return True

    def deny_ports(self, ports: tuple[int | str, ...]) -> None:
        """What the node denies to the clients of all proxies that say nothing else. Raises ValueError."""
        self._reactor.deny_ports = canonical_ports(ports)
        for service in self._all():
            service.renew_off_limits()

    def remove(self, proxy_id: int) -> None:
        """Nothing happens when it is unknown."""
        service = self._services.pop(proxy_id, None)
        gone = [*self._left(proxy_id), *([service] if service is not None else [])]
        self.left = [each for each in self.left if each.record.id != proxy_id]
        for each in gone:
            each.close()
        if gone:
            self.bookkeeping.finish(gone)
            self._reactor.sweep()

    def close(self) -> None:
        for proxy_id in [*self._services, *(service.record.id for service in self.left)]:
            self.remove(proxy_id)
        self.bookkeeping.close()

    def conditions(self) -> list[tuple[int, str, str]]:
        """(id, word, reason) of the proxies that refuse everybody at this moment."""
        held = [(service.record.id, service.held) for service in self._services.values() if service.held is not None]
        return [(id_, hold.word, hold.reason) for id_, hold in held]

    def some(self, most: int) -> list[Proxy]:
        """Some of those that nobody has taken over."""
        return list(islice(self._services.values(), most))

    def leave(self, services: Iterable[Proxy]) -> None:
        """Another process runs these now."""
        for service in services:
            del self._services[service.record.id]
            self.left.append(service)

    def has_clients(self) -> bool:
        """Whether there is a connection left to those that were taken over."""
        ended = [service for service in self.left if not service.open]
        if ended:
            self.left = [service for service in self.left if service.open]
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
        if record.id in self._services:
            for listener in listeners:
                listener.close()
            return
        first_stage = FIRST_STAGES[record.protocol]
        service = Proxy(self._reactor, record, first_stage, Account(record.id, spent))
        if isinstance(service.exit, SessionExit):
            service.exit.adopt(sessions, self._reactor.now)
        for listener in listeners:
            service.acceptors.open(listener, listener.getsockname()[1])
        self._services[record.id] = service
        self.bookkeeping.watch(service)
        if levels is not None and service.rate_limit is not None:
            service.rate_limit.go_on(levels)

    def service(self, proxy_id: int) -> Proxy | None:
        return self._services.get(proxy_id)

    def listening(self) -> list[tuple[int, int, list[int]]]:
        """(id, version, ports) of what takes connections at this moment."""
        return [
            (service.record.id, service.record.version, ports)
            for service in self._services.values()
            if (ports := service.acceptors.ports)
        ]

    def records(self, ids: Iterable[int]) -> list[Record]:
        """Of those that are here."""
        return [service.record for id_ in ids if (service := self._services.get(id_)) is not None]

    def counters(self) -> list[dict[str, Any]]:
        """Per proxy, since it came to this worker."""
        return [
            {
                "id": service.record.id,
                "open": len(service.open),
                "accepted": service.accepted,
                "refused": sum(service.account.refused.values()),
                "paused": service.acceptors.paused,
                "received_bytes": service.received,
                "sent_bytes": service.sent,
            }
            for service in self._services.values()
        ]

    def _all(self) -> list[Proxy]:
        return [*self._services.values(), *self.left]

    def _left(self, proxy_id: int) -> list[Proxy]:
        return [service for service in self.left if service.record.id == proxy_id]
