"""SIGHUP: a server reads its limits again and says what came of it, or ends with its terminal."""

from __future__ import annotations

import os
import pty
import signal
import time
from pathlib import Path

import pytest

from processes import BIN, JOIN, PATIENCE, QUIET, LiveServer, Peer, frame, live_server, room_of, until

ROOM_FULL = 5


def test_sighup_rereads_limits_and_keeps_all_sessions(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text('members_max = 2\nidle_timeout = "300s"\n')
    with live_server("--config", str(config)) as server, room_of(server, "ann", "bob", room="lobby") as [ann, bob]:
        assert Peer(server, "cem").ask(frame(JOIN, 0, b"lobby", b"cem"))[-1] == ROOM_FULL
        config.write_text("members_max = many\n")
        server.signal(signal.SIGHUP)
        until(lambda: server.logs("limits_not_reread"), "the error in the log")
        config.write_text("members_max = 3\n")
        server.signal(signal.SIGHUP)
        until(lambda: server.logs("event=limits_reread"), "the new limits")
        Peer(server, "cem").joins("lobby").says("third")
        assert (ann.hears(), bob.hears()) == (b"cem: third", b"cem: third")


def test_sighup_shortens_running_idle_timeouts(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text("")
    with live_server("--config", str(config)) as server, room_of(server, "ann", "bob") as [_, bob]:
        config.write_text('idle_timeout = "100ms"\n')
        server.signal(signal.SIGHUP)
        assert bob.hears() in (b"You were silent too long", b"Room closed")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "cannot read the file: No such file or directory"),
        ("rooms_max = " + "[" * 100_000, "not valid TOML: nested too deeply"),
        ("rooms_max = " + "9" * 5000, "not valid TOML: Exceeds the limit"),
        ("\udcff", "not valid UTF-8"),
        ("idle_timeout = 1979-05-27", "a duration with its unit is expected"),
        ("rooms_max = inf", "a whole number is expected"),
    ],
)
def test_sighup_with_a_file_that_cannot_be_read_says_so_and_changes_nothing(
    tmp_path: Path, text: str | None, why: str
) -> None:
    config = tmp_path / "server.toml"
    config.write_text("members_max = 1\n")
    with live_server("--config", str(config)) as server:
        Peer(server, "ann").creates("lobby")
        config.unlink()
        if text is not None:
            config.write_bytes(text.encode("utf-8", "surrogateescape"))
        server.signal(signal.SIGHUP)
        until(lambda: server.logs("limits_not_reread"), "the complaint")
        assert why in server.log()
        assert Peer(server, "bob").ask(frame(JOIN, 0, b"lobby", b"bob"))[-1] == ROOM_FULL


def test_sighup_names_what_changed_and_what_needs_a_restart(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text("")
    with live_server("--config", str(config)) as server:
        config.write_text('members_max = 3\nidle_timeout = "90s"\nhost = "::1"\nlog_format = "json"\ntcp_port = 1\n')
        server.signal(signal.SIGHUP)
        until(lambda: server.logs("restart_needed"), "what needs a restart")
        assert 'event=limits_reread changed="members_max=3 idle_timeout=90s"' in server.log()
        # The ports and the host are options here, which the file does not override.
        assert "level=warning event=restart_needed settings=log_format" in server.log()
        config.write_text('members_max = 3\nidle_timeout = "90s"\n')
        server.signal(signal.SIGHUP)
        until(lambda: server.logs("event=limits_reread changed=nothing"), "that nothing changed")
        assert server.log().count("restart_needed") == 1


def test_sighup_without_a_file_says_that_there_is_none() -> None:
    with live_server() as server:
        server.signal(signal.SIGHUP)
        until(lambda: server.logs("no --config FILE was given"), "the complaint")
        Peer(server, "ann").creates("lobby")


class OnATerminal:
    """A server whose stderr is a terminal that can be closed, as a window is."""

    def __init__(self, *options: str, command: tuple[str, ...] = ()) -> None:
        self.terminal, stderr = pty.openpty()
        # What is ignored here, as under nohup, a new process would ignore too.
        handler = signal.signal(signal.SIGHUP, signal.SIG_DFL)
        try:
            self.server = LiveServer(*options, command=(*command, str(BIN / "chat-server")), stderr=stderr)
        finally:
            signal.signal(signal.SIGHUP, handler)
            os.close(stderr)

    def closes(self) -> None:
        os.close(self.terminal)
        self.server.signal(signal.SIGHUP)  # as the system does for whoever runs in the terminal


def test_a_closed_terminal_ends_the_server_and_everybody_is_told() -> None:
    window = OnATerminal()
    try:
        with room_of(window.server, "ann", "bob") as [_, bob]:
            window.closes()
            assert bob.hears() == b"Server shutdown"
            assert window.server.process.wait(PATIENCE) == 0
    finally:
        window.server.close()


@pytest.mark.parametrize("how", ["with a file", "with nohup"])
def test_a_server_that_is_to_outlive_its_terminal_does(how: str, tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text("")
    window = OnATerminal("--config", str(config)) if how == "with a file" else OnATerminal(command=("nohup",))
    try:
        window.closes()
        Peer(window.server, "ann").creates("lobby")
        time.sleep(QUIET)
        assert window.server.stop() == 0
    finally:
        window.server.close()
