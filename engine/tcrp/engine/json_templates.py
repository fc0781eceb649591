"""JSON as the dialects write and read it: templates filled with values, and values found by templates.

Written as Python's `json.dumps` does by default. Reading is strict where peers could disagree:
duplicate keys, lone surrogates and numbers that JSON does not have are no JSON here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tcrp.spec.dialects import JsonTemplate

Values = Mapping[str, str | int]


class NotJson(ValueError):
    """The bytes are no JSON that this protocol takes."""


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


def write(template: JsonTemplate, values: Values) -> bytes:
    """`template` filled with `values`, as bytes."""
    return json.dumps(fill(template, values)).encode()


def fill(template: JsonTemplate, values: Values) -> Any:
    """`template` with `"{role}"` replaced by the value of that role, and `{role}` inside longer strings."""
    match template:
        case str():
            if template[1:-1] in values and template == f"{{{template[1:-1]}}}":
                return values[template[1:-1]]
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


def find(
    template: JsonTemplate, value: Any, *, optional: frozenset[str] = frozenset(), loose: bool = False
) -> dict[str, Any] | None:
    """What stands in `value` where `template` has `"{role}"`, or None if `value` has another shape.

    The keys of an object must be just the template's; only those whose role is in `optional` may be
    missing. If `loose`, other keys may stand there and constants may be missing. Constants are not
    compared: peers word their messages as they like.
    """
    found: dict[str, Any] = {}
    return found if _find(template, value, optional, loose, found) else None


def _find(template: JsonTemplate, value: Any, optional: frozenset[str], loose: bool, found: dict[str, Any]) -> bool:
    match template:
        case str() if template.startswith("{") and template.endswith("}"):
            found[template[1:-1]] = value
            return True
        case Mapping():
            if not isinstance(value, dict) or not (loose or value.keys() <= template.keys()):
                return False
            for key, part in template.items():
                is_role = isinstance(part, str) and part.startswith("{") and part.endswith("}")
                if key not in value:
                    if not (is_role and part[1:-1] in optional) and not (loose and not is_role):
                        return False
                elif not _find(part, value[key], optional, loose, found):
                    return False
            return True
        case list():
            return (
                isinstance(value, list)
                and len(value) == len(template)
                and all(_find(part, each, optional, loose, found) for part, each in zip(template, value, strict=True))
            )
        case _:
            return True


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


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
