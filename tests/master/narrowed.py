"""The API as a token with a filter has it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

SCOPES = ["read", "secrets", "write", "rotate", "check"]


class Caller(Protocol):
    """Calls the API as anybody, while it is open."""

    http: httpx.AsyncClient

    async def call(self, method: str, path: str, status: int, **more: Any) -> Any: ...


@dataclass(frozen=True)
class Part:
    """Calls the API with the token of a part of the fleet."""

    api: Caller
    filter: Mapping[str, Any]
    headers: Mapping[str, str] = field(repr=False)

    async def call(self, method: str, path: str, status: int, **more: Any) -> Any:
        """The answer's JSON, when it has this status."""
        return await self.api.call(method, path, status, headers={**self.headers, **more.pop("headers", {})}, **more)

    async def get(self, path: str, status: int = 200) -> Any:
        return await self.call("GET", path, status)

    async def text(self, path: str) -> str:
        return (await self.api.http.get(path, headers=self.headers)).text

    async def ids(self, path: str) -> list[int]:
        return [one["id"] for one in (await self.get(path))["items"]]


async def part(api: Caller, **filter_: str | int) -> Part:
    """The part of a new token with this filter."""
    name = " ".join(map(str, [*filter_, *filter_.values()]))
    body = {"name": name, "scopes": SCOPES, "filter": filter_}
    token = (await api.call("POST", "/tokens", 201, json=body))["token"]
    return Part(api, filter_, {"Authorization": f"Bearer {token}"})
