"""JSON as the dialects write and read it: templates filled with values, and values found by templates.

Written as Python's `json.dumps` does by default. Reading is strict where peers could disagree:
duplicate keys, lone surrogates and numbers that JSON does not have are no JSON here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tcrp.spec.fields import JsonTemplate, json_role

Values = Mapping[str, str | int]


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


def write(template: JsonTemplate, values: Values, extra: Mapping[str, Any] | None = None) -> bytes:
    """`template` filled with `values`, as bytes; an object with the members of `extra` behind its own."""
    filled = fill(template, values)
    return json.dumps({**filled, **extra} if extra and isinstance(filled, dict) else filled).encode()


def fill(template: JsonTemplate, values: Values) -> Any:
    """`template` with `"{role}"` replaced by the value of that role, and `{role}` inside longer strings."""
    match template:
        case str():
            role = json_role(template)
            if role is not None and role[0] in values:
                return values[role[0]]
            return fill_sentence(template, values)
        case Mapping():
            return {key: fill(value, values) for key, value in template.items()}
        case list():
            return [fill(value, values) for value in template]
        case _:
            return template


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
    return found if _find(template, value, loose, found) else None


def _find(template: JsonTemplate, value: Any, loose: bool, found: dict[str, Any]) -> bool:
    role = json_role(template)
    if role is not None:
        if value is not None or not role[1]:
            found[str(role[0])] = value
        return True
    match template:
        case Mapping():
            if not isinstance(value, dict) or not (loose or value.keys() <= template.keys()):
                return False
            for key, part in template.items():
                if key in value:
                    if not _find(part, value[key], loose, found):
                        return False
                elif not _may_be_missing(part, loose):
                    return False
            return True
        case list():
            return (
                isinstance(value, list)
                and len(value) == len(template)
                and all(_find(part, each, loose, found) for part, each in zip(template, value, strict=True))
            )
        case _:
            return True


def _may_be_missing(part: JsonTemplate, loose: bool) -> bool:
    role = json_role(part)
    return role[1] if role is not None else loose


def constants_agree(template: JsonTemplate, value: Any, *, all_of_them: bool = False) -> bool:
    """Whether the numbers and empty strings that a template fixes stand in `value` too; or all that it fixes."""
    match template:
        case Mapping():
            if not isinstance(value, dict):
                return False
            return all(
                constants_agree(part, value[key], all_of_them=all_of_them)
                if key in value
                else _may_be_missing(part, loose=not _is_compared(part, all_of_them))
                for key, part in template.items()
            )
        case list():
            return isinstance(value, list) and all(
                constants_agree(part, each, all_of_them=all_of_them)
                for part, each in zip(template, value, strict=False)
            )
    if not _is_compared(template, all_of_them):
        return True
    return bool(value == template)


def _is_compared(part: JsonTemplate, all_of_them: bool) -> bool:
    if isinstance(part, str):
        return part == "" or (all_of_them and "{" not in part)
    return isinstance(part, int | float) or (all_of_them and part is None)


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
