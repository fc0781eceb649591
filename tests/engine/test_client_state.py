"""What a client wants, within its bounds, and what it knows, as a value that shows no secret."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import pytest

from conversation import SECOND, Chat
from tcrp.engine.client import PACE_PER_CENT, QUEUED_TEXTS_MAX, ClientEngine
from tcrp.engine.client_state import ClientConfig, ClientState
from tcrp.engine.codec import codec
from tcrp.spec.limits import Limits
from tcrp.spec.names import Operation, SessionState


@pytest.mark.parametrize(
    ("room", "fits"), [("r" * 255, True), ("r" * 256, False), ("あ" * 85, True), ("あ" * 86, False)]
)
def test_a_room_name_is_at_most_255_bytes(room: str, fits: bool) -> None:
    if fits:
        assert ClientConfig(codec("text"), Operation.JOIN, room, "bob").room == room
    else:
        with pytest.raises(ValueError, match=rf"^room name is {len(room.encode())} bytes, at most 255 fit$"):
            ClientConfig(codec("text"), Operation.JOIN, room, "bob")


@pytest.mark.parametrize(("room", "name"), [("a\ud800", "bob"), ("lobby", "a\ud800")])
def test_half_of_a_surrogate_pair_is_no_part_of_a_name(room: str, name: str) -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        ClientConfig(codec("text"), Operation.JOIN, room, name)


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


def put_away(engine: ClientEngine, now_us: int) -> ClientEngine:
    """The same client, made from its state."""
    return ClientEngine(engine.config, state=engine.freeze(), now_us=now_us)


def what_follows(engine: ClientEngine, within_us: int) -> list[tuple[int, Sequence[object]]]:
    """What a client does by itself, and when."""
    found: list[tuple[int, Sequence[object]]] = []
    while (when_us := engine.next_deadline_us()) is not None and when_us <= within_us:
        found.append((when_us, engine.handle_timeout(when_us)))
    return found


def in_lobby(at_us: int, **wishes: Any) -> ClientEngine:
    """A client that has just entered, and has heard nothing."""
    speaks = codec("text")
    engine = ClientEngine(ClientConfig(speaks, Operation.JOIN, "lobby", "bob", **wishes))
    engine.start(at_us)
    engine.stream_opened(1, at_us)
    engine.receive_stream(speaks.write_answer(Operation.JOIN, b"lobby"), at_us)
    engine.receive_stream(speaks.write_completion(Operation.JOIN, b"lobby", "bob", b"t" * 16), at_us)
    return engine


def test_a_client_that_is_put_away_while_it_enters_or_leaves_goes_on_at_the_same_moments() -> None:
    for leaves in (False, True):
        one = in_lobby(5 * SECOND)
        if leaves:
            one.leave(7 * SECOND)
        one.receive_datagram(b"", 7 * SECOND + 1000) if leaves else one.handle_timeout(5 * SECOND + 200_000)
        other = put_away(one, 7 * SECOND + 1000 if leaves else 5 * SECOND + 200_000)
        expected = what_follows(one, 30 * SECOND)
        assert expected[0][0] == (7_200_000 if leaves else 5_600_000)
        assert what_follows(other, 30 * SECOND) == expected


def test_a_client_that_is_put_away_keeps_its_pace_and_its_order() -> None:
    one = in_lobby(5 * SECOND, paces=True)
    one.say("first", 6 * SECOND)
    one.receive_datagram(b"alice: hi", 6 * SECOND + 1000)
    other = put_away(one, 6 * SECOND + 1000)
    for engine in (one, other):
        assert engine.say("second", 6 * SECOND + 1000) == []
        assert engine.say("third", 6 * SECOND + 1000) == []
    followed = what_follows(other, 7 * SECOND)
    assert what_follows(one, 7 * SECOND) == followed
    assert ["second" in str(outputs) for _, outputs in followed] == [True, False]


def test_a_paced_client_queues_so_many_texts_and_no_more() -> None:
    engine = in_lobby(5 * SECOND, paces=True)
    for number in range(QUEUED_TEXTS_MAX + 1):  # the first is sent
        engine.say(str(number), 6 * SECOND)
    with pytest.raises(ValueError, match=rf"^{QUEUED_TEXTS_MAX} texts are queued already$"):
        engine.say("one more", 6 * SECOND)
    assert engine.queued == QUEUED_TEXTS_MAX


def test_a_client_that_is_put_away_amid_a_completion_reads_the_rest() -> None:
    speaks = codec("text")
    engine = ClientEngine(ClientConfig(speaks, Operation.JOIN, "lobby", "bob"))
    engine.start(0)
    engine.stream_opened(1, 0)
    engine.receive_stream(speaks.write_answer(Operation.JOIN, b"lobby"), 0)
    completion = speaks.write_completion(Operation.JOIN, b"lobby", "bob", b"t" * 16)
    engine.receive_stream(completion[:9], 0)
    other = put_away(engine, 0)
    other.receive_stream(completion[9:], 0)
    assert other.session is SessionState.IN_ROOM


def test_a_state_holds_no_moment_that_matters_no_longer() -> None:
    engine = in_lobby(5 * SECOND, paces=True)
    engine.receive_datagram(b"alice: hi", 6 * SECOND)
    engine.say("hello", 6 * SECOND)
    waiting = engine.freeze()
    assert (waiting.granted_ago_us, waiting.sent_text_ago_us, waiting.ended_ago_us) == (0, 0, 0)
    turn_us = 6 * SECOND + 100 * SECOND // (Limits().texts_per_second_max * PACE_PER_CENT)
    engine.handle_timeout(turn_us - 1)
    assert engine.freeze().sent_text_ago_us == turn_us - 1 - 6 * SECOND
    engine.handle_timeout(turn_us)
    assert engine.freeze().sent_text_ago_us is None


def test_a_state_knows_the_moment_at_which_a_client_began_and_was_connected() -> None:
    engine = ClientEngine(ClientConfig(codec("text"), Operation.JOIN, "lobby", "bob"))
    engine.start(5 * SECOND)
    assert [each.when_us for each in engine.freeze().timers] == [Limits().handshake_timeout]
    engine.stream_opened(1, 6 * SECOND)
    assert [each.when_us for each in engine.freeze().timers] == [Limits().handshake_timeout - SECOND]


def test_what_users_of_a_client_ask_it() -> None:
    engine = in_lobby(5 * SECOND)
    assert (engine.id, engine.spoke_us, engine.asks_for_answers) == ("bob@lobby", 5 * SECOND, False)
    asking = ClientEngine(ClientConfig(codec("json"), Operation.JOIN, "lobby", "bob", keeps_alive=True))
    assert asking.asks_for_answers
    assert asking.config.udp_port == 0  # it says no port, unless it is told one
