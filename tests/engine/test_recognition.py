"""Which dialect a request is in: the first that fits, once it is whole, and no more bytes than a request may have."""

from __future__ import annotations

import itertools

import pytest

from changed_dialects import changed
from tcrp.engine.codec import Codec, codec
from tcrp.engine.frames import write_frame
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.meanings import Request
from tcrp.engine.recognition import Recognised, Recogniser, port_is_clear
from tcrp.engine.templates import Mismatch, Partial
from tcrp.spec.dialects import AUTO, NAMES
from tcrp.spec.names import Operation

LIMIT = 4096
PORT = 50000  # no text


def request(dialect: str, *, room: bytes = b"lobby", name: str = "ann", port: int = PORT) -> bytes:
    return codec(dialect).write_request(Operation.JOIN, room, name, "", "10.0.0.1", port)


def recogniser(*names: str) -> Recogniser:
    return Recogniser([codec(each) for each in names])


def read(data: bytes, *names: str, limit: int = LIMIT, is_over: bool = False) -> str | type:
    """The dialect of the request, or what else the bytes are."""
    found = recogniser(*names).read(data, limit=limit, is_over=is_over)
    if not isinstance(found, Recognised):
        return type(found)
    return found.codec.dialect.name if found.codec is not None else "none"


def recognise(payload: bytes) -> tuple[Codec, Request | None] | None:
    """Which dialect a request with this payload is in, and what it says."""
    read = Recogniser(ListenerConfig().codecs).read(write_frame(5, 2, 0, b"lobby", payload), limit=4096, is_over=False)
    assert not isinstance(read, Partial | Mismatch)
    return None if read.codec is None else (read.codec, read.asked.request)


@pytest.mark.parametrize("dialect", NAMES)
def test_alone_each_dialect_recognises_its_own_request_as_soon_as_it_is_whole(dialect: str) -> None:
    data = request(dialect)
    assert read(data, dialect) == dialect
    assert read(data + b"more", dialect) == dialect
    assert [read(data[:at], dialect) for at in range(len(data))] == [Partial] * len(data)


@pytest.mark.parametrize("dialect", AUTO)
def test_among_all_each_recognises_its_own_wherever_it_stands(dialect: str) -> None:
    backwards = AUTO if dialect == "text" else AUTO[::-1]  # whose name may end as a port does
    for order in (AUTO, backwards):
        assert read(request(dialect), *order) == dialect
        found = recogniser(*order).read(request(dialect) + b"more", limit=LIMIT, is_over=False)
        assert isinstance(found, Recognised)
        assert found.asked.size == len(request(dialect))


def test_of_two_that_fit_the_first_is_taken() -> None:
    both = request("name-port")
    assert both == request("name-port-list")
    for order in itertools.permutations(("name-port", "name-port-list")):
        assert read(both, *order) == order[0]


@pytest.mark.parametrize(
    "payload", [b"\xff\xfe", b"\0", b"", b"{", b'"bob', b"a:b\x13\x88", b'{"colour": "red"}', b"[1]x\x07"]
)
def test_a_payload_of_no_dialect_is_whole_and_of_none(payload: bytes) -> None:
    head = bytes((5, 2, 0)) + len(payload).to_bytes(29, "big")
    assert read(head + b"lobby" + payload, *AUTO) == "none"


def test_a_single_dialect_reads_what_the_others_would_not_call_its_own() -> None:
    found = recogniser("json").read(request("text"), limit=LIMIT, is_over=False)
    assert isinstance(found, Recognised)
    assert found.codec is codec("json")
    assert found.asked.request is None


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("json", b'{"username": 5, "password": ""}'),
        ("json", b'{"username": "bob", "password": 7, "answer_keep_alive": true}'),
        ("json-address", b'{"user_name": "bob", "user_address": ["10.0.0.2"]}'),
        ("json-port", b'{"user_name": "bob", "udp_port": "5000"}'),
        ("json-endpoint", b'{"username": "bob", "ip": "10.0.0.2", "port": true}'),
    ],
)
def test_json_is_known_by_its_keys_whatever_stands_under_them(name: str, payload: bytes) -> None:
    assert recognise(payload) == (codec(name), None)


def test_a_name_of_one_byte_before_a_port_is_recognised() -> None:
    assert recognise(b"b\xff\xfe") == (codec("name-port"), Request(b"b", "", 0xFFFE))


# --- limits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialects", [("text",), AUTO], ids=["one", "auto"])
def test_a_request_of_the_limit_is_read_and_one_byte_more_is_too_long(dialects: tuple[str, ...]) -> None:
    data = request("text", name="n" * 100)
    assert read(data, *dialects, limit=len(data)) == "text"
    found = recogniser(*dialects).read(data, limit=len(data) - 1, is_over=False)
    assert isinstance(found, Mismatch)
    assert found.is_too_long


def test_a_header_that_promises_more_than_the_limit_is_refused_before_it_comes() -> None:
    head = bytes((4, 2, 0)) + (1 << 40).to_bytes(29, "big")
    found = recogniser(*AUTO).read(head, limit=LIMIT, is_over=False)
    assert isinstance(found, Mismatch)
    assert found.is_too_long


# --- ports that print ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "port", "clear"),
    [
        ("name-port", 0x6161, False),  # "aa"
        ("name-port", 0xC3A9, False),  # "é"
        ("name-port", 0xFFFF, True),
        ("name-port", 0x61FF, True),
        ("name-port-list", 0x6161, False),
        ("json-port", 0x6161, True),
        ("text", 0x6161, True),
    ],
)
def test_a_port_behind_a_name_is_clear_if_it_is_no_text(dialect: str, port: int, clear: bool) -> None:
    assert port_is_clear(codec(dialect), port) is clear
    if dialect == "name-port":
        assert read(request(dialect, port=port), *AUTO) == (dialect if clear else "text")


# --- a payload before its port, JSON by its first byte ---------------------------------------------------------------


def test_another_port_or_another_field_before_the_name_changes_what_is_clear() -> None:
    wide = changed("name-port", ('payload = ["name", "port: u2"]', 'payload = ["name", "port: u4"]'))
    assert port_is_clear(wide, 0x6161)  # with two bytes that no name holds
    behind = changed(
        "name-port", ('payload = ["name", "port: u2"]', 'payload = ["password: fixed 4", "name", "port: u2"]')
    )
    assert not port_is_clear(behind, 0x6161)


def test_what_does_not_begin_as_json_is_no_json() -> None:
    assert read(write_frame(5, 2, 0, b"lobby", b' "bob"'), "json", "text") == "text"


def test_only_dialects_with_a_listing_are_asked_for_one() -> None:
    assert recogniser("text", "name-port-list").lists == (codec("name-port-list"),)


# --- dialects whose requests have different frames -------------------------------------------------------------------

FRAMES = ("text", "colon-fields", "other-header-a", "state-length31", "state-one")


@pytest.mark.parametrize("dialect", FRAMES[1:])
@pytest.mark.parametrize("first", [True, False])
def test_dialects_of_other_frames_stand_beside_others(dialect: str, first: bool) -> None:
    data = codec(dialect).write_request(Operation.JOIN, b"lobby", "ann", "", "10.0.0.1", PORT)
    order = (dialect, "json") if first else ("json", dialect)
    assert [read(data[:size], *order) for size in range(len(data))] == [Partial] * len(data)
    assert read(data, *order) == dialect


SHORT = changed("text", ("len(payload): u29", "len(payload): u28"))
OPEN = changed("text", ('state = 0\npayload = ["name"]', 'fields = ["len(room): u1", "operation: u1", "room", "name"]'))


def test_what_is_whole_and_wrong_in_one_frame_is_waited_for_in_another() -> None:
    wrong = b"\x01\x02\0" + (1).to_bytes(28, "big") + b"r\xff"  # to `text`, the beginning of 403 bytes
    for order in itertools.permutations((codec("text"), SHORT)):
        assert isinstance(Recogniser(order).read(wrong, limit=LIMIT, is_over=False), Partial)


def test_what_has_no_end_is_waited_for_up_to_the_limit() -> None:
    wrong = write_frame(5, 2, 0, b"lobby", b"\xff")
    data = wrong + b"more"
    for order in itertools.permutations((codec("text"), OPEN)):
        assert isinstance(Recogniser(order).read(data, limit=len(data), is_over=False), Partial)
        found = Recogniser(order).read(data, limit=len(data) - 1, is_over=False)
        assert isinstance(found, Mismatch)
        assert found.is_too_long


@pytest.mark.parametrize("data", [b"\0\x02\0" + bytes(28) + b"\x01\xff", b"\0\x02\0" + b"\xff" * 29])
def test_what_fits_none_is_refused_as_the_first_of_them_reads_it(data: bytes) -> None:
    for order in itertools.permutations((codec("text"), SHORT)):
        found, alone = (Recogniser(each).read(data, limit=LIMIT, is_over=False) for each in (order, order[:1]))
        if isinstance(found, Recognised):
            assert isinstance(alone, Recognised)
            assert (found.codec, found.asked) == (None, alone.asked)
        else:
            assert found == alone
