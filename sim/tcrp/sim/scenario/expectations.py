"""What is expected: the rows of `expect:`, each one claim or several about the same subject."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Literal
from typing import cast as typed

from tcrp.sim.scenario.cast import NETWORK, SERVER, Cast
from tcrp.sim.scenario.errors import nearest, one_of
from tcrp.sim.scenario.model import (
    Amount,
    Claim,
    Counters,
    Expectation,
    MachineIs,
    NeverSees,
    Packets,
    Records,
    Refused,
    Seen,
    Sees,
    SeesCount,
    SeesExactly,
    StateClaim,
    StateExpected,
    Told,
    UserIs,
    Window,
)
from tcrp.sim.scenario.nodes import Value
from tcrp.sim.scenario.scalars import amount, duration_us, text
from tcrp.spec.names import (
    Counter,
    HandshakeEvent,
    HandshakeState,
    Machine,
    Notice,
    PacketKind,
    Reason,
    RoomEvent,
    RoomState,
    Rule,
    SessionEvent,
    SessionState,
)

WINDOW_KEYS = ("by", "at", "between")
USER_CLAIMS = ("state", "sees", "sees_exactly", "never_sees", "told", "refused")
STATES: dict[Machine, type[StrEnum]] = {
    Machine.SESSION: SessionState,
    Machine.ROOM: RoomState,
    Machine.HANDSHAKE: HandshakeState,
}
EVENTS: dict[Machine, type[StrEnum]] = {
    Machine.SESSION: SessionEvent,
    Machine.ROOM: RoomEvent,
    Machine.HANDSHAKE: HandshakeEvent,
}
STEP_KEYS = ("machine", "id", "event", "from", "to", "rule", "why", "actor")
DROP_KEYS = ("proto", "link", "packet", "what", "why", "rule", "actor")
RECORD_KEYS = {"step": STEP_KEYS, "refuse": tuple(key for key in STEP_KEYS if key != "to"), "drop": DROP_KEYS}
AT_LEAST_ONCE = Amount(1, None)
SUBJECTS = ("a user", SERVER, *Machine, *RECORD_KEYS, "packets")


def read_expectations(rows: Iterable[Value], cast: Cast, until_us: int | None, source: str) -> list[Expectation]:
    """The rows of `expect:`."""
    result: list[Expectation] = []
    for row in rows:
        row.name = "expectation"
        parts = {word: (key, value) for key, word, value in row.entries()}
        window = _window(row, parts, until_us)
        shown = _as_written(row, source)
        result += [Expectation(claim, window, shown, row.place) for claim in _claims(row, parts, cast)]
    return result


def _as_written(row: Value, source: str) -> str:
    written = source[row.node.start_mark.index : row.node.end_mark.index]
    return " ".join(written.split())


def _window(row: Value, parts: dict[str, tuple[Value, Value]], until_us: int | None) -> Window:
    given = [word for word in WINDOW_KEYS if word in parts]
    if len(given) > 1:
        parts[given[1]][0].fail(f"only one of by, at and between is possible; {given[0]} stands there already")
    by, at, between = (parts.pop(word)[1] if word in parts else None for word in WINDOW_KEYS)
    span: tuple[int, int] | None = None
    if between is not None:
        ends = between.items()
        if len(ends) != 2:
            between.fail(f"between: two moments are expected, such as [1s, 2s], but there are {len(ends)}")
        span = duration_us(ends[0]), duration_us(ends[1])
        if span[1] < span[0]:
            between.fail("between: the span ends before it begins")
    window = Window(duration_us(by) if by else None, duration_us(at) if at else None, span)
    latest = max(window.by_us or 0, window.at_us or 0, span[1] if span else 0)
    if until_us is not None and latest > until_us:
        (by or at or between or row).fail("this is later than `until`, when the run ends")
    return window


def _claims(row: Value, parts: dict[str, tuple[Value, Value]], cast: Cast) -> list[Claim]:
    for machine in Machine:
        if machine in parts:
            return [StateExpected(_state_of(row, machine, parts, cast))]
    kinds: tuple[Literal["step", "refuse", "drop"], ...] = ("step", "refuse", "drop")
    for kind in kinds:
        if kind in parts:
            return [_records(kind, parts, cast)]
    if "packets" in parts:
        return [_packets(parts, cast)]
    if SERVER in parts:
        return [_counters(parts)]
    if len(parts) != 1:
        subjects = [word for word in parts if word in cast.users or word in cast.crowds]
        strangers = [word for word in parts if word not in subjects]
        if subjects and strangers:
            parts[strangers[0]][0].fail(
                f"{strangers[0]!r} does not go with an expectation of {subjects[0]}; expected is one of "
                f"{', '.join(WINDOW_KEYS)}{nearest(strangers[0], WINDOW_KEYS)}"
            )
        row.fail(f"one expectation has one subject: {one_of(SUBJECTS)}")
    [(word, (key, value))] = parts.items()
    claims: list[Claim] = []
    for user in cast.members(key, word):
        claims += _claims_of_user(value, user, cast)
    return claims


# --- users -------------------------------------------------------------------------------------


def _claims_of_user(value: Value, user: str, cast: Cast) -> list[Claim]:
    parts = value.mapping(USER_CLAIMS)
    if not parts:
        value.fail(f"what is expected of {user}? one of {', '.join(USER_CLAIMS)}")
    readers: dict[str, Callable[[Value, str, Cast], Claim]] = {
        "state": lambda each, id, _: StateExpected(UserIs(id, SessionState(each.word(SessionState)))),
        "sees": _sees,
        "sees_exactly": lambda each, id, people: SeesExactly(id, _relays(each, id, people)),
        "never_sees": lambda each, id, people: NeverSees(id, _relays(each, id, people)),
        "told": _told,
        "refused": lambda each, id, _: Refused(id, Reason(each.word(Reason))),
    }
    return [readers[word](each, user, cast) for word, each in parts.items()]


def _sees(value: Value, user: str, cast: Cast) -> Claim:
    if value.is_mapping and any(word == "count" for _, word, _ in value.entries()):
        return SeesCount(user, amount(value.mapping(("count",))["count"]))
    return Sees(user, _relays(value, user, cast))


def _relays(value: Value, user: str, cast: Cast) -> tuple[Seen, ...]:
    items = value.items() if value.is_list else [value]
    return tuple(_relay(each, user, cast) for each in items)


def _relay(value: Value, user: str, cast: Cast) -> Seen:
    number = str(cast.users[user].number) if cast.users[user].number else "{i}"
    if value.is_mapping and any(word in ("from", "text") for _, word, _ in value.entries()):
        parts = value.mapping(("from", "text"), required=("text",))
        name = parts["from"].string("bob").replace("{i}", number) if "from" in parts else None
        names = cast.chat_names()
        if name is not None and name not in names:
            parts["from"].fail(f"nobody calls himself {name!r}{nearest(name, names)}")
        return Seen(text(parts["text"], allow_invalid=True, sent=False).replace("{i}", number), name)
    return Seen(text(value, allow_invalid=True, sent=False).replace("{i}", number))


def _told(value: Value, user: str, _cast: Cast) -> Claim:
    items = value.items() if value.is_list else [value]
    return Told(user, tuple(Notice(each.word(Notice)) for each in items))


# --- states ------------------------------------------------------------------------------------


def _state_of(row: Value, machine: Machine, parts: dict[str, tuple[Value, Value]], cast: Cast) -> StateClaim:
    values = _only(parts, (machine, "state"))
    if "state" not in values:
        row.fail(f"which state is expected of the {machine}? `state:` is missing")
    return MachineIs(machine, machine_id(machine, values[machine], cast), _state(machine, values["state"]))


def machine_id(machine: Machine, value: Value, cast: Cast) -> str:
    """How the server's machine is called: `bob@lobby`, a room, a user."""
    if machine is Machine.SESSION:
        return cast.session_id(value)
    if machine is Machine.ROOM:
        return cast.room(value)
    return cast.user(value)


def _state(machine: Machine, value: Value) -> SessionState | RoomState | HandshakeState:
    word = value.word(STATES[machine])
    return typed(SessionState | RoomState | HandshakeState, STATES[machine](word))


def read_state_claim(value: Value, cast: Cast) -> StateClaim:
    """The state that a step waits for: `{alice: in-room}`, `{room: lobby, state: closing}`, …"""
    parts = {word: (key, each) for key, word, each in value.entries()}
    for machine in Machine:
        if machine in parts:
            return _state_of(value, machine, parts, cast)
    if len(parts) != 1:
        value.fail("one state is waited for, such as {alice: in-room} or {room: lobby, state: closing}")
    [(word, (key, each))] = parts.items()
    members = cast.members(key, word)
    if len(members) > 1:
        key.fail(f"{word} is a crowd; wait for one of its members, such as {members[0]}")
    return UserIs(members[0], SessionState(each.word(SessionState)))


# --- records, packets, counters ------------------------------------------------------------------


def _records(kind: Literal["step", "refuse", "drop"], parts: dict[str, tuple[Value, Value]], cast: Cast) -> Records:
    values = _only(parts, (kind, "count"))
    wanted = values[kind].mapping(RECORD_KEYS[kind])
    machine = Machine(wanted["machine"].word(Machine)) if "machine" in wanted else None
    fields = tuple((key, _field(key, each, machine, cast)) for key, each in wanted.items())
    return Records(kind, fields, amount(values["count"]) if "count" in values else AT_LEAST_ONCE)


def _field(key: str, value: Value, machine: Machine | None, cast: Cast) -> str:
    machines = (machine,) if machine is not None else tuple(Machine)
    match key:
        case "machine":
            return value.word(Machine)
        case "event":
            return value.word(dict.fromkeys(str(event) for each in machines for event in EVENTS[each]))
        case "from" | "to":
            return value.word(dict.fromkeys(str(state) for each in machines for state in STATES[each]))
        case "rule":
            return value.word(Rule)
        case "what":
            return value.word(PacketKind)
        case "proto":
            return value.word(("tcp", "udp"))
        case "actor":
            return value.word((SERVER, NETWORK, *cast.users))
        case _:
            return value.string()


def _packets(parts: dict[str, tuple[Value, Value]], cast: Cast) -> Packets:
    values = _only(parts, ("packets", "count", "bytes"))
    wanted = values["packets"].mapping(("what", "from", "to"))
    ends = (SERVER, *cast.users)
    return Packets(
        what=wanted["what"].word(PacketKind) if "what" in wanted else None,
        source=wanted["from"].word(ends) if "from" in wanted else None,
        target=wanted["to"].word(ends) if "to" in wanted else None,
        count=amount(values["count"]) if "count" in values else None,
        bytes=amount(values["bytes"]) if "bytes" in values else None,
    )


def _counters(parts: dict[str, tuple[Value, Value]]) -> Counters:
    values = _only(parts, (SERVER,))
    counts = values[SERVER].mapping(Counter)
    if not counts:
        values[SERVER].fail(f"which counter? one of {one_of(Counter)}")
    return Counters(tuple((name, amount(each)) for name, each in counts.items()))


def _only(parts: dict[str, tuple[Value, Value]], known: tuple[str, ...]) -> dict[str, Value]:
    for word, (key, _) in parts.items():
        if word not in known:
            key.fail(f"{word!r} does not go with {known[0]!r} here; expected is one of "
                     f"{one_of((*known, *WINDOW_KEYS))}{nearest(word, (*known, *WINDOW_KEYS))}")  # fmt: skip
    return {word: value for word, (_, value) in parts.items()}
