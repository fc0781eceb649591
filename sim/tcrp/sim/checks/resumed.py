"""A monitor that goes on from a state of the server: for those who have no history, only a state and the next call.

What the checks keep of a run's past is put together from the engine's state and from that of the reference server,
where both can only be right: the properties hold of every state if they hold of the first and after every call.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from tcrp.engine.outputs import Stepped
from tcrp.engine.state import FrozenEnded, FrozenSession, ServerState
from tcrp.sim.checks.monitor import PropertyMonitor
from tcrp.sim.checks.observed import SessionRecord
from tcrp.sim.checks.shadow import Shadow, Shadows
from tcrp.sim.hosts.server import SERVER
from tcrp.sim.hosts.user import Hosts
from tcrp.sim.network.tcp import Connection
from tcrp.sim.reference.server import ReferenceServer
from tcrp.spec.limits import NOTICE_AGAIN_AFTER_US, Limits
from tcrp.spec.names import Deadline, Machine, Property, RoomState, SessionState
from tcrp.trace.records import StepRecord


def resumed(
    hosts: Hosts,
    limits: Limits,
    left_out: frozenset[Property],
    shadows: Shadows,
    *,
    state: ServerState,
    reference: ReferenceServer | None,
    holder: Callable[[Hashable], str],
    connection_of: Callable[[Hashable], Connection],
    now_us: int,
) -> PropertyMonitor:
    """A monitor of a server in `state`. `holder` says whose token it is, `connection_of` which stream."""
    monitor = PropertyMonitor(hosts, limits, left_out, shadows)
    model = monitor._model
    whens = {(each.kind, each.subject): each.when_us for each in state.timers}
    hosts_of = {room.name: room.host for room in reference.rooms.by_name.values()} if reference is not None else {}

    def record(each: FrozenSession | FrozenEnded, in_state: SessionState) -> SessionRecord:
        token, name, room = each.token, each.name, each.room
        user = hosts.users.get(holder(token))
        entry = SessionRecord(
            token=token, id=f"{name}@{room.decode()}", name=name, room=room.decode(), ip=each.ip,
            user=user.id if user is not None else "", state=in_state, last_heard_us=now_us, has_spoken=True,
            listener=each.listener,
        )  # fmt: skip
        if user is not None:
            entry.held_by(user, user.address)
        model.tokens.setdefault(entry.room, set()).add(token)
        return entry

    for living in state.sessions:
        entry = record(living, living.state)
        entry.address, entry.last_heard_us = living.address, now_us - living.silent_us
        entry.has_entered = living.state is SessionState.IN_ROOM
        model.begin(entry)
        if entry.has_entered:
            model._members.setdefault(entry.room, {})[entry.token] = entry
        monitor._liveness.expect_silence(entry)
        monitor._stands[SERVER, Machine.SESSION, entry.id, _instance(entry.token)] = str(living.state)
    for gone in state.ended:
        entry = record(gone, SessionState.EXPIRED)
        entry.address, entry.has_entered = gone.address, gone.address is not None
        entry.answered_us = now_us - gone.answered_ago_us if gone.answered_ago_us is not None else None
        next_us = whens.get((Deadline.NOTICE, gone.token))
        if next_us is not None:
            ended_us = now_us - gone.ended_ago_us
            again = NOTICE_AGAIN_AFTER_US[gone.times_told : entry.told_at_most]
            again_us = (each for each in again if each < limits.linger)
            entry.tell_us = [ended_us + each for each in again_us]
            monitor._termination._untold.append(entry)
        model.ended[gone.token] = entry
    for room in state.rooms:
        name = room.name.decode()
        model.rooms[name] = room.state
        reference_host = hosts_of.get(name)
        host = room.host if room.host is not None else reference_host.token if reference_host is not None else None
        model.hosts[name] = model.living.get(host) or model.ended.get(host)
        if room.state is RoomState.CLOSING:
            left_us = whens.get((Deadline.LINGER, room.name), 0)
            model.closing_us[name] = now_us - (limits.linger - left_us)
        monitor._stands[SERVER, Machine.ROOM, name, _instance(room.name)] = str(room.state)
    for handshake in state.handshakes:
        connection = connection_of(handshake.stream)
        left_us = whens.get((Deadline.HANDSHAKE, handshake.stream), 0)
        monitor._liveness._connections.append((now_us - (limits.handshake_timeout - left_us), connection))
        monitor._liveness._sent[connection.stream] = handshake.buffer
        monitor._limit_checks._open[connection.stream] = handshake.ip
        if handshake.peer_ended:
            monitor._limit_checks._peer_ended.add(connection.stream)
        monitor._stands[SERVER, Machine.HANDSHAKE, handshake.name, _instance(handshake.stream)] = str(handshake.state)
    for who, stands in monitor._stands.items():
        shadows._shadows[who] = Shadow(None, stands)
    monitor._differential.resume(reference)
    return monitor


def step_record(step: Stepped) -> StepRecord:
    """The record of a step of the server, as the monitor hears it."""
    machine, subject, id, event, from_, to, rule, why, _ = step
    return StepRecord(
        actor=SERVER, cause=0, event=event, from_=from_, id=id, instance=_instance(subject), machine=machine, n=0,
        rule=rule, t_us=0, to=to, why=why,
    )  # fmt: skip


def _instance(subject: Hashable) -> int:
    """A number for a machine's record: its subject's own."""
    return hash(subject)
