"""TCP frames and their bytes. Total: any bytes are a header, too few bytes for one, or a frame that is refused.

`room_len(1) operation(1) state(1) payload_len(29, big-endian)`, then the room, then the payload.
Knows nothing of what a payload means; that is the dialect's affair.
"""

from __future__ import annotations

from typing import NamedTuple

from tcrp.spec.limits import NAME_BYTES_MAX
from tcrp.spec.names import Operation

HEADER_BYTES = 32
PAYLOAD_LEN_BYTES = 29

CREATE, JOIN = 1, 2
STATE_REQUEST = 0

OPERATIONS = {CREATE: Operation.CREATE, JOIN: Operation.JOIN}
CODES = {Operation.CREATE: CREATE, Operation.JOIN: JOIN, Operation.LIST: JOIN}


class Header(NamedTuple):
    """The first 32 bytes of a frame. `payload_bytes` is what the peer claims, up to 2**232 - 1."""

    room_bytes: int
    operation: int
    state: int
    payload_bytes: int


def read_header(data: bytes | bytearray) -> Header | None:
    """The header at the start of `data`, or None if it is not whole yet."""
    if len(data) < HEADER_BYTES:
        return None
    return Header(data[0], data[1], data[2], int.from_bytes(data[3:HEADER_BYTES], "big"))


def write_frame(room_bytes: int, operation: int, state: int, room: bytes, payload: bytes) -> bytes:
    """One frame. `room_bytes` is the length that the header names: some dialects name a room and leave it out.

    Raises `ValueError` where a number does not fit its byte.
    """
    if room_bytes > NAME_BYTES_MAX:
        raise ValueError(f"room name is {room_bytes} bytes, at most {NAME_BYTES_MAX} fit")
    head = bytes((room_bytes, operation, state)) + len(payload).to_bytes(PAYLOAD_LEN_BYTES, "big")
    return head + room + payload


def write_request(operation: Operation, room: bytes, payload: bytes) -> bytes:
    """A client's request. Raises `ValueError` for a room name that no length byte can hold."""
    return write_frame(len(room), CODES[operation], STATE_REQUEST, room, payload)
