"""Which dialect a request is in, among those that a server takes (section 4 of PROTOCOL.md)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from tcrp.engine import json_templates
from tcrp.engine.codec import EXTRA_MEMBERS, PORT_BYTES, Codec
from tcrp.engine.meanings import Asked
from tcrp.engine.templates import SPAN, Mismatch, Partial, Read
from tcrp.engine.text import user_name_fault
from tcrp.spec.fields import Number, Role, Text
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
        self.lists = tuple(each for each in codecs if each.dialect.lists)
        self.heads = tuple(dict.fromkeys(each.head for each in codecs))
        """The forms of datagrams that its members send."""
        self._by_frame: list[list[Codec]] = []  # dialects whose requests have one frame
        for each in codecs:
            same = next((group for group in self._by_frame if group[0].frames == each.frames), None)
            if same is None:
                self._by_frame.append([each])
            else:
                same.append(each)

    def read(self, data: bytes, *, limit: int, is_over: bool) -> Recognised | Partial | Mismatch:
        """The request at the beginning of `data`. `limit`: the most bytes that it may have."""
        result: Partial | Mismatch | None = None
        framed: dict[Codec, Read] = {}
        for group in self._by_frame:
            frame = group[0].read_frame(data, limit=limit, is_over=is_over)
            if isinstance(frame, Read):
                framed.update(dict.fromkeys(group, frame))
            elif isinstance(frame, Partial) and isinstance(result, Partial):
                result = Partial(result.has_head, result.is_open or frame.is_open)
            elif result is None or isinstance(frame, Partial):
                result = frame
        if framed and len(self.codecs) == 1:
            [(only, frame)] = framed.items()
            return Recognised(only, only.read_framed(data, frame, limit))
        in_order = [(each, framed[each]) for each in self.codecs if each in framed]
        found = _first_that_fits(data, in_order, limit)
        if found is not None:
            return found
        if isinstance(result, Partial):
            return Mismatch("", "longer than any request", is_too_long=True) if len(data) > limit else result
        if in_order:
            first, frame = in_order[0]
            return Recognised(None, first.read_framed(data, frame, limit))
        assert result is not None, "nothing was framed"
        return result


def _first_that_fits(data: bytes, framed: Sequence[tuple[Codec, Read]], limit: int) -> Recognised | None:
    """JSON is known by its keys, whatever stands under them; all else by a valid user name."""
    speaks_json = any(each.speaks_json for each, _ in framed)
    for each, frame in framed:
        payload = frame.values.get(SPAN, data[: frame.size])
        if speaks_json and payload[:1] in JSON_BEGINS:
            if each.speaks_json and _has_keys_of(each, payload):
                return Recognised(each, each.read_framed(data, frame, limit))
        elif not each.speaks_json:
            asked = each.read_framed(data, frame, limit)
            if asked.request is not None and user_name_fault(asked.request.name) is None:
                return Recognised(each, asked)
    return None


def _has_keys_of(speaks: Codec, payload: bytes) -> bool:
    """Whether JSON is of the kind, and has the keys, that a request of this dialect has."""
    value = _json(payload)
    if speaks.request_keys is None:
        return isinstance(value, str)
    needed, known = speaks.request_keys
    return isinstance(value, dict) and needed <= value.keys() - EXTRA_MEMBERS <= known


@lru_cache(1)  # each dialect asks about the same payload
def _json(payload: bytes) -> object:
    try:
        return json_templates.read(payload)
    except json_templates.NotJson:
        return None


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
