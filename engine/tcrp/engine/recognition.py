"""Which dialect a request is in, among those that a server takes (section 4 of PROTOCOL.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tcrp.engine import json_templates
from tcrp.engine.codec import EXTRA_MEMBERS, PORT_BYTES, Asked, Codec, request_keys
from tcrp.engine.templates import Mismatch, Partial, Read
from tcrp.engine.text import user_name_fault
from tcrp.spec.fields import Message, Number, Role, Text
from tcrp.spec.names import Operation

JSON_BEGINS = (b"{", b'"')


class Recognised(NamedTuple):
    """A whole request. `codec` is None where it is of no dialect."""

    codec: Codec | None
    asked: Asked


class Recogniser:
    """Reads requests that may be in any of `codecs`, the first that fits."""

    def __init__(self, codecs: Sequence[Codec]) -> None:
        assert codecs, "a server speaks at least one dialect"
        self.codecs = tuple(codecs)
        self.heads = tuple(dict.fromkeys(each.head for each in codecs))
        """The forms of datagrams that its members send."""

    def read(self, data: bytes, *, limit: int, is_over: bool) -> Recognised | Partial | Mismatch:
        """The request at the beginning of `data`. `limit`: the most bytes that it may have."""
        result: Partial | Mismatch | None = None
        framed: list[tuple[Codec, Asked]] = []
        frames: list[tuple[list[Message], Read | Partial | Mismatch]] = []
        for each in self.codecs:
            frame = next((read for forms, read in frames if forms == each.frames), None)
            if frame is None:
                frame = each.read_frame(data, limit=limit, is_over=is_over)
                frames.append((each.frames, frame))
            if isinstance(frame, Read):
                framed.append((each, each.read_framed(data, frame, limit)))
            elif result is None or (isinstance(frame, Partial) and not isinstance(result, Partial)):
                result = frame
        if framed and len(self.codecs) == 1:
            return Recognised(*framed[0])
        found = _first_that_fits(framed)
        if found is not None:
            return Recognised(*found)
        if isinstance(result, Partial):
            return Mismatch("", "longer than any request", is_too_long=True) if len(data) > limit else result
        if framed:
            return Recognised(None, framed[0][1])
        assert result is not None, "nothing was framed"
        return result


def _first_that_fits(framed: Sequence[tuple[Codec, Asked]]) -> tuple[Codec, Asked] | None:
    """JSON is known by its keys, whatever stands under them; all else by a valid user name."""
    for each, asked in framed:
        begins_as_json = asked.payload[:1] in JSON_BEGINS and any(other.speaks_json for other, _ in framed)
        if begins_as_json:
            if each.speaks_json and (asked.request is not None or _has_keys_of(each, asked.payload)):
                return each, asked
        elif asked.request is not None and user_name_fault(asked.request.name) is None:
            return each, asked
    return None


def _has_keys_of(speaks: Codec, payload: bytes) -> bool:
    """Whether a JSON object has the keys that a request of this dialect has."""
    keys = request_keys(speaks.dialect.request[Operation.CREATE])
    if keys is None:
        return False
    try:
        value = json_templates.read(payload)
    except json_templates.NotJson:
        return False
    return isinstance(value, dict) and keys[0] <= value.keys() - EXTRA_MEMBERS <= keys[1]


def port_is_clear(speaks: Codec, port: int) -> bool:
    """Whether a request that ends with `port` cannot be taken for a plain user name (section 4, recognition)."""
    items = speaks.dialect.request[Operation.CREATE].items
    payload = getattr(items[-1], "items", items)
    match payload[-2:]:
        case (Text(role=Role.NAME), Number(label="port", width=width)) if width == PORT_BYTES:
            try:
                port.to_bytes(PORT_BYTES, "big").decode()
            except UnicodeDecodeError:
                return True
            return False
    return True
