"""Captures made by hand: a conversation in the `text` dialect, written as tcpdump or tshark would, by dpkt."""

from __future__ import annotations

import socket
from pathlib import Path

import dpkt

from processes import frame

SERVER = "127.0.0.1"
TCP_PORT, UDP_PORT = 9002, 9003
ETHERNET, NULL, RAW, COOKED = 1, 0, 101, 113
CREATE, JOIN = 1, 2
TOKENS = {"ann": b"a" * 32, "bob": b"b" * 32, "cat": b"c" * 32, "eve": b"e" * 32}
MTU = 1480
FIN, SYN, ACK = 1, 2, 16


class Film:
    """A conversation, packet by packet. `number` is that of the latest packet, as tools count."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, dpkt.ip.IP]] = []
        self.at = 1_700_000_000.0
        self.ips: dict[str, str] = {}
        self._connections = 0
        self._ids = 0

    @property
    def number(self) -> int:
        """How many packets there are."""
        return len(self.frames)

    def waits(self, seconds: float) -> None:
        """Time passes."""
        self.at += seconds

    def address(self, who: str) -> tuple[str, int]:
        """Where somebody receives."""
        return self.ips.get(who, "127.0.0.1"), 40000 + ord(who[0])

    # --- TCP --------------------------------------------------------------------------------------

    def asks(
        self, who: str, operation: int, room: str = "lobby", *, token: bytes | None = None, behind: bytes = b"",
        in_disorder: bool = False,
    ) -> None:  # fmt: skip
        """Somebody asks, and is granted a token."""
        name = room.encode()
        self._connections += 1
        client = self.address(who)[0], 50000 + self._connections
        request = frame(operation, 0, name, who.encode())
        reply = frame(operation, 1, name, b"\0") + frame(operation, 2, name, token or TOKENS[who]) + behind
        start = 2**32 - 20  # the numbers of TCP wrap within the request
        self._segment(client, b"", start - 1, flags=SYN)
        self._segment(client, b"", 6999, flags=SYN | ACK, back=True)
        pieces = [(start, request[:7]), (start + 7, request[7:30]), (start + 30, request[30:])]
        if in_disorder:
            pieces = [pieces[1], pieces[0], pieces[0], pieces[2]]
        for sequence, data in pieces:
            self._segment(client, data, sequence % 2**32)
        self._segment(client, reply[:20], 7000, back=True)
        self._segment(client, reply[20:], 7020, back=True)
        self._segment(client, b"", 7000 + len(reply), flags=FIN | ACK, back=True)
        self._segment(client, b"", (start + len(request)) % 2**32, flags=FIN | ACK)

    def _segment(
        self, client: tuple[str, int], data: bytes, sequence: int, *, flags: int = ACK, back: bool = False
    ) -> None:
        source, target = ((SERVER, TCP_PORT), client) if back else (client, (SERVER, TCP_PORT))
        tcp = dpkt.tcp.TCP(sport=source[1], dport=target[1], seq=sequence, flags=flags, data=data)
        self._add(source[0], target[0], dpkt.ip.IP_PROTO_TCP, bytes(tcp))

    # --- UDP --------------------------------------------------------------------------------------

    def says(self, who: str, text: str | bytes, room: str = "lobby", *, token: bytes | None = None) -> int:
        """Somebody sends a datagram. Returns its number."""
        name, used = room.encode(), token or TOKENS[who]
        body = text.encode() if isinstance(text, str) else text
        self._datagram(self.address(who), bytes((len(name), len(used))) + name + used + body)
        return self.number

    def hears(self, who: str, data: str | bytes) -> int:
        """The server sends a datagram to somebody. Returns its number."""
        self._datagram(self.address(who), data.encode() if isinstance(data, str) else data, back=True)
        return self.number

    def _datagram(self, client: tuple[str, int], data: bytes, *, back: bool = False) -> None:
        source, target = ((SERVER, UDP_PORT), client) if back else (client, (SERVER, UDP_PORT))
        udp = dpkt.udp.UDP(sport=source[1], dport=target[1], data=data, ulen=8 + len(data))
        self._add(source[0], target[0], dpkt.ip.IP_PROTO_UDP, bytes(udp))

    def _add(self, source: str, target: str, protocol: int, data: bytes) -> None:
        self.at += 0.001
        self._ids += 1
        for start in range(0, max(len(data), 1), MTU):
            ip = dpkt.ip.IP(
                src=socket.inet_aton(source), dst=socket.inet_aton(target), p=protocol, id=self._ids,
                data=data[start : start + MTU],
            )  # fmt: skip
            ip.offset, ip.mf = start, int(start + MTU < len(data))
            ip.len = len(ip)
            self.frames.append((self.at, ip))

    # --- files ------------------------------------------------------------------------------------

    def written(self, path: Path, link: int = ETHERNET, *, ng: bool = False) -> Path:
        """The film as a capture."""
        with path.open("wb") as file:
            writer = (dpkt.pcapng.Writer if ng else dpkt.pcap.Writer)(file, linktype=link)
            for at, ip in self.frames:
                writer.writepkt(_framed(ip, link), at)
            writer.close()
        return path


def _framed(ip: dpkt.ip.IP, link: int) -> bytes:
    match link:
        case 1:
            return bytes(dpkt.ethernet.Ethernet(type=dpkt.ethernet.ETH_TYPE_IP, data=ip))
        case 0:
            return b"\x02\0\0\0" + bytes(ip)
        case 113:
            return bytes(dpkt.sll.SLL(ethtype=dpkt.ethernet.ETH_TYPE_IP, data=ip))
        case _:
            return bytes(ip)


def opening() -> Film:
    """Ann creates a room, bob and cat join it, and everybody enters."""
    film = Film()
    film.ips["eve"] = "127.0.0.2"
    film.asks("ann", CREATE)
    film.asks("bob", JOIN, in_disorder=True)
    film.asks("cat", JOIN)
    for who in ("ann", "bob", "cat"):
        film.says(who, "")
    return film
