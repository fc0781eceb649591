"""Checks that expired sessions are told why, never act again, and that closed rooms leave nothing behind."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from tcrp.engine.outputs import SendDatagram, ServerOutput
from tcrp.engine.state import ServerState
from tcrp.sim.checks.bounds import Bounds
from tcrp.sim.checks.inside import held_of_room
from tcrp.sim.checks.observed import ObservedServer, SessionRecord, notices_to
from tcrp.sim.checks.results import CheckResults
from tcrp.sim.hosts.server import ServerHost
from tcrp.spec.limits import (
    ANSWER_ENDED_EVERY_US,
    ANSWER_ENDED_FACTOR_MAX,
    NOTICE_AGAIN_AFTER_US,
    SECOND_US,
    SHUTDOWN_LINGER_US,
)
from tcrp.spec.names import Deadline, PacketKind, Property, RoomState

LATE_US = SECOND_US  # a deadline counts as missed when it is this far behind


class TerminationChecks:
    """Looks at sessions and rooms that have ended, and at datagrams whose token does not hold."""

    def __init__(self, results: CheckResults, model: ObservedServer, bounds: Bounds) -> None:
        self._results = results
        self._model = model
        self._bounds = bounds
        self._untold: list[SessionRecord] = []  # who is to be told again

    def forget(self) -> None:
        """The server has lost all that it knew."""
        self._untold.clear()

    def adopt(self, state: ServerState, ended: Mapping[Hashable, SessionRecord], local_us: int) -> None:
        """Those who are to be told again are so by the server that goes on with their room."""
        due = {each.subject for each in state.timers if each.kind is Deadline.NOTICE}
        linger_us = self._bounds.now.linger
        for each in state.ended:
            entry = ended[each.token]
            if each.token in due:
                again = NOTICE_AGAIN_AFTER_US[each.times_told : entry.told_at_most]
                ended_us = local_us - each.ended_ago_us
                entry.tell_us = [max(ended_us + after, local_us) for after in again if after < linger_us]
                if entry.tell_us:
                    self._untold.append(entry)

    def give_away(self, room: str) -> None:
        """Another server goes on with a room."""
        self._untold = [entry for entry in self._untold if entry.room != room]

    def judge(self, host: ServerHost, outputs: list[ServerOutput]) -> None:
        """Judge one call of the server's engine."""
        call = self._model.call
        if call.packet is not None and call.connection is None and not call.is_valid:
            self._judge_rejected(outputs)
        if call.told:
            self._judge_told(outputs)
        self._judge_rooms(host)
        if self._untold:
            self._judge_told_again(outputs)

    def judge_overdue(self, host: ServerHost) -> None:
        """Judge who should have been told again by now, before the server is given anything: it may tell just now."""
        if not self._untold or host.is_catching_up:
            return
        now_us = host.local_us()
        for entry in self._untold:
            if entry.tell_us[0] + LATE_US < now_us and not self._is_taken(entry) and not entry.fixed:
                self._results.judge(Property.ENDED_ARE_TOLD_AGAIN, False, "{} was not told again", entry.id)

    def _judge_rejected(self, outputs: list[ServerOutput]) -> None:
        """The token does not hold, or what it carries is no text: nothing moves but the count of R-IDLE-2."""
        judge, call = self._results.judge, self._model.call
        packet, entry = call.packet, call.entry
        assert packet is not None, "a datagram was heard"
        if entry is None or not call.is_near:
            quiet = not outputs and not call.steps
            judge(Property.REJECTED_CHANGES_NOTHING, quiet, "a datagram without a token had an effect")
            return
        if call.steps:
            return  # the owner's third in a row: removed, by R-IDLE-2
        answers = [effect for effect in outputs if isinstance(effect, SendDatagram)]
        only_told = len(answers) == len(outputs) and all(answer.what is PacketKind.NOTICE for answer in answers)
        judge(Property.REJECTED_CHANGES_NOTHING, only_told, "an ended token had an effect: {}", outputs)
        for answer in answers:
            small = len(answer.data) <= ANSWER_ENDED_FACTOR_MAX * len(packet.data)
            seldom = entry.answered_us is None or call.local_us - entry.answered_us >= ANSWER_ENDED_EVERY_US
            own = answer.address is not None and answer.address.ip == entry.ip and answer.listener == entry.listener
            free = not any(each.address == answer.address for each in self._model.living.values())
            entry.answered_us = call.local_us
            judge(
                Property.NO_AMPLIFICATION, small and seldom and own and free,
                "an ended token of {} was answered with {} bytes for {}",
                entry.id, len(answer.data), len(packet.data),
            )  # fmt: skip

    # --- being told ------------------------------------------------------------------------------

    def _judge_told(self, outputs: list[ServerOutput]) -> None:
        sent, call = notices_to(outputs), self._model.call
        for entry in call.told:
            told = entry.address in sent or self._is_taken(entry) or entry.fixed
            self._results.judge(Property.ENDED_ARE_TOLD, told, "{} has ended and was not told", entry.id)
            linger_us = self._bounds.now.linger
            again = NOTICE_AGAIN_AFTER_US[1 : entry.told_at_most]
            entry.tell_us = [call.local_us + after for after in again if after < linger_us]
            if entry.tell_us:
                self._untold.append(entry)

    def _judge_told_again(self, outputs: list[ServerOutput]) -> None:
        now_us = self._model.call.local_us
        due = [entry for entry in self._untold if entry.tell_us[0] <= now_us]
        if not due:
            return  # nobody is to be told yet
        sent = notices_to(outputs)
        for entry in due:
            if entry.address in sent or self._is_taken(entry) or entry.fixed:
                self._results.judge(Property.ENDED_ARE_TOLD_AGAIN, True, "")
                entry.tell_us = [when_us for when_us in entry.tell_us if when_us > now_us]
        self._untold = [entry for entry in self._untold if entry.tell_us]

    def _is_taken(self, entry: SessionRecord) -> bool:
        """Whether a living session receives at the address by now."""
        return any(each.address == entry.address for each in self._model.living.values())

    # --- rooms -----------------------------------------------------------------------------------

    def _judge_rooms(self, host: ServerHost) -> None:
        judge, model = self._results.judge, self._model
        for room in model.call.closed:
            self._judge_linger(room, host)
            held = held_of_room(host.frozen(), room.encode(), model.tokens.get(room, set()))
            held += [f"session {entry.id}" for entry in model.living_in[room].values()]
            judge(Property.CLOSED_ROOM_LEAVES_NOTHING, not held, "room {} is closed but leaves {}", room, held)
            self._untold = [entry for entry in self._untold if entry.room != room]
            model.forget_room(room)
        for entry in model.call.hosts_ended:
            is_open = model.rooms.get(entry.room) is RoomState.OPEN
            judge(
                Property.HOST_ENDS_THE_ROOM, not is_open, "room {} is open after its host {} has ended",
                entry.room, entry.id,
            )  # fmt: skip

    def _judge_linger(self, room: str, host: ServerHost) -> None:
        since_us, owner = self._model.closing_us.get(room), self._model.hosts.get(room)
        if since_us is None or owner is None or not owner.has_entered:
            return  # without linger, by R-LIM-2
        least_us = self._bounds.narrowest.linger
        if host.is_stopping:
            least_us = min(least_us, SHUTDOWN_LINGER_US)
        lingered_us = self._model.call.local_us - since_us
        self._results.judge(
            Property.NAMES_LINGER, lingered_us >= least_us, "{} was free again after {} us", room, lingered_us
        )
