"""The small chat world of `small_world.tla`, as a model of the explorer: action by action the same.

It runs the tables alone, without engines, bytes and clocks. That TLC counts as many states of the module as the
explorer does of this is a second opinion on both: on the explorer, and on what the tables allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

from tcrp.explore.fingerprints import fingerprint
from tcrp.explore.model import Model
from tcrp.spec.render import TABLES, AnyTable
from tcrp.spec.table import HANDSHAKE, ROOM, SESSION

HOST = 0
LIVING = ("tokened", "in-room")
TO_SERVER = ("enter", "text", "leave")
BY_WILL = ("requests", "says", "leaves")
"""The steps that a user takes, and that nobody can wait for."""

Message = tuple[str, int, int]  # kind, user, number


@dataclass(frozen=True, slots=True)
class SmallBounds:
    """How many users there are, and how often they speak and the network fails."""

    users: int = 2
    texts: int = 1
    drops: int = 1
    duplicates: int = 0


@dataclass(frozen=True, slots=True)
class Small:
    """A state. The fields are those of the module."""

    handshake: tuple[str, ...]
    session: tuple[str, ...]
    client: tuple[str, ...]
    room: str
    seen: tuple[tuple[int, ...], ...]
    net: tuple[Message, ...]  # a set, in order
    said: int
    drops: int
    duplicates: int


def _rows(table: AnyTable) -> dict[tuple[str, str], str]:
    return {(str(state), str(event)): str(row.to) for (state, event), row in table.rows.items()}


_SESSION, _ROOM, _HANDSHAKE = _rows(SESSION), _rows(ROOM), _rows(HANDSHAKE)
_FINAL = {str(machine): {str(state) for state in table.final} for machine, table in TABLES.items()}
_INITIAL = {str(machine): str(table.initial) for machine, table in TABLES.items()}


def small_world(bounds: SmallBounds, *, symmetry: bool = False) -> Model[Small]:
    """The world within these bounds. A step that a table does not have raises `KeyError`."""
    users = range(bounds.users)
    start = Small(
        handshake=(_INITIAL["handshake"],) * bounds.users,
        session=(_INITIAL["session"],) * bounds.users,
        client=(_INITIAL["session"],) * bounds.users,
        room=_INITIAL["room"],
        seen=((),) * bounds.users,
        net=(),
        said=0,
        drops=bounds.drops,
        duplicates=bounds.duplicates,
    )

    def successors(state: Small) -> Iterator[tuple[tuple[Any, ...], Small]]:
        for user in users:
            yield from _acts(state, user, bounds)
        for message in state.net:
            rest = tuple(each for each in state.net if each != message)
            for after in _hears(state, message, rest):
                yield ("arrives", message), after
            if state.duplicates:
                for after in _hears(state, message, state.net):
                    yield ("arrives twice", message), replace(after, duplicates=state.duplicates - 1)
            if state.drops:
                yield ("is lost", message), replace(state, net=rest, drops=state.drops - 1)
        if state.room == "closing":
            yield ("drains",), replace(state, room=_ROOM["closing", "drained"])

    orders = [(HOST, *order) for order in permutations(range(1, bounds.users))]
    return Model(
        name=f"small chat of {bounds.users} users, {bounds.texts} texts, {bounds.drops} drops, "
        f"{bounds.duplicates} duplicates",
        initial=(start,),
        successors=successors,
        fingerprint=lambda state: fingerprint(_values(state)),
        always={
            "OnlyOpenRoomsHaveMembers": lambda state: state.room == "open" or not set(LIVING) & set(state.session),
            "MembersWereGranted": lambda state: all(
                session not in LIVING or handshake in ("accepted", "completed")
                for session, handshake in zip(state.session, state.handshake, strict=True)
            ),
            "OnlySaidTextsAreSeen": lambda state: all(1 <= text <= state.said for seen in state.seen for text in seen),
            "NobodyWaitsForEver": lambda state: nobody_waits(state, (step for step, _ in successors(state))),
        },
        representative=(lambda state: min((_renamed(state, order) for order in orders), key=_values))
        if symmetry
        else None,
    )


INVARIANTS = ("StatesAreOfTheMachines", *small_world(SmallBounds()).always)
"""What the module says always holds. The first is about the module's own values, which have no types."""


def _values(state: Small) -> tuple[Any, ...]:
    return (
        state.handshake, state.session, state.client, state.room, state.seen, state.net, state.said, state.drops,
        state.duplicates,
    )  # fmt: skip


def _renamed(state: Small, order: tuple[int, ...]) -> Small:
    """The same with other guests in the same roles: user `i` is now who `order[i]` was."""
    place = {user: at for at, user in enumerate(order)}
    return replace(
        state,
        handshake=tuple(state.handshake[user] for user in order),
        session=tuple(state.session[user] for user in order),
        client=tuple(state.client[user] for user in order),
        seen=tuple(state.seen[user] for user in order),
        net=_set((kind, place[user], number) for kind, user, number in state.net),
    )


def nobody_waits(state: Small, steps: Iterable[tuple[Any, ...]]) -> bool:
    """Whether something happens by itself, or nobody waits for it, and clients and server agree who is in the room."""
    return any(step[0] not in BY_WILL for step in steps) or (
        set(state.handshake) <= _FINAL["handshake"] | {_INITIAL["handshake"]}
        and "tokened" not in state.session
        and [each == "in-room" for each in state.client] == [each == "in-room" for each in state.session]
        and state.room != "closing"
    )


def _acts(state: Small, user: int, bounds: SmallBounds) -> Iterator[tuple[tuple[Any, ...], Small]]:
    """What a user, their connection and their deadlines may do."""
    handshake, session, client = state.handshake[user], state.session[user], state.client[user]
    about = [kind for kind, whose, _ in state.net if whose == user]
    is_silent = not set(TO_SERVER) & set(about)
    if handshake == _INITIAL["handshake"]:
        yield ("requests", user), _shakes(state, user, "requested")
    if handshake == "requested":
        if state.room == ("vacant" if user == HOST else "open"):
            answered = _shakes(state, user, "accepted")
            granted = _put(state.session, user, _SESSION[session, "granted"])
            room = _ROOM[state.room, "created" if user == HOST else "joined"]
            yield ("answers", user), replace(answered, session=granted, room=room)
        else:
            yield ("answers", user), _shakes(state, user, "refused")
    if handshake == "accepted":
        entered = _SESSION[_SESSION[client, "granted"], "entered"]
        completed = _shakes(state, user, "completed")
        net = _set([*state.net, ("enter", user, 0)])
        yield ("completes", user), replace(completed, client=_put(state.client, user, entered), net=net)
    if client == "in-room":
        if session == "tokened" and is_silent:
            yield ("enters again", user), replace(state, net=_set([*state.net, ("enter", user, 0)]))
        if state.said < bounds.texts:
            number = state.said + 1
            net = _set([*state.net, ("text", user, number)])
            yield ("says", user), replace(_tells(state, user, "spoke"), said=number, net=net)
        net = _set([*state.net, ("leave", user, 0)])
        yield ("leaves", user), replace(_tells(state, user, "left"), net=net)
        if session in _FINAL["session"] and not about:
            yield ("gives up", user), _tells(state, user, "idled")
    if session in LIVING and client in _FINAL["session"] and is_silent:
        yield ("idles", user), _ends(state, user, session, "idled", state.net)


def _hears(state: Small, message: Message, rest: tuple[Message, ...]) -> Iterator[Small]:
    """The state after a datagram has arrived; none where it waits for the completion."""
    kind, user, number = message
    if kind not in TO_SERVER:
        client = state.client[user]
        if client == _INITIAL["session"]:
            return
        state = replace(state, net=rest)
        if client != "in-room":
            yield state
        elif kind == "relay":
            seen = tuple(sorted({*state.seen[user], number}))
            yield replace(_tells(state, user, "relayed"), seen=_put(state.seen, user, seen))
        else:
            yield _tells(state, user, "room_closed")
        return
    session = state.session[user]
    if session not in LIVING:
        yield replace(state, net=rest)
        return
    entered = _SESSION[session, "entered"] if session == "tokened" else session
    if kind == "leave":
        yield _ends(state, user, entered, "left", rest)
    elif kind == "enter":
        yield replace(state, session=_put(state.session, user, _SESSION[entered, "spoke"]), net=rest)
    else:
        others = [each for each, its in enumerate(state.session) if each != user and its == "in-room"]
        sessions = _put(state.session, user, _SESSION[entered, "spoke"])
        for each in others:
            sessions = _put(sessions, each, _SESSION[sessions[each], "relayed"])
        net = _set([*rest, *(("relay", each, number) for each in others)])
        yield replace(state, session=sessions, room=_ROOM[state.room, "relayed"], net=net)


def _ends(state: Small, user: int, session: str, event: str, rest: tuple[Message, ...]) -> Small:
    sessions = _put(state.session, user, _SESSION[session, event])
    if user != HOST:
        return replace(state, session=sessions, room=_ROOM[state.room, "left"], net=rest)
    others = [each for each, its in enumerate(state.session) if each != user and its in LIVING]
    for each in others:
        sessions = _put(sessions, each, _SESSION[sessions[each], "room_closed"])
    net = _set([*rest, *(("closed", each, 0) for each in others)])
    return replace(state, session=sessions, room=_ROOM[state.room, "host_gone"], net=net)


def _shakes(state: Small, user: int, event: str) -> Small:
    return replace(state, handshake=_put(state.handshake, user, _HANDSHAKE[state.handshake[user], event]))


def _tells(state: Small, user: int, event: str) -> Small:
    return replace(state, client=_put(state.client, user, _SESSION[state.client[user], event]))


def _put(values: tuple[Any, ...], at: int, value: Any) -> tuple[Any, ...]:
    return (*values[:at], value, *values[at + 1 :])


def _set(messages: Iterable[Message]) -> tuple[Message, ...]:
    return tuple(sorted(set(messages)))
