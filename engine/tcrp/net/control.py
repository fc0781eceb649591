"""Commands of an operator, over a Unix socket that only the server's own user may open.

A request is one line of JSON, such as `{"command": "remove", "user": "bob", "room": "lobby"}`. So is the
answer: `{"ok": true, …}`, or `{"ok": false, "why": "…"}`. Then the server closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tcrp.net.log import written_address
from tcrp.net.server import Server

REQUEST_BYTES_MAX = 4096
CONNECTIONS_MAX = 16
SECONDS_MAX = 5.0
"""How long an operator's program may take to send its request, or to read the answer."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "list": (), "members": ("room",), "remove": ("user", "room"), "close": ("room",), "shutdown": (),
}  # fmt: skip
"""Every command, and what it is to be given."""


class CannotAnswer(Exception):
    """The request cannot be met. The message is the answer's `why`."""


class Control:
    """The socket and its commands. `acted(command, **what)` is told of those that change something."""

    def __init__(self, server: Server, shutdown: Callable[[], None], acted: Callable[..., None]) -> None:
        self._server = server
        self._shutdown = shutdown
        self._acted = acted
        self._path: Path | None = None
        self._accepting: asyncio.Server | None = None
        self._connections = 0

    async def open(self, path: Path) -> None:
        """Listen at `path`, with permissions 0600. Raises `OSError`, also if another server listens there."""
        bound = _bound(path)
        self._path = path
        self._accepting = await asyncio.start_unix_server(self._serve, sock=bound, limit=REQUEST_BYTES_MAX)

    def close(self) -> None:
        """Listen no more, and take the socket's file away."""
        if self._accepting is not None and self._path is not None:
            self._accepting.close()
            with contextlib.suppress(OSError):
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections <= CONNECTIONS_MAX:
                async with asyncio.timeout(SECONDS_MAX):
                    answer = self._answer(await _line(reader))
                    writer.write(json.dumps(answer, ensure_ascii=True).encode() + b"\n")
                    await writer.drain()
                    writer.write_eof()
                    await reader.read(1)  # until the peer has closed: it has read the answer
        except (OSError, TimeoutError):
            pass  # the operator's program is gone, or stuck
        finally:
            self._connections -= 1
            writer.transport.abort()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            return {"ok": True, **self._perform(*_read(line))}
        except CannotAnswer as error:
            return {"ok": False, "why": str(error)}

    def _perform(self, command: str, what: dict[str, str]) -> dict[str, Any]:
        if "room" in what:
            self._refuse_elsewhere(what["room"])
        match command:
            case "list":
                return {"rooms": self._rooms()}
            case "members":
                return {"members": self._members(what["room"])}
            case "remove":
                if not self._server.remove(what["user"], what["room"]):
                    raise CannotAnswer(f"there is no {what['user']!r} in a room {what['room']!r}")
            case "close":
                if not self._server.close_room(what["room"]):
                    raise CannotAnswer(f"there is no open room {what['room']!r}")
            case _:
                self._shutdown()
        self._acted(command=command, **what)
        return {}

    def _refuse_elsewhere(self, room: str) -> None:
        """Raises `CannotAnswer` if another server of the cluster has the room: it alone knows and changes it."""
        server = self._server.elsewhere().get(room)
        if server == "":
            raise CannotAnswer(f"no server has the room {room!r} at this moment. Try again in some seconds")
        if server is not None:
            raise CannotAnswer(f"the room {room!r} is at the server {server}: ask there")

    def _rooms(self) -> list[dict[str, Any]]:
        here = [
            {"room": room.name, "state": room.state, "host": room.host.name if room.host is not None else None,
             "members": len(room.members), **self._server.where()}
            for room in self._server.engine.registry.rooms.values()
        ]  # fmt: skip
        elsewhere = [
            {"room": room, "state": None, "host": None, "members": None, "server": server or None}
            for room, server in self._server.elsewhere().items()
        ]
        return here + elsewhere

    def _members(self, name: str) -> list[dict[str, Any]]:
        room = self._server.engine.registry.rooms.get(name.encode())
        if room is None:
            raise CannotAnswer(f"there is no room {name!r}")
        now_us = self._server.now_us()
        return [
            {"user": member.name, "state": member.state, "host": member is room.host,
             "dialect": member.codec.dialect.name,
             "address": written_address(member.address) if member.address is not None else member.ip,
             "silent_seconds": (now_us - member.last_heard_us) // 1_000_000,
             **self._server.came_by(member.listener)}
            for member in room.members.values()
        ]  # fmt: skip


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:  # over the limit
        return b""


def _read(line: bytes) -> tuple[str, dict[str, str]]:
    """The command and what it was given. Raises `CannotAnswer`."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict) or not isinstance(request.get("command"), str):
        raise CannotAnswer(f'a line of JSON is expected, {{"command": …}}, of {REQUEST_BYTES_MAX} bytes at most')
    command = request.pop("command")
    wanted = COMMANDS.get(command)
    if wanted is None:
        raise CannotAnswer(f"there is no command {command!r}; there are {', '.join(COMMANDS)}")
    if request.keys() != set(wanted) or not all(_is_text(value) for value in request.values()):
        raise CannotAnswer(f"{command} takes {' and '.join(wanted) or 'nothing'}, each a string")
    return command, request


def _is_text(value: object) -> bool:
    """Whether it is a string that UTF-8 can hold; JSON has strings that it cannot."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _bound(path: Path) -> socket.socket:
    """A listening socket at `path`. A file that a killed server has left is replaced."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # not chmod afterwards: for a moment anybody could connect
    try:
        if _is_left_behind(path):
            path.unlink()
        bound.bind(str(path))
    except OSError:
        bound.close()
        raise
    finally:
        os.umask(before)
    return bound


def _is_left_behind(path: Path) -> bool:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            return True
        return False
