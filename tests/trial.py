"""Tries a cluster out as a newcomer would: proxies made through the API and used with the real curl."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.cluster import ROOT, Cluster, succeeded
from tests.services import ProgramError
from tests.services.ports import HOST

PAGE = b"Hello from a web server behind the proxy.\n"
LOCATION = "home"
PROTOCOLS = ("http", "socks5", "mixed")
SCHEMES: Mapping[str, tuple[str, ...]] = {"http": ("http",), "socks5": ("socks5h",), "mixed": ("http", "socks5h")}
CURL_PROXY_FAILED = (7, 97)
"""curl's exit codes for a refused SOCKS login: CURLE_PROXY (97) since 7.73, CURLE_COULDNT_CONNECT (7) before."""
CURL_S = 15


@dataclass(frozen=True)
class Fetched:
    """What curl brought: its exit code, the HTTP status and the body."""

    code: int
    status: str
    body: bytes
    error: str


async def try_out(cluster: Cluster, location_id: int, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """One proxy of each protocol, each used and each refusing a wrong password. Raises ProgramError."""
    await asyncio.to_thread(ensure_curl, tell)
    async with web_server() as address:
        found = []
        for protocol in PROTOCOLS:
            proxy = await ensure_proxy(cluster, location_id, protocol)
            for scheme in SCHEMES[protocol]:
                await use(proxy, scheme, address, tell)
            found.append(proxy)
    return found


async def ensure_location(cluster: Cluster) -> int:
    """The id of our location, new if need be."""
    listed = succeeded(await cluster.api.get("/locations", params={"limit": 1000})).json()["items"]
    known = [each["id"] for each in listed if each["name"] == LOCATION]
    if known:
        return known[0]
    return succeeded(await cluster.api.post("/locations", json={"name": LOCATION})).json()["id"]


async def ensure_proxy(cluster: Cluster, location_id: int, protocol: str) -> dict[str, Any]:
    """Our proxy of this protocol, running. Raises ProgramError."""
    name = f"try-{protocol}"
    listed = succeeded(await cluster.api.get("/proxies", params={"limit": 1000})).json()["items"]
    known = [each for each in listed if each["name"] == name]
    if known:
        return known[0]
    wish = {"name": name, "location_id": location_id, "protocol": protocol}
    made = succeeded(await cluster.api.post("/proxies", json=wish, headers={"Prefer": "wait=10"}))
    shown = made.json()
    if made.status_code != 201 or shown["status"]["state"] != "running":
        raise ProgramError(f"the {protocol} proxy does not run: {made.status_code}, {shown['status']}")
    return shown


async def use(proxy: Mapping[str, Any], scheme: str, address: str, tell: Callable[[str], None]) -> None:
    """Fetch a page with the right password, and be refused with a wrong one. Raises ProgramError."""
    title = f"{proxy['name']} ({proxy['host']}:{proxy['port']}) as {scheme.removesuffix('h')}"
    right = await curl(proxy_url(proxy, scheme, proxy["password"]), address)
    if right.code != 0 or right.body != PAGE:
        raise ProgramError(
            f"curl could not fetch a page through {title}: exit {right.code}, {right.status} {right.error}"
        )
    wrong = await curl(proxy_url(proxy, scheme, "wrong"), address)
    refused = wrong.status == "407" if scheme == "http" else wrong.code in CURL_PROXY_FAILED
    if not refused or wrong.body == PAGE:
        raise ProgramError(f"{title} did not refuse a wrong password: exit {wrong.code}, {wrong.status} {wrong.error}")
    answer = "407" if scheme == "http" else f"SOCKS login refused, curl exit {wrong.code}"
    tell(f"{title}: curl fetched a page; a wrong password was refused ({answer})")


def proxy_url(proxy: Mapping[str, Any], scheme: str, password: str) -> str:
    login = f"{quote(proxy['username'], safe='')}:{quote(password, safe='')}"
    return f"{scheme}://{login}@{proxy['host']}:{proxy['port']}"


async def curl(proxy: str, address: str) -> Fetched:
    """The proxy's address holds a password: it goes through a pipe, since arguments are seen by every user."""
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


def ensure_curl(tell: Callable[[str], None]) -> None:
    """Raises ProgramError."""
    if shutil.which("curl"):
        return
    tell("curl is not here: having the system's package manager install it")
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "dev"), "install", "curl"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0 or not shutil.which("curl"):
        raise ProgramError(f"curl could not be installed\n{done.stderr}")


@asynccontextmanager
async def web_server() -> AsyncIterator[str]:
    """A little web server of one page; its address."""

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
