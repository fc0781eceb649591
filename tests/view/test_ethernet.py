"""Frames as bytes: layouts and checksums, against values known from elsewhere."""

from __future__ import annotations

import struct

import pytest

from tcrp.view.ethernet import SEGMENT_BYTES_MAX, Endpoint, Flag, tcp_frame, udp_frame

ALICE = Endpoint(2, "10.0.0.1", 40001)
SERVER = Endpoint(1, "10.255.255.254", 9003)
ALICE_6 = Endpoint(2, "2001:db8::1", 40001)
SERVER_6 = Endpoint(1, "2001:db8::2", 9003)


def _sum(data: bytes) -> int:
    """The sum of RFC 1071, the slow way; 0xFFFF over anything whose checksum is right."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


@pytest.mark.parametrize("payload", [b"", b"a", b"ab", bytes(range(256)) * 5, b"\xff" * 4096])
@pytest.mark.parametrize(("source", "target"), [(ALICE, SERVER), (ALICE_6, SERVER_6)])
def test_checksums_cover_headers_addresses_and_payload(source: Endpoint, target: Endpoint, payload: bytes) -> None:
    header_bytes, address_bytes = (20, 4) if "." in source.ip else (40, 16)
    for frame, protocol in (
        (udp_frame(source, target, payload, len(payload)), 17),
        (tcp_frame(source, target, Flag.PSH | Flag.ACK, 2**32 - 1, 7, payload, len(payload)), 6),
    ):
        assert frame.size == len(frame.data)
        ip, transport = frame.data[14 : 14 + header_bytes], frame.data[14 + header_bytes :]
        if header_bytes == 20:
            assert _sum(ip) == 0xFFFF
        addresses = ip[-2 * address_bytes :]
        assert _sum(addresses + struct.pack("!II", len(transport), protocol) + transport) == 0xFFFF
        assert transport.endswith(payload)


def test_a_udp_checksum_of_zero_is_written_as_ones() -> None:
    # 0 would mean that there is none. These two bytes bring the sum to that.
    first = udp_frame(ALICE, SERVER, b"\0\0", 2).data
    [checksum] = struct.unpack("!H", first[40:42])
    assert udp_frame(ALICE, SERVER, checksum.to_bytes(2, "big"), 2).data[40:42] == b"\xff\xff"


def test_a_frame_without_its_payload_says_how_long_it_was() -> None:
    frame = udp_frame(ALICE, SERVER, None, 100)
    assert (len(frame.data), frame.size) == (42, 142)
    assert frame.data[38:40] == (108).to_bytes(2, "big")  # UDP's own length
    segment = tcp_frame(ALICE, SERVER, Flag.PSH | Flag.ACK, 1, 1, None, 100)
    assert (len(segment.data), segment.size) == (54, 154)


def test_a_syn_announces_the_segment_size() -> None:
    frame = tcp_frame(ALICE, SERVER, Flag.SYN, 5, 0, None, 0)
    assert frame.data[-4:] == struct.pack("!BBH", 2, 4, SEGMENT_BYTES_MAX)
    assert frame.data[14 + 20 + 12] == 6 << 4  # the header has six words
