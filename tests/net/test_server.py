"""The server on real sockets, driven by byte-level peers with valid and invalid input."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import struct
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import CREATE, JOIN, PATIENCE, LiveServer, Peer, frame, live_server, read_all, room_of, until
from tcrp.spec.dialects import NAMES

NO_SUCH_ROOM, BAD_REQUEST, ROOM_FULL, TOO_MANY = 2, 4, 5, 7
LONGEST = 2**232 - 1
WITHOUT_UVLOOP = "sys.modules['uvloop'] = None;"


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    """One server shared by the tests that leave no state behind."""
    with live_server("--handshake-timeout", "1s", "--linger", "0s") as server:
        yield server


# --- chat traffic --------------------------------------------------------------------------------


def test_a_text_reaches_every_other_member_and_not_its_sender(server: LiveServer) -> None:
    with room_of(server, "ann", "bob", "cem") as [ann, bob, cem]:
        bob.says("good morning")
        assert (ann.hears(), cem.hears()) == (b"bob: good morning", b"bob: good morning")
        assert bob.hears_nothing()


def test_tcp_is_closed_after_the_token_and_carries_no_texts(server: LiveServer) -> None:
    with room_of(server, "ann", "bob") as [ann, bob], ann.connect() as tcp:
        tcp.sendall(frame(JOIN, 0, ann.room, b"cem"))
        replies = read_all(tcp)  # ends because the server half-closes after the token
        assert len(replies) == 32 + len(ann.room) + 1 + 32 + len(ann.room) + 32
        bob.says("over udp alone")
        assert ann.hears() == b"bob: over udp alone"
        assert tcp.recv(1) == b""


def test_ipv6_and_ipv4_members_share_a_room() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with live_server(host="::") as server, room_of(server, "ann", "bob", ips=("::1", "127.0.0.1")) as [ann, bob]:
        ann.says("from six")
        assert bob.hears() == b"ann: from six"
        bob.says("from four")
        assert ann.hears() == b"bob: from four"


def test_it_also_runs_on_the_standard_event_loop() -> None:
    program = f"import sys; {WITHOUT_UVLOOP} from tcrp.cli.server import main; sys.exit(main())"
    with live_server(command=(sys.executable, "-c", program)) as server, room_of(server, "ann", "bob") as [ann, bob]:
        bob.says("over asyncio")
        assert ann.hears() == b"bob: over asyncio"
        assert server.stop() == 0


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("an unknown operation", frame(9, 0, b"lobby", b"ann")),
        ("a state of the server's", frame(CREATE, 1, b"lobby", b"ann")),
        ("a length that no memory holds", bytes((5, CREATE, 0)) + LONGEST.to_bytes(29, "big") + b"lobbyann"),
        ("no room", frame(CREATE, 0, b"", b"ann")),
        ("a room name that is not UTF-8", frame(CREATE, 0, b"\xff\xfe", b"ann")),
        ("a user name that is not UTF-8", frame(CREATE, 0, b"lobby", b"\xc3\x28\xff")),
        ("a user name with an escape sequence", frame(CREATE, 0, b"lobby", b"\x1b[31mann\x1b[0m")),
        ("a room name with a bidi character", frame(CREATE, 0, "a\u202eb".encode(), b"ann")),
        ("rubbish", bytes(range(200, 250)) * 3),
        ("JSON of no dialect", frame(CREATE, 0, b"lobby", b'{"who": 1}')),
        ("a port of the system", frame(CREATE, 0, b"lobby", b'{"user_name": "ann", "udp_port": 53}')),
    ],
)
def test_a_bad_request_is_refused_and_changes_nothing(server: LiveServer, what: str, data: bytes) -> None:
    peer = Peer(server, "mallory")
    answer = peer.ask(data)
    assert answer[1] == data[1], what
    assert (answer[2] in (1, 2) and 32 <= len(answer) <= 32 + 255 + 64) or answer[-1] == BAD_REQUEST
    if data[:1] == b"\x05":  # the name `lobby` is free
        assert peer.ask(frame(JOIN, 0, b"lobby", b"mallory"))[-1] == NO_SUCH_ROOM
    with room_of(server, "ann", "bob") as [ann, bob]:
        bob.says("still here")
        assert ann.hears() == b"bob: still here"


@pytest.mark.parametrize("sent", [b"", b"\x05", frame(CREATE, 0, b"half", b"ann")[:-1]])
def test_half_a_request_is_dropped_at_the_handshake_timeout_and_delays_no_other(
    server: LiveServer, sent: bytes
) -> None:
    peer = Peer(server, "slow")
    with peer.connect() as slow:
        slow.sendall(sent)
        with room_of(server, "ann", "bob") as [ann, bob]:
            bob.says("nobody waits")
            assert ann.hears() == b"bob: nobody waits"
        assert read_all(slow) == b""  # dropped without a reply, within a second


def test_a_request_sent_one_byte_at_a_time_is_understood(server: LiveServer) -> None:
    peer = Peer(server, "ann")
    with peer.connect() as tcp:
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in frame(CREATE, 0, b"bytewise", b"ann"):
            tcp.sendall(bytes((byte,)))
        assert read_all(tcp).startswith(frame(CREATE, 1, b"bytewise", b"\0"))


def test_a_peer_that_resets_after_its_request_leaves_no_room(server: LiveServer) -> None:
    peer = Peer(server, "gone")
    tcp = peer.connect()
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tcp.sendall(frame(CREATE, 0, b"ghost", b"gone")[:-1])
    tcp.close()
    with room_of(server, "ann", "bob", room="ghost") as [ann, bob]:
        bob.says("no ghost")
        assert ann.hears() == b"bob: no ghost"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x05",
        b"\xff\xff",
        bytes(65_507),
        b"\x05\x20lobby" + b"f" * 32 + b"hello",
        b"\x05\x20lobby" + bytes(60_000),
    ],
    ids=["empty", "one byte", "lengths alone", "65507 zeros", "an unknown token", "60000 bytes"],
)
def test_invalid_datagrams_get_no_answer(server: LiveServer, data: bytes) -> None:
    with room_of(server, "ann", "bob") as [ann, bob]:
        mallory = Peer(server, "mallory")
        mallory.sends(data)
        assert mallory.hears_nothing()
        bob.says("as before")
        assert ann.hears() == b"bob: as before"


def test_three_oversized_datagrams_in_a_row_remove_only_their_sender(server: LiveServer) -> None:
    with room_of(server, "ann", "bob") as [ann, bob]:
        bob.says(b"x" * 65_000)
        bob.says(b"x" * 4_096)  # over 4096 bytes together with the header
        bob.says("a valid one starts the count anew")
        assert ann.hears() == b"bob: a valid one starts the count anew"
        for _ in range(3):
            bob.says(b"x" * 4_096)
        assert bob.hears() == b"You were removed"
        assert ann.hears() == b"bob left the room"


def test_a_token_is_valid_only_from_its_own_address(server: LiveServer) -> None:
    with room_of(server, "ann", "bob") as [ann, bob]:
        thief = Peer(server, "bob", ip="127.0.0.9")
        thief.room, thief.token = bob.room, bob.token
        thief.says("I am bob")
        thief.says("exit")
        assert thief.hears_nothing()
        bob.says("no, I am")
        assert ann.hears() == b"bob: no, I am"


def test_an_unreachable_member_does_not_affect_relays_to_others(server: LiveServer) -> None:
    with room_of(server, "ann", "bob", "cem") as [ann, bob, cem]:
        cem.close()  # the system answers relays to cem with ICMP port unreachable
        for number in range(15):
            bob.says(f"text {number}")
        assert [ann.hears() for _ in range(15)] == [f"bob: text {number}".encode() for number in range(15)]
        ann.says("and back")
        assert bob.hears() == b"ann: and back"


# --- limits --------------------------------------------------------------------------------------


def test_ten_thousand_silent_connections_do_not_delay_others() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 10_600:
        pytest.skip(f"this system allows {hard} open files, and the test needs 10,600")
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    silent: list[socket.socket] = []
    try:
        with (
            live_server("--handshake-timeout", "60s") as server,
            room_of(server, "ann", "bob", room="lobby") as [ann, bob],
        ):
            for number in range(10_000):
                ip = f"127.0.{1 + number // 200}.1"  # two hundred each, within the server's limit per address
                silent.append(socket.create_connection((server.host, server.tcp), PATIENCE, source_address=(ip, 0)))
            bob.says("hello?")
            assert ann.hears() == b"bob: hello?"
            # Connections over the limit are closed at once; those within it stay open until the timeout.
            until(lambda: server.logs("rule=R-LIM-1"), "connections over the limit are counted")
            for each in silent[:3500]:
                each.close()
            until(lambda: _joins(server, "late"), "a free connection")
    finally:
        for each in silent:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, old)


def _joins(server: LiveServer, name: str) -> bool:
    try:
        return Peer(server, name).ask(frame(JOIN, 0, b"lobby", name.encode()))[-32:].isalnum()
    except OSError:
        return False


@pytest.mark.parametrize("loop", ["", WITHOUT_UVLOOP], ids=["uvloop if installed", "asyncio"])
def test_running_out_of_file_descriptors_is_logged_once_and_does_not_stop_the_server(loop: str) -> None:
    program = (
        f"import resource, sys; {loop} resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48));"
        "from tcrp.cli.server import main; sys.exit(main())"
    )
    with live_server(command=(sys.executable, "-c", program)) as server:
        with room_of(server, "ann", "bob", room="lobby") as [ann, bob]:
            held = [Peer(server, "x").connect() for _ in range(80)]
            until(lambda: server.logs("no_more_connections"), "the warning")
            bob.says("still relayed")
            assert ann.hears() == b"bob: still relayed"
            for each in held:
                each.close()
            until(lambda: _joins(server, "late"), "a free connection")
        assert server.log().count("no_more_connections") == 1
        until(lambda: server.logs("few_file_descriptors"), "the warning")


def test_requests_over_the_limit_of_one_address_are_refused_and_others_served() -> None:
    with live_server("--sessions-per-ip-max", "2") as server, room_of(server, "ann", "bob", room="lobby") as [ann, _]:
        greedy = Peer(server, "cem")
        assert greedy.ask(frame(JOIN, 0, b"lobby", b"cem"))[-1] == TOO_MANY
        other = Peer(server, "dee", ip="127.0.0.7").joins("lobby")
        other.says("me too")
        assert ann.hears() == b"dee: me too"


# --- shutdown ------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_on_a_signal_every_room_is_told_and_the_server_ends_within_a_second(number: signal.Signals) -> None:
    with live_server() as server, room_of(server, "ann", "bob") as [ann, bob]:
        asked = time.monotonic()
        server.signal(number)
        assert (ann.hears(), bob.hears()) == (b"Server shutdown", b"Server shutdown")
        assert server.process.wait(PATIENCE) == 0
        # A limit set by the protocol: half a second of linger, doubled.
        assert time.monotonic() - asked < 1.0


def test_a_lingering_room_does_not_delay_the_shutdown() -> None:
    with live_server("--linger", "60s") as server, room_of(server, "ann", "bob") as [ann, bob]:
        ann.says("exit")
        assert bob.hears() == b"Room closed"
        asked = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - asked < 1.0


def test_each_member_is_told_of_a_shutdown_in_its_own_dialect() -> None:
    with live_server() as server, room_of(server, "ann", "bob", room="lobby") as [ann, bob]:
        json_peer = Peer(server, "cem")
        answer = json_peer.ask(frame(JOIN, 0, b"lobby", b'{"username": "cem", "password": ""}'))
        json_peer.room, json_peer.token = b"lobby", answer[-32:]
        json_peer.says("hi")
        for each in (ann, bob):
            assert each.hears() == b"cem: hi"
        server.signal(signal.SIGTERM)
        assert json_peer.hears() == "サーバーが停止しました".encode()
        assert ann.hears() == b"Server shutdown"


def test_a_killed_server_can_restart_on_the_same_ports() -> None:
    with live_server() as server:
        ports = {"tcp": server.tcp, "udp": server.udp}
        with room_of(server, "ann", "bob") as [ann, bob]:
            server.kill()
            bob.says("into the void")
            with live_server(**ports) as again:
                bob.says("with a token of the old one")
                assert ann.hears_nothing()
                with room_of(again, "ann", "bob") as [ann2, bob2]:
                    bob2.says("anew")
                    assert ann2.hears() == b"bob: anew"


# --- log, metrics, trace ----------------------------------------------------------------


def test_the_log_is_structured_and_contains_neither_tokens_nor_texts() -> None:
    with live_server("--log-format", "json") as server, room_of(server, "ann", "bob") as [ann, bob]:
        bob.says("a secret between us")
        assert ann.hears() == b"bob: a secret between us"
        Peer(server, "x").ask(frame(9, 0, b"lobby", b"x"))
        ann.sends(b"rubbish")
        bob.says("exit")
        until(lambda: server.logs("session_left"), "that bob left")
        until(lambda: server.logs('"dropped"'), "what was dropped")
        server.stop()
        lines = [json.loads(line) for line in server.log().splitlines()]
        assert all({"timestamp", "level", "event"} <= line.keys() for line in lines)
        events = [line["event"] for line in lines]
        assert events.index("room_created") < events.index("session_entered") < events.index("session_left")
        entered = [line["peer"] for line in lines if line["event"] == "session_entered"]
        assert entered == [f"127.0.0.1:{peer.udp.getsockname()[1]}" for peer in (ann, bob)]
        refused = next(line for line in lines if line["event"] == "request_refused")
        assert (refused["rule"], refused["times"]) == ("R-TCP-2", 1)
        dropped = next(line for line in lines if line["event"] == "dropped")
        assert (dropped["rule"], dropped["times"]) == ("R-UDP-1", 1)
        assert all(
            "rule" in line for line in lines if line["event"].startswith(("session", "room", "request", "dropped"))
        )
        for secret in ("a secret", ann.token.decode(), bob.token.decode()):
            assert secret not in server.log()


def test_metrics_count_what_happened() -> None:
    with live_server("--metrics-port", "0") as server, room_of(server, "ann", "bob", "cem") as [ann, bob, _]:
        bob.says("one")
        assert ann.hears() == b"bob: one"
        ann.sends(b"rubbish")
        ann.says("two")
        assert bob.hears() in (b"cem: here", b"ann: two")
        Peer(server, "x").ask(frame(9, 0, b"lobby", b"x"))
        with urllib.request.urlopen(server.metrics_url) as answer:  # noqa: S310
            figures = dict(re.findall(r"^(\w+(?:\{[^}]*\})?) ([\d.e+-]+)$", answer.read().decode(), re.MULTILINE))
        assert float(figures["tcrp_rooms"]) == 1
        assert float(figures["tcrp_sessions"]) == 3
        # the text 'here' of bob to ann and of cem to both; then two texts to two members each
        assert float(figures["tcrp_relays_total"]) == 1 + 2 + 2 + 2
        assert float(figures['tcrp_refused_or_dropped_total{rule="R-UDP-1"}']) == 1
        assert float(figures["tcrp_refused_requests_total"]) == 1
        assert float(figures["tcrp_handshake_seconds_count"]) == 3
        assert float(figures["tcrp_relay_seconds_count"]) == 4


def test_a_server_trace_contains_every_step_and_no_secret(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    with live_server("--trace", str(trace)) as server, room_of(server, "ann", "bob") as [ann, bob]:
        bob.says("a secret between us")
        assert ann.hears() == b"bob: a secret between us"
        assert server.stop() == 0
        header, *records = map(json.loads, trace.read_text().splitlines())
        assert (header["schema"], header["mode"]) == ("tcrp-trace/1", "sockets")
        assert header["limits"]["takeover_after"] == "60s"
        assert header["dialects"] == list(NAMES)
        steps = [(r["machine"], r["event"]) for r in records if r["kind"] == "step"]
        assert ("session", "spoke") in steps
        assert steps[-1] == ("room", "drained")
        text = trace.read_text()
        assert not any(secret in text for secret in ("a secret", ann.token.decode(), bob.token.decode()))


def test_a_full_disk_ends_only_the_trace() -> None:
    with live_server("--trace", "/dev/full") as server, room_of(server, "ann", "bob") as [ann, bob]:
        for number in range(40):
            bob.says(f"text {number}" if number % 15 == 0 else "")
        assert ann.hears() == b"bob: text 0"
        assert server.stop() == 0
        assert server.log().count("trace_ended") == 1


@pytest.mark.parametrize("loop", ["", WITHOUT_UVLOOP], ids=["uvloop if installed", "asyncio"])
def test_a_resumed_server_reads_waiting_datagrams_before_it_expires_sessions(loop: str) -> None:
    program = f"import sys; {loop} from tcrp.cli.server import main; sys.exit(main())"
    command = (sys.executable, "-c", program, "--idle-timeout", "2s")
    with live_server(command=command) as server, room_of(server, "ann", "bob", room="lobby") as [ann, bob]:
        server.signal(signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(server.process.pid, os.WUNTRACED)[1])
        spoke = time.monotonic()
        ann.says("")
        bob.says("while you slept")
        until(lambda: time.monotonic() > spoke + 2.5, "a silence that is too long")
        server.signal(signal.SIGCONT)
        assert ann.hears() == b"bob: while you slept"
        ann.says("I heard you")
        assert bob.hears() == b"ann: I heard you"


@pytest.mark.parametrize("loop", ["", WITHOUT_UVLOOP], ids=["uvloop if installed", "asyncio"])
def test_a_resumed_server_reads_every_waiting_datagram_before_it_expires_sessions(loop: str) -> None:
    program = f"import sys; {loop} from tcrp.cli.server import main; sys.exit(main())"
    command = (sys.executable, "-c", program, "--idle-timeout", "5s")
    with live_server(command=command) as server:
        host = Peer(server, "host").creates("lobby")
        members = [Peer(server, f"member{number}").joins("lobby") for number in range(200)]
        host.hears_within(members[-1], "all are here")
        server.signal(signal.SIGSTOP)
        assert os.WIFSTOPPED(os.waitpid(server.process.pid, os.WUNTRACED)[1])
        stopped = time.monotonic()
        for peer in [*members, *members, host]:  # the host is the last whom it hears
            peer.says("")
        until(lambda: time.monotonic() > stopped + 5.5, "a silence that is too long")
        server.signal(signal.SIGCONT)
        members[0].says("are you there?")
        assert host.hears() == b"member0: are you there?"
        assert not server.logs("session_idled")
        assert not server.logs("room_host_gone")


def test_a_clock_jump_ends_no_session() -> None:
    program = (
        "import time, itertools, sys; jumps = itertools.cycle((0, 1e6, -1e6)); real = time.time;"
        "time.time = lambda: real() + next(jumps);"
        "from tcrp.cli.server import main; sys.exit(main())"
    )
    with live_server(command=(sys.executable, "-c", program)) as server, room_of(server, "ann", "bob") as [ann, bob]:
        for text in ("one", "two", "three"):
            bob.says(text)
            assert ann.hears() == f"bob: {text}".encode()
