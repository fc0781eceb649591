"""When a server's loop wakes its engine."""

from __future__ import annotations

import asyncio

from tcrp.engine.outputs import ServerOutput
from tcrp.engine.server import ServerEngine
from tcrp.net.ports import Place
from tcrp.net.server import AGAIN_US, Server
from tcrp.spec.limits import Limits

SECONDS = 0.2


class Overdue:
    """An engine whose deadline has passed and stays, as while a cluster's bucket owes an answer."""

    def __init__(self, engine: ServerEngine) -> None:
        self._engine = engine
        self.wakes = 0

    def next_deadline_us(self) -> int:
        return 0

    def handle_timeout(self, now_us: int) -> list[ServerOutput]:
        self.wakes += 1
        return self._engine.handle_timeout(now_us)

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)


def test_a_deadline_that_stays_overdue_does_not_keep_the_processor_busy() -> None:
    async def wakes() -> int:
        server = Server(Limits())
        engine = Overdue(server.engine)
        server.engine = engine  # type: ignore[assignment]
        server.start([Place("127.0.0.1", 0, 0)])
        server._rearm()
        await asyncio.sleep(SECONDS)
        await server.stop()
        return engine.wakes

    assert 1 < asyncio.run(wakes()) <= SECONDS * 1_000_000 / AGAIN_US + 1
