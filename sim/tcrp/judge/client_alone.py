"""Probes of a client that need a run of it each: how it takes refusals, pieces, losses, silence, rubbish and ends."""

from __future__ import annotations

from tcrp.engine.notices import NoticeReader, write_notice
from tcrp.judge.client_stage import GUEST, HOST, Client, ClientStage, Misread
from tcrp.judge.record import CannotTest, Skip
from tcrp.spec.dialects import LearnedFrom
from tcrp.spec.limits import SECOND_US, TOKEN_BYTES
from tcrp.spec.names import Notice, Operation, Reason, Rule
from tcrp.trace.plural import counted

ENTRIES = 3
"""How often an entering client speaks while nothing comes back: at once, and after 0.2 and 0.6 s."""
ENTER_US = 3 * SECOND_US
ENDLESS_BYTES = 8 << 20
PIECE_US = 1_000
NAME, ROOM = "ünï日本", "ルーム"
ENDS = (Notice.ROOM_CLOSED, Notice.IDLED, Notice.REMOVED, Notice.SUPERSEDED, Notice.SHUTDOWN)


async def _takes(stage: ClientStage, client: Client, how: str) -> None:
    """It has its token, in whatever pieces that came: it sends with it what its user says."""
    client.completed()
    await client.learn_address()
    text = stage.text("in the room")
    await client.says(text)
    good = await client.scene.wait(lambda: client.times_said(text) > 0, stage.waits.answer_us)
    stage.judge(
        Rule.TCP_3, good, f"it takes a reply that comes {how}",
        f"it does not take a reply that comes {how}; {client.ended_how}: {client.last_line!r}",
    )  # fmt: skip


async def together(stage: ClientStage) -> None:
    """A reply whose frames come in one segment is taken."""
    client = await stage.start()
    await client.asks()
    client.reply(b"".join(client.granting()))
    await _guarded(stage, client, "in one segment")


async def dripped(stage: ClientStage) -> None:
    """A reply that comes byte by byte is taken."""
    client = await stage.start()
    await client.asks()
    for byte in b"".join(client.granting()):
        client.reply(bytes((byte,)))
        await stage.ground.sleep(PIECE_US)
    await _guarded(stage, client, "byte by byte")


async def _guarded(stage: ClientStage, client: Client, how: str) -> None:
    try:
        await _takes(stage, client, how)
    except CannotTest as error:
        stage.broken(Rule.TCP_3, f"it does not take a reply that comes {how}: {error}")


async def refused_join(stage: ClientStage) -> None:
    """A refused request ends there: no datagram follows, and its user is told."""
    await _refused(stage, Operation.JOIN, Reason.NO_SUCH_ROOM)


async def refused_create(stage: ClientStage) -> None:
    """The same where a room is created."""
    await _refused(stage, Operation.CREATE, Reason.ROOM_EXISTS)


async def _refused(stage: ClientStage, operation: Operation, reason: Reason) -> None:
    client = await stage.start(operation)
    asked = await client.asks()
    if client.operation is not operation:
        raise Skip(f"this command, with this script, does not {operation}")
    assert client.codec is not None, "it has made a request"
    await stage.ground.sleep(stage.waits.quiet_us)
    written, before = len(client.scene.output), len(client.scene.heard)
    for data in [client.codec.write_greeting(), *client.codec.write_refusal(asked.code, asked.room, reason)]:
        if data:
            client.reply(data, str(reason))
    assert client.connection is not None, "it has made a request"
    client.connection.finish()
    told = await client.scene.wait(
        lambda: len(client.scene.output) > written or client.has_ended, stage.waits.answer_us
    )
    text = stage.text("was I refused?")
    await stage.ground.sleep(stage.waits.relay_us)
    if not client.has_ended:
        await client.says(text)
        await stage.ground.sleep(stage.waits.relay_us)
    client.catch_up()
    if len(client.scene.heard) > before:
        sent = client.scene.heard[before][2][:60]
        return stage.broken(Rule.TCP_2, f"it is refused ({reason}) and sends datagrams all the same: {sent!r}")
    return stage.judge(
        Rule.TCP_2,
        told,
        f"a refusal ({reason}) is taken as one",
        f"it is refused ({reason}), and shows nothing of it within {stage.waits.answer_us / SECOND_US:g} s",
    )


async def _gives_up(stage: ClientStage, client: Client, rule: Rule, how: str) -> None:
    """It closes the connection, or ends, though its request has no answer that it could read."""
    connection = client.connection
    assert connection is not None, "it has made a request"
    gone = await client.scene.wait(lambda: connection.end is not None or client.has_ended, stage.waits.patience_us)
    if gone:
        return stage.holds(rule, f"it gives up when {how}")
    return stage.outlives(rule, f"it has not given up when {how},")


async def silence(stage: ClientStage) -> None:
    """A server that answers nothing is given up."""
    client = await stage.start()
    await client.asks()
    await _gives_up(stage, client, Rule.TCP_5, "the server answers nothing")


async def half_a_reply(stage: ClientStage) -> None:
    """A server that answers by half is given up."""
    client = await stage.start()
    await client.asks()
    whole = b"".join(client.granting())
    client.token = b""
    client.reply(whole[: len(whole) // 2], "half a reply")
    await _gives_up(stage, client, Rule.TCP_5, "half a reply comes")


async def closed(stage: ClientStage) -> None:
    """A server that closes without an answer is given up."""
    client = await stage.start()
    await client.asks()
    assert client.connection is not None, "it has made a request"
    client.connection.finish()
    await _gives_up(stage, client, Rule.TCP_5, "the server closes without an answer")


async def wrong_reply(stage: ClientStage) -> None:
    """A server that answers with something else is given up."""
    client = await stage.start()
    await client.asks()
    assert client.connection is not None, "it has made a request"
    client.reply(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", "something else")
    client.connection.finish()
    await _gives_up(stage, client, Rule.TCP_5, "the answer is something else")


async def endless(stage: ClientStage) -> None:
    """A reply without end is not read without end."""
    client = await stage.start()
    await client.asks()
    connection = client.connection
    assert connection is not None, "it has made a request"
    stage.note(f"the reply promises 2**60 bytes, and {ENDLESS_BYTES >> 20} MiB of them follow")
    room = client.room.encode()
    client.reply(bytes((len(room), 1, 1)) + (1 << 60).to_bytes(29, "big") + room)
    sent = 0
    while sent < ENDLESS_BYTES and connection.end is None and not client.has_ended:
        connection.send(b"1" * 65536)
        sent += 65536
        if not await client.scene.wait(
            lambda: not connection.unsent or connection.end is not None or client.has_ended, stage.waits.answer_us
        ):
            break
        await stage.ground.sleep(PIECE_US)
    if connection.end is None and not client.has_ended and not connection.unsent:
        return stage.broken(Rule.LIM_1, f"it has read {sent >> 20} MiB of a reply, and goes on")
    return await _gives_up(stage, client, Rule.LIM_1, "a reply has no end")


async def entering(stage: ClientStage) -> None:
    """Its first datagrams are lost, and it enters all the same."""
    client = await stage.start()
    await client.asks()
    assert client.codec is not None, "it has made a request"
    dialect = client.codec.dialect
    await client.is_given_its_token()
    if dialect.learned_from in (LearnedFrom.REQUEST, LearnedFrom.CONNECTION) and not dialect.enter_word:
        raise Skip("in this dialect a client enters by its request")
    if dialect.learned_from is LearnedFrom.TRAILER:
        await stage.ground.sleep(stage.waits.quiet_us)
        if len(client.behind_request()) >= 2:
            return stage.holds(Rule.UDP_4, "it enters by its trailer")
    await client.scene.wait(lambda: len(client.scene.heard) >= ENTRIES, ENTER_US)
    client.catch_up()
    count = len(client.scene.heard)
    wrong = [each for each in client.texts if each not in (dialect.enter_word, "")]
    if wrong:
        return stage.broken(
            Rule.UDP_4, f"it enters with {wrong[0]!r}; {dialect.enter_word or 'an empty text'!r} is due"
        )
    return stage.judge(
        Rule.UDP_4, count >= ENTRIES, f"while nothing comes back, it says {counted(count, 'time')} that it is there",
        f"nothing comes back, and within {ENTER_US / SECOND_US:g} s it says {counted(count, 'time')} that it is there, "
        f"at least {ENTRIES} are due: what it says first may be lost",
    )  # fmt: skip


async def told_of_end(stage: ClientStage) -> None:
    """When the room closes, it ends, and sends no more texts."""
    await _told(stage, Notice.ROOM_CLOSED)


async def told_of_other_ends(stage: ClientStage) -> None:
    """The same for every other end for which the dialect has a sentence of its own."""
    assert stage.codec is not None, "the first probe has found the dialect"
    reader = NoticeReader(stage.codec, "room")
    sentences = {
        write_notice(stage.codec, each, name=GUEST, room="room", host=HOST, token=b"0" * TOKEN_BYTES): each
        for each in reversed(ENDS)
    }
    others = [notice for data, notice in reversed(sentences.items()) if data is not None and reader.read(data)]
    if others in ([], [Notice.ROOM_CLOSED]):
        raise Skip("this dialect has one sentence for every end")
    for notice in others:
        if notice is not Notice.ROOM_CLOSED:
            await _told(stage, notice)


async def _told(stage: ClientStage, notice: Notice) -> None:
    client = await stage.granted()
    try:
        await _takes_its_end(stage, client, notice)
    finally:
        stage.catch_up()
        await client.scene.close()


async def _takes_its_end(stage: ClientStage, client: Client, notice: Notice) -> None:
    data = client.notice_of(notice)
    if data is None:
        raise Skip(f"this dialect has no sentence for {notice}")
    await stage.ground.sleep(stage.waits.quiet_us)
    written = len(client.scene.output)
    client.hears(data, str(notice))
    told = await client.scene.wait(lambda: len(client.scene.output) > written or client.has_ended, stage.waits.relay_us)
    client.hears(data, f"{notice}, again")
    await stage.ground.sleep(stage.waits.quiet_us)
    text = stage.text("is anybody here?")
    if not client.has_ended:
        await client.says(text)
        await client.scene.wait(lambda: client.times_said(text) > 0, stage.waits.relay_us)
    if client.times_said(text):
        return stage.broken(
            Rule.END_1, f"it is told that its session has ended ({notice}), and goes on sending what its user says"
        )
    return stage.judge(
        Rule.END_1, told, f"it ends when it is told of an end ({notice})",
        f"it is told that its session has ended ({notice}), and shows nothing of it",
    )  # fmt: skip


async def names(stage: ClientStage) -> None:
    """Names that are not ASCII are sent as they are typed, in UTF-8, with their length in bytes."""
    if not {"{name}", "{room}"} & stage.placeholders:
        raise Skip("the names that this command uses cannot be chosen; use {name} and {room} in it")
    client = await stage.start(name=NAME, room=f"{ROOM}-{stage.ground.nonce}")
    try:
        await client.asks()
    except Misread as error:
        return stage.broken(Rule.NAME_1, f"with the name {NAME!r}: {error}")
    wanted = {"name": (client.asked_name, client.name), "room": (client.asked_room, client.room)}
    wrong = [f"{key} {asked!r} as {sent!r}" for key, (asked, sent) in wanted.items() if asked != sent and (
        f"{{{key}}}" in stage.placeholders)]  # fmt: skip
    return stage.judge(
        Rule.NAME_1, not wrong, "names that are not ASCII arrive as they are typed", f"it sends {', '.join(wrong)}"
    )
