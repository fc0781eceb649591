"""How a client's questions are answered: a small YAML file, read into a `Script`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from tcrp.sim.scenario.errors import ScenarioError
from tcrp.sim.scenario.nodes import Value, compose, read_text
from tcrp.spec.durations import parse_duration
from tcrp.spec.limits import SECOND_US

STEP_US = 5 * SECOND_US
"""How long a step waits, unless it says `within`."""
WITHIN_US_MAX = 120 * SECOND_US
SHIPPED = ("default", "chat-client")
"""The scripts that come with the judge."""
PLACEHOLDERS = (
    "host", "tcp_port", "udp_port", "room", "name", "operation", "number", "letter", "choice", "text", "leave_word",
)  # fmt: skip
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
ENTER = "\r"
KEYS = {"enter": ENTER, "ctrl-c": "\x03", "ctrl-d": "\x04", "escape": "\x1b", "tab": "\t"}


class Do(StrEnum):
    """What a step does."""

    WAIT = "wait"  # until a pattern is in what the client has written since something was typed
    TYPE = "type"  # a text and Enter
    KEY = "key"  # one key
    HAD = "had"  # until the server has had a request, or a datagram
    EXPECT = "expect"  # until a pattern stands on the screen


HAD = ("request", "datagram")


class Step(NamedTuple):
    """One step. `what` is a pattern, a text with placeholders, a key or one of `HAD`."""

    do: Do
    what: str
    within_us: int = STEP_US
    where: str = ""


class Script(NamedTuple):
    """What to type so that the client enters a room, says something and leaves.

    `answers`: what is typed when what the client asks matches a pattern, the first that fits its last line.
    """

    answers: tuple[tuple[re.Pattern[str], str], ...] = ()
    enter: tuple[Step, ...] = ()
    say: tuple[Step, ...] = (Step(Do.TYPE, "{text}"),)
    leave: tuple[Step, ...] = (Step(Do.TYPE, "{leave_word}"),)
    text: str = ""

    def answer_to(self, asked: str, values: Mapping[str, str]) -> str | None:
        """What to type when the client has written `asked` and waits, or None."""
        lines = [line for line in asked.splitlines() if line.strip()]
        for looked_at in (lines[-1] if lines else "", asked):
            for pattern, answer in self.answers:
                if (found := pattern.search(looked_at)) is not None:
                    choice = found.groupdict().get(values["operation"]) or ""
                    return fill(answer, {**values, "choice": choice})
        return None


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders filled; braces around anything else stay."""
    return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def script_named(name: str) -> Script:
    """A script that comes with the judge, or one from a file. Raises `ScenarioError`."""
    path = Path(__file__).parent / "scripts" / f"{name}.yaml" if name in SHIPPED else Path(name)
    return read_script(read_text(path, name), name)


def read_script(text: str, name: str) -> Script:
    """A script from the text of its file. Raises `ScenarioError` that says where and what."""
    root = compose(text, name)
    root.name = "script"
    parts = root.mapping(("answers", "enter", "say", "leave"))
    answers = [(_pattern(key, asked), _filled(answer)) for key, asked, answer in parts["answers"].entries()] if (
        "answers" in parts
    ) else []  # fmt: skip
    steps = {key: tuple(map(_step, value.items())) for key, value in parts.items() if key != "answers"}
    return Script(tuple(answers), text=text, **steps)


def _step(node: Value) -> Step:
    node.name = "step"
    parts = node.mapping((*Do, "within"))
    done = [each for each in Do if each in parts]
    if len(done) != 1:
        node.fail(f"a step has one of {', '.join(Do)}, and perhaps within")
    do, value = done[0], parts[done[0]]
    match do:
        case Do.WAIT | Do.EXPECT:
            what = value.string()
            _pattern(value, what)
        case Do.TYPE:
            what = _filled(value)
        case Do.KEY:
            what = value.word(KEYS)
        case Do.HAD:
            what = value.word(HAD)
    return Step(do, what, _within(parts["within"]) if "within" in parts else STEP_US, f"line {node.place.line}")


def _within(node: Value) -> int:
    try:
        within_us = parse_duration(node.scalar())
    except ValueError as error:
        node.fail(str(error))
    if within_us > WITHIN_US_MAX:
        node.fail(f"within is {node.scalar()}; at most {WITHIN_US_MAX // SECOND_US}s is allowed")
    return within_us


def _pattern(node: Value, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE | re.DOTALL)
    except re.error as error:
        node.fail(f"{text!r} is no regular expression: {error}")


def _filled(node: Value) -> str:
    text = node.scalar()
    unknown = next((each for each in PLACEHOLDER.findall(text) if each not in PLACEHOLDERS), None)
    if unknown is not None:
        node.fail(f"unknown placeholder {{{unknown}}}; known are {', '.join(f'{{{each}}}' for each in PLACEHOLDERS)}")
    return text


__all__ = ["Do", "ScenarioError", "Script", "Step", "fill", "read_script", "script_named"]
