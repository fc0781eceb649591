"""A chat session: sends typed lines, shows texts and notices, and offers to join again when it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

from tcrp.cli.i18n import _
from tcrp.cli.screen import Closed, Screen
from tcrp.engine.codec import Codec
from tcrp.engine.outputs import NoticeReceived, TextReceived
from tcrp.net.client import BROKEN_OFF, NO_ANSWER, NO_HOST, Client, RequestRefused, ServerAt, Unreachable
from tcrp.spec.limits import Limits
from tcrp.spec.names import Notice, Operation, Reason
from tcrp.spec.table import IllegalEvent
from tcrp.trace.recorder import Instances
from tcrp.trace.records import Trace

WARN_SECONDS = 30.0
WARN_SHARE = 0.2
"""The user is warned this long before the idle timeout: 30 s, or a fifth of the timeout if that is less."""


class Outcome(Enum):
    """How a session ended."""

    LEFT = auto()
    INTERRUPTED = auto()
    LOST = auto()  # by silence, by the server, or because the server is gone
    NEVER_BEGAN = auto()


@dataclass(frozen=True, slots=True)
class RoomRequest:
    """A request to create or join a room."""

    operation: Operation
    room: str
    name: str
    password: str = ""


class ChatSession:
    """Sessions with one server on one screen, one after another."""

    def __init__(
        self,
        screen: Screen,
        server: ServerAt,
        codec: Codec,
        limits: Limits,
        *,
        keeps_alive: bool,
        trace: Trace | None = None,
    ) -> None:
        self._screen = screen
        self._server = server
        self._codec = codec
        self._limits = limits
        self._keeps_alive = keeps_alive
        self._trace = trace
        self._started_us = time.monotonic_ns() // 1000
        self._instances = Instances()

    async def run(self, request: RoomRequest) -> Outcome:
        """Run a session to its end, and others after it as the user wishes. Returns the last outcome."""
        while True:
            outcome, again = await self._run_once(request)
            if again is None or not self._screen.can_offer:
                return outcome
            request = again

    # --- one session -----------------------------------------------------------------------------

    async def _run_once(self, request: RoomRequest) -> tuple[Outcome, RoomRequest | None]:
        """Run one session. Returns its outcome and the request that the user wants to make next."""
        over = asyncio.Event()
        view = _RoomView(self._screen, self._codec, request.name)
        client = Client(
            self._server,
            self._codec,
            request.operation,
            request.room,
            request.name,
            password=request.password,
            limits=self._limits,
            keeps_alive=self._keeps_alive,
            trace=self._trace,
            instances=self._instances,
            started_us=self._started_us,
            hear=view.hear,
            ended=over.set,
        )
        try:
            await client.enter()
        except Unreachable as error:
            self._screen.warn(unreachable(error))
            return Outcome.NEVER_BEGAN, request if await self._agrees(_("Try again? [y/n]")) else None
        except RequestRefused as refused:
            self._screen.warn(refusal(refused.reason, request))
            return Outcome.NEVER_BEGAN, await self._offer_another(refused.reason, request)
        except ValueError:
            self._screen.warn(name_rule())
            return Outcome.NEVER_BEGAN, None
        try:
            hint = " " + _("Type /help for help.") if self._screen.can_offer else ""
            self._screen.note(_("You are in {room} as {name}.").format(room=request.room, name=request.name) + hint)
            outcome = await self._until_over(client, view, over)
        finally:
            if client.is_living and not client.is_over:
                client.leave()
            if not client.is_living:
                await client.settle()
            await client.close()
        if outcome is not Outcome.LOST:
            return outcome, None
        self._screen.warn(ending(client))
        return outcome, await self._offer_again(request)

    async def _until_over(self, client: Client, view: _RoomView, over: asyncio.Event) -> Outcome:
        typing = asyncio.create_task(self._type(client, view))
        ending = asyncio.create_task(over.wait())
        warning = asyncio.create_task(self._warn_of_silence(client))
        try:
            await asyncio.wait({typing, ending}, return_when=asyncio.FIRST_COMPLETED)
            # Leaving ends the session too, so the typed command decides if both are done.
            return typing.result() if typing.done() else Outcome.LOST
        finally:
            for task in (typing, ending, warning):
                task.cancel()
            await asyncio.gather(typing, ending, warning, return_exceptions=True)
            await self._screen.rest()

    async def _type(self, client: Client, view: _RoomView) -> Outcome:
        """Execute the typed lines until the user leaves."""
        while True:
            try:
                line = await self._screen.line()
            except Closed as closed:
                return Outcome.INTERRUPTED if closed.is_interrupt else Outcome.LEFT
            command = line.strip()
            if command == "/leave" or line in self._codec.leave_words:
                return Outcome.LEFT
            if command == "/who":
                self._screen.note(view.who())
            elif command == "/help":
                for help in self._help():
                    self._screen.note(help)
            elif command.startswith("/") and not command.startswith("//"):
                self._screen.warn(_("Unknown command {command}; type /help for help.").format(command=command))
            elif command:
                await self._say(client, line.removeprefix("/") if command.startswith("//") else line)

    async def _say(self, client: Client, text: str) -> None:
        try:
            await client.say(text)
        except IllegalEvent:
            self._screen.warn(_("You are no longer in the room. Not sent: {text}").format(text=text))
        except ValueError:
            self._screen.warn(_("Too long for one message; nothing was sent."))
        else:
            self._screen.own(client.name, text)

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

    def _help(self) -> list[str]:
        leave = ", ".join(["/leave", *self._codec.dialect.leave_words])
        return [
            _("{words}: leave the room (or press Ctrl-D)").format(words=leave),
            _("/who: list the members you have heard of"),
            _("//text: send a text that begins with a slash"),
            _("arrow keys: go through what you typed before"),
        ]

    # --- what next -------------------------------------------------------------------------------

    async def _offer_again(self, request: RoomRequest) -> RoomRequest | None:
        if not await self._agrees(_("Join {room} again? [y/n]").format(room=request.room)):
            return None
        return replace(request, operation=Operation.JOIN)

    async def _offer_another(self, reason: Reason | None, request: RoomRequest) -> RoomRequest | None:
        match reason:
            case Reason.WRONG_PASSWORD if self._codec.takes_password and self._screen.can_offer:
                password = await self._screen.ask(_("Room password (Enter to give up):"), hidden=True)
                return replace(request, password=password) if password else None
            case Reason.NO_SUCH_ROOM:
                question, operation = _("Create it? [y/n]"), Operation.CREATE
            case Reason.ROOM_EXISTS:
                question, operation = _("Join it? [y/n]"), Operation.JOIN
            case _other:
                return None
        if not await self._agrees(question):
            return None
        return replace(request, operation=operation)

    async def _agrees(self, question: str) -> bool:
        if not self._screen.can_offer:
            return False
        try:
            answer = await self._screen.ask(question)
        except Closed:
            return False
        return answer.lower() in ("y", "yes", "はい")


class _RoomView:
    """Shows the texts and notices of a room, and remembers which members were heard of."""

    def __init__(self, screen: Screen, codec: Codec, name: str) -> None:
        self._screen = screen
        self._has_joined_notice = Notice.JOINED in codec.dialect.notices
        self._here: dict[str, None] = {name: None}

    def hear(self, effect: TextReceived | NoticeReceived) -> None:
        """Show a text or a notice. The notice that ends the session is shown by the caller."""
        match effect:
            case TextReceived(name, text):
                self._here[name] = None
                self._screen.text(name, text)
            case NoticeReceived(Notice.JOINED, name):
                self._here[name] = None
                self._screen.note(_("{name} joined").format(name=name))
            case NoticeReceived(Notice.LEFT, name):
                self._here.pop(name, None)
                self._screen.note(_("{name} left").format(name=name))

    def who(self) -> str:
        """The members who were heard of, as a message."""
        if not self._has_joined_notice:
            return _("This dialect has no notice for who joins.")
        return _("Heard of since you joined: {names}").format(names=", ".join(self._here))


# --- messages --------------------------------------------------------------------------------------


def name_rule() -> str:
    """Which names are allowed (R-NAME-1)."""
    return _("Names are 1 to 255 bytes without control characters; a user name must not contain : [ ] either.")


def unreachable(error: Unreachable) -> str:
    """Why the server cannot be reached."""
    words = {
        NO_HOST: lambda: _("unknown host"),
        NO_ANSWER: lambda: _("no answer"),
        BROKEN_OFF: lambda: _("the connection was closed, or the server speaks another dialect"),
    }
    why = words[error.why]() if error.why in words else error.why
    return _("No chat server at {where}: {why}").format(where=error.where, why=why)


def refusal(reason: Reason | None, request: RoomRequest) -> str:
    """Why a request was refused, and what the user can do."""
    words: dict[Reason | None, Callable[[], str]] = {
        None: lambda: _("The server refused the request for an unknown reason."),
        Reason.BAD_REQUEST: lambda: _("The server does not accept this request. Is the dialect right?"),
        Reason.TOO_MANY_REQUESTS: lambda: _("Too many requests; try again in a minute."),
        Reason.ROOM_EXISTS: lambda: _("The room {room} already exists."),
        Reason.NO_SUCH_ROOM: lambda: _("There is no room {room}."),
        Reason.WRONG_PASSWORD: lambda: _("Wrong password for {room}."),
        Reason.NAME_TAKEN: lambda: _("The name {name} is taken in {room}; choose another name."),
        Reason.ROOM_FULL: lambda: _("The room {room} is full."),
    }
    return words[reason]().format(room=request.room, name=request.name)


def ending(client: Client) -> str:
    """Why a session ended."""
    if client.is_gone:
        return _("Lost the connection to the server.")
    if client.is_unheard:
        return _("The server no longer answers; it may have been restarted.")
    match client.told:
        case Notice.ROOM_CLOSED:
            return _("The room was closed.")
        case Notice.SHUTDOWN:
            return _("The server was stopped.")
        case Notice.REMOVED:
            return _("You were removed from the room.")
        case Notice.SUPERSEDED:
            return _("You joined from elsewhere.")
        case _other:
            return _("You were silent for too long, so your session has ended.")
