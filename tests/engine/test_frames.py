"""TCP frames: which bytes are a header, and which bytes a frame becomes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcrp.engine.frames import CODES, HEADER_BYTES, OPERATIONS, Header, read_header, write_frame, write_request
from tcrp.spec.names import Operation


def test_a_frame_is_header_room_and_payload_in_this_order() -> None:
    assert write_frame(5, 2, 1, b"lobby", b"hello") == b"\x05\x02\x01" + bytes(28) + b"\x05" + b"lobby" + b"hello"


def test_the_length_of_the_payload_is_big_endian_in_29_bytes() -> None:
    header = b"\x00\x01\x00" + b"\x01" + bytes(26) + b"\x02\x03"
    assert read_header(header) == Header(0, 1, 0, (1 << 224) + 0x0203)
    assert read_header(b"\xff" * HEADER_BYTES) == Header(255, 255, 255, 2**232 - 1)
    assert write_frame(0, 1, 0, b"", bytes(0x0203))[:HEADER_BYTES] == b"\x00\x01\x00" + bytes(27) + b"\x02\x03"


def test_a_header_is_whole_with_its_32nd_byte_and_not_before() -> None:
    frame = write_frame(5, 1, 2, b"lobby", b"token")
    assert read_header(frame[:31]) is None
    assert read_header(b"") is None
    assert read_header(frame[:32]) == read_header(bytearray(frame)) == Header(5, 1, 2, 5)


def test_a_room_name_of_255_bytes_fits_and_one_of_256_is_the_callers_mistake() -> None:
    assert write_frame(255, 1, 0, b"x" * 255, b"")[0] == 255
    with pytest.raises(ValueError, match=r"^room name is 256 bytes, at most 255 fit$"):
        write_frame(256, 1, 0, b"x" * 256, b"")


@pytest.mark.parametrize(("operation", "code"), [(Operation.CREATE, 1), (Operation.JOIN, 2), (Operation.LIST, 2)])
def test_a_request_carries_its_operation_and_state_0(operation: Operation, code: int) -> None:
    assert write_request(operation, b"lobby", b"bob") == bytes((5, code, 0)) + bytes(28) + b"\x03lobbybob"
    assert CODES[operation] == code


def test_the_code_2_is_a_join_and_a_listing_is_told_by_its_empty_room() -> None:
    assert OPERATIONS == {1: Operation.CREATE, 2: Operation.JOIN}


@given(st.binary(max_size=40), st.integers(0, 255), st.integers(0, 255), st.binary(max_size=300))
def test_a_header_is_read_as_it_was_written(room: bytes, operation: int, state: int, payload: bytes) -> None:
    frame = write_frame(len(room), operation, state, room, payload)
    assert read_header(frame) == Header(len(room), operation, state, len(payload))
    assert frame[HEADER_BYTES:] == room + payload
