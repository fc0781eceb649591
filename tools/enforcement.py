"""Where the code enforces each rule: read from the syntax trees of spec, engine and net, not from comments.

A function, class or table that uses `Rule.X` is a place of the rule X. A comparison with `Rule.X` is
not: it asks about a rule.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tcrp.spec.names import Property, Rule

SOURCES = ("spec/tcrp/spec", "engine/tcrp/engine", "engine/tcrp/net")
"""Where to look, from the root of the project."""

DESCRIBING = frozenset({"spec/tcrp/spec/rules.py", "spec/tcrp/spec/properties.py"})
"""Modules that say what the rules are: they enforce none."""


@dataclass(frozen=True, slots=True)
class Place:
    """A function, class or table that uses a rule. `path` is from the root of the project."""

    path: str
    name: str

    @property
    def module(self) -> str:
        """The module without the namespace: `engine.server`."""
        return ".".join(Path(self.path).with_suffix("").parts[-2:])


@dataclass(frozen=True, slots=True)
class ByConstruction:
    """Why a rule needs no line of code that names it, and the property that checks it, if one does."""

    why: str
    checked_by: Property | None = None


NOT_IN_CODE: Mapping[Rule, ByConstruction] = MappingProxyType(
    {
        Rule.TCP_3: ByConstruction(
            "after the last frame the server's engine returns FinishStream or CloseStream and no further SendFrame, "
            "and the client's returns CloseStream with the completion",
            Property.STREAMS_HALF_CLOSE,
        ),
        Rule.REL_2: ByConstruction(
            "the engine takes one datagram at a time and returns its relays before it takes the next",
            Property.RELAYS_IN_ORDER,
        ),
    }
)
"""The rules that no code names. A rule that has a place in code must not be here."""


class EnforcementError(Exception):
    """A rule has no place in code and no reason for that, or has both. The message names the rules."""


def find_places(root: Path) -> dict[Rule, tuple[Place, ...]]:
    """The places of each rule below `root`, in the order of the files and of their lines."""
    found: dict[Rule, dict[Place, None]] = {rule: {} for rule in Rule}
    for folder in SOURCES:
        for path in sorted((root / folder).glob("*.py")):
            name = path.relative_to(root).as_posix()
            if name not in DESCRIBING:
                for rule, place in places_in(path.read_text(encoding="utf-8"), name):
                    found[rule][place] = None
    return {rule: tuple(places) for rule, places in found.items()}


def places_in(source: str, path: str) -> Iterator[tuple[Rule, Place]]:
    """Each use of a rule in the text of one module, in the order of its lines."""
    for node in ast.parse(source, path).body:
        for name, part in _named(node):
            for rule in _rules_used(part):
                yield rule, Place(path, name)


def check(places: Mapping[Rule, tuple[Place, ...]], without_code: Mapping[Rule, ByConstruction] = NOT_IN_CODE) -> None:
    """Raise `EnforcementError` unless each rule has either a place or a reason to have none."""
    if homeless := [rule for rule in Rule if not places.get(rule) and rule not in without_code]:
        raise EnforcementError(
            f"no code uses {_listed(homeless)}: name the rule where the code enforces it, "
            "or give the reason in NOT_IN_CODE of tools/enforcement.py"
        )
    if placed := [rule for rule in without_code if places.get(rule)]:
        raise EnforcementError(
            f"code uses {_listed(placed)} ({places[placed[0]][0].path}): remove it from NOT_IN_CODE of "
            "tools/enforcement.py"
        )


def _listed(rules: list[Rule]) -> str:
    return ", ".join(f"Rule.{rule.name}" for rule in rules)


def _named(node: ast.stmt) -> Iterator[tuple[str, ast.AST]]:
    """A statement of a module and what a reader would look for: `function`, `Class.method` or `TABLE`."""
    match node:
        case ast.ClassDef():
            for part in ast.iter_child_nodes(node):
                if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{node.name}.{part.name}", part
                else:
                    yield node.name, part
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield node.name, node
        case ast.Assign(targets=[ast.Name(id=name), *_]) | ast.AnnAssign(target=ast.Name(id=name)):
            yield name, node
        case _:
            yield "the module", node


def _rules_used(node: ast.AST) -> Iterator[Rule]:
    match node:
        case ast.Compare() | ast.MatchValue():
            return
        case ast.Attribute(value=ast.Name(id="Rule") | ast.Attribute(attr="Rule"), attr=name) if (
            name in Rule.__members__
        ):
            yield Rule[name]
        case _:
            for part in ast.iter_child_nodes(node):
                yield from _rules_used(part)
