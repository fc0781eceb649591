"""A dialect's bytes from both sides: what a client writes a server reads, and the reverse."""

from __future__ import annotations

import json

import pytest

from tcrp.engine.codec import (
    REPLY_PAYLOAD_BYTES_MAX,
    Accepted,
    Asked,
    Codec,
    Completed,
    Denied,
    Relayed,
    Reply,
    Request,
    Unread,
    codec,
    codec_of,
    learns_port,
    port_fault,
)
from tcrp.engine.frames import HEADER_BYTES, write_frame
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.recognition import Recogniser, port_is_clear
from tcrp.engine.templates import Mismatch, Partial
from tcrp.spec.dialects import NAMES, LearnedFrom, parse, path_of
from tcrp.spec.names import Notice, Operation, Reason

JSON_NAMES = tuple(name for name in NAMES if name.startswith("json"))
CREATE, JOIN = Operation.CREATE, Operation.JOIN


def payload_of(frame: bytes, *, room: bytes = b"lobby") -> bytes:
    """The payload of a request, behind its header and its room."""
    assert frame[HEADER_BYTES:].startswith(room)
    return frame[HEADER_BYTES + len(room) :]


def changed(name: str, *changes: tuple[str, str]) -> Codec:
    """A dialect whose file has been changed."""
    toml = path_of(name).read_text(encoding="utf-8")
    for old, new in changes:
        assert old in toml
        toml = toml.replace(old, new)
    return codec_of(parse(toml, name))


def read_payload(speaks: Codec, payload: bytes) -> Request | None:
    """What a request with this payload says."""
    asked = speaks.read_request(write_frame(5, 2, 0, b"lobby", payload))
    assert isinstance(asked, Asked)
    return asked.request


def recognise(payload: bytes) -> tuple[Codec, Request | None] | None:
    """Which dialect a request with this payload is in, and what it says."""
    read = Recogniser(ListenerConfig().codecs).read(write_frame(5, 2, 0, b"lobby", payload), limit=4096, is_over=False)
    assert not isinstance(read, Partial | Mismatch)
    return None if read.codec is None else (read.codec, read.asked.request)


def framed(name: str, state: int, payload: bytes, operation: int = 2) -> bytes:
    """A frame of a server, with the room as this dialect has it in replies."""
    if name in ("json-address", "name-port"):
        return write_frame(5, operation, state, b"", payload)
    room = b"" if name == "json-endpoint" else b"lobby"
    return write_frame(len(room), operation, state, room, payload)


def says(name: str, state: int, payload: bytes, operation: Operation = Operation.JOIN) -> Accepted | Completed | Denied:
    """What a frame of a server says to its client."""
    data = framed(name, state, payload)
    reply = codec(name).read_reply(data, operation)
    assert isinstance(reply, Reply)
    assert (reply.size, reply.payload) == (len(data), payload)
    return reply.says


def replies_in(speaks: Codec, data: bytes, operation: Operation = Operation.JOIN) -> list[Reply]:
    """All messages of a reply."""
    replies = []
    while data:
        reply = speaks.read_reply(data, operation)
        assert isinstance(reply, Reply)
        replies.append(reply)
        data = data[reply.size :]
    return replies


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


# --- recognition -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NAMES if name != "name-port-list"])
def test_a_request_is_recognised_by_its_payload(name: str) -> None:
    found = recognise(REQUESTS[name])
    assert found == (codec(name), read_payload(codec(name), REQUESTS[name]))


@pytest.mark.parametrize("payload", [b'{"nick": "bob"}', b'"bob', b"{", b"", b"\xff", b"\x13\x88", b"a:b\x13\x88"])
def test_a_payload_of_no_dialect_is_not_recognised(payload: bytes) -> None:
    assert recognise(payload) is None


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


def test_only_a_port_that_cannot_be_read_as_text_is_clear() -> None:
    assert port_is_clear(codec("name-port"), 0xFFFE) is True
    assert port_is_clear(codec("name-port"), 0x6162) is False
    assert port_is_clear(codec("json-port"), 0x6162) is True


# --- replies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("operation", [CREATE, JOIN])
def test_an_answer_is_read_as_acceptance_and_a_completion_as_its_token(name: str, operation: Operation) -> None:
    speaks = codec(name)
    data = speaks.write_completion(operation, b"lobby", "bob", b"t0k")
    replies: list[object] = [Completed(b"t0k")]
    if speaks.dialect.answer is not None:
        data = speaks.write_answer(operation, b"lobby") + data
        replies.insert(0, Accepted())
    read = replies_in(speaks, data, operation)
    assert [reply.says for reply in read] == replies
    starts = [0, read[0].size][: len(read)]
    assert [data[start + 2] for start in starts] == [1, 2][-len(replies) :]
    assert {data[start + 1] for start in starts} == {1 if operation is CREATE else 2}


@pytest.mark.parametrize(
    ("name", "head"),
    [("text", b"\x05\x02\x01"), ("json-address", b"\x05\x02\x00"), ("json-endpoint", b"\x00\x02\x01"),
     ("json-port", b"\x05\x02\x01"), ("json-name", b"\x05\x02\x01"), ("name-port", b"\x05\x02\x01")],
)  # fmt: skip
def test_a_refusal_has_its_dialects_state_and_room(name: str, head: bytes) -> None:
    speaks = codec(name)
    frame = speaks.write_refusal(2, b"lobby", Reason.NAME_TAKEN)[0]
    assert frame[:3] == head
    assert frame[HEADER_BYTES:].startswith(b"lobby") is (name not in ("json-address", "json-endpoint", "name-port"))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "json-name"])
@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_is_read_with_its_reason(name: str, reason: Reason) -> None:
    speaks = codec(name)
    [data] = speaks.write_refusal(2, b"lobby", reason)
    [reply] = replies_in(speaks, data)
    assert isinstance(reply.says, Denied)
    assert reply.says.reason is reason
    assert reply.says.said == (reply.payload.hex() if name in ("text", "json") else reply.payload.decode())


def test_a_refusal_of_json_name_names_no_reason_and_ends_with_an_empty_token() -> None:
    speaks = codec("json-name")
    first, second = replies_in(speaks, b"".join(speaks.write_refusal(1, b"lobby", Reason.ROOM_FULL)))
    assert first.says == Denied(None, '{"success": 0}')
    assert (second.payload, second.says) == (b'{"token": ""}', Denied(None, "the completion holds no token"))


@pytest.mark.parametrize("operation", [0, 1, 2, 255])
def test_a_refusal_echoes_the_peers_own_operation(operation: int) -> None:
    [frame] = codec("text").write_refusal(operation, b"lobby", Reason.BAD_REQUEST)
    assert frame[1] == operation


@pytest.mark.parametrize(
    ("name", "payload", "denied"),
    [
        ("text", b"\x63", Denied(None, "63")),
        ("text", b"\x05\x05", Denied(None, "\x05\x05")),
        ("text", b"", Denied(None, "")),
        ("name-port", b"GO AWAY", Denied(None, "GO AWAY")),
        ("name-port", b"\xff", Denied(None, "\ufffd")),
        ("json-port", b"not json", Denied(None, "not json")),
        ("json-port", b"[1]", Denied(None, "[1]")),
        # Their status alone tells these apart; 409 stands for two reasons, so for none.
        ("json-endpoint", b'{"status": 404, "message": "gone"}', Denied(Reason.NO_SUCH_ROOM, "")),
        ("json-endpoint", b'{"status": 409, "message": "gone"}', Denied(None, "")),
        ("json-endpoint", b'{"status": 409, "message": "room_exists"}', Denied(Reason.ROOM_EXISTS, "")),
        ("json-endpoint", b'{"status": 404, "message": "room_full"}', Denied(Reason.ROOM_FULL, "")),
        ("json-endpoint", b'{"status": 404, "message": "gone", "more": 1}', Denied(Reason.NO_SUCH_ROOM, "")),
        ("json-endpoint", b'{"message": "room_full"}', Denied(None, "")),
    ],
)
def test_a_refusal_in_foreign_words_is_read_as_far_as_it_goes(name: str, payload: bytes, denied: Denied) -> None:
    reply = says(name, 1, payload)
    assert isinstance(reply, Denied)
    assert reply == denied._replace(said=denied.said or reply.said)


@pytest.mark.parametrize(
    ("name", "payload", "accepted"),
    [
        ("text", b"\x00", True),
        ("text", b"\x00\x00", False),
        ("name-port", b"OK", True),
        ("name-port", b"ok", False),
        ("json-name", b'{"success": 1}', True),
        ("json-name", b'{"success": 1, "hello": "you"}', True),
        ("json-name", b'{"success": 0}', False),
        ("json-name", b"{}", False),
        ("json-name", b"1", False),
        ("json-name", b"{", False),
        ("json-endpoint", b'{"status": 202, "message": "in their own words"}', True),
        ("json-endpoint", b'{"status": 200, "message": "The request is accepted"}', False),
    ],
)
def test_an_answer_accepts_by_its_status_and_not_by_its_sentence(name: str, payload: bytes, accepted: bool) -> None:
    assert isinstance(says(name, 1, payload), Accepted) is accepted


def test_an_answer_accepts_when_all_that_its_template_fixes_agrees() -> None:
    """No dialect of the eight fixes two values; a ninth may."""
    speaks = changed("json-name", ("payload = { success = 1 }", 'payload = { state = 1, success = 1, error = "" }'))
    for payload, accepted in (
        (b'{"state": 1, "success": 1, "error": ""}', True),
        (b'{"state": 1, "success": 0, "error": ""}', False),
        (b'{"state": 1, "success": 1, "error": "full"}', False),
        (b'{"state": 1, "success": 1}', False),
    ):
        [reply] = replies_in(speaks, framed("json-name", 1, payload))
        assert isinstance(reply.says, Accepted) is accepted


def test_a_dialect_of_one_frame_has_no_acceptance() -> None:
    assert isinstance(says("json-address", 1, b"\x00"), Denied)


@pytest.mark.parametrize(("size", "held"), [(0, False), (1, True), (255, True), (256, False)])
@pytest.mark.parametrize("name", ["text", "json-name"])
def test_a_token_is_1_to_255_bytes(name: str, size: int, held: bool) -> None:
    token = b"t" * size
    payload = token if name == "text" else json.dumps({"token": token.decode()}).encode()
    assert says(name, 2, payload) == (Completed(token) if held else Denied(None, "the completion holds no token"))


@pytest.mark.parametrize("payload", [b"t0k", b'{"token": 7}', b'{"word": "t0k"}', b'["t0k"]'])
def test_a_completion_without_its_token_is_a_refusal(payload: bytes) -> None:
    assert says("json-name", 2, payload) in (
        Denied(None, "the completion holds no token"),
        Denied(None, payload.decode()),
    )


@pytest.mark.parametrize("operation", [CREATE, JOIN])
def test_a_foreign_completion_may_hold_more_and_leave_its_sentences_out(operation: Operation) -> None:
    """The status says whether a room was created or joined; a client takes the token whatever it says."""
    assert says("json-endpoint", 2, b'{"token": "t0k", "extra": true}', operation) == Completed(b"t0k")


def test_creating_and_joining_are_completed_by_their_own_templates() -> None:
    speaks = codec("json-endpoint")
    created, joined = (speaks.write_completion(each, b"lobby", "bob", b"t0k") for each in (CREATE, JOIN))
    assert json.loads(created[HEADER_BYTES:])["status"] == 201
    assert json.loads(joined[HEADER_BYTES:])["status"] == 200
    made = 'payload = { status = 201, message = "The room is created", token = "{token}" }'
    mixed = changed("json-endpoint", (made, 'payload = { made = "{token}" }'))
    data = framed("json-endpoint", 2, b'{"made": "a"}')
    assert [reply.says for reply in replies_in(mixed, data, CREATE)] == [Completed(b"a")]
    assert [reply.says for reply in replies_in(mixed, data, JOIN)] == [Denied(None, '{"made": "a"}')]


# --- frames of a reply -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_reply_is_read_when_its_last_byte_is_there(name: str) -> None:
    speaks = codec(name)
    data = speaks.write_completion(JOIN, b"lobby", "bob", b"t0k")
    assert all(isinstance(speaks.read_reply(data[:size], JOIN), Partial) for size in range(len(data)))
    whole = speaks.read_reply(bytearray(data) + b"and more", JOIN)
    assert isinstance(whole, Reply)
    assert (whole.size, whole.says) == (len(data), Completed(b"t0k"))
    assert data.endswith(whole.payload)
    assert type(whole.payload) is bytes


def test_a_reply_of_64_kib_is_read_and_far_more_never_is() -> None:
    speaks = codec("json-endpoint")
    most = REPLY_PAYLOAD_BYTES_MAX
    assert most == 65536
    fits = speaks.read_reply(write_frame(0, 2, 1, b"", bytes(most)), JOIN)
    assert isinstance(fits, Reply)
    assert len(fits.payload) == most
    header = write_frame(0, 2, 1, b"", b"")[:3] + (2 * most).to_bytes(29, "big")
    assert speaks.read_reply(header, JOIN) == Unread("a reply of 131072 bytes")


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
