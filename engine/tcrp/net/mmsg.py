"""UDP by `sendmmsg` and `recvmmsg`: many datagrams in one system call, on Linux.

Called through ctypes, so that a source checkout needs no compiler. The arrays that the system reads are made once. To
send, the addresses of a group are joined once for all its texts, and the bytes of a fan-out are written once for all
targets; nothing is made for a single target.
"""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
import sys
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple

from tcrp.engine.outputs import Address, AllBut, Targets
from tcrp.net.addresses import address_of, sockaddr_of
from tcrp.net.udp import BATCH_MAX, Batch, UdpSocket
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX

SEND_MAX: Final = 1024
"""So many datagrams one call may send: the system's own bound."""
FLUSH_AT: Final = 256
"""So many are not kept waiting for more."""
SEND_BYTES: Final = 256 << 10
"""What the datagrams of one call may hold, each fan-out once."""
ADDRESSES_MAX: Final = 1 << 14
"""So many addresses are kept in the system's form and in ours; a server of more makes them anew from time to time."""
RECEIVE_BYTES: Final = CLIENT_DATAGRAM_BYTES_MAX + 1


class _Part(ctypes.Structure):
    """`struct iovec`."""

    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """`struct mmsghdr` of 64 bits, with the fields of its `msghdr`."""

    _fields_ = (
        ("name", ctypes.c_void_p), ("name_size", ctypes.c_uint32), ("parts", ctypes.c_void_p),
        ("part_count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int), ("padding", ctypes.c_int), ("size", ctypes.c_uint),
    )  # fmt: skip


HEADER_BYTES: Final = ctypes.sizeof(_Header)
_SIZE_AT: Final = _Header.size.offset // 4
_PART: Final = struct.Struct("PN")
_IPV4: Final = struct.Struct("=H2s4s8x")
_IPV6: Final = struct.Struct("=H2s4x16sI")


class Calls(NamedTuple):
    """Both system calls: of a socket's number, the address of the first header and how many, to how many, or -1."""

    send: Callable[[int, int, int], int]
    receive: Callable[[int, int, int], int]


@cache
def _system_calls() -> Calls | None:
    """Those of this system, or None if it has none, or does not let this process use them."""
    if not sys.platform.startswith("linux") or struct.calcsize("P") != 8:
        return None
    try:
        # PyDLL keeps the interpreter's lock: the calls do not wait, and no other thread gets between them.
        library = ctypes.PyDLL(None, use_errno=True)
        sendmmsg, recvmmsg = library.sendmmsg, library.recvmmsg
    except (OSError, AttributeError):
        return None
    sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]
    recvmmsg.argtypes = [*sendmmsg.argtypes, ctypes.c_void_p]
    calls = Calls(
        lambda number, headers, count: sendmmsg(number, headers, count, 0),
        lambda number, headers, count: recvmmsg(number, headers, count, 0, None),
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:  # a fence around the process may forbid it
        if calls.send(trial.fileno(), 0, 0) or calls.receive(trial.fileno(), 0, 0):
            return None
    return calls


def is_here() -> bool:
    """Whether this system has both calls."""
    return _system_calls() is not None


class MultiMessageSocket(UdpSocket):
    """A socket that sends and receives many datagrams by one system call. Tests hand in other `calls`."""

    path = "sendmmsg"

    def __init__(self, bound: socket.socket, receive: Callable[[Batch], None], calls: Calls | None = None) -> None:
        super().__init__(bound, receive)
        found = calls or _system_calls()
        assert found is not None, "this system has the calls"
        self._send_call, self._receive_call = found
        self._number = bound.fileno()
        size = (_IPV6 if self._is_ipv6 else _IPV4).size
        self._in = _Arrays(BATCH_MAX, size, BATCH_MAX * RECEIVE_BYTES)
        self._in.give_each(RECEIVE_BYTES)
        self._out = _Arrays(SEND_MAX, size, SEND_BYTES)
        self._names: list[bytes] = []  # what waits for `flush`: addresses, parts, and how many
        self._parts: list[bytes] = []
        self._waiting = 0
        self._used = 0  # bytes of the datagrams that wait
        self._packed = _Packed(self._is_ipv6)
        self._sources = _Sources(self._is_ipv6)

    # --- sending ---------------------------------------------------------------------------------

    def send(self, data: bytes, targets: Targets) -> None:
        """Put it with what waits, and send all if that is much."""
        self._send_to(data, self._names_of(targets), len(targets))

    def _send_to(self, data: bytes, names: bytes, count: int) -> None:
        size, at = len(data), self._used
        if self._waiting + count > SEND_MAX or at + size > SEND_BYTES:
            self.flush()
            at = 0
            if count > SEND_MAX:
                for first in range(0, count, SEND_MAX):
                    some, size_each = min(count - first, SEND_MAX), self._in.name_bytes
                    self._send_to(data, names[first * size_each : (first + some) * size_each], some)
                return
        self._names.append(names)
        self._out.data[at : at + size] = data
        self._parts.append(_PART.pack(self._out.data_at + at, size) * count)
        self._used = at + size
        self._waiting += count
        if self._waiting >= FLUSH_AT:
            self.flush()

    def _names_of(self, targets: Targets) -> bytes:
        """The addresses in the system's form, side by side. Those of a group are joined once for all its texts."""
        if not isinstance(targets, AllBut):
            return b"".join(map(self._packed.__getitem__, targets))
        addresses, place, size = targets.addresses, targets.place, self._in.name_bytes
        names = addresses.packed
        if names is None:
            names = addresses.packed = b"".join(map(self._packed.__getitem__, addresses.all))
        return names if place < 0 else names[: place * size] + names[(place + 1) * size :]

    def flush(self) -> None:
        """Send what waits. A datagram that the system does not take is passed over, and those behind it are sent."""
        count = self._waiting
        if not count:
            return
        out, number, send = self._out, self._number, self._send_call
        names, parts = b"".join(self._names), b"".join(self._parts)
        out.names[: len(names)] = names
        out.parts[: len(parts)] = parts
        self._names.clear()
        self._parts.clear()
        self._waiting = self._used = done = 0
        while done < count:
            sent = send(number, out.headers_at + done * HEADER_BYTES, count - done)
            if sent > 0:
                done += sent
            else:  # the first of them is what failed
                self.unsent += 1
                done += 1

    # --- receiving -------------------------------------------------------------------------------

    def _take(self, batch: Batch) -> bool:
        into = self._in
        count = self._receive_call(self._number, into.headers_at, BATCH_MAX)
        if count < 0:  # nothing is there, or the report of an earlier datagram that went nowhere
            return ctypes.get_errno() in (errno.EAGAIN, errno.EWOULDBLOCK)
        data, sizes, sources, size = into.data, into.words, self._sources, into.name_bytes
        names = bytes(into.names[: count * size])
        for number in range(count):
            at = number * RECEIVE_BYTES
            source = sources[names[number * size : (number + 1) * size]]
            batch.append((bytes(data[at : at + sizes[number * (HEADER_BYTES // 4) + _SIZE_AT]]), source))
        return False


class _Arrays:
    """What the system reads and writes: headers, and for each an address and a part, which say where its data is."""

    def __init__(self, count: int, name_bytes: int, data_bytes: int) -> None:
        self.name_bytes = name_bytes
        self._count = count
        self.data, self.data_at = _memory(data_bytes)
        self.names, names_at = _memory(count * name_bytes)
        self.parts, parts_at = _memory(count * _PART.size)
        headers, self.headers_at = _memory(count * HEADER_BYTES)
        self.words = headers.cast("I")
        for number in range(count):
            header = _Header(names_at + number * name_bytes, name_bytes, parts_at + number * _PART.size, 1)
            headers[number * HEADER_BYTES : (number + 1) * HEADER_BYTES] = bytes(header)

    def give_each(self, size: int) -> None:
        """Every header has so many bytes of data of its own."""
        self.parts[:] = b"".join(_PART.pack(self.data_at + number * size, size) for number in range(self._count))


def _memory(size: int) -> tuple[memoryview, int]:
    """Zeroed memory, and where it is. The view keeps it there."""
    array = (ctypes.c_char * size)()
    return memoryview(array).cast("B"), ctypes.addressof(array)


class _Packed(dict[Address, bytes]):
    """Addresses in the system's form, made when they are first wanted."""

    def __init__(self, is_ipv6: bool) -> None:
        super().__init__()
        self._is_ipv6 = is_ipv6

    def __missing__(self, address: Address) -> bytes:
        if len(self) >= ADDRESSES_MAX:
            self.clear()
        port = address.port.to_bytes(2, "big")
        if self._is_ipv6:
            name = sockaddr_of(address)
            scope = name[3] if len(name) == 4 else 0
            packed = _IPV6.pack(socket.AF_INET6, port, socket.inet_pton(socket.AF_INET6, name[0]), scope)
        else:
            packed = _IPV4.pack(socket.AF_INET, port, socket.inet_aton(address.ip))
        self[address] = packed
        return packed


class _Sources(dict[bytes, Address]):
    """The other way round."""

    def __init__(self, is_ipv6: bool) -> None:
        super().__init__()
        self._is_ipv6 = is_ipv6

    def __missing__(self, packed: bytes) -> Address:
        if len(self) >= ADDRESSES_MAX:
            self.clear()
        if self._is_ipv6:
            _, port, ip, scope = _IPV6.unpack(packed)
            found = address_of((socket.inet_ntop(socket.AF_INET6, ip), int.from_bytes(port, "big"), 0, scope))
        else:
            _, port, ip = _IPV4.unpack(packed)
            found = Address(sys.intern(socket.inet_ntoa(ip)), int.from_bytes(port, "big"))  # one text for many ports
        self[packed] = found
        return found
