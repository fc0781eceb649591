"""JSON as the dialects write and read it: templates filled with values, and values found by templates.

Written as Python's `json.dumps` does by default. Reading is strict where peers could disagree:
duplicate keys, lone surrogates and numbers that JSON does not have are no JSON here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import Enum, auto
from typing import Any

from tcrp.spec.fields import JsonTemplate, json_role

Values = Mapping[str, Any]


class NotJson(ValueError):
    """The bytes are no JSON that this protocol takes."""


class Unfinished(NotJson):
    """The bytes may be the beginning of JSON."""


def read(data: bytes) -> Any:
    """The value of `data`. Raises `NotJson`."""
    try:
        text = data.decode()
        value = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
        if "\\u" in text:
            _encodable(value)
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from None
    return value


def read_first(data: bytes, at: int) -> tuple[Any, int]:
    """The object, list or string that begins at `at`, and where it ends. Raises `Unfinished`, `NotJson`."""
    if data[at : at + 1] not in (b"{", b"[", b'"', b""):
        raise NotJson("no object, list or string")
    try:
        text = data[at:].decode()
    except UnicodeDecodeError as error:
        if error.end < len(data) - at:
            raise NotJson(str(error)) from None
        text = data[at : at + error.start].decode()
    try:
        value, end = _DECODER.raw_decode(text)
        if "\\u" in text:
            _encodable(value)
    except json.JSONDecodeError as error:
        raise Unfinished(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from None
    return value, at + len(text[:end].encode())


def write(filled: Any, extra: Mapping[str, Any] | None = None) -> bytes:
    """A filled template as bytes; an object with the members of `extra` behind its own."""
    return json.dumps({**filled, **extra} if extra and isinstance(filled, dict) else filled).encode()


def fill(template: JsonTemplate, values: Values) -> Any:
    """`template` with `"{role}"` replaced by the value of that role, and `{role}` inside longer strings."""
    return compile_fill(template)(values)


def fill_sentence(sentence: str, values: Values) -> str:
    """`sentence` with each `{role}` filled in. One pass: a value's own braces stay as they are."""
    pieces = sentence.split("{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        role, brace, rest = piece.partition("}")
        filled.append(f"{values[role]}{rest}" if brace and role in values else "{" + piece)
    return "".join(filled)


def find(template: JsonTemplate, value: Any, *, loose: bool = False) -> dict[str, Any] | None:
    """What stands in `value` where `template` has `"{role}"`, or None if `value` has another shape.

    The keys of an object must be just the template's; only those of a `"{role?}"` may be missing, or null. If `loose`,
    other keys may stand there and constants may be missing. Constants are not compared: peers word their messages as
    they like.
    """
    found: dict[str, Any] = {}
    return found if compile_find(template, loose=loose, compare=Compare.NONE)(value, found) else None


def _is_compared(part: JsonTemplate, all_of_them: bool) -> bool:
    if isinstance(part, str):
        return part == "" or (all_of_them and "{" not in part)
    return isinstance(part, int | float) or (all_of_them and part is None)


Match = Callable[[Any, dict[str, Any]], bool]
Fill = Callable[[Values], Any]


class Compare(Enum):
    """Which constants of a template a value must have."""

    NONE = auto()  # peers word their messages as they like
    NUMBERS = auto()  # numbers and empty strings
    ALL = auto()


def compile_find(template: JsonTemplate, *, loose: bool, compare: Compare) -> Match:
    """As `find`, for one template: puts into a dictionary what stands where the template has roles."""
    role = json_role(template)
    if role is not None:
        return _role_finder(str(role[0]), is_optional=role[1])
    match template:
        case Mapping():
            return _object_finder(template, loose=loose, compare=compare)
        case list():
            parts = [compile_find(part, loose=loose, compare=compare) for part in template]
            return lambda value, found: (
                isinstance(value, list)
                and len(value) == len(parts)
                and all(part(each, found) for part, each in zip(parts, value, strict=True))
            )
    if compare is not Compare.NONE and _is_compared(template, all_of_them=compare is Compare.ALL):
        return lambda value, _: bool(value == template)
    return lambda _value, _found: True


def _role_finder(role: str, *, is_optional: bool) -> Match:
    def find_role(value: Any, found: dict[str, Any]) -> bool:
        if value is not None or not is_optional:
            found[role] = value
        return True

    return find_role


def _object_finder(template: Mapping[str, Any], *, loose: bool, compare: Compare) -> Match:
    parts = {key: compile_find(part, loose=loose, compare=compare) for key, part in template.items()}
    known = frozenset(parts)

    def is_needed(part: JsonTemplate) -> bool:
        role = json_role(part)
        if role is not None:
            return not role[1]
        return not loose or (compare is not Compare.NONE and _is_compared(part, all_of_them=compare is Compare.ALL))

    needed = frozenset(key for key, part in template.items() if is_needed(part))

    def find_object(value: Any, found: dict[str, Any]) -> bool:
        if not isinstance(value, dict) or not (loose or value.keys() <= known) or not value.keys() >= needed:
            return False
        return all(not (key in value and not part(value[key], found)) for key, part in parts.items())

    return find_object


def compile_fill(template: JsonTemplate) -> Fill:
    """As `fill`, for one template. Values may be text as bytes."""
    role = json_role(template)
    if role is not None:
        name, whole = str(role[0]), template
        return lambda values: as_json(values[name]) if name in values else whole
    match template:
        case str() if "{" in template:
            pieces = template
            return lambda values: fill_sentence(pieces, {key: as_json(value) for key, value in values.items()})
        case Mapping():
            parts = [(key, compile_fill(part)) for key, part in template.items()]
            return lambda values: {key: part(values) for key, part in parts}
        case list():
            fills = [compile_fill(part) for part in template]
            return lambda values: [part(values) for part in fills]
    return lambda _: template


def as_json(value: Any) -> Any:
    """A value as JSON has it: text, where it is bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_no_constant)


def _encodable(value: Any) -> None:
    """Raises `UnicodeEncodeError` (a `ValueError`) where a lone surrogate was escaped into a string."""
    match value:
        case str():
            value.encode()
        case dict():
            for key, each in value.items():
                key.encode()
                _encodable(each)
        case list():
            for each in value:
                _encodable(each)
