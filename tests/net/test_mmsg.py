"""A server on each way to the system: what peers meet is the same, and the log and `--version` say which it is."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import BIN, PATIENCE, LiveServer, Peer, live_server, room_of, until
from tcrp.net import mmsg
from tcrp.net.udp import BUFFER_BYTES

SCENARIOS = Path(__file__).parents[2] / "sim" / "scenarios"
SOME = (
    "a-relay-too-long-for-one-form-reaches-the-others", "members-cannot-end-clients-that-match-a-part-of-a-notice",
    "members-of-all-listeners-share-a-room", "texts-of-one-sender-arrive-in-order-and-in-no-other-room",
)  # fmt: skip
ON_THIS_SYSTEM = pytest.mark.skipif(not mmsg.is_here(), reason="this system has no sendmmsg and recvmmsg")
PATHS = ["portable", pytest.param("sendmmsg", marks=ON_THIS_SYSTEM)]


@pytest.fixture(scope="module", params=PATHS)
def server(request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    with live_server("--linger", "0s", "--members-max", "400", env={"TCRP_UDP": request.param}) as server:
        until(lambda: server.logs(f"event=udp_path path={request.param}"), "the way in the log")
        yield server


def test_smaller_buffers_than_asked_for_are_a_warning(server: LiveServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        given = []
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            other.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
            doubled = 2 if sys.platform.startswith("linux") else 1
            given.append(other.getsockopt(socket.SOL_SOCKET, option) // doubled)
    warning = f"level=warning event=small_udp_buffers receive={given[0]} send={given[1]} wanted={BUFFER_BYTES}"
    if min(given) < BUFFER_BYTES:
        until(lambda: server.logs(warning), "the warning")
    else:
        assert not server.logs("small_udp_buffers")


def test_a_text_reaches_a_large_room_once_and_in_order(server: LiveServer) -> None:
    with room_of(server, "ann", "bob") as [ann, bob]:
        guests = [Peer(server, f"guest{number}").joins(ann.room.decode()) for number in range(300)]
        bob.says("here too")
        assert {each.hears() for each in (ann, *guests)} == {b"bob: here too"}
        for number in range(3):
            ann.says(str(number))
        for each in (bob, *guests):
            assert [each.hears() for _ in range(3)] == [b"ann: 0", b"ann: 1", b"ann: 2"]
        assert ann.hears_nothing()
        for each in guests:
            each.close()


def test_texts_of_many_rooms_at_once_go_nowhere_else(server: LiveServer) -> None:
    with contextlib.ExitStack() as stack:
        rooms = [stack.enter_context(room_of(server, "ann", "bob", "cem")) for _ in range(3)]
        for number in range(5):
            for at, (ann, *_) in enumerate(rooms):
                ann.says(f"{at} {number}")
        for at, (_, *others) in enumerate(rooms):
            for each in others:
                assert [each.hears() for _ in range(5)] == [f"ann: {at} {number}".encode() for number in range(5)]
            assert others[0].hears_nothing()


@pytest.mark.parametrize("path", PATHS)
def test_members_on_both_versions_of_ip_and_on_several_listeners_hear_each_other(path: str) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with (
        live_server(host="::", env={"TCRP_UDP": path}) as server,
        room_of(server, "ann", "bob", "cem", ips=("::1", "127.0.0.1", "::1")) as [ann, bob, cem],
    ):
        bob.says("from four")
        assert (ann.hears(), cem.hears()) == (b"bob: from four", b"bob: from four")
        cem.says("from six")
        assert (ann.hears(), bob.hears()) == (b"cem: from six", b"cem: from six")
    listen = ("name=one,tcp=0,udp=0", "name=two,tcp=0,udp=0")
    with live_server(listen=listen, env={"TCRP_UDP": path}) as server:
        one, two = server.listeners
        ann, bob, cem = (
            Peer(one, "ann").creates("attic"),
            Peer(two, "bob").joins("attic"),
            Peer(one, "cem").joins("attic"),
        )
        cem.says("from one")
        assert (ann.hears(), bob.hears()) == (b"cem: from one", b"cem: from one")
        bob.says("from two")
        assert (ann.hears(), cem.hears()) == (b"bob: from two", b"bob: from two")


def test_both_ways_conform_and_scenarios_take_the_same_steps_on_the_portable_one() -> None:
    """Judged as other people's servers are, with what no client would send. All at once: they mostly wait.

    On the other way scenarios do so in `tests/cli/test_sockets.py`, which has what this system is fastest with.
    """
    settings = ("--idle-timeout", "1500ms", "--token-timeout", "1s", "--handshake-timeout", "1s", "--linger", "1s")
    files = [str(SCENARIOS / f"{each}.yaml") for each in SOME]
    with contextlib.ExitStack() as stack:
        runs = [started(stack, "portable", "run", "--sockets", "--patience", "12s", *files)]
        for path in ("portable", "sendmmsg" if mmsg.is_here() else "portable"):
            server = stack.enter_context(live_server(*settings, env={"TCRP_UDP": path}))
            ports = ("--tcp-port", str(server.tcp), "--udp-port", str(server.udp))
            judge = ("conform", "server", "127.0.0.1", *ports, "--dialect", "text", "--patience", "4s", "--hostile")
            runs.append(started(stack, path, *judge))
        same, *judged = [run.communicate(timeout=4 * PATIENCE)[0] for run in runs]
    assert ["0 rules are broken, 26 hold" in each for each in judged] == [True, True], judged
    assert f"{len(SOME)} take the same steps on sockets, 0 do not" in same


def started(stack: contextlib.ExitStack, path: str, *command: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "TCRP_UDP": path}
    return stack.enter_context(
        subprocess.Popen([BIN / "chat-sim", *command], stdout=subprocess.PIPE, text=True, env=environment)
    )


@pytest.mark.parametrize("path", PATHS)
def test_version_says_which_way_datagrams_go(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TCRP_UDP", path)
    version = [str(BIN / "chat-server"), "--version"]
    shown = subprocess.run(version, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert shown.stdout.endswith(f", UDP: {path}\n")
