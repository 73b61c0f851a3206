"""Upgrades of a node that is installed from real bundles, with clients that stream through its proxies meanwhile."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from shared.proxies import ProxyRecord
from tests.clients.streams import Streams, echo, record, serving, tunnel
from tests.release.bundles import change_byte, sign_by_stranger, truncate
from tests.upgrades.real_node import NEW, OLD, RealNode, real_node
from tests.upgrades.releases import served

pytestmark = pytest.mark.long

STREAMS = 200
REACTOR = "lib/node/engine/builtin/net/reactor.py"
SOURCES = Path(__file__).parents[3]
AGENT = "lib/node/commands/run.py"
HUNG = b"import time\n\ndef main(arguments):\n    time.sleep(10**6)\n"
HUNG_FOR_GOOD = b"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + HUNG
ENDS_WORKERS = b"""import os, signal
from node.data_directory import data_directory_of
from node.engine.builtin.pool.directory import home_of
from node.engine.builtin.pool.processes import worker_names, worker_pid
home = home_of(data_directory_of(os.environ).data_dir / "builtin")
for name in worker_names(home):
    os.kill(worker_pid(home, *name), signal.SIGKILL)
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RealNode]:
    with real_node(tmp_path) as made:
        yield made


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with served(tmp_path) as address:
        yield address


def source(path: str) -> bytes:
    """Read a file of the bundle as it is."""
    return (SOURCES / path.removeprefix("lib/")).read_bytes()


def cannot_bind() -> dict[str, bytes | None]:
    """A version that loses its workers and cannot open a listener."""
    listeners = "lib/node/engine/builtin/pool/listeners.py"
    broken = source(listeners).replace(b".bind(", b".bound_by_nobody(")
    assert broken != source(listeners)
    return {AGENT: ENDS_WORKERS + source(AGENT), listeners: broken}


@asynccontextmanager
async def streaming(proxies: list[ProxyRecord], count: int) -> AsyncIterator[list[int]]:
    """Send random bytes through `count` tunnels and compare what comes back; the bytes of each so far."""
    passed, over = [0] * count, asyncio.Event()

    async def stream(number: int, streams: Streams) -> None:
        reader, writer = streams
        sent, back = hashlib.sha256(), hashlib.sha256()
        while not over.is_set():
            block = random.randbytes(2048)
            writer.write(block)
            sent.update(block)
            back.update(await reader.readexactly(len(block)))
            passed[number] += len(block)
            await asyncio.sleep(0.2)
        assert sent.digest() == back.digest()

    async with serving(echo) as port, AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        for number in range(count):
            streams = await stack.enter_async_context(patient_tunnel(proxies[number % len(proxies)], port))
            group.create_task(stream(number, streams))
        yield passed
        over.set()


@asynccontextmanager
async def patient_tunnel(proxy: ProxyRecord, port: int) -> AsyncIterator[Streams]:
    """A tunnel without the time limit of others."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    login = "Proxy-Authorization: Basic YWxpY2U6d29uZGVy"
    writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n{login}\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    try:
        yield reader, writer
    finally:
        writer.close()


async def started(node: RealNode, count: int = 3) -> list[ProxyRecord]:
    """Start the node with some proxies."""
    proxies = [record(number) for number in range(1, count + 1)]
    node.hold(proxies)
    node.control("start")
    await asyncio.to_thread(node.wait_healthy)
    return proxies


async def grown(passed: list[int]) -> None:
    """Wait until every stream has moved on."""
    before = list(passed)
    async with asyncio.timeout(60):
        while not all(now > then for now, then in zip(passed, before, strict=True)):
            await asyncio.sleep(0.1)


async def test_no_stream_is_closed_by_an_upgrade_with_new_code_of_the_workers(node: RealNode, url: str) -> None:
    proxies = await started(node)
    workers = node.workers
    release = node.release(replaced={REACTOR: source(REACTOR) + b"\n# of a later version\n"})
    node.request(release, url)
    async with streaming(proxies, STREAMS) as passed:
        assert await asyncio.to_thread(node.apply) == 0
        assert (node.state and node.state.state, node.current) == ("done", NEW), node.upgrade_log
        assert not workers & node.workers
        await grown(passed)
        workers = node.workers
        assert (await asyncio.to_thread(node.run, "upgrade-engine")).returncode == 0
        assert not workers & node.workers
        await grown(passed)
    assert min(passed) > 0


async def test_no_stream_is_closed_by_a_rollback(node: RealNode, url: str) -> None:
    proxies = await started(node)
    later = {REACTOR: source(REACTOR) + b"\n# of a later version\n", AGENT: HUNG_FOR_GOOD}
    node.request(node.release(replaced=later), url)
    async with streaming(proxies, STREAMS) as passed:
        assert await asyncio.to_thread(node.apply, "--check-seconds", "10") == 0
        await grown(passed)
    assert (node.state and node.state.state, node.current) == ("rolled_back", OLD), node.upgrade_log


@pytest.mark.parametrize(
    "replaced",
    [
        lambda: {AGENT: b"raise SystemExit(3)\n"},
        lambda: {AGENT: HUNG},
        lambda: {AGENT: HUNG_FOR_GOOD},
        cannot_bind,
    ],
    ids=["crashes", "hangs", "hangs for good", "cannot bind"],
)
async def test_a_version_that_does_not_serve_leaves_the_old_one_serving(
    node: RealNode, url: str, replaced: Callable[[], dict[str, bytes | None]]
) -> None:
    proxies = await started(node)
    node.request(node.release(replaced=replaced()), url)
    assert await asyncio.to_thread(node.apply, "--check-seconds", "12") == 0
    assert node.state is not None
    assert (node.state.state, node.current) == ("rolled_back", OLD), node.upgrade_log
    assert node.state.reason
    assert "afterwards" not in node.state.reason
    async with serving(echo) as port, tunnel(proxies[0], port):
        assert (await asyncio.to_thread(node.run, "health", "--deep")).returncode == 0


async def test_a_release_that_is_not_the_signed_one_changes_nothing(node: RealNode, url: str) -> None:
    await started(node, 1)
    for number, damage in enumerate(
        (lambda made: change_byte(made.bundle), lambda made: truncate(made.bundle), sign_by_stranger)
    ):
        release = node.release()
        damage(release)
        node.request(release, url, number + 1)
        assert await asyncio.to_thread(node.apply) == 0
        assert node.state is not None
        assert (node.state.id, node.state.state, node.current) == (number + 1, "refused", OLD)
    assert "restart" not in (node.root / "systemctl.log").read_text()
