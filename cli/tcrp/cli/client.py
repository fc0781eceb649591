"""`chat-client`. Exit code 0: the user left; 1: the session ended otherwise; 2: it never began."""

from __future__ import annotations

import argparse
import contextlib
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tcrp.cli.client_config import read_config
from tcrp.cli.exits import CANNOT, DOES_NOT_HOLD, HOLDS, INTERRUPTED, UsageError
from tcrp.cli.i18n import _, translate_argparse
from tcrp.cli.output import ArgumentParser, run_program
from tcrp.cli.version import ShowVersion, tcrp_version

if TYPE_CHECKING:
    from tcrp.cli.chat_session import ChatSession, Outcome
    from tcrp.cli.screen import Screen
    from tcrp.spec.limits import Limits
    from tcrp.trace.trace import Trace

PROGRAM = "chat-client"
CREATE, JOIN, QUIT = ("1", "create", "c", "作成"), ("2", "join", "j", "参加"), ("3", "quit", "q", "終了")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `chat-client`."""
    return run_program(PROGRAM, lambda: _main(arguments), unshown="replace")  # ? in a chat, not \u3042


def _main(arguments: Sequence[str] | None) -> int:
    translate_argparse()
    parser = _parser()
    options = parser.parse_args(arguments)
    parser.set_defaults(**read_config(options.config))
    try:
        return _chat(parser.parse_args(arguments))
    except KeyboardInterrupt:  # how many leave a chat: no reason to complain
        return INTERRUPTED


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog=PROGRAM,
        description=_("Chat in a room. Without --join or --create, a menu asks what to do."),
        allow_abbrev=False,
    )
    parser.set_defaults(colours=True, bell=True)  # keys of the file only
    parser.add_argument("--name", metavar="NAME", help=_("your name in the room"))
    rooms = parser.add_mutually_exclusive_group()
    rooms.add_argument("--join", metavar="ROOM", help=_("join this room"))
    rooms.add_argument("--create", metavar="ROOM", help=_("create this room and be its host"))
    parser.add_argument("--host", default="127.0.0.1", metavar="HOST", help=_("address of the server (127.0.0.1)"))
    parser.add_argument(
        "--tcp-port", type=_port, default=9002, metavar="PORT", help=_("TCP port of the server, for requests (9002)")
    )
    parser.add_argument(
        "--udp-port",
        type=_port,
        default=9003,
        metavar="PORT",
        help=_("UDP port of the server, for chat traffic (9003)"),
    )
    parser.add_argument(
        "--dialect", default="json", metavar="NAME", help=_("dialect of the server, or a TOML file (json)")
    )
    parser.add_argument("--password-file", metavar="FILE", help=_("file whose first line is the room's password"))
    parser.add_argument(
        "--no-keep-alive", action="store_true", help=_("do not send keep-alives while you type nothing")
    )
    parser.add_argument("--idle-timeout", metavar="TIME", help=_("silence that the server tolerates (300s)"))
    parser.add_argument(
        "--keep-alive",
        metavar="TIME",
        help=_("interval of keep-alives (a fifth of the idle timeout, or 10s where that is not known; adapts itself)"),
    )
    parser.add_argument(
        "--no-reconnect", dest="reconnect", action="store_false", help=_("do not come back by itself to a lost room")
    )
    parser.add_argument(
        "--config", metavar="FILE", help=_("configuration file in TOML (~/.config/tcrp/chat-client.toml, if it exists)")
    )
    parser.add_argument("--trace", metavar="FILE", help=_("write every step of the state machines to this file"))
    parser.add_argument(
        "--plain", action="store_true", help=_("one line in, one line out: for pipes and screen readers")
    )
    # Its help is given here, because argparse does not translate its own.
    version = _("show program's version number and exit")
    parser.add_argument("--version", action=ShowVersion, help=version)
    return parser


def _port(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 6 and 1 <= int(word) <= 65535):
        raise argparse.ArgumentTypeError(_("{word!r} is not a port: 1 to 65535").format(word=word))
    return int(word)


def _chat(options: argparse.Namespace) -> int:
    # Imported late: `--help` needs neither the network nor the machines.
    import asyncio

    name = None if options.name is None else checked_name(options.name, is_user=True)
    _check_host(options.host)
    room = options.join if options.join is not None else options.create
    if room is not None:
        checked_name(room, is_user=False)
    password = _password(options.password_file)
    limits = _limits(options.idle_timeout)
    keep_alive_us = _keep_alive_us(options.keep_alive)
    if not options.plain and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(_("there is no terminal; use --plain"))
    with contextlib.suppress(asyncio.CancelledError):
        return asyncio.run(_converse(options, limits, keep_alive_us, name, password))
    return INTERRUPTED


def checked_name(typed: str, *, is_user: bool) -> str:
    """The name in Unicode normal form C (R-NAME-1). Raises `UsageError` if it is not allowed."""
    from tcrp.engine.text import room_name_fault, user_name_fault

    name = unicodedata.normalize("NFC", typed.strip())
    fault = user_name_fault if is_user else room_name_fault
    try:
        data = name.encode()
    except UnicodeEncodeError:  # the command line held bytes that are not UTF-8
        data = b"\xff"
    if fault(data) is not None:
        from tcrp.cli.chat_messages import name_rule

        raise UsageError(name_rule())
    return name


def _password(file: str | None) -> str:
    if file is None:
        return ""
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(_("{file}: cannot read the password: {why}").format(file=file, why=error.strerror)) from None
    except UnicodeDecodeError:
        raise UsageError(_("{file}: not valid UTF-8").format(file=file)) from None
    return lines[0] if lines else ""


def _limits(idle_timeout: str | None) -> Limits:
    from tcrp.spec.limits import Limits, parse_setting

    if idle_timeout is None:
        return Limits()
    try:
        return Limits().with_settings({"idle_timeout": parse_setting("idle_timeout", idle_timeout)})
    except ValueError as error:
        raise UsageError(str(error)) from None


def _keep_alive_us(interval: str | None) -> int | None:
    from tcrp.engine.liveness import KEEP_ALIVE_US_MIN
    from tcrp.spec.durations import parse_duration

    if interval is None:
        return None
    try:
        us = parse_duration(interval)
    except ValueError as error:
        raise UsageError(f"keep_alive: {error}") from None
    if us < KEEP_ALIVE_US_MIN:
        raise UsageError(_("keep_alive is {interval}; at least 100ms is expected").format(interval=interval))
    return us


def _check_host(host: str) -> None:
    """Raise `UsageError` for a host that no resolver could make sense of."""
    name, colon, port = host.rpartition(":")
    if colon and ":" not in name and port.isdigit():
        raise UsageError(
            _("--host takes no port; write: --host {name} --tcp-port {port} --udp-port …").format(name=name, port=port)
        )
    if not host.strip() or host.startswith("["):
        raise UsageError(_("{host!r} is not a host: a name or an IP address without brackets").format(host=host))


async def _converse(
    options: argparse.Namespace, limits: Limits, keep_alive_us: int | None, name: str | None, password: str
) -> int:
    import asyncio
    import signal

    from tcrp.cli.chat_messages import RoomRequest
    from tcrp.cli.chat_session import ChatSession, Habits
    from tcrp.cli.dialects import dialect_named
    from tcrp.cli.screen import Closed
    from tcrp.engine.liveness import UNTOLD_KEEP_ALIVE_US
    from tcrp.net.client import ServerAt
    from tcrp.spec.names import Operation

    codec = dialect_named(options.dialect)
    if password and not codec.takes_password:
        raise UsageError(_("the dialect {name} has no passwords").format(name=codec.dialect.name))
    if keep_alive_us is None and options.idle_timeout is None and not codec.tells_timeout:
        keep_alive_us = UNTOLD_KEEP_ALIVE_US
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    # On these the client leaves the room before it ends. SIGHUP: its window was closed.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    screen = _screen(plain=options.plain, colours=options.colours, bell=options.bell)
    with contextlib.closing(screen):
        server = ServerAt(options.host, options.tcp_port, options.udp_port)
        trace = _trace(options.trace, screen, codec.dialect.name, limits, name)
        habits = Habits(not options.no_keep_alive, keep_alive_us, options.reconnect)
        chat = ChatSession(screen, server, codec, limits, habits, trace=trace)
        try:
            name = name or await _ask_name(screen, _("Your name:"), is_user=True)
            if options.join is None and options.create is None:
                return await _menu(screen, chat, name, password, asks_password=codec.takes_password and not password)
            operation, room = (
                (Operation.JOIN, options.join) if options.join is not None else (Operation.CREATE, options.create)
            )
            request = RoomRequest(operation, checked_name(room, is_user=False), name, password)
            return _exit_code(await chat.run(request))
        except Closed as closed:
            if closed.is_interrupt:
                return INTERRUPTED
            # At the menu, the end of the input is as good as "quit"; a room that was named is not entered.
            return HOLDS if options.join is None and options.create is None else CANNOT


def _trace(file: str | None, screen: Screen, dialect: str, limits: Limits, name: str | None) -> Trace | None:
    """A trace that is written to `file`; the chat goes on if that fails. Raises `UsageError` if it cannot begin."""
    if file is None:
        return None
    if file == "-":
        raise UsageError(_("--trace -: the chat is on standard output; name a file for the trace (./- is one)"))
    import asyncio
    import platform

    from tcrp.net.trace_file import TraceFile
    from tcrp.spec.limits import write_setting
    from tcrp.trace.header import CastMember, Header, Mode
    from tcrp.trace.trace import Trace

    def warn_of(error: OSError) -> None:
        screen.warn(_("{file}: cannot write the trace any further: {why}").format(file=file, why=error.strerror))

    trace = Trace()
    header = Header(
        Mode.SOCKETS,
        versions={"python": platform.python_version(), "tcrp": tcrp_version()},
        cast={} if name is None else {name: CastMember(name, dialect)},  # None: it is asked for later
        limits={"idle_timeout": write_setting("idle_timeout", limits)},  # the only one that a client knows of
        dialects=(dialect,),
    )
    try:
        trace.listeners.append(TraceFile(Path(file), header.line(), asyncio.get_running_loop().call_soon, warn_of))
    except OSError as error:
        why = _("{file}: cannot write the trace: {why}").format(file=file, why=error.strerror)
        raise UsageError(why) from None
    return trace


def _screen(*, plain: bool, colours: bool, bell: bool) -> Screen:
    if plain:
        from tcrp.cli.plain import Plain

        return Plain()
    from tcrp.cli.screen import Terminal

    return Terminal(colours=colours, bell=bell)


async def _menu(screen: Screen, chat: ChatSession, name: str, password: str, *, asks_password: bool) -> int:
    """Show the menu after each chat, until the user quits. Raises `Closed`."""
    from tcrp.cli.chat_messages import RoomRequest
    from tcrp.spec.names import Operation

    result = HOLDS
    while True:
        typed = await screen.ask(_("1 create a room, 2 join a room, 3 quit:"))
        choice = unicodedata.normalize("NFKC", typed).lower()
        if choice in QUIT:
            return result
        if choice not in CREATE and choice not in JOIN:
            screen.warn(_("Please enter create, join or quit, or 1, 2 or 3."))
            continue
        room = await _ask_name(screen, _("Room name:"), is_user=False)
        if asks_password:
            password = await screen.ask(_("Room password (Enter for none):"), hidden=True)
        operation = Operation.CREATE if choice in CREATE else Operation.JOIN
        result = _exit_code(await chat.run(RoomRequest(operation, room, name, password)))


async def _ask_name(screen: Screen, question: str, *, is_user: bool) -> str:
    while True:
        try:
            return checked_name(await screen.ask(question), is_user=is_user)
        except UsageError as error:
            screen.warn(str(error))


def _exit_code(outcome: Outcome) -> int:
    from tcrp.cli.chat_session import Outcome

    return {Outcome.LEFT: HOLDS, Outcome.INTERRUPTED: INTERRUPTED, Outcome.LOST: DOES_NOT_HOLD}.get(outcome, CANNOT)


if __name__ == "__main__":
    sys.exit(main())
