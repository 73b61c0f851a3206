"""RabbitMQ's management API: its addresses, and requests to whichever of them answers."""

import ssl
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import structlog

from master.tls import trusted
from shared.bus.addresses import BrokerAddresses, ssl_context

log = structlog.get_logger()

CONNECT_S = 3.0
"""Time after which the next broker is tried when one takes no connection."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ManagementApi:
    """The management API of one cluster of brokers, which takes the login of the bus.

    `ca` is the PEM text of the authorities trusted on https://, None for those of the host.
    """

    urls: tuple[str, ...]
    login: tuple[str, str] = field(repr=False)
    vhost: str
    ca: str | None = None

    @property
    def trust(self) -> ssl.SSLContext:
        """The context of its clients."""
        return trusted() if self.ca is None else ssl_context(self.ca)

    def each(self) -> tuple["ManagementApi", ...]:
        """Return the API of each broker alone."""
        return tuple(replace(self, urls=(url,)) for url in self.urls)


def management_of(urls: tuple[str, ...], broker: BrokerAddresses, ca: str | None = None) -> ManagementApi:
    """Return the management API of this broker."""
    return ManagementApi(urls=urls, login=broker.login, vhost=broker.vhost, ca=ca)


class ManagementClient:
    """Requests to the broker that answered last, and to the next one when it does not answer.

    They must be idempotent: a broker that did not answer in time may have done what it was asked.
    """

    def __init__(self, api: ManagementApi, answer_s: float) -> None:
        """A broker has `answer_s` seconds to answer. `place` counts the URLs up to the one that answered last."""
        self._urls, self.place = api.urls, 0
        self.everywhere = f" at any of its {len(api.urls)} addresses" if len(api.urls) > 1 else ""
        timeout = httpx.Timeout(answer_s, connect=min(CONNECT_S, answer_s))
        self._http = httpx.AsyncClient(auth=api.login, timeout=timeout, verify=api.trust, trust_env=False)

    async def request(self, method: str, path: str, **parameters: Any) -> httpx.Response:
        """Send one request. Raises httpx.HTTPError or OSError, that of the last broker, when none answers."""
        *earlier, last = [(self.place + step) % len(self._urls) for step in range(len(self._urls))]
        for place in earlier:
            try:
                return await self._answer(place, method, path, parameters)
            except (httpx.TransportError, OSError) as error:
                log.warning("broker.management_away", url=self._urls[place], reason=type(error).__name__)
        return await self._answer(last, method, path, parameters)

    async def _answer(self, place: int, method: str, path: str, parameters: dict[str, Any]) -> httpx.Response:
        answer = await self._http.request(method, f"{self._urls[place]}{path}", **parameters)
        self.place = place
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
