"""The script: who does what and when, and the rows of `script:` that say it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

from msgspec.structs import replace

from tcrp.sim.scenario.cast import NETWORK, SERVER, Cast
from tcrp.sim.scenario.errors import is_slip, nearest, one_of
from tcrp.sim.scenario.expectations import STATE_CLAIM
from tcrp.sim.scenario.kinds import DURATION, TRUTH, Kind, Scene, Schema, mapping_of, whole
from tcrp.sim.scenario.model import At, In, Step, User, When
from tcrp.sim.scenario.nodes import Value
from tcrp.sim.scenario.records import Field, Verb
from tcrp.sim.scenario.servers import BUCKET, no_server
from tcrp.sim.scenario.verbs import (
    ATTACKER_VERBS,
    BUCKET_VERBS,
    CLUSTER_VERBS,
    NETWORK_VERBS,
    SERVER_VERBS,
    USER_VERBS,
    companions,
    read_action,
    verb_of,
)

TIMES_MAX = 1_000_000
WHEN_FIELDS = (
    Field("at", DURATION, "From the start of the run.", "{at: 2s, alice: leave}"),
    Field("in", DURATION, "After the step before it in the file.", "{in: 5ms, alice: leave}"),
    Field("when", STATE_CLAIM, "As soon as a state is reached; if it never is, the run fails.",
          "{when: {room: lobby, state: closing}, alice: leave}"),
    Field("every", DURATION, "Repeats the step, first at `at` if it is given, else after one period.",
          '{every: 1s, times: 5, bob: {say: "{n}"}}'),
    Field("times", whole(1, TIMES_MAX), "How often, with `every`.",
          '{at: 1s, every: 2s, times: 3, bob: {say: "{n}"}}'),
)  # fmt: skip
ALLOW_INVALID = Field("allow_invalid", TRUTH, "Lets names and texts through that the protocol forbids.",
                      '{at: 0s, alice: {create: ""}, allow_invalid: true}')  # fmt: skip
STEP_FIELDS = (*WHEN_FIELDS, ALLOW_INVALID)


def step_words() -> list[str]:
    """The words of a row beside the actor."""
    return [*(each.word for each in STEP_FIELDS), *companions()]


class Script(Kind[tuple[Step, ...]]):
    """The rows of `script:`. A crowd's row becomes one step for each of its members."""

    def read(self, value: Value, scene: Scene) -> tuple[Step, ...]:
        rows = value.items()
        steps = [step for number, row in enumerate(rows) for step in _read_row(number, row, scene)]
        # When they are taken is read last: `when:` may name rooms that only later steps speak of.
        whens = [_read_when(row, scene) for row in rows]
        return numbered((replace(step, when=whens[step.row]) for step in steps), [step.row for step in steps])

    def shape(self) -> Schema:
        properties = {word: each for field in STEP_FIELDS for word, each in field.properties().items()}
        for field in companions().values():
            properties |= field.properties()
        properties |= {SERVER: _verbs_shape(SERVER_VERBS), NETWORK: _verbs_shape(NETWORK_VERBS)}
        users = {"anyOf": [_verbs_shape(USER_VERBS | ATTACKER_VERBS), _verbs_shape(SERVER_VERBS | CLUSTER_VERBS)]}
        return {"type": "array", "items": {"type": "object", "properties": properties, "additionalProperties": users}}

    def write(self, value: tuple[Step, ...]) -> Any:
        return [_write_row(step) for step in value]


def numbered(script: Iterable[Step], rows: list[int] | None = None) -> tuple[Step, ...]:
    """The steps with their identities and rows in a file that holds just these, in this order, each in its row.

    A step's identity says who does what and when, and of which content. It does not depend on other steps, except
    among steps that are the same in all of this: they are counted.
    """
    counts: dict[str, int] = {}
    steps = []
    for number, step in enumerate(script):
        id = _identity(step)
        nth = counts[id] = counts.get(id, 0) + 1
        row = number if rows is None else rows[number]
        steps.append(replace(step, id=id if nth == 1 else f"{id}#{nth}", row=row))
    return tuple(steps)


def _identity(step: Step) -> str:
    """Such as `bob.say@2s~1f0c`: the digits stand for the content, and for the state that is waited for."""
    row = _write_row(step)
    content = {word: each for word, each in row.items() if word not in ("at", "in", "every", "times")}
    match step.when:
        case At(at_us):
            when = DURATION.write(at_us)
        case In(after_us):
            when = f"+{DURATION.write(after_us)}"
        case When():
            when = "when"
    verb = verb_of(step.action).word
    name = f"{step.actor}.{verb}@{when}"
    if content == {step.actor: verb}:
        return name
    written = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return f"{name}~{blake2b(written.encode(), digest_size=2).hexdigest()}"


def actors_of(row: Value, cast: Cast) -> list[tuple[Value, str]]:
    """The users who act in a row: every key that is no word of the format."""
    return [(key, word) for key, word, _ in _actions_of(row, cast)]


def refuse_slips(script: Value, cast: Cast, declared: list[str]) -> None:
    """Fail where an actor is most likely a misspelt user: `bbo` says something, but only `bob` enters a room."""
    acting = [(key, id, action) for row in script.items() for key, id, action in _actions_of(row, cast)]
    entering = {id for _, id, action in acting if action.is_mapping and any(
                word in ("create", "join") for _, word, _ in action.entries())}  # fmt: skip
    for key, id, _ in acting:
        for other in () if id in declared else (*cast.crowds, *cast.users):
            if not is_slip(id, other):
                continue
            if id not in entering:
                key.fail(
                    f"{id!r} never creates or joins a room; did you mean {other!r}? Else declare: users: {{{id}: {{}}}}"
                )
            if other in declared and other not in {id for _, id, _ in acting}:
                key.fail(f"{id!r} is not declared, but {other!r} is and does nothing; did you mean {other!r}?")


def _actions_of(row: Value, cast: Cast) -> list[tuple[Value, str, Value]]:
    known = (*step_words(), *cast.machines, SERVER, NETWORK)
    return [(key, word, value) for key, word, value in row.entries() if word not in known]


def _read_row(number: int, row: Value, scene: Scene) -> Iterable[Step]:
    parts = {word: (key, value) for key, word, value in row.entries()}
    words = step_words()
    actors = [word for word in parts if word not in words]
    if len(actors) != 1:
        _fail_actors(row, parts, actors, words)
    allow_invalid = "allow_invalid" in parts and parts["allow_invalid"][1].boolean()
    beside = {word: parts[word][1] for word in companions() if word in parts}
    [actor] = actors
    key, value = parts[actor]
    if actor == SERVER and scene.cast.servers:
        no_server(key, scene.cast.servers)
    is_user = actor not in (*scene.cast.machines, NETWORK)
    users = [scene.cast.users[id] for id in scene.cast.members(key, actor)] if is_user else [User(actor, actor)]
    for user in users:
        verbs = {SERVER: SERVER_VERBS, NETWORK: NETWORK_VERBS}.get(actor, USER_VERBS)
        if not is_user and scene.cast.servers and actor != NETWORK:
            verbs = BUCKET_VERBS if actor == BUCKET else SERVER_VERBS | CLUSTER_VERBS
        if user.attacker:
            verbs = USER_VERBS | ATTACKER_VERBS
        own = Scene(scene.cast, allow_invalid, user.number, dict(beside))
        action = read_action(value, user.id, verbs, own)
        yield Step("", number, user.id, action, At(0), row.place, allow_invalid)


def _fail_actors(row: Value, parts: dict[str, tuple[Value, Value]], actors: list[str], words: list[str]) -> None:
    if not actors:
        row.fail("who acts in this step? expected is a user, `server` or `network`")
    for actor in actors:
        if hint := nearest(actor, words):
            parts[actor][0].fail(f"unknown key {actor!r}; expected is one of {one_of(words)}{hint}")
    parts[actors[1]][0].fail(f"one actor takes a step, but here are {' and '.join(actors)}; write two steps")


def _read_when(row: Value, scene: Scene) -> At | In | When:
    values = {word: value for _, word, value in row.entries() if word in {each.word for each in WHEN_FIELDS}}
    given = [word for word in ("at", "in", "when") if word in values]
    if len(given) > 1:
        values[given[1]].fail(f"only one of at, in and when is possible; {given[0]} stands there already")
    if ("every" in values) != ("times" in values):
        row.fail("every and times go together: every: 1s, times: 10")
    if "every" in values and given not in ([], ["at"]):
        row.fail(f"every goes with at, or stands alone; not with {given[0]}")
    if not values:
        row.fail("when is this step taken? expected is one of at, in, when, every")
    parts = {each.word: each.read(values, row, scene) for each in WHEN_FIELDS if each.word in values}
    if "in" in parts:
        return In(parts["in"])
    if "when" in parts:
        return When(parts["when"])
    every_us = parts.get("every", 0)
    return At(parts.get("at", every_us), every_us, parts.get("times", 1))


def _write_row(step: Step) -> dict[str, Any]:
    row: dict[str, Any] = {}
    match step.when:
        case At(at_us, every_us, times):
            row["at"] = DURATION.write(at_us)
            if times > 1:
                row["every"], row["times"] = DURATION.write(every_us), times
        case In(after_us):
            row["in"] = DURATION.write(after_us)
        case When(state):
            row["when"] = STATE_CLAIM.write(state)
    verb = verb_of(step.action)
    words, beside = verb.write_parts(step.action)
    row[step.actor] = verb.word if words == {} else {verb.word: words}
    return row | beside | ({"allow_invalid": True} if step.allow_invalid else {})


def _verbs_shape(verbs: dict[str, Verb]) -> Schema:
    """One verb and the words beside it, or the word of one that needs no more."""
    beside = {word: each for verb in verbs.values() for field in verb.fields if field.is_beside
              for word, each in field.properties().items()}  # fmt: skip
    properties = {word: {**verb.schema(), "description": verb.meaning} for word, verb in verbs.items()}
    mapping = mapping_of({**properties, **beside})
    mapping |= {"minProperties": 1} if beside else {"minProperties": 1, "maxProperties": 1}
    alone = [word for word, verb in verbs.items() if verb.may_stand_alone]
    return {"oneOf": [{"enum": alone}, mapping]} if alone else mapping
