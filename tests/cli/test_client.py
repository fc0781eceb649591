"""`chat-client` on a terminal, through pipes, and in two languages."""

from __future__ import annotations

import contextlib
import gettext
import io
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from processes import BIN, PATIENCE, LiveServer, Peer, imported_by_help, live_server, room_of, until
from tcrp.cli.i18n import FOLDER
from terminal import Terminal

CTRL_C, CTRL_D, UP = "\x03", "\x04", "\x1b[A"


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
            bob.shows("Wrong password for den.")
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
        ann.shows("Heard of since you joined: ann, bob")
        ann.enters("/help")
        ann.shows("/leave, exit, /exit: leave the room (or press Ctrl-D)")
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


def test_a_server_crash_is_noticed_and_the_room_can_be_created_again() -> None:
    with live_server() as server, client(server, "--name", "ann", "--create", "phoenix") as ann:
        ann.shows("You are in phoenix")
        server.kill()
        ann.enters("still there?")
        ann.shows("Lost the connection to the server.")
        ann.shows("Join phoenix again? [y/n]")
        ann.enters("y")
        ann.shows("Connection refused")
        ann.shows("Try again? [y/n]")
        with live_server(tcp=server.tcp, udp=server.udp):
            ann.enters("y")
            ann.shows("There is no room phoenix.")
            ann.shows("Create it? [y/n]")
            ann.enters("y")
            until(lambda: sum("You are in phoenix" in line for line in ann.lines) == 2, "ann again")


def test_a_server_restart_is_noticed_in_a_quiet_room() -> None:
    options = ["--name", "ann", "--create", "amnesia", "--idle-timeout", "15s"]  # a keep-alive each 3 s
    with live_server() as server, client(server, *options) as ann:
        ann.shows("You are in amnesia")
        Peer(server, "bob").joins("amnesia").says("hello")
        ann.shows("bob hello")  # from now on nothing is sent for 3 s
        server.kill()
        with live_server(tcp=server.tcp, udp=server.udp):
            ann.shows("The server no longer answers; it may have been restarted.")
            ann.enters("y")
            ann.shows("There is no room amnesia.")


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
            until(lambda: ann.lines[-1] == ">", "the prompt")  # printing suspends raw mode; Ctrl-D would be lost
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


def test_a_client_leaves_the_room_on_sigterm(server: LiveServer) -> None:
    with room_of(server, "bob", room="term") as [bob], subprocess.Popen(
        [BIN / "chat-client", "--plain", *ports(server), "--name", "ann", "--join", "term"],
        stdin=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as ann:  # fmt: skip
        assert ann.stderr is not None
        assert ann.stderr.readline() == b"* You are in term as ann.\n"
        ann.terminate()
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
