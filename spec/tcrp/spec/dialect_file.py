"""A dialect's file as tables that remember which keys were read, so that an error can name file, line and key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from tcrp.spec.dialect_keys import KEYS, Key, Shape
from tcrp.spec.durations import parse_duration
from tcrp.spec.fields import near

FILE_BYTES_MAX = 256 * 1024


class DialectError(Exception):
    """A dialect's file is invalid. The message names the file, the line and the key."""


class Source:
    """The text of a file and what it is called."""

    def __init__(self, toml: str, name: str) -> None:
        if len(toml) > FILE_BYTES_MAX:
            raise DialectError(f"{name}: {len(toml)} characters; a dialect's file has at most {FILE_BYTES_MAX}")
        self.name = name
        self._lines = toml.splitlines()
        try:
            self.content = tomllib.loads(toml)
        except tomllib.TOMLDecodeError as error:
            raise DialectError(f"{name}: not valid TOML: {error}") from None
        except RecursionError:
            raise DialectError(f"{name}: its tables are nested too deep") from None

    def error(self, path: str, fault: str, text: object = None) -> DialectError:
        """An error at a key; `text` is the entry of its list that is meant."""
        line = self._line_of(path, text)
        return DialectError(f"{self.name}{f':{line}' if line else ''}: {path}{': ' if path else ''}{fault}")

    def _line_of(self, path: str, text: object) -> int:
        """The line of the longest beginning of `path` that the file has as a header or a key. 0: none."""
        keys = path.split(".")
        table: list[str] = []
        best, best_length = 0, 0
        for number, line in enumerate(self._lines, 1):
            if header := re.match(r"\s*\[+\s*([\w.\s\"-]+?)\s*\]+", line):
                table = [key.strip(' "') for key in header[1].split(".")]
                here = table
            elif key := re.match(r"\s*\"?([\w.-]+)\"?\s*=", line):
                here = [*table, *key[1].split(".")]
            else:
                here = []
            if here and keys[: len(here)] == here and len(here) > best_length:
                best, best_length = number, len(here)
        if best and isinstance(text, str):
            for number in range(best, len(self._lines) + 1):
                if text in self._lines[number - 1]:
                    return number
        return best


class Table:
    """One table of the file, whose keys are read as `KEYS` declares them, and remembered."""

    def __init__(self, source: Source, content: Mapping[str, Any], path: str = "") -> None:
        self.source = source
        self.content = content
        self.path = path
        self.asked: set[str] = set()

    def table(self, key: str) -> Table:
        return Table(self.source, self._take(key, Shape.TABLE)[0], f"{self.path}{key}.")

    def closed_table(self, key: str) -> Table:
        """A table that has only declared keys: no numbers of a message."""
        table = self.table(key)
        table.check_keys()
        return table

    def check_keys(self) -> None:
        """Raises `DialectError` for the first key that is not declared."""
        for key in self.content:
            if f"{self.path}{key}" not in KEYS:
                raise self.unknown(key)

    def string(self, key: str) -> str:
        value, declared = self._take(key, Shape.STRING)
        if declared.choices and value not in declared.choices:
            raise self.error(key, f"{value!r} is none of {', '.join(declared.choices)}")
        return str(value)

    def strings(self, key: str) -> tuple[str, ...]:
        values, _ = self._take(key, Shape.STRINGS)
        if not all(isinstance(value, str) and value for value in values):
            raise self.error(key, "a list of non-empty strings is expected")
        return tuple(values)

    def boolean(self, key: str) -> bool:
        return bool(self._take(key, Shape.BOOLEAN)[0])

    def integer(self, key: str) -> int:
        value, declared = self._take(key, Shape.NUMBER)
        if not declared.least <= value <= declared.most:
            raise self.error(key, f"{value} is not between {declared.least} and {declared.most}")
        return int(value)

    def duration_us(self, key: str) -> int:
        declared = KEYS[f"{self.path}{key}"]
        if key not in self.content:
            return int(declared.default)
        written, _ = self._take(key, Shape.DURATION)
        try:
            value = parse_duration(written)
        except ValueError as error:
            raise self.error(key, str(error)) from None
        if value > declared.most:
            raise self.error(key, f"{written} is longer than {declared.most // 1_000_000}s")
        return value

    def value(self, key: str) -> Any:
        """Whatever stands there, or None."""
        self.asked.add(key)
        return self.content.get(key)

    def not_asked(self) -> list[str]:
        """The keys that nobody asked for, in the order of the file."""
        return [key for key in self.content if key not in self.asked]

    def unknown(self, key: str, others: Iterable[str] = ()) -> DialectError:
        """The error for a key that this table does not have. It has what is declared, was asked for, or `others`."""
        declared = [path.removeprefix(self.path) for path in KEYS if path.startswith(self.path)]
        known = {*(each for each in declared if "." not in each), *self.asked, *others}
        return self.error(key, f"unknown key{near(key, known)}")

    def error(self, key: str, fault: str, text: object = None) -> DialectError:
        return self.source.error(f"{self.path}{key}".rstrip("."), fault, text)

    def _take(self, key: str, shape: Shape) -> tuple[Any, Key]:
        declared = KEYS[f"{self.path}{key}"]
        assert declared.shape is shape, f"{self.path}{key} is declared as {declared.shape}"
        self.asked.add(key)
        value = self.content.get(key, declared.default)
        if value is None:
            raise self.error(key, "missing")
        kind, word = _IN_TOML[shape]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(key, f"{value!r} is not {word}")
        return value, declared


_IN_TOML: Mapping[Shape, tuple[type, str]] = {
    Shape.TABLE: (Mapping, "a table"),
    Shape.STRINGS: (list, "a list"),
    Shape.STRING: (str, "a string"),
    Shape.DURATION: (str, "a string"),
    Shape.NUMBER: (int, "a number"),
    Shape.BOOLEAN: (bool, "true or false"),
}
