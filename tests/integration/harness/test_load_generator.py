"""The benchmark's generator counts what really happened, so that its figures can be believed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.engines import plot, table
from tests.bench.engines.cases import CASES
from tests.bench.engines.contenders import BUILTIN, DIRECT, Ground, Running, own_address, running
from tests.bench.engines.fleet import fleet
from tests.bench.engines.generator import Generator, NoCompilerError, Origin, compiled
from tests.bench.engines.handover import handover
from tests.bench.engines.measuring import split_cores
from tests.bench.engines.memory import held
from tests.bench.engines.rounds import Course
from tests.clients.streams import HERE, serving

LOGIN = ("bench", "generated")
WAYS = ("direct", "connect", "get", "socks5")


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    try:
        return Generator(compiled(tmp_path_factory.mktemp("load")), LOGIN)
    except NoCompilerError as error:
        pytest.skip(str(error))


@pytest.fixture
async def origin(generator: Generator) -> AsyncIterator[Origin]:
    async with generator.origin(own_address()) as started:
        yield started


@pytest.fixture
async def ground(tmp_path: Path, origin: Origin) -> Ground:
    return Ground(tmp_path, origin.address.partition(":")[0], split_cores(), LOGIN, origin.address)


@pytest.fixture
async def proxy(ground: Ground) -> AsyncIterator[Running]:
    async with running(BUILTIN, ground) as started:
        yield started


def aim(how: str, proxy: Running, origin: Origin) -> dict[str, object]:
    return {"how": how, "to": origin.address if how == "direct" else proxy.http, "origin": origin.address}


@pytest.mark.parametrize("how", WAYS)
async def test_every_new_connection_is_answered_whole(
    generator: Generator, proxy: Running, origin: Origin, how: str
) -> None:
    load = await generator.run(**aim(how, proxy, origin), connections=7, total=50, size=70_000, verify=1)
    assert (load.done, load.failed, load.wrong, load.bytes, load.reason) == (50, 0, 0, 50 * 70_000, "")
    assert 0 < load.p50_us <= load.p99_us <= load.max_us


@pytest.mark.parametrize("how", WAYS)
async def test_kept_connections_are_used_again(generator: Generator, proxy: Running, origin: Origin, how: str) -> None:
    load = await generator.run(**aim(how, proxy, origin), connections=5, seconds=0.3, reuse=1, verify=1)
    assert load.done > 20
    assert (load.failed, load.reopened, load.wrong, load.bytes) == (0, 0, 0, load.done * 64)


@pytest.mark.parametrize(("how", "reason"), [("connect", "407"), ("get", "407"), ("socks5", "refused by SOCKS")])
async def test_a_refused_login_is_a_failure_with_its_reason(
    generator: Generator, proxy: Running, origin: Origin, how: str, reason: str
) -> None:
    stranger = Generator(generator.binary, ("bench", "wrong"))
    load = await stranger.run(**aim(how, proxy, origin), connections=3, total=5)
    assert (load.done, load.failed) == (0, 5)
    assert reason in load.reason


async def test_a_run_in_which_nothing_moves_tells_what_it_waited_for(generator: Generator) -> None:
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as port:
        to = f"{HERE}:{port}"
        load = await generator.run(how="direct", to=to, origin=to, connections=3, seconds=0.2)
    assert load.reason.startswith("nothing moved: 0 connect, 3 wait for an answer, the first at step 1")


async def test_a_connection_that_is_refused_by_this_host_tells_why(generator: Generator) -> None:
    to = "255.255.255.255:9"
    load = await generator.run(how="direct", to=to, origin=to, total=1)
    assert load.reason == "Network is unreachable (step 1)"


async def test_a_byte_that_is_not_the_origins_is_found(generator: Generator) -> None:
    async def zeros(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + bytes(100))

    async with serving(zeros) as port:
        address = f"{HERE}:{port}"
        load = await generator.run(how="direct", to=address, origin=address, total=1, size=100, verify=1)
    assert load.wrong == 1


async def test_held_connections_that_end_are_counted(generator: Generator, ground: Ground, origin: Origin) -> None:
    async with running(BUILTIN, ground) as proxy:
        holding = generator.holding(**aim("connect", proxy, origin), connections=150, hold="idle")
        told = await holding.__aenter__()
    await holding.__aexit__(None, None, None)
    assert (told[0].done, told[0].failed, told[0].lost) == (150, 0, 150)


async def test_a_round_gives_every_figure_of_every_case(
    generator: Generator, proxy: Running, origin: Origin, ground: Ground
) -> None:
    names, few = [DIRECT, BUILTIN], {"total": 200, "size": 1000}
    cases = [replace(case, options={**case.options, **few}) for case in CASES.values()]
    async with running(DIRECT, ground) as direct:
        samples = await Course(generator, origin, [direct, proxy], cases, 30, 1).round(0, lambda _: None)
    assert [each.why for each in samples if each.why or not each.figures] == []
    assert "| **new connections, HTTP GET with a login**, /s |" in table.speed(samples, cases, names)
    assert plot.drawn(samples, cases, names).count("<rect") == 1 + len(samples)


@pytest.mark.parametrize("kind", ["idle", "stalled"])
async def test_memory_is_told_for_each_relay(generator: Generator, ground: Ground, kind: str) -> None:
    found = await held(BUILTIN, ground, generator, kind, 20)
    assert (found.relays, found.lost) == (20, 0)
    assert found.before_bytes > 0
    assert found.after_bytes > 0


async def test_a_fleet_is_started_and_added_to(ground: Ground) -> None:
    found = await fleet(30, ground)
    assert found.proxies == 30
    assert 0 < found.adding_ms <= found.adding_worst_ms


async def test_a_handover_under_load_is_measured(ground: Ground, generator: Generator) -> None:
    found = await handover(20, 150, ground, generator)
    assert (found.lost, found.broken, found.wrong, found.refused) == (0, 0, 0, 0)
    assert found.connections >= 100
    assert found.exchanges > 0
    assert found.new_connections > 0
