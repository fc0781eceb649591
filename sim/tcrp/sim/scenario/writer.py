"""A scenario as a file: the reader's words, written back. What is at its default is left out."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString as Quoted

from tcrp.sim.scenario.model import Scenario
from tcrp.sim.scenario.nodes import AMBIGUOUS
from tcrp.sim.scenario.reader import SCENARIO

WIDTH = 120
ROWS = ("script", "expect", "leave_out", "links")  # each member on a line of its own


def write_scenario(scenario: Scenario, comments: Iterable[str] = ()) -> str:
    """The text of a file that reads back as this scenario."""
    words = SCENARIO.write(scenario)
    users = _needed(words["users"], scenario) if "users" in words else {}
    top = {word: _block(word, users if word == "users" else each) for word, each in words.items()}
    yaml = YAML()
    yaml.width = WIDTH * 4  # a row is a line
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    yaml.dump({word: each for word, each in top.items() if each or word in ("claim", "seed", "explore")}, text)
    return "".join(f"# {comment}\n" for comment in comments) + text.getvalue()


def _needed(entries: dict[str, Any], scenario: Scenario) -> dict[str, Any]:
    """The users who need an entry; all, if without one their order, which gives addresses, would change."""
    declared = [id for id, entry in entries.items() if entry]
    appearing = [step.actor for step in scenario.script if step.actor in entries]
    if list(dict.fromkeys(declared + appearing)) != list(entries):
        declared = list(entries)
    return {id: entries[id] for id in declared}


def _block(word: str, value: Any) -> Any:
    """Entries of users and of the network, and rows, on lines of their own; all else on one line."""
    if word in ("users", "network"):
        return {_key(key): _block(key, each) for key, each in value.items()}
    return [_flow(each) for each in value] if word in ROWS else _flow(value)


def _flow(value: Any) -> Any:
    if isinstance(value, str) and value.startswith((":", "?")):
        return Quoted(value)  # the library writes ::ffff:10.0.0.9 without quotes, and cannot read that within { }
    if not isinstance(value, dict | list):
        return value
    items: Any = CommentedMap() if isinstance(value, dict) else CommentedSeq(map(_flow, value))
    if isinstance(value, dict):
        items.update({_key(key): _flow(each) for key, each in value.items()})
    items.fa.set_flow_style()
    return items


def _key(word: str) -> str:
    """The word, in quotes if some YAML reads it as a truth value."""
    return Quoted(word) if word.lower() in AMBIGUOUS else word
