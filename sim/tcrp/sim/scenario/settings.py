"""A server's settings in a scenario: those it starts with, and those that a step changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tcrp.sim.scenario.kinds import DURATION, Kind, Scene, Schema, Simple, Word, mapping_of, whole
from tcrp.sim.scenario.nodes import Value
from tcrp.spec.durations import write_duration
from tcrp.spec.limits import SETTINGS, Setting, Unit, parse_setting

Settings = tuple[tuple[str, int | str], ...]


def read_settings(parts: Mapping[str, Value]) -> dict[str, int | str]:
    """The values of settings, each at its place."""
    settings: dict[str, int | str] = {}
    for name, each in parts.items():
        try:
            settings[name] = parse_setting(name, each.scalar())
        except ValueError as error:
            each.fail(str(error))
    return settings


def write_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they are written in a scenario, in the order of the documents."""
    return {name: _written(SETTINGS[name], settings[name]) for name in SETTINGS if name in settings}


def _written(setting: Setting, value: Any) -> Any:
    if setting.unit is Unit.DURATION:
        return write_duration(value)
    return value if setting.unit in (Unit.COUNT, Unit.BYTES) else str(value)


def _shape_of(setting: Setting) -> Schema:
    kinds: dict[Unit, Kind[Any]] = {Unit.CHOICE: Word(setting.choices), Unit.DURATION: DURATION}
    kind = kinds.get(setting.unit, whole(setting.least, setting.most))
    return {**kind.schema(), "description": setting.help}


SHAPES: Schema = {name: _shape_of(each) for name, each in SETTINGS.items()}


def _read_changes(value: Value, _scene: Scene) -> Settings:
    changes = read_settings(value.mapping(tuple(SETTINGS)))
    return tuple(changes.items()) if changes else value.fail("set_limits: at least one setting is expected")


CHANGES: Simple[Settings] = Simple(
    _read_changes, {**mapping_of(SHAPES), "minProperties": 1}, lambda settings: write_settings(dict(settings))
)
