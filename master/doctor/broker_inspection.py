"""Read the broker's state through RabbitMQ's management API."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

import httpx

from master.doctor.broker import CERTIFICATE_ADVICE
from master.doctor.topology import Topology, topology
from master.management import ManagementApi
from shared.certificates import refusal_behind
from shared.doctor.findings import Finding, problem

ANSWER_S = 5.0

LISTS = {
    "exchanges": "exchanges/{vhost}?columns=name,type",
    "queues": "queues/{vhost}?columns=name,type,arguments,messages,consumers,members,online",
    "bindings": "bindings/{vhost}?columns=source,destination,routing_key",
    "users": "users?columns=name,password_hash",
    "permissions": "vhosts/{vhost}/permissions",
    "topic_permissions": "vhosts/{vhost}/topic-permissions",
}


@dataclass
class NotInspected(Exception):
    """The state could not be read. `kind`: nobody answers, the certificate or the login is refused, or
    another program answers.
    """

    kind: Literal["away", "untrusted", "refused", "strange"]
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessToBroker:
    """The login's access to the broker. Without the tag of an administrator only the tags are known.

    `servers` are the members of the broker's cluster as the API reports them, `cluster` is its name.
    """

    version: str
    cluster: str = ""
    user: str
    tags: tuple[str, ...]
    servers: tuple[Mapping[str, Any], ...]
    vhost: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """The contents of the virtual host. `own` are the master's permissions (configure, write, read) or None."""

    topology: Topology = field(repr=False)
    own: tuple[str, ...] | None
    messages: Mapping[str, int]
    consumers: Mapping[str, int]
    queues: tuple[Mapping[str, Any], ...] = ()


class Inspection:
    """A series of requests with the login of AMQP_URL."""

    def __init__(self, management: ManagementApi) -> None:
        self._user, self._vhost = management.login[0], management.vhost
        self._http = httpx.AsyncClient(
            base_url=f"{management.urls[0]}/api/",
            auth=management.login,
            timeout=ANSWER_S,
            verify=management.trust,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def access(self) -> AccessToBroker:
        """Return the access of the login. Raises NotInspected."""
        try:
            value = (await self._get("whoami"))["tags"]
            tags = tuple(value.split(",") if isinstance(value, str) else value)
            if "administrator" not in tags:
                return AccessToBroker(version="", user=self._user, tags=tags, servers=(), vhost=self._vhost)
            overview = await self._get("overview")
            version, cluster = overview["rabbitmq_version"], str(overview.get("cluster_name", ""))
            servers = tuple(await self._get("nodes"))
        except (KeyError, TypeError) as error:
            raise NotInspected("strange", "what answers there is not RabbitMQ's management API") from error
        return AccessToBroker(
            version=version, cluster=cluster, user=self._user, tags=tags, servers=servers, vhost=self._vhost
        )

    async def contents(self) -> Contents | None:
        """Return the contents, or None when there is no such virtual host. Raises NotInspected."""
        quoted_vhost = quote(self._vhost, safe="")
        if await self._get(f"vhosts/{quoted_vhost}") is None:
            return None
        parts = {name: await self._list(path.format(vhost=quoted_vhost)) for name, path in LISTS.items()}
        actual = topology(parts)
        return Contents(
            topology=actual,
            own=actual.permissions.get(self._user),
            messages={queue["name"]: queue.get("messages", 0) for queue in parts["queues"]},
            consumers={queue["name"]: queue.get("consumers", 0) for queue in parts["queues"]},
            queues=tuple(parts["queues"]),
        )

    async def _list(self, path: str) -> list[dict[str, Any]]:
        return await self._get(path) or []

    async def _get(self, path: str) -> Any:
        """Return the answer's JSON, or None for 404."""
        try:
            answer = await self._http.get(path)
            if answer.status_code == 404:
                return None
            if answer.status_code in (401, 403):
                raise NotInspected("refused", f"it answers {answer.status_code} to {self._user!r}")
            return answer.raise_for_status().json()
        except httpx.TimeoutException as error:
            raise NotInspected("away", f"no answer within {ANSWER_S:g} s") from error
        except httpx.TransportError as error:
            if refused := refusal_behind(error):
                raise NotInspected("untrusted", f"its {refused}") from error
            raise NotInspected("away", str(error) or type(error).__name__) from error
        except (httpx.HTTPStatusError, ValueError) as error:
            raise NotInspected("strange", "what answers there is not RabbitMQ's management API") from error


def not_inspected(error: NotInspected, management_url: str) -> Finding:
    """Return the finding when the management API could not be read."""
    advice = {
        "untrusted": CERTIFICATE_ADVICE.replace("AMQP_URL", "RABBITMQ_MANAGEMENT_URL"),
        "away": "check that it runs with rabbitmq_management enabled (rabbitmq-plugins enable rabbitmq_management), "
        "and that RABBITMQ_MANAGEMENT_URL is right",
        "refused": "it takes the login of AMQP_URL, which must be an administrator's: rabbitmqctl set_user_tags",
        "strange": "RABBITMQ_MANAGEMENT_URL must lead to the management API, usually at port 15672",
    }
    return problem("management API", f"{management_url}: {error.reason}", advice[error.kind])
