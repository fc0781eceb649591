"""`chat-client` through pipes, user errors, signals and traces."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import BIN, PATIENCE, LiveServer, Peer, imported_by_help, live_server, room_of
from terminal import plain, ports


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server("--linger", "0s") as server:
        yield server


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


@pytest.mark.parametrize(("arguments", "code"), [(["--join", "x"], 2), (["--create", "x"], 2), ([], 0)])
def test_input_that_ends_before_a_named_room_is_entered_is_no_success(
    server: LiveServer, arguments: list[str], code: int
) -> None:
    done = plain(server, b"", *arguments)
    assert (done.returncode, done.stderr.decode().strip()) == (code, "Your name:")


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
