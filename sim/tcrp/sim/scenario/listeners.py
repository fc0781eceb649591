"""The server's listeners in a scenario, and the dialects that each recognises."""

from __future__ import annotations

from typing import Any

from tcrp.sim.scenario.kinds import ListOf, Scene, Schema, Simple, Word
from tcrp.sim.scenario.model import Listener
from tcrp.sim.scenario.nodes import Value
from tcrp.spec.dialects import NAMES

AUTO = "auto"
LISTENERS_MAX = 64
NAME_CHARACTERS_MAX = 64
_ONE = Word((AUTO, *NAMES))
_SOME = ListOf(Word(NAMES))


def _read_dialects(value: Value, scene: Scene) -> tuple[str, ...]:
    if not value.is_list:
        word = _ONE.read(value, scene)
        return () if word == AUTO else (word,)
    words = _SOME.read(value, scene)
    if not words:
        value.fail(f"{value.name}: at least one dialect is expected")
    if twice := next((word for number, word in enumerate(words) if word in words[:number]), None):
        value.fail(f"{value.name}: {twice} stands there twice")
    return words


def _write_dialects(dialects: tuple[str, ...]) -> Any:
    return list(dialects) if len(dialects) > 1 else next(iter(dialects), AUTO)


DIALECTS: Simple[tuple[str, ...]] = Simple(
    _read_dialects, {"anyOf": [_ONE.schema(), {**_SOME.schema(), "minItems": 1, "uniqueItems": True}]}, _write_dialects
)
"""`auto`, which is no dialect at all; a dialect; or several, in the order in which they are recognised."""


def _read_listeners(value: Value, scene: Scene) -> tuple[Listener, ...]:
    listeners = []
    for key, name, each in value.entries():
        if not name or len(name) > NAME_CHARACTERS_MAX or not name.isprintable():
            key.fail(f"listeners: a name has 1 to {NAME_CHARACTERS_MAX} printable characters, not {name!r}")
        listeners.append(Listener(name, DIALECTS.read(each, scene)))
    if not 1 <= len(listeners) <= LISTENERS_MAX:
        value.fail(f"listeners: 1 to {LISTENERS_MAX} are expected, not {len(listeners)}")
    return tuple(listeners)


_SHAPE: Schema = {
    "type": "object", "additionalProperties": DIALECTS.schema(), "minProperties": 1, "maxProperties": LISTENERS_MAX
}  # fmt: skip
LISTENERS: Simple[tuple[Listener, ...]] = Simple(
    _read_listeners, _SHAPE, lambda listeners: {each.name: DIALECTS.write(each.dialects) for each in listeners}
)
