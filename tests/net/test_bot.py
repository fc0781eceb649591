"""Bots on real sockets: the example program, and the behaviour of `tcrp.net.connect`."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tcrp.net
from processes import PATIENCE, LiveServer, Peer, live_server, room_of
from tcrp.spec.names import Notice, Reason
from tcrp.spec.table import IllegalEvent

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server() as server:
        yield server


def where(server: LiveServer) -> dict[str, Any]:
    return {"tcp_port": server.tcp, "udp_port": server.udp}


def test_the_echo_bot_echoes_and_ends_on_request(server: LiveServer) -> None:
    bot = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "echo_bot.py"), "--tcp-port", str(server.tcp), "--udp-port", str(server.udp)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert bot.stdout is not None
    assert bot.stdout.readline() == "in lobby as echo\n"
    ann = Peer(server, "ann").joins("lobby")
    ann.says("hello")
    assert ann.hears() == b"echo: ann said: hello"
    ann.says("enough")
    assert ann.hears() == b"echo: as you like"
    assert ann.hears() == b"Room closed"  # the bot was its host
    assert bot.wait(PATIENCE) == 0
    assert bot.stdout.read() == "ann: hello\nann: enough\n"
    bot.stdout.close()


def test_a_bot_without_a_server_reports_it_in_one_line() -> None:
    with live_server() as gone:
        ports = ["--tcp-port", str(gone.tcp), "--udp-port", str(gone.udp)]
    bot = subprocess.run(
        [sys.executable, str(EXAMPLES / "echo_bot.py"), *ports], capture_output=True, text=True, timeout=PATIENCE,
        check=False,
    )  # fmt: skip
    assert bot.returncode == 1
    assert bot.stderr == f"echo_bot: no chat server at 127.0.0.1:{ports[1]}: Connection refused\n"


def test_a_bot_joins_an_existing_room_and_creates_a_missing_one(server: LiveServer) -> None:
    async def chats() -> None:
        async with tcrp.net.connect(room="two", name="first", **where(server)) as first:
            assert first.is_host
            async with tcrp.net.connect(room="two", name="second", **where(server)) as second:
                assert not second.is_host
                await second.say("hi")
                assert await anext(aiter(first)) == tcrp.net.Message("second", "hi")

    asyncio.run(asyncio.wait_for(chats(), PATIENCE))


def test_a_refusal_is_raised_with_its_reason(server: LiveServer) -> None:
    async def chats() -> None:
        async with tcrp.net.connect(room="none", name="bot", creates=False, **where(server)):
            raise AssertionError("there is no such room")

    with pytest.raises(tcrp.net.RequestRefused) as error:
        asyncio.run(asyncio.wait_for(chats(), PATIENCE))
    assert error.value.reason is Reason.NO_SUCH_ROOM


def test_a_bot_learns_that_its_room_was_closed(server: LiveServer) -> None:
    async def chats() -> None:
        with room_of(server, "ann", room="brief") as [ann]:
            async with tcrp.net.connect(room="brief", name="bot", **where(server)) as chat:
                ann.says("bye")
                ann.says("exit")
                assert [message async for message in chat] == [("ann", "bye")]
                assert chat.why is Notice.ROOM_CLOSED
                assert not chat.is_open
                with pytest.raises(IllegalEvent):
                    await chat.say("anybody?")

    asyncio.run(asyncio.wait_for(chats(), PATIENCE))


def test_a_bot_notices_that_its_server_is_gone() -> None:
    async def chats() -> None:
        with live_server() as server:
            async with tcrp.net.connect(room="brief", name="bot", **where(server)) as chat:
                server.kill()
                await chat.say("anybody?")
                assert [message async for message in chat] == []
                assert (chat.why, chat.is_open) == (None, False)

    asyncio.run(asyncio.wait_for(chats(), PATIENCE))


def test_a_burst_of_texts_is_paced_so_that_all_arrive() -> None:
    async def chats() -> None:
        with live_server() as server, room_of(server, "ann", room="fast") as [ann]:
            async with tcrp.net.connect(room="fast", name="bot", **where(server)) as chat:
                for number in range(30):
                    await chat.say(str(number))
            assert [ann.hears() for _ in range(30)] == [f"bot: {number}".encode() for number in range(30)]

    asyncio.run(asyncio.wait_for(chats(), PATIENCE))
