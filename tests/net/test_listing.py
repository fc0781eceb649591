"""The open rooms of a server, asked for over TCP, and what a person is told if there is no such answer."""

from __future__ import annotations

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from processes import CREATE, PATIENCE, frame, live_server, read_all
from tcrp.engine.codec import codec
from tcrp.net.client import BROKEN_OFF, NO_ANSWER, NO_HOST, ServerAt, Unreachable
from tcrp.net.listing import list_rooms

LISTS = codec("name-port-list")
REPLY = bytes([0, 2, 1]) + len(b"lobby,attic").to_bytes(29, "big") + b"lobby,attic"


def asked(*pieces: bytes, ends: bool = True, timeout: float = PATIENCE) -> list[str]:
    """What `list_rooms` gives for a server that answers with `pieces`, and then ends the connection or stays silent."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            peer, _ = server.accept()
            with peer:
                assert peer.recv(32, socket.MSG_WAITALL) == LISTS.write_list_request()
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for piece in pieces:
                    peer.sendall(piece)
                    time.sleep(0.02)  # the client has most likely read it by now; the test holds if it has not
                if ends:
                    peer.shutdown(socket.SHUT_WR)
                assert peer.recv(1) == b"", "the client ends the connection"

        with ThreadPoolExecutor(1) as pool:
            answered = pool.submit(answer)
            at = ServerAt(tcp_port=server.getsockname()[1])
            try:
                return asyncio.run(list_rooms(at, LISTS, timeout=timeout))
            finally:
                answered.result(PATIENCE)


def test_the_rooms_of_a_running_server_are_named() -> None:
    with live_server("--dialect", "name-port-list") as server:
        at = ServerAt(tcp_port=server.tcp, udp_port=server.udp)
        assert asyncio.run(list_rooms(at, LISTS)) == []
        request = frame(CREATE, 0, b"lobby", b"ann" + (40000).to_bytes(2, "big"))
        with socket.create_connection((server.host, server.tcp), PATIENCE) as ann:
            ann.sendall(request)
            assert read_all(ann).startswith(b"\x05\x01"), "the room is created"
        assert asyncio.run(list_rooms(at, LISTS)) == ["lobby"]


def test_a_reply_may_come_in_pieces() -> None:
    assert asked(REPLY[:5], REPLY[5:35], REPLY[35:], ends=False) == ["lobby", "attic"]


@pytest.mark.parametrize("pieces", [[], [REPLY[:-1]], [b"HTTP/1.1 400 Bad Request\r\n\r\n........"]], ids=repr)
def test_a_reply_that_is_none_is_said_to_be_broken_off(pieces: list[bytes]) -> None:
    with pytest.raises(Unreachable) as raised:
        asked(*pieces)
    assert raised.value.why == BROKEN_OFF


def test_a_server_that_says_nothing_does_not_answer() -> None:
    with pytest.raises(Unreachable) as raised:
        asked(ends=False, timeout=0.2)
    assert raised.value.why == NO_ANSWER


def test_a_port_without_a_server_and_a_name_without_a_host_are_told_apart(free_tcp_port: int) -> None:
    with pytest.raises(Unreachable, match="onnection refused"):
        asyncio.run(list_rooms(ServerAt(tcp_port=free_tcp_port), LISTS))
    with pytest.raises(Unreachable) as raised:
        asyncio.run(list_rooms(ServerAt(host="no-such-host.invalid"), LISTS))
    assert raised.value.why == NO_HOST


@pytest.fixture
def free_tcp_port() -> int:
    """A port on which nobody listens: bound and let go."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
