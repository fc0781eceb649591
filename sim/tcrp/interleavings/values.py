"""What the classes of values are made of, asked once for each class: states are taken apart a million times."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from types import NoneType

ATOMS = frozenset((NoneType, bool, int, str, bytes))
"""Classes whose values have no parts."""

_known: dict[type, tuple[str, ...] | None] = {}


def field_names(kind: type) -> tuple[str, ...] | None:
    """The names of a dataclass's fields, in their order. None: it is no dataclass."""
    if kind not in _known:
        _known[kind] = tuple(each.name for each in fields(kind)) if is_dataclass(kind) else None
    return _known[kind]
