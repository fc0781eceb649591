"""The server's UDP sockets in an event loop: each claim on both ways to the system."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from processes import PATIENCE
from tcrp.engine.outputs import Address, Addresses, AllBut
from tcrp.net import mmsg
from tcrp.net.mmsg import HEADER_BYTES, SEND_BYTES, SEND_MAX, Calls, MultiMessageSocket
from tcrp.net.udp import BATCH_MAX, DRAIN_MAX, PATH_VARIABLE, Batch, PortableSocket, UdpSocket, open_udp, udp_path
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX

Open = Callable[..., UdpSocket]

needs_mmsg = pytest.mark.skipif(not mmsg.is_here(), reason="this system has no sendmmsg and recvmmsg")
on_both_paths = pytest.mark.parametrize(
    "open_socket", [PortableSocket, pytest.param(MultiMessageSocket, marks=needs_mmsg)], ids=lambda each: each.path
)


class HalfBlocked(socket.socket):
    """A socket whose send buffer is full for every other datagram."""

    sends = 0

    def sendto(self, *arguments: object) -> int:
        self.sends += 1
        if self.sends % 2:
            raise BlockingIOError
        return super().sendto(*arguments)  # type: ignore[call-overload,no-any-return]


def bound(family: socket.AddressFamily = socket.AF_INET, kind: type[socket.socket] = socket.socket) -> socket.socket:
    made = kind(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.bind(("::" if family == socket.AF_INET6 else "127.0.0.1", 0))
    return made


class Reporting(socket.socket):
    """A socket that reports an earlier datagram's failure before each datagram that it has."""

    reads = 0

    def recvfrom_into(self, *arguments: Any) -> Any:
        self.reads += 1
        if self.reads % 2:
            raise ConnectionRefusedError
        return super().recvfrom_into(*arguments)


def ignore(batch: Batch) -> None:
    """Discard what arrives."""


def system_calls() -> Calls:
    found = mmsg._system_calls()
    assert found is not None
    return found


def failing_sends(fails: Callable[[int], bool], most: int = SEND_MAX) -> Calls:
    """The system's calls, but it takes at most `most` datagrams at once, and of all that it is offered not these.

    As the system does, a call that has sent something says how much; one that fails at once says -1.
    """
    send, receive = system_calls()
    taken = 0

    def send_some(number: int, headers: int, count: int) -> int:
        nonlocal taken
        sent = 0
        while sent < min(count, most) and not fails(taken):
            assert send(number, headers + sent * HEADER_BYTES, 1) == 1
            sent, taken = sent + 1, taken + 1
        if sent:
            return sent
        taken += 1
        ctypes.set_errno(errno.ENOBUFS)
        return -1

    return Calls(send_some, receive)


def in_loop(main: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), PATIENCE))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_a_full_send_buffer_loses_relays_which_are_counted() -> None:
    async def exchange() -> None:
        with bound() as listener:
            udp = PortableSocket(bound(kind=HalfBlocked), ignore)
            target = Address(*listener.getsockname())
            udp.send(b"relay", [target] * 10)
            listener.settimeout(PATIENCE)
            assert [listener.recv(10) for _ in range(5)] == [b"relay"] * 5
            assert udp.unsent == 5
            udp.close()

    in_loop(exchange)


def test_an_error_of_the_socket_is_passed_over_and_later_datagrams_are_received() -> None:
    async def exchange() -> None:
        received: Batch = []
        udp = PortableSocket(bound(kind=Reporting), received.extend)
        with bound() as sender:
            for number in range(5):
                sender.sendto(str(number).encode(), udp.address)
            assert udp.drain()
        assert [data for data, _ in received] == [b"0", b"1", b"2", b"3", b"4"]
        udp.close()

    in_loop(exchange)


@on_both_paths
def test_draining_says_whether_something_is_left(open_socket: Open) -> None:
    async def exchange() -> None:
        received: Batch = []
        udp = open_socket(bound(), received.extend)
        with bound() as sender:
            for _ in range(DRAIN_MAX + 1):
                sender.sendto(b"x", udp.address)
            assert (udp.drain(), len(received)) == (False, DRAIN_MAX)
            assert (udp.drain(), len(received)) == (True, DRAIN_MAX + 1)
        udp.close()

    in_loop(exchange)


@on_both_paths
def test_a_flood_is_received_in_bounded_turns(open_socket: Open) -> None:
    async def exchange() -> None:
        received: Batch = []
        udp = open_socket(bound(), received.extend)
        with bound() as sender:
            for number in range(3 * DRAIN_MAX):
                sender.sendto(str(number).encode(), udp.address)
            turns: list[int] = []
            while len(received) < 3 * DRAIN_MAX:
                await asyncio.sleep(0)
                turns.append(len(received))
            assert max(b - a for a, b in zip([0, *turns], turns, strict=False)) == DRAIN_MAX
            assert [data for data, _ in received] == [str(number).encode() for number in range(3 * DRAIN_MAX)]
        udp.close()

    in_loop(exchange)


@on_both_paths
@pytest.mark.parametrize("size", [0, 1, CLIENT_DATAGRAM_BYTES_MAX, CLIENT_DATAGRAM_BYTES_MAX + 1, 65_507])
def test_a_datagram_is_received_up_to_one_byte_over_the_limit(open_socket: Open, size: int) -> None:
    async def exchange() -> None:
        received: Batch = []
        udp = open_socket(bound(), received.extend)
        with bound() as sender:
            sender.sendto(b"x" * size, udp.address)
            await until(lambda: bool(received))
            assert len(received[0][0]) == min(size, CLIENT_DATAGRAM_BYTES_MAX + 1)
            assert received[0][1] == sender.getsockname()
        udp.close()

    in_loop(exchange)


@on_both_paths
def test_ipv4_addresses_on_an_ipv6_socket_stay_ipv4_in_both_directions(open_socket: Open) -> None:
    async def exchange() -> None:
        received: Batch = []
        udp = open_socket(bound(socket.AF_INET6), received.extend)
        with bound() as sender:
            sender.settimeout(PATIENCE)
            sender.sendto(b"over four", ("127.0.0.1", udp.address.port))
            await until(lambda: bool(received))
            assert received == [(b"over four", Address(*sender.getsockname()))]
            udp.send(b"and back", [received[0][1]])
            udp.flush()
            assert sender.recv(20) == b"and back"
        udp.close()

    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    in_loop(exchange)


@on_both_paths
def test_addresses_of_both_versions_are_written_and_read_as_the_system_has_them(open_socket: Open) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")

    async def exchange() -> None:
        received: Batch = []
        udp = open_socket(bound(socket.AF_INET6), received.extend)
        with bound() as four, bound(socket.AF_INET6) as six:
            four.sendto(b"four", ("127.0.0.1", udp.address.port))
            six.sendto(b"six", ("::1", udp.address.port))
            await until(lambda: len(received) == 2)
            assert received == [
                (b"four", Address("127.0.0.1", four.getsockname()[1])), (b"six", Address("::1", six.getsockname()[1])),
            ]  # fmt: skip
            udp.send(b"to both", [source for _, source in received])
            udp.flush()
            for each in (four, six):
                each.settimeout(PATIENCE)
                assert each.recv(20) == b"to both"
        udp.close()

    in_loop(exchange)


@on_both_paths
def test_datagrams_leave_in_their_order_and_with_their_own_bytes(open_socket: Open) -> None:
    async def exchange() -> None:
        udp = open_socket(bound(), ignore)
        with bound() as ann, bound() as bob:
            targets = [Address(*each.getsockname()) for each in (ann, bob)]
            said = [str(number).encode() * (number % 7) for number in range(200)]
            for text in said:
                udp.send(text, targets)
            udp.flush()
            for each in (ann, bob):
                each.settimeout(PATIENCE)
                assert [each.recv(100) for _ in said] == said
        udp.close()

    in_loop(exchange)


@on_both_paths
def test_a_fan_out_larger_than_one_call_reaches_everybody(open_socket: Open) -> None:
    async def exchange() -> None:
        udp = open_socket(bound(), ignore)
        with bound() as here:
            here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            here.setblocking(False)
            udp.send(b"before", [Address(*here.getsockname())])
            udp.send(b"to all", [Address(*here.getsockname())] * (2 * SEND_MAX + 1))
            udp.flush()
            heard = [here.recv(10) for _ in range(2 * SEND_MAX + 2)]
            assert heard == [b"before"] + [b"to all"] * (2 * SEND_MAX + 1)
            assert udp.unsent == 0
        udp.close()

    in_loop(exchange)


@on_both_paths
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_each_text_of_a_group_goes_to_all_but_its_own_speaker(open_socket: Open, family: socket.AddressFamily) -> None:
    async def exchange() -> None:
        udp = open_socket(bound(family), ignore)
        with bound() as ann, bound() as bob, bound() as cai:
            members = [ann, bob, cai]
            addresses = Addresses([Address(*each.getsockname()) for each in members])
            for place in (0, 1, 2, -1, 1):
                udp.send(str(place).encode(), AllBut(addresses, place))
            udp.flush()
            for each, expected in zip(members, (b"1 2 -1 1", b"0 2 -1", b"0 1 -1 1"), strict=True):
                each.settimeout(PATIENCE)
                assert [each.recv(10) for _ in expected.split()] == expected.split()
        udp.close()

    in_loop(exchange)


@on_both_paths
def test_an_unreachable_member_in_the_middle_costs_only_its_own_relay(open_socket: Open) -> None:
    async def exchange() -> None:
        udp = open_socket(bound(), ignore)
        with bound() as ann, bound() as bob:
            nowhere = Address("240.0.0.1", 9)  # a way to it is not known; a bound loopback socket may not go there
            udp.send(b"hello", [Address(*ann.getsockname()), nowhere, nowhere, Address(*bob.getsockname())])
            udp.flush()
            for each in (ann, bob):
                each.settimeout(PATIENCE)
                assert each.recv(10) == b"hello"
            assert udp.unsent == 2
        udp.close()

    in_loop(exchange)


@needs_mmsg
@pytest.mark.parametrize("most", [1, 3, SEND_MAX])
def test_what_one_call_does_not_take_is_passed_over_or_sent_by_the_next(most: int) -> None:
    async def exchange() -> None:
        with bound() as listener:
            udp = MultiMessageSocket(bound(), ignore, failing_sends(lambda number: number in (0, 4, 5, 9), most))
            target = Address(*listener.getsockname())
            for number in range(5):
                udp.send(str(number).encode(), [target] * 2)
            udp.flush()
            listener.settimeout(PATIENCE)
            assert [listener.recv(10) for _ in range(6)] == [b"0", b"1", b"1", b"3", b"3", b"4"]
            assert udp.unsent == 4
            udp.send(b"later", [target])
            udp.flush()
            assert listener.recv(10) == b"later"
            udp.close()

    in_loop(exchange)


@needs_mmsg
def test_a_receiving_error_is_passed_over_and_later_datagrams_are_received() -> None:
    async def exchange() -> None:
        received: Batch = []
        reads = 0

        def receive(number: int, headers: int, _: int) -> int:
            nonlocal reads
            reads += 1
            if reads % 2:
                ctypes.set_errno(errno.ECONNREFUSED)
                return -1
            return system_calls().receive(number, headers, 1)

        udp = MultiMessageSocket(bound(), received.extend, Calls(system_calls().send, receive))
        with bound() as sender:
            for number in range(3):
                sender.sendto(str(number).encode(), udp.address)
            while not udp.drain():
                assert reads < DRAIN_MAX
        assert [data for data, _ in received] == [b"0", b"1", b"2"]
        udp.close()

    in_loop(exchange)


@needs_mmsg
def test_datagrams_wait_for_a_flush_only_while_there_is_room_for_them() -> None:
    async def exchange() -> None:
        calls: list[int] = []

        def send(_number: int, _headers: int, count: int) -> int:
            calls.append(count)
            return count

        udp = MultiMessageSocket(bound(), ignore, Calls(send, system_calls().receive))
        target = Address("127.0.0.1", 9)
        large = b"x" * 4094
        for _ in range(SEND_BYTES // len(large) + 1):
            udp.send(large, [target])
        assert calls == [SEND_BYTES // len(large)]
        udp.send(b"x", [target] * (mmsg.FLUSH_AT - 1))
        assert calls[1:] == [mmsg.FLUSH_AT]
        udp.flush()
        assert len(calls) == 2
        udp.close()

    in_loop(exchange)


@needs_mmsg
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_addresses_are_kept_within_bounds(family: socket.AddressFamily, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmsg, "ADDRESSES_MAX", 4)
    packed, sources = mmsg._Packed(family == socket.AF_INET6), mmsg._Sources(family == socket.AF_INET6)
    ips = ("192.0.2.7",) if family == socket.AF_INET else ("192.0.2.7", "2001:db8::7", "fe80::1%3")
    for ip in ips:
        for port in range(1024, 1034):
            assert sources[packed[Address(ip, port)]] == (ip, port)
            assert max(len(packed), len(sources)) <= 4


def test_the_portable_way_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATH_VARIABLE, "portable")
    assert udp_path() == "portable"
    monkeypatch.delenv(PATH_VARIABLE)
    assert udp_path() == ("sendmmsg" if mmsg.is_here() else "portable")


def test_a_system_that_forbids_the_calls_has_the_portable_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmsg, "is_here", lambda: False)

    async def exchange() -> None:
        udp = open_udp(bound(), ignore)
        assert udp.path == "portable"
        udp.close()

    in_loop(exchange)


@on_both_paths
def test_a_batch_is_no_larger_than_its_bound(open_socket: Open) -> None:
    async def exchange() -> None:
        sizes: list[int] = []
        udp = open_socket(bound(), lambda batch: sizes.append(len(batch)))
        with bound() as sender:
            for _ in range(BATCH_MAX + 3):
                sender.sendto(b"x", udp.address)
            assert udp.drain()
        assert sizes == [BATCH_MAX, 3]
        udp.close()

    in_loop(exchange)
