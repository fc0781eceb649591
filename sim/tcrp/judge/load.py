"""Probes of load, bounded: the figures that the protocol is meant for, as far as one judge can produce them."""

from __future__ import annotations

from tcrp.judge.probe import Group, Probe
from tcrp.judge.record import CannotTest
from tcrp.judge.stage import Kind, Reply, Stage, User
from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import Operation, Reason, Rule

CREATE, JOIN = Operation.CREATE, Operation.JOIN
MEMBERS = 1000
AT_ONCE = 25
TEXTS = 20
TEXTS_A_SECOND = 10
ROOMS, ROOM_MEMBERS, ROOM_ROUNDS = 50, 10, 4
"""A tenth of the 500 rooms of 10 people at 2 texts a second each: 1000 texts in and 9000 relays out a second."""


async def thousand(stage: Stage) -> None:
    """1000 members of one room, 10 texts a second: 9990 relays a second."""
    users = [stage.user("host")]
    await stage.needs(users[0], CREATE, room := stage.new_room())
    guests = [stage.user(f"g{number}") for number in range(1, MEMBERS)]
    replies: dict[User, Reply] = {}
    for at in range(0, len(guests), AT_ONCE):
        await stage.ground.together([_join(stage, guest, room, replies) for guest in guests[at : at + AT_ONCE]])
        refused = next((each for each in replies.values() if each.kind is not Kind.GRANTED), None)
        if refused is not None:
            break
    users += [guest for guest in guests if guest.token]
    if refused is not None and refused.reason not in (Reason.ROOM_FULL, Reason.TOO_MANY_REQUESTS):
        said = f"after {len(users)} members, the next is neither granted nor refused for it: {refused.words}"
        return stage.broken(Rule.LIM_1, said)
    said = f"{len(users)} members join" if refused is None else f"after {len(users)} members: {refused.reason}"
    stage.holds(Rule.LIM_1, said)
    await stage.ground.sleep(SECOND_US)
    for user in users[1:]:  # an enter word may have been lost in the crowd
        user.enter()
        if user.port.number % 16 == 0:
            await stage.ground.sleep(1000)
    await stage.ground.sleep(SECOND_US)
    arrived = await _speak(stage, users[:TEXTS_A_SECOND], {users[0]: users}, TEXTS // TEXTS_A_SECOND)
    due = TEXTS * (len(users) - 1)
    return _say(stage, f"{len(users)} members of one room, {TEXTS_A_SECOND} texts a second", arrived, due)


async def _join(stage: Stage, guest: User, room: str, replies: dict[User, Reply]) -> None:
    replies[guest] = await stage.ask(guest, JOIN, room)
    if replies[guest].kind is Kind.GRANTED:
        guest.takes(room, replies[guest].token).enter()


async def many_rooms(stage: Stage) -> None:
    """50 rooms of 10 people at 2 texts a second each."""
    rooms: dict[User, list[User]] = {}
    for number in range(ROOMS):
        users = await stage.members(*(f"r{number}-{member}" for member in range(ROOM_MEMBERS)))
        rooms[users[0]] = users
    await stage.ground.sleep(SECOND_US)
    speakers = [user for users in rooms.values() for user in users]
    arrived = await _speak(stage, speakers, rooms, ROOM_ROUNDS, SECOND_US // 2)
    due = ROOM_ROUNDS * len(speakers) * (ROOM_MEMBERS - 1)
    return _say(stage, f"{ROOMS} rooms of {ROOM_MEMBERS} members at 2 texts a second each", arrived, due)


async def _speak(
    stage: Stage, speakers: list[User], rooms: dict[User, list[User]], rounds: int, every_us: int = SECOND_US
) -> int:
    """Each says a text in each round, evenly spaced; how many relays arrived. Texts are counted, not read."""
    marks = {user: len(user.port.heard) for users in rooms.values() for user in users}
    gap_us, due_us = every_us // len(speakers), stage.ground.now_us()
    for _ in range(rounds):
        for speaker in speakers:
            speaker.port.send(speaker.says(stage.text("load")))
            due_us += gap_us
            if (left_us := due_us - stage.ground.now_us()) > 0:
                await stage.ground.sleep(left_us)
    await stage.ground.sleep(SECOND_US)
    return sum(b"load #" in data for user, mark in marks.items() for _, data in user.port.heard[mark:])


def _say(stage: Stage, what: str, arrived: int, due: int) -> None:
    if arrived > due:
        return stage.broken(Rule.REL_1, f"{what}: {arrived} relays arrived where {due} are due")
    if arrived == due:
        return stage.holds(Rule.REL_1, f"{what}: all {due} relays arrived")
    if not arrived:
        raise CannotTest(f"{what}: no relay arrived")
    said = f"{what}: {due - arrived} of {due} relays did not arrive; the network, this machine or the server lost them"
    return stage.untested(Rule.REL_1, said, inconclusive=True)


PROBES = (
    Probe("a thousand members", Group.LOAD, (Rule.REL_1, Rule.LIM_1), "a text reaches 999 members", thousand),
    Probe("many rooms", Group.LOAD, (Rule.REL_1,), "fifty rooms talk at once", many_rooms),
)
