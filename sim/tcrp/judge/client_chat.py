"""Probes of a client in its room, all with one run of it: what it shows, what it sends, and what it survives."""

from __future__ import annotations

from tcrp.engine.codec import PORT_BYTES
from tcrp.engine.meanings import Relayed
from tcrp.engine.notices import ENDINGS, NoticeReader
from tcrp.judge.client_stage import HOST, Client, ClientStage, Misread, squeezed
from tcrp.judge.record import CannotTest, Skip
from tcrp.spec.dialects import LearnedFrom, Match
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX, PORT_MIN, SERVER_DATAGRAM_BYTES_MAX
from tcrp.spec.names import Notice, Rule

TEXTS = 3
IN_ORDER = 5
TRIES = 3
"""How often a relay is sent until it counts as not shown."""
LINE_BYTES_MAX = 4094
"""What a terminal takes as one line."""
LEFT_US = 800_000
"""How long a client that has left may still send its leave word, and nothing else."""


async def shows(client: Client, text: str, name: str = HOST) -> bool:
    """Whether the client shows a text of another member, sent several times if need be."""
    for _ in range(TRIES):
        client.hears(client.relay_of(text, name))
        if await client.wait(text, client.stage.waits.relay_us):
            return True
        if client.has_ended:
            break
    return False


async def request(stage: ClientStage, client: Client) -> None:
    """It asks with a whole request, takes its token, and closes."""
    try:
        await client.asks()
    except Misread as error:
        return stage.broken(Rule.TCP_2, str(error))
    if "{room}" in stage.placeholders and client.room != client.asked_room:
        stage.broken(Rule.TCP_2, f"its user wants room {client.asked_room!r}; it asks for {client.room!r}")
    elif "{name}" in stage.placeholders and client.name != client.asked_name:
        stage.broken(Rule.TCP_2, f"its user is {client.asked_name!r}; it asks as {client.name!r}")
    else:
        stage.holds(Rule.TCP_2, f"its request is whole: {client.operation} {client.room!r} as {client.name!r}")
    if client.announced is not None and client.announced < PORT_MIN:
        stage.broken(Rule.ADDR_1, f"it announces port {client.announced}; ports below {PORT_MIN} are bad requests")
    await stage.ground.sleep(stage.waits.quiet_us)
    if client.scene.heard:
        sent = client.scene.heard[0][2][:60]
        stage.broken(Rule.TOK_2, f"it sends a datagram before it has a token: {sent!r}")
    await client.is_granted()
    connection = client.connection
    assert connection is not None, "it has made a request"
    if await client.scene.wait(lambda: connection.end is not None, stage.waits.answer_us):
        return stage.holds(Rule.TCP_3, "it closes the connection when it has its token")
    said = f"it keeps the connection open for {stage.waits.answer_us / 1_000_000:g} s after it was given its token"
    return stage.broken(Rule.TCP_3, said)


async def relays(stage: ClientStage, client: Client) -> None:
    """It shows each text of others once, while its user types nothing, with the sender's name."""
    text = stage.text("hello from the host")
    if not await shows(client, text):
        return await _hears_elsewhere(stage, client)
    stage.holds(Rule.REL_1, "a text of another member is shown while its user types nothing")
    if client.announced is not None and client.address is not None and client.address[1] == client.announced:
        stage.holds(Rule.ADDR_1, f"it hears at the port that it announces, {client.announced}")
    fresh = stage.text("once")
    client.hears(client.relay_of(fresh))
    if await client.wait(fresh, stage.waits.relay_us):
        line = _line_with(client, fresh)
        named = squeezed(HOST) in squeezed(line)
        shown = f"{'it shows' if named else 'it does not show'} who said it: {line.strip()!r}"
        stage.judge(Rule.REL_3, named, shown, shown)
    return None


def _line_with(client: Client, text: str) -> str:
    """What stands on the screen before and with a text: two lines, where a name may have its own."""
    lines = client.output.splitlines()
    at = next((number for number, line in enumerate(lines) if text in line), len(lines) - 1)
    return " ".join(lines[max(at - 1, 0) : at + 1]) if lines else ""


async def _hears_elsewhere(stage: ClientStage, client: Client) -> None:
    """Nothing is shown of what goes to its announced port: perhaps it hears where it sends from."""
    if client.has_ended:
        return stage.broken(Rule.REL_1, f"when a text of another member arrives, {client.ended_how}")
    announced = client.announced
    if announced is not None:
        await client.says(stage.text("where I am"))
        await client.scene.wait(lambda: bool(client.scene.heard), stage.waits.relay_us)
        other = next((source for _, source, _ in client.scene.heard if source[1] != announced), None)
        if other is not None:
            text = stage.text("to where it sends from")
            client.hears(client.relay_of(text), to=other)
            if await client.wait(text, stage.waits.relay_us):
                return stage.broken(
                    Rule.ADDR_1, f"it announces port {announced}, and hears at port {other[1]}, from which it sends"
                )
    return stage.broken(Rule.REL_1, f"a text of another member, sent {TRIES} times, is not shown; {client.ended_how}")


async def follows(stage: ClientStage, client: Client) -> None:
    """It hears where it sends from, for relays follow its last datagram."""
    assert client.codec is not None, "it is in its room"
    dialect = client.codec.dialect
    if dialect.port_fixed or dialect.learned_from is LearnedFrom.CONNECTION:
        raise Skip("in this dialect relays always go to the port that is first known")
    text = stage.text("where are you?")
    await client.says(text)
    if not await client.scene.wait(lambda: client.times_said(text) > 0, stage.waits.relay_us):
        raise CannotTest(f"what its user says does not arrive (see {Rule.UDP_1})")
    answer = stage.text("there")
    stage.judge(
        Rule.TOK_3, await shows(client, answer), "it hears at the port from which it sends",
        f"it sends from port {client.address[1] if client.address else '?'}, and does not hear there",
    )  # fmt: skip


async def texts(stage: ClientStage, client: Client) -> None:
    """What its user says arrives once, in order, over UDP, with room and token as granted."""
    said = [stage.text(f"text {number} ä日") for number in range(TEXTS)]
    for each in said:
        await client.says(each)
        await client.is_heard_to_say(each, stage.waits.relay_us)
    await stage.ground.sleep(stage.waits.quiet_us)
    client.catch_up()
    if client.faults:
        for rule, fault in dict(reversed(client.faults)).items():
            stage.broken(rule, fault)
        return None
    assert client.codec is not None, "it is in its room"
    trailer = PORT_BYTES if client.codec.dialect.learned_from is LearnedFrom.TRAILER else 0
    behind = client.behind_request()
    if len(behind) > trailer:
        return stage.broken(Rule.TCP_1, f"behind its request it sends more over TCP: {behind[-80:]!r}")
    stage.holds(Rule.TCP_1, "nothing but its request goes over TCP")
    missing = [each for each in said if not client.times_said(each)]
    if missing:
        said_instead = [each for each in client.texts if each][-TEXTS:]
        return stage.broken(
            Rule.UDP_1, f"its user says {missing[0]!r}, and it sends no datagram with that; its texts: {said_instead}"
        )
    stage.holds(Rule.UDP_1, "its datagrams have their header, and at most 4096 bytes")
    stage.holds(Rule.TOK_2, "it sends datagrams only with the token that it was granted")
    stage.holds(Rule.IDLE_2, "its datagrams name its room, and their texts are UTF-8")
    twice = next((each for each in said if client.times_said(each) > 1), None)
    if twice is not None:
        return stage.broken(Rule.REL_1, f"it sends {twice!r} {client.times_said(twice)} times: others see it again")
    order = [each for each in client.texts if each in said]
    return stage.judge(
        Rule.REL_2, order == said, "it sends texts in the order in which they are typed", f"it sends them as {order}"
    )


async def order(stage: ClientStage, client: Client) -> None:
    """It shows texts in the order in which they arrive."""
    said = [stage.text(f"in order {number}") for number in range(IN_ORDER)]
    for each in said:
        client.hears(client.relay_of(each))
    if not await client.wait(said[-1], stage.waits.relay_us):
        raise CannotTest(f"texts are not shown (see {Rule.REL_1})")
    if not await client.wait_for_all(said, stage.waits.relay_us):  # the last may stand there first
        return stage.untested(Rule.REL_2, "not all texts were shown: the network may have lost some", inconclusive=True)
    shown = squeezed(client.output)
    places = [shown.find(squeezed(each)) for each in said]
    return stage.judge(
        Rule.REL_2, places == sorted(places), "it shows texts in the order of their arrival",
        f"texts that arrive as {said} are shown in another order",
    )  # fmt: skip


async def longest(stage: ClientStage, client: Client) -> None:
    """A relay of the greatest length is shown to its end."""
    tail = stage.text("to its end")
    empty = len(client.relay_of(""))
    room = SERVER_DATAGRAM_BYTES_MAX - empty - len(tail.encode()) - 64
    data = client.relay_of("." * room + tail)
    data = client.relay_of("." * (room + SERVER_DATAGRAM_BYTES_MAX - len(data)) + tail)
    for _ in range(TRIES):
        client.hears(data, f"{len(data)} bytes")
        if await client.wait(tail, stage.waits.relay_us):
            return stage.holds(Rule.UDP_2, f"a relay of {len(data)} bytes is shown to its end")
    return stage.broken(Rule.UDP_2, f"of a relay of {len(data)} bytes the end is not shown; {client.ended_how}")


async def long_line(stage: ClientStage, client: Client) -> None:
    """A line that is too long for a datagram is not sent as one."""
    before = len(client.scene.heard)
    await client.says("L" * (LINE_BYTES_MAX - 2))
    await client.scene.wait(lambda: len(client.scene.heard) > before, stage.waits.relay_us)
    await stage.ground.sleep(stage.waits.quiet_us)
    longest = max((len(data) for _, _, data in client.scene.heard[before:]), default=0)
    client.catch_up()
    client.faults.clear()
    stage.judge(
        Rule.UDP_1, longest <= CLIENT_DATAGRAM_BYTES_MAX and not client.has_ended,
        f"a line of {LINE_BYTES_MAX - 2} bytes is not sent as one datagram",
        f"of a line of {LINE_BYTES_MAX - 2} bytes it sends a datagram of {longest} bytes; {client.ended_how}",
    )  # fmt: skip


async def clean(stage: ClientStage, client: Client) -> None:
    """Control, escape and bidi characters of the network do not reach its terminal."""
    mark, tail = stage.text("title"), stage.text("tail")
    forged = f"{HOST}: forged{mark}"
    harmful = {
        "an escape sequence": f"\x1b]0;{mark}", "a bell": f"{mark}\x07", "a bidi character": f"{mark}\u202e",
        "a line end": f"\n{forged}",
    }  # fmt: skip
    text = f"a \x1b]0;{mark}\x07 {mark}\u202e b\n{forged} {tail}"
    client.hears(client.relay_of(text))
    if not await client.wait(tail, stage.waits.relay_us):
        if client.has_ended:
            return stage.broken(Rule.SHOW_1, f"when a text holds control characters, {client.ended_how}")
        if await shows(client, stage.text("and plainly")):
            return stage.holds(Rule.SHOW_1, "a text with control characters is not shown at all")
        raise CannotTest(f"texts are not shown (see {Rule.REL_1})")
    written = bytes(client.scene.output).replace(b"\r\n", b"\n")
    found = [what for what, each in harmful.items() if each.encode() in written]
    return stage.judge(
        Rule.SHOW_1, not found, "control, escape and bidi characters of a text do not reach the terminal",
        f"{', '.join(found)} of a text reaches the terminal as it is: others can forge what its user sees",
    )  # fmt: skip


async def others_leave(stage: ClientStage, client: Client) -> None:
    """That another has left, or joined, ends nothing."""
    assert client.codec is not None, "it is in its room"
    told = [data for each in (Notice.JOINED, Notice.LEFT) if (data := client.notice_of(each, "carla"))]
    reader = NoticeReader(client.codec, client.room)
    told = [each for each in told if (read := reader.read(each)) is not None and read.notice not in ENDINGS]
    if not told:
        raise Skip("in this dialect nobody is told that others join or leave")
    for data in told:
        client.hears(data)
    if not await _goes_on(stage, client):
        return stage.broken(Rule.END_1, f"that carla has left ends its own session: {client.last_line!r}")
    return None


async def talk_as_notice(stage: ClientStage, client: Client) -> None:
    """A member who says what the server would say ends nobody."""
    assert client.codec is not None, "it is in its room"
    closed = client.codec.dialect.notices.get(Notice.ROOM_CLOSED)
    if closed is None or client.codec.dialect.endings.match is Match.CONTAINS:
        raise Skip("clients of this dialect end at such a phrase wherever it stands")
    data = client.relay_of(closed.sentences[0])
    if NoticeReader(client.codec, client.room).is_forged_by(data) or not isinstance(
        client.codec.read_relay(data), Relayed
    ):
        raise Skip("in this dialect such a relay reads as a notice, so that no server sends it")
    client.hears(data, "a member says what the server says at the end")
    stage.judge(
        Rule.REL_3, await _goes_on(stage, client), "a member's text that holds the server's sentence ends nothing",
        f"a member's text {closed.sentences[0]!r} ends the session; {client.ended_how}",
    )  # fmt: skip


async def _goes_on(stage: ClientStage, client: Client) -> bool:
    """Whether it still shows what others say, and sends what its user says."""
    text = stage.text("still here?")
    if not await shows(client, text):
        return False
    answer = stage.text("yes")
    await client.says(answer)
    return await client.scene.wait(lambda: client.times_said(answer) > 0, stage.waits.relay_us)


async def rubbish(stage: ClientStage, client: Client) -> None:
    """Malformed datagrams, and bytes that are not UTF-8, end nothing."""
    assert client.codec is not None, "it is in its room"
    valid = client.relay_of(stage.text("cut"))
    pieces = {
        "an empty datagram": b"", "one zero byte": b"\0", "bytes that are not UTF-8": b"\xff\xfe\xfd\x80: \xc3",
        "a relay that is not UTF-8": client.relay_of("XX").replace(b"XX", b"\xff\xfe"), "half a relay": valid[:3],
        "4096 zero bytes": bytes(4096), "random bytes": bytes((number * 89 + 7) % 256 for number in range(300)),
    }  # fmt: skip
    for what, data in pieces.items():
        client.hears(data, what)
        if not await shows(client, stage.text("after rubbish")):
            said = f"after {what} it shows no text any more; {client.ended_how}: {client.last_line!r}"
            return stage.broken(Rule.UDP_3, said)
    return stage.holds(Rule.UDP_3, f"it survives {len(pieces)} kinds of malformed datagrams")


async def leaving(stage: ClientStage, client: Client) -> None:
    """It leaves by the leave word, and sends nothing behind it."""
    assert client.codec is not None, "it is in its room"
    words = client.codec.dialect.leave_words
    if not words:
        raise Skip("this dialect has no leave word")
    client.catch_up()
    before = len(client.texts)
    await client.leaves()
    left = await client.scene.wait(
        lambda: any(client.times_said(word) for word in words) or client.has_ended, stage.waits.answer_us
    )
    await stage.ground.sleep(LEFT_US)
    client.catch_up()
    said = client.texts[before:]
    if not left or not any(each in words for each in said):
        return stage.broken(
            Rule.EXIT_1, f"its user leaves, and it does not send the leave word {words[0]!r}; it sends "
            f"{said or 'nothing'}, and {client.ended_how}",
        )  # fmt: skip
    stage.holds(Rule.EXIT_1, f"it leaves by {next(each for each in said if each in words)!r}")
    at = next(number for number, each in enumerate(said) if each in words)
    more = [each for each in said[at:] if each not in words]
    return stage.judge(
        Rule.TOK_4, not more, "it sends nothing with its token after it has left", f"after it has left it sends {more}"
    )
