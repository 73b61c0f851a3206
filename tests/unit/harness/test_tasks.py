"""Running things together."""

import asyncio

from shared.tasks import for_each


async def test_all_are_done_and_no_more_at_a_time_than_asked_for() -> None:
    done, under_way, most = list[int](), set[int](), 0

    async def act(item: int) -> None:
        nonlocal most
        under_way.add(item)
        most = max(most, len(under_way))
        await asyncio.sleep(0)
        under_way.remove(item)
        done.append(item)

    await for_each(range(10), act, at_once=3)
    assert (sorted(done), most) == (list(range(10)), 3)


async def test_nothing_to_do_is_done_at_once() -> None:
    await for_each(list[int](), asyncio.sleep, at_once=3)
