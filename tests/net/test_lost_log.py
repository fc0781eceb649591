"""A server whose log cannot be written serves as any other: stderr full, its reader gone, or asleep."""

from __future__ import annotations

import fcntl
import os
import re
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import JOIN, LiveServer, Peer, frame, room_of, until

NO_SUCH_ROOM = 2


def chats_as_ever(server: LiveServer) -> None:
    """Whoever leaves is gone, a room whose host leaves closes, and the server ends when it is told to."""
    with room_of(server, "ann", "bob", "cem", room="lobby") as [ann, bob, cem]:
        while not cem.hears_nothing():  # what the others said when they entered
            cem.hears()
        bob.says("exit")
        assert (ann.hears(), cem.hears()) == (b"bob left the room", b"bob left the room")
        bob.says("am I still here?")
        assert cem.hears_nothing()
        ann.says("exit")
        assert cem.hears() == b"Room closed"
        assert Peer(server, "dan").ask(frame(JOIN, 0, b"lobby", b"dan"))[-1] == NO_SUCH_ROOM
    for number in range(100):
        Peer(server, "eve").creates(f"attic-{number}").says("exit")
    assert server.stop() == 0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    yield reading, writing
    for end in (reading, writing):
        try:
            os.close(end)
        except OSError:
            continue  # a test has closed it


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    server = LiveServer(stderr=full)
    try:
        chats_as_ever(server)
    finally:
        server.close()
        os.close(full)


def test_a_reader_that_dies(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    server = LiveServer("--metrics-port", "0", stderr=writing)
    try:
        Peer(server, "zoe").creates("cellar")
        until(lambda: b"session_entered" in os.read(reading, 4096), "a line of the log")
        os.close(reading)
        Peer(server, "yan").creates("garret")

        def lost() -> float:
            with urllib.request.urlopen(server.metrics_url) as answer:  # noqa: S310
                return float(re.findall(r"^tcrp_lost_log_lines_total (.+)$", answer.read().decode(), re.MULTILINE)[0])

        until(lambda: lost() >= 2, "that lines were lost")
        chats_as_ever(server)
    finally:
        server.close()


def test_a_pipe_that_nobody_reads(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b"x" * 4096)
    server = LiveServer(stderr=writing)
    try:
        chats_as_ever(server)
        assert os.read(reading, 8192) == b"x" * 4096
    finally:
        server.close()


def test_a_listener_with_a_defect_is_reported_and_changes_nothing_else() -> None:
    program = (
        "import sys; from tcrp.net.log import Log; from tcrp.cli.server import main\n"
        "def hear(self, record): raise KeyError(record.id)\n"
        "Log.hear = hear; sys.exit(main())"
    )
    server = LiveServer(command=(sys.executable, "-c", program))
    try:
        chats_as_ever(server)
        assert "event=internal_error" in server.log()
        assert "KeyError" in server.log()
    finally:
        server.close()
