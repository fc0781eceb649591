"""One line of a trace as a JSON object, and where in the line a mistake is.

Knows JSON and positions, not what a header or a record holds. Positions are looked for only once a
mistake is known, so that a line without one costs no more than its parsing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from json.decoder import scanstring  # type: ignore[attr-defined]  # it is not in typeshed
from typing import Any, NamedTuple

LINE_BYTES_MAX = 2**24  # a header with a cast of a hundred thousand fits
VALUE_CHARACTERS_SHOWN_MAX = 60
WORDS_SHOWN_MAX = 12
NESTED_MAX = 3  # a header's cast holds members, which hold names


class TraceError(Exception):
    """A file is no trace that can be read. Line and column are counted from 1, columns in characters."""

    def __init__(self, path: str, line: int, column: int, what: str) -> None:
        super().__init__(path, line, column, what)
        self.path = path
        self.line = line
        self.column = column
        self.what = what

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.what}"


class Line(NamedTuple):
    """A line without its newline. `number` is counted from 1."""

    path: str
    number: int
    text: str

    def parse(self) -> dict[str, Any]:
        """The line's JSON object. Raises `TraceError`."""
        try:
            data = _DECODER.decode(self.text)
        except json.JSONDecodeError as error:
            raise self.error(f"not JSON: {error.msg}", error.colno) from None
        except _RepeatedKey as error:
            raise self.error(f"the key {error.key!r} is repeated", _column_of_repeated(self.text)) from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets in brackets
            raise self.error(f"not JSON that can be read: {error}") from None
        if type(data) is not dict:
            raise self.error("a JSON object is expected", len(self.text) - len(self.text.lstrip()) + 1)
        if "\\u" in self.text:
            self._require_whole_characters(data)
        return data

    def _require_whole_characters(self, data: dict[str, Any]) -> None:
        """JSON can write half of a surrogate pair, which no other program then takes as text."""
        for key, value in data.items():
            try:
                json.dumps((key, value), ensure_ascii=False).encode()
            except UnicodeEncodeError:
                raise self.error_in([key], "holds half of a surrogate pair") from None

    def error(self, what: str, column: int = 1) -> TraceError:
        """A mistake at `column`."""
        return TraceError(self.path, self.number, column, what)

    def error_at_key(self, keys: Sequence[str], what: str) -> TraceError:
        """A mistake that is the last of `keys` itself; those before it lead to the object that holds it."""
        return self.error(what, _column(self.text, keys, of_key=True))

    def error_in(self, keys: Sequence[str], what: str) -> TraceError:
        """A mistake in the value under `keys`. `what` goes on from its name: `is negative`."""
        return self.error(f"{'.'.join(keys)} {what}", _column(self.text, keys, of_key=False))

    def wrong_type(self, keys: Sequence[str], value: object, expected: str) -> TraceError:
        """The value under `keys` is not of the type that is expected."""
        written = json.dumps(value)
        if len(written) > VALUE_CHARACTERS_SHOWN_MAX:
            written = f"{written[:VALUE_CHARACTERS_SHOWN_MAX]}…"
        return self.error_in(keys, f"is {written}; {expected} is expected")

    def unknown_word(self, keys: Sequence[str], value: str, words: Sequence[str]) -> TraceError:
        """The value under `keys` is none of `words`."""
        allowed = (
            f"allowed are {', '.join(words)}" if len(words) <= WORDS_SHOWN_MAX else "this version does not know it"
        )
        shown = value if len(value) <= VALUE_CHARACTERS_SHOWN_MAX else f"{value[:VALUE_CHARACTERS_SHOWN_MAX]}…"
        return self.error_in(keys, f"is {shown!r}; {allowed}")


# --- positions -----------------------------------------------------------------------------------


class _RepeatedKey(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKey(next(key for n, key in enumerate(keys) if key in keys[:n]))
    return data


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)
_LENIENT = json.JSONDecoder()


class _Member(NamedTuple):
    """A key of an object, with the keys that lead to it, and where it and its value begin."""

    keys: tuple[str, ...]
    key_at: int
    value_at: int


def _members(text: str, at: int, leading: tuple[str, ...] = ()) -> Iterator[_Member]:
    """The members of the object that begins at `at`, and of the objects in it. `text` is known to be JSON."""
    at = _after_space(text, at + 1)
    while text[at] != "}":
        key_at = at
        key, at = scanstring(text, at + 1)
        value_at = _after_space(text, _after_space(text, at) + 1)
        keys = (*leading, key)
        yield _Member(keys, key_at, value_at)
        if text[value_at] == "{" and len(keys) < NESTED_MAX:
            yield from _members(text, value_at, keys)
        at = _after_space(text, _LENIENT.raw_decode(text, value_at)[1])
        if text[at] == ",":
            at = _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def _column(text: str, keys: Sequence[str], *, of_key: bool) -> int:
    for member in _members(text, _after_space(text, 0)):
        if member.keys == tuple(keys):
            return (member.key_at if of_key else member.value_at) + 1
    return 1


def _column_of_repeated(text: str) -> int:
    at = _after_space(text, 0)
    met: set[tuple[str, ...]] = set()
    for member in _members(text, at) if text[at] == "{" else ():
        if member.keys in met:
            return member.key_at + 1
        met.add(member.keys)
    return 1
