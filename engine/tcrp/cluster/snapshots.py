"""A room's state in bytes, which another process reads: `freeze_room` there and back.

A line with a digest of all fields and their types, so that a process never reads what another version has written,
and the owner's fencing number; then compressed JSON, one list for each value in the order of its fields. Streams and
listeners are written with the name of their gateway, because each process numbers them in its own way.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from hashlib import sha256
from typing import Any, get_args, get_origin, get_type_hints

from tcrp.engine.outputs import Address, StreamId
from tcrp.engine.state import FrozenEnded, FrozenHandshake, FrozenRoom, FrozenSession, ServerState
from tcrp.engine.timers import TimerEntry
from tcrp.spec.names import Deadline

STREAM_DEADLINES = (Deadline.HANDSHAKE, Deadline.COMPLETION, Deadline.QUIET)
DIGITS_MAX = 20
PARTS = (ServerState, FrozenSession, FrozenRoom, FrozenEnded, FrozenHandshake)


class NotRead(Exception):
    """Bytes that are no state of this version. The message says why."""


@cache
def version() -> str:
    """A digest of what a state consists of: two versions that differ in it cannot read each other's."""
    shape: list[list[object]] = [[part.__name__, *((each.name, each.type) for each in fields(part))] for part in PARTS]
    shape.append([TimerEntry.__name__, *(each.name for each in fields(TimerEntry))])  # compiled, it has no types
    return sha256(json.dumps(shape).encode()).hexdigest()[:16]


def write(state: ServerState, fence: int, gateway_of: Callable[[int], tuple[str, int]], own: str) -> bytes:
    """The bytes of a state. `gateway_of` gives a listener's gateway and number there; `own` owns integer streams."""

    def plain(value: Any, name: str = "") -> Any:
        if name == "listener":
            return gateway_of(value)
        if name == "stream":
            return value if isinstance(value, tuple) else (own, value)
        if isinstance(value, TimerEntry):
            is_stream = value.kind in STREAM_DEADLINES
            return [value.when_us, value.kind, plain(value.subject, "stream" if is_stream else "")]
        if isinstance(value, FrozenRoom):
            groups = [(form, gateway_of(listener), plain(tokens)) for form, listener, tokens in value.fanout_groups]
            rows = {**{each.name: plain(getattr(value, each.name), each.name) for each in fields(value)}}
            return list({**rows, "fanout_groups": groups}.values())
        if is_dataclass(value):
            return [plain(getattr(value, each.name), each.name) for each in fields(value)]
        if isinstance(value, bytes):
            return value.decode("latin-1")
        return [plain(each) for each in value] if isinstance(value, tuple) else value

    text = json.dumps(plain(state), separators=(",", ":")).encode()
    return b"%s %d\n" % (version().encode(), fence) + zlib.compress(text, 1)


def _parts(saved: bytes) -> tuple[bytes, int, bytes] | None:
    """The version that wrote a snapshot, the fencing number of who saved it, and the rest. None: it is no snapshot."""
    head, newline, body = saved.partition(b"\n")
    written, _, number = head.partition(b" ")
    is_snapshot = newline and len(written) == len(version()) and number.isdigit() and len(number) < DIGITS_MAX
    return (written, int(number), body) if is_snapshot else None


def fence_of(saved: bytes) -> int:
    """The fencing number of who saved it; 0, if it is no snapshot."""
    parts = _parts(saved)
    return parts[1] if parts is not None else 0


def with_fence(saved: bytes, fence: int) -> bytes:
    """The same, saved by an owner of that fencing number; what is no snapshot stays as it is."""
    parts = _parts(saved)
    return b"%s %d\n" % (parts[0], fence) + parts[2] if parts is not None else saved


def read(data: bytes, listener_at: Callable[[str, int], int], own: str) -> ServerState:
    """The state, whose listeners and streams are numbered as this process does. Raises `NotRead`."""
    parts = _parts(data)
    if parts is None:
        raise NotRead("it is no snapshot")
    written, _, body = parts
    if written != version().encode():
        raise NotRead(f"it is of another version ({written.decode('ascii', 'replace')}; this one is {version()})")

    own_process = own.rpartition(".")[0]  # its streams are its own, under whichever of its leases it wrote them

    def stream(value: Any) -> StreamId:
        at, number = value
        return number if str(at).rpartition(".")[0] == own_process else (str(at), int(number))

    def value_of(hint: Any, given: Any, name: str = "") -> Any:
        if name == "listener":
            return listener_at(*given)
        if name == "stream":
            return stream(given)
        if name == "fanout_groups":
            return tuple(
                (form, listener_at(*at), tuple(token.encode("latin-1") for token in tokens))
                for form, at, tokens in given
            )
        if hint is TimerEntry:
            kind = Deadline(given[1])
            subject = stream(given[2]) if kind in STREAM_DEADLINES else given[2].encode("latin-1")
            return TimerEntry(given[0], kind, subject)
        if is_dataclass(hint):
            assert isinstance(hint, type), "a class, not an instance of it"
            return hint(
                **{key: value_of(each, got, key) for (key, each), got in zip(_hints(hint).items(), given, strict=True)}
            )
        options = [each for each in get_args(hint) if each is not type(None)]
        if get_origin(hint) is tuple:
            if options[-1] is Ellipsis:
                return tuple(value_of(options[0], each) for each in given)
            return tuple(value_of(option, each) for option, each in zip(options, given, strict=True))
        if options:  # something or None
            return None if given is None else value_of(options[0], given)
        if hint is Address:
            return Address(given[0], given[1])
        if hint is bytes:
            return given.encode("latin-1")
        return hint(given) if isinstance(hint, type) and issubclass(hint, Enum) else given

    try:
        state: ServerState = value_of(ServerState, json.loads(zlib.decompress(body)))
    except (zlib.error, RecursionError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise NotRead(f"it cannot be read: {error}") from None
    return state


@cache
def _hints(part: type) -> dict[str, Any]:
    return get_type_hints(part)
