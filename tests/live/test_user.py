"""A scenario's user on sockets: what is done, what is skipped as a simulated user skips it, what is forged.

The server runs in this process. That whole scenarios take the same steps is in `tests/cli/test_sockets.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from processes import PATIENCE
from tcrp.live.impairment import UserImpairment
from tcrp.live.user import LiveUser
from tcrp.net.client import Client
from tcrp.net.ports import Place
from tcrp.net.server import Server
from tcrp.sim.network.links import Network
from tcrp.sim.scenario.model import (
    Abandon,
    Clock,
    Crash,
    Create,
    Datagram,
    Flood,
    Join,
    KeepAlive,
    Leave,
    Move,
    Pause,
    Replay,
    Say,
    Spoof,
    StealToken,
    Stream,
    UserAction,
)
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.names import SessionEvent, SessionState
from tcrp.trace.records import Kind, PacketRecord, Record, ShowRecord, StepRecord
from tcrp.trace.trace import Trace

SCENARIO = read_scenario_text("""
claim: there are three users
users: {bob: {dialect: text}, eve: {dialect: text}}
script:
  - {at: 0s, alice: {create: lobby}}
""")


class Chat:
    """A server, and the users of a scenario, each behind a proxy."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        trace = Trace()
        trace.listeners.append(self.records.append)
        self.server = Server(SCENARIO.limits, trace=trace)
        self.server.start([Place("127.77.0.1", 0, 0)])
        self.users: dict[str, LiveUser] = {}
        network = Network(SCENARIO.network)
        for number, user in enumerate(SCENARIO.users):
            self.users[user.id] = LiveUser(
                user, SCENARIO.limits, "127.77.0.1", f"127.77.1.{number}", self.server.addresses, SCENARIO,
                UserImpairment(network, user.id, 0), self.users,
            )  # fmt: skip
            self.users[user.id]._trace.listeners.append(self.records.append)

    def does(self, user: str, action: UserAction, *, allow_invalid: bool = False) -> None:
        self.users[user].act(action, allow_invalid=allow_invalid)

    async def becomes(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.005)

    async def enters(self, user: str, request: Create | Join) -> None:
        """Ask, and wait until the server has the user in the room."""
        self.does(user, request)
        await self.becomes(
            lambda: any(
                isinstance(each, StepRecord)
                and (each.actor, each.id, each.event) == ("server", f"{user}@{request.room}", SessionEvent.ENTERED)
                for each in self.records
            )
        )

    def shown_to(self, user: str) -> list[str]:
        return [each.text for each in self.records if isinstance(each, ShowRecord) and each.actor == user and each.text]

    def drops(self) -> list[str]:
        """Why the server has dropped datagrams."""
        return [
            each.why
            for each in self.records
            if isinstance(each, PacketRecord) and each.kind is Kind.DROP and each.actor == "server"
        ]


def plays(conversation: Callable[[Chat], Awaitable[None]]) -> None:
    """A conversation in which no task fails unnoticed."""

    async def run() -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        chat = Chat()
        for user in chat.users.values():
            await user.proxy.open()
        try:
            await conversation(chat)
        finally:
            for user in chat.users.values():
                await user.close()
            await chat.server.stop()
        assert faults == []

    asyncio.run(run())


def test_what_is_not_possible_now_is_skipped() -> None:
    async def conversation(chat: Chat) -> None:
        actions: list[UserAction] = [Say("hi"), KeepAlive(), Leave(), Datagram(room="lobby", text="hi")]
        for action in (*actions, StealToken("bob")):
            chat.does("alice", action)
        assert chat.users["alice"].held() is None
        await chat.enters("alice", Create("lobby"))
        token = chat.users["alice"].latest_token
        for request in (Create("another"), Join("another"), Abandon("requested", Join("lobby"))):
            chat.does("alice", request)
        assert chat.users["alice"].held() == ("lobby", token)
        await chat.enters("bob", Join("lobby"))
        chat.does("alice", Say("still there"))
        await chat.becomes(lambda: chat.shown_to("bob") == ["still there"])
        assert chat.drops() == []

    plays(conversation)


def test_a_text_that_is_too_long_is_sent_only_where_the_script_insists() -> None:
    async def conversation(chat: Chat) -> None:
        await chat.enters("alice", Create("lobby"))
        chat.does("alice", Say("x" * 5000))
        chat.does("alice", Say("x" * 5000), allow_invalid=True)
        await chat.becomes(lambda: bool(chat.drops()))
        assert len(chat.drops()) == 1

    plays(conversation)


def test_a_user_who_crashes_says_nothing_more_and_their_token_can_still_be_resumed() -> None:
    async def conversation(chat: Chat) -> None:
        await chat.enters("alice", Create("lobby"))
        alice = chat.users["alice"]
        token, port = alice.latest_token, alice.proxy.own_port
        chat.does("alice", Crash())
        assert (alice.state, alice.held(), alice.latest_token) == (SessionState.ANONYMOUS, None, token)
        assert alice.proxy.own_port != port
        chat.does("alice", Say("hi"))
        chat.does("alice", Join("lobby", resume="alice"))
        await chat.becomes(lambda: alice.state is SessionState.IN_ROOM)

    plays(conversation)


def test_a_stolen_token_is_used_from_the_thiefs_address_for_texts_and_for_leaving() -> None:
    async def conversation(chat: Chat) -> None:
        await chat.enters("alice", Create("lobby"))
        await chat.enters("bob", Join("lobby"))
        chat.does("eve", StealToken("bob"))
        actions: list[UserAction] = [Say("I am bob"), Leave(), Datagram(room="lobby", text="and so am I")]
        for number, action in enumerate(actions, 1):
            chat.does("eve", action)
            await chat.becomes(lambda number=number: len(chat.drops()) == number)  # type: ignore[misc]
        assert len(set(chat.drops())) == 1
        assert "address" in chat.drops()[0]
        assert chat.shown_to("alice") == []
        assert chat.users["bob"].state is SessionState.IN_ROOM

    plays(conversation)


def test_a_user_who_moves_to_another_address_is_no_longer_believed_and_back_again_is() -> None:
    async def conversation(chat: Chat) -> None:
        await chat.enters("alice", Create("lobby"))
        await chat.enters("bob", Join("lobby"))
        here = chat.users["bob"].proxy.own_ip
        chat.does("bob", Move("127.77.2.1"))
        chat.does("bob", Say("from elsewhere"))
        await chat.becomes(lambda: len(chat.drops()) == 1)
        chat.does("bob", Move(here))
        chat.does("bob", Say("from home"))
        await chat.becomes(lambda: chat.shown_to("alice") == ["from home"])

    plays(conversation)


def test_bytes_made_by_hand_are_sent_as_they_are() -> None:
    async def conversation(chat: Chat) -> None:
        await chat.enters("alice", Create("lobby"))
        await chat.enters("bob", Join("lobby"))
        chat.does("eve", Datagram(data=b"\xff"))
        await chat.becomes(lambda: len(chat.drops()) == 1)
        chat.does("bob", Datagram(token_of="bob", data=b"by hand"))
        await chat.becomes(lambda: chat.shown_to("alice") == ["by hand"])
        chat.does("eve", Stream(bytes(32)))
        await chat.becomes(lambda: not chat.users["eve"]._tasks)  # the server has closed the connection

    plays(conversation)


def test_a_server_that_is_down_is_no_fault_of_the_user() -> None:
    async def conversation(chat: Chat) -> None:
        for user in chat.users.values():
            user.proxy.refuse()
        for action in (Stream(b"x"), Abandon("idle", Join("lobby")), Join("lobby")):
            chat.does("bob", action)
            await chat.becomes(lambda: not chat.users["bob"]._tasks)

    plays(conversation)


def test_a_request_that_is_broken_off_leaves_the_user_free_for_another() -> None:
    async def conversation(chat: Chat) -> None:
        await chat.enters("alice", Create("lobby"))
        for after in ("idle", "requested"):
            chat.does("bob", Abandon(after, Join("lobby")))
            await chat.becomes(lambda: not chat.users["bob"]._tasks)
        await chat.enters("bob", Join("lobby"))
        assert len(chat.users["bob"]._former) == 2  # which are closed in the end

    plays(conversation)


def test_what_sockets_cannot_do_is_a_fault_of_the_caller() -> None:
    async def conversation(chat: Chat) -> None:
        for action in (Clock(1), Pause(1), Spoof("bob", "hi"), Replay("bob", 1), Flood(1, 1, 1)):
            with pytest.raises(AssertionError, match="cannot run on sockets"):
                chat.does("bob", action)

    plays(conversation)


def test_closing_ends_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    async def conversation(chat: Chat) -> None:
        entered = asyncio.Event()

        async def never(_client: Client) -> None:
            entered.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(Client, "enter", never)
        chat.does("bob", Create("lobby"))
        await entered.wait()
        await asyncio.wait_for(chat.users["bob"].close(), PATIENCE)
        assert not chat.users["bob"]._tasks

    plays(conversation)
