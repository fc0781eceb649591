"""What a client does by itself: it keeps itself alive, asks a silent server, and paces its texts."""

from __future__ import annotations

import pytest

from conversation import SECOND, Chat, User
from tcrp.engine.client import QUEUED_TEXTS_MAX, SILENT_INTERVALS
from tcrp.engine.codec import ANSWER_KEEP_ALIVE
from tcrp.spec.limits import ENTER_UNTIL_US
from tcrp.spec.names import Counter, SessionState

IDLE_SECONDS = 100
INTERVAL_SECONDS = 20  # five in an idle timeout


def chatting(*, dialect: str = "json", takeover_after: str = "3s") -> tuple[Chat, User]:
    """A host who keeps itself alive in a room that is otherwise empty."""
    chat = Chat(idle_timeout=IDLE_SECONDS * SECOND, takeover_after=0 if takeover_after == "0s" else 3 * SECOND)
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


def test_asking_changes_nothing_even_where_every_name_may_be_taken_over_at_once() -> None:
    chat, ann = chatting(takeover_after="0s")
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
