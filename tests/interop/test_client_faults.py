"""What was wrong with our client on foreign servers, each on real sockets: see also the whole conversations."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tcrp.net
from interop.forms import EXISTS, Asked, Form, Json, JsonAddress, body_of
from interop.programs import ForeignClient, ForeignServer
from interop.test_foreign_servers import entered, until
from interop.wire_forms import RelayPortPerClient, StateLength31, StateOne
from processes import BIN, PATIENCE
from tcrp.engine.outputs import WordsReceived
from tcrp.net.client import Client, RequestRefused, Unreachable
from tcrp.spec.names import Notice, Operation, Reason


class Serving(contextlib.ExitStack):
    """A foreign server, and foreign clients on it."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.form = form
        self.server = self.enter_context(contextlib.closing(ForeignServer(form)))

    def client(self, user: str) -> ForeignClient:
        return self.enter_context(contextlib.closing(ForeignClient(self.form, user, "127.0.0.1", *self.server.ports)))


@pytest.fixture
def serving() -> Iterator[Callable[[Form], Serving]]:
    with contextlib.ExitStack() as stack:
        yield lambda form: stack.enter_context(Serving(form))


def test_a_trailer_says_the_port_and_no_empty_text_enters(serving: Callable[[Form], Serving]) -> None:
    at = serving(Json())

    async def main() -> None:
        async with entered(at.form, at.server, "alice", Operation.CREATE) as alice:
            await until(lambda: at.server.knows("room1", "alice"), "the trailer")
            [member] = at.server.rooms["room1"].members.values()
            assert alice.client.address is not None
            assert member.port == alice.client.address.port
            alice.client.say_now("my first datagram")
            await until(lambda: at.server.heard, "a datagram")
        assert at.server.heard[0] == "my first datagram"

    asyncio.run(main())


def test_where_relays_come_from_any_port_only_the_servers_address_is_heard(serving: Callable[[Form], Serving]) -> None:
    at = serving(RelayPortPerClient())

    async def main() -> None:
        async with entered(at.form, at.server, "alice", Operation.CREATE, password="pw") as alice:
            assert alice.client.address is not None
            to = tuple(alice.client.address)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind(("127.0.0.2", 0))
                stranger.sendto(at.form.relay("room1", "eve", "I am not the server", "", ""), to)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near:
                near.bind(("127.0.0.1", 0))
                near.sendto(at.form.relay("room1", "bob", "from another port", "", ""), to)
            await alice.sees("from another port")
            assert alice.texts() == [("bob", "from another port")]

    asyncio.run(main())


def test_a_port_that_is_taken_for_tcp_is_not_used_where_the_connection_has_the_same(
    serving: Callable[[Form], Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    at = serving(StateOne())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken_port = taken.getsockname()[1]
        opened, tries = Client._connected_udp, iter(range(100))

        def opens(client: Client, family: socket.AddressFamily, to: tuple[Any, ...]) -> socket.socket:
            udp = opened(client, family, to)
            if next(tries) == 0:
                udp.close()
                udp = socket.socket(family, socket.SOCK_DGRAM)
                udp.bind(("127.0.0.1", taken_port))
                udp.setblocking(False)
                udp.connect(to)
            return udp

        monkeypatch.setattr(Client, "_connected_udp", opens)

        async def main() -> None:
            async with entered(at.form, at.server, "alice", Operation.CREATE) as alice:
                assert alice.client.address is not None
                assert alice.client.address.port != taken_port

        asyncio.run(main())


class Wordy(JsonAddress):
    """Its refusals say more than is good."""

    said = "ルームは\x1b[31m既に\nあります" + "!" * 300

    def refused(self, a: Asked, why: str) -> list[bytes]:
        return [self.reply(a, 0, body_of({"status": 400, "message": self.said}))]


class OtherSentence(JsonAddress):
    """It ends a room with another sentence than most."""

    closed = "{user}が{room}から退出しました\nホストが退出したため、チャットルーム:{room}を終了します"


def test_a_room_is_closed_by_any_of_the_sentences_that_its_dialect_knows(serving: Callable[[Form], Serving]) -> None:
    at = serving(OtherSentence())
    ann = at.client("ann").asks(1, "room1")

    async def main() -> None:
        async with entered(at.form, at.server, "bob", Operation.JOIN) as bob:
            ann.leaves()
            await until(lambda: bob.client.is_over, "the room's end")
            assert bob.client.told is Notice.ROOM_CLOSED

    asyncio.run(main())


class Plain(Form):
    """It refuses with a sentence, without a frame."""

    def refused(self, a: Asked, why: str) -> list[bytes]:
        return [f"ERROR: room {'exists' if why == EXISTS else 'not found'}\n".encode()]


async def asks_in_vain(at: Serving, operation: Operation, room: str) -> RequestRefused | Unreachable:
    with pytest.raises((RequestRefused, Unreachable)) as raised:
        async with entered(at.form, at.server, "carol", operation, room):
            pass
    assert isinstance(raised.value, RequestRefused | Unreachable)
    return raised.value


def test_what_a_server_says_to_a_refused_request_is_known_and_harmless(serving: Callable[[Form], Serving]) -> None:
    wordy = serving(Wordy())
    wordy.client("alice").asks(1, "room1")
    refused = asyncio.run(asks_in_vain(wordy, Operation.CREATE, "room1"))
    assert refused.said.startswith("ルームは[31m既に あります!!!")
    assert (len(refused.said), refused.said[-1]) == (200, "…")
    assert refused.said in str(refused)
    plain = asyncio.run(asks_in_vain(serving(Plain()), Operation.JOIN, "nowhere"))
    assert plain.said == "ERROR: room not found"


def test_a_refusal_in_the_dialects_own_words_is_not_said_twice(serving: Callable[[Form], Serving]) -> None:
    at = serving(Form())
    refused = asyncio.run(asks_in_vain(at, Operation.JOIN, "nowhere"))
    assert isinstance(refused, RequestRefused)
    assert (refused.reason, refused.said) == (Reason.NO_SUCH_ROOM, "")


def test_chat_client_shows_what_the_server_says(serving: Callable[[Form], Serving]) -> None:
    at = serving(Wordy())
    at.client("alice").asks(1, "room1")
    tcp, udp = at.server.ports
    ran = subprocess.run(
        [BIN / "chat-client", "--plain", "--tcp-port", str(tcp), "--udp-port", str(udp), "--name", "carol",
         "--dialect", "json-address", "--create", "room1"],
        check=False, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert ran.returncode != 0
    assert "The server says: ルームは[31m既に あります!!!" in ran.stderr + ran.stdout


def test_an_unknown_notice_is_shown_and_an_empty_text_is_not(serving: Callable[[Form], Serving]) -> None:
    at = serving(Form())
    ann = at.client("ann").asks(1, "room1")

    async def main() -> None:
        async with entered(at.form, at.server, "bob", Operation.JOIN) as bob:
            await until(lambda: at.server.knows("room1", "ann", "bob"), "both")
            ann.says("")
            ann.says("hello")
            await bob.sees("hello")
            assert bob.texts() == [("ann", "hello")]
            assert bob.client.address is not None
            at.server.udp.sendto(b"*** the server\x07 restarts in 5 minutes ***", tuple(bob.client.address))
            await bob.sees("*** the server restarts in 5 minutes ***")
            assert isinstance(bob.shown[-1], WordsReceived)

    asyncio.run(main())


def test_a_bot_is_handed_no_empty_text(serving: Callable[[Form], Serving]) -> None:
    at = serving(Form())
    ann = at.client("ann").asks(1, "room1")
    tcp, udp = at.server.ports

    async def main() -> None:
        async with tcrp.net.connect(room="room1", name="bot", tcp_port=tcp, udp_port=udp, dialect="text") as chat:
            await until(lambda: at.server.knows("room1", "ann", "bot"), "both")
            ann.says("")
            ann.says("hello")
            async for message in chat:
                assert message == ("ann", "hello")
                break

    asyncio.run(main())


def test_chat_client_shows_texts_that_name_nobody_and_no_echo_of_its_own(serving: Callable[[Form], Serving]) -> None:
    at = serving(StateLength31())
    ann = at.client("ann").asks(1, "room1", "")
    tcp, udp = at.server.ports
    with subprocess.Popen(
        [BIN / "chat-client", "--plain", "--tcp-port", str(tcp), "--udp-port", str(udp), "--name", "bob",
         "--dialect", "state-length31", "--join", "room1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as bob:  # fmt: skip
        assert bob.stdin is not None
        bob.stdin.write("hello, Ann\n")
        bob.stdin.flush()
        ann.sees("hello, Ann")
        ann.says("who is that?")
        ann.sees("who is that?")
        bob.stdin.write("bye\n")
        bob.stdin.flush()
        ann.sees("bye")
        out, _ = bob.communicate(timeout=PATIENCE)
    assert [line for line in out.splitlines() if "who" in line or "bye" in line or "Ann" in line] == ["?: who is that?"]
