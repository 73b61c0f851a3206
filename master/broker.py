"""RabbitMQ's management API: exchanges, queues, and one login for each node with exactly its permissions.

Everything is created by importing definitions, which creates missing objects and changes nothing else: one call at each
connect rebuilds a wiped broker from PostgreSQL (RabbitMQ docs, "Definition Export and Import").
"""

import asyncio
import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx
import structlog

from master.errors import BrokerAway
from master.management import ManagementApi, ManagementClient
from master.settings import QueueType
from master.tls import failure_of
from shared.messages.routes import DEAD_QUEUE, MASTER_EXCHANGE, MASTER_QUEUE, NODE_EXCHANGE, node_login, node_queue
from shared.proxies import NodeId

log = structlog.get_logger()

TIMEOUT_S = 10.0
HASHING = "rabbit_password_hashing_sha256"
NODE_QUEUE_ARGUMENTS = {"x-message-ttl": 60_000, "x-max-length": 64, "x-overflow": "drop-head"}
MASTER_QUEUE_ARGUMENTS = {"x-message-ttl": 120_000, "x-max-length": 100_000, "x-overflow": "drop-head"}
DEAD_QUEUE_ARGUMENTS = {"x-max-length": 1_000, "x-overflow": "drop-head"}
CLOSE_AFTER_S = (0.0, 0.1, 0.4)
"""Pauses before each attempt to close connections of a deleted login: the broker closes them itself, but assigns a new
connection to its user only some milliseconds after accepting it."""
CLOSE_TRIES = 10


def password_hash(password: str) -> str:
    """Hash a password like RabbitMQ: a salt of four bytes and SHA-256 over both (RabbitMQ docs, "Passwords")."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


class Broker:
    """The management API of one broker, or of the brokers of one cluster, as an administrator."""

    def __init__(self, management: ManagementApi, queue_type: QueueType = "classic") -> None:
        """A queue that exists keeps its type."""
        self._queue_type = queue_type
        self._vhost = management.vhost
        self._management = ManagementClient(management, TIMEOUT_S)

    async def ensure_all(self, nodes: Mapping[NodeId, str]) -> None:
        """Create everything that the bus needs, and delete the logins of removed nodes. Raises BrokerAway.

        `nodes` maps each node to the hash of its password.
        """
        await self._import(self.definitions(nodes, everything=True))
        permissions = await self.call("GET", f"/api/vhosts/{self._quoted}/permissions")
        for user in [permission["user"] for permission in permissions]:
            match = re.fullmatch(r"node-(\d+)", user)
            if match and NodeId(int(match[1])) not in nodes:
                await self.remove_node(NodeId(int(match[1])))

    async def ensure_node(self, node_id: NodeId, hash_: str) -> None:
        """Create one node's login, queue and binding. Raises BrokerAway."""
        await self._import(self.definitions({node_id: hash_}, everything=False))

    async def repair_logins(self, nodes: Mapping[NodeId, str]) -> list[NodeId]:
        """Restore logins that were deleted or got another password; return the nodes. Deleted queues are restored, too.

        Connections made with another password are closed. Raises BrokerAway.
        """
        permissions = await self.call("GET", f"/api/vhosts/{self._quoted}/permissions")
        users = {permission["user"] for permission in permissions}
        hashes = {user["name"]: user["password_hash"] for user in await self.call("GET", "/api/users")}
        missing = {node_id: hash_ for node_id, hash_ in nodes.items() if node_login(node_id) not in users}
        other = {id_: hash_ for id_, hash_ in nodes.items() if hashes.get(node_login(id_), hash_) != hash_}
        for node_id in other:
            await self.delete_login(node_id)
        wrong = {**missing, **other}
        queues = {queue["name"] for queue in await self.call("GET", f"/api/queues/{self._quoted}?columns=name")}
        without = {node_id: hash_ for node_id, hash_ in nodes.items() if node_queue(node_id) not in queues}
        everything = not {MASTER_QUEUE, DEAD_QUEUE} <= queues
        if wrong or without or everything:
            await self._import(self.definitions({**wrong, **without}, everything=everything))
        return sorted(wrong)

    async def remove_node(self, node_id: NodeId) -> None:
        """Delete the node's login, which closes its connections at once, and its queue. Raises BrokerAway."""
        await self.delete_login(node_id)
        await self.call("DELETE", f"/api/queues/{self._quoted}/{node_queue(node_id)}")
        log.info("broker.node_removed", node_id=node_id)

    async def delete_login(self, node_id: NodeId) -> None:
        """Delete the node's login, which closes its connections at once. Its queue stays. Raises BrokerAway."""
        await self.call("DELETE", f"/api/users/{node_login(node_id)}")
        for pause in CLOSE_AFTER_S:
            await asyncio.sleep(pause)
            await self._close_connections(node_login(node_id))

    async def shut_out(self, node_id: NodeId) -> None:
        """Delete the login of a node that floods the master. Raises BrokerAway."""
        await self.delete_login(node_id)
        log.warning("broker.node_shut_out", node_id=node_id)

    async def close(self) -> None:
        """Close the connections."""
        await self._management.close()

    @property
    def _quoted(self) -> str:
        return quote(self._vhost, safe="")

    def definitions(self, nodes: Mapping[NodeId, str], *, everything: bool) -> dict[str, Any]:
        """Return the definitions of these nodes; with `everything` also what they share."""
        queues = [self._queue(node_queue(node_id), NODE_QUEUE_ARGUMENTS) for node_id in nodes]
        bindings = [self._binding(NODE_EXCHANGE, node_queue(node_id), str(node_id)) for node_id in nodes]
        if everything:
            queues.append(self._queue(MASTER_QUEUE, MASTER_QUEUE_ARGUMENTS))
            queues.append(self._queue(DEAD_QUEUE, DEAD_QUEUE_ARGUMENTS))
            bindings.append(self._binding(MASTER_EXCHANGE, MASTER_QUEUE, "#"))
        return {
            "exchanges": [self._exchange(NODE_EXCHANGE, "direct"), self._exchange(MASTER_EXCHANGE, "topic")],
            "queues": queues,
            "bindings": bindings,
            "users": [
                {"name": node_login(node_id), "password_hash": hash_, "hashing_algorithm": HASHING, "tags": ""}
                for node_id, hash_ in nodes.items()
            ],
            "permissions": [self._permission(node_id) for node_id in nodes],
            "topic_permissions": [self._topic_permission(node_id) for node_id in nodes],
        }

    def _exchange(self, name: str, kind: str) -> dict[str, Any]:
        flags = {"durable": True, "auto_delete": False, "internal": False, "arguments": dict[str, Any]()}
        return {"vhost": self._vhost, "name": name, "type": kind} | flags

    def _queue(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "vhost": self._vhost,
            "name": name,
            "durable": True,
            "auto_delete": False,
            "arguments": {"x-queue-type": self._queue_type, **arguments},
        }

    def _binding(self, exchange: str, queue: str, key: str) -> dict[str, Any]:
        target = {"destination": queue, "destination_type": "queue", "routing_key": key, "arguments": dict[str, Any]()}
        return {"vhost": self._vhost, "source": exchange} | target

    def _permission(self, node_id: NodeId) -> dict[str, Any]:
        return {
            "vhost": self._vhost,
            "user": node_login(node_id),
            "configure": "^$",
            "write": f"^{re.escape(MASTER_EXCHANGE)}$",
            "read": f"^{re.escape(node_queue(node_id)).replace(chr(92) + '-', '-')}$",
        }

    def _topic_permission(self, node_id: NodeId) -> dict[str, Any]:
        pattern = {"exchange": MASTER_EXCHANGE, "write": r"^{username}\.", "read": "^$"}
        return {"vhost": self._vhost, "user": node_login(node_id)} | pattern

    async def _import(self, definitions: Mapping[str, Any]) -> None:
        await self.call("POST", "/api/definitions", json=definitions)

    async def _close_connections(self, user: str) -> None:
        """Close the user's connections. RabbitMQ fails when one of them ends at this moment; then this tries again."""
        answer = await self._ask("DELETE", path := f"/api/connections/username/{user}")
        for _ in range(CLOSE_TRIES):
            if answer.status_code != HTTPStatus.INTERNAL_SERVER_ERROR:
                break
            await asyncio.sleep(CLOSE_AFTER_S[1])
            answer = await self._ask("DELETE", path)
        read(answer)

    async def call(self, method: str, path: str, **parameters: Any) -> Any:
        """Send one request to the management API and return its JSON. Raises BrokerAway."""
        return read(await self._ask(method, path, **parameters))

    async def _ask(self, method: str, path: str, **parameters: Any) -> httpx.Response:
        try:
            return await self._management.request(method, path, **parameters)
        except (httpx.HTTPError, OSError) as error:
            silent = f"RabbitMQ's management API does not answer{self._management.everywhere}"
            raise BrokerAway(f"{silent}: {failure_of(error)}") from error


def read(answer: httpx.Response) -> Any:
    """Return the answer's JSON. A deletion of something that is already gone succeeds. Raises BrokerAway."""
    if answer.status_code == HTTPStatus.NOT_FOUND and answer.request.method == "DELETE":
        return None
    if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise BrokerAway("RabbitMQ's management API refuses the login in AMQP_URL: it must be an administrator's")
    if answer.is_error:
        raise BrokerAway(f"RabbitMQ's management API answered {answer.status_code}: {answer.text[:200]}")
    return answer.json() if answer.content else None
