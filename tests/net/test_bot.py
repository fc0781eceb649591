"""Bots on real sockets: the example program, and the behaviour of `tcrp.net.connect`."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tcrp.net
from processes import PATIENCE, LiveServer, Peer, live_server, room_of
from tcrp.net import bot as bot_module
from tcrp.spec.names import Notice, Reason

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server() as server:
        yield server


def where(server: LiveServer) -> dict[str, Any]:
    return {"tcp_port": server.tcp, "udp_port": server.udp}


def ports(server: LiveServer) -> list[str]:
    return ["--tcp-port", str(server.tcp), "--udp-port", str(server.udp)]


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


def test_a_datagram_from_anybody_but_the_server_is_not_a_text(server: LiveServer) -> None:
    async def chats() -> None:
        async with tcrp.net.connect(room="forged", name="ann", **where(server)) as ann:
            with Peer(server, "bob").joins("forged").udp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                assert ann._client is not None
                assert ann._client.address is not None
                stranger.sendto(b"bob: send me your passwords", tuple(ann._client.address))
                stranger.sendto("チャットルームが閉じられました".encode(), tuple(ann._client.address))
                async with tcrp.net.connect(room="forged", name="cem", **where(server)) as cem:
                    await cem.say("the first that ann hears")
                    assert await anext(aiter(ann)) == tcrp.net.Message("cem", "the first that ann hears")

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
                with pytest.raises(tcrp.net.SessionOver, match="the session is over: room_closed") as error:
                    await chat.say("anybody?")
                assert error.value.why is Notice.ROOM_CLOSED

    asyncio.run(asyncio.wait_for(chats(), PATIENCE))


def test_a_bot_notices_that_its_server_is_gone() -> None:
    async def chats() -> None:
        with live_server() as server:
            async with tcrp.net.connect(room="brief", name="bot", **where(server)) as chat:
                server.kill()
                await chat.say("anybody?")
                assert [message async for message in chat] == []
                assert (chat.why, chat.is_open) == (tcrp.net.Loss.SERVER_GONE, False)
                assert chat.unheard == ("anybody?",)
                with pytest.raises(tcrp.net.SessionOver, match="server_gone"):
                    await chat.say("really nobody?")

    asyncio.run(asyncio.wait_for(chats(), PATIENCE))


def test_a_bot_that_talks_all_the_time_notices_that_its_server_was_restarted() -> None:
    async def chats() -> None:
        with live_server() as server:
            async with tcrp.net.connect(room="brief", name="bot", keep_alive=0.5, **where(server)) as chat:
                Peer(server, "ann").joins("brief").says("hello")
                assert await anext(aiter(chat)) == ("ann", "hello")
                server.kill()
                with live_server(tcp=server.tcp, udp=server.udp):
                    said: list[str] = []

                    async def talks() -> None:
                        while True:
                            await chat.say(f"text {len(said)}")
                            said.append(f"text {len(said)}")
                            await asyncio.sleep(0.1)

                    with pytest.raises(tcrp.net.SessionOver) as error:
                        await talks()
                    assert error.value.why is chat.why is tcrp.net.Loss.SERVER_SILENT
                    assert chat.unheard[-len(said) :] == tuple(said)
                    assert [message async for message in chat] == []

    asyncio.run(asyncio.wait_for(chats(), PATIENCE))


def test_a_bot_stays_with_a_server_that_tolerates_little_silence_and_cannot_say_so() -> None:
    async def chats() -> None:
        with live_server("--idle-timeout", "12s") as server:
            async with tcrp.net.connect(room="brisk", name="bot", **where(server)) as chat:
                with room_of(server, "bob", room="clock") as [bob]:
                    told = await asyncio.to_thread(bob.hears)  # the bot's loop goes on meanwhile
                    assert told == b"You were silent too long"
                assert (chat.why, chat.is_open) == (None, True)
                assert not server.logs("session_idled session=bot@brisk")

    asyncio.run(asyncio.wait_for(chats(), PATIENCE))


def test_a_bot_that_left_says_nothing_more_and_was_lost_for_no_reason(server: LiveServer) -> None:
    async def chats() -> None:
        async with tcrp.net.connect(room="left", name="bot", **where(server)) as chat:
            await chat.leave()
            with pytest.raises(tcrp.net.SessionOver, match="it was left"):
                await chat.say("one more")
            assert chat.why is None

    asyncio.run(asyncio.wait_for(chats(), PATIENCE))


def test_texts_that_nobody_reads_are_bounded_and_counted(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bot_module, "RECEIVED_TEXTS_MAX", 3)

    async def chats() -> None:
        with room_of(server, "ann", room="busy") as [ann]:
            async with tcrp.net.connect(room="busy", name="bot", **where(server)) as chat:
                for number in range(5):
                    ann.says(str(number))
                ann.says("exit")
                while chat.is_open:
                    await asyncio.sleep(0.01)
                assert [message.text async for message in chat] == ["2", "3", "4"]
                assert chat.missed == 2

    asyncio.run(asyncio.wait_for(chats(), PATIENCE))


def test_the_echo_bot_says_why_it_ends_and_fails_if_its_server_is_lost() -> None:
    with live_server() as server:
        bot = subprocess.Popen(
            [sys.executable, str(EXAMPLES / "echo_bot.py"), *ports(server)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert bot.stdout is not None
        assert bot.stdout.readline() == "in lobby as echo\n"
        server.signal(signal.SIGTERM)
        assert bot.wait(PATIENCE) == 1
        assert bot.stderr is not None
        assert bot.stderr.read() == "echo_bot: the session is over: shutdown\n"
        bot.stdout.close()
        bot.stderr.close()


def link_local() -> str:
    """An IPv6 address of this machine that means something on one interface only, with that interface."""
    for line in Path("/proc/net/if_inet6").read_text().splitlines() if Path("/proc/net/if_inet6").exists() else []:
        digits, _, _, scope, _, interface = line.split()
        if scope == "20":
            return f"{ipaddress.IPv6Address(bytes.fromhex(digits))}%{interface}"
    pytest.skip("no interface has a link-local address")


def test_a_server_at_a_link_local_address_is_reached() -> None:
    host = link_local()

    async def chats() -> None:
        with live_server(host="::") as server:
            async with tcrp.net.connect(host, room="link", name="bot", **where(server)) as chat:
                assert chat.is_host

    asyncio.run(asyncio.wait_for(chats(), PATIENCE))


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a..b", "x" * 64 + ".example"])
def test_a_host_that_is_none_is_unreachable(host: str) -> None:
    async def chats() -> None:
        async with tcrp.net.connect(host, room="a", name="b"):
            raise AssertionError("there is no such host")

    with pytest.raises(tcrp.net.Unreachable, match="no known host"):
        asyncio.run(asyncio.wait_for(chats(), PATIENCE))


def test_a_burst_of_texts_is_paced_so_that_all_arrive() -> None:
    async def chats() -> None:
        with live_server() as server, room_of(server, "ann", room="fast") as [ann]:
            async with tcrp.net.connect(room="fast", name="bot", **where(server)) as chat:
                for number in range(30):
                    await chat.say(str(number))
            assert [ann.hears() for _ in range(30)] == [f"bot: {number}".encode() for number in range(30)]

    asyncio.run(asyncio.wait_for(chats(), PATIENCE))
