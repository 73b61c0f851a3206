"""Trial of a cluster as a newcomer would do it: creates proxies through the API and uses them with the real curl."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote

from tests.cluster.cluster import Cluster, succeeded
from tests.services.installing import install
from tests.services.ports import HOST
from tests.services.programs import ProgramError

PAGE = b"Hello from a web server behind the proxy.\n"
LOCATION = "home"
PROTOCOLS = ("http", "socks5", "mixed")
SCHEMES: Mapping[str, tuple[str, ...]] = {"http": ("http",), "socks5": ("socks5h",), "mixed": ("http", "socks5h")}
CURL_PROXY_FAILED = (7, 97)
"""curl's exit codes for a refused SOCKS login: CURLE_PROXY (97) since 7.73, CURLE_COULDNT_CONNECT (7) before."""
CURL_S = 30
NEW_S, KNOWN_S = 60.0, 10.0
"""Time to wait for the state of a new and of a known proxy."""


@dataclass(frozen=True)
class Fetched:
    """Result of curl: its exit code, the HTTP status, the body and its error."""

    code: int
    status: str
    body: bytes
    error: str


async def try_out(cluster: Cluster, location_id: int, report: Callable[[str], None]) -> list[dict[str, Any]]:
    """Create a proxy of each protocol, use it, and check that it refuses a wrong password. Raises ProgramError."""
    await ensure_curl(report)
    async with web_server() as address:
        found = []
        for protocol in PROTOCOLS:
            proxy = await made(cluster, protocol, location_id=location_id)
            await use_by_each_scheme(proxy, address, report)
            found.append(proxy)
    return found


async def try_again(cluster: Cluster, report: Callable[[str], None]) -> list[dict[str, Any]]:
    """Try out a cluster of earlier runs, in which anything may have changed since.

    Returns the proxies that work, and reports those that cannot be tried or no longer work.
    """
    await ensure_curl(report)
    found = []
    async with web_server() as address:
        for protocol in PROTOCOLS:
            try:
                found.append(await used_again(cluster, protocol, address, report))
            except ProgramError as reason:
                report(f"{name_for(protocol)} is left out: {str(reason).splitlines()[0]}")
    return found


async def used_again(cluster: Cluster, protocol: str, address: str, report: Callable[[str], None]) -> dict[str, Any]:
    """Use the proxy, repeatedly if necessary: it may need a moment after its node is back. Raises ProgramError."""
    deadline = time.monotonic() + KNOWN_S
    while True:
        proxy = await known_or_made(cluster, protocol)
        try:
            await use_by_each_scheme(proxy, address, report)
        except ProgramError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)
        else:
            return proxy


async def use_by_each_scheme(proxy: Mapping[str, Any], address: str, report: Callable[[str], None]) -> None:
    for scheme in SCHEMES[proxy["protocol"]]:
        await use(proxy, scheme, address, report)


async def ensure_location(cluster: Cluster, known: int | None = None) -> int:
    """Return the id of our location, even if it was renamed; create one if there is none any more."""
    listed = succeeded(await cluster.api.get("/locations", params={"limit": 1000})).json()["items"]
    ids = {each["id"]: each["name"] for each in listed}
    if known in ids:
        return known
    named = [id_ for id_, name in ids.items() if name == LOCATION]
    if named:
        return named[0]
    return succeeded(await cluster.api.post("/locations", json={"name": LOCATION})).json()["id"]


def name_for(protocol: str) -> str:
    return f"try-{protocol}"


async def known_or_made(cluster: Cluster, protocol: str) -> dict[str, Any]:
    """Find the proxy of an earlier run, or create one on any node. Raises ProgramError when it cannot be used."""
    listed = succeeded(await cluster.api.get("/proxies", params={"name": name_for(protocol)})).json()["items"]
    if not listed:
        return await made(cluster, protocol, node_ids=await open_nodes(cluster))
    proxy = await settled(cluster, listed[0], KNOWN_S)
    reason = unusable(proxy)
    if reason:
        raise ProgramError(reason)
    return proxy


def unusable(proxy: Mapping[str, Any]) -> str | None:
    """Return why a proxy cannot be tried; None when it should serve a client on this machine."""
    state, reason = proxy["status"]["state"], proxy["status"]["reason"]
    if not proxy["enabled"]:
        return "it is disabled"
    if state != "running":
        return f"it is {state}" + (f" ({reason})" if reason else "")
    if not ip_address(proxy["host"]).is_loopback:
        return f"its node's address {proxy['host']} is not this machine's own"
    return None


async def open_nodes(cluster: Cluster) -> list[int]:
    """List the nodes of this machine that take new proxies. Raises ProgramError when there are none."""
    nodes = succeeded(await cluster.api.get("/nodes", params={"limit": 1000})).json()["items"]
    found = [node["id"] for node in nodes if takes_proxies(node)]
    if not found:
        states = ", ".join(f"node {node['id']} is {node['status']['state']} and {node['state']}" for node in nodes)
        raise ProgramError(f"no node takes new proxies: {states or 'there are none'}")
    return found


def takes_proxies(node: Mapping[str, Any]) -> bool:
    is_ours = ip_address(node["ip"]).is_loopback
    return is_ours and node["state"] == "active" and node["status"]["state"] == "online"


async def made(cluster: Cluster, protocol: str, **where: Any) -> dict[str, Any]:
    """Create a proxy and wait until it runs. Raises ProgramError."""
    body = {"name": name_for(protocol), "protocol": protocol, **where}
    proxy = succeeded(await cluster.api.post("/proxies", json=body, headers={"Prefer": "wait=10"})).json()
    proxy = await settled(cluster, proxy, NEW_S)
    if proxy["status"]["state"] != "running":
        raise ProgramError(f"the {protocol} proxy does not run: {proxy['status']}")
    return proxy


async def settled(cluster: Cluster, proxy: dict[str, Any], limit_s: float) -> dict[str, Any]:
    """Wait until the proxy's state is neither pending nor unknown, at most `limit_s`, and return it."""
    deadline = time.monotonic() + limit_s
    while proxy["status"]["state"] in ("pending", "unknown") and proxy["enabled"] and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        proxy = succeeded(await cluster.api.get(f"/proxies/{proxy['id']}")).json()
    return proxy


async def use(proxy: Mapping[str, Any], scheme: str, address: str, report: Callable[[str], None]) -> None:
    """Fetch a page through the proxy, and check that it refuses a wrong password. Raises ProgramError."""
    title = f"{proxy['name']} ({proxy['host']}:{proxy['port']}) as {scheme.removesuffix('h')}"
    right = await curl(proxy_url(proxy, scheme, proxy["password"]), address)
    if right.code != 0 or right.body != PAGE:
        raise ProgramError(
            f"curl could not fetch a page through {title}: exit {right.code}, {right.status} {right.error}"
        )
    if proxy["username"] is None:
        report(f"{title}: curl fetched a page; it asks for no login")
        return
    wrong = await curl(proxy_url(proxy, scheme, "wrong"), address)
    refused = wrong.status == "407" if scheme == "http" else wrong.code in CURL_PROXY_FAILED
    if not refused or wrong.body == PAGE:
        raise ProgramError(f"{title} did not refuse a wrong password: exit {wrong.code}, {wrong.status} {wrong.error}")
    answer = "407" if scheme == "http" else f"SOCKS login refused, curl exit {wrong.code}"
    report(f"{title}: curl fetched a page; a wrong password was refused ({answer})")


def proxy_url(proxy: Mapping[str, Any], scheme: str, password: str | None) -> str:
    login = f"{quote(proxy['username'], safe='')}:{quote(password or '', safe='')}@" if proxy["username"] else ""
    return f"{scheme}://{login}{proxy['host']}:{proxy['port']}"


async def curl(proxy: str, address: str) -> Fetched:
    """Fetch the page with curl. The proxy's URL goes through a pipe: every user may see arguments."""
    command = [
        "curl",
        "--config",
        "-",
        "--silent",
        "--show-error",
        "--max-time",
        str(CURL_S),
        "--write-out",
        r"\n%{http_code}",
    ]
    settings = f'proxy = "{proxy}"\nnoproxy = ""\nurl = "{address}"\n'
    done = await asyncio.to_thread(
        subprocess.run, command, input=settings.encode(), capture_output=True, check=False, timeout=CURL_S + 5
    )
    body, _, status = done.stdout.rpartition(b"\n")
    return Fetched(done.returncode, status.decode(), body, done.stderr.decode(errors="replace").strip())


async def ensure_curl(report: Callable[[str], None]) -> None:
    """Install curl if it is missing. Raises ProgramError."""
    if not shutil.which("curl"):
        await install("curl", report)


@asynccontextmanager
async def web_server() -> AsyncIterator[str]:
    """Run a web server with one page; provides its URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(PAGE)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + PAGE)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    async with server:
        yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}/"
