"""A trace as a capture of the network (pcapng), for Wireshark and tools like it.

Each packet is shown at the moment at which it leaves its sender. What else happened is in comments: on the packet
that brought it about, and where none did, on the latest packet before. A trace holds no packet's bytes: the capture
is then one of headers only, as with `tcpdump -s`, unless whoever has run the scenario gives the bytes.
The acknowledgements of TCP are no records of a trace; they are added here.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import BinaryIO, NamedTuple
from zlib import crc32

from tcrp.spec.names import PacketKind
from tcrp.trace.header import Header
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, Record, TimerRecord
from tcrp.trace.sentences import timed_sentence
from tcrp.view.ethernet import SEGMENT_BYTES_MAX, Endpoint, Flag, Frame, tcp_frame, udp_frame

SERVER, BUCKET = "server", "bucket"
SERVER_IPS = {4: "10.255.255.254", 6: "2001:db8:ffff::1"}
TCP_PORT, UDP_PORT = 9002, 9003
FIRST_UDP_PORT = 40001
FIRST_TCP_PORT = 50001
COMMENTS_MAX = 50
"""Comments of one packet. A text to a thousand members would bring along as many."""
SEQUENCE_NUMBERS = 1 << 32
DATAGRAM_BYTES_MAX = 65507  # more does not fit into an IP packet


class Payload(NamedTuple):
    """The bytes of a packet, and between which addresses (IP address and port) it travels."""

    data: bytes
    source: tuple[str, int]
    target: tuple[str, int]


class NothingToShow(Exception):
    """The trace holds no packet, as those of programs on real sockets do."""


@dataclass(slots=True)
class _Captured:
    """A frame and what is said about it."""

    t_us: int
    frame: Frame
    comments: list[str] = field(default_factory=list)
    unsaid: int = 0

    def say(self, comment: str) -> None:
        if len(self.comments) < COMMENTS_MAX:
            self.comments.append(comment)
        else:
            self.unsaid += 1


class _End:
    """One end of a TCP connection: what it has sent, and what has arrived there."""

    __slots__ = ("arrived", "endpoint", "has_finished", "has_heard_all", "latest", "sent", "start")

    def __init__(self, endpoint: Endpoint, start: int) -> None:
        self.endpoint = endpoint
        self.start = start
        self.sent = 0  # sequence numbers: bytes, SYN and FIN
        self.arrived = 0
        self.has_finished = self.has_heard_all = False
        self.latest = -1  # the number of the latest frame that it has sent


class _Connection:
    """A TCP connection. `ends` are by the actor that sends."""

    __slots__ = ("client", "ends", "is_reset", "server")

    def __init__(self, client: str, server: str, ends: dict[str, _End]) -> None:
        self.client = client
        self.server = server
        self.ends = ends
        self.is_reset = False

    def between(self, source: str) -> tuple[_End, _End]:
        other = self.client if source == self.server else self.server
        return self.ends[source], self.ends[other]


_OPENING = re.compile(r"/open(#\d+)?(?=/|$)")
"""The end of the part of a packet's name that its whole connection has in common."""


class Capture:
    """Frames, made from records in their order. `payloads` are by the number of the record that a packet was sent.

    What servers of a cluster say to their bucket is not TCRP, and no packet here, but a comment.
    """

    def __init__(self, header: Header, payloads: Mapping[int, Payload] | None = None) -> None:
        self.header = header
        self.frames: list[_Captured] = []
        self._payloads = payloads
        self._frame_of = [-1]  # by number of a record: the frame on which its consequences are said
        self._early: list[str] = []  # comments from before the first frame
        self._waiting: dict[int, tuple[int, str]] = {}  # what may yet bring a packet about, with its cause
        self._now_us = 0
        self._connections: dict[str, _Connection] = {}
        self._ports: dict[str, int] = {}
        self._servers = header.servers or (SERVER,)
        self.stations: dict[str, int] = {server: number for number, server in enumerate(self._servers, 1)}
        self._ips: dict[str, str] = {}
        for number, (id, member) in enumerate(header.cast.items(), 1):
            self._ips[id] = _plain(member.address or f"10.0.{number >> 8}.{number & 255}")
        self._ips |= {server: f"10.255.255.{number}" for number, server in enumerate(header.servers, 1)}

    # --- records ---------------------------------------------------------------------------------

    def add(self, record: Record) -> None:
        """Take the next record."""
        if record.t_us != self._now_us:
            self._settle()
            self._now_us = record.t_us
        if isinstance(record, PacketRecord) and record.kind is Kind.SEND and not self._is_of_bucket(record):
            frame = self._send(record)
            self._frame_of.append(frame)
            self._claim(record.cause, frame)
            return
        # What a timer brings about is not said on the packet that set it, which may be hours back.
        frame = -1 if isinstance(record, TimerRecord) else self._frame_of[record.cause]
        self._frame_of.append(frame)
        comment = f"#{record.n} {timed_sentence(record)}"
        if frame >= 0:
            self.frames[frame].say(comment)
        else:
            self._waiting[record.n] = (record.cause, comment)
        if isinstance(record, PacketRecord) and record.kind is Kind.ARRIVE and record.proto == "tcp":
            if not self._is_of_bucket(record):
                self._acknowledge(record)
        elif isinstance(record, FaultRecord) and record.what == "reset":
            self._reset(record)

    def finish(self) -> None:
        """All records were taken. Raises `NothingToShow`."""
        self._settle()
        if not self.frames:
            raise NothingToShow

    def _claim(self, n: int, frame: int) -> None:
        """What has led to a packet at once is said on it, the earliest first."""
        found = []
        while n in self._waiting:
            cause, comment = self._waiting.pop(n)
            self._frame_of[n] = frame
            found.append(comment)
            n = cause
        for comment in reversed(found):
            self.frames[frame].say(comment)

    def _settle(self) -> None:
        """What has brought no packet about is said on the latest one."""
        if not self._waiting:
            return
        comments = [comment for _, comment in self._waiting.values()]
        self._waiting.clear()
        if not self.frames:
            self._early += comments
            return
        for comment in comments:
            self.frames[-1].say(comment)

    def _put(self, frame: Frame) -> int:
        captured = _Captured(self._now_us, frame)
        self.frames.append(captured)
        for comment in self._early:
            captured.say(comment)
        self._early = []
        return len(self.frames) - 1

    # --- packets ---------------------------------------------------------------------------------

    def _send(self, record: PacketRecord) -> int:
        """The number of the frame that shows a packet."""
        source, _, target = record.link.partition(">")
        payload = self._payloads.get(record.n) if self._payloads is not None else None
        if record.proto == "tcp":
            return self._send_segment(record, source, target, payload)
        data = None if payload is None else payload.data[:DATAGRAM_BYTES_MAX]
        sender, receiver = (payload.source, payload.target) if payload is not None else (None, None)
        ends = self._endpoint(source, target, sender, receiver), self._endpoint(target, source, receiver, sender)
        return self._put(udp_frame(*ends, data, min(record.bytes, DATAGRAM_BYTES_MAX)))

    def _send_segment(self, record: PacketRecord, source: str, target: str, payload: Payload | None) -> int:
        connection = self._connection(record.packet, source, target, payload, opens=record.what == PacketKind.OPEN)
        end, other = connection.between(source)
        match record.what:
            case PacketKind.OPEN:
                return self._segment(end, other, Flag.SYN, advance=1)
            case PacketKind.OPENED:
                return self._segment(end, other, Flag.SYN | Flag.ACK, advance=1)
            case PacketKind.CLOSE if end.has_finished:  # closing for good sends no second FIN
                return end.latest
            case PacketKind.CLOSE:
                end.has_finished = True
                return self._segment(end, other, Flag.FIN | Flag.ACK, advance=1)
            case PacketKind.RESET:
                connection.is_reset = True
                return self._segment(end, other, Flag.RST | Flag.ACK)
        first = -1
        for at in range(0, max(record.bytes, 1), SEGMENT_BYTES_MAX):
            size = min(record.bytes - at, SEGMENT_BYTES_MAX)
            data = payload.data[at : at + size] if payload is not None else None
            number = self._segment(end, other, Flag.PSH | Flag.ACK, data, size, advance=size)
            first = number if first < 0 else first
        return first

    def _segment(
        self, end: _End, other: _End, flags: Flag, data: bytes | None = None, size: int = 0, *, advance: int = 0
    ) -> int:
        sequence = (end.start + end.sent) % SEQUENCE_NUMBERS
        acknowledged = (other.start + end.arrived) % SEQUENCE_NUMBERS if flags & Flag.ACK else 0
        end.sent += advance
        end.latest = self._put(tcp_frame(end.endpoint, other.endpoint, flags, sequence, acknowledged, data, size))
        return end.latest

    def _acknowledge(self, record: PacketRecord) -> None:
        source, _, target = record.link.partition(">")
        connection = self._connection(record.packet, source, target, None, opens=False)
        sender, receiver = connection.between(source)
        if record.what == PacketKind.CLOSE:
            if receiver.has_heard_all:
                return  # closing for good sends no second FIN
            receiver.has_heard_all = True
        is_control = record.what in (PacketKind.OPEN, PacketKind.OPENED, PacketKind.CLOSE)
        receiver.arrived += 1 if is_control else record.bytes
        # The answer to a SYN is a record of its own, and a reset has none.
        if not connection.is_reset and record.what not in (PacketKind.OPEN, PacketKind.RESET):
            self._segment(receiver, sender, Flag.ACK)

    def _reset(self, fault: FaultRecord) -> None:
        """A scenario resets connections at both ends at once."""
        links = [link.partition(">")[::2] for link in fault.why.split(", ")]
        for connection in self._connections.values():
            ends = connection.ends.values()
            is_over = connection.is_reset or all(end.has_finished for end in ends)
            for source, target in links:
                up = source in ("all", connection.client) and target in ("all", connection.server)
                down = source in ("all", connection.server) and target in ("all", connection.client)
                if (up or down) and not is_over:
                    is_over = connection.is_reset = True
                    for actor in (connection.client, connection.server):
                        self._segment(*connection.between(actor), Flag.RST | Flag.ACK)

    # --- who is who ------------------------------------------------------------------------------

    def _connection(
        self, packet: str, source: str, target: str, payload: Payload | None, *, opens: bool
    ) -> _Connection:
        """The connection that a packet belongs to: the one that its name begins with, else the client's latest."""
        client, server = (target, source) if source in self._servers else (source, target)
        opening = _OPENING.search(packet)
        key = packet[: opening.end()] if opening is not None else ""
        found = self._connections.get(key)
        if found is None and not opens:
            of_client = [each for each in self._connections.values() if each.client == client]
            of_client.sort(key=lambda each: not each.is_reset)  # open ones last
            found = of_client[-1] if of_client else None
        if found is not None:
            return found
        known = payload is not None and source == client
        ip = payload.source[0] if payload is not None and known else self._ip(client)
        server_port = payload.target[1] if payload is not None and known else TCP_PORT
        port = self._ports[ip] = self._ports.get(ip, FIRST_TCP_PORT - 1) + 1
        ends = {
            client: _End(Endpoint(self._station(client), ip, port), crc32(packet.encode())),
            server: _End(
                Endpoint(self._station(server), self._server_ip(server, ip), server_port), crc32(f"{packet}<".encode())
            ),
        }
        connection = self._connections[key or packet] = _Connection(client, server, ends)
        return connection

    def _is_of_bucket(self, record: PacketRecord) -> bool:
        return bool(self.header.servers) and BUCKET in record.link.split(">")

    def _server_ip(self, server: str, peer_ip: str) -> str:
        """An only server has one address in the simulation, but packets of IPv6 have two of their kind."""
        return self._ip(server) if self.header.servers else SERVER_IPS[6 if ":" in peer_ip else 4]

    def _station(self, actor: str) -> int:
        return self.stations.setdefault(actor, len(self.stations) + 1)

    def _ip(self, actor: str) -> str:
        """An address for an actor: that of the cast, else the next free one of 10.1.0.0/16."""
        number = len(self._ips) + 1
        return self._ips.setdefault(actor, f"10.1.{number >> 8}.{number & 255}")

    def _endpoint(
        self, actor: str, other: str, address: tuple[str, int] | None, peer: tuple[str, int] | None
    ) -> Endpoint:
        """Where an actor sends or receives datagrams: at `address`, if it is known, in those exchanged with `other`."""
        if actor in self._servers and other not in self._servers:
            ip = peer[0] if peer is not None else self._ip(other)
            port = address[1] if address is not None else UDP_PORT
            return Endpoint(self._station(actor), self._server_ip(actor, ip), port)
        return Endpoint(self._station(actor), *(address or (self._ip(actor), FIRST_UDP_PORT)))

    def names(self) -> dict[str, list[str]]:
        """Who is behind each address of the cast."""
        names: dict[str, list[str]] = {}
        if not self.header.servers:
            names = {ip: [SERVER] for ip in SERVER_IPS.values()}
        for id, ip in self._ips.items():
            names.setdefault(ip, []).append(id)
        return names


def _plain(ip: str) -> str:
    return ip.removeprefix("::ffff:") if "." in ip else ip


# --- the file --------------------------------------------------------------------------------------

_SECTION, _INTERFACE, _NAMES, _PACKET = 0x0A0D0D0A, 1, 4, 6
_COMMENT, _PROGRAM, _INTERFACE_NAME, _RESOLUTION = 1, 4, 2, 9
_ETHERNET = 1
_NAME_IPV4, _NAME_IPV6 = 1, 2
_TEXT_BYTES_MAX = 65535


def write_pcapng(
    header: Header, records: Iterable[Record], file: BinaryIO, payloads: Mapping[int, Payload] | None = None
) -> int:
    """Write the capture of a trace. Returns the number of its packets. Raises `NothingToShow`."""
    capture = Capture(header, payloads)
    for record in records:
        capture.add(record)
    capture.finish()
    about = f"scenario {header.scenario}, seed {header.seed}" if header.scenario is not None else str(header.mode)
    section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    file.write(_block(_SECTION, section, (_COMMENT, about.encode()), (_PROGRAM, b"tcrp")))
    # Times are in microseconds, and all bytes of a packet are kept (0: no limit).
    interface = struct.pack("<HHI", _ETHERNET, 0, 0)
    file.write(_block(_INTERFACE, interface, (_INTERFACE_NAME, b"network"), (_RESOLUTION, b"\x06")))
    file.write(_block(_NAMES, b"".join(_name(ip, names) for ip, names in capture.names().items()) + bytes(4)))
    for captured in capture.frames:
        data, size = captured.frame
        head = struct.pack("<IIIII", 0, captured.t_us >> 32, captured.t_us & 0xFFFFFFFF, len(data), size)
        comments = captured.comments
        if captured.unsaid:
            comments = [*comments, f"and {captured.unsaid} more"]
        options = [(_COMMENT, comment.encode("utf-8", "replace")) for comment in comments]
        file.write(_block(_PACKET, head + _padded(data), *options))
    return len(capture.frames)


def _block(kind: int, body: bytes, *options: tuple[int, bytes]) -> bytes:
    for code, value in options:
        kept = value[:_TEXT_BYTES_MAX]
        body += struct.pack("<HH", code, len(kept)) + _padded(kept)
    if options:
        body += bytes(4)
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + length.to_bytes(4, "little")


def _name(ip: str, names: list[str]) -> bytes:
    address = ip_address(ip)
    value = address.packed + b"".join(name.encode("utf-8", "replace") + b"\0" for name in names)
    kind = _NAME_IPV6 if address.version == 6 else _NAME_IPV4
    return struct.pack("<HH", kind, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
