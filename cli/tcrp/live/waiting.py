"""Waiting in an event loop for a condition, with a bound, where something else says when it may have come true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Waiters:
    """Those who wait for conditions of one thing. Conditions are asked again at each `changed`."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[bool]]] = []

    def changed(self) -> None:
        """Ask again what is waited for."""
        for until, future in list(self._waiting):
            if not future.done() and until():
                future.set_result(True)

    async def wait(self, until: Callable[[], bool], within_us: int) -> bool:
        """Wait until the condition holds. False: it never did in time."""
        if until():
            return True
        entry = until, asyncio.get_running_loop().create_future()
        self._waiting.append(entry)
        try:
            return await asyncio.wait_for(entry[1], max(within_us, 1) / 1_000_000)
        except TimeoutError:
            return until()
        finally:
            self._waiting.remove(entry)
