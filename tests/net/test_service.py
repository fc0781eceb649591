"""A server that cannot begin says why in one line, and leaves nothing open and no file changed."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tcrp.engine.codec import codec
from tcrp.net.service import CannotServe, Configuration, Listen, Reread, serve
from tcrp.spec.limits import Limits
from tcrp.trace.header import Header
from tcrp.trace.records import Record


def why_not(folder: Path, **settings: object) -> str:
    """What a server says that cannot begin with these settings."""
    configuration = Configuration(**settings)  # type: ignore[arg-type]
    with (
        open(folder / "log", "w", encoding="utf-8") as log,
        open(folder / "out", "w", encoding="utf-8") as out,
        pytest.raises(CannotServe) as caught,
    ):
        serve(configuration, lambda: Reread(Limits()), out, log)
    assert (folder / "out").read_text() == ""
    return str(caught.value)


@contextmanager
def taken(kind: socket.SocketKind, port: int = 0) -> Iterator[int]:
    """A port that another program has."""
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", port))
        if kind == socket.SOCK_STREAM:
            other.listen()
        yield other.getsockname()[1]


def is_free(kind: socket.SocketKind, port: int) -> bool:
    with taken(kind, port):
        return True


@contextmanager
def two_free() -> Iterator[tuple[int, int]]:
    """A port for TCP and one for UDP that nobody has, and that are free again afterwards."""
    with taken(socket.SOCK_STREAM) as tcp, taken(socket.SOCK_DGRAM) as udp:
        pass
    yield tcp, udp
    assert is_free(socket.SOCK_STREAM, tcp)
    assert is_free(socket.SOCK_DGRAM, udp)


FREE = (Listen(tcp_port=0, udp_port=0),)


def test_a_taken_port_is_named_with_the_option_that_goes_elsewhere(tmp_path: Path) -> None:
    with taken(socket.SOCK_STREAM) as tcp, taken(socket.SOCK_DGRAM) as udp, two_free() as (free_tcp, free_udp):
        said = why_not(tmp_path, listeners=(Listen(tcp_port=tcp, udp_port=free_udp),))
        assert said == (
            f"port {tcp} is taken (another chat-server?). Try --tcp-port {tcp + 100}, here and for chat-client"
        )
        said = why_not(tmp_path, listeners=(Listen(tcp_port=free_tcp, udp_port=udp),))
        assert said == (
            f"port {udp} is taken (another chat-server?). Try --udp-port {udp + 100}, here and for chat-client"
        )
        said = why_not(tmp_path, listeners=(Listen(tcp_port=tcp, udp_port=udp),))
        assert said.startswith(f"ports {tcp} (TCP) and {udp} (UDP) are taken")


@pytest.mark.parametrize("host", ["no.such.host.invalid", "x" * 70, "10.0.0.300"])
def test_a_host_that_is_none_is_named(host: str, tmp_path: Path) -> None:
    assert why_not(tmp_path, listeners=(Listen(host=host, tcp_port=0, udp_port=0),)) == (
        f"{host!r} is no host. Try --host 127.0.0.1, ::1, 0.0.0.0 or ::"
    )


def test_an_address_of_another_machine_is_named(tmp_path: Path) -> None:
    said = why_not(tmp_path, listeners=(Listen(host="203.0.113.1", tcp_port=0, udp_port=0),))
    assert said == "203.0.113.1 is no address of this machine. Try --host 0.0.0.0, or leave it out"


def test_a_trace_that_cannot_be_written_is_named_and_the_ports_are_free_again(tmp_path: Path) -> None:
    with two_free() as (tcp, udp):
        path = tmp_path / "none" / "run.jsonl"
        said = why_not(tmp_path, listeners=(Listen(tcp_port=tcp, udp_port=udp),), trace=path)
        assert said == f"{path}: the trace cannot be written: No such file or directory"


def test_a_server_that_is_started_twice_leaves_the_firsts_trace_as_it_is(tmp_path: Path) -> None:
    """The second had emptied it before it found the ports taken."""
    trace = tmp_path / "run.jsonl"
    trace.write_text("the first's\n")
    with taken(socket.SOCK_STREAM) as tcp:
        why_not(tmp_path, listeners=(Listen(tcp_port=tcp, udp_port=0),), trace=trace)
    assert trace.read_text() == "the first's\n"


def test_a_taken_port_of_the_metrics_is_named_and_the_ports_are_free_again(tmp_path: Path) -> None:
    with taken(socket.SOCK_STREAM) as port, two_free() as (tcp, udp):
        said = why_not(tmp_path, listeners=(Listen(tcp_port=tcp, udp_port=udp),), metrics_port=port)
        assert said == f"the metrics cannot be served on port {port}: Address already in use. Try --metrics-port 0"


class Watcher:
    """A live view whose port is taken."""

    wants_texts = False
    is_closed = False

    def __call__(self, record: Record) -> None: ...
    def heard(self, n: int, datagram: bytes) -> None: ...
    def open(self, header: Header, serving: str) -> str:
        raise OSError(98, "Address already in use")

    def close(self) -> None:
        self.is_closed = True


def test_a_live_view_that_cannot_be_served_is_named_and_everything_is_closed(tmp_path: Path) -> None:
    watcher, control = Watcher(), tmp_path / "control"
    with two_free() as (tcp, udp):
        said = why_not(tmp_path, listeners=(Listen(tcp_port=tcp, udp_port=udp),), watcher=watcher, control=control)
    assert said == "the live view cannot be served: Address already in use. Try another port, or 0, for --watch"
    assert watcher.is_closed
    assert not control.exists()


def test_no_thread_and_no_file_stays_open_of_a_server_that_could_not_begin(tmp_path: Path) -> None:
    with taken(socket.SOCK_STREAM) as tcp:
        settings = {"listeners": (Listen(tcp_port=tcp, udp_port=0),), "trace": tmp_path / "run.jsonl"}
        why_not(tmp_path, **settings)
        before, threads = len(os.listdir("/dev/fd")), threading.active_count()
        why_not(tmp_path, **settings)
        assert (len(os.listdir("/dev/fd")), threading.active_count()) == (before, threads)


@pytest.mark.parametrize(
    ("dialects", "words"), [((), "auto"), (("text",), "text"), (("name-port", "json"), "name-port, json")]
)
def test_a_listener_says_what_it_recognises(dialects: tuple[str, ...], words: str) -> None:
    assert Listen(dialects=tuple(map(codec, dialects))).written_dialects() == words
