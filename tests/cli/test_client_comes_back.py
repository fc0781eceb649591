"""`chat-client` and silence: keep-alives, servers that restart or say nothing, and what is typed meanwhile."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import PATIENCE, LiveServer, Peer, live_server, room_of, until
from terminal import CTRL_D, Terminal, client


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server("--linger", "0s") as server:
        yield server


def test_a_long_silence_is_warned_of_and_afterwards_joining_again_is_offered(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "idle", "--idle-timeout", "4s", "--no-keep-alive") as ann:
        ann.shows("You are in idle")
        ann.shows("Say something within 1 s, or your session ends.")
        ann.shows("You were silent for too long, so your session has ended.")
        ann.enters("y")  # her old session has been silent long enough to be taken over
        until(lambda: sum("You are in idle" in line for line in ann.lines) == 2, "ann again")


def test_keep_alives_keep_a_session_beyond_the_idle_timeout() -> None:
    with (
        live_server("--idle-timeout", "1s") as server,
        client(server, "--name", "ann", "--create", "alive", "--idle-timeout", "1s") as ann,
    ):
        ann.shows("You are in alive")
        with room_of(server, "bob", room="clock") as [bob]:
            assert bob.hears() == b"You were silent too long"  # a second has passed, and more
        cem = Peer(server, "cem").joins("alive")
        cem.says("still here?")
        ann.shows("cem still here?")
        assert not any("silent" in line for line in ann.lines)


def test_a_client_comes_back_by_itself_and_offers_what_perhaps_nobody_heard() -> None:
    with live_server() as server, client(server, "--name", "ann", "--create", "phoenix") as ann:
        ann.shows("You are in phoenix")
        server.kill()
        ann.enters("still there?")
        ann.shows("Lost the connection to the server.")
        ann.shows("Perhaps not heard: still there?")
        ann.shows("Joining phoenix again in 1 s (Enter: now, n: give up)")
        ann.shows("Connection refused")
        with live_server(tcp=server.tcp, udp=server.udp) as restarted:
            until(lambda: sum("You are in phoenix" in line for line in ann.lines) == 2, "ann again, as the room's host")
            ann.shows("Send again what was perhaps not heard (1)? [y/n]")
            bob = Peer(restarted, "bob").joins("phoenix")
            ann.enters("yes")
            assert bob.hears() == b"ann: still there?"
            assert sum("Connection refused" in line for line in ann.lines) == 1
            until(lambda: restarted.logs("room_created"), "the room in the log")


def test_after_a_restart_a_guest_waits_for_the_host_to_create_the_room_again() -> None:
    with live_server() as server, client(server, "--name", "bob", "--create", "tide") as bob:
        bob.shows("You are in tide")
        with client(server, "--name", "ann", "--join", "tide") as ann:
            ann.shows("You are in tide")
            server.kill()
            bob.enters("hello?")
            bob.shows("(Enter: now, n: give up)")
            bob.process.send_signal(signal.SIGSTOP)  # so that ann is back before the host
            ann.enters("still there?")
            ann.shows("(Enter: now, n: give up)")
            with live_server(tcp=server.tcp, udp=server.udp):
                ann.enters("")
                ann.shows("There is no room tide.")
                bob.process.send_signal(signal.SIGCONT)
                until(lambda: sum("You are in tide" in line for line in bob.lines) == 2, "bob again")
                bob.enters("n")  # offers to say hello again
                ann.enters("")
                ann.shows("Send again what was perhaps not heard (1)?")
                ann.enters("y")
                bob.shows("ann still there?")


def test_a_host_does_not_count_as_one_in_a_room_that_a_guest_has_created_again() -> None:
    with live_server() as server, client(server, "--name", "ann", "--create", "flood") as ann:
        ann.shows("You are in flood")
        server.kill()
        ann.enters("hello?")
        ann.shows("Connection refused")
        with live_server(tcp=server.tcp, udp=server.udp) as restarted:
            Peer(restarted, "bob").creates("flood")
            ann.enters("")
            ann.shows("Send again what was perhaps not heard (1)?")
            ann.enters("n")
            ann.types(CTRL_D)
            ann.shows("You left flood")


def test_a_client_whose_server_was_only_slow_takes_its_place_back_with_its_token() -> None:
    with live_server() as server, client(server, "--name", "ann", "--create", "slow", "--keep-alive", "1s") as ann:
        ann.shows("You are in slow")
        bob = Peer(server, "bob").joins("slow")
        bob.says("hello")
        ann.shows("bob hello")
        server.signal(signal.SIGSTOP)
        ann.shows("The server no longer answers; it may have been restarted.")
        server.signal(signal.SIGCONT)  # it still has a session of that name, and of the room's host
        until(lambda: sum("You are in slow" in line for line in ann.lines) == 2, "ann again")
        until(lambda: server.logs("session_superseded"), "the takeover in the log")
        ann.enters("back again")
        assert bob.hears() == b"ann: back again"
        ann.types(CTRL_D)
        ann.shows("You are the host")
        ann.enters("/leave")
        assert bob.hears() == b"Room closed"


def test_who_gives_up_coming_back_ends_the_client() -> None:
    with live_server() as server, client(server, "--name", "ann", "--create", "gone") as ann:
        ann.shows("You are in gone")
        server.kill()
        ann.enters("hello")
        ann.shows("(Enter: now, n: give up)")
        ann.enters("n")
        assert ann.ends() == 1


def test_without_reconnecting_it_asks() -> None:
    with live_server() as server, client(server, "--name", "ann", "--create", "ask", "--no-reconnect") as ann:
        ann.shows("You are in ask")
        server.kill()
        ann.enters("hello")
        ann.shows("Join ask again? [y/n]")
        ann.enters("y")
        ann.shows("Connection refused")
        ann.shows("Try again? [y/n]")
        ann.enters("no")
        assert ann.ends() == 2


def test_a_client_that_types_notices_a_restarted_server() -> None:
    with live_server() as server, client(server, "--name", "ann", "--create", "busy", "--keep-alive", "3s") as ann:
        ann.shows("You are in busy")
        Peer(server, "bob").joins("busy").says("hello")
        ann.shows("bob hello")
        server.kill()
        with live_server(tcp=server.tcp, udp=server.udp):
            ends = time.monotonic() + PATIENCE
            while not any("no longer answers" in line for line in ann.lines):
                assert time.monotonic() < ends, "two intervals are long over"
                ann.enters("hello?")
                time.sleep(1.0)  # below the interval, and seldom enough that the warning still stands on the screen
            ann.shows("Perhaps not heard: hello?")
            ann.shows("Send again what was perhaps not heard")  # back again, as the room's host


def test_a_client_learns_how_much_silence_its_server_tolerates() -> None:
    options = ("--idle-timeout", "1s", "--linger", "0s")
    with live_server(*options) as server, client(server, "--name", "ann", "--create", "short") as ann:
        ann.shows("You are in short")
        ann.shows("it tolerates less silence than expected.")
        until(lambda: sum("You are in short" in line for line in ann.lines) == 2, "ann again")
        with room_of(server, "bob", room="clock") as [bob]:
            assert bob.hears() == b"You were silent too long"  # more than a second has passed
        cem = Peer(server, "cem").joins("short")
        cem.says("still here?")
        ann.shows("cem still here?")


def test_a_default_client_stays_with_a_server_that_tolerates_little_silence_and_cannot_say_so() -> None:
    with (
        live_server("--idle-timeout", "12s") as server,
        client(server, "--name", "ann", "--create", "brisk") as ann,
    ):
        ann.shows("You are in brisk")
        with room_of(server, "bob", room="clock") as [bob]:
            assert bob.hears() == b"You were silent too long"
        cem = Peer(server, "cem").joins("brisk")
        cem.says("still here?")
        ann.shows("cem still here?")
        assert not server.logs("session_idled session=ann@brisk")


def test_a_client_is_told_how_much_silence_its_server_tolerates_where_the_dialect_can() -> None:
    dialect = ("--dialect", "json-endpoint")
    with (
        live_server("--idle-timeout", "1s") as server,
        client(server, "--name", "ann", "--create", "told", *dialect) as ann,
        room_of(server, "bob", room="clock") as [bob],
    ):
        ann.shows("You are in told")
        assert bob.hears() == b"You were silent too long"
        cem = Peer(server, "cem").joins("told")
        cem.says("still here?")
        ann.shows("cem still here?")
        assert not any("silence" in line for line in ann.lines)


@pytest.mark.parametrize("is_bound", [True, False])
def test_a_wrong_udp_port_is_named(server: LiveServer, is_bound: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        port = mute.getsockname()[1]
        if not is_bound:
            mute.close()
        arguments = [
            "--tcp-port",
            str(server.tcp),
            "--udp-port",
            str(port),
            "--name",
            "ann",
            "--create",
            f"udp{is_bound}",
        ]
        with Terminal("chat-client", *arguments) as ann:
            what = "Nothing comes back from" if is_bound else "Nothing receives on"
            ann.shows(f"{what} UDP port {port} of 127.0.0.1. Is --udp-port right")
            if is_bound:
                ann.shows("The server has admitted you to udpTrue as ann, but nothing has come over UDP yet.")
            else:
                ann.shows("Join udpFalse again? [y/n]")  # by itself it does not, for that would end likewise
                ann.enters("a line that was being typed")
                ann.shows("Please answer y or n.")
                ann.enters("n")
                assert ann.ends() == 1
            assert not any("You are in" in line for line in ann.lines)


def test_who_is_heard_late_is_told_so(server: LiveServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as slow:
        slow.bind(("127.0.0.1", 0))
        slow.settimeout(PATIENCE)
        arguments = ["--tcp-port", str(server.tcp), "--udp-port", str(slow.getsockname()[1])]
        with Terminal("chat-client", *arguments, "--name", "ann", "--create", "late") as ann:
            ann.shows("but nothing has come over UDP yet.")
            slow.sendto(b"", slow.recvfrom(4096)[1])  # the answer to her keep-alive
            ann.shows("You are in late as ann.")
            ann.types(CTRL_D)
            assert ann.ends() == 0


def test_what_is_typed_while_the_client_comes_back_is_kept() -> None:
    with live_server() as server, client(server, "--name", "ann", "--create", "draft") as ann:
        ann.shows("You are in draft")
        Peer(server, "bob").joins("draft").says("hello")
        ann.shows("bob hello")
        server.kill()
        ann.enters("one")
        ann.types("half a li")
        ann.shows("(Enter: now, n: give up) half a li")
        ann.shows("Joining draft again in 2 s (Enter: now, n: give up) half a li")
        ann.enters("ne")
        ann.shows("Not sent yet: half a line")
        ann.types("and half ano")
        with live_server(tcp=server.tcp, udp=server.udp) as restarted:
            ann.shows("Send again what was perhaps not heard (2)? [y/n]")
            bob = Peer(restarted, "bob").joins("draft")
            ann.enters("y")
            assert [bob.hears(), bob.hears()] == [b"ann: one", b"ann: half a line"]
            ann.shows("> and half ano")
            ann.enters("ther")
            assert bob.hears() == b"ann: and half another"


def test_what_is_typed_while_the_client_comes_back_is_never_a_name() -> None:
    with live_server() as server, client(server, "--name", "ann", "--create", "names") as ann:
        ann.shows("You are in names")
        server.kill()
        ann.enters("one")
        ann.shows("(Enter: now, n: give up)")
        with live_server(tcp=server.tcp, udp=server.udp) as restarted, room_of(restarted, "ann", room="names"):
            ann.enters("")
            ann.shows("The name ann is taken in names")
            ann.enters("hello?")
            ann.shows("Please answer y or n.")
            ann.enters("y")
            ann.shows("Another name (Enter to give up):")
            ann.enters("anna")
            ann.shows("You are in names as anna.")


def test_a_server_restart_is_noticed_in_a_quiet_room() -> None:
    options = ["--name", "ann", "--create", "amnesia", "--idle-timeout", "15s"]  # a keep-alive each 3 s
    with live_server() as server, client(server, *options) as ann:
        ann.shows("You are in amnesia")
        Peer(server, "bob").joins("amnesia").says("hello")
        ann.shows("bob hello")  # from now on nothing is sent for 3 s
        server.kill()
        with live_server(tcp=server.tcp, udp=server.udp):
            ann.shows("The server no longer answers; it may have been restarted.")
            until(lambda: sum("You are in amnesia" in line for line in ann.lines) == 2, "ann again")


def test_a_room_that_is_merely_quiet_is_stayed_in(tmp_path: Path) -> None:
    trace = tmp_path / "ann.jsonl"
    options = ("--name", "ann", "--create", "quiet", "--idle-timeout", "1s", "--trace", str(trace))
    with live_server() as server, client(server, *options) as ann:
        ann.shows("You are in quiet")
        # Five keep-alives an idle timeout; a server that answered none of ten would count as silent.
        until(lambda: trace.read_text().count('"what":"keep_alive"') >= 12, "twelve keep-alives")
        bob = Peer(server, "bob").joins("quiet")
        bob.says("am I disturbing?")
        ann.shows("bob am I disturbing?")
        assert len([line for line in ann.lines if "You are in quiet" in line]) == 1
        assert "session_superseded" not in server.log()
        assert "request_refused" not in server.log()


def test_a_server_shutdown_is_reported_and_declining_to_rejoin_ends_the_client() -> None:
    with live_server() as server, client(server, "--name", "ann", "--create", "end") as ann:
        ann.shows("You are in end")
        server.signal(signal.SIGTERM)
        ann.shows("The server was stopped.")
        ann.shows("Join end again?")
        ann.enters("n")
        assert ann.ends() == 1
