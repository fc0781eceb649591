"""A chat session: sends typed lines, shows texts and notices, and comes back or offers to when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from tcrp.cli.chat_messages import RoomRequest, ending, name_rule, refusal, unreachable
from tcrp.cli.i18n import _
from tcrp.cli.room_view import RoomView
from tcrp.cli.screen import Closed, Screen
from tcrp.engine.codec import Codec
from tcrp.engine.text import user_name_fault
from tcrp.net.client import Client, Loss, RequestRefused, ServerAt, Unreachable
from tcrp.net.listing import list_rooms
from tcrp.spec.limits import Limits
from tcrp.spec.names import Notice, Operation, Reason
from tcrp.spec.table import IllegalEvent
from tcrp.trace.recorder import Instances
from tcrp.trace.trace import Trace

WARN_SECONDS = 30.0
WARN_SHARE = 0.2
"""The user is warned this long before the idle timeout: 30 s, or a fifth of the timeout if that is less."""
SIGN_SECONDS = 1.0
"""How long the server's first answer over UDP is waited for before the user is told that none has come yet."""
UDP_SECONDS = 5.0
"""A server that answers does so within this time; after it the user is told that nothing comes back."""
AGAIN_SECONDS = (1, 2, 4, 8, 15, 30)
"""How long the client waits before each of its own tries to come back; the last one counts for all later ones."""
HOST_TRIES = 5
"""After so many tries a guest no longer waits for a room's host to create it again, and is asked."""
UNHEARD_SHOWN = 10
COMMANDS = ("/help", "/leave", "/me ", "/msg ", "/rooms", "/who")


class Outcome(Enum):
    """How a session ended."""

    LEFT = auto()
    INTERRUPTED = auto()
    LOST = auto()  # by silence, by the server, or because the server is gone
    NEVER_BEGAN = auto()


@dataclass(frozen=True, slots=True)
class Habits:
    """How the client behaves by itself. `keep_alive_us`: None is what fits the idle timeout."""

    keeps_alive: bool = True
    keep_alive_us: int | None = None
    reconnects: bool = True


class ChatSession:
    """Sessions with one server on one screen, one after another."""

    def __init__(
        self,
        screen: Screen,
        server: ServerAt,
        codec: Codec,
        limits: Limits,
        habits: Habits,
        *,
        trace: Trace | None = None,
    ) -> None:
        self._screen = screen
        self._server = server
        self._codec = codec
        self._limits = limits
        self._habits = habits
        self._keep_alive_us = habits.keep_alive_us
        self._trace = trace
        self._started_us = time.monotonic_ns() // 1000
        self._instances = Instances()
        self._unheard: tuple[str, ...] = ()  # what was perhaps heard by nobody, for the next session
        self._unread: list[str] = []  # lines that were typed and not sent when the session ended
        self._has_heard = False  # anything has ever come from this server's UDP port
        self._wrong_passwords: set[str] = set()  # rooms for which one was given
        self._complaint = ""  # what a try to come back failed with, so that it is shown once

    async def run(self, request: RoomRequest) -> Outcome:
        """Run a session to its end, and others after it as the user wishes. Returns the last outcome."""
        while True:
            outcome, again = await self._run_once(request)
            if again is None or not self._screen.can_offer:
                self._unheard = ()
                return outcome
            request = again

    # --- one session -----------------------------------------------------------------------------

    async def _run_once(self, request: RoomRequest) -> tuple[Outcome, RoomRequest | None]:
        """Run one session. Returns its outcome and the request to make next."""
        over = asyncio.Event()
        # A host who joins again is host where the token takes the own session over.
        is_host = request.operation is Operation.CREATE or (request.is_host and bool(request.resume_token))
        # A creating host who has a token may have taken the room over, and has missed what others did meanwhile.
        saw_beginning = request.operation is Operation.CREATE and not request.resume_token
        view = RoomView(self._screen, self._codec, request.room, request.name, saw_beginning=saw_beginning)
        client = Client(
            self._server,
            self._codec,
            request.operation,
            request.room,
            request.name,
            password=request.password,
            resume_token=request.resume_token,
            limits=self._limits,
            keeps_alive=self._habits.keeps_alive,
            keep_alive_us=self._keep_alive_us,
            trace=self._trace,
            instances=self._instances,
            started_us=self._started_us,
            hear=view.hear,
            ended=over.set,
        )
        failed = Outcome.NEVER_BEGAN if request.tries is None else Outcome.LOST
        try:
            await client.enter()
        except Unreachable as error:
            return failed, await self._offer_a_try(unreachable(error), request)
        except RequestRefused as refused:
            return failed, await self._offer_another(refused, request)
        except ValueError:
            self._screen.warn(name_rule())
            return failed, None
        self._complaint = ""
        self._screen.completes(lambda: [*COMMANDS, *view.others])
        try:
            await self._enter(client, view)
            await self._offer_unheard(client)
            outcome = await self._until_over(client, view, over, is_host=is_host)
        finally:
            if client.is_living and not client.is_over:
                client.leave()
            if not client.is_living:
                await client.settle()
            await client.close()
        if outcome is not Outcome.LOST:
            if self._screen.can_offer:
                said = _("You left {room}, which closes it.") if is_host else _("You left {room}.")
                self._screen.note(said.format(room=request.room))
            return outcome, None
        self._screen.warn(ending(client))
        self._keep_alive_us = client.next_keep_alive_us
        again = replace(request, operation=Operation.JOIN, is_host=is_host, resume_token=client.engine.token)
        return outcome, await self._offer_again(client, again)

    async def _enter(self, client: Client, view: RoomView) -> None:
        """Say that the user is in the room: as soon as the server answers, where it can be asked."""
        if client.engine.asks_for_answers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SIGN_SECONDS):
                    await client.first_sign()
            if client.is_over and not client.has_heard:
                return
            if not client.has_heard:
                self._screen.note(
                    _("The server has admitted you to {room} as {name}, but nothing has come over UDP yet.").format(
                        room=client.room, name=client.name
                    )
                )
                return
        view.enter()

    async def _until_over(self, client: Client, view: RoomView, over: asyncio.Event, *, is_host: bool) -> Outcome:
        typing = asyncio.create_task(self._type(client, view, is_host=is_host))
        ending = asyncio.create_task(over.wait())
        others = [
            asyncio.create_task(self._warn_of_silence(client)),
            asyncio.create_task(self._warn_of_udp(client)),
            asyncio.create_task(self._enter_late(client, view)),
        ]
        try:
            await asyncio.wait({typing, ending}, return_when=asyncio.FIRST_COMPLETED)
            # Leaving ends the session too, so the typed command decides if both are done.
            return typing.result() if typing.done() else Outcome.LOST
        finally:
            for task in (typing, ending, *others):
                task.cancel()
            await asyncio.gather(typing, ending, *others, return_exceptions=True)
            self._unread = await self._screen.rest()

    async def _type(self, client: Client, view: RoomView, *, is_host: bool) -> Outcome:
        """Execute the typed lines until the user leaves."""
        is_warned = not (is_host and self._screen.can_offer)  # a guest's leaving ends nothing for others
        while True:
            try:
                line = await self._screen.line()
            except Closed as closed:
                if is_warned or view.is_alone:
                    return Outcome.INTERRUPTED if closed.is_interrupt else Outcome.LEFT
                self._screen.warn(view.host_warning())
                is_warned = True
                continue
            if line in self._codec.leave_words:
                if is_warned or view.is_alone:
                    return Outcome.LEFT
                self._screen.warn(view.host_warning())
                is_warned = True
                continue
            pasted = line.splitlines()
            if len(pasted) == 1 and line.split()[:1] == ["/leave"]:
                return Outcome.LEFT
            is_warned = not (is_host and self._screen.can_offer)
            if len(pasted) > 1:  # each line is a text: nothing that is pasted is a command
                for text in pasted:
                    await self._say(client, text)
            else:
                await self._execute(line, client, view, is_host=is_host)

    async def _execute(self, line: str, client: Client, view: RoomView, *, is_host: bool) -> None:
        command, _blank, rest = line.strip().partition(" ")
        if not command.startswith("/") or command.startswith("//"):
            await self._say(client, line.replace("//", "/", 1) if command.startswith("//") else line)
        elif command == "/who":
            self._screen.note(view.who())
        elif command == "/help":
            for help in self._help(is_host=is_host):
                self._screen.note(help)
        elif command == "/me" and rest.strip():
            await self._say(client, f"* {rest}")
        elif command == "/me":
            self._screen.warn(_("Usage: /me TEXT"))
        elif command == "/msg":
            self._screen.warn(_("This protocol has no private messages: everyone in the room would read it. Not sent."))
        elif command == "/rooms":
            await self._show_rooms()
        else:
            self._screen.warn(_("Unknown command {command}; type /help for help.").format(command=command))

    async def _say(self, client: Client, text: str) -> None:
        if not text.strip():
            return
        if text in self._codec.leave_words:
            self._screen.warn(_("Not sent, because it would mean that you leave: {text}").format(text=text))
            return
        try:
            await client.say(text)
        except IllegalEvent:
            self._screen.warn(_("You are no longer in the room. Not sent: {text}").format(text=text))
        except ValueError:
            self._screen.warn(_("Too long for one message; nothing was sent."))
        else:
            self._screen.own(client.name, text)

    async def _show_rooms(self) -> None:
        if not self._codec.dialect.lists:
            self._screen.warn(_("This dialect cannot list the rooms of a server."))
            return
        try:
            names = await list_rooms(self._server, self._codec)
        except Unreachable as error:
            self._screen.warn(unreachable(error))
        else:
            self._screen.note(_("Rooms: {names}").format(names=", ".join(names)))

    async def _warn_of_silence(self, client: Client) -> None:
        """Warn whenever the user's silence is about to end the session."""
        before = min(WARN_SECONDS, self._limits.idle_timeout / 1_000_000 * WARN_SHARE)
        while (left := client.seconds_left()) is not None:
            if left > before:
                await asyncio.sleep(left - before)
                continue
            self._screen.warn(
                _(
                    "You have been silent for a long time. Say something within {seconds} s, or your session ends."
                ).format(seconds=max(round(left), 1))
            )
            await asyncio.sleep(max(left, 0.0) + 1)

    @staticmethod
    async def _enter_late(client: Client, view: RoomView) -> None:
        await client.first_sign()
        if client.has_heard and not client.is_over:
            view.enter()

    async def _warn_of_udp(self, client: Client) -> None:
        """Warn if a server that should answer over UDP does not: TCP may lead to it while UDP does not."""
        await asyncio.sleep(UDP_SECONDS)
        if client.engine.asks_for_answers and not client.has_heard:
            self._screen.warn(
                _(
                    "Nothing comes back from UDP port {port} of {host}. Is --udp-port right, and is UDP let through?"
                ).format(port=self._server.udp_port, host=self._server.host)
            )

    def _help(self, *, is_host: bool) -> list[str]:
        leave = ", ".join(["/leave", *self._codec.dialect.leave_words])
        what = _("leave the room, which closes it: you are its host") if is_host else _("leave the room")
        lines = [
            _("{words}, Ctrl-D: {what}").format(words=leave, what=what),
            _("/who: list the members you have heard of"),
            _("/rooms: list the rooms of the server, where its dialect can"),
            _("/me text: say what you do"),
            _("//text: send a text that begins with a slash"),
            _("arrow keys: go through what you typed before; Tab: complete a name or a command"),
        ]
        if self._habits.keeps_alive and not self._codec.asks_for_answers:
            lines.append(_("This dialect cannot tell whether a server that is silent was restarted."))
        return lines

    # --- what next -------------------------------------------------------------------------------

    async def _offer_unheard(self, client: Client) -> None:
        """After coming back: offer to send again what perhaps nobody heard."""
        texts, self._unheard = self._unheard, ()
        if texts and await self._agrees(
            _("Send again what was perhaps not heard ({number})? [y/n]").format(number=len(texts))
        ):
            for text in texts:
                await self._say(client, text)

    async def _offer_again(self, client: Client, request: RoomRequest) -> RoomRequest | None:
        """The session ended: come back, or ask whether to."""
        self._has_heard = self._has_heard or client.has_heard
        if client.why in (Loss.SERVER_GONE, Loss.SERVER_SILENT, Notice.IDLED):
            self._unheard = client.unheard
            if len(self._unheard) > UNHEARD_SHOWN:
                more = len(self._unheard) - UNHEARD_SHOWN
                self._screen.warn(_("Perhaps not heard: {number} earlier texts").format(number=more))
            for text in self._unheard[-UNHEARD_SHOWN:]:
                self._screen.warn(_("Perhaps not heard: {text}").format(text=text))
            self._keep_for_later(self._unread)
            # A UDP port that has never answered is probably the wrong one, and another try would end likewise.
            comes_back = self._habits.reconnects and self._habits.keeps_alive and self._has_heard
            if comes_back and self._screen.can_offer:
                # A host's creating is taking over, where the server still has the session (R-NAME-2).
                operation = Operation.CREATE if request.is_host else Operation.JOIN
                tries = 0 if client.has_heard or request.tries is None else request.tries + 1
                return await self._wait_to_come_back(replace(request, operation=operation, tries=tries))
        if not await self._agrees(_("Join {room} again? [y/n]").format(room=request.room)):
            return None
        return replace(request, tries=None)

    def _keep_for_later(self, lines: Sequence[str]) -> None:
        """Lines that were typed without a session are offered to be sent in the next one."""
        for line in lines:
            if line.strip() and not line.startswith("/") and line not in self._codec.leave_words:
                self._screen.warn(_("Not sent yet: {text}").format(text=line))
                self._unheard = (*self._unheard, line)

    async def _offer_a_try(self, complaint: str, request: RoomRequest) -> RoomRequest | None:
        """The server could not be reached, or takes nothing now."""
        if request.tries is None:
            self._screen.warn(complaint)
            return request if await self._agrees(_("Try again? [y/n]")) else None
        if complaint != self._complaint:
            self._screen.warn(complaint)
            self._complaint = complaint
        return await self._wait_to_come_back(replace(request, tries=request.tries + 1))

    async def _wait_to_come_back(self, request: RoomRequest) -> RoomRequest | None:
        """Wait before the next try. None: the user gives up."""
        assert request.tries is not None, "only the client's own tries wait"
        seconds = AGAIN_SECONDS[min(request.tries, len(AGAIN_SECONDS) - 1)]
        question = _("Joining {room} again in {seconds} s (Enter: now, n: give up)").format(
            room=request.room, seconds=seconds
        )
        try:
            answer = await self._screen.ask(question, within=seconds)
        except TimeoutError:
            return request
        except Closed:
            return None
        if _meaning(answer) is False or answer == "/leave" or answer in self._codec.leave_words:
            return None
        if _meaning(answer) is None:
            self._keep_for_later([answer])
        return request

    async def _offer_another(self, refused: RequestRefused, request: RoomRequest) -> RoomRequest | None:
        reason, tries, comes_back = refused.reason, request.tries, request.tries is not None
        tried = request.room in self._wrong_passwords
        said = refusal(refused, request, tried_passwords=tried)
        asks_password = self._codec.takes_password and self._screen.can_offer
        match reason:
            case Reason.TOO_MANY_REQUESTS if tried and asks_password and not comes_back:
                self._screen.warn(said)
                return await self._with_password(request)
            case Reason.TOO_MANY_REQUESTS:
                return await self._offer_a_try(said, request)
            case Reason.NO_SUCH_ROOM if comes_back and request.is_host:
                return await self._offer_a_try(said, replace(request, operation=Operation.CREATE))
            case Reason.NO_SUCH_ROOM if tries is not None and tries < HOST_TRIES:
                return await self._offer_a_try(said, request)
            case Reason.ROOM_EXISTS if comes_back:  # a guest was faster, or it is not quite closed
                return replace(request, operation=Operation.JOIN, resume_token=b"")
        self._screen.warn(said)
        request = replace(request, tries=None)
        asks = reason is Reason.NAME_TAKEN or (reason is Reason.WRONG_PASSWORD and asks_password)
        # The user may be typing a text, which must not become a name or a password.
        if comes_back and asks and not await self._agrees(_("Try again? [y/n]")):
            return None
        match reason:
            case Reason.WRONG_PASSWORD if asks_password:
                self._wrong_passwords.add(request.room)
                return await self._with_password(request)
            case Reason.NAME_TAKEN if self._screen.can_offer:
                name = await self._another_name()
                return replace(request, name=name, is_host=False, resume_token=b"") if name else None
            case Reason.NO_SUCH_ROOM:
                question, operation = _("Create it? [y/n]"), Operation.CREATE
            case Reason.ROOM_EXISTS:
                question, operation = _("Join it? [y/n]"), Operation.JOIN
            case _other:
                return None
        if not await self._agrees(question):
            return None
        return replace(request, operation=operation, is_host=False)

    async def _with_password(self, request: RoomRequest) -> RoomRequest | None:
        password = await self._answer(_("Room password (Enter to give up):"), hidden=True)
        return replace(request, password=password) if password else None

    async def _another_name(self) -> str:
        while name := unicodedata.normalize("NFC", await self._answer(_("Another name (Enter to give up):"))):
            if user_name_fault(name.encode(errors="surrogateescape")) is None:
                break
            self._screen.warn(name_rule())
        return name

    async def _answer(self, question: str, *, hidden: bool = False) -> str:
        """What the user answers; nothing where the input is closed."""
        try:
            return await self._screen.ask(question, hidden=hidden)
        except Closed:
            return ""

    async def _agrees(self, question: str) -> bool:
        if not self._screen.can_offer:
            return False
        while True:
            try:
                meaning = _meaning(await self._screen.ask(question))
            except Closed:
                return False
            if meaning is not None:
                return meaning
            self._screen.warn(_("Please answer y or n."))


def _meaning(answer: str) -> bool | None:
    """Yes, no, or neither, in either language; full-width letters too."""
    word = unicodedata.normalize("NFKC", answer).strip().lower()
    return True if word in ("y", "yes", "はい") else False if word in ("n", "no", "いいえ") else None
