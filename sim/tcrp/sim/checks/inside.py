"""What only the inside of our own engine shows. A judge of other people's servers has to do without it."""

from __future__ import annotations

from collections.abc import Container

from tcrp.engine.state import ServerState
from tcrp.spec.names import Machine


def held_of_room(state: ServerState, room: bytes, tokens: Container[object]) -> list[str]:
    """What a server still holds of a room, as phrases: nothing, once it is closed (R-ROOM-3).

    `tokens` are those of all sessions that the room ever had.
    """
    held = [f"the {Machine.ROOM} {each.name!r}" for each in state.rooms if each.name == room]
    held += [f"the session {each.name}" for each in state.sessions if each.room == room]
    held += [f"the ended token of {each.name}" for each in state.ended if each.room == room]
    held += [f"a {each.kind} timer" for each in state.timers if each.subject == room or each.subject in tokens]
    return held
