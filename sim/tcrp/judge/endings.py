"""Probes of endings: leaving, the host's leaving, silence, what is told and how often, what a closed room leaves."""

from __future__ import annotations

from tcrp.engine.meanings import Told
from tcrp.judge.probe import Group, Probe
from tcrp.judge.record import CannotTest, Skip
from tcrp.judge.stage import Kind, Stage, User
from tcrp.spec.dialects import LearnedFrom
from tcrp.spec.limits import ANSWER_ENDED_FACTOR_MAX, NOTICE_AGAIN_AFTER_US, SECOND_US
from tcrp.spec.names import Notice, Operation, Rule

CREATE, JOIN = Operation.CREATE, Operation.JOIN
MISSED = 3
"""So many texts in a row that reach one member and not another end the doubt that the network lost them."""
REPEATED_AFTER = "{:g}, {:g} and {:g} s".format(*(us / SECOND_US for us in NOTICE_AGAIN_AFTER_US[1:]))
REPEATS_US = NOTICE_AGAIN_AFTER_US[2] + 300_000, NOTICE_AGAIN_AFTER_US[3] - NOTICE_AGAIN_AFTER_US[2]
"""How long the judge waits for the first repetitions, and then, if there were none, for the last."""


async def leaving(stage: Stage) -> None:
    """A guest leaves: the others go on, and are told; the guest's token has ended."""
    ann, bob, cat = await stage.room("ann", "bob", "cat")
    before = len(ann.heard)
    for _ in range(2):
        bob.leave()
    await stage.ground.sleep(stage.waits.quiet_us)
    if texts := _texts(stage, ann, before):
        return stage.broken(Rule.EXIT_1, f"bob's leave word is relayed as a text: {texts[0]!r}")
    if ann.ended(before):
        return stage.broken(Rule.ROOM_1, "a guest left, and the room closed: the host is who created it")
    if await stage.reaches_all([ann, cat]):
        return stage.broken(Rule.ROOM_1, "a guest left, and the others no longer reach each other")
    stage.holds(Rule.ROOM_1, "a guest who leaves does not close the room")
    heard = len(bob.heard)
    said = stage.text("after bob left")
    ann.say(said)
    await cat.hears(said)
    await stage.ground.sleep(stage.waits.quiet_us)
    if any(said.encode() in each.data for each in bob.heard[heard:]):
        return stage.broken(Rule.EXIT_1, "bob has left and is still sent relays")
    if Notice.LEFT in stage.dialect.notices and not any(
        isinstance(each.message, Told) and each.message.name == "bob" for each in ann.told(Notice.LEFT)
    ):
        return stage.broken(Rule.EXIT_1, "bob has left, and ann is not told")
    stage.holds(Rule.EXIT_1, "a user who leaves is gone at once")
    text = stage.text("still me")
    for _ in range(3):
        bob.say(text, "after leaving")
    await stage.settles(ann, cat)
    return stage.judge(
        Rule.TOK_4, not ann.times(text), "a token that has ended does not work again",
        "bob has left, and his token is accepted again",
    )  # fmt: skip


async def host_leaves(stage: Stage) -> None:
    """The host leaves: everybody's session ends, and everybody is told."""
    ann, bob, cat = await stage.room("ann", "bob", "cat")
    await _host_goes(stage, ann, cat)
    text = stage.text("is anybody here")
    for _ in range(2):
        bob.say(text, "after the host left")
    await cat.hears(text, stage.waits.relay_us // 2)
    if cat.times(text):
        return stage.broken(Rule.ROOM_2, "the host has left, and the room goes on: a text of bob still reaches cat")
    late = await stage.ask(stage.user("dan"), JOIN, ann.room)
    if late.kind is Kind.GRANTED:
        return stage.broken(Rule.ROOM_2, "the host has left, and the room still takes new members")
    stage.holds(Rule.ROOM_2, "the host's leaving closes the room")
    await stage.ground.sleep(stage.waits.quiet_us)
    untold = [each.name for each in (bob, cat) if not each.ended()]
    return stage.judge(
        Rule.END_1, not untold, "members are told that the room has closed",
        f"the room closed, and {' and '.join(untold)} were not told: their clients wait for ever",
    )  # fmt: skip


async def _host_goes(stage: Stage, host: User, guest: User) -> None:
    """The host leaves. Raises `CannotTest` if the leave word is taken for a text."""
    before = len(guest.heard)
    for _ in range(2):
        host.leave()
    await stage.ground.sleep(stage.waits.quiet_us)
    if _texts(stage, guest, before):
        raise CannotTest(f"the leave word is relayed as a text (see {Rule.EXIT_1})")


def _texts(stage: Stage, user: User, since: int) -> list[bytes]:
    """The leave words that have reached a user as texts."""
    word = stage.dialect.leave_words[0].encode()
    return [each.data for each in user.heard[since:] if not isinstance(each.message, Told) and word in each.data]


async def _closed_room(stage: Stage) -> tuple[User, User, User]:
    """A room whose host has just left. Raises `CannotTest` if it goes on, `Skip` where nobody can leave."""
    ann, bob, cat = await stage.room("ann", "bob", "cat")
    await _host_goes(stage, ann, cat)
    text = stage.text("is anybody here")
    bob.say(text)
    if await cat.hears(text, stage.waits.relay_us // 2):
        raise CannotTest(f"the room does not close when its host leaves (see {Rule.ROOM_2}, {Rule.EXIT_1})")
    return ann, bob, cat


async def told_again(stage: Stage) -> None:
    """A notice that ends a session is repeated: a single datagram may be lost."""
    _, bob, cat = await _closed_room(stage)
    for wait_us in REPEATS_US:
        if len(cat.ended()) <= 1:
            await stage.ground.sleep(wait_us)
    copies = len(cat.ended())
    if not copies:
        raise CannotTest(f"nobody is told that the room has closed (see host leaves, {Rule.END_1})")
    if copies == 1:
        return stage.broken(
            Rule.END_1,
            "the end of the room is told once: whoever loses that datagram waits for ever; it is to be told again "
            f"after {REPEATED_AFTER}",
        )
    before = len(bob.heard)
    asked = bob.says("hello")
    bob.send(asked, "with a token that has ended")
    await stage.ground.sleep(2 * stage.waits.quiet_us)
    answered = sum(len(each.data) for each in bob.heard[before:])
    return stage.judge(
        Rule.END_1, answered <= ANSWER_ENDED_FACTOR_MAX * len(asked), "those whose session has ended are told again",
        f"a datagram of {len(asked)} bytes with an ended token is answered with {answered}: that can be used to flood "
        "others",
    )  # fmt: skip


async def leaves_nothing(stage: Stage) -> None:
    """After a while a closed room's name is free, and tokens of the old room are not valid in the new one."""
    ann, bob, _ = await _closed_room(stage)
    dan, until_us = stage.user("dan"), stage.ground.now_us() + stage.waits.patience_us
    while True:
        reply = await stage.ask(dan, CREATE, ann.room)
        if reply.kind is Kind.GRANTED:
            break
        if stage.ground.now_us() >= until_us:
            return stage.outlives(Rule.ROOM_3, "the name of a room that has closed is still taken")
        await stage.ground.sleep(min(SECOND_US // 2, stage.waits.patience_us // 4))
    dan.takes(ann.room, reply.token).enter()
    eve = await stage.needs(stage.user("eve"), JOIN, ann.room)
    await stage.meet([dan, eve])
    text = stage.text("from the old room")
    bob.say(text, "with a token of the closed room")
    await stage.settles(dan, eve)
    return stage.judge(
        Rule.ROOM_3, not dan.times(text), "the name of a closed room is free again, and its tokens are gone",
        "a token of a closed room is valid in a new room of the same name",
    )  # fmt: skip


async def silence(stage: Stage) -> None:
    """Who is silent is ended and told; who speaks or keeps alive is not."""
    ann, bob, cat = await stage.room("ann", "bob", "cat")
    heard, missed = len(bob.heard), 0
    began_us = stage.ground.now_us()
    every_us = min(max(stage.waits.patience_us // 20, 100_000), 10 * SECOND_US)
    stage.note(f"bob is silent from here; ann speaks and cat keeps alive every {every_us / SECOND_US:g} s")
    while stage.ground.now_us() - began_us < stage.waits.patience_us:
        text = stage.text("tick")
        ann.say(text)
        cat.keep_alive()
        await stage.ground.sleep(every_us)
        for speaker in (ann, cat):
            if speaker.ended():
                await stage.ground.sleep(stage.waits.quiet_us)
                if ann.told(Notice.ROOM_CLOSED) and bob.told(Notice.IDLED):
                    return stage.broken(Rule.ROOM_1, "a silent guest's session ended, and the room closed with it")
                what = "speaks" if speaker is ann else "sends keep-alives"
                return stage.broken(
                    Rule.IDLE_1, f"{speaker.name} {what} every {every_us / SECOND_US:g} s, and is ended as silent"
                )
        missed = missed + 1 if cat.times(text) and not bob.times(text) else 0
        if bob.ended(heard) or missed >= MISSED:
            break
    else:
        return stage.outlives(Rule.IDLE_1, "a session that says nothing is still sent relays")
    after = f"{(stage.ground.now_us() - began_us) / SECOND_US:.1f} s"
    if await stage.reaches_all([ann, cat]):
        return stage.broken(Rule.IDLE_1, "members who speak or keep alive are ended with a silent one")
    stage.holds(Rule.IDLE_1, f"a silent session ended after {after}, those that speak or keep alive did not")
    return stage.judge(
        Rule.END_1, bool(bob.ended(heard)), "who is ended for silence is told",
        f"bob's session ended after {after} of silence, and bob was not told",
    )  # fmt: skip


async def unused_token(stage: Stage) -> None:
    """A token that is never used ends."""
    if stage.dialect.learned_from is LearnedFrom.REQUEST:
        raise Skip("in this dialect a session enters with its request")
    ann, bob = await stage.room("ann", "bob")
    cat = stage.user("cat")
    reply = await stage.ask(cat, JOIN, ann.room, trailer=False)
    if reply.kind is not Kind.GRANTED:
        raise CannotTest(f"cat could not join: {reply.words}")
    cat.takes(ann.room, reply.token)
    until_us = stage.ground.now_us() + stage.waits.patience_us
    stage.note("cat has a token and does not use it")
    while (left_us := until_us - stage.ground.now_us()) > 0:
        ann.keep_alive()
        bob.keep_alive()
        await stage.ground.sleep(min(left_us, max(stage.waits.patience_us // 20, 100_000)))
    await stage.meet([ann, bob])
    text = stage.text("at last")
    cat.say(text, "uses the token")
    await stage.settles(ann, bob)
    if ann.times(text):
        return stage.outlives(Rule.TOK_5, "a token that was never used still works")
    return stage.holds(Rule.TOK_5, "a token that is not used ends")


PROBES = (
    Probe("told again", Group.WAITING, (Rule.END_1,), "who is ended is told again", told_again),
    Probe("closed room", Group.WAITING, (Rule.ROOM_3,), "a closed room leaves nothing behind", leaves_nothing),
    Probe("silence", Group.WAITING, (Rule.IDLE_1, Rule.END_1), "a silent one is ended and told", silence),
    Probe("unused token", Group.WAITING, (Rule.TOK_5,), "a token that is not used ends", unused_token),
    Probe(
        "leaving", Group.GENTLE, (Rule.EXIT_1, Rule.ROOM_1, Rule.TOK_4), "who leaves is gone, the room goes on", leaving
    ),
    Probe("host leaves", Group.GENTLE, (Rule.ROOM_2, Rule.END_1), "the host's leaving closes the room", host_leaves),
)
