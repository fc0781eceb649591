"""A dialect's bytes from both sides: what a client writes a server reads, and the reverse."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from changed_dialects import changed
from tcrp.engine.codec import Codec, codec, learns_port, port_fault
from tcrp.engine.frames import HEADER_BYTES, write_frame
from tcrp.engine.meanings import Accepted, Asked, Completed, Relayed, Reply, Request, Unread
from tcrp.engine.replies import REPLY_PAYLOAD_BYTES_MAX
from tcrp.engine.templates import Partial
from tcrp.spec.dialects import NAMES, LearnedFrom
from tcrp.spec.names import Notice, Operation, Reason

JSON_NAMES = tuple(name for name in NAMES if name.startswith("json"))
CREATE, JOIN = Operation.CREATE, Operation.JOIN


def payload_of(frame: bytes, *, room: bytes = b"lobby") -> bytes:
    """The payload of a request, behind its header and its room."""
    assert frame[HEADER_BYTES:].startswith(room)
    return frame[HEADER_BYTES + len(room) :]


def read_payload(speaks: Codec, payload: bytes) -> Request | None:
    """What a request with this payload says."""
    asked = speaks.read_request(write_frame(5, 2, 0, b"lobby", payload))
    assert isinstance(asked, Asked)
    return asked.request


# --- requests --------------------------------------------------------------------------------------

REQUESTS = {
    "text": b"bob",
    "json": b'{"username": "bob", "password": "pw"}',
    "json-address": b'{"user_name": "bob", "user_address": ["10.0.0.2", 5000]}',
    "json-port": b'{"user_name": "bob", "udp_port": 5000}',
    "json-endpoint": b'{"username": "bob", "ip": "10.0.0.2", "port": 5000, "password": "pw"}',
    "json-name": b'"bob"',
    "name-port": b"bob\x13\x88",
    "name-port-list": b"bob\x13\x88",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_request_is_written_in_these_bytes_and_read_back(name: str) -> None:
    speaks = codec(name)
    payload = payload_of(speaks.write_request(JOIN, b"lobby", "bob", "pw", "10.0.0.2", 5000))
    assert payload == REQUESTS[name]
    password = "pw" if name in ("json", "json-endpoint") else ""
    port = None if name in ("text", "json", "json-name") else 5000
    assert read_payload(speaks, payload) == Request(b"bob", password, port)
    assert speaks.takes_password is bool(password)
    assert speaks.speaks_json is (name in JSON_NAMES)


@pytest.mark.parametrize("payload", [b'{"username": "bob"}', b'{"username": "bob", "password": null}'])
def test_a_request_without_a_password_has_an_empty_one(payload: bytes) -> None:
    assert read_payload(codec("json"), payload) == Request(b"bob", "", None)


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("json", b'{"username": 7}'),
        ("json", b'{"username": "bob", "password": 7}'),
        ("json", b'{"username": "bob", "colour": "red"}'),
        ("json", b'{"password": "pw"}'),
        ("json", b'["bob"]'),
        ("json", b'{"username": "bob"'),
        ("json", b""),
        ("json-port", b'{"user_name": "bob", "udp_port": "5000"}'),
        ("json-port", b'{"user_name": "bob", "udp_port": true}'),
        ("json-port", b'{"user_name": "bob", "udp_port": 5000.0}'),
        ("json-port", b'{"user_name": "bob"}'),
        ("json-address", b'{"user_name": "bob", "user_address": ["10.0.0.2"]}'),
        ("json-address", b'{"user_name": "bob", "user_address": ["10.0.0.2", 5000, 1]}'),
        ("json-address", b'{"user_name": "bob", "user_address": "10.0.0.2"}'),
        ("json-name", b'{"username": "bob"}'),
        ("name-port", b"\x13"),
        ("name-port", b""),
    ],
)
def test_a_payload_of_another_shape_is_no_request(name: str, payload: bytes) -> None:
    assert read_payload(codec(name), payload) is None


def test_two_bytes_are_a_port_behind_an_empty_name_which_is_judged_later() -> None:
    assert read_payload(codec("name-port"), b"\x13\x88") == Request(b"", "", 5000)


# --- listings --------------------------------------------------------------------------------------


def test_a_listing_joins_names_with_commas() -> None:
    listing = codec("name-port-list").write_listing([b"attic", b"lobby", b"yard"])
    assert listing == write_frame(0, 2, 1, b"", b"attic,lobby,yard")
    assert codec("name-port-list").write_listing([]) == write_frame(0, 2, 1, b"", b"")


def test_a_listing_holds_as_many_rooms_as_64_kib_fit() -> None:
    names = [b"x" * 255] * 255  # 65,279 bytes with the commas between them
    for last, size in ((b"y" * 256, 65536), (b"y" * 257, 65279)):
        payload = payload_of(codec("name-port-list").write_listing([*names, last, b"z"]), room=b"")
        assert len(payload) == size
        assert payload.endswith(last[:1] if size == REPLY_PAYLOAD_BYTES_MAX else b"x")


def test_a_question_for_the_rooms_is_read_whole_and_without_a_room() -> None:
    speaks = codec("name-port-list")
    question = speaks.write_list_request()
    assert speaks.read_list_request(question + b"more") == len(question)
    assert speaks.read_list_request(question[:-1]) is None
    assert speaks.read_list_request(question, limit=len(question) - 1) is None
    assert speaks.read_list_request(speaks.write_request(JOIN, b"lobby", "bob", "", "", 5000)) is None
    assert speaks.read_list_request(write_frame(5, question[1], 0, b"lobby", b"")) is None
    assert codec("text").read_list_request(question) is None


def test_a_question_that_names_a_room_or_has_another_number_is_none_for_the_rooms() -> None:
    own = '["room_length: u1 = 0", "operation: u1", "state: u1 = 0", "len(payload): u29", "payload"]'
    speaks = changed(
        "name-port-list", (own, '["len(room): u1", "operation: u1", "len(payload): u29", "room", "payload"]')
    )
    question = speaks.write_list_request()
    assert speaks.read_list_request(question) == len(question) == 31
    assert speaks.read_list_request(b"\x01" + question[1:] + b"r") is None
    assert speaks.read_list_request(question[:1] + b"\x01" + question[2:]) is None


def test_a_listing_is_read_back() -> None:
    speaks = codec("name-port-list")
    listing = speaks.write_listing([b"lobby", b"den"])
    assert speaks.read_listing(listing) == ["lobby", "den"]
    assert isinstance(speaks.read_listing(listing[:-1]), Partial)
    assert speaks.read_listing(speaks.write_listing([])) == []
    broken = listing.replace(b"lobby", b"lobb\xff")
    assert isinstance(speaks.read_listing(broken), Unread)
    assert isinstance(speaks.read_listing(write_frame(0, 2, 9, b"", b"lobby")), Unread)


def test_only_where_request_and_both_completions_are_json_the_timeout_is_told() -> None:
    assert [name for name in NAMES if codec(name).asks_for_answers] == [*JSON_NAMES[:4]]
    assert [name for name in NAMES if codec(name).tells_timeout] == ["json-address", "json-port", "json-endpoint"]
    joined = 'payload = { status = 200, message = "The room is joined", token = "{token}" }'
    assert not changed("json-endpoint", (joined, 'payload = ["token"]')).tells_timeout


def test_some_dialects_refuse_by_the_end_of_the_stream_and_some_relay_to_each_member_apart() -> None:
    names = (*NAMES, "bare-token", "colon-fields", "name-password-prefix", "state-one")
    assert [name for name in names if codec(name).refuses_silently] == ["bare-token", "colon-fields"]
    assert [name for name in names if codec(name).relays_to_each] == ["name-password-prefix", "state-one"]
    only_one = changed("bare-token", ("[port]", '[refusal.room_full]\nfields = ["hex 01"]\n\n[port]'))
    assert only_one.refuses_silently


@pytest.mark.parametrize(("answers", "timeout"), [(True, False), (False, True)])
def test_what_a_client_asks_for_besides_is_read_back(answers: bool, timeout: bool) -> None:
    speaks = codec("json")
    asked = speaks.read_request(
        speaks.write_request(
            JOIN, b"lobby", "bob", "", "", 0,
            asks_for_answers=answers, asks_for_timeout=timeout, resume_token=b"t1" if answers else b"",
        )
    )  # fmt: skip
    assert isinstance(asked, Asked)
    assert asked.request == Request(
        b"bob", "", None, asks_for_answers=answers, asks_for_timeout=timeout, resume_token=b"t1" if answers else b""
    )


FRAMELESS = """frame = ["operation: u1", "state: u1", "len(payload): u29", "payload"]"""
FRAME = """frame = ["len(room): u1", "operation: u1", "state: u1", "len(payload): u29", "room", "payload"]"""
JSON_REQUEST = """payload = { username = "{name}", password = "{password?}" }"""


@pytest.mark.parametrize("operation", [CREATE, JOIN])
@pytest.mark.parametrize("name", [*NAMES, "state-length31", "colon-fields"])
def test_a_request_that_is_cut_off_may_still_become_whole(name: str, operation: Operation) -> None:
    request = codec(name).write_request(operation, b"lobby", "bob", "", "10.0.0.2", 5000)
    assert isinstance(codec(name).read_request(request), Asked)
    assert {type(codec(name).read_request(request[:size])) for size in range(len(request))} == {Partial}


def test_a_room_in_a_json_request_is_read_as_bytes_and_another_value_is_no_room() -> None:
    speaks = changed("json", (FRAME, FRAMELESS), (JSON_REQUEST, """payload = { username = "{name}", at = "{room}" }"""))
    request = speaks.write_request(JOIN, "屋上".encode(), "bob", "", "", 0)
    asked = speaks.read_request(request)
    assert isinstance(asked, Asked)
    assert (asked.operation, asked.room, asked.request) == (JOIN, "屋上".encode(), Request(b"bob", "", None))
    number = b'{"username": "bob", "at": 7}'
    asked = speaks.read_request(request[:2] + len(number).to_bytes(29, "big") + number)
    assert isinstance(asked, Asked)
    assert (asked.operation, asked.room, asked.request) == (JOIN, b"", None)


@pytest.mark.parametrize(("operation", "password"), [(CREATE, ""), (JOIN, "pw")])
def test_a_request_without_a_number_is_of_the_first_form_that_it_has(operation: Operation, password: str) -> None:
    """An open join without a password has the form of both."""
    join = f"[request.join]\n{JSON_REQUEST}\n\n[answer]"
    frame = FRAME.replace('"operation: u1", ', "")
    speaks = changed(
        "json", (FRAME, frame), (JSON_REQUEST, 'payload = { username = "{name}" }'), ("[answer]", join),
        ('["status: u1"]', '["operation: u1", "status: u1"]'),
    )  # fmt: skip
    request = speaks.write_request(operation, b"lobby", "bob", password, "", 0)
    asked = speaks.read_request(request)
    assert isinstance(asked, Asked)
    assert (asked.operation, asked.code) == (operation, speaks.dialect.operations[operation])
    assert asked.request == Request(b"bob", password, None)
    asked = speaks.read_request(request.replace(b"username", b"nickname"))
    assert isinstance(asked, Asked)
    assert (asked.code, asked.request) == (0, None)


def test_a_name_of_other_bytes_than_utf_8_is_judged_later() -> None:
    assert read_payload(codec("text"), b"\xff") == Request(b"\xff", "", None)


def test_a_proof_that_is_a_field_of_its_own_is_read_back() -> None:
    speaks = changed("text", ('payload = ["name"]', 'payload = ["len(name): u1", "name", "token"]'))
    request = speaks.write_request(JOIN, b"lobby", "bob", "", "", 0, resume_token=b"t1\xff")
    asked = speaks.read_request(request)
    assert isinstance(asked, Asked)
    assert asked.request == Request(b"bob", "", None, resume_token=b"t1\xff")


# --- replies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["answer", "completion"])
def test_names_that_one_of_the_replies_has_no_place_for_are_not_carried(table: str) -> None:
    frame = '["state: u1", "len(payload): u29", "len(name): u1 + 250", "name", "payload"]'
    speaks = changed("text", (f"[{table}]", f"[{table}]\nframe = {frame}"))
    assert speaks.carries(b"lobby", "x" * 5)
    assert not speaks.carries(b"lobby", "x" * 6)


def test_a_refusal_that_cannot_hold_what_was_asked_names_a_join_of_no_room() -> None:
    speaks = codec("json")
    refusal = speaks.write_refusal(speaks.dialect.operations[JOIN], b"", Reason.BAD_REQUEST)
    assert speaks.write_refusal(256, b"lobby", Reason.BAD_REQUEST) == refusal
    assert speaks.write_refusal(255, b"lobby", Reason.BAD_REQUEST) != refusal


def test_a_reply_goes_on_until_the_stream_is_over_unless_said_otherwise() -> None:
    token = b"0" * 32
    assert codec("bare-token").read_reply(token, JOIN) == Partial(False, is_open=True)
    reply = codec("bare-token").read_reply(token, JOIN, is_over=True)
    assert isinstance(reply, Reply)
    assert reply.says == Completed(token)


@pytest.mark.parametrize(("timeout_us", "said"), [(None, None), (2_000_000, 2), (1_500_000, 1.5)])
def test_a_completion_of_json_tells_the_timeout_in_seconds(timeout_us: int | None, said: float | None) -> None:
    written = codec("json-endpoint").write_completion(JOIN, b"lobby", "bob", b"t1", idle_timeout_us=timeout_us)
    told = json.loads(payload_of(written, room=b"")).get("idle_timeout")
    assert (type(told), told) == (type(said), said)


def test_a_dialect_without_an_answer_writes_none() -> None:
    assert codec("bare-token").write_answer(JOIN, b"lobby") == b""


@pytest.mark.parametrize("is_exact", [False, True])
def test_only_where_a_dialect_says_so_an_answers_words_tell_it_apart(is_exact: bool) -> None:
    speaks = changed("json-endpoint", ("[answer]", "[answer]\nexact = true")) if is_exact else codec("json-endpoint")
    answer = speaks.write_answer(JOIN, b"lobby", "bob")
    read, other = (speaks.read_reply(each, JOIN) for each in (answer, answer.replace(b"accepted", b"RECEIVED")))
    assert isinstance(read, Reply)
    assert read.says == Accepted()
    assert (isinstance(other, Reply) and other.says == Accepted()) is not is_exact


def test_a_completion_counts_nobody_unless_it_is_told() -> None:
    speaks = changed("json", ('payload = ["token"]', 'payload = ["members: u1", "token"]'))
    assert speaks.write_completion(JOIN, b"lobby", "bob", b"t1").endswith(b"\x00t1")
    assert speaks.write_completion(JOIN, b"lobby", "bob", b"t1", members=3).endswith(b"\x03t1")


# --- texts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_text_is_a_keep_alive_in_every_dialect(name: str) -> None:
    speaks = codec(name)
    assert speaks.read_text(b"") == ""
    assert speaks.read_text(speaks.write_text("bob", "")) == ""


def test_a_json_text_names_its_sender_and_the_server_reads_the_message_alone() -> None:
    speaks = codec("json-endpoint")
    assert speaks.write_text("bob", "hi") == b'{"sender": "bob", "message": "hi"}'
    assert speaks.read_text(b'{"sender": "mallory", "message": "hi"}') == "hi"
    assert speaks.read_text(b'{"message": "hi"}') == "hi"


@pytest.mark.parametrize("data", [b"{", b"hi", b'{"sender": "bob"}', b'{"message": 7}', b'["hi"]', b"\xff"])
def test_a_json_text_of_another_shape_is_none(data: bytes) -> None:
    assert codec("json-endpoint").read_text(data) is None


def test_a_plain_text_is_utf_8_or_none() -> None:
    assert codec("text").read_text("日本".encode()) == "日本"
    assert codec("text").read_text(b"\xe6\x97") is None


# --- relays ----------------------------------------------------------------------------------------

RELAYS = {
    "text": b"bob: hi",
    "json": b"bob: hi",
    "json-address": b"bob: hi",
    "json-port": b"[bob]: hi",
    "json-endpoint": b'\x00\x00{"sender": "bob", "message": "hi"}',
    "json-name": b'\x05"bob"hi',
    "name-port": b"bob: hi",
    "name-port-list": b"\x03bobhi",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_relay_is_written_in_these_bytes_and_read_back(name: str) -> None:
    assert codec(name).write_relay("bob", "hi") == RELAYS[name]
    assert codec(name).read_relay(RELAYS[name]) == Relayed("bob", "hi")


@pytest.mark.parametrize(
    ("name", "relay"),
    [
        ("name-password-prefix", b"\x05\x02lobbyt1\x03bobhi"),
        ("room-user-token-lengths", b"\x05\x03\x02lobbybobt1hi"),
        ("state-one", b"\x05\x02lobbyt1bob: hi"),
    ],
)
def test_a_relay_may_hold_its_receivers_token(name: str, relay: bytes) -> None:
    assert codec(name).write_relay("bob", "hi", b"lobby", b"t1") == relay
    assert codec(name).read_relay(relay) == Relayed("bob", "hi")


def test_a_relay_of_one_json_object_is_written_whole() -> None:
    speaks = changed("text", ("""fields = ["'{name}: {text}'"]""", """fields = [{ by = "{name}", says = "{text}" }]"""))
    assert speaks.write_relay("bob", "hi") == b'{"by": "bob", "says": "hi"}'


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("text", b"bob hi"),
        ("text", b": hi"),
        ("text", b"\xff: hi"),
        ("json-port", b"bob]: hi"),
        ("json-port", b"[bob] hi"),
        ("json-port", b"[]: hi"),
        ("json-endpoint", b'\x00{"sender": "bob", "message": "hi"}'),
        ("json-endpoint", b'\x00\x01{"sender": "bob", "message": "hi"}'),
        ("json-endpoint", b"\x00\x00hi"),
        ("json-endpoint", b'\x00\x00{"sender": "", "message": "hi"}'),
        ("json-endpoint", b'\x00\x00{"sender": 1, "message": "hi"}'),
        ("json-endpoint", b'\x00\x00{"sender": "bob", "message": 1}'),
        ("json-endpoint", b'\x00\x00{"sender": "bob"}'),
        ("json-name", b'\x05"bob'),
        ("json-name", b'\x05bob""hi'),
        ("json-name", b'\x05"bobbyhi'),
        ("json-name", b'\x02""hi'),
        ("json-name", b""),
        ("name-port-list", b"\x00hi"),
        ("name-port-list", b"\x03bo"),
        ("name-port-list", b"\x03bob\xff"),
        ("name-port-list", b"\x01\xffhi"),
    ],
)
def test_other_bytes_are_no_relay(name: str, data: bytes) -> None:
    assert codec(name).read_relay(data) is None


@pytest.mark.parametrize("name", ["text", "json-name", "name-port-list"])
def test_a_text_may_be_empty_in_a_relay(name: str) -> None:
    data = codec(name).write_relay("bob", "")
    assert data is not None
    assert codec(name).read_relay(data) == Relayed("bob", "")


def test_a_name_that_its_length_byte_cannot_hold_is_not_relayed() -> None:
    """R-UDP-2: the name in quotes is two bytes longer in `json-name`."""
    fits, longer = "x" * 253, "x" * 254
    relay = codec("json-name").write_relay(fits, "hi")
    assert relay == b"\xff" + f'"{fits}"hi'.encode()
    assert codec("json-name").read_relay(relay) == Relayed(fits, "hi")
    assert codec("json-name").write_relay(longer, "hi") is None
    assert codec("name-port-list").write_relay(longer, "hi") is not None
    assert codec("text").write_relay("x" * 300, "hi") == b"x" * 300 + b": hi"


def test_a_relays_text_may_hold_what_ends_a_name() -> None:
    assert codec("text").read_relay(b"bob: a: b") == Relayed("bob", "a: b")
    assert codec("json-port").read_relay(b"[bob]: [c]: d") == Relayed("bob", "[c]: d")


def test_a_prefix_stands_before_a_head_too() -> None:
    """No dialect of the eight has both; a ninth may."""
    lines = """fields = ["hex 0102", "len(head): u1", "head: '<{name}>'", "text"]"""
    speaks = changed("text", ("""fields = ["'{name}: {text}'"]""", lines))
    data = speaks.write_relay("bob", "hi")
    assert data == b"\x01\x02\x05<bob>hi"
    assert speaks.read_relay(data) == Relayed("bob", "hi")
    assert speaks.read_relay(data[1:]) is None
    assert speaks.read_relay(b"\x01\x02\x05bob>>hi") is None
    assert speaks.read_relay(b"\x01\x02\x05<bob<hi") is None


# --- notices ---------------------------------------------------------------------------------------


def closed(speaks: Codec, data: bytes) -> str | None:
    """The sentence in `data`, as far as it is in the form of the room's end."""
    return speaks.sentence_reader(speaks.dialect.notices[Notice.ROOM_CLOSED])(data)


@pytest.mark.parametrize("name", NAMES)
def test_a_sentence_is_read_as_it_was_written(name: str) -> None:
    speaks = codec(name)
    data = speaks.write_notice(speaks.dialect.notices[Notice.ROOM_CLOSED], "Room closed")
    assert data == (b'\x00\x00{"sender": "", "message": "Room closed"}' if name == "json-endpoint" else b"Room closed")
    assert closed(speaks, data) == "Room closed"


@pytest.mark.parametrize(
    "data",
    [
        b'\x00\x00{"sender": "bob", "message": "Room closed"}',
        b'{"sender": "", "message": "Room closed"}',
        b'\x00\x01{"sender": "", "message": "Room closed"}',
        b'\x00\x00{"sender": "", "message": 1}',
        b'\x00\x00{"message": "Room closed"}',
        b"\x00\x00Room closed",
        b"\x00\x00\xff",
        b"",
    ],
)
def test_a_json_notice_has_an_empty_sender(data: bytes) -> None:
    assert closed(codec("json-endpoint"), data) is None


def test_a_notice_behind_a_prefix_is_read_only_behind_it() -> None:
    speaks = changed("text", ("[notices]", '[notice]\nfields = ["hex 2121", "sentence"]\n\n[notices]'))
    assert speaks.write_notice(speaks.dialect.notices[Notice.ROOM_CLOSED], "Gone") == b"!!Gone"
    assert closed(speaks, b"!!Gone") == "Gone"
    assert closed(speaks, b"!Gone") is None
    assert closed(speaks, b"!!\xff") is None


@dataclass
class Guest:
    """Who is sent a notice."""

    token: bytes
    address: tuple[str, int]


def test_a_notice_is_one_datagram_for_all_unless_it_holds_its_receivers_token() -> None:
    guests = [Guest(b"t1", ("10.0.0.1", 5000)), Guest(b"t2", ("10.0.0.2", 5000))]
    assert codec("text").audiences(guests, Notice.IDLED) == [(b"", [each.address for each in guests])]
    apart = changed("text", ("[notices]", '[notice]\nfields = ["len(token): u1", "token", "sentence"]\n\n[notices]'))
    assert apart.audiences(guests, Notice.IDLED) == [(each.token, [each.address]) for each in guests]
    for speaks in (codec("text"), apart):
        assert speaks.audiences([], Notice.IDLED) == []
    assert codec("colon-fields").audiences(guests, Notice.JOINED) == []  # it has no such notice


# --- ports and names -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("port", "fault"),
    [
        (1023, "is 1023, allowed are 1024 to 65535"),
        (1024, None),
        (65535, None),
        (65536, "is 65536, allowed are 1024 to 65535"),
        (-1, "is -1, allowed are 1024 to 65535"),
    ],
)
def test_a_port_below_1024_or_above_65535_is_refused(port: int, fault: str | None) -> None:
    assert port_fault(port) == fault


def test_each_dialect_tells_its_port_in_one_way() -> None:
    told = {name: [source for source in LearnedFrom if learns_port(codec(name), source)] for name in NAMES}
    assert told["text"] == told["json-name"] == told["name-port-list"] == [LearnedFrom.DATAGRAM]
    assert told["json"] == [LearnedFrom.TRAILER]
    assert [name for name in NAMES if told[name] == [LearnedFrom.REQUEST]] == [
        "json-address",
        "json-port",
        "json-endpoint",
        "name-port",
    ]


def test_there_is_one_codec_for_each_name_and_none_for_others() -> None:
    assert codec("json") is codec("json")
    with pytest.raises(KeyError):
        codec("klingon")


def test_a_relay_whose_text_has_a_length_of_its_own_is_written_whole() -> None:
    speaks = changed("text", ("'{name}: {text}'", "name: until ': '"), ("': '\"]", '\': \'", "len(text): u1", "text"]'))
    assert speaks.write_relay("al", "hi") == b"al: \x02hi"


@pytest.mark.parametrize(("name", "is_plain"), [("text", True), ("state-one", True), ("colon-fields", False)])
def test_the_text_of_a_datagram_is_plain_where_nothing_else_stands_behind_its_token(name: str, is_plain: bool) -> None:
    assert codec(name).plain_text is is_plain
