"""Reads captures of tcpdump and tshark (pcap and pcapng; Ethernet, loopback, Linux cooked, raw IP) as packets.

Knows link layers, IP and its fragments, by the library dpkt; nothing of the protocol.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any, BinaryIO

from tcrp.judge.recorded import Packet
from tcrp.live.extras import missing

PCAP = (b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1")
PCAP_HEADER_BYTES, PCAP_PACKET_BYTES = 24, 16
PCAPNG_LITTLE = b"\x4d\x3c\x2b\x1a"
PCAPNG = b"\x0a\x0d\x0d\x0a"
NULL, ETHERNET, RAW, LOOP, COOKED, IPV4, IPV6, COOKED_2 = 0, 1, 101, 108, 113, 228, 229, 276
OUTGOING = 4
FRAGMENTED_MAX = 256
"""Datagrams of which some fragments have come."""
PORTS_NAMED = 6


class CannotRead(Exception):
    """The file is no capture that can be read. The message says why."""


class Capture:
    """The packets of a capture that go to or come from a server's ports.

    `cut` says, once they have been read, where a file ended too early. `ports` are those that other packets had.
    """

    def __init__(self, path: Path, tcp_port: int, udp_port: int) -> None:
        self.cut: str | None = None
        self.ports: dict[str, int] = {}
        self.packets_seen = 0
        self._path = path
        self._tcp_port = tcp_port
        self._udp_port = udp_port
        self._is_ng = False
        self._fragments: dict[tuple[Any, ...], dict[int, tuple[bytes, bool]]] = {}

    def packets(self) -> Iterator[Packet]:
        """The packets, in the order of the file. Raises `CannotRead`, and `OSError` for a file that cannot be read."""
        try:
            import dpkt
        except ModuleNotFoundError:
            raise CannotRead(missing("reading captures", "dpkt", "judge")) from None
        with self._path.open("rb") as file:
            is_whole = _is_whole(file)
            reader = self._reader(file, dpkt)
            link = reader.datalink()
            began: float | None = None
            for at, frame in self._frames(iter(reader), dpkt, is_whole=is_whole):
                self.packets_seen += 1
                began = float(at) if began is None else began
                packet = self._packet(dpkt, link, frame, round((float(at) - began) * 1_000_000))
                if packet is not None:
                    yield packet

    def _frames(self, frames: Iterator[Any], dpkt: Any, *, is_whole: bool) -> Iterator[Any]:
        """The frames that are whole: at the end of a pcap that is not, the library gives a part of one."""
        before: Any = None
        try:
            for frame in frames:
                if before is not None:
                    yield before
                before = frame
            is_cut = not is_whole
        except (dpkt.Error, struct.error, ValueError, EOFError):
            is_cut = True
            if before is not None:
                yield before
        else:
            if before is not None and (is_whole or self._is_ng):
                yield before
        if is_cut:
            self.cut = f"the capture is truncated behind packet {self.packets_seen}"

    def _reader(self, file: BinaryIO, dpkt: Any) -> Any:
        file.seek(0)
        self._is_ng = file.read(4) == PCAPNG
        file.seek(0)
        try:
            return dpkt.pcapng.Reader(file) if self._is_ng else dpkt.pcap.Reader(file)
        except (dpkt.Error, struct.error, ValueError) as error:
            raise CannotRead(f"the capture ends in its header, or is none: {error}") from None

    def _packet(self, dpkt: Any, link: int, frame: bytes, at_us: int) -> Packet | None:
        try:
            ip = _ip(dpkt, link, frame)
        except (dpkt.Error, struct.error, IndexError):
            return None
        if ip is None:
            return None
        source, target = (str(ip_address(bytes(each))) for each in (ip.src, ip.dst))
        transport = ip.data
        if isinstance(ip, dpkt.ip.IP) and (ip.mf or ip.offset):
            whole = self._put_together(dpkt, ip)
            if whole is None:
                return None
            transport = whole
        if isinstance(transport, dpkt.tcp.TCP):
            is_tcp, port = True, self._tcp_port
        elif isinstance(transport, dpkt.udp.UDP):
            is_tcp, port = False, self._udp_port
        else:
            return None
        if port not in (transport.sport, transport.dport):
            name = f"{'TCP' if is_tcp else 'UDP'} {min(transport.sport, transport.dport)}"
            self.ports[name] = self.ports.get(name, 0) + 1
            return None
        if isinstance(ip, dpkt.ip.IP) and ip.len > len(ip):
            raise CannotRead(
                f"packet {self.packets_seen} is not captured whole, but {len(ip)} of {ip.len} bytes: "
                "leave the limit of bytes for each packet (-s) at its default"
            )
        to_server = transport.dport == port
        client = (source, transport.sport) if to_server else (target, transport.dport)
        data = bytes(transport.data)
        if not is_tcp:
            return Packet(self.packets_seen, at_us, False, to_server, client, data)
        flags = transport.flags
        return Packet(
            self.packets_seen, at_us, True, to_server, client, data, transport.seq,
            opens=bool(flags & dpkt.tcp.TH_SYN), ends=bool(flags & (dpkt.tcp.TH_FIN | dpkt.tcp.TH_RST)),
        )  # fmt: skip

    def _put_together(self, dpkt: Any, ip: Any) -> Any:
        """The transport of a datagram whose last missing fragment this is, or None."""
        key = bytes(ip.src), bytes(ip.dst), ip.id, ip.p
        if key not in self._fragments and len(self._fragments) >= FRAGMENTED_MAX:
            del self._fragments[next(iter(self._fragments))]
        pieces = self._fragments.setdefault(key, {})
        pieces[ip.offset] = bytes(ip.data), not ip.mf  # dpkt leaves the data of a fragment as bytes
        data = b""
        while len(data) in pieces:
            piece, is_last = pieces[len(data)]
            data += piece
            if is_last:
                del self._fragments[key]
                return dpkt.udp.UDP(data) if ip.p == dpkt.ip.IP_PROTO_UDP else None
            if not piece:
                break
        return None

    def ports_named(self) -> str:
        """The ports that were seen, the busiest first, for somebody who has given others."""
        return ", ".join(sorted(self.ports, key=lambda name: -self.ports[name])[:PORTS_NAMED])


def is_capture(head: bytes) -> bool:
    """Whether a file that begins so is a capture."""
    return head[:4] in (*PCAP, PCAPNG)


def _is_whole(file: BinaryIO) -> bool:
    """Whether a capture ends where its last packet does: the library takes a part of a packet for a whole one."""
    size = file.seek(0, 2)
    file.seek(0)
    magic = file.read(4)
    at = 0 if magic == PCAPNG else PCAP_HEADER_BYTES
    little = magic in (PCAP[1], PCAP[3])
    while at < size:
        file.seek(at)
        head = file.read(PCAP_PACKET_BYTES)
        if magic == PCAPNG:  # blocks: type, length, and in the first one the byte order
            if head[:4] == PCAPNG:
                little = head[8:12] == PCAPNG_LITTLE
            length = int.from_bytes(head[4:8], "little" if little else "big")
        else:
            length = PCAP_PACKET_BYTES + int.from_bytes(head[8:12], "little" if little else "big")
        if length < 12:
            return False
        at += length
    return at == size


def _ip(dpkt: Any, link: int, frame: bytes) -> Any:
    """The IP packet in a frame, or None."""
    if link == ETHERNET:
        inside = dpkt.ethernet.Ethernet(frame).data
    elif link in (NULL, LOOP):
        inside = dpkt.loopback.Loopback(frame).data
    elif link in (COOKED, COOKED_2):
        cooked = dpkt.sll.SLL(frame) if link == COOKED else dpkt.sll2.SLL2(frame)
        inside = cooked.data
        if cooked.type == OUTGOING and getattr(inside, "dst", b"")[:1] == b"\x7f":
            return None  # `-i any` has what stays on the loopback twice, leaving and arriving
    elif link in (RAW, IPV4, IPV6, 12, 14):
        inside = (dpkt.ip6.IP6 if frame[0] >> 4 == 6 else dpkt.ip.IP)(frame)
    else:
        raise CannotRead(f"captures of link type {link} cannot be read; Ethernet, loopback, cooked and raw IP can")
    return inside if isinstance(inside, dpkt.ip.IP | dpkt.ip6.IP6) else None
