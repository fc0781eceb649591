"""What a server still holds of a room, told by the parts of its state (R-ROOM-3)."""

from __future__ import annotations

from tcrp.engine.codec import codec
from tcrp.engine.outputs import Address, SendFrame
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.engine.state import FrozenEnded, ServerState
from tcrp.engine.timers import TimerEntry
from tcrp.sim.checks.inside import held_of_room
from tcrp.spec.limits import Limits
from tcrp.spec.names import Deadline, Operation

TOKEN = b"t" * 32


def engine_with_a_room() -> ServerEngine:
    """A server whose room lobby has a host who has not entered yet."""
    engine = ServerEngine(ServerConfig(Limits()), new_token=lambda: TOKEN)
    engine.stream_opened(1, Address("10.0.0.1", 40000), 0)
    request = codec("text").write_request(Operation.CREATE, b"lobby", "ann", "", "10.0.0.1", 40001)
    outputs = engine.receive_stream(1, request, 0)
    while not any(isinstance(each, SendFrame) for each in outputs):
        due_us = engine.next_deadline_us()
        assert due_us is not None
        outputs = engine.handle_timeout(due_us)
    return engine


def test_an_open_room_is_held_with_its_sessions() -> None:
    held = held_of_room(engine_with_a_room().freeze(), b"lobby", {TOKEN})
    assert held == ["the room b'lobby'", "the session ann"]


def test_timers_of_the_room_and_of_its_tokens_are_held() -> None:
    subjects = {Deadline.LINGER: b"lobby", Deadline.NOTICE: TOKEN, Deadline.HANDSHAKE: 1, Deadline.IDLE: b"another"}
    state = ServerState(timers=tuple(TimerEntry(5, kind, subject) for kind, subject in subjects.items()))
    assert held_of_room(state, b"lobby", {TOKEN}) == ["a linger timer", "a notice timer"]


def test_an_ended_token_is_held_by_its_room_alone() -> None:
    def ended(name: str, room: bytes) -> FrozenEnded:
        return FrozenEnded(TOKEN, name, room, "text", "10.0.0.1", None, None, 0, None, 1, 0)

    state = ServerState(ended=(ended("ann", b"lobby"), ended("bob", b"attic")))
    assert held_of_room(state, b"lobby", set()) == ["the ended token of ann"]


def test_another_room_is_not_held() -> None:
    assert held_of_room(engine_with_a_room().freeze(), b"attic", set()) == []


def test_a_room_that_is_forgotten_leaves_nothing() -> None:
    engine = engine_with_a_room()
    while (due_us := engine.next_deadline_us()) is not None:
        engine.handle_timeout(due_us)
    assert held_of_room(engine.freeze(), b"lobby", {TOKEN}) == []
