"""Proxy records for simple clients, each on a port of its own."""

import random
import socket
from contextlib import suppress
from typing import Any

from shared.proxies import ProxyRecord
from tests.clients.plain import ALICE
from tests.clients.streams import HERE

PORTS = iter(random.sample(range(20000, 30000), 10000))


def record(id_: int, **changes: Any) -> ProxyRecord:
    """A mixed proxy for Alice on a free port; `changes` override fields."""
    fields = {"id": id_, "version": 1, "content": 7, "protocol": "mixed", "username": ALICE[0], "password": ALICE[1]}
    fields["port"] = changes.pop("port", None) or free_port()
    return ProxyRecord.model_validate(fields | changes)


def open_to(*networks: str) -> dict[str, Any]:
    return {"username": None, "password": None, "allow_ips": networks}


def free_port() -> int:
    """A port outside net.ipv4.ip_local_port_range, so that no outgoing connection uses it. Each port is returned
    once."""
    for port in PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HERE, port))
            return port
    raise AssertionError("no port is free")
