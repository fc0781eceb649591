"""Finds out whether a chat server is there at all, in words for its owner, and then judges it."""

from __future__ import annotations

import ipaddress
import itertools
import socket
from collections.abc import Callable, Sequence

from tcrp.engine.codec import Codec
from tcrp.judge.discovery import FORM_OF_RELAY, REPLIES, Fit, discover
from tcrp.judge.guessing import Guess, guess
from tcrp.judge.probe import Probe
from tcrp.judge.record import Waits
from tcrp.judge.runner import Runner
from tcrp.judge.stage import Kind, Reply, Stage
from tcrp.judge.verdicts import Judgement
from tcrp.live.conform_ground import LiveGround
from tcrp.spec.names import Operation

TLS = "b'\\x15\\x03"  # how an alert begins
DISCOVERY_US, RELAY_US = 1_500_000, 400_000


class CannotJudge(Exception):
    """There is no server to judge, or it is none of this protocol. The message says what was seen and what to try."""


def resolve(host: str) -> str:
    """The IP address of a host. Raises `CannotJudge`."""
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError) as error:
        raise CannotJudge(f"{host}: {getattr(error, 'strerror', None) or error}") from None


def is_loopback(ip: str) -> bool:
    """Whether the address is of this machine alone."""
    return ipaddress.ip_address(ip.partition("%")[0]).is_loopback


async def judge_server(
    ground: LiveGround,
    codec: Codec,
    waits: Waits,
    probes: tuple[Probe, ...],
    subject: str,
    progress: Callable[[str], None],
) -> Judgement:
    """The verdicts on a server. Raises `CannotJudge` if there is none."""
    stage = Stage(ground, codec, waits, "first contact", itertools.count())
    try:
        user = stage.user("judge")
        reply = await stage.ask(user, Operation.CREATE, room := stage.new_room())
        user.takes(room, reply.token)
        user.enter()
    finally:
        stage.close()
    if reply.kind is not Kind.GRANTED:
        raise CannotJudge(f"{subject}: {first_contact(reply, codec)}")
    return await Runner(ground, codec, waits, progress).run(probes, subject)


async def discovered(ground: LiveGround, codecs: Sequence[Codec], subject: str) -> tuple[list[Fit], Guess | None]:
    """How each dialect fits, the best first; and where none does, what can be guessed. Raises `CannotJudge` if nothing
    at all is answered.
    """
    reply = await _first_reply(ground, codecs[0])
    if reply.kind in (Kind.UNREACHED, Kind.SILENT) or "HTTP/" in reply.said or TLS in reply.said:
        raise CannotJudge(f"{subject}: {first_contact(reply, codecs[0])}")
    fits = await discover(ground, codecs, Waits(answer_us=DISCOVERY_US, relay_us=RELAY_US))
    guessed = None if fits[0].is_whole else await _guessed(ground, fits[0])
    if guessed is None and not fits[0].steps and not fits[0].first.speaks:
        raise CannotJudge(f"{subject}: {first_contact(fits[0].first, fits[0].codec)}")
    return fits, guessed


async def _guessed(ground: LiveGround, best: Fit) -> Guess | None:
    """What can be guessed of a server that no dialect fits, besides what the nearest shows."""
    if best.steps == FORM_OF_RELAY:
        return None  # all but the relay is of that dialect
    known = best.codec.dialect.name if best.steps > REPLIES else None
    return await guess(ground, Waits(answer_us=DISCOVERY_US, relay_us=RELAY_US), known)


async def _first_reply(ground: LiveGround, codec: Codec) -> Reply:
    stage = Stage(ground, codec, Waits(), "first contact", itertools.count())
    try:
        return await stage.ask(stage.user("judge"), Operation.CREATE, stage.new_room())
    finally:
        stage.close()


def first_contact(reply: Reply, codec: Codec) -> str:
    """What the first answer says of a server that does not grant a plain request."""
    name = codec.dialect.name
    other = "Try --dialect auto, or describe its dialect in a file (docs/dialects.md)"
    match reply.kind:
        case Kind.UNREACHED:
            return f"no TCP connection: {reply.said}. Is the server running, and is --tcp-port its port?"
        case Kind.SILENT:
            return (
                f"accepts a connection and answers nothing within {reply.after_us / 1_000_000:g} s to a request in "
                f"dialect {name}. Another kind of server, or another dialect? {other}"
            )
        case Kind.CLOSED | Kind.RESET:
            return (
                f"closes the connection without an answer to a request in dialect {name}. Another kind of server, or "
                f"another dialect? {other}"
            )
        case Kind.STRANGE if "HTTP/" in reply.said:
            return "speaks HTTP, not the chat protocol. Is --tcp-port the right port?"
        case Kind.STRANGE if TLS in reply.said:
            return "speaks TLS. The chat protocol is not encrypted: judge the server behind it"
        case Kind.STRANGE:
            return f"gives no answer in dialect {name}: {reply.said}. {other}"
        case _:
            return f"refuses to create a room in dialect {name}: {reply.reason or repr(reply.said)}. {other}"
