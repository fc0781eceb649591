"""What a client does by itself: it keeps itself alive, asks a silent server, and paces its texts."""

from __future__ import annotations

from typing import Any

import pytest

from conversation import SECOND, Chat, User
from tcrp.engine.client import QUEUED_TEXTS_MAX
from tcrp.engine.codec import ANSWER_KEEP_ALIVE, codec
from tcrp.engine.frames import write_frame
from tcrp.engine.liveness import KEEP_ALIVE_US_MIN, SILENT_INTERVALS, UNHEARD_TEXTS_MAX, learned_keep_alive_us
from tcrp.engine.meanings import Completed, Reply
from tcrp.spec.limits import ENTER_UNTIL_US, Limits
from tcrp.spec.names import Counter, Operation, SessionState

IDLE_SECONDS = 100
INTERVAL_SECONDS = 20  # five in an idle timeout


def chatting(*, dialect: str = "json", **settings: Any) -> tuple[Chat, User]:
    """A host who keeps itself alive in a room that is otherwise empty."""
    chat = Chat(idle_timeout=IDLE_SECONDS * SECOND, **settings)
    ann = chat.user("ann", dialect)
    ann.keeps_alive = True
    ann.creates("lobby")
    chat.passes(1)
    return chat, ann


@pytest.mark.parametrize("dialect", ["json", "text", "json-name", "name-port"])
def test_a_silent_client_keeps_itself_alive_for_ever(dialect: str) -> None:
    chat, ann = chatting(dialect=dialect)
    chat.passes(10 * IDLE_SECONDS)
    assert ann.state is SessionState.IN_ROOM
    assert chat.count(Counter.SESSIONS) == 1


def test_a_client_that_keeps_nothing_alive_idles() -> None:
    chat = Chat(idle_timeout=IDLE_SECONDS * SECOND)
    ann = chat.user("ann", "json").creates("lobby")
    chat.passes(ENTER_UNTIL_US // SECOND + IDLE_SECONDS + 1)  # entering again is speaking
    assert ann.state is SessionState.EXPIRED


def test_a_keep_alive_is_answered_with_an_empty_datagram_only_if_the_request_asked_for_it() -> None:
    chat, ann = chatting()
    bob = chat.user("bob", "json").joins("lobby")
    chat.sent.clear()
    bob.says("")
    assert chat.sent == []
    chat.passes(INTERVAL_SECONDS + 1)
    assert [data for data in chat.sent_to(ann) if not data] == [b""]
    assert not ann.screen
    assert chat.sent_to(bob) == []


def test_a_server_that_answers_never_counts_as_silent_however_quiet_the_room() -> None:
    chat, ann = chatting()
    chat.passes(20 * INTERVAL_SECONDS)
    assert ann.silences == 0


def test_a_server_that_is_silent_for_two_intervals_is_said_to_be_once_however_much_is_typed() -> None:
    chat, ann = chatting()
    chat.passes(INTERVAL_SECONDS + 1)  # it has answered
    ann.is_cut_off = True
    last_word_us = chat.now_us
    while chat.now_us < last_word_us + SILENT_INTERVALS * INTERVAL_SECONDS * SECOND:
        assert ann.silences == 0
        ann.says("does anybody hear me?")
        chat.passes(5)
    chat.passes(1)
    assert ann.silences == 1
    chat.passes(INTERVAL_SECONDS)
    assert ann.silences == 1
    assert ann.state is SessionState.IN_ROOM  # who is to draw a conclusion from it is the user


@pytest.mark.parametrize("dialect", ["json", "json-address", "json-endpoint", "json-port"])
@pytest.mark.parametrize("seconds_before", [0, 10, 45, 130])
@pytest.mark.parametrize("pause", [3, 19])
def test_who_types_all_the_time_is_told_within_two_intervals_of_the_servers_last_word(
    dialect: str, seconds_before: int, pause: int
) -> None:
    chat, ann = chatting(dialect=dialect)
    ends_us = chat.now_us + seconds_before * SECOND
    while chat.now_us < ends_us:
        ann.says("hello")
        chat.passes(pause)
    last_word_us = max(when_us for when_us, address, _ in chat.sent if address == ann.address)
    ann.is_cut_off = True
    said: list[str] = []
    while not ann.silences:
        assert chat.now_us <= last_word_us + (SILENT_INTERVALS * INTERVAL_SECONDS + pause) * SECOND
        ann.says(f"text {len(said)}")
        said.append(f"text {len(said)}")
        chat.passes(pause)
    assert list(ann.client.unheard)[-len(said) :] == said


def test_a_lost_first_question_does_not_keep_a_client_that_types_from_asking_again() -> None:
    chat = Chat(idle_timeout=IDLE_SECONDS * SECOND)
    ann = chat.user("ann", "json-endpoint")
    ann.keeps_alive = True
    ann.is_cut_off = True
    ann.creates("lobby")
    ann.is_cut_off = False
    for _ in range(INTERVAL_SECONDS // 5 + 1):
        ann.says("hello")
        chat.passes(5)
    ann.is_cut_off = True
    for _ in range((SILENT_INTERVALS + 1) * INTERVAL_SECONDS // 5):
        ann.says("hello")
        chat.passes(5)
    assert ann.silences == 1


def test_what_was_said_before_a_sign_of_life_is_not_counted_as_unheard() -> None:
    chat, ann = chatting()
    bob = chat.user("bob").joins("lobby")
    for sign in (lambda: bob.says("yes"), lambda: chat.user("cem").joins("lobby"), lambda: ann.says("")):
        ann.says("anybody?")
        assert ann.client.unheard == ("anybody?",)
        sign()
        assert ann.client.unheard == ()
    ann.says("still there?")
    chat.do(chat.server.remove("ann", "lobby", chat.now_us) or [])
    assert ann.state is SessionState.EXPIRED
    assert ann.client.unheard == ("still there?",)  # that it is over says nothing of what was heard before


def test_the_latest_unheard_texts_are_kept_and_queued_ones_are_among_them() -> None:
    chat = Chat(texts_per_second_max=20, idle_timeout=IDLE_SECONDS * SECOND)
    ann = chat.user("ann", "json")
    ann.keeps_alive = ann.paces = True
    ann.creates("lobby")
    ann.is_cut_off = True
    for number in range(UNHEARD_TEXTS_MAX + 1):
        ann.says(str(number))
        chat.passes(0.1)
    assert ann.client.unheard == tuple(str(number + 1) for number in range(UNHEARD_TEXTS_MAX))
    ann.says("sent")
    ann.says("queued")
    assert ann.client.queued == 1
    assert ann.client.unheard[-2:] == ("sent", "queued")


@pytest.mark.parametrize(
    ("interval", "silence", "learned"),
    [(60, 20, 4), (60, 200, 30), (4, 20, 2), (0.15, 100, KEEP_ALIVE_US_MIN / SECOND)],
)
def test_a_client_learns_an_interval_that_fits_from_an_unexpected_expiry(
    interval: float, silence: float, learned: float
) -> None:
    assert learned_keep_alive_us(round(interval * SECOND), round(silence * SECOND)) == round(learned * SECOND)


@pytest.mark.parametrize("dialect", ["json-address", "json-endpoint", "json-port"])
@pytest.mark.parametrize(("tolerates", "interval"), [(IDLE_SECONDS, 20), (10, 2), (1000, 200)])
def test_a_client_that_is_told_the_servers_timeout_fits_its_keep_alives_to_it(
    dialect: str, tolerates: int, interval: int
) -> None:
    chat = Chat(idle_timeout=tolerates * SECOND)
    chat.limits = Limits().with_settings({"idle_timeout": 50 * SECOND})  # what the client expects
    ann = chat.user("ann", dialect)
    ann.keeps_alive = True
    ann.creates("lobby")
    assert ann.client.keep_alive_us == interval * SECOND
    chat.passes(3 * tolerates)
    assert ann.state is SessionState.IN_ROOM
    assert chat.count(Counter.SESSIONS) == 1


@pytest.mark.parametrize(
    ("said", "told_us"),
    [
        ("20", 20 * SECOND),
        ("0.5", SECOND // 2),
        ('"20"', None),
        ("true", None),
        ("-1", None),
        ("0", None),
        ("1e99", None),
    ],
)
def test_a_timeout_that_makes_no_sense_is_not_taken(said: str, told_us: int | None) -> None:
    payload = b'{"status": 202, "message": "m", "token": "t", "idle_timeout": %s}' % said.encode()
    reply = codec("json-address").read_reply(write_frame(5, 1, 2, b"", payload), Operation.CREATE)
    assert isinstance(reply, Reply)
    assert reply.says == Completed(b"t", told_us)


def test_a_server_that_speaks_again_may_be_found_silent_again() -> None:
    chat, ann = chatting()
    chat.passes(INTERVAL_SECONDS + 1)
    for times in (1, 2):
        ann.is_cut_off = True
        chat.passes(2 * INTERVAL_SECONDS + 1)
        assert ann.silences == times
        ann.is_cut_off = False
        chat.passes(2 * INTERVAL_SECONDS)
        assert ann.state is SessionState.IN_ROOM


def test_a_server_that_never_answered_is_never_found_silent() -> None:
    chat, ann = chatting(dialect="text")
    ann.is_cut_off = True
    chat.passes(IDLE_SECONDS - INTERVAL_SECONDS)
    assert ann.silences == 0


def test_a_lost_question_is_asked_again_within_the_interval() -> None:
    chat, ann = chatting()
    chat.passes(INTERVAL_SECONDS + 1)
    ann.is_cut_off = True
    chat.passes(INTERVAL_SECONDS + 5)
    ann.is_cut_off = False
    chat.passes(INTERVAL_SECONDS)
    assert ann.silences == 0


def test_asking_changes_nothing_even_where_silent_names_may_be_taken_over() -> None:
    chat, ann = chatting(takeover="same_address", takeover_after=SECOND)
    before = chat.steps("room"), chat.count(Counter.REQUESTS)
    ann.is_cut_off = True  # its keep-alives are lost while TCP works
    chat.passes(3 * INTERVAL_SECONDS)
    assert (chat.steps("room"), chat.count(Counter.REQUESTS)) == before
    assert chat.count(Counter.SESSIONS) == 1


def test_the_member_that_asks_for_answers_is_known_whatever_its_value() -> None:
    chat = Chat()
    for value in (b"1", b'"yes"', b"false"):
        peer = chat.peer()
        payload = b'{"username": "dave", "password": "", "%s": %s}' % (ANSWER_KEEP_ALIVE.encode(), value)
        peer.sends(bytes((4, 2, 0)) + len(payload).to_bytes(29, "big") + b"room" + payload)
        assert peer.heard.endswith(bytes((2,)))  # no_such_room, and not a bad request
    assert chat.count(Counter.REFUSED_REQUESTS) == 3


def test_a_paced_client_sends_no_faster_than_the_server_takes_and_loses_nothing() -> None:
    chat = Chat(texts_per_second_max=4)
    ann, bob = chat.user("ann"), chat.user("bob")
    ann.paces = True
    ann.creates("lobby")
    bob.joins("lobby")
    texts = [f"text {n}" for n in range(12)]
    for text in texts:
        ann.says(text)
    assert len(bob.screen) == 1
    assert ann.client.queued == 11
    chat.passes(11 / 3)
    assert bob.sees(*texts)
    assert chat.count(Counter.LIMITED) == 0


def test_a_full_queue_is_said_and_what_is_queued_stays() -> None:
    chat = Chat(texts_per_second_max=1)
    ann = chat.user("ann")
    ann.paces = True
    ann.creates("lobby")
    for n in range(QUEUED_TEXTS_MAX + 1):
        ann.says(f"text {n}")
    with pytest.raises(ValueError, match="64 texts are queued already"):
        ann.says("one too many")
    assert ann.client.queued == QUEUED_TEXTS_MAX


def test_who_leaves_says_nothing_more() -> None:
    chat = Chat(texts_per_second_max=1)
    ann, bob = chat.user("ann"), chat.user("bob")
    bob.creates("lobby")
    ann.paces = True
    ann.joins("lobby")
    ann.says("one")
    ann.says("two")
    ann.leaves()
    chat.settles()
    assert bob.sees("one")
