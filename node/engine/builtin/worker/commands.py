"""The commands that an agent may send to a worker."""

import os
import resource
from _socket import socket as Socket  # noqa: N812 (the base class; the wrapper of the library costs 3 us a connection)
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, cast

from node.engine.builtin import log
from node.engine.builtin.frames import PROTOCOL, Message
from node.engine.builtin.net.reactor import Reactor
from node.engine.builtin.policy.descriptor_shares import descriptor_shares
from node.engine.builtin.policy.destination_guard import networks
from node.engine.builtin.policy.records import fields_of, read_record
from node.engine.builtin.worker.guard_updates import GuardUpdates
from node.engine.builtin.worker.handover.state import Handover
from node.engine.builtin.worker.proxies import Proxies
from shared.destinations import DENY_PORTS
from shared.engine.defaults import HALF_CLOSED_S, VIA

CommandResult = Callable[[Message], None]

_SHARE_SETTINGS = ("connections_per_source", "unadmitted_connections", "failed_logins")


class Commands:
    """Executes commands. Each is answered at once, except `take`, which is answered when everything has been taken
    over."""

    def __init__(
        self,
        reactor: Reactor,
        proxies: Proxies,
        guard_updates: GuardUpdates,
        handover: Handover,
        halt: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._proxies = proxies
        self._ledger = proxies.bookkeeping.ledger
        self._guard_updates = guard_updates
        self._handover = handover
        self._halt = halt
        self._by_name: Mapping[str, Callable[[Message], object]] = {
            "remove": self._remove,
            "list": self._list,
            "records": self._records,
            "stats": self._stats,
            "open": self._open,
            "configure": self._configure,
            "conditions": self._conditions,
            "usage": self._usage,
            "taken": self._taken,
            "halt": self._halt_soon,
        }

    def run(self, message: Message, sockets: Sequence[Socket], answer: CommandResult) -> None:
        """Execute a command. Never raises: a command that fails is answered with a short error."""
        try:
            self._dispatch(message, sockets, answer)
        except ValueError as error:
            answer({"error": str(error)})
        except OSError as error:
            answer({"error": os.strerror(error.errno or 0)})
        except Exception as error:  # noqa: BLE001 (a fault in one command must not end every proxy of this worker)
            log.fault("control.fault", error)
            answer({"error": f"a fault in the worker ({type(error).__name__})"})

    def _dispatch(self, message: Message, sockets: Sequence[Socket], answer: CommandResult) -> None:
        match message.get("op"), *sockets:
            case "put", *listeners:
                answer({"result": self._put(message["proxies"], listeners)})
            case "give", connection:
                self._handover.give(connection)
                answer({"result": None})
            case "take", connection:
                self._handover.take(connection, message["giver"], answer)
            case (str(name),) if name in self._by_name:
                answer({"result": self._by_name[name](message)})
            case _:
                _close(sockets)
                raise ValueError("unknown command")

    def _put(self, entries: list[dict[str, Any]], listeners: Sequence[Socket]) -> list[bool | str]:
        """Return for each entry True if it runs now, False if it needs other listeners, or why it does not run."""
        left = iter(listeners)
        return [self._put_one(each.get("record"), list(islice(left, each.get("listens", 0)))) for each in entries]

    def _put_one(self, fields: object, listeners: Sequence[Socket]) -> bool | str:
        try:
            if not isinstance(fields, dict):
                raise ValueError("there is no record")
            done = self._proxies.put(read_record(cast("dict[str, object]", fields)), listeners)
        except (ValueError, OSError) as error:
            _close(listeners)
            return str(error) if isinstance(error, ValueError) else os.strerror(error.errno or 0)
        if not done:
            _close(listeners)
        return done

    def _remove(self, message: Message) -> object:
        return self._proxies.remove(message["proxy_id"])

    def _list(self, _: Message) -> object:
        handover = self._handover
        return {
            "protocol": PROTOCOL,
            "build": handover.build,
            "state": handover.state,
            "proxies": self._proxies.listening(),
        }

    def _records(self, message: Message) -> object:
        return [fields_of(record) for record in self._proxies.records(message["ids"])]

    def _stats(self, _: Message) -> object:
        return {"faults": self._reactor.faults, "proxies": self._proxies.counters()}

    def _open(self, _: Message) -> object:
        return self._proxies.open_connections()

    def _configure(self, message: Message) -> object:
        self._guard_updates.open(networks(message.get("allow_destinations", [])))
        overrides = {name: message.get(name) for name in _SHARE_SETTINGS}
        self._proxies.deny_ports(tuple(message.get("deny_ports", DENY_PORTS)))
        self._reactor.set_shares(descriptor_shares(resource.getrlimit(resource.RLIMIT_NOFILE)[0], overrides))
        self._reactor.half_closed.seconds = message.get("half_closed_s", HALF_CLOSED_S)
        self._reactor.via = message.get("via", VIA).encode()
        # An agent that does not know its broker's addresses yet leaves those that the previous agent knew.
        if "protect_destinations" in message:
            self._guard_updates.protect(networks(message["protect_destinations"]))
        if "node_addresses" in message:
            self._guard_updates.reached_at(networks(message["node_addresses"]))
        if message.get("certificate") is not None:
            self._proxies.use_certificate(message["certificate"])
        return None

    def _conditions(self, _: Message) -> object:
        return self._proxies.conditions()

    def _usage(self, message: Message) -> object:
        last, lines = self._ledger.lines_since(message["since"])
        return {"since": last, "lines": [line.decode() for line in lines]}

    def _taken(self, message: Message) -> object:
        """Acknowledge lives, each [proxy, epoch, received, sent, connections]; returns the lives that are not reported
        again.
        """
        return [
            [proxy, epoch]
            for proxy, epoch, received, sent, connections in message["lives"]
            if self._ledger.acknowledge((proxy, epoch), (received, sent, connections))
        ]

    def _halt_soon(self, _: Message) -> object:
        self._reactor.loop.call_soon(self._halt)
        return None


def _close(listeners: Iterable[Socket]) -> None:
    for listener in listeners:
        listener.close()
