"""A server's replies, as a client reads them, in the dialect's words and in others."""

from __future__ import annotations

import json

import pytest

from changed_dialects import changed
from tcrp.engine.codec import Codec, codec
from tcrp.engine.frames import HEADER_BYTES, write_frame
from tcrp.engine.meanings import Accepted, Completed, Denied, Reply, Unread
from tcrp.engine.replies import REPLY_PAYLOAD_BYTES_MAX
from tcrp.engine.templates import Partial
from tcrp.spec.dialects import NAMES
from tcrp.spec.limits import TOKEN_BYTES_MAX
from tcrp.spec.names import Operation, Reason

CREATE, JOIN = Operation.CREATE, Operation.JOIN


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


def test_a_reply_has_at_most_64_kib_and_4096_bytes_of_frame() -> None:
    for promised, most in ((65536 + 4096 - HEADER_BYTES, True), (65536 + 4096 - HEADER_BYTES + 1, False)):
        head = bytes((0, 2, 1)) + promised.to_bytes(29, "big")
        read = codec("json-endpoint").read_reply(head, JOIN)
        assert isinstance(read, Partial) if most else read == Unread(f"a reply of {promised} bytes")


# --- what may be a token, or a refusal in other words ---------------------------------------------------------------


ONE_STATE = ('[refusal]\nstate = 1\npayload = ["reason"]', '[refusal]\nstate = 2\npayload = ["reason"]')
"""Refusals and completions of name-port are in one form: a word, or a token."""
WITH_STATUS = (
    '[refusal]\nstate = 1\npayload = ["reason"]',
    '[refusal]\nstate = 2\npayload = ["status: u1", "reason"]\n\n[status]\nroom_exists = 1\nno_such_room = 2\n'
    "wrong_password = 3\nbad_request = 4\nroom_full = 5\nname_taken = 5\ntoo_many_requests = 7",
)


@pytest.mark.parametrize(
    ("change", "payload", "expected"),
    [
        (ONE_STATE, b"ROOM_FULL", Denied(Reason.ROOM_FULL, "ROOM_FULL")),
        (ONE_STATE, b"SOMETHING", Completed(b"SOMETHING")),
        (WITH_STATUS, b"\x05ROOM_FULL", Denied(Reason.ROOM_FULL, "05524f4f4d5f46554c4c")),
        (WITH_STATUS, b"\x99ROOM_FULL", Denied(Reason.ROOM_FULL, "99524f4f4d5f46554c4c")),
        (WITH_STATUS, b"\x02other", Denied(Reason.NO_SUCH_ROOM, "026f74686572")),
        (WITH_STATUS, b"\x05other", Denied(None, "056f74686572")),
        (WITH_STATUS, b"\x99other", Completed(b"\x99other")),
    ],
)
def test_a_refusal_by_word_or_status_comes_before_a_token_and_other_words_behind_it(
    change: tuple[str, str], payload: bytes, expected: object
) -> None:
    reply = changed("name-port", change).read_reply(write_frame(5, 2, 2, b"", payload), JOIN)
    assert isinstance(reply, Reply)
    assert reply.says == expected


def test_json_with_a_token_is_a_completion_whatever_else_it_says() -> None:
    speaks = changed("json-endpoint", ("[refusal]\nstate = 1", "[refusal]\nstate = 2"))
    for more, expected in ((b', "token": "t0k"', Completed(b"t0k")), (b"", Reason.NO_SUCH_ROOM)):
        payload = b'{"status": 404, "message": "hello"%s}' % more
        reply = speaks.read_reply(write_frame(0, 2, 2, b"", payload), JOIN)
        assert isinstance(reply, Reply)
        assert (reply.says.reason if isinstance(reply.says, Denied) else reply.says) == expected


def test_a_form_that_only_one_reason_has_tells_it() -> None:
    speaks = changed("name-port", ("[words]", "[refusal.room_full]\npayload = ['hex 07']\n\n[words]"))
    assert [each.says for each in replies_in(speaks, write_frame(5, 2, 1, b"", b"\x07"))] == [
        Denied(Reason.ROOM_FULL, "\x07")
    ]


def test_other_words_where_only_the_end_of_the_stream_ends_a_refusal_are_unread() -> None:
    for word, expected in (("Go away", None), ("room_full", Reason.ROOM_FULL)):
        said = json.dumps({"message": word, "operation": 2, "state": 1})
        read = codec("room-user-token-lengths").read_reply(said.encode(), JOIN, is_over=True)
        if expected is None:
            assert read == Unread(said)
        else:
            assert isinstance(read, Reply)
            assert read.says == Denied(expected, said)


@pytest.mark.parametrize(("size", "held"), [(TOKEN_BYTES_MAX, True), (TOKEN_BYTES_MAX + 1, False)])
def test_no_token_is_longer_than_any_datagram_has_room_for(size: int, held: bool) -> None:
    speaks = codec("colon-fields")
    reply = speaks.read_reply(b"\x02" + b"t" * size, JOIN, is_over=True, is_accepted=True)
    assert isinstance(reply, Reply)
    assert isinstance(reply.says, Completed) is held


# --- messages of no form of the dialect -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["text", "state-one"])
def test_a_message_of_another_state_is_waited_for_and_is_a_refusal_when_whole(name: str) -> None:
    payload = b"Not today"
    data = bytes((0, 1, 1 if name == "state-one" else 7)) + len(payload).to_bytes(29, "big") + payload
    assert all(isinstance(codec(name).read_reply(data[:size], JOIN), Partial) for size in range(32, len(data)))
    reply = codec(name).read_reply(data, JOIN)
    assert isinstance(reply, Reply)
    assert (reply.size, reply.says) == (len(data), Denied(None, "Not today"))


@pytest.mark.parametrize("size", [40, 80, 81])
def test_of_bytes_without_the_frame_of_a_reply_the_first_80_are_told(size: int) -> None:
    header = '"len(room): u1", "operation: u1", "state: u1", "len(payload): u29", "payload"]'
    speaks = changed("name-port", (f"reply_frame = [{header}", f"reply_frame = [\"'R'\", {header}"))
    said = b"HTTP/1.1 400 Bad Request\r\n" * 4
    assert speaks.read_reply(said[:size], JOIN, is_over=True) == Unread(said[: min(size, 80)].decode())
