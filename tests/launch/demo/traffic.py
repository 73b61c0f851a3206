"""Traffic through the proxies of the demo fleet: pages of any size, connections that stay open, and failed logins."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass

import httpx

from tests.clients.traffic import Refused, Tunnel, echo_server, tunnel
from tests.cluster.cluster import Cluster
from tests.launch.demo.build import Resource, named, proxies_of
from tests.launch.demo.web import page_server
from tests.services.ports import HOST

READERS, STAYING = 4, 24
PAUSE_S, BEAT_S, STAY_S, RENEW_S = 0.5, 1.0, 90.0, 15.0
MOST_BYTES = 400_000
WRONG_LOGIN = 0.04
"""Share of the requests that come with a wrong password."""
FAILURES = (OSError, EOFError, TimeoutError, Refused, AssertionError, httpx.HTTPError)
"""What a client of a fleet in trouble meets: the reason is at the proxy, where the page shows it."""


@dataclass
class Fleet:
    """The proxies that clients use now; renewed, since logins and ports rotate."""

    proxies: list[Resource]

    def any(self, dice: random.Random) -> Resource:
        """Draw a proxy: the lower its place, the likelier."""
        return self.proxies[int(len(self.proxies) * dice.random() ** 2.5)]


async def send_traffic(cluster: Cluster, seed: int = 7) -> None:
    """Send traffic until cancelled."""
    async with page_server() as pages, echo_server() as echo, asyncio.TaskGroup() as group:
        fleet = Fleet(await usable(cluster))
        group.create_task(renew(cluster, fleet))
        for number in range(READERS):
            group.create_task(read_pages(fleet, pages, random.Random(seed + number)))
        for number in range(STAYING):
            group.create_task(stay_connected(fleet, echo, random.Random(seed * 1000 + number)))


async def usable(cluster: Cluster) -> list[Resource]:
    """List running proxies of stacks that take HTTP with a login. Single ones keep what is left of their quotas."""
    running = await proxies_of(cluster, state="running")
    return [proxy for proxy in running if proxy["stack_id"] and proxy["username"] and proxy["protocol"] != "socks5"]


async def renew(cluster: Cluster, fleet: Fleet) -> None:
    while True:
        await asyncio.sleep(RENEW_S)
        with suppress(*FAILURES):
            fleet.proxies = await usable(cluster) or fleet.proxies


async def read_pages(fleet: Fleet, port: int, dice: random.Random) -> None:
    """Read pages through one proxy after the other."""
    while True:
        size = int(MOST_BYTES * dice.random() ** 3) + 500
        with suppress(*FAILURES):
            await read_page(fleet.any(dice), f"http://{HOST}:{port}/{size}", wrong=dice.random() < WRONG_LOGIN)
        await asyncio.sleep(PAUSE_S * (0.5 + dice.random()))


async def read_page(proxy: Resource, url: str, *, wrong: bool = False) -> int:
    """Return the length of a page. Raises httpx.HTTPError."""
    login = (proxy["username"], "wrong" if wrong else proxy["password"])
    through = httpx.Proxy(f"http://{proxy['host']}:{proxy['port']}", auth=login)
    async with httpx.AsyncClient(proxy=through, verify=False, timeout=5, trust_env=False) as client:
        return len((await client.get(url)).content)


async def stay_connected(fleet: Fleet, port: int, dice: random.Random) -> None:
    """Keep a connection open that says something now and then, and change the proxy from time to time."""
    while True:
        with suppress(*FAILURES):
            opened = await tunnel(fleet.any(dice), port)
            try:
                await beat(opened, dice, STAY_S * (0.5 + dice.random()))
            finally:
                await opened.close()
        await asyncio.sleep(BEAT_S)


async def beat(opened: Tunnel, dice: random.Random, for_s: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + for_s
    while loop.time() < until:
        await opened.beat(dice.randrange(500, 6000))
        await asyncio.sleep(BEAT_S * (0.5 + dice.random()))


async def use_up(cluster: Cluster) -> None:
    """Use the quotas of two proxies: one whole, one nearly. Raises httpx.HTTPError."""
    async with page_server() as port:
        await read_page(await named(cluster, "nearly-spent"), f"http://{HOST}:{port}/2600000")
        with suppress(*FAILURES):
            await read_page(await named(cluster, "spent"), f"http://{HOST}:{port}/60000")
