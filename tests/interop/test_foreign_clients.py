"""Foreign clients with our server: each form in a whole conversation, served by what its dialect's file says."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
from collections.abc import Iterator

import pytest

from interop.forms import CREATE, JOIN, Asked, Form, Refused
from interop.programs import SECONDS_MAX, ForeignClient, Stream, until
from interop.which_programs import ALL, dialect_of
from interop.wire_forms import WIRE
from processes import BIN
from tcrp.spec import dialects

LISTENER = re.compile(r"TCP (\S+):(\d+) and UDP \S+:(\d+),")
PAUSING = [
    name for name, form in ALL.items()
    if form in WIRE and form.name not in dialects.NAMES and len(form.granted(Asked(CREATE, "r", "u"), "t")) > 1
]  # fmt: skip
"""Forms of two messages whose dialect pauses between them: the eight of the protocol do not."""


@pytest.fixture(scope="module")
def ours() -> Iterator[dict[str, tuple[str, int, int]]]:
    """One chat-server with a listener for each form. Where each is: address, TCP port, UDP port."""
    listeners = [option for form in ALL.values() for option in ("--listen", f"tcp=0,udp=0,dialect={dialect_of(form)}")]
    process = subprocess.Popen(
        [BIN / "chat-server", *listeners], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        process.stdout.readline()  # ready on so many listeners
        places = [LISTENER.search(process.stdout.readline()) for _ in ALL]
        yield {name: (at[1], int(at[2]), int(at[3])) for name, at in zip(ALL, places, strict=True) if at is not None}
    finally:
        process.terminate()
        process.wait(SECONDS_MAX)
        process.stdout.close()


@contextlib.contextmanager
def clients(form: Form, at: tuple[str, int, int], *users: str) -> Iterator[list[ForeignClient]]:
    with contextlib.ExitStack() as stack:
        made = [ForeignClient(form, user, *at) for user in users]
        for each in made:
            stack.callback(each.close)
        yield made


@pytest.mark.parametrize("name", ALL)
def test_foreign_clients_hold_a_whole_conversation_on_our_server(
    name: str, ours: dict[str, tuple[str, int, int]]
) -> None:
    form = ALL[name]
    at, room1 = ours[name], f"room of {name}"  # the listeners share the rooms
    with clients(form, at, "alice", "bob", "carol") as (a, b, c):
        password = "pw" if form.has_passwords else ""
        a.asks(CREATE, room1, password)
        b.asks(JOIN, room1, password)
        if form.text_enters:
            a.says("anybody here?")
        for speaker, listener, text in (
            (b, a, "hi from bob"), (a, b, "hello from alice"), (b, a, "こんにちは、アリス"), (a, b, "日本語メッセージ"),
        ):  # fmt: skip
            speaker.says(text)
            listener.sees(text)
            assert any(speaker.user in line for line in listener.lines if text in line), "a text names its sender"
        refused = [(CREATE, room1, password), (JOIN, "nowhere", password)]
        for op, room, tried in [*refused, (JOIN, room1, "wrong")] if form.has_passwords else refused:
            with clients(form, at, "dave") as (d,), pytest.raises((Refused, EOFError)):
                d.asks(op, room, tried)
        if form.leave is None:
            return
        before = len(a.lines)
        b.leaves()
        if form.left is not None:
            until(lambda: any("bob" in line for line in a.lines[before:]), f"bob's leaving: {a.lines}")
        c.asks(JOIN, room1, password)
        c.says("I am new")
        a.sees("I am new")
        a.leaves()
        if form.closed is not None:
            c.sees(form.closed.format(user="alice", room=room1))
        assert not [line for each in (a, b, c) for line in each.lines if line.startswith("unreadable")]


@pytest.mark.parametrize("name", PAUSING)
def test_a_client_that_takes_what_comes_at_once_for_one_message_gets_the_answer_alone(
    name: str, ours: dict[str, tuple[str, int, int]]
) -> None:
    form = ALL[name]
    asked = Asked(CREATE, f"naive {name}", "alice", "", 40000)
    host, tcp_port, _ = ours[name]
    with socket.create_connection((host, tcp_port), SECONDS_MAX) as tcp:
        greeting = Stream(tcp).take(len(form.greeting))
        tcp.sendall(b"".join(form.request(asked)))
        answer = tcp.recv(4096)
        completion = tcp.recv(4096)
    whole = b"".join(form.granted(asked, "t" * 32))
    assert greeting == form.greeting
    assert (len(answer) + len(completion), bool(completion)) == (len(whole), True)


def test_a_client_that_is_closed_takes_no_datagram_of_the_next_one() -> None:
    """Its thread ends before its socket, whose number the next socket gets."""
    with clients(next(iter(ALL.values())), ("127.0.0.1", 1, 1), "alice") as (client,):
        assert client.thread.is_alive()
    assert not client.thread.is_alive()
