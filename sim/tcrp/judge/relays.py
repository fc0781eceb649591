"""Probes of chat traffic: who receives a text, in which order, by which name; tokens and addresses; sizes."""

from __future__ import annotations

from tcrp.engine.json_templates import fill_sentence
from tcrp.engine.meanings import Relayed, Told
from tcrp.engine.notices import NoticeReader
from tcrp.judge.ground import Port
from tcrp.judge.probe import Group, Probe
from tcrp.judge.record import Skip
from tcrp.judge.stage import Stage, User
from tcrp.spec.dialects import Match
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX, SERVER_DATAGRAM_BYTES_MAX
from tcrp.spec.names import Notice, Rule

ROUNDS = 4
IN_ORDER = 8
CUT_BYTES_MAX = 8
"""A relay that is cut to its limit falls short of it by no more than a character."""
PACE_US = 60_000
"""Between two texts of one user: fewer than 20 a second."""


async def relays(stage: Stage) -> None:
    """Each text reaches each other member once, and not its sender."""
    users = await stage.members("ann", "bob", "cat")
    missing = await stage.reaches_all(users)
    if missing:
        speaker, hearer = missing[0]
        if ended := next((user for user in users if user.ended()), None):
            return stage.broken(
                Rule.REL_3, f"while nobody leaves, {ended.name} receives what clients read as the end of the room"
            )
        return stage.broken(
            Rule.REL_1,
            f"no text of {speaker.name} reaches {hearer.name}, though both are in the room; texts that do not arrive: "
            + ", ".join(f"{one.name} to {other.name}" for one, other in missing),
        )
    lost = said = 0
    for number in range(ROUNDS):
        speaker = users[number % len(users)]
        text = stage.text(f"text {number}")
        speaker.say(text)
        others = [each for each in users if each is not speaker]
        for hearer in others:
            said += 1
            lost += not await hearer.hears(text)
        await stage.ground.sleep(stage.waits.quiet_us // 2)
        if speaker.times(text):
            return stage.broken(Rule.REL_1, f"a text of {speaker.name} is relayed back to {speaker.name}")
        if twice := next((each for each in others if each.times(text) > 1), None):
            return stage.broken(Rule.REL_1, f"a text of {speaker.name} reaches {twice.name} {twice.times(text)} times")
    _judge_names(stage, users)
    if lost:
        return stage.untested(Rule.REL_1, f"the network or the server lost {lost} of {said} relays", inconclusive=True)
    return stage.holds(Rule.REL_1, f"{said} of {said} relays arrived, each once, none at its sender")


def _judge_names(stage: Stage, users: list[User]) -> None:
    """Whether relays name who sent them. Texts of this probe are distinct, and each says nothing of its sender."""
    relayed = [each.message for user in users for each in user.heard if isinstance(each.message, Relayed)]
    others = {user.name: {each.name for each in users if each is not user} for user in users}
    wrong = next(
        (
            (user, each.message)
            for user in users
            for each in user.heard
            if isinstance(each.message, Relayed) and each.message.name not in others[user.name]
        ),
        None,
    )
    if wrong is not None:
        user, message = wrong
        stage.broken(Rule.REL_3, f"a relay to {user.name} names {message.name!r}, who is nobody of {sorted(others)}")
    elif relayed:
        stage.holds(Rule.REL_3, "relays name their sender")
    else:
        stage.broken(Rule.REL_3, "no relay has the form of this dialect, so receivers cannot see who speaks")


async def forged_sender(stage: Stage) -> None:
    """A name that a client writes into its text is ignored."""
    if stage.codec.plain_text:
        raise Skip("texts of this dialect hold no name")
    ann, bob = await stage.room("ann", "bob")
    text = stage.text("signed by another")
    ann.send(ann.says(text, name="zoe"), "says that it is of zoe")
    if not await bob.hears(text):
        await stage.settles(ann, bob)
        return stage.holds(Rule.REL_3, "a text with another's name is not relayed")
    named = [each.message.name for each in bob.heard if isinstance(each.message, Relayed) and each.message.text == text]
    return stage.judge(
        Rule.REL_3, named == ["ann"], "a name that a client writes into its text is ignored",
        f"ann signs a text as zoe, and bob is sent it as a text of {named}",
    )  # fmt: skip


async def forged_notice(stage: Stage) -> None:
    """No member can end another's client with a text."""
    ann, bob = await stage.room("ann", "bob")
    forged = _ending_text(stage, ann, bob)
    if forged is None:
        raise Skip("in this dialect no text can read as a notice")
    ann.say(forged, "a text that reads as a notice")
    await stage.settles(ann, bob)
    return stage.judge(
        Rule.REL_3, not bob.times(forged), "a text that clients would take for a notice is not relayed",
        f"ann's text {forged!r} reaches bob, whose client takes it for a notice of the server",
    )  # fmt: skip


def _ending_text(stage: Stage, speaker: User, hearer: User) -> str | None:
    """A text whose relay a client of the dialect takes for the server's word that it has ended; None: there is none."""
    endings = stage.dialect.endings
    values = {"name": speaker.name, "room": speaker.room, "host": speaker.name}
    candidates = list(endings.phrases) if endings.match is Match.CONTAINS else []
    candidates += [fill_sentence(str(each), values) for each in _sentences(stage)]
    reader = NoticeReader(stage.codec, hearer.room)
    for text in candidates:
        relay = stage.codec.write_relay(speaker.name, text)
        if relay is not None and (endings.end(relay) or isinstance(reader.read(relay), Told)):
            return text
    return None


def _sentences(stage: Stage) -> list[str]:
    found: list[str] = []
    for notice in (Notice.ROOM_CLOSED, Notice.IDLED, Notice.SHUTDOWN, Notice.LEFT):
        if notice in stage.dialect.notices:
            found += stage.dialect.notices[notice].sentences
    return found


async def order(stage: Stage) -> None:
    ann, bob = await stage.room("ann", "bob")
    texts = [stage.text(f"number {number}") for number in range(IN_ORDER)]
    for text in texts:
        ann.say(text)
        await stage.ground.sleep(PACE_US)
    await bob.port.wait(lambda: all(map(bob.times, texts)), stage.waits.relay_us)
    arrived = [text for each in bob.heard for text in texts if text.encode() in each.data]
    first = list(dict.fromkeys(arrived))
    if len(first) < IN_ORDER:
        said = f"{IN_ORDER - len(first)} of {IN_ORDER} relays did not arrive"
        return stage.untested(Rule.REL_2, f"the network or the server lost them: {said}", inconclusive=True)
    return stage.judge(
        Rule.REL_2, first == [text for text in texts if text in first], "texts of one sender arrive in their order",
        f"texts of ann arrive out of order, though {PACE_US // 1000} ms lie between them: {first}",
    )  # fmt: skip


async def other_rooms(stage: Stage) -> None:
    ann, bob = await stage.room("ann", "bob")
    cat, dan = await stage.room("cat", "dan")
    text = stage.text("for this room")
    ann.say(text)
    await stage.settles(ann, bob)
    if cat.times(text) or dan.times(text):
        return stage.broken(Rule.REL_1, "a text of ann reaches somebody in another room")
    stage.holds(Rule.REL_1, "texts stay in their room")
    text = stage.text("from outside")
    cat.send(cat.says(text, room=ann.room), "with her token, for ann's room")
    await stage.settles(ann, bob)
    return stage.judge(
        Rule.TOK_2, not (ann.times(text) or bob.times(text)), "a token of another room is not valid here",
        "cat's token, which is of another room, is accepted in ann's room",
    )  # fmt: skip


async def unknown_token(stage: Stage) -> None:
    ann, bob = await stage.room("ann", "bob")
    eve = stage.user("eve").takes(ann.room, b"f" * len(ann.token))
    text = stage.text("no token")
    for _ in range(2):
        eve.say(text, "with a token that nobody was given")
    await stage.settles(ann, bob)
    if ann.times(text) or bob.times(text):
        return stage.broken(Rule.TOK_2, "a text with a token that nobody was given is relayed")
    stage.holds(Rule.TOK_2, "only tokens that were given are accepted")
    said = stage.text("to members only")
    ann.say(said)
    await bob.hears(said)
    await stage.ground.sleep(stage.waits.quiet_us)
    if eve.times(said):
        return stage.broken(Rule.TOK_2, "somebody without a token is sent the relays of the room")
    return stage.judge(
        Rule.UDP_3, not eve.heard, "a datagram with an unknown token is not answered",
        f"a datagram with an unknown token is answered: {eve.heard[0].data[:60] if eve.heard else b''!r}",
    )  # fmt: skip


async def other_address(stage: Stage) -> None:
    """A token from another address is not valid; from another port of its own it is."""
    ann, bob = await stage.room("ann", "bob")
    if stage.ground.other_ip is None:
        stage.note("this machine has no second address from which it could send")
    else:
        thief = stage.user("thief", stage.ground.other_ip).takes(bob.room, bob.token)
        text = stage.text("stolen")
        for _ in range(2):
            thief.say(text, "with bob's token")
        await stage.settles(bob, ann)
        if ann.times(text):
            return stage.broken(Rule.TOK_3, f"bob's token, given to {bob.ip}, is accepted from {thief.ip}")
        said = stage.text("for bob only")
        ann.say(said)
        await bob.hears(said)
        await stage.ground.sleep(stage.waits.quiet_us)
        if thief.times(said):
            return stage.broken(Rule.TOK_3, f"bob's relays go to {thief.ip}, which has sent a datagram with his token")
    moved = stage.ground.port(bob.ip)
    try:
        if not await _is_heard_from(stage, bob, moved, ann):
            return stage.broken(Rule.TOK_3, "bob is not heard from another port of his own address")
        if not stage.dialect.port_fixed:
            said = stage.text("to the new port")
            if not await _is_told_at(stage, ann, moved, said):
                return stage.broken(Rule.TOK_3, "bob speaks from another port, and relays do not follow to it")
    finally:
        moved.close()
    if stage.ground.other_ip is None:
        raise Skip("a token follows its user's port, but this machine has no second address to try it from")
    return stage.holds(Rule.TOK_3, "a token is valid from its own address only, whatever the port")


async def _is_heard_from(stage: Stage, user: User, port: Port, hearer: User) -> bool:
    for _ in range(3):
        text = stage.text("from another port")
        user.send(user.says(text), "from another port", port)
        if await hearer.hears(text):
            return True
    return False


async def _is_told_at(stage: Stage, speaker: User, port: Port, said: str) -> bool:
    for _ in range(3):
        speaker.say(said)
        if await port.wait(lambda: any(said.encode() in data for _, data in port.heard), stage.waits.relay_us):
            return True
    return False


async def largest(stage: Stage) -> None:
    """A datagram of 4096 bytes is relayed, unless its relay is longer than 4094."""
    ann, bob = await stage.room("ann", "bob")
    room_for_text = CLIENT_DATAGRAM_BYTES_MAX - len(ann.says(""))
    relay = stage.codec.write_relay("ann", "")
    assert relay is not None, "the name is short"
    fits = min(room_for_text, SERVER_DATAGRAM_BYTES_MAX - len(relay))
    text = stage.text("long ").ljust(fits, "x")
    for _ in range(3):
        ann.say(text, f"{fits} bytes of text")
        if await bob.hears(text[:20]):
            break
    arrived = next((each for each in bob.heard if text[:20].encode() in each.data), None)
    if arrived is None:
        await stage.settles(ann, bob)
        return stage.broken(Rule.UDP_1, f"a datagram of {fits + len(ann.says(''))} bytes is not relayed")
    if text.encode() not in arrived.data:
        return stage.broken(Rule.UDP_1, f"a text of {fits} bytes arrives cut, in a datagram of {len(arrived.data)}")
    return stage.holds(Rule.UDP_1, f"a datagram of {fits + len(ann.says(''))} bytes is relayed whole")


async def long_relay(stage: Stage) -> None:
    """A relay that its sender's name makes too long is not sent."""
    long = "ann" + "n" * 200
    ann, bob = await stage.room(long, "bob")
    space = CLIENT_DATAGRAM_BYTES_MAX - len(ann.says(""))
    text = stage.text("too long ").ljust(space, "x")
    relay = stage.codec.write_relay(long, text)
    if relay is not None and len(relay) <= SERVER_DATAGRAM_BYTES_MAX:
        raise Skip("in this dialect no relay can be too long")
    ann.say(text, f"{space} bytes of text, and a name of {len(long)}")
    await stage.settles(ann, bob)
    longest = max((len(each.data) for each in bob.heard), default=0)
    if longest > SERVER_DATAGRAM_BYTES_MAX:
        return stage.broken(Rule.UDP_2, f"a relay of {longest} bytes was sent, at most {SERVER_DATAGRAM_BYTES_MAX} fit")
    if bob.times(text):
        raise Skip("this server's form of a relay is so short that none can be too long")
    if bob.times(text[:20]) and longest < SERVER_DATAGRAM_BYTES_MAX - CUT_BYTES_MAX:
        raise Skip(f"long texts arrive cut, however they are relayed (see {Rule.UDP_1})")
    return stage.judge(
        Rule.UDP_2, not bob.times(text[:20]), "a relay that is too long is not sent",
        f"a relay that would be too long was cut to {longest} bytes",
    )  # fmt: skip


async def keep_alive(stage: Stage) -> None:
    ann, bob = await stage.room("ann", "bob")
    before, own = len(bob.heard), len(ann.heard)
    for _ in range(2):
        ann.keep_alive()
    await stage.ground.sleep(stage.waits.quiet_us)
    if len(bob.heard) > before:
        return stage.broken(Rule.IDLE_1, f"an empty text is a keep-alive, but is relayed: {bob.heard[-1].data!r}")
    if len(ann.heard) > own:
        return stage.broken(Rule.IDLE_1, f"a keep-alive is answered, though nobody asked: {ann.heard[-1].data!r}")
    await stage.settles(ann, bob)
    return stage.holds(Rule.IDLE_1, "an empty text is not relayed")


PROBES = (
    Probe("relays", Group.CORE, (Rule.REL_1, Rule.REL_3), "a text reaches every other member, once", relays),
    Probe("order", Group.GENTLE, (Rule.REL_2,), "texts of one sender keep their order", order),
    Probe("other rooms", Group.GENTLE, (Rule.REL_1, Rule.TOK_2), "texts and tokens stay in their room", other_rooms),
    Probe("unknown token", Group.GENTLE, (Rule.TOK_2, Rule.UDP_3), "only given tokens are accepted", unknown_token),
    Probe("other address", Group.GENTLE, (Rule.TOK_3,), "a token is valid only from its address", other_address),
    Probe("forged sender", Group.GENTLE, (Rule.REL_3,), "a relay names its real sender", forged_sender),
    Probe("forged notice", Group.GENTLE, (Rule.REL_3,), "members cannot end each other's clients", forged_notice),
    Probe("largest datagram", Group.GENTLE, (Rule.UDP_1,), "a datagram of 4096 bytes is relayed", largest),
    Probe("long relay", Group.GENTLE, (Rule.UDP_2,), "no datagram of the server exceeds 4094 bytes", long_relay),
    Probe("keep-alive", Group.GENTLE, (Rule.IDLE_1,), "an empty text is not relayed", keep_alive),
)
