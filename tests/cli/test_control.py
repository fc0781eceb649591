"""`chat-server ctl`: an operator lists, removes, closes and stops, and is told what cannot be done."""

from __future__ import annotations

import contextlib
import json
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import BIN, JOIN, PATIENCE, LiveServer, Peer, ctl, frame, live_server, room_of, until
from tcrp.net.control import CONNECTIONS_MAX, REQUEST_BYTES_MAX

NO_SUCH_ROOM = 2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control"


@pytest.fixture
def server(path: Path) -> Iterator[LiveServer]:
    with live_server("--control", str(path)) as server:
        yield server


def says(path: Path, data: bytes) -> dict[str, object]:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(PATIENCE)
        asking.connect(str(path))
        asking.sendall(data)
        answer: dict[str, object] = json.loads(asking.makefile("rb").read())
        return answer


def test_only_its_own_user_may_use_the_socket_which_goes_with_the_server(server: LiveServer, path: Path) -> None:
    mode = path.stat().st_mode
    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
    assert server.stop() == 0
    assert not path.exists()


def test_rooms_and_members_are_listed(server: LiveServer, path: Path) -> None:
    assert ctl(path, "list").split() == ["room", "state", "host", "members"]
    with room_of(server, "ann", "ボブ", room="談話室") as [ann, bob]:
        assert ctl(path, "list").splitlines() == ["room    state  host  members", "談話室  open   ann   2"]
        members = ctl(path, "list", "談話室").splitlines()
        assert members[0].split() == ["user", "state", "host", "address", "dialect", "silent", "seconds"]
        addresses = [f"127.0.0.1:{peer.udp.getsockname()[1]}" for peer in (ann, bob)]
        assert members[1].split()[:5] == ["ann", "in-room", "yes", addresses[0], "text"]
        assert members[2].split()[:4] == ["ボブ", "in-room", addresses[1], "text"]
        rooms = json.loads(ctl(path, "--json", "list"))
        assert rooms == [{"room": "談話室", "state": "open", "host": "ann", "members": 2}]
        assert ann.token.decode() not in ctl(path, "--json", "list", "談話室")


def test_options_stand_before_or_behind_the_command(server: LiveServer, path: Path) -> None:
    with room_of(server, "ann", "bob", room="lobby"):
        expected = ctl(path, "--json", "list", "lobby")
        for words in (
            ["--control", str(path), "--json", "list", "lobby"],
            ["list", "--control", str(path), "--json", "lobby"],
            ["--json", "list", "lobby", "--control", str(path)],
        ):
            done = subprocess.run([BIN / "chat-server", "ctl", *words], capture_output=True, text=True, check=True)
            assert json.loads(done.stdout)[0]["user"] == json.loads(expected)[0]["user"] == "ann"


def test_a_user_is_removed_and_told_so(server: LiveServer, path: Path) -> None:
    with room_of(server, "ann", "bob", room="lobby") as [ann, bob]:
        assert ctl(path, "remove", "bob", "lobby") == ""
        assert bob.hears() == b"You were removed"
        assert ann.hears() == b"bob left the room"
        assert ctl(path, "remove", "bob", "lobby", code=2) == "there is no 'bob' in a room 'lobby'"
        until(lambda: server.logs("event=control_command command=remove user=bob room=lobby"), "the log of it")


def test_a_room_is_closed_and_everybody_told_so(server: LiveServer, path: Path) -> None:
    with room_of(server, "ann", "bob", room="lobby") as [ann, bob]:
        assert ctl(path, "close", "lobby") == ""
        assert (ann.hears(), bob.hears()) == (b"You were removed", b"Room closed")
        assert Peer(server, "cem").ask(frame(JOIN, 0, b"lobby", b"cem"))[-1] == NO_SUCH_ROOM
        assert ctl(path, "list").splitlines()[1].split() == ["lobby", "closing", "-", "0"]
        assert ctl(path, "close", "lobby", code=2) == "there is no open room 'lobby'"


def test_a_shutdown_is_that_of_sigterm(server: LiveServer, path: Path) -> None:
    with room_of(server, "ann", "bob") as [_, bob]:
        assert ctl(path, "shutdown") == ""
        assert bob.hears() == b"Server shutdown"
        assert server.process.wait(PATIENCE) == 0
        assert server.logs("event=stopped")


@pytest.mark.usefixtures("server")
def test_an_operators_mistake_is_a_sentence(path: Path) -> None:
    hint = "Start chat-server with --control FILE, and give ctl the same"
    nowhere = path.parent / "nowhere"
    assert ctl(nowhere, "list", code=2) == f"no server listens at {nowhere}. {hint}"
    assert ctl(path, "list", "attic", code=2) == "there is no room 'attic'"
    assert ctl(path, "list", "a" * 5000, code=2).startswith("a line of JSON is expected")
    assert ctl(path, "list", "\udcff", code=2) == "members takes room, each a string"
    assert ctl(path.parent, "list", code=2) == f"no server listens at {path.parent}. {hint}"
    assert "invalid choice: 'lsit'" in ctl(path, "lsit", code=2)
    assert "the following arguments are required: ROOM" in ctl(path, "remove", "bob", code=2)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"list\n", "a line of JSON is expected"),
        (b"\n", "a line of JSON is expected"),
        (b"\xff\n", "a line of JSON is expected"),
        (b"[" * 4000 + b"\n", "a line of JSON is expected"),
        (b'{"command": "' + b"x" * REQUEST_BYTES_MAX + b'"}\n', "a line of JSON is expected"),
        (b'{"command": 1}\n', "a line of JSON is expected"),
        (b'{"command": "lsit"}\n', "there is no command 'lsit'; there are list, members, remove, close, shutdown"),
        (b'{"command": "remove", "user": "bob"}\n', "remove takes user and room, each a string"),
        (b'{"command": "close", "room": 1}\n', "close takes room, each a string"),
        (b'{"command": "close", "room": "\\ud800"}\n', "close takes room, each a string"),
        (b'{"command": "shutdown", "now": "yes"}\n', "shutdown takes nothing"),
    ],
)
@pytest.mark.usefixtures("server")
def test_a_request_that_means_nothing_is_answered_and_changes_nothing(path: Path, data: bytes, why: str) -> None:
    answer = says(path, data)
    assert answer["ok"] is False
    assert str(answer["why"]).startswith(why)
    assert says(path, b'{"command": "list"}\n') == {"ok": True, "rooms": []}


def test_operators_who_say_nothing_hold_up_nobody_for_long(server: LiveServer, path: Path) -> None:
    with contextlib.ExitStack() as idle:
        for _ in range(CONNECTIONS_MAX):
            idle.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
        Peer(server, "ann").creates("lobby")
        assert "broke off" in ctl(path, "list", code=2)
    until(lambda: says(path, b'{"command": "list"}\n')["ok"], "that there is room again")


# --- the socket's file ------------------------------------------------------------------------------


def start(path: Path) -> str:
    """The complaint of a server that cannot start."""
    done = subprocess.run(
        [BIN / "chat-server", "--tcp-port", "0", "--udp-port", "0", "--control", path],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("chat-server: ")
    return done.stderr.removeprefix("chat-server: ").rstrip("\n")


def test_what_a_killed_server_left_behind_is_replaced(path: Path) -> None:
    with live_server("--control", str(path)) as server:
        server.kill()
        assert path.exists()
    with live_server("--control", str(path)):
        assert ctl(path, "list").startswith("room")


@pytest.mark.usefixtures("server")
def test_a_socket_that_is_used_and_a_file_that_is_none_stay(path: Path) -> None:
    taken = "cannot be opened: Address already in use (another chat-server, or another file?). Try another --control"
    assert start(path) == f"the control socket {path} {taken}"
    assert ctl(path, "list").startswith("room")
    file = path.parent / "notes"
    file.write_text("mine")
    assert start(file) == f"the control socket {file} {taken}"
    assert file.read_text() == "mine"


def test_a_path_that_cannot_be_is_a_sentence(path: Path) -> None:
    assert start(path / "none") == f"the control socket {path / 'none'} cannot be opened: No such file or directory"
    long = path.parent / ("x" * 200)
    assert start(long) == f"the control socket {long} cannot be opened: AF_UNIX path too long"
