"""What the client tells its user about requests that failed and sessions that ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tcrp.cli.i18n import _
from tcrp.net.client import BROKEN_OFF, NO_ANSWER, NO_HOST, Client, Loss, RequestRefused, Unreachable
from tcrp.spec.names import Notice, Operation, Reason


@dataclass(frozen=True, slots=True)
class RoomRequest:
    """A request to create or join a room.

    `tries`: None for the user's own request; else how often the client has tried by itself to come back.
    `is_host`: whether the user is the room's host once it is granted. `resume_token`: the token of the session
    that was lost, which proves to a server that still has it that the name is the user's (R-NAME-2).
    """

    operation: Operation
    room: str
    name: str
    password: str = ""
    tries: int | None = None
    is_host: bool = False
    resume_token: bytes = field(default=b"", repr=False)


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
    return with_words(_("No chat server at {where}: {why}").format(where=error.where, why=why), error.said)


def with_words(message: str, said: str) -> str:
    """`message`, and behind it the words of the server if it said any."""
    return f"{message} {_('The server says: {words}').format(words=said)}" if said else message


def refusal(refused: RequestRefused, request: RoomRequest, *, tried_passwords: bool = False) -> str:
    """Why a request was refused, and what the user can do. `tried_passwords`: wrong ones for this room, before."""
    words: dict[Reason | None, Callable[[], str]] = {
        None: lambda: (
            _("The server refused the request, or speaks another dialect.")
            if refused.said
            else _("The server refused the request for an unknown reason.")
        ),
        Reason.BAD_REQUEST: lambda: _("The server does not accept this request. Is the dialect right?"),
        Reason.TOO_MANY_REQUESTS: lambda: (
            _(
                "Too many wrong passwords for {room} from your address; try again in a minute. "
                "The right one gets in at once if you wait a second first."
            )
            if tried_passwords
            else _("Too many requests; try again in a minute.")
        ),
        Reason.ROOM_EXISTS: lambda: _("The room {room} already exists."),
        Reason.NO_SUCH_ROOM: lambda: _("There is no room {room}."),
        Reason.WRONG_PASSWORD: lambda: (
            _("Wrong password for {room}.") if request.password else _("The room {room} has a password.")
        ),
        Reason.NAME_TAKEN: lambda: _(
            "The name {name} is taken in {room}; choose another name. If it was yours before a crash, the server "
            "frees it after its idle timeout (5 minutes by default)."
        ),
        Reason.ROOM_FULL: lambda: _("The room {room} is full."),
    }
    return with_words(words[refused.reason]().format(room=request.room, name=request.name), refused.said)


def ending(client: Client) -> str:
    """Why a session ended that the user did not leave."""
    match client.why:
        case Loss.SERVER_GONE if not client.has_heard:
            return _("Nothing receives on UDP port {port} of {host}. Is --udp-port right?").format(
                port=client.server.udp_port, host=client.server.host
            )
        case Loss.SERVER_GONE:
            return _("Lost the connection to the server.")
        case Loss.SERVER_SILENT:
            return _("The server no longer answers; it may have been restarted.")
        case Loss.OWN_SILENCE:
            return _("You were silent for too long, so your session has ended.")
        case Notice.IDLED if client.keeps_alive:
            return _("The server ended your session: it tolerates less silence than expected.")
        case Notice.IDLED:
            return _("You were silent for too long, so your session has ended.")
        case Notice.ROOM_CLOSED:
            return _("The room was closed.")
        case Notice.SHUTDOWN:
            return _("The server was stopped.")
        case Notice.REMOVED:
            return _("You were removed from the room.")
        case Notice.SUPERSEDED:
            return _("Your name was taken over by another connection.")
        case Notice.QUIT:
            return _("The server says that you have left.")
        case Notice.JOINED | Notice.LEFT | None as why:
            raise AssertionError(f"{why} ends no session")
