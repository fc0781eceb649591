"""`chat-client` on a terminal, through pipes, and in two languages."""

from __future__ import annotations

import contextlib
import gettext
import io
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from prompt_toolkit.utils import get_cwidth

from processes import BIN, PATIENCE, LiveServer, Peer, imported_by_help, live_server, room_of, until
from tcrp.cli.i18n import FOLDER
from terminal import Terminal

CTRL_A, CTRL_C, CTRL_D, CTRL_E, CTRL_Z, UP = "\x01", "\x03", "\x04", "\x05", "\x1a", "\x1b[A"


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server("--linger", "0s") as server:
        yield server


def ports(server: LiveServer) -> list[str]:
    return ["--tcp-port", str(server.tcp), "--udp-port", str(server.udp)]


@contextlib.contextmanager
def client(server: LiveServer, *arguments: str, **env: str) -> Iterator[Terminal]:
    """A client on a terminal."""
    terminal = Terminal("chat-client", *ports(server), *arguments, env=env)
    try:
        yield terminal
    finally:
        terminal.close()


# --- on a terminal -------------------------------------------------------------------------------


def test_without_arguments_it_asks_and_does_not_echo_the_password(server: LiveServer) -> None:
    with client(server) as ann:
        ann.shows("Your name:")
        ann.enters("a:nn")
        ann.shows("a user name must not contain : [ ]")
        ann.enters("ann")
        ann.shows("1 create a room, 2 join a room, 3 quit:")
        ann.enters("1")
        ann.shows("Room name:")
        ann.enters("den")
        ann.shows("Room password")
        ann.enters("open sesame")
        ann.shows("You are in den as ann.")
        assert not any("sesame" in line for line in ann.lines)
        with client(server, "--name", "bob", "--join", "den") as bob:
            bob.shows("The room den has a password.")
            bob.enters("open sesame")
            bob.shows("You are in den as bob.")
            ann.shows("bob joined")
            bob.enters("hello, ann")
            ann.shows("bob hello, ann")
            bob.enters("/leave")
            assert bob.ends() == 0
        ann.shows("bob left")
        ann.enters("exit")
        until(lambda: sum("3 quit:" in line for line in ann.lines) == 2, "the menu again")
        ann.enters("3")
        assert ann.ends() == 0


def test_arriving_texts_do_not_break_the_line_being_typed(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "lines") as ann:
        ann.shows("You are in lines")
        bob = Peer(server, "bob").joins("lines")
        bob.says("first")
        ann.shows("bob first")
        ann.types("half a sen")
        ann.shows("> half a sen")
        for number in range(3):
            bob.says(f"meanwhile {number}")
        ann.shows("bob meanwhile 2")
        until(lambda: ann.lines[-1] == "> half a sen", "the line being typed, below all texts")
        ann.enters("tence")
        ann.shows("ann half a sentence")
        assert bob.hears() == b"ann: half a sentence"


def test_lines_are_wrapped_at_blanks_below_the_text(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "wrap") as ann:
        ann.shows("You are in wrap")
        bob = Peer(server, "bob").joins("wrap")
        bob.says("word " * 40)
        until(lambda: sum(line.endswith("word word") for line in ann.lines) == 3, "three lines of words")
        lines = [line for line in ann.lines if line.endswith("word word")]
        assert [line.index("word") for line in lines] == [13, 13, 13]
        assert sum(line.count("word") for line in lines) == 40
        bob.says("あ" * 50 + " end")
        ann.shows("あ end")
        assert ann.lines[-2].startswith(" " * 13 + "あ")
        ann.enters("/help")
        ann.shows("which closes it: you are its host")


def test_lines_that_are_typed_ahead_leave_nothing_behind(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "ahead") as ann:
        ann.shows("You are in ahead")
        for number in range(30):  # some of them while there is no prompt
            ann.types(f"//{number}\r" if number % 2 else f"/{number}\r")
            time.sleep(0.01)
        ann.shows("ann /29")
        assert [line for line in ann.lines if not line.startswith((f"{line[:2]}:", ">"))] == []


def test_the_terminal_is_left_as_it_was_found(server: LiveServer) -> None:
    with Terminal("bash", "--norc", "-c", f"{BIN / 'chat-client'} {' '.join(ports(server))} --name ann; stty -a",
                  folder=Path("/bin")) as shell:  # fmt: skip
        shell.shows("1 create a room")
        shell.enters("3")
        shell.shows(" echo ")
        assert shell.ends() == 0


def test_the_arrow_key_recalls_the_previous_line(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "history") as ann:
        ann.shows("You are in history")
        bob = Peer(server, "bob").joins("history")
        bob.says("here")
        ann.shows("bob here")
        ann.enters("say it again")
        assert bob.hears() == b"ann: say it again"
        ann.types(UP)
        ann.shows("> say it again")
        ann.enters("!")
        assert bob.hears() == b"ann: say it again!"


def test_help_lists_the_commands_and_who_lists_the_members(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "words") as ann:
        ann.shows("You are in words")
        bob = Peer(server, "bob").joins("words")
        bob.says("here")
        ann.shows("bob here")
        ann.enters("/who")
        ann.shows("In words: ann, bob")
        ann.enters("/help")
        ann.shows("Ctrl-D: leave the room, which closes it: you are its host")
        ann.enters("/nonsense")
        ann.shows("Unknown command /nonsense; type /help for help.")
        ann.enters("//nonsense")
        assert bob.hears() == b"ann: /nonsense"
        ann.enters("x" * 4000 + "あ" * 100)
        ann.shows("Too long for one message; nothing was sent.")
        ann.enters("after that")
        assert bob.hears() == b"ann: after that"


@pytest.mark.parametrize(("key", "code"), [(CTRL_D, 0), (CTRL_C, 130)])
def test_ctrl_c_and_ctrl_d_leave_the_room(server: LiveServer, key: str, code: int) -> None:
    room = f"key{code}"
    with room_of(server, "bob", room=room) as [bob], client(server, "--name", "ann", "--join", room) as ann:
        ann.shows(f"You are in {room}")
        until(lambda: ann.lines[-1] == ">", "the prompt")
        ann.types(key)
        assert bob.hears() == b"ann left the room"
        assert ann.ends() == code


def test_texts_cannot_control_the_terminal(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "paint") as ann:
        ann.shows("You are in paint")
        mallory = Peer(server, "mallory").joins("paint")
        mallory.says("\x1b[2J\x1b[H\x1b]0;title\x07gone\r\nand\ta \u202efake: line\x9b31m")
        ann.shows("mallory [2J[H]0;titlegone  and a fake: line31m")
        ann.shows("You are in paint")


def test_names_keep_their_colours_and_wide_ones_are_aligned(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "wide") as ann:
        ann.shows("You are in wide")
        peers = [Peer(server, name).joins("wide") for name in ("ボブ", "cem", "a-very-long-name-indeed")]
        for number, peer in enumerate(peers):
            peer.says(f"text{number}")
            ann.shows(f"text{number}")
        peers[0].says("same0")
        peers[1].says("same1")
        ann.shows("same1")
        ann.shows("a-very-long-nam…")
        assert ann.column_of("same0") == ann.column_of("same1") == ann.column_of("text2")
        assert ann.column_of("text0") == ann.column_of("text1")
        assert ann.colour_of("cem text1") == ann.colour_of("cem same1") != "default"


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


def test_a_name_that_somebody_else_has_is_asked_for_anew(server: LiveServer) -> None:
    with room_of(server, "ann", room="taken"), client(server, "--name", "ann", "--join", "taken") as ann:
        ann.shows("The name ann is taken in taken; choose another name.")
        ann.shows("idle timeout (5 minutes by default).")
        ann.enters("an:na")
        ann.shows("a user name must not contain")
        ann.enters("anna")
        ann.shows("You are in taken as anna.")


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
                time.sleep(0.2)
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


def test_a_host_is_asked_once_before_the_room_closes_for_others(server: LiveServer) -> None:
    for number, leaves in enumerate((CTRL_C, CTRL_D, "exit\r")):
        room = f"meant{number}"
        with client(server, "--name", "ann", "--create", room) as ann:
            ann.shows(f"You are in {room}")
            bob = Peer(server, "bob").joins(room)
            bob.says("hello")
            ann.shows("bob hello")
            ann.types("half a line")
            ann.shows("> half a line")
            ann.types(CTRL_C)
            until(lambda ann=ann: ann.lines[-1] == ">", "the line is cleared")
            ann.types(leaves)
            ann.shows(f"leaving closes {room} for all others (1 known).")
            ann.enters("I stay")
            assert bob.hears() == b"ann: I stay"
            ann.types(leaves)
            until(lambda ann=ann: sum("leaving closes" in line for line in ann.lines) == 2, "it asks again")
            ann.types(leaves)
            assert bob.hears() == b"Room closed"
            ann.shows(f"You left {room}, which closes it.")
            assert ann.ends() == (130 if leaves == CTRL_C else 0)


def test_a_pasted_block_is_sent_line_by_line_and_commands_nothing(server: LiveServer) -> None:
    with room_of(server, "bob", room="paste") as [bob], client(server, "--name", "ann", "--join", "paste") as ann:
        ann.shows("You are in paste")
        ann.types("\x1b[200~one\nexit\n/leave\n\n  two\x1b[201~")
        ann.enters("")
        assert [bob.hears() for _ in range(3)] == [b"ann: one", b"ann: /leave", b"ann:   two"]
        ann.shows("Not sent, because it would mean that you leave: exit")
        for line in ("ann one", "ann /leave", "ann   two"):
            ann.shows(line)


def test_no_key_is_lost_while_texts_arrive(server: LiveServer) -> None:
    with room_of(server, "bob", room="keys") as [bob], client(server, "--name", "ann", "--join", "keys") as ann:
        ann.shows("You are in keys")
        typed = ""
        for number in range(15):  # a flood, up to what a server lets through
            bob.says(f"text {number}")
            ann.types(str(number % 10))
            typed += str(number % 10)
        ann.shows("bob text 14")
        ann.types(CTRL_A + "x" + CTRL_E)
        ann.enters("")
        assert bob.hears() == f"ann: x{typed}".encode()


def test_ctrl_z_suspends_and_fg_draws_the_line_again(server: LiveServer) -> None:
    with Terminal("bash", "--norc", "-i", env={"PS1": "$ "}, folder=Path("/bin")) as shell:
        shell.shows("$")
        shell.enters(f"{BIN / 'chat-client'} {' '.join(ports(server))} --name ann --create back")
        shell.shows("You are in back")
        shell.types("half")
        shell.shows("> half")
        shell.types(CTRL_Z)
        shell.shows("Stopped")
        shell.enters("fg")
        until(lambda: shell.lines[-1] == "> half", "the line that was being typed")
        bob = Peer(server, "bob").joins("back")
        bob.says("welcome back")
        shell.shows("bob welcome back")


def test_names_and_commands_are_completed(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "tab") as ann:
        ann.shows("You are in tab")
        bob = Peer(server, "bobby").joins("tab")
        bob.says("hello")
        ann.shows("bobby hello")
        ann.types("bo\t")
        ann.shows("> bobby:")
        ann.enters("and bo\t")
        assert bob.hears() == b"ann: bobby: and bobby"
        ann.enters("/wh\t")
        ann.shows("In tab: ann, bobby")


def test_a_mention_rings_and_is_marked_and_what_came_without_focus_stands_below_a_mark(server: LiveServer) -> None:
    with client(server, "--name", "ann", "--create", "bell") as ann:
        ann.shows("You are in bell")
        bob = Peer(server, "bob").joins("bell")
        bob.says("annual report")
        ann.shows("bob annual report")
        assert ann.bells == 0
        assert "unread" not in "".join(ann.lines)
        ann.types("\x1b[O")
        bob.says("hello, Ann!")
        ann.shows("bob hello, Ann!")
        until(lambda: ann.lines[-3].endswith("── unread ────"), "the mark above the text")
        assert ann.bells == 1
        bob.says("are you there?")
        ann.shows("bob are you there?")
        ann.enters("yes")
        ann.shows("ann yes")
        bob.says("good")
        ann.shows("bob good")
        assert sum("unread" in line for line in ann.lines) == 1


def test_actions_are_said_and_what_no_dialect_can_is_said_to_be_so(server: LiveServer) -> None:
    with room_of(server, "bob", room="act") as [bob], client(server, "--name", "ann", "--join", "act") as ann:
        ann.shows("You are in act")
        ann.enters("/me ")
        ann.shows("Usage: /me TEXT")
        ann.enters("/me waves")
        assert bob.hears() == b"ann: * waves"
        ann.enters("/msg bob psst")
        ann.shows("no private messages")
        ann.enters("/rooms")
        ann.shows("This dialect cannot list the rooms of a server.")
        ann.enters("/who")
        ann.shows("Known so far: ann. Members who have said nothing are not listed.")
        assert bob.hears_nothing()


def test_rooms_are_listed_where_the_dialect_can() -> None:
    dialect = ("--dialect", "name-port-list")
    with live_server(*dialect) as server, client(server, "--name", "ann", "--create", "den", *dialect) as ann:
        ann.shows("You are in den")
        with client(server, "--name", "bob", "--create", "attic", *dialect) as bob:
            bob.shows("You are in attic")
            bob.enters("/rooms")
            bob.shows("Rooms: den, attic")


def test_a_file_gives_name_and_server_and_options_override_it(server: LiveServer, tmp_path: Path) -> None:
    config = tmp_path / "tcrp" / "chat-client.toml"
    config.parent.mkdir()
    config.write_text(f'name = "ann"\ntcp_port = {server.tcp}\nudp_port = {server.udp}\nbell = false\n')
    for options, name in (((), "ann"), (("--name", "zoe"), "zoe")):
        with Terminal(
            "chat-client", "--create", f"file-{name}", *options, env={"XDG_CONFIG_HOME": str(tmp_path)}
        ) as user:
            user.shows(f"You are in file-{name} as {name}.")
    config.write_text('nmae = "ann"\n')
    done = plain(server, b"", "--config", str(config))
    assert done.stderr.decode() == f"chat-client: {config}: there is no key 'nmae'; did you mean name?\n"
    config.write_text("tcp_port = 70000\n")
    done = plain(server, b"", "--config", str(config))
    assert done.stderr.decode() == f"chat-client: {config}: tcp_port is 70000; expected is a port, 1 to 65535\n"
    done = plain(server, b"", "--config", "/none.toml")
    assert (done.returncode, done.stderr) == (
        2,
        b"chat-client: /none.toml: cannot read it: No such file or directory\n",
    )


def test_wrong_passwords_that_lock_an_address_out_are_named_and_the_client_goes_on() -> None:
    with live_server("--password-tries-max", "1") as server, client(server) as bob:
        arguments = ["--name", "ann", "--create", "vault", "--password-file", __file__]
        with client(server, *arguments) as ann:
            ann.shows("You are in vault")
            bob.enters("bob")
            bob.shows("1 create a room, 2 join a room, 3 quit:")
            bob.enters("leave")
            bob.shows("Please enter create, join or quit, or 1, 2 or 3.")
            bob.enters("join")
            bob.enters("vault")
            bob.enters("wrong")
            bob.shows("Wrong password for vault.")
            bob.enters("wrong again")
            bob.shows("Too many wrong passwords for vault from your address; try again in a minute.")
            bob.enters("")  # gives up
            until(lambda: "3 quit:" in bob.lines[-1], "the menu again")


def test_the_right_password_gets_in_during_a_lock_out(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("open sesame")
    vault = ("--create", "vault", "--password-file", str(tmp_path / "password"))
    with (
        live_server("--password-tries-max", "1") as server,
        client(server, "--name", "ann", *vault) as ann,
        client(server, "--name", "bob") as bob,
    ):
        ann.shows("You are in vault")
        bob.shows("3 quit:")
        for answer in ("join", "vault", ""):
            bob.enters(answer)
        bob.shows("The room vault has a password.")
        bob.enters("wrong")
        bob.shows("Wrong password for vault.")
        bob.enters("wrong again")
        bob.shows("Too many wrong passwords for vault from your address")
        ends = time.monotonic() + PATIENCE
        while not any("You are in vault" in line for line in bob.lines):
            assert time.monotonic() < ends, "one password a second is looked at"
            bob.enters("open sesame")
            time.sleep(0.5)


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


def test_it_is_translated_into_japanese(server: LiveServer) -> None:
    with client(server, "--name", "アン", "--create", "居間", LANG="ja_JP.UTF-8") as ann:
        ann.shows("居間 に アン として入室しました。")
        bob = Peer(server, "ボブ").joins("居間")
        bob.says("こんばんは")
        ann.shows("ボブ が入室しました")
        ann.shows("ボブ こんばんは")
        ann.enters("いらっしゃい")
        assert bob.hears() == "アン: いらっしゃい".encode()


@pytest.mark.parametrize("dialect", ["text", "json-address", "json-port", "json-endpoint", "json-name", "name-port"])
def test_it_speaks_every_dialect_that_the_server_recognises(server: LiveServer, dialect: str) -> None:
    room = f"in-{dialect}"
    with room_of(server, "bob", room=room) as [bob]:
        options = ["--name", "ann", "--join", room, "--dialect", dialect]
        with client(server, *options) as ann:
            ann.shows(f"You are in {room}")
            ann.enters("hello")
            assert bob.hears() == b"ann: hello"
            bob.says("hello, ann")
            ann.shows("bob hello, ann")
            ann.types(CTRL_D)
            assert ann.ends() == 0


# --- through pipes -------------------------------------------------------------------------------


def plain(server: LiveServer, typed: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [BIN / "chat-client", "--plain", *ports(server), *arguments], input=typed, capture_output=True,
        timeout=PATIENCE, check=False, env={**os.environ, "LANG": "C.UTF-8"},
    )  # fmt: skip


def test_lines_from_a_pipe_are_sent_and_then_it_leaves(server: LiveServer) -> None:
    with room_of(server, "bob", room="pipe") as [bob]:
        done = plain(server, b"hello\n//slash\n/nope\n\xff\xfe\n\nlast", "--name", "ann", "--join", "pipe")
        assert (done.returncode, done.stdout) == (0, b"")
        assert [bob.hears() for _ in range(4)] == [
            b"ann: hello", b"ann: /slash", b"ann: last", b"ann left the room",
        ]  # fmt: skip
        assert done.stderr.decode().splitlines() == [
            "* You are in pipe as ann.",
            "! Unknown command /nope; type /help for help.",
            "! A line was not valid UTF-8 and was not sent.",
        ]


def test_texts_of_others_are_printed_one_line_each(server: LiveServer) -> None:
    with subprocess.Popen(
        [BIN / "chat-client", "--plain", *ports(server), "--name", "ann", "--create", "out"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as ann:  # fmt: skip
        assert ann.stdin is not None
        assert ann.stdout is not None
        assert ann.stderr is not None
        assert ann.stderr.readline() == b"* You are in out as ann.\n"
        bob = Peer(server, "bob").joins("out")
        bob.says("two\nlines \x1b[31m")
        assert ann.stdout.readline() == b"bob: two lines [31m\n"
        assert ann.stderr.readline() == b"* bob joined\n"
        ann.stdin.close()
        assert ann.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--name", "ann", "--join", "nowhere"], "! There is no room nowhere."),
        (["--name", "a:b", "--join", "x"], "chat-client: Names are 1 to 255 bytes"),
        (["--name", "\x1b[31m", "--join", "x"], "chat-client: Names are 1 to 255 bytes"),
        (["--name", "ann", "--join", "x" * 256], "chat-client: Names are 1 to 255 bytes"),
        (
            ["--name", "ann", "--join", "x", "--host", "no.such.host.invalid"],
            "! No chat server at no.such.host.invalid",
        ),
        (["--name", "ann", "--join", "x", "--password-file", "/none"], "chat-client: /none: cannot read the password"),
        (["--name", "ann", "--join", "x", "--dialect", "jsn"], "chat-client: there is no dialect named 'jsn'"),
        (["--name", "ann", "--join", "x", "--keep-alive", "1ms"], "chat-client: keep_alive is 1ms; at least 100ms"),
        (
            ["--name", "ann", "--join", "x", "--host", "here:9002"],
            "chat-client: --host takes no port; write: --host here",
        ),
        (["--name", "ann", "--join", "x", "--host", "[::1]"], "chat-client: '[::1]' is not a host"),
        (["--name", "ann", "--join", "x", "--host", "a..b"], "! No chat server at a..b: unknown host"),
        (["--name", "ann", "--join", "x", "--idle-timeout", "5"], "chat-client: idle_timeout: a duration such as"),
    ],
)
def test_a_user_error_is_reported_in_one_line_with_exit_code_2(
    server: LiveServer, arguments: list[str], said: str
) -> None:
    done = plain(server, b"hello\n", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith(said)
    assert done.stderr.count(b"\n") == 1


def test_a_session_ended_by_the_server_gives_exit_code_1() -> None:
    with live_server() as server, subprocess.Popen(
        [BIN / "chat-client", "--plain", *ports(server), "--name", "ann", "--create", "short"],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as ann:  # fmt: skip
        assert ann.stderr is not None
        assert ann.stderr.readline() == b"* You are in short as ann.\n"
        server.signal(signal.SIGTERM)
        assert ann.stderr.readline() == b"! The server was stopped.\n"
        assert ann.wait(PATIENCE) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])  # SIGHUP: its window was closed
def test_a_client_that_is_ended_leaves_the_room(server: LiveServer, number: signal.Signals) -> None:
    with room_of(server, "bob", room=f"end-{number}") as [bob], subprocess.Popen(
        [BIN / "chat-client", "--plain", *ports(server), "--name", "ann", "--join", f"end-{number}"],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as ann:  # fmt: skip
        assert ann.stderr is not None
        assert ann.stderr.readline().startswith(b"* You are in end-")
        ann.send_signal(number)
        assert bob.hears() == b"ann left the room"
        assert ann.wait(PATIENCE) == 130


def test_without_a_terminal_it_suggests_plain(server: LiveServer) -> None:
    done = subprocess.run(
        [BIN / "chat-client", *ports(server)], input=b"", capture_output=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (2, b"chat-client: there is no terminal; use --plain\n")


def test_help_imports_neither_simulator_nor_machines_nor_network() -> None:
    heavy = {"statemachine", "asyncio", "tcrp.sim", "prompt_toolkit", "rich.table"}
    assert imported_by_help("tcrp.cli.client", heavy) == []
    assert imported_by_help("tcrp.cli.client", {"argparse"}) == ["argparse"]


def test_a_client_trace_holds_its_steps(server: LiveServer, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    with room_of(server, "bob", room="traced") as [bob]:
        done = plain(server, b"hello\n", "--name", "ann", "--join", "traced", "--trace", str(trace))
        assert done.returncode == 0
        assert bob.hears() == b"ann: hello"
    header, *records = map(json.loads, trace.read_text().splitlines())
    assert (header["schema"], header["mode"]) == ("tcrp-trace/1", "sockets")
    assert header["cast"] == {"ann": {"name": "ann", "dialect": "json"}}
    assert (header["limits"], header["dialects"]) == ({"idle_timeout": "300s"}, ["json"])
    assert [(r["machine"], r["event"]) for r in records if r["kind"] == "step"] == [
        ("handshake", "requested"), ("handshake", "accepted"), ("handshake", "completed"), ("session", "granted"),
        ("session", "entered"), ("session", "spoke"), ("session", "left"),
    ]  # fmt: skip
    assert all(r["actor"] == "ann" for r in records)
    done = plain(server, b"", "--name", "ann", "--join", "x", "--trace", "-")
    assert (done.returncode, done.stderr.decode()) == (
        2, "chat-client: --trace -: the chat is on standard output; name a file for the trace (./- is one)\n",
    )  # fmt: skip
    done = plain(server, b"", "--name", "ann", "--join", "x", "--trace", "/no/such/folder")
    assert (done.returncode, done.stderr.decode()) == (
        2, "chat-client: /no/such/folder: cannot write the trace: No such file or directory\n",
    )  # fmt: skip


# --- translations ----------------------------------------------------------------------------------


def test_the_japanese_catalogue_is_complete_and_compiled() -> None:
    words = {
        message
        for _, _, message, _, _ in extract_from_dir(FOLDER.parent, keywords={"_": None})
        if isinstance(message, str)
    }
    folder = FOLDER / "ja" / "LC_MESSAGES"
    catalogue = read_po(io.BytesIO((folder / "tcrp.po").read_bytes()))
    assert {message.id for message in catalogue if message.id} == words
    assert all(message.string for message in catalogue if message.id)
    fresh = io.BytesIO()
    write_mo(fresh, catalogue)
    compiled = gettext.GNUTranslations(io.BytesIO(fresh.getvalue()))
    with Path(folder / "tcrp.mo").open("rb") as file:
        catalogued = gettext.GNUTranslations(file)
    assert {word: catalogued.gettext(word) for word in words} == {word: compiled.gettext(word) for word in words}


def test_the_frame_of_help_and_argparse_errors_are_in_the_users_language() -> None:
    def run(*words: str) -> str:
        env = {**os.environ, "LANG": "ja_JP.UTF-8", "LC_ALL": "", "LANGUAGE": "", "PYTHONIOENCODING": "utf-8"}
        command = [str(BIN / "chat-client"), *words]
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False, env=env)
        return (done.stdout + done.stderr).decode()

    shown = run("--help")
    assert shown.startswith("使い方: chat-client ")
    assert "\nオプション:\n" in shown
    assert not {"usage:", "options:", "show this"} & set(shown.splitlines())
    assert "このヘルプを表示して終了する" in shown
    assert "バージョンを表示して終了する" in shown
    helps = [re.match(r"  -.*?  +(?=[^ ])", line) for line in shown.splitlines()]
    assert len({get_cwidth(found.group()) for found in helps if found is not None}) == 1, "all in one column"
    assert run("--nme").endswith("chat-client: エラー: 不明な引数です: --nme\n")
