"""The live view of a server: its trace as a page on the loopback, as it happens (`chat-server --watch`).

The server only puts records into a bounded queue. Everything else happens in a thread of its own: a browser that is
slow or gone, or many of them, never make the server wait. What a browser has no time for is left out, counted, and
the browser begins again with the present. The address holds a secret; without it nothing is served. Texts are
kept only if asked for.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
import socket
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

from aiohttp import web

from tcrp.engine.text import shown
from tcrp.trace.header import Header
from tcrp.trace.records import Record, StepRecord
from tcrp.view.about import About
from tcrp.view.chunks import ChunkWriter
from tcrp.view.html import live_page
from tcrp.view.picture import FINAL, Picture

TICK_SECONDS = 0.15
INCOMING_MAX = 50_000
"""Records that may wait for the thread; beyond that the oldest are left out."""
HISTORY_MAX = 2_000
"""Records with which a browser begins."""
SHOWN_MAX = 20_000
"""Records that a browser gets before it begins again, so that neither side grows without end."""
CHUNKS_MAX = 8
"""Chunks that may wait for a browser."""
BROWSERS_MAX = 8
QUIET_SECONDS = 10.0
"""After this long without news a browser is sent a comment: that finds those who are gone."""
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


class Watch:
    """A listener of a server's trace. The server's thread calls it, `heard`, `open` and `close`."""

    def __init__(self, host: str, port: int, *, texts: bool = False) -> None:
        self.wants_texts = texts
        self._host = host
        self._port = port
        self._secret = secrets.token_urlsafe(18)
        self._incoming: deque[Record] = deque(maxlen=INCOMING_MAX)
        self._heard: deque[tuple[int, str]] = deque(maxlen=INCOMING_MAX)
        self._history = _History()
        self._browsers: list[_Browser] = []
        self._is_closing = threading.Event()
        self._about = About("chat-server")
        self._thread: threading.Thread | None = None

    # --- in the server's thread ------------------------------------------------------------------

    def __call__(self, record: Record) -> None:
        self._incoming.append(record)

    def heard(self, n: int, datagram: bytes) -> None:
        """The datagram whose text is relayed, and the first record that follows from it. Only called if wanted."""
        room_bytes, token_bytes = datagram[0], datagram[1]
        self._heard.append((n, shown(datagram[2 + room_bytes + token_bytes :].decode(errors="replace"))))

    def open(self, header: Header, serving: str) -> str:
        """Begin to serve. Returns the address of the page. Raises `OSError`."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listening = socket.create_server((self._host, self._port), family=family)
        port = listening.getsockname()[1]
        host = f"[{self._host}]" if family == socket.AF_INET6 else self._host
        self._hosts = {f"{host}:{port}", f"localhost:{port}"}
        about = f"tcrp {header.versions.get('tcrp', '')}".strip()
        self._about = About(f"chat-server on {serving}", f"{about} · as it happens")
        self._history.header = header
        self._thread = threading.Thread(target=self._run, args=(listening,), name="watch", daemon=True)
        self._thread.start()
        return f"http://{host}:{port}/?token={self._secret}"

    def close(self) -> None:
        """Tell the browsers that the server has ended."""
        self._is_closing.set()
        if self._thread is not None:
            self._thread.join(1.0)

    # --- in the thread of its own ----------------------------------------------------------------

    def _run(self, listening: socket.socket) -> None:
        asyncio.run(self._serve(listening))

    async def _serve(self, listening: socket.socket) -> None:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/", self._page)
        app.router.add_get("/events", self._events)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.SockSite(runner, listening).start()
        while not self._is_closing.is_set():
            self._tick()
            await asyncio.sleep(TICK_SECONDS)
        self._tick()
        for browser in self._browsers:
            browser.end()
        await asyncio.sleep(0)
        await runner.cleanup()

    def _tick(self) -> None:
        history = self._history
        batch: list[Record] = []
        with suppress(IndexError):
            while len(batch) < INCOMING_MAX:
                batch.append(self._incoming.popleft())
        with suppress(IndexError):
            while True:
                n, text = self._heard.popleft()
                history.said[n] = text
        if not batch:
            return
        left_out = history.extend(batch)
        for browser in self._browsers:
            browser.feed(batch, left_out)

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Only who knows the secret, and asks for this very host: another name may be somebody else's page."""
        if request.host not in self._hosts:
            raise web.HTTPForbidden(text="ask for 127.0.0.1\n", headers=HEADERS)
        if not hmac.compare_digest(request.query.get("token", "").encode(), self._secret.encode()):
            raise web.HTTPForbidden(text="the address needs the token that chat-server has printed\n", headers=HEADERS)
        return await handler(request)

    async def _page(self, _: web.Request) -> web.Response:
        page = live_page(self._about, f"events?token={self._secret}")
        return web.Response(text=page, content_type="text/html", headers=HEADERS)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if len(self._browsers) >= BROWSERS_MAX:
            raise web.HTTPServiceUnavailable(text=f"{BROWSERS_MAX} browsers watch already\n", headers=HEADERS)
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        browser = _Browser(self._history)
        self._browsers.append(browser)
        try:
            while (message := await browser.next()) is not None:
                await response.write(message)
        except ConnectionError:
            pass  # it is gone
        finally:
            self._browsers.remove(browser)
        return response


class _History:
    """The latest records, and of each machine that lives the step that brought it where it was before them."""

    def __init__(self) -> None:
        self.header: Header | None = None
        self.records: deque[Record] = deque()
        self.said: dict[int, str] = {}
        self._steps: dict[tuple[str, str, int], StepRecord] = {}
        self._last = 0

    def extend(self, batch: Iterable[Record]) -> int:
        """Take what is new. Returns how many records before it are missing."""
        left_out = 0
        for record in batch:
            if record.n != self._last + 1:
                left_out += record.n - self._last - 1
                self.records.clear()  # a picture has no gaps
            self._last = record.n
            self.records.append(record)
            if len(self.records) > HISTORY_MAX:
                self._forget(self.records.popleft())
        return left_out

    def _forget(self, record: Record) -> None:
        self.said.pop(record.n, None)
        if isinstance(record, StepRecord):
            key = (record.machine, record.id, record.instance)
            if record.to in FINAL[record.machine]:
                self._steps.pop(key, None)
            else:
                self._steps[key] = record

    def picture(self) -> Picture:
        """The present: the states that were reached before the first record that is left, and what followed."""
        assert self.header is not None, "it has been opened"
        first = self.records[0].n if self.records else self._last + 1
        picture = Picture(self.header, first=first)
        picture.said = self.said
        for record in sorted(self._steps.values(), key=lambda step: step.n):
            picture.add(record)
        for each in self.records:
            picture.add(each)
        return picture


class _Browser:
    """Somebody who watches. What waits for them is bounded."""

    def __init__(self, history: _History) -> None:
        self._history = history
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(CHUNKS_MAX)
        self._left_out = 0
        self._lags = False
        self._begin()

    def _begin(self) -> None:
        self._picture = self._history.picture()
        self._writer = ChunkWriter(self._picture)
        self._lags = False
        self._put("begin", {"chunk": self._writer.chunk(), "left_out": self._left_out})

    def feed(self, batch: list[Record], left_out: int) -> None:
        """What is new, or, for who has been too slow, the present once they have read what waited for them."""
        self._left_out += left_out
        if self._lags:
            self._left_out += len(batch)
            if self._waiting.empty():
                self._begin()
        elif left_out or len(self._picture.records) + len(batch) > SHOWN_MAX:
            self._begin()
        else:
            for record in batch:
                self._picture.add(record)
            self._put("more", self._writer.chunk())

    def _put(self, event: str, data: dict[str, Any]) -> None:
        try:
            self._waiting.put_nowait(f"event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode())
        except asyncio.QueueFull:
            self._lags = True

    async def next(self) -> bytes | None:
        """The next message; a comment if there is no news; None at the end."""
        try:
            return await asyncio.wait_for(self._waiting.get(), QUIET_SECONDS)
        except TimeoutError:
            return b": \n\n"

    def end(self) -> None:
        """The server ends."""
        if self._waiting.full():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)
