"""What the classes of values are made of, asked once for each class: states are taken apart a million times."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from types import NoneType

from msgspec import Struct

ATOMS = frozenset((NoneType, bool, int, str, bytes))
"""Classes whose values have no parts."""

_known: dict[type, tuple[str, ...] | None] = {}


def field_names(kind: type) -> tuple[str, ...] | None:
    """The names of the fields of a dataclass or struct, in their order. None: it is neither."""
    if kind not in _known:
        names = tuple(each.name for each in fields(kind)) if is_dataclass(kind) else None
        _known[kind] = kind.__struct_fields__ if issubclass(kind, Struct) else names
    return _known[kind]
