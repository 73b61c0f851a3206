"""The order in which the addresses of a name are tried, and how long names are remembered."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.builtin.net.dns import lookup_queue
from node.engine.builtin.net.dns import resolver as resolving
from node.engine.builtin.net.dns import threads as idling
from node.engine.builtin.net.dns.resolver import MAX_ADDRESSES, Address, Resolver, interleaved, literal
from node.engine.builtin.net.timeouts import PromptTimeouts

LIMIT_S = 10.0
V4, V6 = socket.AF_INET, socket.AF_INET6
addresses = st.tuples(st.sampled_from([V4, V6]), st.integers(0, 5).map(str))


@pytest.fixture
async def resolver() -> AsyncIterator[Resolver]:
    opened = Resolver(asyncio.get_running_loop())
    yield opened
    opened.close()


def test_the_families_take_turns_and_the_first_one_begins() -> None:
    found = [(V6, "a"), (V6, "b"), (V6, "c"), (V4, "d"), (V6, "a")]
    assert interleaved(found) == ((V6, "a"), (V4, "d"), (V6, "b"), (V6, "c"))


@given(st.lists(addresses))
def test_every_address_is_tried_once_and_each_family_in_its_own_order(found: list[Address]) -> None:
    order = interleaved(found)
    assert set(order) == set(found)
    for family in (V4, V6):
        kept = [each for each in order if each[0] == family]
        assert kept == list(dict.fromkeys(each for each in found if each[0] == family))


def test_a_name_has_no_more_addresses_than_can_be_tried() -> None:
    assert len(interleaved([(V4, str(number)) for number in range(1000)])) == MAX_ADDRESSES


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("192.0.2.1", (V4, "192.0.2.1")),
        ("2001:db8::1", (V6, "2001:db8::1")),
        ("::ffff:192.0.2.1", (V4, "192.0.2.1")),
        ("::FFFF:c000:201", (V4, "192.0.2.1")),
        ("127.1", None),
        ("name.test", None),
        ("::1::", None),
    ],
)
def test_a_literal_is_its_own_address(host: str, found: Address | None) -> None:
    assert literal(host) == ((found,) if found else None)


async def test_the_memory_forgets_the_oldest_name_first(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "_REMEMBERED", 3)
    for name in ("a", "b", "c", "a", "d"):
        resolver.remember(name, ((V4, "192.0.2.1"),))
    assert [name for name in "abcd" if resolver.known(name)] == ["a", "c", "d"]


async def test_a_name_is_remembered_for_half_a_minute_and_a_failure_shorter(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(resolving, "monotonic", lambda: now[0])
    resolver.remember("good", ((V4, "192.0.2.1"),))
    resolver.remember("bad", ())
    resolver.remember("silent", (), slow=True)
    kept: dict[float, list[str]] = {}
    for now[0] in (2.9, 3.1, 14.9, 15.1, 29.9, 30.1):
        kept[now[0]] = [name for name in ("good", "bad", "silent") if resolver.known(name) is not None]
    assert kept == {
        **{2.9: ["good", "bad", "silent"], 3.1: ["good", "silent"], 14.9: ["good", "silent"]},
        **{15.1: ["good"], 29.9: ["good"], 30.1: []},
    }


class Names:
    """Stands for the system's resolver: names with `dead` in them are answered when they are let go, others at once;
    in threads like the real one."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.free = threading.Event()

    def look_up(self, host: str) -> tuple[Address, ...]:
        self.asked.append(host)
        if "dead" in host:
            self.free.wait(LIMIT_S)
            return ()
        return ((V4, "192.0.2.1"),)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    made = Names()
    monkeypatch.setattr(resolving, "_look_up", made.look_up)
    yield made
    made.free.set()


async def found(resolver: Resolver, host: str, proxy_id: int) -> tuple[Address, ...]:
    answered: asyncio.Future[tuple[Address, ...]] = asyncio.get_running_loop().create_future()
    resolver.look_up(host, answered.set_result, proxy_id)
    async with asyncio.timeout(LIMIT_S):
        return await answered


async def reached(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(0.005)


async def test_good_names_are_found_while_eight_proxies_ask_for_dead_ones(resolver: Resolver, names: Names) -> None:
    """Those of another proxy and those of the same ones: no dead name is answered before."""
    for number in range(24):
        for proxy in range(8):
            resolver.look_up(f"dead-{proxy}-{number}", lambda found: None, proxy)
    for proxy in (*range(8), 99):
        assert await found(resolver, f"good-{proxy}", proxy)
    assert not names.free.is_set()


async def test_a_name_that_waits_for_one_proxy_begins_at_once_for_another(resolver: Resolver, names: Names) -> None:
    """A proxy with a long queue must not hold up whoever wants the same name."""
    for number in range(8):
        resolver.look_up(f"dead-{number}", lambda found: None, 1)
    answers: asyncio.Queue[str] = asyncio.Queue()
    resolver.look_up("shared", lambda found: answers.put_nowait("one"), 1)
    assert "shared" not in names.asked
    resolver.look_up("shared", lambda found: answers.put_nowait("other"), 2)
    await reached(lambda: "shared" in names.asked)
    async with asyncio.timeout(LIMIT_S):
        assert [await answers.get(), await answers.get()] == ["one", "other"]
    assert names.asked.count("shared") == 1


async def test_whoever_gives_up_leaves_its_place_to_the_next(resolver: Resolver, names: Names) -> None:
    for number in range(8):
        resolver.look_up(f"dead-{number}", lambda found: None, 1)
    heard: list[str] = []
    given_up = [resolver.look_up(f"dead-late-{number}", lambda found: heard.append("late"), 1) for number in range(200)]
    joined = resolver.look_up("dead-late-7", lambda found: heard.append("joined"), 1)
    for give_up in given_up:
        assert give_up is not None
        give_up()
    await reached(lambda: "dead-late-7" in names.asked)
    names.free.set()
    assert joined is not None
    await reached(lambda: bool(heard))
    assert heard == ["joined"]
    assert [name for name in names.asked if "late" in name] == ["dead-late-7"]


async def test_names_beyond_those_that_may_wait_fail_at_once(
    resolver: Resolver, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup_queue, "_MAX_QUEUED", 2)
    answers: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    for number in range(8):
        resolver.look_up(f"dead-{number}", lambda found: None, 1)
    for name in ("second", "third", "beyond", "third"):
        resolver.look_up(name, lambda found, name=name: answers.put_nowait((name, len(found))), 1)
    assert answers.get_nowait() == ("beyond", 0)
    names.free.set()
    async with asyncio.timeout(LIMIT_S):
        told = [await answers.get() for _ in range(3)]
    assert sorted(told) == [("second", 1), ("third", 1), ("third", 1)]
    assert await found(resolver, "beyond", 1)


async def test_a_host_without_room_for_threads_fails_the_name_and_remembers_nothing(
    resolver: Resolver, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_room)
        assert await found(resolver, "name", 1) == ()
    assert await found(resolver, "name", 1)


async def test_a_thread_with_nothing_to_do_takes_the_next_name_and_ends_after_a_while(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idling, "_IDLE_S", 0.05)
    resolver = Resolver(asyncio.get_running_loop())

    def threads() -> int:
        return sum(thread.name == "resolver" for thread in threading.enumerate())

    before = threads()
    for number in range(5):
        assert await found(resolver, f"name-{number}", 1)
    await reached(lambda: threads() <= before)
    assert await found(resolver, "another", 1)
    resolver.close()


async def test_prompt_deadlines_ring_by_themselves_and_in_order() -> None:
    rung: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    deadlines: PromptTimeouts[str] = PromptTimeouts(0.02, rung.put_nowait, loop)
    for item in ("first", "second", "third"):
        deadlines.add(item, loop.time())
    deadlines.discard("second")
    async with asyncio.timeout(2):
        assert [await rung.get(), await rung.get()] == ["first", "third"]
    deadlines.add("again", loop.time())
    async with asyncio.timeout(2):
        assert await rung.get() == "again"
