"""A client on real sockets, against our server in this process and against sockets that answer nothing or nonsense."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from processes import PATIENCE
from tcrp.engine.codec import codec, learns_port
from tcrp.engine.outputs import NoticeReceived, TextReceived, WordsReceived
from tcrp.net.client import BROKEN_OFF, NO_ANSWER, NO_HOST, Client, Loss, RequestRefused, ServerAt, Unreachable
from tcrp.net.ports import Place
from tcrp.net.server import Server
from tcrp.spec.dialects import NAMES, LearnedFrom
from tcrp.spec.limits import Limits
from tcrp.spec.names import Notice, Operation, Reason, SessionState


class Person:
    """A client, and what it has heard."""

    def __init__(self, at: ServerAt, operation: Operation, name: str, dialect: str = "text", **more: Any) -> None:
        self.heard: list[TextReceived | NoticeReceived | WordsReceived] = []
        self.ends = 0
        self._changed = asyncio.Event()
        self.client = Client(at, codec(dialect), operation, "lobby", name, hear=self._hear, ended=self._end, **more)

    def _hear(self, effect: TextReceived | NoticeReceived | WordsReceived) -> None:
        self.heard.append(effect)
        self._changed.set()

    def _end(self) -> None:
        self.ends += 1
        self._changed.set()

    async def becomes(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def said(self) -> list[str]:
        return [each.text for each in self.heard if isinstance(each, TextReceived)]


class Chat:
    """A server, and who comes."""

    def __init__(self) -> None:
        self.server = Server(Limits())
        self.server.start([Place("127.0.0.1", 0, 0)])
        tcp, udp = self.server.addresses[0]
        self.at = ServerAt("127.0.0.1", tcp.port, udp.port)
        self.people: list[Person] = []

    def person(self, operation: Operation, name: str, dialect: str = "text", **more: Any) -> Person:
        self.people.append(Person(self.at, operation, name, dialect, **more))
        return self.people[-1]

    async def enters(self, operation: Operation, name: str, dialect: str = "text", **more: Any) -> Person:
        person = self.person(operation, name, dialect, **more)
        await person.client.enter()
        return person

    async def vanishes(self) -> None:
        """As if its process had been killed."""
        gone, self.server = self.server, Server(Limits())
        ports, gone._ports = gone._ports, []
        if gone._alarm is not None:
            gone._alarm.cancel()
        for connection in list(gone._connections.values()):
            connection.abort()
        for each in ports:
            each.stop_accepting()
            each.close()
        await asyncio.sleep(0)

    async def hear_each_other(self, *people: Person) -> None:
        """Speak until everybody hears the last who has come: entering by a datagram is not instantly known."""
        *others, last = people
        async with asyncio.timeout(PATIENCE):
            while not all("here" in other.said() for other in others):
                last.client.say_now("here")
                await asyncio.sleep(0.02)


def plays(conversation: Callable[[Chat], Awaitable[None]]) -> None:
    async def run() -> None:
        chat = Chat()
        try:
            await conversation(chat)
        finally:
            for person in chat.people:
                await person.client.close()
            await chat.server.stop()

    asyncio.run(run())


# --- a session -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", [name for name in NAMES if not codec(name).dialect.lists])
def test_two_clients_of_a_dialect_hear_each_other_and_one_who_leaves_is_told_nothing_more(dialect: str) -> None:
    async def conversation(chat: Chat) -> None:
        ann = await chat.enters(Operation.CREATE, "ann", dialect)
        bob = await chat.enters(Operation.JOIN, "bob", dialect)
        assert (bob.client.state, bob.client.has_token, bob.client.is_over) == (SessionState.IN_ROOM, True, False)
        assert bob.client._tcp is not None
        port = bob.client._tcp.get_extra_info("sockname")[1]  # which some dialects want to be that of datagrams too
        await chat.hear_each_other(ann, bob)
        bob.client.leave()
        await bob.client.settle()
        assert (bob.client.state, bob.client.why) == (SessionState.EXPIRED, None)
        count = len(bob.heard)
        ann.client.say_now("anybody?")
        await asyncio.sleep(0.03)
        assert (len(bob.heard), bob.ends) == (count, 1)
        if learns_port(codec(dialect), LearnedFrom.CONNECTION):
            assert bob.client.address is not None
            assert bob.client.address.port == port

    plays(conversation)


def test_a_server_that_stops_ends_the_session_once_and_says_so() -> None:
    async def conversation(chat: Chat) -> None:
        ann = await chat.enters(Operation.CREATE, "ann")
        await chat.server.stop()
        await ann.becomes(lambda: ann.ends == 1)
        assert (ann.client.why, ann.client.is_living) == (Notice.SHUTDOWN, False)
        await asyncio.wait_for(ann.client.first_sign(), PATIENCE)
        await asyncio.sleep(0.03)
        assert ann.ends == 1

    plays(conversation)


def test_a_server_that_is_gone_is_noticed_by_the_next_datagram() -> None:
    async def conversation(chat: Chat) -> None:
        ann = await chat.enters(Operation.CREATE, "ann")
        await chat.vanishes()
        async with asyncio.timeout(PATIENCE):
            while not ann.client.is_over:
                ann.client.say_now("still there?")
                await asyncio.sleep(0.01)
        assert (ann.client.why, ann.ends) == (Loss.SERVER_GONE, 1)
        assert "still there?" in ann.client.unheard

    plays(conversation)


def test_nobody_but_the_server_is_heard() -> None:
    async def conversation(chat: Chat) -> None:
        ann = await chat.enters(Operation.CREATE, "ann")
        bob = await chat.enters(Operation.JOIN, "bob")
        assert ann.client.address is not None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"eve: boo", tuple(ann.client.address))
        await chat.hear_each_other(ann, bob)
        assert "boo" not in ann.said()

    plays(conversation)


def test_closing_twice_is_no_fault_and_nothing_is_said_afterwards() -> None:
    async def conversation(chat: Chat) -> None:
        ann = await chat.enters(Operation.CREATE, "ann")
        for _ in range(2):
            await ann.client.close()
        ann.client.send_raw(b"x")
        assert chat.server.unsent == [0]

    plays(conversation)


def test_it_speaks_from_the_address_that_it_is_given() -> None:
    async def conversation(chat: Chat) -> None:
        ann = await chat.enters(Operation.CREATE, "ann", source="127.0.0.5")
        assert ann.client.address is not None
        assert ann.client.address.ip == "127.0.0.5"
        with pytest.raises(Unreachable, match="Cannot assign requested address"):
            await chat.enters(Operation.JOIN, "bob", source="192.0.2.1")

    plays(conversation)


def test_who_is_not_in_a_room_has_no_time_left() -> None:
    async def conversation(chat: Chat) -> None:
        ann = chat.person(Operation.CREATE, "ann")
        assert ann.client.seconds_left() is None
        await ann.client.enter()
        left = ann.client.seconds_left()
        assert left is not None
        assert 0 < left <= Limits().idle_timeout / 1_000_000

    plays(conversation)


# --- requests that fail --------------------------------------------------------------------------------


def test_a_refusal_has_its_reason_and_leaves_no_socket_open() -> None:
    async def conversation(chat: Chat) -> None:
        bob = chat.person(Operation.JOIN, "bob")
        with pytest.raises(RequestRefused) as raised:
            await bob.client.enter()
        assert raised.value.reason is Reason.NO_SUCH_ROOM
        assert bob.client._udp is None
        assert (bob.client.has_token, bob.client.is_over, bob.client.is_under_way) == (False, False, False)

    plays(conversation)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".invalid", "\0"])
def test_a_host_that_cannot_be_one_is_unknown(host: str) -> None:
    async def enter() -> None:
        with pytest.raises(Unreachable) as raised:
            await Person(ServerAt(host, 9, 9), Operation.JOIN, "bob").client.enter()
        assert (raised.value.where, raised.value.why) == (host, NO_HOST)

    asyncio.run(enter())


@pytest.mark.parametrize(("ip", "where"), [("127.0.0.1", "127.0.0.1:{}"), ("::1", "[::1]:{}")])
def test_where_a_server_was_looked_for_is_written_in_one_way_whatever_it_did(ip: str, where: str) -> None:
    async def complaint(behaviour: Callable[[socket.socket], None] | None, port: int, **limits: int) -> Unreachable:
        client = Person(ServerAt(ip, port, port), Operation.JOIN, "bob", limits=Limits().with_settings(limits)).client
        entering = asyncio.create_task(client.enter())
        if behaviour is not None:
            connection, _ = await asyncio.get_running_loop().sock_accept(listener)
            with connection:
                behaviour(connection)
                if limits:
                    await asyncio.wait({entering})
        with pytest.raises(Unreachable) as raised:
            await asyncio.wait_for(entering, PATIENCE)
        return raised.value

    async def ask() -> None:
        port = listener.getsockname()[1]
        closed = await complaint(lambda _: None, port)
        silent = await complaint(lambda _: None, port, handshake_timeout=100_000)
        listener.close()
        refused = await complaint(None, port)
        assert [each.why for each in (closed, silent, refused)] == [BROKEN_OFF, NO_ANSWER, "Connection refused"]
        assert {each.where for each in (closed, silent, refused)} == {where.format(port)}

    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.create_server((ip, 0), family=family) as listener:
        listener.setblocking(False)
        asyncio.run(ask())
