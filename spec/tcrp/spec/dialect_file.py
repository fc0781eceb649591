"""A dialect's file as tables that remember which keys were read, so that an error can name file, line and key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

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
            raise DialectError(f"{name}: {error}") from None
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
    """One table of the file. Every key is to be asked for; `done` finds those that were not."""

    def __init__(self, source: Source, content: Mapping[str, Any], path: str = "") -> None:
        self.source = source
        self.content = content
        self.path = path
        self.asked: set[str] = set()

    def table(self, key: str, *, optional: bool = False) -> Table:
        value = self._take(key, dict, {} if optional else None)
        return Table(self.source, value, f"{self.path}{key}.")

    def string(self, key: str, default: str | None = None) -> str:
        return str(self._take(key, str, default))

    def strings(self, key: str, default: list[str] | None = None) -> tuple[str, ...]:
        values = self._take(key, list, default)
        if not all(isinstance(value, str) and value for value in values):
            raise self.error(key, "a list of non-empty strings is expected")
        return tuple(values)

    def boolean(self, key: str) -> bool:
        return bool(self._take(key, bool, False))

    def integer(self, key: str, least: int, most: int, default: int | None = None) -> int:
        value = int(self._take(key, int, default))
        if not least <= value <= most:
            raise self.error(key, f"{value} is not between {least} and {most}")
        return value

    def duration_us(self, key: str, most_us: int) -> int:
        if key not in self.content:
            return 0
        try:
            value = parse_duration(self.string(key))
        except ValueError as error:
            raise self.error(key, str(error)) from None
        if value > most_us:
            raise self.error(key, f"{self.content[key]} is longer than {most_us // 1_000_000}s")
        return value

    def choice(self, key: str, choices: Iterable[str], default: str | None = None) -> str:
        value = self.string(key, default)
        allowed = [str(choice) for choice in choices]
        if value not in allowed:
            raise self.error(key, f"{value!r} is none of {', '.join(allowed)}")
        return value

    def value(self, key: str) -> Any:
        """Whatever stands there, or None."""
        self.asked.add(key)
        return self.content.get(key)

    def done(self) -> None:
        """Raises `DialectError` for the first key that nobody asked for."""
        if unknown := [key for key in self.content if key not in self.asked]:
            raise self.error(unknown[0], f"unknown key{near(unknown[0], self.asked)}")

    def error(self, key: str, fault: str, text: object = None) -> DialectError:
        return self.source.error(f"{self.path}{key}".rstrip("."), fault, text)

    def _take(self, key: str, kind: type, default: Any) -> Any:
        self.asked.add(key)
        value = self.content.get(key, default)
        if value is None:
            raise self.error(key, "missing")
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            words = {dict: "table", list: "list", str: "string", int: "number", bool: "true or false"}
            raise self.error(key, f"{value!r} is not a {words[kind]}".replace("a true", "true"))
        return value
