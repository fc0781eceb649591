"""Kinds of mappings: the fields of one declare how it is read, its JSON Schema, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any, TypeVar

from msgspec.structs import replace

from tcrp.sim.scenario.kinds import Kind, Scene, Schema, mapping_of
from tcrp.sim.scenario.nodes import Value

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Field:
    """A word and the value behind it. `into` is the attribute that it becomes, if that has another name."""

    word: str
    kind: Kind[Any]
    meaning: str = ""
    example: str = ""
    into: str = ""  # `*`: the attributes of the value become the mapping's own
    is_bare: bool = False  # it may stand for the whole mapping
    is_beside: bool = False  # it stands beside the verb, not inside
    if_missing: str = ""  # what the error asks for

    @property
    def attribute(self) -> str:
        return self.into or self.word

    @property
    def words(self) -> tuple[str, ...]:
        return (self.word,)

    def read(self, parts: Mapping[str, Value], whole: Value, scene: Scene) -> Any:
        return self.kind.read(parts[self.word], scene)

    def write(self, value: Any) -> dict[str, Any]:
        return {self.word: self.kind.write(value)}

    def properties(self) -> dict[str, Schema]:
        return {self.word: {**self.kind.schema(), **({"description": self.meaning} if self.meaning else {})}}


def defaults_of(make: Callable[..., Any]) -> Mapping[str, Any]:
    """The arguments that may be left out, with their defaults."""
    parameters = signature(make).parameters.items()
    return {name: each.default for name, each in parameters if each.default is not Parameter.empty}


class Record(Kind[T]):
    """A mapping with known keys, which `make` takes by name.

    A field is required if it is not among `defaults`, which are those of `make`. `forms`: exactly one of these
    groups of words is given. `if_empty`: at least one word has to be given; the error says this.
    """

    def __init__(
        self,
        make: Callable[..., T],
        *fields: Field,
        forms: tuple[tuple[str, ...], ...] = (),
        if_empty: str = "",
        may_be_nothing: bool = False,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self.make = make
        self.fields = fields
        self.forms = forms
        self.if_empty = if_empty
        self.may_be_nothing = may_be_nothing
        self.defaults = defaults_of(make) if defaults is None else defaults
        self.inside = [each for each in fields if not each.is_beside]
        self.bare = next((each for each in self.inside if each.is_bare), None)
        self.is_only_bare = self.bare is not None and len(self.inside) == 1
        self.chosen = {word for form in forms for word in form}
        self.has_placeholders = any(each.kind.has_placeholders for each in fields)

    @property
    def keys(self) -> list[str]:
        """The words that may stand in the mapping."""
        return [word for each in self.inside for word in each.words]

    def is_required(self, each: Field) -> bool:
        return not (each.attribute in self.defaults or each.into == "*" or each.word in self.chosen)

    # --- reading ---------------------------------------------------------------------------------

    def read(self, value: Value, scene: Scene) -> T:
        return self.from_parts(value, self.parts(value), scene)

    def parts(self, value: Value) -> dict[str, Value]:
        """What stands behind each word."""
        if self.bare is not None and (self.is_only_bare or not value.is_mapping):
            return {self.bare.word: value}
        if self.may_be_nothing and value.is_nothing:
            return {}
        return value.mapping(self.keys, [each.word for each in self.inside if self.is_required(each)
                                         and not each.if_missing])  # fmt: skip

    def from_parts(self, value: Value, parts: Mapping[str, Value], scene: Scene, **given: Any) -> T:
        """What `parts` of `value` mean, together with what is `given` already."""
        if self.if_empty and not parts:
            value.fail(f"{self.if_empty}: {', '.join(self.keys)}")
        chosen = [form for form in self.forms if not parts.keys().isdisjoint(form)]
        if self.forms and (len(chosen) != 1 or not parts.keys() >= set(chosen[0])):
            value.fail(f"{value.name}: expected is either {' or '.join(' and '.join(form) for form in self.forms)}")
        for each in self.fields:
            beside = {word: scene.beside.pop(word) for word in each.words if each.is_beside and word in scene.beside}
            if beside or not parts.keys().isdisjoint(each.words):
                read = each.read({**parts, **beside}, value, scene)
                given |= read if each.into == "*" else {each.attribute: read}
            elif self.is_required(each):
                value.fail(each.if_missing or f"{value.name}: {each.word!r} is missing")
        return self.make(**given)

    # --- writing ---------------------------------------------------------------------------------

    def write(self, value: T) -> Any:
        return self.write_parts(value)[0]

    def write_parts(self, value: T) -> tuple[Any, dict[str, Any]]:
        """What stands inside and what stands beside it. What is at its default is left out."""
        inside: dict[str, Any] = {}
        beside: dict[str, Any] = {}
        for each in self.fields:
            held = value if each.into == "*" else getattr(value, each.attribute, None)
            is_default = held == self.defaults.get(each.attribute, self) and each.word not in self.chosen
            if each.into == "*" or (each.kind.holds(held) and not is_default):
                (beside if each.is_beside else inside).update(each.write(held))
        if self.bare is not None and inside.keys() == {self.bare.word}:
            return inside[self.bare.word], beside
        return inside, beside

    def holds(self, value: object) -> bool:
        return isinstance(value, self.make) if isinstance(self.make, type) else value is not None

    def fill(self, value: T, placeholder: str, number: int) -> T:
        changes: dict[str, Any] = {}
        for each in self.fields if self.has_placeholders else ():
            held = getattr(value, each.attribute)
            if each.kind.has_placeholders and each.kind.holds(held):
                changes[each.attribute] = each.kind.fill(held, placeholder, number)
        return replace(value, **changes) if changes else value  # type: ignore[type-var]

    # --- describing ------------------------------------------------------------------------------

    def shape(self) -> Schema:
        if self.is_only_bare and self.bare is not None:
            return self.bare.kind.schema()
        others = [self.bare.kind.schema()] if self.bare is not None else []
        others += [{"type": "null"}] if self.may_be_nothing else []
        return {"anyOf": [*others, self.mapping_shape()]} if others else self.mapping_shape()

    def mapping_shape(self) -> Schema:
        """The JSON Schema of the mapping, where it is written out."""
        properties = {word: schema for each in self.inside for word, schema in each.properties().items()}
        mapping = mapping_of(properties, [each.word for each in self.inside if self.is_required(each)])
        if self.if_empty:
            mapping["minProperties"] = 1
        if self.forms:
            mapping["oneOf"] = [{"required": list(form)} for form in self.forms]
        return mapping


class Verb(Record[Any]):
    """Something that an actor does. Where it needs no more words, it may stand as a single word."""

    def __init__(
        self, word: str, make: Callable[..., Any], meaning: str, example: str, *fields: Field, **options: Any
    ) -> None:
        super().__init__(make, *fields, **options)
        self.word, self.meaning, self.example = word, meaning, example
        may_stand_alone = not (self.forms or self.if_empty or any(map(self.is_required, self.inside)))
        self.may_be_nothing = self.may_stand_alone = may_stand_alone
        self.companions = [word for each in fields if each.is_beside for word in each.words]


def table(*verbs: Verb) -> dict[str, Verb]:
    """Verbs by their word."""
    return {each.word: each for each in verbs}
