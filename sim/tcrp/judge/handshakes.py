"""Probes of the handshake: requests whole and in pieces, refusals, names, passwords, takeovers, half-closing."""

from __future__ import annotations

import itertools

from tcrp.engine.frames import HEADER_BYTES, write_request
from tcrp.engine.recognition import port_is_clear
from tcrp.engine.text import SYSTEM_NAME
from tcrp.judge.ground import End, Stream, Unreached
from tcrp.judge.probe import Group, Probe
from tcrp.judge.record import CannotTest, Skip
from tcrp.judge.stage import Kind, Reply, Stage, User
from tcrp.spec.dialects import LearnedFrom
from tcrp.spec.fields import Role, roles_of
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import Operation, Reason, Rule
from tcrp.trace.plural import counted

CREATE, JOIN = Operation.CREATE, Operation.JOIN
DRIP_US = 4000
SLOW_US = SECOND_US // 2
A_NAME_OF_TWO_LETTERS = 0x6161  # as a port
DRIPPED = 48
"""So many bytes come four by four, header included; the rest follows in one piece, before a timeout of the server."""
TOKENS = 12
TOKEN_BYTES_LEAST = 8
LINGER_US = 2 * SECOND_US
"""How long the judge keeps its own end of a connection open after the last frame."""


async def whole(stage: Stage) -> None:
    ann, bob = stage.user("ann"), stage.user("bob")
    room = stage.new_room()
    created = await stage.ask(ann, CREATE, room)
    if created.kind is not Kind.GRANTED:
        return stage.broken(Rule.TCP_2, f"ann asks to create a room in one write; {created.words}")
    ann.takes(room, created.token).enter()
    joined = await stage.ask(bob, JOIN, room)
    if joined.kind is not Kind.GRANTED:
        return stage.broken(Rule.TCP_2, f"bob asks to join ann's room in one write; {joined.words}")
    bob.takes(room, joined.token).enter()
    return stage.holds(Rule.TCP_2, "requests in one write are granted")


async def in_pieces(stage: Stage) -> None:
    ann, room = stage.user("ann"), stage.new_room()
    await stage.needs(ann, CREATE, room)
    size = len(stage.codec.write_request(JOIN, room.encode(), "bob0", "", ann.ip, ann.port.number))
    ways = {
        "cut behind the header": ([HEADER_BYTES], 60_000),
        "cut inside the header": ([7], 60_000),
        "cut inside the payload": ([size - 2], 60_000),
        "in many small pieces": (range(1, DRIPPED, 4), DRIP_US),
    }
    for number, (way, (cuts, gap_us)) in enumerate(ways.items()):
        ann.keep_alive()
        bob = stage.user(f"bob{number}")
        began_us = stage.ground.now_us()
        reply = await stage.ask(bob, JOIN, room, cuts=cuts, gap_us=gap_us)
        if reply.kind in (Kind.CLOSED, Kind.RESET) and stage.ground.now_us() - began_us > SLOW_US:
            raise CannotTest("sending took so long here that it may have met the server's handshake timeout")
        if reply.kind is not Kind.GRANTED:
            return stage.broken(Rule.TCP_2, f"a request {way} is not understood: {reply.words}")
        bob.takes(room, reply.token).enter()
    return stage.holds(Rule.TCP_2, "requests cut anywhere are understood")


async def refusals(stage: Stage) -> None:
    ann, bob = await stage.room("ann", "bob")
    cat = stage.user("cat")
    missing = await stage.ask(cat, JOIN, stage.new_room())
    _is_refused(stage, missing, Reason.NO_SUCH_ROOM, "cat asks to join a room that does not exist")
    again = await stage.ask(cat, CREATE, ann.room)
    if again.kind is Kind.GRANTED:
        return stage.broken(Rule.TCP_4, f"cat creates room {ann.room!r}, which ann has open, and {again.words}")
    stage.holds(Rule.TCP_4, "a name that is in use is not created again")
    _is_refused(stage, again, Reason.ROOM_EXISTS, "cat asks to create a room that exists")
    if await stage.reaches_all([ann, bob]):
        return stage.broken(Rule.TCP_2, "after requests that were refused, members no longer reach each other")
    return None


def _is_refused(stage: Stage, reply: Reply, due: Reason, what: str) -> None:
    if reply.kind is not Kind.DENIED:
        stage.broken(Rule.TCP_2, f"{what}; {due} is due, but {reply.words}")
    elif reply.reason is due or not _has_reasons(stage):
        stage.holds(Rule.TCP_2, f"{due} is refused")
    else:
        stage.broken(Rule.TCP_2, f"{what}; {due} is due, but the reason given is {reply.reason or repr(reply.said)}")


def _has_reasons(stage: Stage) -> bool:
    """Whether refusals in this dialect say why."""
    frames = [b"".join(stage.codec.write_refusal(1, b"", each)) for each in (Reason.NO_SUCH_ROOM, Reason.ROOM_EXISTS)]
    return frames[0] != frames[1]


async def half_closed_request(stage: Stage) -> None:
    ann = stage.user("ann")
    reply = await stage.ask(ann, CREATE, room := stage.new_room(), half_closes=True)
    if reply.kind is Kind.GRANTED:
        ann.takes(room, reply.token).enter()
    stage.judge(
        Rule.TCP_3, reply.kind is Kind.GRANTED, "a peer that half-closes behind its request is answered",
        f"ann half-closes behind her whole request; {reply.words}",
    )  # fmt: skip


async def half_close(stage: Stage) -> None:
    """The server's end of a connection, and that nothing else crosses it."""
    ann, bob = await stage.room("ann", "bob")
    cat = stage.user("cat")
    stream = await _connected(stage)
    reply = await stage.ask(cat, JOIN, ann.room, stream=stream)
    if reply.kind is not Kind.GRANTED:
        raise CannotTest(f"cat could not join: {reply.words} (see {Rule.TCP_2})")
    cat.takes(ann.room, reply.token).enter()
    ann.say(stage.text("chat"))
    bob.say(stage.text("chat"))
    data, end = await _rest(stage, cat, stream, LINGER_US)
    data = reply.rest + data
    if data:
        stage.broken(
            Rule.TCP_1, f"after the completion, {counted(len(data), 'more byte')} came over TCP: {data[:40]!r}"
        )
    else:
        stage.holds(Rule.TCP_1, "nothing follows the completion over TCP")
    if end is End.RESET:
        return stage.broken(Rule.TCP_3, "the server resets the connection after the completion")
    if end is None:
        return stage.broken(
            Rule.TCP_3, f"{LINGER_US / SECOND_US:g} s after the completion the server has not half-closed"
        )
    await stage.send_trailer(cat, stream)
    for _ in range(3):  # what arrives late must be discarded: a reset could lose the token on its way
        stage.log("cat", "→", "TCP", b"late", "after the completion")
        if not await stream.send(b"late") or await stream.receive(50_000) is End.RESET:
            return stage.broken(
                Rule.TCP_3, "the server closed its connection instead of half-closing it: late bytes cause a reset"
            )
    return stage.holds(Rule.TCP_3, "the server half-closes after the completion and discards what comes late")


async def _connected(stage: Stage, ip: str | None = None) -> Stream:
    try:
        return await stage.connect(ip)
    except Unreached as error:
        raise CannotTest(f"no connection: {error}") from None


async def _rest(stage: Stage, user: User, stream: Stream, within_us: int) -> tuple[bytes, End | None]:
    """What still comes, and how the connection ends, if it does in time."""
    data, until_us = b"", stage.ground.now_us() + within_us
    while (left_us := until_us - stage.ground.now_us()) > 0 and len(data) < 65536:
        more = await stream.receive(left_us)
        if isinstance(more, End):
            stage.log(user.name, "←", "TCP", b"", str(more))
            return data, more
        if more is not None:
            stage.log(user.name, "←", "TCP", more)
            data += more
    return data, None


async def idle_connection(stage: Stage) -> None:
    """A connection that says nothing, and one that stops in the middle, beside a busy one."""
    ann = stage.user("ann")
    began_us = stage.ground.now_us()
    await stage.needs(ann, CREATE, stage.new_room())
    alone_us = stage.ground.now_us() - began_us
    silent, half = await _connected(stage), await _connected(stage)
    await half.send(b"\x05\x01\x00")
    stage.note("one connection is open and silent, another has sent three bytes of a header")
    await stage.ground.sleep(50_000)
    bob = stage.user("bob")
    beside = await stage.ask(bob, JOIN, ann.room)
    silent.close()
    half.close()
    stage.note("both idle connections are closed")
    if beside.kind is Kind.GRANTED:
        bob.takes(ann.room, beside.token).enter()
        return stage.holds(Rule.TCP_5, "a request beside idle connections is answered")
    cat = stage.user("cat")
    await stage.needs(cat, CREATE, stage.new_room())
    return stage.broken(
        Rule.TCP_5,
        f"an idle connection holds up everybody: beside it {beside.words}, without it answers take "
        f"{alone_us / 1000:.0f} ms",
    )


async def handshake_timeout(stage: Stage) -> None:
    """Connections that never send a whole request are dropped."""
    unfinished = {
        "nothing": b"",
        "half a header": b"\x05\x01\x00\x00",
        "half a request": write_request(CREATE, b"room", b"0123456789")[:-4],
    }
    until_us = stage.ground.now_us() + stage.waits.patience_us
    open_ = []
    for what, data in unfinished.items():
        stream = await _connected(stage)
        if data:
            await stream.send(data)
        open_.append((what, stream))
        stage.log(what, "→", "TCP", data, "and then nothing")
    for what, stream in open_:
        while (left_us := until_us - stage.ground.now_us()) > 0:
            if isinstance(await stream.receive(left_us), End):
                break
        else:
            return stage.outlives(Rule.TCP_5, f"a connection that has sent {what} is still open")
    return stage.holds(Rule.TCP_5, "unfinished requests are dropped")


async def tokens(stage: Stage) -> None:
    ann, room = stage.user("ann"), stage.new_room()
    await stage.needs(ann, CREATE, room)
    found = [ann.token]
    for number in range(TOKENS):
        ann.keep_alive()
        each = stage.user(f"guest{number}")
        await stage.needs(each, JOIN, room)
        found.append(each.token)
    if len(set(found)) < len(found):
        return stage.broken(Rule.TOK_1, f"of {len(found)} tokens only {len(set(found))} differ")
    if (shortest := min(map(len, found))) < TOKEN_BYTES_LEAST:
        return stage.broken(Rule.TOK_1, f"a token is {shortest} bytes long: it can be guessed ({found[0]!r})")
    if _in_sequence(found):
        return stage.broken(Rule.TOK_1, f"tokens follow each other, so they can be guessed: {found[0]!r}, {found[1]!r}")
    return stage.holds(Rule.TOK_1, f"{len(found)} tokens of {shortest} bytes differ and show no sequence")


def _in_sequence(found: list[bytes]) -> bool:
    """Whether consecutive tokens differ in little: a counter, or a clock."""

    def differs(pair: tuple[bytes, bytes]) -> int:
        first, second = pair
        return sum(a != b for a, b in zip(first, second, strict=False)) + abs(len(first) - len(second))

    return all(differs(pair) <= max(len(pair[0]) // 4, 2) for pair in itertools.pairwise(found))


async def names(stage: Stage) -> None:
    ann, bob = await stage.room("ann", "bob")
    bad = {
        "an empty name": "",
        "a name with an escape sequence": "\x1b[31mred\x1b[0m",
        "a name with a colon and brackets": "a:[b]: ccc",
        "the name of the system": SYSTEM_NAME,
    }
    for what, name in bad.items():
        if not port_is_clear(stage.codec, A_NAME_OF_TWO_LETTERS) and not name:
            continue  # two bytes alone may be a name of two letters to a server that recognises dialects
        user = stage.user("eve")
        user.name = name
        reply = await stage.ask(user, JOIN, ann.room)
        if reply.kind is Kind.GRANTED:
            return stage.broken(Rule.NAME_1, f"{what} ({name!r}) is granted a token")
    twin = stage.user("bob")
    reply = await stage.ask(twin, JOIN, ann.room)
    if reply.kind is Kind.GRANTED:
        twin.takes(ann.room, reply.token).enter()
        if await stage.reaches(ann, bob) or await stage.reaches(bob, ann):
            return stage.broken(Rule.NAME_1, "two members of one room are both named bob")
        return stage.broken(Rule.NAME_2, "whoever asks for the name of a member who has just spoken takes it over")
    return stage.holds(Rule.NAME_1, "bad names are refused, and so is the name of a member")


async def takeover(stage: Stage) -> None:
    """The name of a member: nobody at another address gets it; who sends its token may."""
    ann, bob = await stage.room("ann", "bob")
    if stage.ground.other_ip is not None:
        thief = stage.user("bob", stage.ground.other_ip)
        reply = await stage.ask(thief, JOIN, ann.room)
        if reply.kind is Kind.GRANTED:
            thief.takes(ann.room, reply.token).enter()
            if await stage.reaches(bob, ann):
                raise CannotTest(f"two members may have one name (see {Rule.NAME_1})")
            return stage.broken(Rule.NAME_2, f"somebody at {thief.ip} takes over the name of a member at {bob.ip}")
    if not stage.codec.asks_for_answers:  # it is no JSON object
        if stage.ground.other_ip is None:
            raise Skip("this machine has no second address, and requests of this dialect cannot hold a token")
        return stage.holds(Rule.NAME_2, "a name is not given to another address")
    heir = stage.user("bob")
    reply = await stage.ask(heir, JOIN, ann.room, resume_token=bob.token)
    if reply.kind is not Kind.GRANTED:
        return stage.holds(Rule.NAME_2, "a name in use is not given away (the server allows no takeovers)")
    heir.takes(ann.room, reply.token).enter()
    await stage.meet([ann, heir])
    text = stage.text("the old one")
    bob.say(text)
    await stage.settles(heir, ann)
    return stage.judge(
        Rule.NAME_2, not ann.times(text), "a name is taken over by who sends its token; the old session ends",
        "after a takeover by token, the old session still speaks",
    )  # fmt: skip


async def password(stage: Stage) -> None:
    if not stage.codec.takes_password:
        raise Skip("requests of this dialect hold no password")
    ann, room = stage.user("ann"), stage.new_room()
    await stage.needs(ann, CREATE, room, password="open sesame")  # noqa: S106
    for what, word in (("a wrong password", "close sesame"), ("no password", "")):
        reply = await stage.ask(stage.user("eve"), JOIN, room, password=word)
        if reply.kind is Kind.GRANTED:
            return stage.broken(Rule.PASS_1, f"eve joins a room that has a password with {what}")
        if reply.kind is not Kind.DENIED:
            return stage.broken(Rule.PASS_1, f"eve asks to join with {what}; {reply.words}")
    bob = stage.user("bob")
    reply = await stage.ask(bob, JOIN, room, password="open sesame")  # noqa: S106
    if reply.kind is not Kind.GRANTED:
        return stage.broken(Rule.PASS_1, f"bob asks to join with the right password; {reply.words}")
    bob.takes(room, reply.token).enter()
    return stage.holds(Rule.PASS_1, "only the right password is granted")


async def address(stage: Stage) -> None:
    """Of an address in a request only the port counts."""
    if stage.dialect.learned_from is not LearnedFrom.REQUEST:
        raise Skip("requests of this dialect name no address")
    ann = stage.user("ann")
    await stage.needs(ann, CREATE, stage.new_room())
    low = await stage.ask(stage.user("low"), JOIN, ann.room, port=80)
    if low.kind is Kind.GRANTED:
        return stage.broken(Rule.ADDR_1, "a request that names port 80 is granted: relays could be sent to a service")
    if Role.IP not in roles_of(stage.dialect.request[CREATE]):
        return stage.holds(Rule.ADDR_1, "a port below 1024 is refused")
    if stage.ground.other_ip is None:
        raise Skip("this machine has no second address to name in a request")
    bob = stage.user("bob")
    reply = await stage.ask(bob, JOIN, ann.room, announced_ip=stage.ground.other_ip)
    if reply.kind is not Kind.GRANTED:
        return stage.holds(Rule.ADDR_1, "a request that names another address is refused")
    bob.takes(ann.room, reply.token).enter()
    trap = stage.ground.port(stage.ground.other_ip, number=bob.port.number)
    try:
        text = stage.text("to whom")
        ann.say(text)
        if await trap.wait(lambda: any(text.encode() in data for _, data in trap.heard), stage.waits.relay_us // 2):
            return stage.broken(Rule.ADDR_1, f"relays go to {trap.ip}, which bob at {bob.ip} named in his request")
        if not await stage.reaches(ann, bob):
            return stage.broken(
                Rule.ADDR_1, f"bob at {bob.ip} names {trap.ip} in his request and is not sent relays at his own address"
            )
    finally:
        trap.close()
    return stage.holds(Rule.ADDR_1, "of the address in a request only the port counts")


PROBES = (
    Probe("whole requests", Group.CORE, (Rule.TCP_2,), "a request in one write is granted", whole),
    Probe("idle connection", Group.CORE, (Rule.TCP_5,), "an idle connection holds up nobody", idle_connection),
    Probe("unfinished requests", Group.WAITING, (Rule.TCP_5,), "unfinished requests are dropped", handshake_timeout),
    Probe("requests in pieces", Group.GENTLE, (Rule.TCP_2,), "a request may be cut anywhere", in_pieces),
    Probe("refusals", Group.GENTLE, (Rule.TCP_2, Rule.TCP_4), "refusals say why and change nothing", refusals),
    Probe(
        "half-closed request", Group.GENTLE, (Rule.TCP_3,), "a peer that half-closes is answered", half_closed_request
    ),
    Probe(
        "half-close", Group.GENTLE, (Rule.TCP_3, Rule.TCP_1), "after the completion the server half-closes", half_close
    ),
    Probe("tokens", Group.GENTLE, (Rule.TOK_1,), "tokens differ and cannot be guessed", tokens),
    Probe("names", Group.GENTLE, (Rule.NAME_1, Rule.NAME_2), "bad names and names in use are refused", names),
    Probe("takeover", Group.GENTLE, (Rule.NAME_2,), "a name in use is taken over only by its owner", takeover),
    Probe("password", Group.GENTLE, (Rule.PASS_1,), "only the right password is granted", password),
    Probe("address in a request", Group.GENTLE, (Rule.ADDR_1,), "only the port of an address counts", address),
)
