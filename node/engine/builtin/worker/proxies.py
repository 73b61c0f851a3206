"""The proxies of one worker."""

from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from node.engine.builtin.accounting.account import Account
from node.engine.builtin.accounting.ledger import Ledger
from node.engine.builtin.net.exits import SessionExit
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.net.tls import TlsServer
from node.engine.builtin.policy.quota_periods import QuotaUsage
from node.engine.builtin.policy.records import Record
from node.engine.builtin.sessions.protocol_detection import first_stage
from node.engine.builtin.sessions.proxy import Proxy
from node.engine.builtin.sessions.rate_limit import Levels
from node.engine.builtin.worker.bookkeeping import Bookkeeping
from shared.destinations import canonical_ports


class Proxies:
    """All proxies of a worker. `put` and `remove` take the same time however many there are.

    `handed_over` has the proxies that another process has taken over, each with the connections that could not be
    moved.
    """

    def __init__(self, reactor: Reactor, ledger: Ledger) -> None:
        self.handed_over: list[Proxy] = []
        self._reactor = reactor
        self._by_id: dict[int, Proxy] = {}
        self.bookkeeping = Bookkeeping(reactor, ledger, self._all)

    def put(self, record: Record, listeners: Sequence[Socket]) -> bool:
        """Run a record in place of its previous version. False if it needs other listeners. Raises OSError, ValueError.

        Listeners at ports that are not in the record are closed.
        """
        if record.tls and self._reactor.tls is None:
            raise ValueError("the node has no certificate for TLS yet")
        begin = first_stage(record)
        for before in self._handed_over(record.id) if self.handed_over else ():
            before.change(record, begin)
        proxy = self._by_id.get(record.id)
        ports = [each.getsockname()[1] for each in listeners]
        if not {*ports, *(proxy.acceptors.ports if proxy else ())}.issuperset(record.ports):
            return False
        if proxy is None:
            proxy = Proxy(self._reactor, record, begin, self.bookkeeping.account(record))
        else:
            proxy.change(record, begin)
            proxy.acceptors.keep(record.ports)
        for listener, port in zip(listeners, ports, strict=True):
            proxy.acceptors.open(listener, port)
        self._by_id[record.id] = proxy
        self.bookkeeping.update(proxy)
        self._reactor.sweep()
        return True

    @property
    def certificate(self) -> str | None:
        """The certificate for clients that speak TLS, with its key, in PEM."""
        return self._reactor.tls.pem if self._reactor.tls is not None else None

    def use_certificate(self, pem: str) -> None:
        """Use this certificate for new connections. Raises ValueError with nothing changed."""
        if self.certificate != pem:
            self._reactor.tls = TlsServer(pem)

    def deny_ports(self, ports: tuple[int | str, ...]) -> None:
        """Set the ports that are closed unless a proxy allows them. Raises ValueError."""
        self._reactor.deny_ports = canonical_ports(ports)
        for proxy in self._all():
            proxy.update_denied()

    def remove(self, proxy_id: int) -> None:
        """Close a proxy; does nothing if it is unknown."""
        proxy = self._by_id.pop(proxy_id, None)
        gone = [*self._handed_over(proxy_id), *([proxy] if proxy is not None else [])]
        self.handed_over = [each for each in self.handed_over if each.record.id != proxy_id]
        for each in gone:
            each.close()
        if gone:
            self.bookkeeping.finish(gone)
            self._reactor.sweep()

    def close(self) -> None:
        for proxy_id in [*self._by_id, *(proxy.record.id for proxy in self.handed_over)]:
            self.remove(proxy_id)
        self.bookkeeping.close()

    def conditions(self) -> list[tuple[int, str, str]]:
        """(id, word, reason) of the suspended proxies."""
        suspended = [
            (proxy.record.id, proxy.suspension) for proxy in self._by_id.values() if proxy.suspension is not None
        ]
        return [(id_, suspension.word, suspension.reason) for id_, suspension in suspended]

    def batch(self, most: int) -> list[Proxy]:
        """Up to `most` proxies that are not handed over yet."""
        return list(islice(self._by_id.values(), most))

    def hand_over(self, proxies: Iterable[Proxy]) -> None:
        """Record that another process runs these proxies now."""
        for proxy in proxies:
            del self._by_id[proxy.record.id]
            self.handed_over.append(proxy)

    def has_clients(self) -> bool:
        """Whether any connection of a handed-over proxy remains; forget the proxies without one."""
        ended = [proxy for proxy in self.handed_over if not proxy.open]
        if ended:
            self.handed_over = [proxy for proxy in self.handed_over if proxy.open]
            self.bookkeeping.finish(ended)
        return bool(self.handed_over)

    def inherit(
        self,
        record: Record,
        listeners: Sequence[Socket],
        spent: QuotaUsage,
        sessions: list[tuple[str, str]],
        levels: Levels | None,
    ) -> None:
        """Run a proxy that another process handed over. Raises OSError, ValueError."""
        if record.id in self._by_id:
            for listener in listeners:
                listener.close()
            return
        proxy = Proxy(self._reactor, record, first_stage(record), Account(record.id, spent))
        if isinstance(proxy.exit, SessionExit):
            proxy.exit.adopt(sessions, self._reactor.now)
        for listener in listeners:
            proxy.acceptors.open(listener, listener.getsockname()[1])
        self._by_id[record.id] = proxy
        self.bookkeeping.update(proxy)
        if levels is not None and proxy.rate_limit is not None:
            proxy.rate_limit.restore(levels)

    def get(self, proxy_id: int) -> Proxy | None:
        return self._by_id.get(proxy_id)

    def listening(self) -> list[tuple[int, int, list[int]]]:
        """(id, version, ports) of the proxies that accept connections at this moment."""
        return [
            (proxy.record.id, proxy.record.version, ports)
            for proxy in self._by_id.values()
            if (ports := proxy.acceptors.ports)
        ]

    def records(self, ids: Iterable[int]) -> list[Record]:
        """The records of those proxies that are here."""
        return [proxy.record for id_ in ids if (proxy := self._by_id.get(id_)) is not None]

    def counters(self) -> list[dict[str, Any]]:
        """Counters of each proxy since it came to this worker."""
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

    def open_connections(self) -> list[tuple[int, int]]:
        """(id, connections) of the proxies with connections, also of proxies that are handed over."""
        return [(proxy.record.id, count) for proxy in self._all() if (count := len(proxy.open))]

    def _all(self) -> list[Proxy]:
        return [*self._by_id.values(), *self.handed_over]

    def _handed_over(self, proxy_id: int) -> list[Proxy]:
        return [proxy for proxy in self.handed_over if proxy.record.id == proxy_id]
