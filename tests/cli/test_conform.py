"""`chat-sim conform server` as its users meet it: a report, and a clear sentence where nothing can be judged."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from judge.flawed_servers import IgnoresTheAddress, Member, Server
from judge.report_samples import BROKEN, HOLDS, LOST, SKIPPED, judgement
from processes import BIN, PATIENCE, live_server
from tcrp.cli.conform import FORMATS, report
from tcrp.judge.record import Waits
from tcrp.judge.verdicts import Finding
from tcrp.spec.names import Rule


def conform(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "chat-sim", "conform", "server", *arguments], capture_output=True, text=True, timeout=3 * PATIENCE,
        check=False, cwd=folder,
    )  # fmt: skip


@contextlib.contextmanager
def listening(behaviour: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP port at which each connection meets a behaviour."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), connection:
                behaviour(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)
        listener.close()


def closes(connection: socket.socket) -> None:
    connection.close()


def says_http(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


def says_tls(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(bytes.fromhex("15030100020246"))  # the alert of a TLS server that is sent something else


def says_nothing(connection: socket.socket) -> None:
    connection.settimeout(PATIENCE)
    while connection.recv(4096):
        pass


def never_ends(connection: socket.socket) -> None:
    connection.settimeout(PATIENCE)
    while True:
        connection.sendall(b"\x01" * 4096)


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (closes, "closes the connection without an answer"),
        (says_http, "speaks HTTP"),
        (says_tls, "speaks TLS"),
        (says_nothing, "answers nothing within 3 s"),
        (never_ends, "gives no answer in dialect json"),
    ],
)
def test_what_is_no_chat_server_is_named_and_cannot_be_judged(
    behaviour: Callable[[socket.socket], None], said: str
) -> None:
    with listening(behaviour) as port:
        result = conform("127.0.0.1", "--tcp-port", str(port), "--dialect", "json")
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_server_that_is_not_there_cannot_be_judged() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    result = conform("127.0.0.1", "--tcp-port", str(port))
    assert result.returncode == 2
    assert "Connection refused. Is the server running, and is --tcp-port its port?" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("192.0.2.1",), "--yes-this-is-my-server"),
        (("127.0.0.1", "--tcp-port", "0"), "'0' is no port"),
        (("127.0.0.1", "--dialect", "jsn"), "did you mean json?"),
        (("127.0.0.1", "--patience", "3"), "a unit is missing: 3s"),
        (("no-such-host.invalid",), "no-such-host.invalid"),
    ],
)
def test_a_mistake_of_the_user_is_explained(arguments: tuple[str, ...], said: str) -> None:
    result = conform(*arguments)
    assert result.returncode == 2
    assert said in result.stderr


class Arrows(Server):
    """Speaks a dialect of its own: relays begin with an arrow."""

    def form(self, member: Member, name: str, text: str) -> bytes:
        return f"-> {name} says {text}".encode()


def test_a_dialect_that_fits_is_found_and_an_unknown_one_is_described(tmp_path: Path) -> None:
    server = Arrows()
    try:
        tcp, udp = server.ports
        places = ("127.0.0.1", "--tcp-port", str(tcp), "--udp-port", str(udp), "--patience", "100ms")
        unknown = conform(*places, folder=tmp_path)
        assert (unknown.returncode, unknown.stdout) == (2, "")
        assert "The nearest is text:" in unknown.stderr
        assert "discovered.toml describes it as far as it was seen" in unknown.stderr
        assert """fields = ["'-> {name} says {text}'"]""" in (tmp_path / "discovered.toml").read_text(encoding="utf-8")
        described = conform(*places, "--dialect", "discovered.toml", folder=tmp_path)
        assert "R-REL-3   holds" in described.stdout, described.stderr
    finally:
        server.close()


@pytest.mark.parametrize("behaviour", [closes, says_http])
def test_what_is_no_chat_server_fits_no_dialect(behaviour: Callable[[socket.socket], None], tmp_path: Path) -> None:
    with listening(behaviour) as port:
        result = conform("127.0.0.1", "--tcp-port", str(port), folder=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_our_server_conforms_as_a_process_and_the_report_ends_with_the_counts() -> None:
    with live_server("--idle-timeout", "3s", "--token-timeout", "2s", "--handshake-timeout", "3s") as server:
        places = ("127.0.0.1", "--tcp-port", str(server.tcp), "--udp-port", str(server.udp))
        result = conform(*places, "--patience", "6s", "--hostile")
    assert result.returncode == 0, result.stdout
    lines = result.stdout.splitlines()
    assert lines[0] == f"127.0.0.1, TCP {server.tcp}, UDP {server.udp}, dialect json"
    assert "6s for a timeout of the server" in lines[1]
    assert lines[-1].startswith("0 rules are broken, 27 hold")


def test_the_report_of_a_flawed_server_names_rule_proof_and_repair(tmp_path: Path) -> None:
    server = IgnoresTheAddress()
    tcp, udp = server.ports
    places = ("127.0.0.1", "--tcp-port", str(tcp), "--udp-port", str(udp), "--dialect", "text", "--patience", "5s")
    try:
        result = conform(*places, "--format", "json", "--badge", str(tmp_path / "badge.svg"))
    finally:
        server.close()
    assert result.returncode == 1, result.stderr
    report = json.loads(result.stdout)
    assert not report["conforms"]
    assert [each["rule"] for each in report["verdicts"]] == [str(rule) for rule in Rule]
    [broken] = [each for each in report["verdicts"] if each["outcome"] == "broken"]
    assert broken["rule"] == "R-TOK-3"
    assert broken["said"] == "bob's token, given to 127.0.0.1, is accepted from 127.0.0.2"
    assert "Remember with each token the IP address" in broken["repair"]
    [proof] = [each for each in broken["findings"] if each["outcome"] == "broken"]
    stolen = b"stolen".hex()
    assert any(stolen in step["hex"] and step["to_server"] and step["who"] == "thief" for step in proof["exchange"])
    assert any(stolen in step["hex"] and not step["to_server"] for step in proof["exchange"])
    assert "1 of" in ElementTree.parse(tmp_path / "badge.svg").getroot().attrib["aria-label"]  # noqa: S314 (ours)


@pytest.mark.parametrize(
    ("findings", "code"), [((HOLDS, SKIPPED), 0), ((HOLDS, BROKEN), 1), ((HOLDS, LOST), 2), ((BROKEN, LOST), 1)]
)
def test_the_exit_code_says_whether_the_server_conforms(
    findings: tuple[Finding, ...], code: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for form in FORMATS:
        assert report(judgement(*findings), Waits(), form, str(tmp_path / "badge.svg")) == code
        assert capsys.readouterr().out
