"""What is expected: the rows of `expect:`, each one claim or several about the same subject.

What a user's name stands before is the view of that user's client; sessions, rooms, handshakes and counters
are the server's, and do not hold while it is down: it has no view then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Literal

from msgspec.structs import astuple

from tcrp.sim.scenario import model
from tcrp.sim.scenario.cast import SERVER, Cast
from tcrp.sim.scenario.errors import nearest, one_of
from tcrp.sim.scenario.kinds import (
    ACTOR,
    AMOUNT,
    CHAT_NAME,
    DURATION,
    KNOWN_ROOM,
    LISTENER,
    PACKET_END,
    SESSION_ID,
    SHOWN_TEXT,
    USER,
    WRITTEN,
    Kind,
    ListOf,
    Scene,
    Schema,
    Simple,
    Word,
    define,
    mapping_of,
)
from tcrp.sim.scenario.nodes import Value
from tcrp.sim.scenario.records import Field, Record, defaults_of
from tcrp.spec import names
from tcrp.spec.cluster_names import (
    AnyMachine,
    ClusterMachine,
    LeaseEvent,
    LeaseState,
    OwnershipEvent,
    OwnershipState,
    OwnRule,
)
from tcrp.spec.names import Machine

TOLD = (*map(str, names.Notice), *map(str, names.ClientFinding))
STATES: dict[AnyMachine, type[StrEnum]] = {
    Machine.SESSION: names.SessionState, Machine.ROOM: names.RoomState, Machine.HANDSHAKE: names.HandshakeState,
}  # fmt: skip
EVENTS: dict[AnyMachine, type[StrEnum]] = {
    Machine.SESSION: names.SessionEvent, Machine.ROOM: names.RoomEvent, Machine.HANDSHAKE: names.HandshakeEvent,
}  # fmt: skip
ALL_STATES = STATES | {ClusterMachine.LEASE: LeaseState, ClusterMachine.OWNERSHIP: OwnershipState}
ALL_EVENTS = EVENTS | {ClusterMachine.LEASE: LeaseEvent, ClusterMachine.OWNERSHIP: OwnershipEvent}
STEP_KEYS = ("machine", "id", "event", "from", "to", "rule", "why", "actor", "listener")
NETWORK_DROPS = ("loss", "cut", "mtu", "queue", "fate", "nobody there", "server down", "no session", "earlier life")
DROP_REASONS = {
    "loss": "The network lost it, by the link's `loss`.",
    "cut": "The link was cut.",
    "mtu": "It was larger than the link's `mtu`.",
    "queue": "The queue of a link with a `rate` was full.",
    "fate": "The script said so, by `packet`.",
    "nobody there": "Nobody has the address that it was sent to.",
    "server down": "The server had crashed, or was stopped.",
    "no session": "The client had no session, or its machine was down.",
    "earlier life": "A server of a cluster: it was meant for the process before its restart.",
    "stale owner": "A server of a cluster: it is of an owner before the one that is known (R-OWN-4).",
    "too short": "The server: a datagram that ends before its room and token do.",
    "over 4096 bytes": "The server: a datagram larger than R-UDP-1 allows.",
    "no such token": "The server: it never gave this token, or has forgotten it.",
    "the token has ended": "The server: the token's session has ended.",
    "from another address": "The server: the token was given to another IP address.",
    "by another listener": "The server: the token was granted by another of its listeners.",
    "wrong room": "The server: the token is of another room.",
    "not a text": "The server: it is no text of the sender's dialect.",
    "texts_per_second_max": "The server: the sender's texts exceed this limit.",
    "too long": "The server: the relay does not fit into the receiver's form.",
    "reads as a notice": "The server: the receiver's client would take the relay for a notice.",
    "too many before the completion": "The client: it keeps only so many datagrams that overtake the completion.",
    "not of this dialect": "The client: its dialect cannot read it.",
    "the session has ended": "The client: it came after the end of the session.",
}
"""Why a packet is dropped, as traces write it, and what that means."""
MEANINGS = {
    "machine": "The kind of machine.", "id": "The session, room or handshake, as the trace names it.",
    "event": "What the machine was told.", "from": "The state before.", "to": "The state after.",
    "rule": "The rule of PROTOCOL.md.", "why": "The reason, as the trace has it.", "actor": "Who wrote the record.",
    "proto": "The protocol.", "link": "The ends of the link, as `from>to`.", "packet": "The packet's identity.",
    "what": "The packet's kind.", "listener": "The server's listener: of a session or handshake, or of a drop.",
}  # fmt: skip
RECORD_KEYS = {
    "step": STEP_KEYS,
    "refuse": tuple(key for key in STEP_KEYS if key not in ("to", "listener")),
    "drop": ("proto", "link", "packet", "what", "why", "rule", "actor", "listener"),
}


def _between(value: Value, scene: Scene) -> tuple[int, int]:
    ends = [DURATION.read(each, scene) for each in value.items()]
    if len(ends) != 2:
        value.fail(f"between: two moments are expected, such as [1s, 2s], but there are {len(ends)}")
    if ends[1] < ends[0]:
        value.fail("between: the span ends before it begins")
    return ends[0], ends[1]


class Relay(Record[model.Seen]):
    """A text, or `{from: NAME, text: TEXT}`. A text can be a mapping too, so the keys decide."""

    def parts(self, value: Value) -> dict[str, Value]:
        is_whole = value.is_mapping and any(word in self.keys for _, word, _ in value.entries())
        return value.mapping(self.keys, ("text",)) if is_whole else {"text": value}


def _sees(value: Value, scene: Scene) -> Any:
    """Relays, or `{count: AMOUNT}`."""
    if value.is_mapping and any(word == "count" for _, word, _ in value.entries()):
        return AMOUNT.read(value.mapping(("count",))["count"], scene)
    return RELAYS.read(value, scene)


def _counts(value: Value, scene: Scene) -> tuple[tuple[str, model.Amount], ...]:
    counts = value.mapping(names.Counter)
    if not counts:
        value.fail(f"which counter? one of {one_of(names.Counter)}")
    return tuple((name, AMOUNT.read(each, scene)) for name, each in counts.items())


class TraceFields(Kind[tuple[tuple[str, str], ...]]):
    """Fields of a record of the trace and their values as written there. A machine limits events and states."""

    def __init__(self, keys: tuple[str, ...], why: Kind[Any] = WRITTEN) -> None:
        self.keys, self.why = keys, why

    def kind_of(self, key: str, machines: Iterable[AnyMachine] = tuple(ALL_STATES)) -> Kind[Any]:
        match key:
            case "event":
                return Word([event for each in machines for event in ALL_EVENTS[each]])
            case "from" | "to":
                return Word([state for each in machines for state in ALL_STATES[each]])
        kinds: dict[str, Kind[Any]] = {"machine": Word(tuple(ALL_STATES)), "rule": Word((*names.Rule, *OwnRule)),
                                       "actor": ACTOR, "what": Word(names.PacketKind), "proto": Word(("tcp", "udp")),
                                       "why": self.why, "listener": LISTENER}  # fmt: skip
        return kinds.get(key, WRITTEN)

    def read(self, value: Value, scene: Scene) -> tuple[tuple[str, str], ...]:
        wanted = value.mapping(self.keys)
        machines: Iterable[AnyMachine] = ALL_STATES
        if "machine" in wanted:
            word = wanted["machine"].word(ALL_STATES)
            machines = [each for each in ALL_STATES if each == word]
        return tuple((key, str(self.kind_of(key, machines).read(each, scene))) for key, each in wanted.items())

    def shape(self) -> Schema:
        return mapping_of({key: {**self.kind_of(key).schema(), "description": MEANINGS[key]} for key in self.keys})

    def write(self, value: tuple[tuple[str, str], ...]) -> Any:
        return dict(value)


@dataclass(frozen=True, slots=True)
class UserClaim(Field):
    """What is expected of a user: the claim that `make` gives of the user and the value."""

    make: Callable[[str, Any], model.Claim] = model.NeverSees


RELAY = define(
    "relay", Relay(model.Seen, Field("from", CHAT_NAME, into="name"), Field("text", SHOWN_TEXT, is_bare=True)),
    "A text as it is shown, without the dialect's prefix, and who said it.", '{from: bob, text: "hello"}',
)  # fmt: skip
RELAYS = define("relays", ListOf(RELAY, or_one=True), "One relay or several.", '["a", {from: bob, text: "b"}]')
SEEN = Simple(_sees, {"anyOf": [RELAYS.schema(), mapping_of({"count": AMOUNT.schema()}, ["count"])]}, lambda seen: (
              {"count": AMOUNT.write(seen)} if isinstance(seen, model.Amount) else RELAYS.write(seen)))  # fmt: skip
MOMENTS = Simple(_between, {"type": "array", "items": DURATION.schema(), "minItems": 2, "maxItems": 2},
                 lambda ends: [DURATION.write(each) for each in ends])  # fmt: skip
WINDOW = Record(
    model.Window,
    Field("by", DURATION, "It has happened by that moment.", "{bob: {state: expired}, by: 8s}", into="by_us"),
    Field("at", DURATION, "It holds at that moment.", "{bob: {state: in-room}, at: 2s}", into="at_us"),
    Field("between", MOMENTS, "It happens in that span.", "{bob: {state: expired}, between: [1s, 2s]}",
          into="between_us"),
)  # fmt: skip
_USER_CLAIMS = (
    UserClaim("state", Word(names.SessionState), "The client's view: the state of its own, latest "
              "session. A client that crashed has none and is anonymous.",
              "{bob: {state: expired}}", make=lambda user, state: model.StateExpected(model.UserIs(user, state))),
    UserClaim("sees", SEEN, "The client's view: these relays were shown in this order, with others between "
              "them or not; or how many were shown. No notices.", '{bob: {sees: ["a", {from: alice, text: "b"}]}}',
              make=lambda user, seen: (model.SeesCount if isinstance(seen, model.Amount) else model.Sees)(user, seen)),
    UserClaim("sees_exactly", RELAYS, "These relays were shown and no others.", '{bob: {sees_exactly: ["a", "b"]}}',
              make=model.SeesExactly),
    UserClaim("never_sees", RELAYS, "None of these relays was shown.", '{bob: {never_sees: ["a"]}}',
              make=model.NeverSees),
    UserClaim("told", ListOf(Word(TOLD), or_one=True), "The client was told these notices. `server_silent` is its "
              "own finding: the server has stopped answering its keep-alives.",
              "{bob: {told: [left, room_closed]}}", make=model.Told),
    UserClaim("refused", Word(names.Reason), "The server's view: it refused the client's latest request for that "
              "reason.", "{bob: {refused: name_taken}}", make=model.Refused),
)  # fmt: skip
USER_CLAIMS: Record[Any] = Record(
    dict, *_USER_CLAIMS, if_empty="at least one claim is expected", defaults={each.word: None for each in _USER_CLAIMS}
)


def _machine(machine: Machine, kind: Kind[str], meaning: str, example: str) -> Record[model.MachineIs]:
    return Record(
        partial(model.MachineIs, machine), Field(str(machine), kind, meaning, example, into="id"),
        Field("state", Word(STATES[machine]), f"The state that the {machine} is in.", into="state",
              if_missing=f"which state is expected of the {machine}? `state:` is missing"),
    )  # fmt: skip


def _records(kind: Literal["step", "refuse", "drop"], meaning: str, example: str) -> Record[model.Records]:
    why = Word(tuple(DROP_REASONS)) if kind == "drop" else WRITTEN
    fields = Field(kind, TraceFields(RECORD_KEYS[kind], why), meaning, example, into="fields")
    return Record(partial(model.Records, kind), fields, COUNT)


COUNTS = Simple(_counts, {**mapping_of({str(each): AMOUNT.schema() for each in names.Counter}), "minProperties": 1},
                lambda counts: {name: AMOUNT.write(each) for name, each in counts})  # fmt: skip
COUNT = Field("count", AMOUNT, "How many there are; without it, at least one.")
CLAIMS: dict[str, Record[Any]] = {
    Machine.SESSION: _machine(Machine.SESSION, SESSION_ID, "The server's view: the state of its latest session "
                              "of that name. It has no view while it is down.",
                              "{session: bob@lobby, state: expired}"),
    Machine.ROOM: _machine(Machine.ROOM, KNOWN_ROOM, "The server's view: the state of its latest room of that name. "
                           "It has no view while it is down.",
                           "{room: lobby, state: closed}"),
    Machine.HANDSHAKE: _machine(Machine.HANDSHAKE, USER, "The server's view: the state of its latest handshake "
                                "with a user. It has no view while it is down.",
                                "{handshake: bob, state: completed}"),
    "step": _records("step", "The trace has such steps of machines: the server's, unless `actor` says otherwise.",
                     "{step: {machine: session, id: bob@lobby, event: left}, count: 1}"),
    "refuse": _records("refuse", "The trace has such refusals: the server's, unless `actor` says otherwise.",
                       "{refuse: {actor: bob}, count: 0}"),
    "drop": _records("drop", "The trace has such dropped packets, of any actor.", "{drop: {rule: R-TOK-3}}"),
    "packets": Record(
        model.Packets,
        Field("packets", Record(dict, Field("what", Word(names.PacketKind), "Their kind."),
                                Field("from", PACKET_END, "Who sent them.", into="source"),
                                Field("to", PACKET_END, "To whom.", into="target"),
                                defaults=defaults_of(model.Packets)),
              "Such packets were sent, by either side.",
              "{packets: {what: say, from: bob}, count: 1, bytes: 10..99}", into="*"),
        Field("count", AMOUNT, "How many there are."), Field("bytes", AMOUNT, "How many bytes they have together."),
    ),
    SERVER: Record(model.Counters, Field(SERVER, COUNTS, "The server's view: its counters have these values. "
                                              "While it is down it has no rooms, sessions and connections, and no "
                                              "other counter.",
                                         "{server: {rooms: 0, relays: 1..5}}", into="counts")),
}  # fmt: skip
SUBJECTS = ("a user", *CLAIMS)


def _state(value: Value, scene: Scene) -> model.StateClaim:
    parts = {word: (key, each) for key, word, each in value.entries()}
    for machine in Machine:
        if machine in parts:
            claim: model.StateClaim = CLAIMS[machine].from_parts(value, _only(parts, CLAIMS[machine]), scene)
            return claim
    if len(parts) != 1:
        value.fail("one state is waited for, such as {alice: in-room} or {room: lobby, state: closing}")
    [(word, (key, each))] = parts.items()
    members = scene.cast.members(key, word)
    if len(members) > 1:
        key.fail(f"{word} is a crowd; wait for one of its members, such as {members[0]}")
    return model.UserIs(members[0], names.SessionState(each.word(names.SessionState)))


def _write_state(state: model.StateClaim) -> Any:
    return CLAIMS[state.machine].write(state) if isinstance(state, model.MachineIs) else {state.user: str(state.state)}


def _rows(value: Value, scene: Scene) -> tuple[model.Expectation, ...]:
    result: list[model.Expectation] = []
    for row in value.items():
        row.name = "expectation"
        parts = {word: (key, value) for key, word, value in row.entries()}
        window = _window(row, parts, scene)
        written = " ".join(scene.source[row.node.start_mark.index : row.node.end_mark.index].split())
        result += [model.Expectation(claim, window, written, row.place) for claim in _claims(row, parts, scene)]
    return tuple(result)


def _window(row: Value, parts: dict[str, tuple[Value, Value]], scene: Scene) -> model.Window:
    given = [word for word in WINDOW.keys if word in parts]
    if len(given) > 1:
        parts[given[1]][0].fail(f"only one of by, at and between is possible; {given[0]} stands there already")
    values = {word: parts.pop(word)[1] for word in given}
    window = WINDOW.from_parts(row, values, scene)
    latest = max(window.by_us or 0, window.at_us or 0, *window.between_us or (0,))
    if scene.until_us is not None and latest > scene.until_us:
        next(iter(values.values())).fail("this is later than `until`, when the run ends")
    return window


def _claims(row: Value, parts: dict[str, tuple[Value, Value]], scene: Scene) -> list[model.Claim]:
    cast = scene.cast
    for subject, record in CLAIMS.items():
        if subject in parts:
            claim = record.from_parts(row, _only(parts, record), scene)
            return [model.StateExpected(claim) if isinstance(claim, model.MachineIs) else claim]
    if len(parts) != 1:
        subjects = [word for word in parts if word in cast.users or word in cast.crowds]
        strangers = [word for word in parts if word not in subjects]
        if subjects and strangers:
            parts[strangers[0]][0].fail(
                f"{strangers[0]!r} does not go with an expectation of {subjects[0]}; expected is one of "
                f"{', '.join(WINDOW.keys)}{nearest(strangers[0], WINDOW.keys)}"
            )
        row.fail(f"one expectation has one subject: {one_of(SUBJECTS)}")
    [(word, (key, value))] = parts.items()
    return [claim for user in cast.members(key, word) for claim in _claims_of_user(value, user, cast)]


def _claims_of_user(value: Value, user: str, cast: Cast) -> list[model.Claim]:
    parts = USER_CLAIMS.parts(value)
    given = USER_CLAIMS.from_parts(value, parts, Scene(cast, number=cast.users[user].number))
    makes = {each.word: each.make for each in _USER_CLAIMS}
    return [makes[word](user, given[word]) for word in parts]


def _only(parts: dict[str, tuple[Value, Value]], record: Record[Any]) -> dict[str, Value]:
    for word, (key, _) in parts.items():
        if word not in record.keys:
            known = (*record.keys, *WINDOW.keys)
            key.fail(f"{word!r} does not go with {record.keys[0]!r} here; expected is one of "
                     f"{one_of(known)}{nearest(word, known)}")  # fmt: skip
    return {word: value for word, (_, value) in parts.items()}


def _write_claim(claim: model.Claim) -> Any:
    match claim:
        case model.StateExpected(model.MachineIs() as state):
            return CLAIMS[state.machine].write(state)
        case model.Counters():
            return CLAIMS[SERVER].write(claim)
        case model.Packets():
            return CLAIMS["packets"].write(claim)
        case model.Records():
            return CLAIMS[claim.kind].write(claim)
        case _:  # of a user, and a value
            held = claim.claim if isinstance(claim, model.StateExpected) else claim
            user, value = astuple(held)
    return {user: next(each.write(value) for each in _USER_CLAIMS if each.make(user, value) == claim)}


_USER_STATE = {"type": "object", "additionalProperties": Word(names.SessionState).schema(), "minProperties": 1,
               "maxProperties": 1}  # fmt: skip
_MACHINE_STATES = [CLAIMS[each].schema() for each in Machine]
STATE_CLAIM = define("state_claim", Simple(_state, {"oneOf": [*_MACHINE_STATES, _USER_STATE]}, _write_state),
                     "A state of a user's client, or of a session, room or handshake of the server's.",
                     "{room: lobby, state: closing}")  # fmt: skip
_FIELDS = [each for record in (*reversed(CLAIMS.values()), WINDOW) for each in record.fields]
_ROW = {
    "type": "object",
    "properties": {word: schema for each in _FIELDS for word, schema in each.properties().items()}
    | {
        "state": {
            "enum": list(dict.fromkeys(str(state) for states in STATES.values() for state in states)),
            "description": "The state that the session, room or handshake is in.",
        }
    },
    "additionalProperties": USER_CLAIMS.schema(),
}
EXPECTATIONS = Simple(_rows, {"type": "array", "items": _ROW}, lambda rows: [
                      _write_claim(each.claim) | WINDOW.write(each.window) for each in rows])  # fmt: skip
