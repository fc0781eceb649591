"""Ethernet frames with IP and TCP or UDP inside, as bytes with right checksums.

Knows the layout of the headers, nothing of chat. A frame may be made without its payload, as a capture that kept
only the headers has it: lengths are then those of the whole packet, and no checksum of TCP or UDP is set.
"""

from __future__ import annotations

import struct
from enum import IntFlag
from ipaddress import ip_address
from typing import NamedTuple

IPV4, IPV6 = 0x0800, 0x86DD
TCP, UDP = 6, 17
HOPS = 64
WINDOW = 65535
SEGMENT_BYTES_MAX = 1460
"""The maximum segment size that both ends announce: that of an Ethernet with IPv4."""
_SEGMENT_SIZE_OPTION = struct.pack("!BBH", 2, 4, SEGMENT_BYTES_MAX)


class Flag(IntFlag):
    """The flags of a TCP segment that are used."""

    FIN = 1
    SYN = 2
    RST = 4
    PSH = 8
    ACK = 16


class Endpoint(NamedTuple):
    """Where a packet comes from or goes to. `station` numbers the Ethernet card, whatever the address says."""

    station: int
    ip: str
    port: int


class Frame(NamedTuple):
    """The bytes of a frame, and how many there would be with the whole payload."""

    data: bytes
    size: int


def udp_frame(source: Endpoint, target: Endpoint, payload: bytes | None, size: int) -> Frame:
    """A datagram. `payload` None: it is not known, only that it has `size` bytes."""
    header = struct.pack("!HHHH", source.port, target.port, 8 + size, 0)
    if payload is not None:
        # 0 would say that there is no checksum; its other form in ones' complement says the same number.
        checksum = _checksum(_pseudo_header(source, target, UDP, 8 + size) + header + payload) or 0xFFFF
        header = header[:6] + checksum.to_bytes(2, "big")
    return _frame(source, target, UDP, header, payload, size)


def tcp_frame(
    source: Endpoint, target: Endpoint, flags: Flag, sequence: int, acknowledged: int, payload: bytes | None, size: int
) -> Frame:
    """A segment. `payload` None: it is not known, only that it has `size` bytes."""
    options = _SEGMENT_SIZE_OPTION if flags & Flag.SYN else b""
    words = (20 + len(options)) // 4
    header = struct.pack(
        "!HHIIBBHHH", source.port, target.port, sequence, acknowledged, words << 4, flags, WINDOW, 0, 0
    )
    header += options
    if payload is not None or not size:
        length = len(header) + size
        checksum = _checksum(_pseudo_header(source, target, TCP, length) + header + (payload or b""))
        header = header[:16] + checksum.to_bytes(2, "big") + header[18:]
    return _frame(source, target, TCP, header, payload, size)


def _frame(source: Endpoint, target: Endpoint, protocol: int, header: bytes, payload: bytes | None, size: int) -> Frame:
    inner = len(header) + size
    from_ip, to_ip = ip_address(source.ip), ip_address(target.ip)
    if from_ip.version == 6:
        kind = IPV6
        ip = struct.pack("!IHBB", 6 << 28, inner, protocol, HOPS) + from_ip.packed + to_ip.packed
    else:
        kind = IPV4
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + inner, 0, 0x4000, HOPS, protocol, 0)
        ip += from_ip.packed + to_ip.packed
        ip = ip[:10] + _checksum(ip).to_bytes(2, "big") + ip[12:]
    ethernet = _station(target.station) + _station(source.station) + kind.to_bytes(2, "big")
    data = ethernet + ip + header + (payload or b"")
    return Frame(data, len(ethernet) + len(ip) + inner)


def _station(number: int) -> bytes:
    """A locally administered address."""
    return b"\x02" + number.to_bytes(5, "big")


def _pseudo_header(source: Endpoint, target: Endpoint, protocol: int, length: int) -> bytes:
    from_ip, to_ip = ip_address(source.ip), ip_address(target.ip)
    # Both forms sum up to the same: zeros more or less, and the length in two or four bytes, change nothing.
    return from_ip.packed + to_ip.packed + struct.pack("!II", length, protocol)


def _checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
