"""The first line of a trace: what was run, by whom, with which settings.

Knows the format, written and read; not the records that follow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tcrp.spec.limits import SETTINGS, Limits, write_setting
from tcrp.trace.lines import Line
from tcrp.trace.records import SCHEMA


class Mode(StrEnum):
    """Where the records come from."""

    SIMULATED = "simulated"
    SOCKETS = "sockets"  # a server or a client on real sockets
    LIVE = "live"  # a scenario that is played on real sockets


@dataclass(frozen=True, slots=True)
class CastMember:
    """A user of the run."""

    name: str
    """The name that others see."""
    dialect: str
    """The dialect that the user speaks."""
    address: str | None = None
    """The IP address that the scenario gives, if it gives one."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a trace says about itself. What is not known is left out of the line."""

    mode: Mode
    """`sockets` is a server or a client, `live` a scenario that is played on real sockets."""
    scenario: str | None = None
    """The scenario's file."""
    seed: int | None = None
    """The seed of the run."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of Python and tcrp."""
    cast: Mapping[str, CastMember] = field(default_factory=dict)
    """The users by id."""
    limits: Mapping[str, str] = field(default_factory=dict)
    """The settings of the server by name, each value as it is written in a scenario (`300s`)."""
    dialects: tuple[str, ...] = ()
    """What the users of a scenario speak, or the client. Of a server, whose trace begins before anybody speaks: what it
    takes."""
    listeners: Mapping[str, str] = field(default_factory=dict)
    """Of a server that has several, by name: what each recognises (`auto`, or dialects with `, ` between them)."""
    servers: tuple[str, ...] = ()
    """Of a cluster, the names of its servers; else the one server is called `server`."""
    schema: str = SCHEMA
    """The format and its version."""

    def line(self) -> str:
        """The header as one line of JSON with sorted keys, without a newline."""
        cast = {id: _known(name=m.name, dialect=m.dialect, address=m.address) for id, m in self.cast.items()}
        written = _known(
            schema=self.schema,
            mode=self.mode,
            scenario=self.scenario,
            seed=self.seed,
            versions=dict(self.versions) or None,
            cast=cast or None,
            limits=dict(self.limits) or None,
            dialects=self.dialects or None,
            listeners=dict(self.listeners) or None,
            servers=self.servers or None,
        )
        return json.dumps(written, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _known(**values: object) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None}


def written_limits(limits: Limits) -> dict[str, str]:
    """Each setting by name, its value as it is written."""
    return {name: write_setting(name, limits) for name in SETTINGS}


# --- reading -------------------------------------------------------------------------------------

HEADER_KEYS = ("schema", "mode", "scenario", "seed", "versions", "cast", "limits", "dialects", "listeners", "servers")
MEMBER_KEYS = ("name", "dialect", "address")


def read_header(line: Line) -> Header:
    """The header that `line` holds. Raises `TraceError`."""
    data = line.parse()
    if "schema" not in data:
        raise line.error(f"not a trace: the first line has no key 'schema'; {SCHEMA!r} is expected there")
    schema = _text(line, data, "schema")
    if schema != SCHEMA:
        raise line.error_in(["schema"], f"is {schema!r}; this version reads {SCHEMA!r}")
    _require_known(line, data, (), HEADER_KEYS, "a header")
    mode = _text(line, data, "mode")
    if mode not in _MODES:
        raise line.unknown_word(["mode"], mode, tuple(_MODES))
    seed = data.get("seed")
    if "seed" in data and type(seed) is not int:
        raise line.wrong_type(["seed"], seed, "a whole number")
    return Header(
        mode=_MODES[mode],
        scenario=_text(line, data, "scenario") if "scenario" in data else None,
        seed=seed,
        versions=_texts(line, data, "versions"),
        cast={id: _member(line, member, id) for id, member in _object(line, data, ("cast",)).items()},
        limits=_texts(line, data, "limits"),
        dialects=_list(line, data, "dialects"),
        listeners=_texts(line, data, "listeners"),
        servers=_list(line, data, "servers"),
    )


_MODES = {str(mode): mode for mode in Mode}


def _member(line: Line, data: object, id: str) -> CastMember:
    if not isinstance(data, dict):
        raise line.wrong_type(["cast", id], data, "an object")
    _require_known(line, data, ("cast", id), MEMBER_KEYS, "a member of the cast")
    return CastMember(
        name=_text(line, data, "cast", id, "name"),
        dialect=_text(line, data, "cast", id, "dialect"),
        address=_text(line, data, "cast", id, "address") if "address" in data else None,
    )


def _require_known(line: Line, data: dict[str, Any], leading: Sequence[str], known: Sequence[str], of: str) -> None:
    for key in data:
        if key not in known:
            raise line.error_at_key([*leading, key], f"{of} has no key {key!r}; allowed are {', '.join(known)}")


def _text(line: Line, data: dict[str, Any], *keys: str) -> str:
    """The text under the last of `keys`, which must be there."""
    if keys[-1] not in data:
        raise line.error(f"the key {'.'.join(keys)!r} is missing")
    value = data[keys[-1]]
    if not isinstance(value, str):
        raise line.wrong_type(keys, value, "a text")
    return value


def _object(line: Line, data: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    value = data.get(keys[-1], {})
    if not isinstance(value, dict):
        raise line.wrong_type(keys, value, "an object")
    return value


def _texts(line: Line, data: dict[str, Any], key: str) -> dict[str, str]:
    """The object of texts under `key`, empty where there is none."""
    value = _object(line, data, (key,))
    return {name: _text(line, value, key, name) for name in value}


def _list(line: Line, data: dict[str, Any], key: str) -> tuple[str, ...]:
    value = data.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise line.wrong_type([key], value, "a list of texts")
    return tuple(value)
