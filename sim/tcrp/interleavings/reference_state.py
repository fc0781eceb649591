"""The reference server as a value, and back: what `ServerEngine.freeze()` is for the engine.

Moments stay as they are: whoever freezes and thaws does both at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tcrp.interleavings.values import ATOMS, field_names
from tcrp.sim.reference.server import ReferenceServer
from tcrp.sim.reference.state import Connection, Room, Session
from tcrp.sim.reference.wire import Request
from tcrp.spec.dialects import Dialect, dialect
from tcrp.spec.limits import Limits
from tcrp.spec.names import SessionState

Frozen = tuple[Any, ...]
"""Sessions, rooms and connections, each with its key, in the order of their keys; and whether it is stopping."""


def freeze_reference(reference: ReferenceServer) -> Frozen:
    """The state of a reference server. Lists of sessions are sorted: no property depends on their order.

    Of the numbers of sessions only their order counts, and only among the living.
    """
    rooms = reference.rooms.by_name
    connections = reference.handshakes.connections
    sessions: dict[bytes, Session] = {}
    known: dict[str, Room] = dict(rooms)  # and those that are closed, of which old connections know the name
    held = [each for room in rooms.values() for each in (*room.sessions, *room.ended, room.host)]
    held += [each for connection in connections.values() for each in (connection.session, connection.supersedes)]
    for session in held:
        if session is not None:
            sessions[session.token] = session
            known.setdefault(session.room.name, Room(session.room.name, "", ""))
    living = sorted({each.number for each in sessions.values() if each.state is not SessionState.EXPIRED})
    ranks = {number: rank for rank, number in enumerate(living)}
    return (
        tuple((token, _fields(sessions[token], ranks)) for token in sorted(sessions)),
        tuple((name, name in rooms, _fields(known[name])) for name in sorted(known)),
        tuple((str(stream), _fields(connections[stream])) for stream in sorted(connections, key=str)),
        reference.rooms.is_stopping,
    )


def _fields(value: Any, ranks: Mapping[int, int] | None = None) -> Frozen:
    return tuple(
        [
            ranks.get(value.number, 0) if ranks is not None and name == "number" else _plain(getattr(value, name))
            for name in field_names(type(value)) or ()
        ]
    )


def _plain(value: Any) -> Any:
    """Ids in place of sessions, rooms and dialects."""
    if type(value) in ATOMS:
        return value
    match value:
        case Session():
            return value.token
        case Room():
            return value.name
        case Dialect():
            return value.name
        case list():
            items = [_plain(each) for each in value]
            return ("list", *(sorted(items) if all(isinstance(each, Session) for each in value) else items))
        case dict():
            return ("dict", *((key, tuple(value[key])) for key in sorted(value) if value[key]))
        case _ if field_names(type(value)) is not None:
            return ("of", _fields(value))
        case _:
            return value


def thaw_reference(
    frozen: Frozen, limits: Limits, listeners: Sequence[Sequence[Dialect]], new_token: Callable[[], bytes]
) -> ReferenceServer:
    """A reference server in that state."""
    reference = ReferenceServer(limits, listeners, new_token)
    sessions: dict[Any, Session] = {token: Session.__new__(Session) for token, _ in frozen[0]}
    rooms: dict[Any, Room] = {name: Room.__new__(Room) for name, _, _ in frozen[1]}
    for token, values in frozen[0]:
        _fill(sessions[token], values, sessions, rooms)
    reference.rooms.granted = 1 + max((each.number for each in sessions.values()), default=-1)
    for name, is_held, values in frozen[1]:
        _fill(rooms[name], values, sessions, rooms)
        if is_held:
            reference.rooms.by_name[name] = rooms[name]
    for stream, values in frozen[2]:
        connection = reference.handshakes.connections[stream] = Connection.__new__(Connection)
        _fill(connection, values, sessions, rooms)
    reference.rooms.is_stopping = frozen[3]
    return reference


def _fill(target: Any, values: Frozen, sessions: dict[Any, Session], rooms: dict[Any, Room]) -> None:
    for name, value in zip(field_names(type(target)) or (), values, strict=True):
        setattr(target, name, _back(name, value, sessions, rooms))


def _back(name: str, value: Any, sessions: dict[Any, Session], rooms: dict[Any, Room]) -> Any:
    if name in ("host", "session", "supersedes"):
        return sessions[value] if value is not None else None
    if name == "room":
        return rooms[value]
    if name == "dialect":
        return dialect(value)
    if not isinstance(value, tuple) or not value:
        return value
    if value[0] == "list":
        return [sessions[each] if name in ("sessions", "ended") else each for each in value[1:]]
    if value[0] == "dict":
        return {key: list(items) for key, items in value[1:]}
    if value[0] == "of":
        spoken, *rest = value[1]
        return Request(dialect(spoken), *rest)
    return value
