"""A server with several listeners on real sockets: one room space, and every figure says which listener."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import BIN, JOIN, PATIENCE, LiveServer, Peer, frame, live_server, until
from tcrp.cli.server import main
from tcrp.net.ports import Place, overlapping
from tcrp.trace.reader import read_trace
from tcrp.trace.records import PacketRecord, StepRecord

LISTEN = ("tcp=0,udp=0,name=main", "tcp=0,udp=0,name=old,dialect=text", "tcp=0,udp=0,name=words,dialect=name-port")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("listeners")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LiveServer]:
    options = ["--control", str(folder / "control"), "--trace", str(folder / "trace.jsonl"), "--token-timeout", "1s"]
    with live_server(*options, listen=LISTEN) as server:
        yield server


def members(folder: Path, room: str) -> list[dict[str, object]]:
    asked = subprocess.run(
        [BIN / "chat-server", "ctl", "--control", folder / "control", "--json", "list", room],
        capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    found: list[dict[str, object]] = json.loads(asked.stdout)
    return found


def test_members_of_two_listeners_talk_in_one_room(server: LiveServer, folder: Path) -> None:
    main, old, _ = server.listeners
    ann, bob = Peer(main, "ann").creates("lobby"), Peer(old, "bob").joins("lobby")
    ann.hears_within(bob, "こんにちは")
    bob.hears_within(ann, "hello")
    assert [(each["user"], each["listener"]) for each in members(folder, "lobby")] == [("ann", "main"), ("bob", "old")]
    until(lambda: server.logs("session=bob@lobby rule=R-TOK-2 peer=127.0.0.1"), "that bob has entered")
    [line] = [line for line in server.log().splitlines() if "session_entered session=bob@lobby" in line]
    assert line.endswith(" listener=old")
    ann.says("/exit")
    assert bob.hears() == b"Room closed"


def test_a_token_is_heard_only_by_the_listener_that_granted_it(server: LiveServer, folder: Path) -> None:
    main, old, _ = server.listeners
    cem, dee = Peer(main, "cem").creates("den"), Peer(old, "dee").joins("den")
    cem.hears_within(dee, "here I am")
    dee.udp.connect((main.host, main.udp))
    dee.says("by the other ports")
    assert cem.hears_nothing()
    until(lambda: server.logs("event=dropped rule=R-TOK-3 times=1 listener=main"), "that it was dropped")
    dee.udp.connect((old.host, old.udp))
    cem.hears_within(dee, "by my own")
    until(lambda: '"by another listener"' in (folder / "trace.jsonl").read_text(encoding="utf-8"), "its record")
    records = list(read_trace(folder / "trace.jsonl", still_written=True)[1])
    assert {each.listener for each in records if isinstance(each, PacketRecord) and each.rule == "R-TOK-3"} == {"main"}
    granted = [each for each in records if isinstance(each, StepRecord) and each.event == "granted"]
    assert {(each.id, each.listener) for each in granted} >= {("cem@den", "main"), ("dee@den", "old")}
    assert read_trace(folder / "trace.jsonl", still_written=True)[0].listeners == {
        "main": "auto", "old": "text", "words": "name-port",
    }  # fmt: skip


def test_a_port_that_prints_as_text_is_read_by_the_listener_that_lists_only_its_dialect(server: LiveServer) -> None:
    main, _, words = server.listeners
    Peer(main, "eve").creates("attic")
    request = frame(JOIN, 0, b"attic", b"fay" + b"aa")
    assert Peer(words, "fay").ask(request).startswith(frame(JOIN, 1, b"attic", b"OK").replace(b"attic", b""))
    Peer(main, "gil").ask(request)
    warned = 'level=warning event=session_never_entered session=fayaa@attic rule=R-TOK-5 why="granted in text, '
    until(lambda: server.logs(warned + 'silent since: wrong dialect?" listener=main'), "the warning")
    assert server.log().count("session_never_entered") == 1


def test_a_refused_request_is_logged_with_its_listener(server: LiveServer) -> None:
    Peer(server.listeners[1], "hal").ask(frame(JOIN, 0, b"nowhere", b"hal"))
    until(lambda: server.logs("no_such_room") and "request_refused" in server.log(), "the refusal")
    [line] = [line for line in server.log().splitlines() if "no_such_room" in line]
    assert line.endswith(" listener=old")


def test_a_restart_is_needed_for_other_listeners(tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text("[[listen]]\ntcp = 0\nudp = 0\n")
    with live_server("--config", str(config), listeners=1) as server:
        config.write_text("[[listen]]\ntcp = 0\nudp = 0\n[[listen]]\ntcp = 1\nudp = 2\n")
        server.signal(signal.SIGHUP)
        until(lambda: server.logs("level=warning event=restart_needed settings=listen"), "what needs a restart")


def refused(capfd: pytest.CaptureFixture[str], *listen: str) -> str:
    assert main([f"--listen={each}" for each in listen]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("chat-server: ")
    return err[len("chat-server: ") : -1]


def test_what_cannot_be_opened_is_said_with_its_listener(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        udp.bind(("127.0.0.1", 0))
        tcp_port, udp_port = taken.getsockname()[1], udp.getsockname()[1]
        is_taken = "of the listener {} is taken by another program"
        assert refused(capfd, "tcp=0,udp=0", f"tcp={tcp_port},udp=0,name=old") == (
            f"port {tcp_port} (TCP) {is_taken.format('old')}"
        )
        assert refused(capfd, "tcp=0,udp=0", f"tcp=0,udp={udp_port},name=old") == (
            f"port {udp_port} (UDP) {is_taken.format('old')}"
        )
    assert refused(capfd, "tcp=0,udp=0", "tcp=0,udp=0,name=far,address=203.0.113.1") == (
        "203.0.113.1 (listener far) is no address of this machine. Give it another"
    )


@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        ("tcp=19002,udp=0", "tcp=19002,udp=0,name=b", "have port 19002 (TCP)"),
        ("tcp=0,udp=19003,name=a", "tcp=0,udp=19003,address=localhost,name=b", "have port 19003 (UDP)"),
        ("tcp=0,udp=19003,address=0.0.0.0", "tcp=0,udp=19003", "have port 19003 (UDP)"),
    ],
)
def test_two_listeners_of_one_port_are_refused_before_anything_starts(
    capfd: pytest.CaptureFixture[str], one: str, other: str, what: str
) -> None:
    assert what in refused(capfd, one, other)


def test_places_overlap_where_a_socket_would_be_the_same() -> None:
    assert overlapping([Place("127.0.0.1", 1, 2), Place("127.0.0.2", 1, 2)]) is None
    assert overlapping([Place("127.0.0.1", 0, 0), Place("127.0.0.1", 0, 0)]) is None
    assert overlapping([Place("127.0.0.1", 1, 2), Place("127.0.0.1", 2, 1)]) is None
    assert overlapping([Place("127.0.0.1", 5, 6), Place("::", 1, 2), Place("::1", 3, 2)]) == (1, 2, "udp")
    assert overlapping([Place("127.0.0.1", 1, 2), Place("::", 1, 4)]) == (0, 1, "tcp")
