"""The live view: `chat-server --watch` in a real browser, with real clients; and what must not reach the server."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import made_records as made
from browser import Tab, chromium, opened
from processes import BIN, PATIENCE, LiveServer, Peer, live_server
from tcrp.cli.exits import CANNOT
from tcrp.cli.server import main
from tcrp.cli.settings import parse_watch
from tcrp.live import watch as watch_module
from tcrp.live.watch import Watch, _Browser, _History
from tcrp.spec.names import Rule, SessionEvent, SessionState
from tcrp.trace.header import Header, Mode
from tcrp.trace.records import Record

EVIL = "</script><b>x"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@contextmanager
def watched(*options: str) -> Iterator[tuple[LiveServer, str]]:
    """A server and the address of its live view."""
    with live_server("--watch", "127.0.0.1:0", *options) as server:
        assert server.process.stdout is not None
        line = server.process.stdout.readline()
        yield server, line.rpartition(" ")[2].strip()


@contextmanager
def client(server: LiveServer, name: str, *how: str) -> Iterator[subprocess.Popen[str]]:
    """A chat-client that reads its lines from a pipe."""
    ports = ["--tcp-port", str(server.tcp), "--udp-port", str(server.udp)]
    process = subprocess.Popen(
        [BIN / "chat-client", "--plain", *ports, "--name", name, *how, "lobby"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def base(address: str) -> str:
    return address.partition("?")[0]


def types(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def shows(tab: Tab, condition: str) -> None:
    tab.page.wait_for_function(f"() => {condition}", timeout=PATIENCE * 1000)


IN_ROOM = "document.querySelector('#machines title').textContent.includes('in-room: {}')"


def test_the_page_follows_three_clients(browser: Any) -> None:
    with watched() as (server, address), opened(browser, address, allowed=base(address)) as tab:
        shows(tab, "document.getElementById('live').textContent === 'live'")
        with client(server, "ann", "--create") as ann:
            shows(tab, IN_ROOM.format("ann"))
            with contextlib.ExitStack() as guests:
                for name, members in (("bob", "ann, bob"), ("cay", "ann, bob, cay")):
                    guests.enter_context(client(server, name, "--join"))
                    shows(tab, IN_ROOM.format(members))
                assert tab.ask("() => app.trace.order.map((each) => app.trace.lifelines[each].name)") == [
                    "server", "ann", "bob", "cay",
                ]  # fmt: skip
                types(ann, "a secret plan")
                shows(tab, "app.trace.records.what.filter((each) => app.trace.text(each) === 'relayed').length >= 3")
                Peer(server, "eve").sends(b"\x05\x20lobby" + b"0" * 32 + b"let me in")
                shows(tab, "app.trace.drops === 1")
                assert "1 dropped" in tab.text("#total")
                assert "a secret plan" not in tab.page.content()
                assert tab.ask("() => app.trace.texts.includes('a secret plan')") is False, "texts were not asked for"
        assert tab.requests == []
        server.stop()
        shows(tab, "document.getElementById('live').className === 'lost'")
        assert [each for each in tab.errors if "ERR_CONNECTION" not in each and "Failed to load" not in each] == []


def test_texts_are_shown_if_asked_for_and_are_no_markup(browser: Any) -> None:
    with (
        watched("--watch-texts") as (server, address),
        opened(browser, address, allowed=base(address)) as tab,
    ):
        ann, bob = Peer(server, "ann").creates("lobby"), Peer(server, "bob").joins("lobby")
        bob.says("")
        ann.says(EVIL)
        shows(tab, f"[...app.trace.said.values()].includes({json.dumps(EVIL)})")
        tab.page.fill("#search", EVIL)
        tab.page.press("#search", "Enter")
        assert EVIL in tab.text("#facts")
        assert tab.ask("() => document.querySelectorAll('#facts b').length") == 0


def test_who_comes_later_sees_who_is_there(browser: Any) -> None:
    with watched() as (server, address):
        ann = Peer(server, "ann").creates("lobby")
        ann.says("")
        with opened(browser, address, allowed=base(address)) as tab:
            shows(tab, IN_ROOM.format("ann"))


def get(address: str, **headers: str) -> int:
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 (our own server)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_without_the_token_or_under_another_name_nothing_is_served() -> None:
    with watched() as (_, address):
        bare = base(address)
        assert get(address) == 200
        assert get(bare) == 403
        assert get(f"{bare}?token=x") == 403
        assert get(f"{bare}events") == 403
        assert get(address, Host="evil.example") == 403, "another page's name that leads to the loopback"
        assert get(f"{bare}x?{address.partition('?')[2]}") == 404


def test_a_browser_that_reads_nothing_does_not_slow_the_server() -> None:
    with watched() as (server, address):
        ann, bob = Peer(server, "ann").creates("lobby"), Peer(server, "bob").joins("lobby")
        bob.says("")
        host, _, port = address.partition("//")[2].partition("/")[0].partition(":")
        query = address.partition("?")[2]
        lazy = socket.create_connection((host, int(port)))
        lazy.sendall(f"GET /events?{query} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        for n in range(10):
            ann.says(f"text {n}")
            ann.hears_within(bob, f"ann: text {n}")
        lazy.close()
        ann.says("and on")
        ann.hears_within(bob, "ann: and on")


# --- what waits is bounded ----------------------------------------------------------------------


def spoke(n: int) -> Record:
    return made.step(
        event=SessionEvent.SPOKE,
        from_=SessionState.IN_ROOM,
        id="ann@lobby",
        n=n,
        rule=Rule.IDLE_1,
        t_us=n,
        to=SessionState.IN_ROOM,
    )


def history(count: int) -> _History:
    made = _History()
    made.header = Header(Mode.SOCKETS)
    made.extend(map(spoke, range(1, count + 1)))
    return made


def message(browser: _Browser) -> tuple[str, Any]:
    sent = browser._waiting.get_nowait()
    assert sent is not None
    event, data = sent.decode().strip().split("\n")
    return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_history_keeps_the_latest_records_and_the_states_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "HISTORY_MAX", 10)
    kept = history(1000)
    picture = kept.picture()
    assert (picture.first, len(picture.records)) == (991, 10)
    assert [track.state for track in picture.tracks] == ["in-room"]
    assert len(kept._steps) == 1


def test_who_is_too_slow_begins_again_and_is_told_how_much_was_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "CHUNKS_MAX", 2)
    kept = history(5)
    slow = _Browser(kept)
    for n in range(6, 16):
        batch = [spoke(n)]
        slow.feed(batch, kept.extend(batch))
    assert slow._waiting.qsize() == 2
    assert message(slow)[0] == "begin"
    assert message(slow)[0] == "more"
    batch = [spoke(16)]
    slow.feed(batch, kept.extend(batch))
    event, data = message(slow)
    assert event == "begin"
    assert data["left_out"] == 9, "7 to 15 had no room, or came too late; with 16 it begins again"
    assert data["chunk"]["records"]["t"][-1] == 16


def test_records_that_the_thread_has_missed_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "INCOMING_MAX", 20)
    seen = Watch("127.0.0.1", 0)
    seen._incoming = type(seen._incoming)(maxlen=20)
    seen._history.header = Header(Mode.SOCKETS)
    viewer = _Browser(seen._history)
    message(viewer)
    seen._browsers.append(viewer)
    for n in range(1, 51):
        seen(spoke(n))
    seen._tick()
    event, data = message(viewer)
    assert (event, data["left_out"], data["chunk"]["first"]) == ("begin", 30, 31)


# --- the option ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "place"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:8080", ("::1", 8080)), ("localhost:1", ("127.0.0.1", 1)),
     (":0", ("127.0.0.1", 0)), ("127.9.9.9:65535", ("127.9.9.9", 65535))],
)  # fmt: skip
def test_a_loopback_address_is_taken(value: str, place: tuple[str, int]) -> None:
    assert parse_watch(value) == place


@pytest.mark.parametrize(
    "value", ["0.0.0.0:80", "192.168.1.5:80", "example.org:80", "127.0.0.1", "127.0.0.1:65536", "x"]
)
def test_any_other_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--watch", value]) == CANNOT
    assert f"watch is {value!r}" in capsys.readouterr().err


def test_without_its_library_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "tcrp.live.watch")
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    assert main(["--watch", "127.0.0.1:0"]) == CANNOT
    assert "pip install aiohttp (in a clone of tcrp: pip install -e '.[watch]')" in capsys.readouterr().err


def test_a_port_that_is_taken_is_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [str(BIN / "chat-server"), "--tcp-port", "0", "--udp-port", "0", "--watch", place]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (CANNOT, "")
    assert "the live view cannot be served" in done.stderr
    assert "Traceback" not in done.stderr
