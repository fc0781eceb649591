"""What a member hears of the server's datagrams, in each dialect."""

from __future__ import annotations

import pytest

from tcrp.engine.codec import codec
from tcrp.engine.meanings import Told
from tcrp.engine.notices import write_notice
from tcrp.engine.reading import ANSWERS_MAX, Heard, hear
from tcrp.spec.dialects import NAMES
from tcrp.spec.names import Notice


@pytest.mark.parametrize("name", NAMES)
def test_a_text_is_heard_as_a_screen_may_show_it(name: str) -> None:
    speaks = codec(name)
    plain, torn = speaks.write_relay("bob", "hello"), speaks.write_relay("bob", "two\nlines\x1b[2J")
    assert plain is not None
    assert torn is not None
    assert hear(speaks, "lobby", plain) == Heard("bob", "hello", changed=False)
    assert hear(speaks, "lobby", torn) == Heard("bob", "two lines[2J", changed=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_notice_of_ones_own_room_is_no_text(name: str) -> None:
    speaks = codec(name)
    data = write_notice(speaks, Notice.ROOM_CLOSED, name="bob", room="lobby", host="alice")
    assert data is not None
    told = hear(speaks, "lobby", data)
    assert isinstance(told, Told)
    assert told.notice is Notice.ROOM_CLOSED


def test_the_same_bytes_say_other_things_in_other_dialects() -> None:
    data = codec("json").write_relay("bob", "hello")
    assert data is not None
    heard = {name: hear(codec(name), "lobby", data) for name in NAMES}
    assert heard["json"] == Heard("bob", "hello", changed=False)
    assert heard["json-name"] is None


def test_what_was_heard_is_not_remembered_for_ever() -> None:
    speaks = codec("text")
    for number in range(2 * ANSWERS_MAX):
        hear(speaks, "lobby", f"bob: text {number}".encode())
    assert hear.cache_info().currsize == ANSWERS_MAX
