"""What becomes of what a user types and answers: sessions on a real server in this process, with a scripted screen.

How it looks on a terminal, and how a client comes back, is in `test_client.py` and `test_client_comes_back.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from processes import PATIENCE
from tcrp.cli.chat_messages import RoomRequest
from tcrp.cli.chat_session import ChatSession, Habits, Outcome
from tcrp.cli.screen import Closed
from tcrp.engine.codec import codec
from tcrp.net.client import ServerAt
from tcrp.net.ports import Place
from tcrp.net.server import Server
from tcrp.spec.limits import Limits
from tcrp.spec.names import Operation

TEXT_BYTES_MAX = 4096 - 2 - len("lobby") - 32  # of a datagram, without its two lengths, the room and the token
IN_LOBBY = "You are in lobby as あき. Type /help for help."


class Desk:
    """A user with a screen. Lines are typed one after another; `answers` are given to questions in order."""

    def __init__(self, *answers: str, can_offer: bool = True) -> None:
        self.can_offer = can_offer
        self.answers = list(answers)
        self.said: list[str] = []  # everything that was shown, and each question
        self.hidden: list[str] = []  # questions whose answers are not shown
        self._typed: asyncio.Queue[str | Closed] = asyncio.Queue()
        self._changed = asyncio.Event()

    def types(self, *lines: str | Closed) -> None:
        for line in lines:
            self._typed.put_nowait(line)

    async def sees(self, words: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while not any(words in each for each in self.said):
                self._changed.clear()
                await self._changed.wait()

    async def line(self) -> str:
        line = await self._typed.get()
        if isinstance(line, Closed):
            raise line
        return line

    async def ask(self, question: str, *, hidden: bool = False, within: float | None = None) -> str:
        self._say(question)
        if hidden:
            self.hidden.append(question)
        if not self.answers:
            raise Closed
        return self.answers.pop(0)

    async def rest(self) -> list[str]:
        return []

    def completes(self, words: Callable[[], Sequence[str]]) -> None:
        pass

    def own(self, name: str, text: str) -> None:
        self._say(f"{name}: {text}")

    def text(self, name: str, text: str, mention: tuple[int, int] | None = None) -> None:
        self._say(f"{name}: {text}")

    def note(self, text: str) -> None:
        self._say(text)

    warn = note

    def close(self) -> None:
        pass

    def _say(self, text: str) -> None:
        self.said.append(text)
        self._changed.set()


class Hall:
    """A server, and whoever comes."""

    def __init__(self) -> None:
        self.server = Server(Limits())
        self.server.start([Place("127.0.0.1", 0, 0)])
        tcp, udp = self.server.addresses[0]
        self.at = ServerAt("127.0.0.1", tcp.port, udp.port)

    async def runs(
        self, desk: Desk, request: RoomRequest, dialect: str = "text", at: ServerAt | None = None
    ) -> Outcome:
        session = ChatSession(desk, at or self.at, codec(dialect), Limits(), Habits())
        return await asyncio.wait_for(session.run(request), PATIENCE)

    def begins(self, desk: Desk, request: RoomRequest, dialect: str = "text") -> asyncio.Task[Outcome]:
        return asyncio.create_task(self.runs(desk, request, dialect))


def plays(conversation: Callable[[Hall], Awaitable[None]]) -> None:
    async def run() -> None:
        hall = Hall()
        try:
            await conversation(hall)
        finally:
            await hall.server.stop()

    asyncio.run(run())


def creates(name: str = "あき", room: str = "lobby", **more: Any) -> RoomRequest:
    return RoomRequest(Operation.CREATE, room, name, **more)


def joins(name: str = "bob", room: str = "lobby", **more: Any) -> RoomRequest:
    return RoomRequest(Operation.JOIN, room, name, **more)


# --- what is typed -----------------------------------------------------------------------------------


TYPED = {
    "/me": "Usage: /me TEXT",
    "/me  ": "Usage: /me TEXT",
    "/me 寝る": "あき: * 寝る",
    "/msg bob hi": "This protocol has no private messages: everyone in the room would read it. Not sent.",
    "/waht": "Unknown command /waht; type /help for help.",
    "/": "Unknown command /; type /help for help.",
    "  /who": "Known so far: あき. Members who have said nothing are not listed.",
    "/rooms": "This dialect cannot list the rooms of a server.",
    "//who": "あき: /who",
    "  //who": "あき:   /who",
    "x" * TEXT_BYTES_MAX: "あき: " + "x" * TEXT_BYTES_MAX,
    "x" * (TEXT_BYTES_MAX + 1): "Too long for one message; nothing was sent.",
    "/leave\nexit": "あき: /leave|Not sent, because it would mean that you leave: exit",  # pasted
    "": "",
    "   ": "",
    "\u3000": "",
    "\n\n": "",
}


def test_a_line_is_a_text_or_a_command_or_nothing() -> None:
    async def conversation(hall: Hall) -> None:
        desk = Desk()
        desk.types(*TYPED, "/leave")
        assert await hall.runs(desk, creates()) is Outcome.LEFT
        shown = [each for shown in TYPED.values() for each in shown.split("|") if shown]
        assert desk.said == [IN_LOBBY, *shown, "You left lobby, which closes it."]

    plays(conversation)


def test_a_guest_leaves_at_once_and_the_host_hears_of_it() -> None:
    async def conversation(hall: Hall) -> None:
        host = Desk()
        hosting = hall.begins(host, creates(), "json")
        await host.sees(IN_LOBBY)
        endings: tuple[str | Closed, ...] = (Closed(), Closed(is_interrupt=True), "exit", " /leave now")
        for number, last in enumerate(endings):
            guest = Desk()
            guest.types("hi", last)
            outcome = await hall.runs(guest, joins(f"bob{number}"))
            assert outcome is (Outcome.INTERRUPTED if number == 1 else Outcome.LEFT)
            await host.sees(f"bob{number}: hi")
            await host.sees(f"bob{number} left")
        host.types("/leave")
        await hosting

    plays(conversation)


def test_a_host_who_goes_on_typing_is_warned_again() -> None:
    async def conversation(hall: Hall) -> None:
        desk = Desk()
        desk.types(Closed(), "wait", Closed(), Closed())  # of the dialect text nobody knows who is there
        assert await hall.runs(desk, creates()) is Outcome.LEFT
        warned = [each.startswith("You are the host: leaving closes lobby") for each in desk.said]
        assert warned == [False, True, False, True, False]

    plays(conversation)


# --- requests that are refused -----------------------------------------------------------------------


def test_a_room_that_is_missing_is_offered_to_be_created_and_asked_until_it_is_yes_or_no() -> None:
    async def conversation(hall: Hall) -> None:
        for room, yes in enumerate(("y", "YES", "ｙ", "はい", " y ")):
            desk = Desk("what?", yes)
            desk.types("/leave")
            assert await hall.runs(desk, joins("あき", str(room))) is Outcome.LEFT
            assert desk.said == [
                f"There is no room {room}.", "Create it? [y/n]", "Please answer y or n.", "Create it? [y/n]",
                f"You are in {room} as あき. Type /help for help.", f"You left {room}, which closes it.",
            ]  # fmt: skip
        for answers in (["n"], ["いいえ"], []):  # or the input is closed
            assert await hall.runs(Desk(*answers), joins()) is Outcome.NEVER_BEGAN

    plays(conversation)


def test_who_cannot_be_asked_is_told_only() -> None:
    async def conversation(hall: Hall) -> None:
        desk = Desk("y", can_offer=False)
        assert await hall.runs(desk, joins()) is Outcome.NEVER_BEGAN
        assert desk.said == ["There is no room lobby."]

    plays(conversation)


def test_a_room_that_is_there_is_offered_to_be_joined_and_a_taken_name_is_asked_for() -> None:
    async def conversation(hall: Hall) -> None:
        host = Desk()
        hosting = hall.begins(host, creates("bob"))
        await host.sees("You are in lobby as bob.")
        desk = Desk("y", "a:b", "x" * 256, "か\u3099く")
        desk.types("hi", "/leave")
        assert await hall.runs(desk, creates("bob")) is Outcome.LEFT
        assert [each.partition(".")[0] for each in desk.said[:3]] == [
            "The room lobby already exists", "Join it? [y/n]",
            "The name bob is taken in lobby; choose another name",
        ]  # fmt: skip
        assert sum(each.startswith("Names are 1 to 255 bytes") for each in desk.said) == 2
        await host.sees("がく: hi")  # composed, as another keyboard would write it
        host.types("/leave")
        await hosting

    plays(conversation)


def test_a_password_is_asked_for_without_being_shown_until_it_is_right_or_given_up() -> None:
    async def conversation(hall: Hall) -> None:
        host = Desk()
        hosting = hall.begins(host, creates("ann", password="ねこ"), "json")
        await host.sees("You are in lobby as ann.")
        desk = Desk("いぬ", "ねこ")
        desk.types("/leave")
        assert await hall.runs(desk, joins(), "json") is Outcome.LEFT
        assert len(desk.hidden) == 2
        assert [each for each in desk.said if "assword" in each and each not in desk.hidden] == [
            "The room lobby has a password.", "Wrong password for lobby.",
        ]  # fmt: skip
        assert await hall.runs(Desk(""), joins(), "json") is Outcome.NEVER_BEGAN
        host.types("/leave")
        await hosting

    plays(conversation)


def test_a_server_that_is_not_there_is_tried_as_often_as_the_user_wants() -> None:
    async def conversation(hall: Hall) -> None:
        desk = Desk("y", "y", "n")
        await hall.server.stop()
        assert await hall.runs(desk, joins()) is Outcome.NEVER_BEGAN
        assert desk.said.count("Try again? [y/n]") == 3
        assert desk.said.count(f"No chat server at 127.0.0.1:{hall.at.tcp_port}: Connection refused") == 3

    plays(conversation)


def test_who_was_removed_is_asked_before_the_client_comes_back() -> None:
    async def conversation(hall: Hall) -> None:
        host = Desk()
        hosting = hall.begins(host, creates("ann"))
        await host.sees("You are in lobby as ann.")
        desk = Desk("y", "n")
        chatting = hall.begins(desk, joins())
        await desk.sees("You are in lobby as bob.")
        assert hall.server.remove("bob", "lobby")
        await desk.sees("Join lobby again? [y/n]")
        async with asyncio.timeout(PATIENCE):
            while not hall.server.remove("bob", "lobby"):
                await asyncio.sleep(0.01)
        assert await chatting is Outcome.LOST
        assert [each for each in desk.said if "bob" not in each] == [
            "You were removed from the room.", "Join lobby again? [y/n]",
        ] * 2  # fmt: skip
        host.types("/leave")
        await hosting

    plays(conversation)
