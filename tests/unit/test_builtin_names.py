"""The order in which the addresses of a name are tried, and how long names are remembered."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.engine.builtin import resolver as resolving
from node.engine.builtin.deadlines import PromptDeadlines
from node.engine.builtin.resolver import MOST_ADDRESSES, Address, Resolver, interleaved, literal

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
    assert len(interleaved([(V4, str(number)) for number in range(1000)])) == MOST_ADDRESSES


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


async def test_a_name_is_remembered_for_half_a_minute_and_a_failure_for_three_seconds(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(resolving, "monotonic", lambda: now[0])
    resolver.remember("good", ((V4, "192.0.2.1"),))
    resolver.remember("bad", ())
    told: list[object] = []
    for now[0] in (2.9, 3.1, 29.9, 30.1):
        told.append((resolver.known("good") is not None, resolver.known("bad") is not None))
    assert told == [(True, True), (True, False), (True, False), (False, False)]


class Names:
    """Stands for the system's resolver: answers a name when it is let go, in threads like the real one."""

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self.free = threading.Event()

    def look_up(self, host: str) -> tuple[Address, ...]:
        self.asked.add(host)
        self.free.wait(LIMIT_S)
        return ((V4, "192.0.2.1"),)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    made = Names()
    monkeypatch.setattr(resolving, "_look_up", made.look_up)
    yield made
    made.free.set()


async def test_one_proxys_dead_names_hold_up_no_other_proxy(resolver: Resolver, names: Names) -> None:
    for number in range(100):
        resolver.look_up(f"dead-{number}", lambda found: None, 1)
    resolver.look_up("other", lambda found: None, 2)
    async with asyncio.timeout(LIMIT_S):
        while "other" not in names.asked or len(names.asked) < 9:
            await asyncio.sleep(0.01)
    assert len(names.asked) == 9


async def test_names_that_wait_get_their_turn_in_order_and_those_beyond_fail_at_once(
    resolver: Resolver, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolving, "_AT_ONCE", 1)
    monkeypatch.setattr(resolving, "_MOST_QUEUED", 2)
    answers: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    for name in ("first", "second", "third", "beyond", "first", "third"):
        resolver.look_up(name, lambda found, name=name: answers.put_nowait((name, len(found))), 1)
    assert answers.get_nowait() == ("beyond", 0)
    names.free.set()
    async with asyncio.timeout(LIMIT_S):
        told = [await answers.get() for _ in range(5)]
    assert told == [("first", 1), ("first", 1), ("second", 1), ("third", 1), ("third", 1)]
    resolver.look_up("fourth", lambda found: answers.put_nowait(("fourth", len(found))), 1)
    async with asyncio.timeout(LIMIT_S):
        assert await answers.get() == ("fourth", 1)


async def test_prompt_deadlines_ring_by_themselves_and_in_order() -> None:
    rung: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    deadlines: PromptDeadlines[str] = PromptDeadlines(0.02, rung.put_nowait, loop)
    for item in ("first", "second", "third"):
        deadlines.add(item, loop.time())
    deadlines.discard("second")
    async with asyncio.timeout(2):
        assert [await rung.get(), await rung.get()] == ["first", "third"]
    deadlines.add("again", loop.time())
    async with asyncio.timeout(2):
        assert await rung.get() == "again"
