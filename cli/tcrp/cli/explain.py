"""`chat-sim explain`: what a rule, a property, or a reason in a trace means, and where else it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from tcrp.cli.console import console_for
from tcrp.cli.exits import HOLDS, UsageError
from tcrp.cli.new import included
from tcrp.sim.scenario.errors import nearest
from tcrp.sim.scenario.expectations import DROP_REASONS
from tcrp.spec import limits
from tcrp.spec.cluster_names import OwnRule
from tcrp.spec.limits import CONSTANTS
from tcrp.spec.names import Property, Reason, Rule
from tcrp.spec.ownership import LEASE, OWNERSHIP
from tcrp.spec.properties import CLAIMS, OF_CLUSTERS
from tcrp.spec.render import TABLES
from tcrp.spec.rules import SENTENCES, sentence_of

REFUSALS = {
    Reason.BAD_REQUEST: "The request cannot be read, or holds a name or port that is not allowed.",
    Reason.TOO_MANY_REQUESTS: "A limit is reached, passwords were guessed too often, or the server shuts down.",
    Reason.ROOM_EXISTS: "A room of this name is open or closing already.",
    Reason.NO_SUCH_ROOM: "No room of this name is open.",
    Reason.WRONG_PASSWORD: "The room has a password, and the request has another or none.",
    Reason.NAME_TAKEN: "Somebody in the room has this name.",
    Reason.ROOM_FULL: "The room has members_max members.",
}
COVERS = re.compile(r"^covers: \[(.*)\]", re.MULTILINE)


def explain(names: Sequence[str]) -> int:
    """Explain each name, or list all of them. Raises `UsageError` for a name that nothing has."""
    console = console_for()
    known = dict(_sentences())
    words = [" ".join(names)] if " ".join(names) in known else list(names)  # a reason typed without quotes
    for name in [_checked(word, known) for word in words] or known:
        console.print(Text.assemble((name, "bold"), f"  {known[name]}"))
        if words:
            for heading, lines in _places(name):
                _print(console, heading, lines)
    return HOLDS


def _sentences() -> Iterator[tuple[str, str]]:
    yield from ((str(rule), sentence_of(rule)) for rule in (*Rule, *OwnRule))
    for each in Property:
        of = "cluster" if each in OF_CLUSTERS else "run"
        yield str(each), f"A property of every {of}: {CLAIMS[each].sentence}"
    yield from ((why, f"Why a packet was dropped. {meaning}") for why, meaning in DROP_REASONS.items())
    yield from ((str(why), f"Why a request was refused. {meaning}") for why, meaning in REFUSALS.items())


def _checked(word: str, known: dict[str, str]) -> str:
    folded = {name.casefold(): name for name in known}
    if word.casefold() not in folded:
        raise UsageError(
            f"{word!r} is no rule, property or reason{nearest(word, known) or '; chat-sim explain lists all of them'}"
        )
    return folded[word.casefold()]


def _places(name: str) -> Iterator[tuple[str, list[str]]]:
    """Where else the name is written: headings, and what stands below each."""
    if name in set(Rule):
        rule = Rule(name)
        yield "steps", [f"{table.machine}: {state} --{event}--> {row.to}" for table in TABLES.values()
                        for (state, event), row in table.rows.items() if row.rule is rule]  # fmt: skip
        yield "constants", [f"{constant} = {getattr(limits, constant)}: {each.help}"
                            for constant, each in CONSTANTS.items() if each.rule is rule]  # fmt: skip
        yield "properties", [str(each) for each in Property if rule in CLAIMS[each].rules]
        yield "scenarios", [path.stem for path in included().values()
                            if any(name in listed for listed in COVERS.findall(path.read_text("utf-8")))]  # fmt: skip
    elif name in set(OwnRule):
        own = OwnRule(name)
        yield "steps", [f"{table.machine}: {state} --{event}--> {row.to}" for table in (LEASE, OWNERSHIP)
                        for (state, event), row in table.rows.items() if str(row.rule) == name]  # fmt: skip
        yield "properties", [str(each) for each in Property if own in CLAIMS[each].rules]
    elif name in set(Property):
        yield "follows from", [f"{rule}  {sentence_of(rule)}" for rule in CLAIMS[Property(name)].rules]
    elif name in set(Reason):
        yield "rule", [f"{Rule.TCP_2}  {SENTENCES[Rule.TCP_2]}"]


def _print(console: Console, heading: str, lines: list[str]) -> None:
    if lines:
        console.print(Text(f"  {heading}", "dim"))
    for line in lines:
        console.print(Text(f"    {line}"))
