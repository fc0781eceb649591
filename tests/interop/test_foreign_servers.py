"""Our client with foreign servers: each form in a whole conversation, in the dialect that its file says."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest

from interop.forms import Form
from interop.programs import SECONDS_MAX, ForeignServer
from interop.which_programs import ALL, codec_for
from tcrp.engine.outputs import NoticeReceived, TextReceived, WordsReceived
from tcrp.net.client import Client, RequestRefused, ServerAt, Unreachable
from tcrp.spec.names import Notice, Operation


async def until(condition: Callable[[], object], what: str) -> None:
    ends = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < ends, f"it never came: {what}"
        await asyncio.sleep(0.005)


class Ours:
    """Our client, as chat-client has it, and what it shows."""

    def __init__(
        self, form: Form, server: ForeignServer, user: str, operation: Operation, room: str, password: str
    ) -> None:
        self.shown: list[TextReceived | NoticeReceived | WordsReceived] = []
        at = ServerAt("127.0.0.1", *server.ports)
        self.client = Client(
            at, codec_for(form), operation, room, user, password=password, hear=self.shown.append,
        )  # fmt: skip

    async def sees(self, text: str) -> None:
        await until(lambda: any(getattr(each, "text", "") == text for each in self.shown), f"{text!r}: {self.shown}")

    def texts(self) -> list[tuple[str, str]]:
        return [(each.name, each.text) for each in self.shown if isinstance(each, TextReceived)]


@contextlib.asynccontextmanager
async def entered(
    form: Form, server: ForeignServer, user: str, operation: Operation, room: str = "room1", password: str = ""
) -> AsyncIterator[Ours]:
    ours = Ours(form, server, user, operation, room, password)
    try:
        await ours.client.enter()
        yield ours
    finally:
        await ours.client.close()


async def converse(form: Form, server: ForeignServer) -> None:
    password = "pw" if form.has_passwords else ""
    async with contextlib.AsyncExitStack() as stack:
        a = await stack.enter_async_context(entered(form, server, "alice", Operation.CREATE, password=password))
        b = await stack.enter_async_context(entered(form, server, "bob", Operation.JOIN, password=password))
        a.client.say_now("anybody here?")  # where a text enters, this is it
        b.client.say_now("yes")
        await until(lambda: server.knows("room1", "alice", "bob"), "both have entered")
        for speaker, listener, text in (
            (b, a, "hi from bob"), (a, b, "hello from alice"), (b, a, "こんにちは、アリス"), (a, b, "日本語メッセージ"),
        ):  # fmt: skip
            await speaker.client.say(text)
            await listener.sees(text)
        assert all(text for _, text in [*a.texts(), *b.texts()]), "keep-alives are not shown"
        assert "hello from alice" not in [text for _, text in a.texts()], "an echo of an own text is not shown"
        await refuses(form, server, Operation.CREATE, "room1", password)
        await refuses(form, server, Operation.JOIN, "nowhere", password)
        if form.has_passwords:
            await refuses(form, server, Operation.JOIN, "room1", "wrong")
        if form.leave is None:
            return
        b.client.leave()
        await until(lambda: server.knows("room1", "alice"), "bob has left")
        if form.left is not None:
            await until(lambda: any("bob" in str(each) for each in a.shown[-1:]), f"bob's leaving: {a.shown}")
        c = await stack.enter_async_context(entered(form, server, "carol", Operation.JOIN, password=password))
        c.client.say_now("I am new")
        await a.sees("I am new")
        await until(lambda: server.knows("room1", "alice", "carol"), "carol has entered")
        a.client.leave()
        if form.closed is not None:
            await until(lambda: c.client.is_over, f"the room's end: {c.shown}")
            assert c.client.told is Notice.ROOM_CLOSED


async def refuses(form: Form, server: ForeignServer, operation: Operation, room: str, password: str) -> None:
    with pytest.raises((RequestRefused, Unreachable)):
        async with entered(form, server, "carol", operation, room, password):
            pass


@pytest.mark.parametrize("name", ALL)
def test_our_client_holds_a_whole_conversation_on_a_foreign_server(name: str) -> None:
    form = ALL[name]
    with contextlib.closing(ForeignServer(form)) as server:
        asyncio.run(converse(form, server))
