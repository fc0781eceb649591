"""Moments for the steps of a path: early enough for each deadline that comes later, and late enough for the rest.

A path says only in which order things happen. Each deadline that comes fixes the time since it was armed; each that
does not come, or comes later, bounds it. These are difference constraints, whose least solution is found by repetition.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tcrp.engine.state import ServerState
from tcrp.interleavings.moments import ANSWER, Due, silence_of
from tcrp.interleavings.server_part import Input
from tcrp.interleavings.steps import State, Step
from tcrp.interleavings.world import World
from tcrp.spec.limits import ANSWER_ENDED_EVERY_US, NOTICE_AGAIN_AFTER_US
from tcrp.spec.names import Deadline

APART_US = 10_000
"""Two steps that follow each other are this far apart, unless the second is to come at once."""

Key = tuple[Any, ...]


class NoTimes(Exception):
    """No moments fit the path: its order of deadlines is one that no clock has. The message says at which step."""


class Link(NamedTuple):
    """A step of a path, with the states before and after it."""

    step: Step
    before: State
    after: State


@dataclass(slots=True)
class Constraints:
    """`least[u, v]`: step v is at least so long after step u."""

    least: dict[tuple[int, int], int] = field(default_factory=dict)

    def after(self, u: int, v: int, us: int) -> None:
        """Step v comes at the earliest `us` after step u."""
        self.least[u, v] = max(us, self.least.get((u, v), us))

    def exactly(self, u: int, v: int, us: int) -> None:
        """Step v comes `us` after step u."""
        self.after(u, v, us)
        self.after(v, u, -us)

    def solve(self, count: int) -> list[int]:
        """The least moments. Raises `NoTimes`."""
        moments = [0] * count
        for _ in range(count + 1):
            changed = -1
            for (u, v), us in self.least.items():
                if moments[u] + us > moments[v]:
                    moments[v], changed = moments[u] + us, v
            if changed < 0:
                return moments
        raise NoTimes(f"no moments fit step {changed + 1} of {count}")


def times_of(world: World, path: Sequence[Link]) -> list[int]:
    """When each step of the path is taken, in microseconds from the start. Raises `NoTimes`."""
    constraints = Constraints()
    pending: dict[Key, tuple[int, int]] = {}  # since which step, and for how long
    previous = -1
    for at, link in enumerate(path):
        due = link.step.what if isinstance(link.step.what, Due) else None
        fired: Key | None = None
        if due is not None:
            fired = ("server", *due) if link.step.kind == "server due" else ("client", link.step.who, due.kind)
        if due is None or due.kind != Deadline.COMPLETION:
            if previous >= 0:  # what is due at one moment the server does in one call
                is_one_call = link.step.kind == path[previous].step.kind == "server due"
                constraints.after(previous, at, 0 if is_one_call else APART_US)
            previous = at
        armed = dict(_armed(world, link))
        still = set(_pending(world, link.after))
        for key in list(pending):
            if key in still and key not in armed and key != fired:
                continue
            since, lasts_us = pending.pop(key)
            if key != fired:
                constraints.after(at, since, 1 - lasts_us)
            elif key[1] == ANSWER:
                constraints.after(since, at, lasts_us)
            else:
                constraints.exactly(since, at, lasts_us)
        pending |= {key: (at, lasts_us) for key, lasts_us in armed.items()}
    for key, (since, lasts_us) in pending.items():
        if key[1] != ANSWER:
            constraints.after(previous, since, 1 - lasts_us)
    return constraints.solve(len(path))


def _pending(world: World, state: State) -> Iterator[Key]:
    """Every deadline in a state."""
    engine = _engine(world, state)
    if engine is not None:
        yield from (("server", each.kind, each.subject) for each in engine.timers)
        yield from (("server", silence_of(each.state), each.token) for each in engine.sessions)
        yield from (("server", ANSWER, each.token) for each in engine.ended if each.answered_ago_us is not None)
        for at in range(len(world.users)):
            client = world.clients[at].numbers.of[state[2 + at]].client
            yield from (("client", at, each.kind) for each in client.timers) if client is not None else ()


def _armed(world: World, link: Link) -> Iterator[tuple[Key, int]]:
    """The deadlines that a step sets, and how long they last from then on."""
    before, after = _engine(world, link.before), _engine(world, link.after)
    if before is None or after is None:
        return
    limits = world.pace.limits
    known = {(each.kind, each.subject) for each in before.timers}
    told = {each.token: each.times_told for each in before.ended}
    lasts_us = {
        Deadline.HANDSHAKE: limits.handshake_timeout,
        Deadline.COMPLETION: 0,
        Deadline.FORGET: limits.linger,
        Deadline.LINGER: limits.linger,
    }
    for timer in after.timers:
        key = ("server", timer.kind, timer.subject)
        if timer.kind is Deadline.NOTICE:
            times = next(each.times_told for each in after.ended if each.token == timer.subject)
            if told.get(timer.subject) != times:  # type: ignore[call-overload]
                yield key, NOTICE_AGAIN_AFTER_US[times] - NOTICE_AGAIN_AFTER_US[times - 1]
        elif (timer.kind, timer.subject) not in known:
            yield key, lasts_us[timer.kind]
    answered = {each.token for each in before.ended if each.answered_ago_us is not None}
    for gone in after.ended:
        if gone.answered_ago_us is not None and gone.token not in answered:
            yield ("server", ANSWER, gone.token), ANSWER_ENDED_EVERY_US
    heard = _heard(world, link)
    states = {each.token: each.state for each in before.sessions}
    for session in after.sessions:
        if states.get(session.token) is not session.state or session.token in heard:
            yield ("server", silence_of(session.state), session.token), world.pace.silence_us(session.state)
    yield from _armed_by_client(world, link)


def _armed_by_client(world: World, link: Link) -> Iterator[tuple[Key, int]]:
    at = link.step.who
    if link.step.kind not in ("told", "down", "act", "due"):
        return
    numbers = world.clients[at].numbers.of
    before, after = numbers[link.before[2 + at]].client, numbers[link.after[2 + at]].client
    if after is None:
        return
    if before is not None and link.step.kind == "act" and after.handshake != before.handshake:
        before = None  # another client
    known = {each.kind for each in before.timers} if before is not None else set()
    has_sent = link.step.kind == "act" or link.step.what == Due(Deadline.ENTER, "session")
    for timer in after.timers:
        is_again = before is not None and (
            (timer.kind is Deadline.ENTER and after.enters_done != before.enters_done)
            or (timer.kind is Deadline.LEAVE and after.leaves_done != before.leaves_done)
            or (timer.kind is Deadline.IDLE and has_sent)
        )
        if timer.kind not in known or is_again:
            yield ("client", at, timer.kind), timer.when_us


def _heard(world: World, link: Link) -> set[bytes]:
    """The tokens of sessions that a step's datagram speaks for."""
    if link.step.kind != "hear":
        return set()
    return world.server.heard(link.before[1], Input(flight=world.known.flights.of[link.step.what]))


def _engine(world: World, state: State) -> ServerState | None:
    return world.server.numbers.of[state[1]].engine if state[0] >= 0 else None
