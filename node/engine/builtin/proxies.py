"""The proxies that one worker runs."""

import socket
from typing import Any

from node.engine.builtin.books import Books
from node.engine.builtin.client import Service
from node.engine.builtin.first_byte import FIRST_STAGES
from node.engine.builtin.ledger import Ledger
from node.engine.builtin.reactor import Reactor
from node.engine.builtin.records import Record


class Proxies:
    """Put and remove cost the same however many there are."""

    def __init__(self, reactor: Reactor, ledger: Ledger) -> None:
        self._reactor = reactor
        self._services: dict[int, Service] = {}
        self.books = Books(reactor, ledger, self._services.values())

    def put(self, record: Record, listener: socket.socket | None) -> bool:
        """Runs the record in place of the version before; False: it takes a listener. Raises OSError, ValueError."""
        service = self._services.get(record.id)
        if listener is None and (service is None or service.port != record.port):
            return False
        first_stage = FIRST_STAGES[record.protocol]
        if service is None:
            service = Service(self._reactor, record, first_stage, self.books.account(record.id))
        service.change(record, first_stage)
        if listener is not None:
            service.listen(listener)
        self._services[record.id] = service
        self.books.watch(service)
        self._reactor.sweep()
        return True

    def remove(self, proxy_id: int) -> None:
        """Nothing happens when it is unknown."""
        service = self._services.pop(proxy_id, None)
        if service is not None:
            service.close()
            self.books.finish(service)
            self._reactor.sweep()

    def close(self) -> None:
        for proxy_id in list(self._services):
            self.remove(proxy_id)
        self.books.close()

    def conditions(self) -> list[tuple[int, str, str]]:
        """(id, word, reason) of the proxies that refuse everybody at this moment."""
        held = [(service.record.id, service.held) for service in self._services.values() if service.held is not None]
        return [(id_, hold.word, hold.reason) for id_, hold in held]

    def listening(self) -> list[tuple[int, int, int]]:
        """(id, version, port) of what takes connections at this moment."""
        return [
            (service.record.id, service.record.version, port)
            for service in self._services.values()
            if (port := service.port) is not None
        ]

    def counters(self) -> list[dict[str, Any]]:
        """Per proxy, since it came to this worker."""
        return [
            {
                "id": service.record.id,
                "open": len(service.open),
                "accepted": service.accepted,
                "refused": sum(service.account.refused.values()),
                "paused": service.paused,
                "received_bytes": service.received,
                "sent_bytes": service.sent,
            }
            for service in self._services.values()
        ]
