"""What a client wants, within its bounds, and what it knows, as a value that shows no secret."""

from __future__ import annotations

import pickle

import pytest

from conversation import Chat
from tcrp.engine.client import ClientEngine
from tcrp.engine.client_state import ClientConfig, ClientState
from tcrp.engine.codec import codec
from tcrp.spec.names import Operation


@pytest.mark.parametrize(
    ("room", "fits"), [("r" * 255, True), ("r" * 256, False), ("あ" * 85, True), ("あ" * 86, False)]
)
def test_a_room_name_is_at_most_255_bytes(room: str, fits: bool) -> None:
    if fits:
        assert ClientConfig(codec("text"), Operation.JOIN, room, "bob").room == room
    else:
        with pytest.raises(ValueError, match=rf"^room name is {len(room.encode())} bytes, at most 255 fit$"):
            ClientConfig(codec("text"), Operation.JOIN, room, "bob")


def test_its_text_holds_neither_password_nor_former_token() -> None:
    config = ClientConfig(codec("json"), Operation.JOIN, "lobby", "bob", password="sesame", resume_token=b"0123456789")
    assert "sesame" not in repr(config)
    assert "0123456789" not in repr(config)


def engine_of(keeps_alive: bool = True) -> tuple[Chat, ClientEngine]:
    chat = Chat()
    chat.user("alice", "json").creates("lobby")
    bob = chat.user("bob", "json")
    bob.keeps_alive = bob.paces = keeps_alive
    bob.joins("lobby")
    for number in range(30):
        bob.says(f"text {number}")
    chat.passes(0.3)
    return chat, bob.client


def test_a_state_is_plain_data_that_is_equal_and_hashes_equal_after_a_pickle() -> None:
    _, engine = engine_of()
    state = engine.freeze()
    again: ClientState = pickle.loads(pickle.dumps(state))  # noqa: S301 (our own bytes)
    assert (again, hash(again)) == (state, hash(state))
    assert state.queued
    assert state.timers


def test_a_state_counts_back_from_its_own_moment() -> None:
    _, engine = engine_of()
    state = engine.freeze()
    deadlines = []
    for now_us in (0, 7_000_000_000):
        again = ClientEngine(engine.config, state=state, now_us=now_us)
        assert again.freeze() == state
        deadline_us = again.next_deadline_us()
        assert deadline_us is not None
        deadlines.append(deadline_us - now_us)
    assert deadlines == [min(each.when_us for each in state.timers)] * 2
