"""The server process of a scenario on sockets: what it says if it cannot start, and what a restart keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from processes import PATIENCE
from tcrp.live.server import LiveServer, ServerFailed
from tcrp.sim.scenario.model import Crash, Listener, Pause, SetLimits, Start
from tcrp.spec.limits import Limits


class Times:
    """Counts how often a server was up."""

    def __init__(self) -> None:
        self.up = 0

    async def is_up(self) -> None:
        self.up += 1

    async def becomes(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.up < count:
                await asyncio.sleep(0.01)


def server_in(folder: Path, times: Times) -> LiveServer:
    return LiveServer("127.0.0.1", Limits(), (Listener(),), folder, times.is_up)


def plays(conversation: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(conversation(), PATIENCE))


def test_a_server_that_cannot_start_says_why_in_its_own_words(tmp_path: Path) -> None:
    async def conversation() -> None:
        times = Times()
        (tmp_path / "server-1.jsonl").mkdir()  # where its trace should go
        server = server_in(tmp_path, times)
        with pytest.raises(ServerFailed, match=r"the server did not start: chat-server: .*Is a directory"):
            await server.start()
        await server.close()
        assert times.up == 0

    plays(conversation)


def test_a_server_that_comes_back_has_its_ports_and_a_trace_of_its_own(tmp_path: Path) -> None:
    async def conversation() -> None:
        times = Times()
        server = server_in(tmp_path, times)
        await server.start()
        addresses = list(server.addresses)
        assert all(address.port for pair in addresses for address in pair)
        server.act(Crash(restart_us=1))
        server.act(Start())  # while it is starting, or runs already
        await times.becomes(2)
        assert server.addresses == addresses
        server.act(Crash())
        server.act(Pause(1))  # of a server that is down
        await asyncio.sleep(0.05)
        assert (times.up, len(server._traces)) == (2, 2)
        await server.close()

    plays(conversation)


@pytest.mark.parametrize(("may_take", "is_late"), [(0.0, True), (PATIENCE, False)])
def test_a_restart_is_late_that_takes_longer_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_take: float, is_late: bool
) -> None:
    monkeypatch.setattr("tcrp.live.server.RESTART_SECONDS", may_take)

    async def conversation() -> float:
        server = server_in(tmp_path, times := Times())
        await server.start()
        assert server.late_seconds == 0  # its first start disturbs no script
        server.act(Crash(restart_us=1))
        await times.becomes(2)
        await server.close()
        return server.late_seconds

    late_seconds = asyncio.run(asyncio.wait_for(conversation(), PATIENCE))
    assert (late_seconds > 0) == is_late


def test_limits_cannot_be_changed_on_sockets(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="cannot run on sockets"):
        server_in(tmp_path, Times()).act(SetLimits(()))
