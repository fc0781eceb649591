"""YAML as nodes that know where they stand. Safe: nothing is constructed, and aliases are not followed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from tcrp.sim.scenario.errors import ScenarioError, nearest, one_of
from tcrp.sim.scenario.model import Place

FILE_BYTES_MAX = 1 << 20
DEPTH_MAX = 32
STRING_TAG = "tag:yaml.org,2002:str"
KINDS = {
    "tag:yaml.org,2002:int": "a number",
    "tag:yaml.org,2002:float": "a number",
    "tag:yaml.org,2002:bool": "a truth value",
    "tag:yaml.org,2002:null": "nothing",
    "tag:yaml.org,2002:timestamp": "a date",
}


AMBIGUOUS = ("yes", "no", "on", "off")
"""Words that YAML 1.2 reads as texts, but YAML 1.1, which many editors speak, as truth values."""
NO_BLANK = re.compile(r"\s*(?:- *)?([\w-]+):([^\s:/].*)")
"""What YAML reads as one word, and people mean as a key and its value."""
FULL_WIDTH_COLON = "："
FULL_WIDTH_COLON_FOUND = "has a full-width colon (：); YAML needs ':' and a blank behind it"


class Value:
    """A node of the file, with what a reader wants to ask it. `name` is what it stands for in errors."""

    __slots__ = ("name", "node", "path")

    def __init__(self, path: str, node: Node, name: str) -> None:
        self.path = path
        self.node = node
        self.name = name

    @property
    def place(self) -> Place:
        mark = self.node.start_mark
        return Place(mark.line + 1, mark.column + 1)

    def fail(self, what: str) -> NoReturn:
        """Raise the error that points here."""
        raise ScenarioError(self.path, self.place, what)

    # --- what it is ------------------------------------------------------------------------------

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, MappingNode)

    @property
    def is_list(self) -> bool:
        return isinstance(self.node, SequenceNode)

    @property
    def is_scalar(self) -> bool:
        return isinstance(self.node, ScalarNode)

    @property
    def is_nothing(self) -> bool:
        """Whether nothing stands here, as after a lone `key:`."""
        return self.is_scalar and str(self.node.tag).endswith(":null")

    @property
    def kind(self) -> str:
        """What stands here, in words."""
        if self.is_mapping:
            return "a mapping"
        if self.is_list:
            return "a list"
        tag = str(self.node.tag)
        return KINDS.get(tag, "a text" if tag == STRING_TAG else f"a value tagged {tag}")

    @property
    def is_ambiguous(self) -> bool:
        """Whether this stands for a text, but some YAML reads it as something else, for want of quotes."""
        is_plain = getattr(self.node, "style", None) is None
        return is_plain and (str(self.node.tag) != STRING_TAG or str(self.node.value).lower() in AMBIGUOUS)

    @property
    def kind_in_yaml_1_1(self) -> str:
        """What an old YAML, or this one, reads here, in words."""
        return self.kind if str(self.node.tag) != STRING_TAG else "a truth value"

    # --- what it holds ---------------------------------------------------------------------------

    def scalar(self) -> str:
        """A single value, as it is written."""
        if not self.is_scalar:
            self.fail(f"{self.name}: a single value is expected, but this is {self.kind}")
        return str(self.node.value)

    def string(self, example: str = "") -> str:
        """A text. What YAML reads as something else is an error that shows the quoted form."""
        if not self.is_scalar:
            self.fail(f"{self.name}: a text is expected{example and f', such as {example}'}, but this is {self.kind}")
        text = str(self.node.value)
        if str(self.node.tag) != STRING_TAG:
            self.fail(f'{self.name}: YAML reads {text or "this"} as {self.kind}; as a text it is written "{text}"')
        return text

    def word(self, words: Iterable[str]) -> str:
        """One of some words."""
        known = list(words)
        text = str(self.node.value) if self.is_scalar else ""
        if text not in known:
            shown = repr(text) if self.is_scalar else self.kind
            self.fail(f"{self.name}: {shown} is none of {one_of(known)}{nearest(text, known)}")
        return text

    def integer(self, least: int, most: int) -> int:
        """A whole number between bounds, both inclusive."""
        text = str(self.node.value) if self.is_scalar else ""
        digits = text[1:] if text.startswith("-") else text
        if not (self.is_scalar and digits.isascii() and digits.isdigit() and getattr(self.node, "style", None) is None):
            self.fail(f"{self.name}: a whole number is expected, but this is {text or self.kind}")
        if len(digits) > 20 or not least <= int(text) <= most:
            self.fail(f"{self.name} is {text}; allowed are {least} to {most}")
        return int(text)

    def boolean(self) -> bool:
        """true or false."""
        if not (self.is_scalar and str(self.node.tag).endswith(":bool")):
            self.fail(f"{self.name}: true or false is expected")
        return str(self.node.value).lower() == "true"

    def items(self) -> list[Value]:
        """The members of a list."""
        if not self.is_list:
            self.fail(f"{self.name}: a list is expected, but this is {self.kind}")
        return [Value(self.path, node, self.name) for node in self.node.value]

    def entries(self) -> Iterator[tuple[Value, str, Value]]:
        """The entries of a mapping: key, its text, value."""
        if not self.is_mapping:
            self.fail(_blank_missing(self.node) or f"{self.name}: a mapping is expected, but this is {self.kind}")
        seen: set[str] = set()
        for key_node, value_node in self.node.value:
            key = Value(self.path, key_node, "key")
            text = str(key_node.value) if key.is_scalar else ""
            if not key.is_scalar:
                key.fail(f"{self.name}: a key is a word, but this is {key.kind}")
            if text in seen:
                key.fail(f"{text!r} stands here a second time")
            seen.add(text)
            yield key, text, Value(self.path, value_node, text)

    def mapping(self, known: Iterable[str], required: Iterable[str] = ()) -> dict[str, Value]:
        """The entries of a mapping whose keys are all known."""
        words = list(known)
        result: dict[str, Value] = {}
        for key, text, value in self.entries():
            if text not in words:
                key.fail(f"unknown key {text!r}; expected is one of {one_of(words)}{nearest(text, words)}")
            result[text] = value
        for word in required:
            if word not in result:
                self.fail(f"{self.name}: {word!r} is missing")
        return result


def compose(text: str, path: str) -> Value:
    """The root of the file. Raises `ScenarioError`."""
    if len(text) > FILE_BYTES_MAX:
        raise ScenarioError(path, None, f"the file is larger than {FILE_BYTES_MAX} characters")
    try:
        yaml = YAML(typ="safe", pure=True)
        root = yaml.compose(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        code = ord(text[error.position])
        what = f'here is a control character (U+{code:04X}); in a text in double quotes it is written "\\u{code:04x}"'
        raise ScenarioError(path, Place(line, column), what) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark is not None else None
        raise ScenarioError(path, place, _in_words(error, text, place)) from None
    except YAMLError as error:
        raise ScenarioError(path, None, f"this is not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ScenarioError(path, None, "this is nested too deeply") from None
    except (ValueError, AttributeError, TypeError, KeyError, IndexError) as error:
        # The library's own stumbles over odd input; all of them mean that the text is no YAML.
        raise ScenarioError(path, None, f"this is not valid YAML: {error}") from None
    if root is None:
        raise ScenarioError(path, None, "the file is empty; a scenario has at least a claim")
    _check(root, path, set(), 1)
    return Value(path, root, "scenario")


NO_ALIASES = "aliases (*name) are not used in scenarios; write the value out, or quote a text that begins with *"
MEANT = {
    "found undefined alias": NO_ALIASES,
    "found character '\\t'": "here is a tab; YAML indents with blanks",
    "found character '@'": "a text that begins with @ is written in quotes",
    "found character '%'": "a text that begins with % is written in quotes",
    "mapping values are not allowed": "here is no key; write a text that holds ': ' in quotes",
    "found unexpected end of stream": "the file ends inside a text in quotes",
    "found another document": "a file holds one scenario, but here begins another document",
}
"""What people mean, by how the library's sentence begins."""


def _in_words(error: MarkedYAMLError, text: str, place: Place | None) -> str:
    """The error of the library as a sentence that helps."""
    problem = str(error.problem or error.context or "unreadable").strip()
    before = text.splitlines()[: place.line if place is not None else None]
    for number, line in reversed(list(enumerate(before, start=1))):
        if FULL_WIDTH_COLON in line.partition("#")[0]:
            return f"this is not valid YAML: line {number} {FULL_WIDTH_COLON_FOUND}"
    if problem.startswith("mapping values") and len(before) > 1 and (hint := _blank_hint(before[-2])):
        return f"this is not valid YAML: in line {len(before) - 1} {hint}"
    what = next((meant for begin, meant in MEANT.items() if problem.removeprefix("but ").startswith(begin)), problem)
    return f"this is not valid YAML: {what}"


def _blank_missing(node: Node) -> str:
    """What is wrong with `at:0s`, or nothing."""
    is_plain = isinstance(node, ScalarNode) and getattr(node, "style", None) is None
    return _blank_hint(str(node.value)) if is_plain else ""


def _blank_hint(text: str) -> str:
    found = NO_BLANK.fullmatch(text)
    return f"a blank is missing behind the colon: {found[1]}: {found[2]}" if found is not None else ""


def _check(node: Node, path: str, seen: set[int], depth: int) -> None:
    """No aliases, no depth without end."""
    place = Place(node.start_mark.line + 1, node.start_mark.column + 1)
    if id(node) in seen:
        raise ScenarioError(path, place, NO_ALIASES)
    seen.add(id(node))
    if depth > DEPTH_MAX:
        raise ScenarioError(path, place, f"this is nested more than {DEPTH_MAX} deep")
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if str(value.tag).endswith(":null") and not value.value and (hint := _blank_missing(key)):
                raise ScenarioError(path, Place(key.start_mark.line + 1, key.start_mark.column + 1), hint)
            _check(key, path, seen, depth + 1)
            _check(value, path, seen, depth + 1)
    elif isinstance(node, SequenceNode):
        for each in node.value:
            _check(each, path, seen, depth + 1)


def read_text(path: Path, shown: str) -> str:
    """The text of a file. Raises `ScenarioError`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ScenarioError(shown, None, f"cannot be read: {error.strerror or error}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        raise ScenarioError(shown, Place(line, column), "this is not UTF-8") from None
