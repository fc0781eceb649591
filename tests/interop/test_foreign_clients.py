"""Foreign clients with our server: each form in a whole conversation, served by what its dialect's file says."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from interop.forms import CREATE, JOIN, Form, Refused
from interop.programs import SECONDS_MAX, ForeignClient
from interop.which_programs import FORMS, NAMES, OTHERS, codec_for, is_described
from tcrp.engine.listeners import ListenerConfig
from tcrp.net.ports import Place
from tcrp.net.server import Server
from tcrp.spec.limits import Limits


def form_of(name: str) -> Form:
    """The form, if a dialect's file describes it."""
    if name in OTHERS:
        return OTHERS[name]
    if not is_described(name):
        pytest.skip(f"no dialect describes {name} yet")
    return FORMS[name]


class OurServers:
    """Our server for one dialect after another, in a thread of this process: starting a program takes longer."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._servers: list[Server] = []

    def serve(self, form: Form) -> tuple[str, int, int]:
        """Start one. Where it is: address, TCP port, UDP port."""
        server = Server(Limits(), listeners=[ListenerConfig((codec_for(form),))])
        self._do(self._start(server))
        self._servers.append(server)
        [(tcp, udp)] = server.addresses
        return tcp.ip, tcp.port, udp.port

    def close(self) -> None:
        for server in self._servers:
            self._do(server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS_MAX)
        self._loop.close()

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(SECONDS_MAX)

    @staticmethod
    async def _start(server: Server) -> None:
        server.start([Place("127.0.0.1", 0, 0)])


@pytest.fixture(scope="module")
def ours() -> Iterator[OurServers]:
    with contextlib.closing(OurServers()) as servers:
        yield servers


@contextlib.contextmanager
def clients(form: Form, at: tuple[str, int, int], *users: str) -> Iterator[list[ForeignClient]]:
    with contextlib.ExitStack() as stack:
        made = [ForeignClient(form, user, *at) for user in users]
        for each in made:
            stack.callback(each.close)
        yield made


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
def test_foreign_clients_hold_a_whole_conversation_on_our_server(name: str, ours: OurServers) -> None:
    form = form_of(name)
    at = ours.serve(form)
    with clients(form, at, "alice", "bob", "carol") as (a, b, c):
        password = "pw" if form.has_passwords else ""
        a.asks(CREATE, "room1", password)
        b.asks(JOIN, "room1", password)
        if form.text_enters:
            a.says("anybody here?")
        for speaker, listener, text in (
            (b, a, "hi from bob"), (a, b, "hello from alice"), (b, a, "こんにちは、アリス"), (a, b, "日本語メッセージ"),
        ):  # fmt: skip
            speaker.says(text)
            listener.sees(text)
            assert any(speaker.user in line for line in listener.lines if text in line), "a text names its sender"
        refused = [(CREATE, "room1", password), (JOIN, "nowhere", password)]
        for op, room, tried in [*refused, (JOIN, "room1", "wrong")] if form.has_passwords else refused:
            with clients(form, at, "dave") as (d,), pytest.raises((Refused, EOFError)):
                d.asks(op, room, tried)
        if form.leave is None:
            return
        b.leaves()
        if form.left is not None:
            a.sees("bob")
        c.asks(JOIN, "room1", password)
        c.says("I am new")
        a.sees("I am new")
        a.leaves()
        if form.closed is not None:
            c.sees(form.closed.format(user="alice", room="room1"))
        assert not [line for each in (a, b, c) for line in each.lines if line.startswith("unreadable")]
