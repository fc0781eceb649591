"""Waiting for a condition: it is asked when something has changed, and not for longer than was said."""

from __future__ import annotations

import asyncio

from tcrp.live.waiting import Waiters


def test_what_holds_already_is_not_waited_for() -> None:
    assert asyncio.run(Waiters().wait(lambda: True, 0))


def test_each_who_waits_goes_on_when_their_own_condition_holds() -> None:
    async def wait() -> None:
        waiters, seen = Waiters(), list[int]()
        tasks = [asyncio.create_task(waiters.wait(lambda n=n: len(seen) >= n, 10**8)) for n in (1, 2)]  # type: ignore[misc]
        await asyncio.sleep(0)
        for done in (1, 2):
            seen.append(done)
            waiters.changed()
            waiters.changed()  # that it is told twice does no harm
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert [task.done() for task in tasks] == [True, done == 2]
        assert await asyncio.gather(*tasks) == [True, True]
        assert waiters._waiting == []

    asyncio.run(wait())


def test_what_does_not_hold_in_time_is_asked_once_more() -> None:
    async def wait() -> None:
        waiters, answers = Waiters(), iter([False, True])
        assert await waiters.wait(lambda: next(answers), 1) is True  # nobody has said that something changed
        assert await waiters.wait(lambda: False, -1) is False
        assert waiters._waiting == []

    asyncio.run(wait())


def test_who_gives_up_is_forgotten() -> None:
    async def wait() -> None:
        waiters = Waiters()
        task = asyncio.create_task(waiters.wait(lambda: False, 10**8))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert waiters._waiting == []
        waiters.changed()

    asyncio.run(wait())
