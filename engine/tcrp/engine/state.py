"""A server's state as a value: ids and plain data, and the way there and back.

What follows from the rest is not part of it (counts by address, who is where). Moments are counted
from the state's own, so that states that behave in the same way from here on are equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tcrp.engine.codec import Codec
from tcrp.engine.handshakes import Handshake, HandshakeServer
from tcrp.engine.outputs import Address, Forgotten, StreamId, Subject
from tcrp.engine.registry import SessionRegistry
from tcrp.engine.rooms import Ended, FanoutGroup, Room, Session, Window
from tcrp.engine.timers import TimerEntry
from tcrp.spec.limits import ANSWER_ENDED_EVERY_US, MINUTE_US, SECOND_US, TAKEOVERS_A_MINUTE_MAX
from tcrp.spec.names import Deadline, HandshakeState, Operation, RoomState, SessionState

Ages = tuple[int, ...]
"""How many microseconds ago each of some moments was, the oldest first."""


@dataclass(frozen=True, slots=True)
class FrozenSession:
    """A living session. Rooms by name, dialects by name, other sessions by token."""

    token: bytes
    name: str
    room: bytes
    dialect: str
    ip: str
    state: SessionState
    address: Address | None
    silent_us: int
    rejected_in_a_row: int
    texts: Ages
    supersedes: bytes | None
    asks_for_answers: bool
    listener: int


@dataclass(frozen=True, slots=True)
class FrozenRoom:
    """A room that is not closed. `members` and `fanout_groups` stand in the order of fan-out."""

    name: bytes
    password: str = field(repr=False)  # R-PASS-1
    owner_ip: str
    state: RoomState
    host: bytes | None
    host_has_entered: bool
    members: tuple[tuple[str, bytes], ...]
    fanout_groups: tuple[tuple[str, int, tuple[bytes, ...]], ...]  # dialect, listener, tokens
    takeovers: tuple[tuple[str, Ages], ...]
    wrong_passwords: tuple[tuple[str, Ages], ...]


@dataclass(frozen=True, slots=True)
class FrozenEnded:
    """A token that has ended and is remembered."""

    token: bytes
    name: str
    room: bytes
    dialect: str
    ip: str
    address: Address | None
    sentence: bytes | None
    ended_ago_us: int
    answered_ago_us: int | None
    times_told: int
    listener: int


@dataclass(frozen=True, slots=True)
class FrozenHandshake:
    """An open connection."""

    stream: StreamId
    name: str
    ip: str
    peer_port: int
    state: HandshakeState
    buffer: bytes
    operation: Operation
    room_name: bytes
    user_name: str
    dialect: str | None
    port: int | None
    asks_for_timeout: bool
    session: bytes | None
    is_finished: bool
    peer_ended: bool
    listener: int


@dataclass(frozen=True, slots=True)
class ServerState:
    """All that a server knows. `timers` hold every deadline but those of silence, which follow from `silent_us`."""

    sessions: tuple[FrozenSession, ...] = ()  # in the order of their grants
    rooms: tuple[FrozenRoom, ...] = ()  # in the order of their creation
    ended: tuple[FrozenEnded, ...] = ()
    handshakes: tuple[FrozenHandshake, ...] = ()
    timers: tuple[TimerEntry, ...] = ()
    is_stopping: bool = False


# --- there ---------------------------------------------------------------------------------------


def freeze(registry: SessionRegistry, handshake_server: HandshakeServer, now_us: int) -> ServerState:
    """The state at `now_us`."""
    return ServerState(
        sessions=tuple(_freeze_session(each, now_us) for each in registry.sessions.values()),
        rooms=tuple(_freeze_room(each, now_us) for each in registry.rooms.values()),
        ended=tuple(_freeze_ended(registry.ended[token], now_us) for token in sorted(registry.ended)),
        handshakes=tuple(
            _freeze_handshake(each)
            for each in sorted(handshake_server.handshakes.values(), key=lambda h: str(h.stream))
        ),
        timers=registry.timers.freeze(now_us),
        is_stopping=registry.is_stopping,
    )


def freeze_room(registry: SessionRegistry, handshake_server: HandshakeServer, room: Room, now_us: int) -> ServerState:
    """The same of one room alone."""
    sessions = _sessions_of(registry, room)
    tokens = {each.token for each in sessions}
    handshakes = [each for each in handshake_server.handshakes.values() if each.session in tokens]
    subjects: list[tuple[Deadline, Subject]] = [(Deadline.LINGER, room.name_bytes)]
    subjects += [(kind, token) for token in sorted(room.ended) for kind in (Deadline.NOTICE, Deadline.FORGET)]
    subjects += [
        (kind, each.stream) for each in handshakes for kind in (Deadline.HANDSHAKE, Deadline.COMPLETION, Deadline.QUIET)
    ]
    armed = [(registry.timers.when_us(*each), each) for each in subjects]
    return ServerState(
        sessions=tuple(_freeze_session(each, now_us) for each in sessions),
        rooms=(_freeze_room(room, now_us),),
        ended=tuple(_freeze_ended(room.ended[token], now_us) for token in sorted(room.ended)),
        handshakes=tuple(_freeze_handshake(each) for each in sorted(handshakes, key=lambda h: str(h.stream))),
        timers=tuple(
            TimerEntry(when_us - now_us, *each)
            for when_us, each in sorted(armed, key=lambda e: e[0] or 0)
            if when_us is not None
        ),
    )


def forget_room(registry: SessionRegistry, handshake_server: HandshakeServer, room: Room) -> None:
    """Take out what `freeze_room` gives, without a step of any machine."""
    sessions = _sessions_of(registry, room)
    tokens = {each.token for each in sessions}
    for handshake in [each for each in handshake_server.handshakes.values() if each.session in tokens]:
        handshake_server.forget(handshake)
    for token in sorted(room.ended):
        registry.forget(room.ended[token])
    for session in sessions:
        registry.take_out(session)
    registry.take_out_room(room)
    registry.outbox.observe(Forgotten(room.name_bytes))


def _sessions_of(registry: SessionRegistry, room: Room) -> list[Session]:
    """The living sessions of a room in the order of their grants, with those that others are about to supersede."""
    sessions = list(room.members.values())
    sessions += [old for each in sessions if (old := registry.superseded_by(each)) is not None]
    return sorted(sessions, key=lambda each: each.number)


def _freeze_session(session: Session, now_us: int) -> FrozenSession:
    return FrozenSession(
        token=session.token,
        name=session.name,
        room=session.room.name_bytes,
        dialect=session.codec.dialect.name,
        ip=session.ip,
        state=session.state,
        address=session.address,
        silent_us=now_us - session.last_heard_us,
        rejected_in_a_row=session.rejected_in_a_row,
        texts=session.texts.freeze(now_us) if session.texts is not None else (),
        supersedes=session.supersedes,
        asks_for_answers=session.asks_for_answers,
        listener=session.listener,
    )


def _freeze_room(room: Room, now_us: int) -> FrozenRoom:
    return FrozenRoom(
        name=room.name_bytes,
        password=room.password,
        owner_ip=room.owner_ip,
        state=room.state,
        host=room.host.token if room.host is not None else None,
        host_has_entered=room.host_has_entered,
        members=tuple((name, each.token) for name, each in room.members.items()),
        fanout_groups=tuple(
            (each.dialect.name, listener, tuple(member.token for member in group))
            for (each, listener), group in room.fanout_groups.items()
        ),
        takeovers=_freeze_windows(room.takeovers, now_us),
        wrong_passwords=_freeze_windows(room.wrong_passwords, now_us),
    )


def _freeze_windows(windows: dict[str, Window], now_us: int) -> tuple[tuple[str, Ages], ...]:
    frozen = ((key, windows[key].freeze(now_us)) for key in sorted(windows))
    return tuple((key, ages) for key, ages in frozen if ages)


def _freeze_ended(ended: Ended, now_us: int) -> FrozenEnded:
    answered_ago_us = now_us - ended.answered_us if ended.answered_us is not None else None
    if answered_ago_us is not None and answered_ago_us >= ANSWER_ENDED_EVERY_US:
        answered_ago_us = None  # it may be answered again: how long ago it was matters no more
    return FrozenEnded(
        token=ended.token,
        name=ended.name,
        room=ended.room.name_bytes,
        dialect=ended.codec.dialect.name,
        ip=ended.ip,
        address=ended.address,
        sentence=ended.sentence,
        ended_ago_us=now_us - ended.ended_us,
        answered_ago_us=answered_ago_us,
        times_told=ended.times_told,
        listener=ended.listener,
    )


def _freeze_handshake(handshake: Handshake) -> FrozenHandshake:
    return FrozenHandshake(
        stream=handshake.stream,
        name=handshake.name,
        ip=handshake.ip,
        peer_port=handshake.peer_port,
        state=handshake.state,
        buffer=(handshake.held_data if handshake.held is not None else b"") + bytes(handshake.buffer),
        operation=handshake.operation,
        room_name=handshake.room_name,
        user_name=handshake.user_name,
        dialect=handshake.codec.dialect.name if handshake.codec is not None else None,
        port=handshake.port,
        asks_for_timeout=handshake.asks_for_timeout,
        session=handshake.session,
        is_finished=handshake.is_finished,
        peer_ended=handshake.peer_ended,
        listener=handshake.listener,
    )


# --- and back ------------------------------------------------------------------------------------


def thaw(state: ServerState, registry: SessionRegistry, handshake_server: HandshakeServer, now_us: int) -> None:
    """Add `state`, whose moment is `now_us`, to a registry and a handshake server that hold nothing of it."""

    def speaks(name: str, listener: int) -> Codec:
        return handshake_server.listeners[listener].speaks(name)

    for frozen in state.rooms:
        room = registry.rooms[frozen.name] = Room(frozen.name, frozen.password, frozen.owner_ip)
        room.state, room.host_has_entered = frozen.state, frozen.host_has_entered
        room.takeovers = _thaw_windows(frozen.takeovers, TAKEOVERS_A_MINUTE_MAX, now_us)
        room.wrong_passwords = _thaw_windows(frozen.wrong_passwords, registry.limits.password_tries_max, now_us)
        registry.count_room(room)
    for number, each in enumerate(state.sessions, registry.granted):
        heard_us = now_us - each.silent_us
        session = Session(
            each.token, each.name, registry.rooms[each.room], speaks(each.dialect, each.listener), each.ip, heard_us,
            number, each.listener,
        )  # fmt: skip
        session.state, session.supersedes = each.state, each.supersedes
        session.rejected_in_a_row, session.asks_for_answers = each.rejected_in_a_row, each.asks_for_answers
        if each.texts:
            session.texts = Window(registry.limits.texts_per_second_max, SECOND_US).thaw(each.texts, now_us)
        registry.sessions[each.token] = session
        registry.sessions_per_ip.add(session.ip)
        if each.address is not None:
            registry.set_address(session, each.address)
        registry.expect_speech(session)
    registry.granted += len(state.sessions)
    for frozen in state.rooms:
        room = registry.rooms[frozen.name]
        room.host = registry.sessions[frozen.host] if frozen.host is not None else None
        room.members = {name: registry.sessions[token] for name, token in frozen.members}
        for dialect, listener, tokens in frozen.fanout_groups:
            form = speaks(dialect, listener), listener
            room.fanout_groups[form] = FanoutGroup(registry.sessions[token] for token in tokens)
    for gone in state.ended:
        room = registry.rooms[gone.room]
        ended = Ended(
            gone.token, gone.name, room, speaks(gone.dialect, gone.listener), gone.ip, gone.address, gone.sentence,
            gone.listener, now_us - gone.ended_ago_us,
            now_us - gone.answered_ago_us if gone.answered_ago_us is not None else None,
            gone.times_told,
        )  # fmt: skip
        registry.ended[gone.token] = room.ended[gone.token] = ended
    for open_one in state.handshakes:
        speaking = speaks(open_one.dialect, open_one.listener) if open_one.dialect else None
        handshake = _thaw_handshake(open_one, speaking)
        handshake_server.handshakes[open_one.stream] = handshake
        handshake_server.per_ip.add(handshake.ip)
    for timer in state.timers:
        registry.timers.arm(timer.kind, timer.subject, now_us + timer.when_us)
    registry.is_stopping = registry.is_stopping or state.is_stopping


def _thaw_windows(frozen: tuple[tuple[str, Ages], ...], most: int, now_us: int) -> dict[str, Window]:
    oldest_first = sorted(frozen, key=lambda each: -each[1][-1])  # as they are kept
    return {key: Window(most, MINUTE_US).thaw(ages, now_us) for key, ages in oldest_first}


def _thaw_handshake(frozen: FrozenHandshake, speaks: Codec | None) -> Handshake:
    handshake = Handshake(frozen.stream, frozen.name, frozen.ip, frozen.peer_port, frozen.listener)
    handshake.state = frozen.state
    handshake.buffer = bytearray(frozen.buffer)
    handshake.operation = frozen.operation
    handshake.room_name = frozen.room_name
    handshake.user_name = frozen.user_name
    handshake.codec = speaks
    handshake.port = frozen.port
    handshake.asks_for_timeout = frozen.asks_for_timeout
    handshake.session = frozen.session
    handshake.is_finished = frozen.is_finished
    handshake.peer_ended = frozen.peer_ended
    return handshake
