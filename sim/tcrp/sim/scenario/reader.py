"""From a YAML file to a `Scenario`. Strict: what is not understood is an error that says where and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tcrp.sim.scenario.actions import (
    ATTACKER_VERBS,
    COMPANIONS,
    NETWORK_VERBS,
    SERVER_VERBS,
    USER_VERBS,
    Scene,
    read_action,
)
from tcrp.sim.scenario.cast import NETWORK, SERVER, Cast
from tcrp.sim.scenario.errors import nearest, one_of
from tcrp.sim.scenario.expectations import read_expectations, read_state_claim
from tcrp.sim.scenario.links import read_network
from tcrp.sim.scenario.model import At, In, LeaveOut, NetworkSettings, Scenario, Step, User, When
from tcrp.sim.scenario.nodes import Value, compose, read_text
from tcrp.sim.scenario.scalars import duration_us
from tcrp.spec.dialects import NAMES
from tcrp.spec.limits import SETTINGS, Limits, parse_setting
from tcrp.spec.names import Property, Rule

KEYS = ("claim", "covers", "seed", "until", "server", "users", "network", "script", "expect", "leave_out")
WHEN_KEYS = ("at", "in", "when", "every", "times")
STEP_KEYS = (*WHEN_KEYS, "allow_invalid", *COMPANIONS)
TIMES_MAX = 1_000_000
SEED_MAX = 2**63 - 1


def read_scenario(path: str | Path) -> Scenario:
    """Read a scenario's file. Raises `ScenarioError`."""
    return read_scenario_text(read_text(Path(path), str(path)), str(path))


def read_scenario_text(source: str, path: str = "scenario") -> Scenario:
    """Read a scenario. `path` is how errors and reports call it. Raises `ScenarioError`."""
    root = compose(source, path)
    parts = root.mapping(KEYS, required=("claim",))
    cast = Cast()
    for key, id, value in parts["users"].entries() if "users" in parts else ():
        cast.declare(key, id, value)
    rows = parts["script"].items() if "script" in parts else []
    for row in rows:
        row.name = "step"
        for key, id in _actors(row):
            cast.appear(key, id)
    network = read_network(parts["network"], cast) if "network" in parts else NetworkSettings()
    limits, server_dialect = _server(parts["server"]) if "server" in parts else (Limits(), "auto")
    script = _script(rows, cast)
    until_us = duration_us(parts["until"]) if "until" in parts else None
    expected = parts["expect"].items() if "expect" in parts else []
    return Scenario(
        path=path,
        claim=_claim(parts["claim"]),
        covers=tuple(Rule(each.word(Rule)) for each in parts["covers"].items()) if "covers" in parts else (),
        seed=parts["seed"].integer(0, SEED_MAX) if "seed" in parts else 0,
        until_us=until_us,
        limits=limits,
        server_dialect=server_dialect,
        users=tuple(cast.users.values()),
        network=network,
        script=script,
        expect=tuple(read_expectations(expected, cast, until_us, source)),
        leave_out=tuple(_leave_out(parts["leave_out"])) if "leave_out" in parts else (),
    )


def _claim(value: Value) -> str:
    claim = value.string("a guest who leaves is not relayed to")
    if not claim.strip():
        value.fail("claim: one sentence is expected, which is true if the scenario holds")
    return " ".join(claim.split())


def _leave_out(value: Value) -> Iterable[LeaveOut]:
    for row in value.items():
        row.name = "leave_out"
        parts = row.mapping(("property", "reason"), required=("property", "reason"))
        reason = parts["reason"].string("the server is given a bug on purpose")
        if not reason.strip():
            parts["reason"].fail("reason: why is the property left out?")
        yield LeaveOut(parts["property"].word(Property), reason)


# --- server: -------------------------------------------------------------------------------------


def _server(value: Value) -> tuple[Limits, str]:
    parts = value.mapping((*SETTINGS, "dialect"))
    dialect = parts.pop("dialect").word(("auto", *NAMES)) if "dialect" in parts else "auto"
    settings: dict[str, int | str] = {}
    for name, each in parts.items():
        if not each.is_scalar:
            each.fail(f"{name}: a single value is expected, but this is {each.kind}")
        try:
            settings[name] = parse_setting(name, str(each.node.value))
        except ValueError as error:
            each.fail(str(error))
    return Limits().with_settings(settings), dialect


# --- script: -------------------------------------------------------------------------------------


def _actors(row: Value) -> list[tuple[Value, str]]:
    """The users who act in a row: whatever is no word of the format."""
    return [(key, word) for key, word, _ in row.entries() if word not in STEP_KEYS and word not in (SERVER, NETWORK)]


def _script(rows: list[Value], cast: Cast) -> tuple[Step, ...]:
    steps: list[Step] = []
    occurrences: dict[tuple[str, str], int] = {}
    for number, row in enumerate(rows):
        parts = {word: (key, value) for key, word, value in row.entries()}
        actors = [word for word in parts if word not in STEP_KEYS]
        if len(actors) != 1:
            _fail_actors(row, parts, actors)
        allow_invalid = "allow_invalid" in parts and parts["allow_invalid"][1].boolean()
        companions = {word: parts[word][1] for word in COMPANIONS if word in parts}
        key, value = parts[actors[0]]
        for user in _who(key, actors[0], cast):
            scene = Scene(cast, allow_invalid=allow_invalid, companions=dict(companions), number=user.number)
            verbs = NETWORK_VERBS if user.id == NETWORK else SERVER_VERBS if user.id == SERVER else USER_VERBS
            if user.attacker:
                verbs = USER_VERBS | ATTACKER_VERBS
            word, action = read_action(value, user.id, verbs, scene)
            nth = occurrences[user.id, word] = occurrences.get((user.id, word), 0) + 1
            steps.append(
                Step(
                    id=f"{user.id}.{word}#{nth}",
                    row=number,
                    actor=user.id,
                    action=action,
                    when=At(0),
                    place=row.place,
                    allow_invalid=allow_invalid,
                )
            )
    # When they are taken is read last: `when:` may speak of rooms that only later steps name.
    whens = [_when(row, cast) for row in rows]
    return tuple(replace(step, when=whens[step.row]) for step in steps)


def _fail_actors(row: Value, parts: dict[str, tuple[Value, Value]], actors: list[str]) -> None:
    if not actors:
        row.fail("who acts in this step? expected is a user, `server` or `network`")
    for actor in actors:
        if hint := nearest(actor, STEP_KEYS):
            parts[actor][0].fail(f"unknown key {actor!r}; expected is one of {one_of(STEP_KEYS)}{hint}")
    parts[actors[1]][0].fail(f"one actor takes a step, but here are {' and '.join(actors)}; write two steps")


def _who(key: Value, word: str, cast: Cast) -> list[User]:
    if word in (SERVER, NETWORK):
        return [User(id=word, name=word)]
    return [cast.users[id] for id in cast.members(key, word)]


def _when(row: Value, cast: Cast) -> At | In | When:
    parts = {word: value for _, word, value in row.entries() if word in WHEN_KEYS}
    given = [word for word in ("at", "in", "when") if word in parts]
    if len(given) > 1:
        parts[given[1]].fail(f"only one of at, in and when is possible; {given[0]} stands there already")
    if ("every" in parts) != ("times" in parts):
        row.fail("every and times go together: every: 1s, times: 10")
    if "every" in parts:
        if given not in ([], ["at"]):
            row.fail(f"every goes with at, or stands alone; not with {given[0]}")
        every_us = duration_us(parts["every"])
        times = parts["times"].integer(1, TIMES_MAX)
        return At(duration_us(parts["at"]) if "at" in parts else every_us, every_us, times)
    if not given:
        row.fail("when is this step taken? expected is one of at, in, when, every")
    if given[0] == "at":
        return At(duration_us(parts["at"]))
    if given[0] == "in":
        return In(duration_us(parts["in"]))
    return When(read_state_claim(parts["when"], cast))
