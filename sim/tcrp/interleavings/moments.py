"""Time without a clock: which deadline may come next, and what a state's moments are until then.

Every call of an engine is made at one moment, `NOW_US`. After it the moments in its state are *settled*: each becomes a
value that follows from how far its subject is (which repetition of a notice was the last, say), and not from when that
was. Before a deadline is let come, the state is made *ripe* for it: the moments of its subject become those of the
deadline, and nothing else is due. docs/explore.md says which orders of deadlines this leaves, and which ages are
dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from tcrp.engine.client import ClientState, enter_moments_us
from tcrp.engine.outputs import Subject
from tcrp.engine.state import FrozenEnded, FrozenRoom, FrozenSession, ServerState
from tcrp.engine.timers import TimerEntry
from tcrp.sim.reference.server import ReferenceServer
from tcrp.sim.reference.state import Session
from tcrp.spec.limits import ANSWER_ENDED_EVERY_US, LEAVE_AGAIN_AFTER_US, NOTICE_AGAIN_AFTER_US, Limits
from tcrp.spec.names import Deadline, HandshakeState, Machine, RoomState, SessionState

NOW_US = 10**12
NOTICES = len(NOTICE_AGAIN_AFTER_US)
ENTER_MOMENTS_US = enter_moments_us()
ANSWER = "answer"  # not an engine's deadline: an ended token may be answered again


class Due(NamedTuple):
    """Something that happens only by time: a deadline's kind, or `ANSWER`, and whose it is."""

    kind: str
    subject: Subject


RANKS: dict[str, int] = {
    Deadline.COMPLETION: 0,
    Deadline.ENTER: 1,
    Deadline.LEAVE: 1,
    Deadline.NOTICE: 1,
    ANSWER: 1,
    Deadline.FORGET: 2,
    Deadline.LINGER: 2,
    Deadline.HANDSHAKE: 2,
    Deadline.UNUSED: 3,
    Deadline.IDLE: 3,
}
"""How long deadlines are: at once, repeated after seconds, lingers, silences. To come before a shorter is a race."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What settled moments follow from."""

    limits: Limits
    repeats_max: int

    def silence_us(self, state: SessionState) -> int:
        """How much silence a session is allowed."""
        return self.limits.token_timeout if state is SessionState.TOKENED else self.limits.idle_timeout

    @property
    def told_at_us(self) -> list[int]:
        """When, after its end, a session is told, as far as the bounds go."""
        moments = [each for each in NOTICE_AGAIN_AFTER_US if not each or each < self.limits.linger]
        return moments[: self.repeats_max + 1]


# --- the server's engine ---------------------------------------------------------------------------


def settled(state: ServerState, pace: Pace) -> ServerState:
    """The state with the moments that follow from how far everything is; what has an order by name only, in that."""
    notices = {each.subject for each in state.timers if each.kind is Deadline.NOTICE}
    ended = tuple(_settled_ended(each, each.token in notices, pace) for each in state.ended)
    again = {each.token for each in ended if each.times_told < NOTICES}
    timers = [
        TimerEntry(_when_us(each, {gone.token: gone for gone in ended}, pace), each.kind, each.subject)
        for each in state.timers
        if each.kind is not Deadline.NOTICE or each.subject in again
    ]
    return replace(
        state,
        sessions=tuple(sorted((_settled_session(each, pace) for each in state.sessions), key=lambda each: each.token)),
        rooms=tuple(sorted((_settled_room(each) for each in state.rooms), key=lambda each: each.name)),
        ended=tuple(sorted(ended, key=lambda each: each.token)),
        handshakes=tuple(sorted(state.handshakes, key=lambda each: str(each.stream))),
        timers=tuple(sorted(timers, key=lambda each: (each.kind, str(each.subject)))),
    )


def _settled_session(session: FrozenSession, pace: Pace) -> FrozenSession:
    return replace(session, silent_us=pace.silence_us(session.state) // 2, texts=())


def _settled_room(room: FrozenRoom) -> FrozenRoom:
    groups = ((dialect, listener, tuple(sorted(tokens))) for dialect, listener, tokens in room.fanout_groups)
    return replace(
        room, members=tuple(sorted(room.members)), fanout_groups=tuple(sorted(groups)), takeovers=(), wrong_passwords=()
    )


def _settled_ended(ended: FrozenEnded, is_told_again: bool, pace: Pace) -> FrozenEnded:
    told = ended.times_told if is_told_again and ended.times_told < len(pace.told_at_us) else NOTICES
    answered_us = None if ended.answered_ago_us is None else 0
    return replace(ended, times_told=told, ended_ago_us=_phase_us(told, pace), answered_ago_us=answered_us)


def _phase_us(told: int, pace: Pace) -> int:
    """How long ago a session ended that has been told so often."""
    moments = pace.told_at_us
    return moments[min(told, len(moments)) - 1] if told else 0


def _when_us(timer: TimerEntry, ended: dict[bytes, FrozenEnded], pace: Pace) -> int:
    """When a deadline comes, counted from now."""
    match timer.kind:
        case Deadline.COMPLETION:
            return 0
        case Deadline.HANDSHAKE:
            return pace.limits.handshake_timeout // 2
        case Deadline.NOTICE:
            gone = ended[timer.subject]  # type: ignore[index]
            return pace.told_at_us[gone.times_told] - gone.ended_ago_us
        case Deadline.FORGET:
            return pace.limits.linger - ended[timer.subject].ended_ago_us  # type: ignore[index]
        case _:
            return pace.limits.linger


def server_dues(state: ServerState) -> list[Due]:
    """What may come next, by time alone. Of a subject's own deadlines the first."""
    completions = [Due(each.kind, each.subject) for each in state.timers if each.kind is Deadline.COMPLETION]
    if completions:
        return completions
    notices = {each.subject for each in state.timers if each.kind is Deadline.NOTICE}
    remembered = {each.room for each in state.ended}
    dues = [
        Due(each.kind, each.subject)
        for each in state.timers
        if not (each.kind is Deadline.FORGET and each.subject in notices)
        # What ended in a room is forgotten before the room is, or with it; only a shutdown hurries.
        and not (each.kind is Deadline.LINGER and each.subject in remembered and not state.is_stopping)
    ]
    dues += [Due(silence_of(each.state), each.token) for each in state.sessions]
    return dues + [Due(ANSWER, each.token) for each in state.ended if each.answered_ago_us is not None]


def silence_of(state: SessionState) -> Deadline:
    """The deadline that ends a session in this state for its silence."""
    return Deadline.UNUSED if state is SessionState.TOKENED else Deadline.IDLE


def ripe(state: ServerState, due: Due, pace: Pace) -> ServerState:
    """The state at the moment of that deadline, with nothing else due."""
    if due.kind == ANSWER:
        return replace(state, ended=tuple(_changed(each, due, answered_ago_us=None) for each in state.ended))
    timers = tuple(_ripe_timer(each, due, state.timers) for each in state.timers)
    if due.kind in (Deadline.UNUSED, Deadline.IDLE):
        sessions = (_changed(each, due, silent_us=pace.silence_us(each.state)) for each in state.sessions)
        return replace(state, sessions=tuple(sessions), timers=timers)
    if due.kind == Deadline.NOTICE:
        [own] = (each for each in state.ended if each.token == due.subject)
        ended_ago_us = pace.told_at_us[own.times_told]
        ended = (_changed(each, due, ended_ago_us=ended_ago_us) for each in state.ended)
        return replace(state, ended=tuple(ended), timers=timers)
    return replace(state, timers=timers)


def _ripe_timer(timer: TimerEntry, due: Due, timers: tuple[TimerEntry, ...]) -> TimerEntry:
    """The deadline itself is due now; another of an ended token is so much nearer; nothing else is due."""
    if timer.subject == due.subject:
        if timer.kind == due.kind:
            return replace(timer, when_us=0)
        if due.kind == Deadline.NOTICE:
            passed_us = next(each.when_us for each in timers if each.kind == due.kind and each.subject == due.subject)
            return replace(timer, when_us=timer.when_us - passed_us)
    return timer if timer.when_us > 0 else replace(timer, when_us=1)


H = TypeVar("H", FrozenSession, FrozenEnded)


def _changed(held: H, due: Due, **values: Any) -> H:
    return replace(held, **values) if held.token == due.subject else held


def moments_of(state: ServerState, pace: Pace) -> list[int]:
    """When each of its deadlines comes, counted from the state's moment, in order."""
    silences = [pace.silence_us(each.state) - each.silent_us for each in state.sessions]
    return sorted([*(each.when_us for each in state.timers), *silences])


# --- the reference server --------------------------------------------------------------------------


def settle_reference(reference: ReferenceServer, pace: Pace) -> None:
    """The same for the reference server, in place."""
    limits = pace.limits
    for room in reference.rooms.by_name.values():
        room.wrong_tries_us, room.takeovers_us = {}, {}
        room.drained_us = NOW_US + limits.linger if room.state is RoomState.CLOSING else 0
        for session in room.sessions:
            session.number, session.texts_us = 0, []
            session.last_heard_us = NOW_US - pace.silence_us(session.state) // 2
        for session in room.ended:
            _settle_ended(session, pace)
        _forget_moments(room.host)
    for connection in reference.handshakes.connections.values():
        connection.ends_us, connection.accepted_us = NOW_US + limits.handshake_timeout // 2, NOW_US
        _forget_moments(connection.session)
        _forget_moments(connection.supersedes)


def _settle_ended(session: Session, pace: Pace) -> None:
    whole = [each for each in NOTICE_AGAIN_AFTER_US[1:] if each < pace.limits.linger]
    told = 1 + len(whole) - len(session.tell_us)
    if not session.tell_us or told >= len(pace.told_at_us):
        told = NOTICES
    ended_us = NOW_US - _phase_us(told, pace)
    session.tell_us = [ended_us + each for each in NOTICE_AGAIN_AFTER_US[told:] if each < pace.limits.linger]
    session.forgotten_us = ended_us + pace.limits.linger
    session.number = session.last_heard_us = 0
    session.texts_us = []
    if session.answered_us is not None:
        recently = NOW_US - session.answered_us < ANSWER_ENDED_EVERY_US
        session.answered_us = NOW_US if recently else None


def _forget_moments(session: Session | None) -> None:
    """Of an ended session that only a closing room or an old connection still names, no moment matters."""
    if session is not None and session.state is SessionState.EXPIRED and session not in session.room.ended:
        session.number = session.last_heard_us = session.forgotten_us = 0
        session.tell_us, session.texts_us, session.answered_us = [], [], None


def ripen_reference(reference: ReferenceServer, due: Due, pace: Pace) -> None:
    """The reference server at the moment of that deadline, in place."""
    rooms, connections = reference.rooms.by_name, reference.handshakes.connections
    for connection in connections.values():
        if connection.state is HandshakeState.ACCEPTED:
            connection.accepted_us = NOW_US + 1
    match due.kind:
        case Deadline.COMPLETION:
            connections[due.subject].accepted_us = NOW_US
        case Deadline.HANDSHAKE:
            connections[due.subject].ends_us = NOW_US
        case Deadline.LINGER:
            assert isinstance(due.subject, bytes), "rooms are named by bytes"
            room = rooms.get(due.subject.decode())
            if room is not None:
                room.drained_us = NOW_US
        case _:
            for session in _sessions(reference):
                if session.token == due.subject:
                    _ripen_session(session, due, pace)


def _sessions(reference: ReferenceServer) -> Iterator[Session]:
    for room in reference.rooms.by_name.values():
        yield from room.sessions
        yield from room.ended


def _ripen_session(session: Session, due: Due, pace: Pace) -> None:
    match due.kind:
        case _ if due.kind == ANSWER:
            session.answered_us = None
        case Deadline.NOTICE if session.tell_us:
            passed_us = session.tell_us[0] - NOW_US
            session.tell_us = [each - passed_us for each in session.tell_us]
            session.forgotten_us -= passed_us
        case Deadline.FORGET:
            session.forgotten_us = NOW_US
        case Deadline.UNUSED | Deadline.IDLE:
            session.last_heard_us = NOW_US - pace.silence_us(session.state)


# --- a client's engine -----------------------------------------------------------------------------

LATER_US = 3600 * 1_000_000


def settled_client(state: ClientState, pace: Pace) -> ClientState:
    """The same for a client, with what matters no more after the end of its session left out."""
    is_over = state.session is SessionState.EXPIRED
    entered = min(state.enters_done, len(ENTER_MOMENTS_US))
    kept = {
        each.kind
        for each in state.timers
        if not (each.kind is Deadline.ENTER and entered > pace.repeats_max)
        and not (each.kind is Deadline.LEAVE and state.leaves_done > pace.repeats_max)
    }
    enters, leaves = Deadline.ENTER in kept, Deadline.LEAVE in kept
    return replace(
        state,
        enters_done=entered if enters else 0,
        leaves_done=state.leaves_done if leaves else 0,
        granted_ago_us=ENTER_MOMENTS_US[entered - 1] if enters else 0,
        sent_text_ago_us=None,
        ended_ago_us=LEAVE_AGAIN_AFTER_US[state.leaves_done - 1] if leaves else 0,
        has_heard=state.has_heard or is_over,
        liveness=replace(state.liveness, spoke_ago_us=0, heard_ago_us=0, asked_ago_us=0, unheard=()),
        timers=tuple(
            TimerEntry(_client_when_us(each.kind, state, pace), each.kind, each.subject)
            for each in sorted(state.timers, key=lambda each: each.kind)
            if each.kind in kept
        ),
    )


def _client_when_us(kind: Deadline, state: ClientState, pace: Pace) -> int:
    match kind:
        case Deadline.ENTER:
            return ENTER_MOMENTS_US[state.enters_done] - ENTER_MOMENTS_US[state.enters_done - 1]
        case Deadline.LEAVE:
            return LEAVE_AGAIN_AFTER_US[state.leaves_done] - LEAVE_AGAIN_AFTER_US[state.leaves_done - 1]
        case Deadline.HANDSHAKE:
            return pace.limits.handshake_timeout
        case _:
            return state.liveness.idle_timeout_us


def client_due(state: ClientState) -> Due | None:
    """The client's next deadline, or None."""
    if not state.timers:
        return None
    first = min(state.timers, key=lambda each: each.when_us)
    return Due(first.kind, Machine.HANDSHAKE if first.kind is Deadline.HANDSHAKE else Machine.SESSION)


def ripe_client(state: ClientState, due: Due) -> ClientState:
    """The client at the moment of that deadline, with nothing else due."""
    timers = (replace(each, when_us=0 if each.kind == due.kind else LATER_US) for each in state.timers)
    state = replace(state, timers=tuple(timers))
    match due.kind:
        case Deadline.ENTER:
            return replace(state, granted_ago_us=ENTER_MOMENTS_US[state.enters_done])
        case Deadline.LEAVE:
            return replace(state, ended_ago_us=LEAVE_AGAIN_AFTER_US[state.leaves_done])
        case Deadline.IDLE:
            return replace(state, liveness=replace(state.liveness, spoke_ago_us=state.liveness.idle_timeout_us))
    return state
