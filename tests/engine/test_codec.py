"""A dialect's bytes from both sides: what a client writes a server reads, and the reverse."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tcrp.engine.codec import (
    REPLY_PAYLOAD_BYTES_MAX,
    Accepted,
    Codec,
    Completed,
    Denied,
    Frame,
    Relayed,
    Request,
    Unread,
    codec,
    codec_of,
    learns_port,
    port_fault,
    port_is_clear,
    recognise,
)
from tcrp.engine.frames import HEADER_BYTES, write_frame
from tcrp.spec.dialects import NAMES, LearnedFrom, RelayForm, RoomIn, dialect
from tcrp.spec.names import Operation, Reason

JSON_NAMES = tuple(name for name in NAMES if name.startswith("json"))
CREATE, JOIN = Operation.CREATE, Operation.JOIN


def payload_of(frame: bytes, *, room: bytes = b"lobby") -> bytes:
    """The payload of a request, behind its header and its room."""
    assert frame[HEADER_BYTES:].startswith(room)
    return frame[HEADER_BYTES + len(room) :]


def frames_of(speaks: Codec, data: bytes) -> list[Frame]:
    """All frames of a reply."""
    frames = []
    while data:
        frame = speaks.read_frame(data)
        assert isinstance(frame, Frame)
        frames.append(frame)
        data = data[frame.size :]
    return frames


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
    assert speaks.read_request(payload) == Request(b"bob", password, port)
    assert speaks.takes_password is bool(password)
    assert speaks.speaks_json is (name in JSON_NAMES)


def test_a_request_without_a_password_has_an_empty_one() -> None:
    assert codec("json").read_request(b'{"username": "bob"}') == Request(b"bob", "", None)


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("json", b'{"username": 7}'),
        ("json", b'{"username": "bob", "password": 7}'),
        ("json", b'{"username": "bob", "password": null}'),
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
    assert codec(name).read_request(payload) is None


def test_two_bytes_are_a_port_behind_an_empty_name_which_is_judged_later() -> None:
    assert codec("name-port").read_request(b"\x13\x88") == Request(b"", "", 5000)


# --- recognition -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NAMES if name != "name-port-list"])
def test_a_request_is_recognised_by_its_payload(name: str) -> None:
    found = recognise(REQUESTS[name])
    assert found == (codec(name), codec(name).read_request(REQUESTS[name]))


@pytest.mark.parametrize("payload", [b'{"nick": "bob"}', b'"bob', b"{", b"", b"\xff", b"\x13\x88", b"a:b\x13\x88"])
def test_a_payload_of_no_dialect_is_not_recognised(payload: bytes) -> None:
    assert recognise(payload) is None


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("json", b'{"username": 5, "password": ""}'),
        ("json", b'{"username": "bob", "password": null, "answer_keep_alive": true}'),
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
    if speaks.dialect.frames == 2:
        data = speaks.write_answer(operation, b"lobby") + data
        replies.insert(0, Accepted())
    frames = frames_of(speaks, data)
    assert [speaks.read_reply(frame) for frame in frames] == replies
    assert [frame.state for frame in frames] == [1, 2][-len(replies) :]
    assert {frame.operation for frame in frames} == {1 if operation is CREATE else 2}


@pytest.mark.parametrize(
    ("name", "head"),
    [("text", b"\x05\x02\x01"), ("json-address", b"\x05\x02\x00"), ("json-endpoint", b"\x00\x02\x01"),
     ("json-port", b"\x05\x02\x01"), ("json-name", b"\x05\x02\x01"), ("name-port", b"\x05\x02\x01")],
)  # fmt: skip
def test_a_refusal_has_its_dialects_state_and_room(name: str, head: bytes) -> None:
    speaks = codec(name)
    frame = speaks.write_refusal(2, b"lobby", Reason.NAME_TAKEN)[0]
    assert frame[:3] == head
    assert frame[HEADER_BYTES:].startswith(b"lobby") is (name not in ("json-address", "json-endpoint"))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "json-name"])
@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_is_read_with_its_reason(name: str, reason: Reason) -> None:
    speaks = codec(name)
    [data] = speaks.write_refusal(2, b"lobby", reason)
    [frame] = frames_of(speaks, data)
    reply = speaks.read_reply(frame)
    assert isinstance(reply, Denied)
    assert reply.reason is reason
    assert reply.said == (frame.payload.hex() if name in ("text", "json") else frame.payload.decode())


def test_a_refusal_of_json_name_names_no_reason_and_ends_with_an_empty_token() -> None:
    speaks = codec("json-name")
    first, second = frames_of(speaks, b"".join(speaks.write_refusal(1, b"lobby", Reason.ROOM_FULL)))
    assert (first.state, speaks.read_reply(first)) == (1, Denied(None, '{"success": 0}'))
    assert (second.state, second.payload) == (2, b'{"token": ""}')
    assert speaks.read_reply(second) == Denied(None, "the completion holds no token")


@pytest.mark.parametrize("operation", [0, 1, 2, 255])
def test_a_refusal_echoes_the_peers_own_operation(operation: int) -> None:
    [frame] = codec("text").write_refusal(operation, b"lobby", Reason.BAD_REQUEST)
    assert frame[1] == operation


@pytest.mark.parametrize(
    ("name", "payload", "denied"),
    [
        ("text", b"\x63", Denied(None, "63")),
        ("text", b"\x05\x05", Denied(None, "0505")),
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
    reply = codec(name).read_reply(Frame(0, 2, 1, payload))
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
    reply = codec(name).read_reply(Frame(0, 2, 1, payload))
    assert isinstance(reply, Accepted) is accepted


def test_an_answer_accepts_when_all_that_its_template_fixes_agrees() -> None:
    """No dialect of the eight fixes two values; a ninth may."""
    answer = replace(codec("json-name").dialect.answer, json={"state": 1, "success": 1, "error": ""})
    speaks = codec_of(replace(dialect("json-name"), answer=answer))
    for payload, accepted in (
        (b'{"state": 1, "success": 1, "error": ""}', True),
        (b'{"state": 1, "success": 0, "error": ""}', False),
        (b'{"state": 1, "success": 1, "error": "full"}', False),
        (b'{"state": 1, "success": 1}', False),
    ):
        assert isinstance(speaks.read_reply(Frame(0, 2, 1, payload)), Accepted) is accepted


def test_a_dialect_of_one_frame_has_no_acceptance() -> None:
    speaks = codec("json-address")
    assert isinstance(speaks.read_reply(Frame(0, 2, 1, b"\x00")), Denied)


@pytest.mark.parametrize(("size", "held"), [(0, False), (1, True), (255, True), (256, False)])
@pytest.mark.parametrize("name", ["text", "json-name"])
def test_a_token_is_1_to_255_bytes(name: str, size: int, held: bool) -> None:
    token = b"t" * size
    payload = token if name == "text" else json.dumps({"token": token.decode()}).encode()
    reply = codec(name).read_reply(Frame(0, 2, 2, payload))
    assert reply == (Completed(token) if held else Denied(None, "the completion holds no token"))


@pytest.mark.parametrize("payload", [b"t0k", b'{"token": 7}', b'{"word": "t0k"}', b'["t0k"]'])
def test_a_completion_without_its_token_is_a_refusal(payload: bytes) -> None:
    assert codec("json-name").read_reply(Frame(0, 2, 2, payload)) == Denied(None, "the completion holds no token")


@pytest.mark.parametrize("operation", [1, 2])
def test_a_foreign_completion_may_hold_more_and_leave_its_sentences_out(operation: int) -> None:
    """The status says whether a room was created or joined; a client takes the token whatever it says."""
    reply = codec("json-endpoint").read_reply(Frame(0, operation, 2, b'{"token": "t0k", "extra": true}'))
    assert reply == Completed(b"t0k")


def test_creating_and_joining_are_completed_by_their_own_templates() -> None:
    speaks = codec("json-endpoint")
    created, joined = (speaks.write_completion(each, b"lobby", "bob", b"t0k") for each in (CREATE, JOIN))
    assert json.loads(created[HEADER_BYTES:])["status"] == 201
    assert json.loads(joined[HEADER_BYTES:])["status"] == 200
    mixed = codec_of(replace(speaks.dialect, created=replace(speaks.dialect.created, json={"made": "{token}"})))
    assert mixed.read_reply(Frame(0, 1, 2, b'{"made": "a"}')) == Completed(b"a")
    assert mixed.read_reply(Frame(0, 2, 2, b'{"made": "a"}')) == Denied(None, "the completion holds no token")


# --- frames of a reply -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_of_a_reply_is_read_when_its_last_byte_is_there(name: str) -> None:
    speaks = codec(name)
    data = speaks.write_completion(JOIN, b"lobby", "bob", b"t0k")
    assert all(speaks.read_frame(data[:size]) is None for size in range(len(data)))
    whole = speaks.read_frame(bytearray(data) + b"and more")
    assert isinstance(whole, Frame)
    assert (whole.size, whole.operation, whole.state) == (len(data), 2, 2)
    assert data.endswith(whole.payload)
    assert type(whole.payload) is bytes


def test_a_reply_of_64_kib_is_read_and_one_byte_more_never_is() -> None:
    speaks = codec("json-endpoint")
    most = REPLY_PAYLOAD_BYTES_MAX
    assert most == 65536
    fits = speaks.read_frame(write_frame(0, 2, 1, b"", bytes(most)))
    assert isinstance(fits, Frame)
    assert len(fits.payload) == most
    header = write_frame(0, 2, 1, b"", b"")[:3] + (most + 1).to_bytes(29, "big")
    assert speaks.read_frame(header) == Unread("a reply of 65537 bytes")


def test_where_a_refusal_holds_the_room_and_an_answer_does_not_the_length_tells() -> None:
    """`name-port` answers without the room and refuses with it, both in state 1."""
    speaks = codec("name-port")
    answer = speaks.read_frame(write_frame(5, 2, 1, b"", b"OK"))
    refusal = speaks.read_frame(write_frame(5, 2, 1, b"lobby", b"ROOM_FULL"))
    assert isinstance(answer, Frame)
    assert isinstance(refusal, Frame)
    assert (answer.payload, refusal.payload) == (b"OK", b"ROOM_FULL")
    completion = speaks.read_frame(write_frame(5, 2, 2, b"", b"a token"))
    assert isinstance(completion, Frame)
    assert completion.payload == b"a token"


def test_an_answer_of_one_byte_may_leave_the_room_out_where_its_refusals_hold_it() -> None:
    """No dialect of the eight does; a ninth may. The answer is then the frame of one byte, so refusals need words."""
    refusals = {reason: replace(each, room=RoomIn.EMPTY) for reason, each in dialect("text").refusals.items()}
    speaks = codec_of(replace(dialect("text"), refusals=refusals))
    answer = speaks.read_frame(speaks.write_answer(JOIN, b"lobby"))
    assert isinstance(answer, Frame)
    assert answer.payload == b"\x00"


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
    form = RelayForm(prefix=b"\x01\x02", head="<{name}>", length_byte=True, json=None)
    speaks = codec_of(replace(dialect("text"), relay=form))
    data = speaks.write_relay("bob", "hi")
    assert data == b"\x01\x02\x05<bob>hi"
    assert speaks.read_relay(data) == Relayed("bob", "hi")
    assert speaks.read_relay(data[1:]) is None
    assert speaks.read_relay(b"\x01\x02\x05bob>>hi") is None
    assert speaks.read_relay(b"\x01\x02\x05<bob<hi") is None


# --- notices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_sentence_is_read_as_it_was_written(name: str) -> None:
    speaks = codec(name)
    data = speaks.write_notice("Room closed")
    assert data == (b'\x00\x00{"sender": "", "message": "Room closed"}' if name == "json-endpoint" else b"Room closed")
    assert speaks.read_sentence(data) == "Room closed"


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
    assert codec("json-endpoint").read_sentence(data) is None


def test_a_notice_behind_a_prefix_is_read_only_behind_it() -> None:
    speaks = codec_of(replace(dialect("text"), notice_prefix=b"!!"))
    assert speaks.write_notice("Gone") == b"!!Gone"
    assert speaks.read_sentence(b"!!Gone") == "Gone"
    assert speaks.read_sentence(b"!Gone") is None
    assert speaks.read_sentence(b"!!\xff") is None


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
