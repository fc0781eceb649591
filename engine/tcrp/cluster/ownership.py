"""Whose each room is: the keys of rooms in the bucket, and what a process does to take, keep and give away a room.

Knows no chat: what a room is, `Holder` does. Everything that is asked of the bucket is asked again until it is
answered; what the bucket shows decides, not the answers alone, which may be lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Protocol

from tcrp.cluster import snapshots
from tcrp.cluster.keys import OWNER, STATE, OwnerValue, key_of, read_owner, room_of, write
from tcrp.cluster.lease import Lease
from tcrp.cluster.messages import Message
from tcrp.cluster.outputs import Answer, ClusterStepped, Delete, Entry, Get, Happened, Put, What
from tcrp.engine.outputs import StreamId
from tcrp.spec.cluster_names import (
    SAVE_EVERY_US,
    WAITING_MAX,
    ClusterMachine,
    OwnershipEvent,
    OwnershipState,
    OwnRule,
)
from tcrp.spec.ownership import OWNERSHIP
from tcrp.spec.table import IllegalEvent

_S, _E = OwnershipState, OwnershipEvent


class Holder(Protocol):
    """What has the rooms' contents."""

    def save(self, room: bytes, fence: int) -> bytes:
        """The state of a room that is here, in bytes."""

    def load(self, room: bytes, saved: bytes, now_us: int) -> str:
        """Go on with a room. Returns why it cannot be, or nothing."""

    def drop(self, room: bytes, now_us: int) -> None:
        """Hold nothing of a room any more, if it is here."""

    def settled(self, room: RoomAt, now_us: int) -> None:
        """The room is owned, here or elsewhere, or by nobody: what waited for that goes on."""

    def vacated(self, room: bytes) -> None:
        """The room is gone from the cluster."""


class RoomAt:
    """A room as this process sees it."""

    __slots__ = (
        "asked",
        "fence",
        "held",
        "is_frozen_saved",
        "is_listed",
        "name",
        "owner",
        "revision",
        "save_us",
        "saved",
        "saved_revision",
        "since_us",
        "state",
        "waiting",
    )  # fmt: skip

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.state = OwnershipState.UNOWNED
        self.owner = ""  # the address of its owner
        self.fence = 0
        self.revision = 0  # of its key
        self.is_listed = False
        self.saved = b""  # what is being handed over
        self.saved_revision = 0
        self.is_frozen_saved = False  # the latest save was of what is being handed over
        self.save_us: int | None = None  # when it is to be saved
        self.asked: tuple[str, int, int] | None = None  # what for, the ask, when it was sent
        self.since_us = 0  # since when its owner is gone
        self.held: list[tuple[StreamId, bool]] = []  # requests that wait in the engine; whether they create
        self.waiting: deque[Message] = deque(maxlen=WAITING_MAX)


def successor(room: bytes, addresses: Iterable[str]) -> str:
    """Which of several processes is to have a room: all that see the same ones alive agree, without asking."""
    return max(addresses, key=lambda each: blake2b(each.partition(".")[0].encode() + b"/" + room).digest(), default="")


class Ownership:
    """All rooms of the cluster that this process knows of."""

    def __init__(self, lease: Lease, holder: Holder, new_ask: Callable[[], int]) -> None:
        self.rooms: dict[bytes, RoomAt] = {}
        self._lease = lease
        self._holder = holder
        self._new_ask = new_ask
        self._asks: dict[int, RoomAt] = {}
        self._to_save: dict[bytes, RoomAt] = {}
        self._is_leaving = False  # it is to give its rooms away, and nobody could take them
        self._look_us = 0
        self._soon_us: int | None = None  # nothing is to be done before; perhaps nothing then

    # --- questions -------------------------------------------------------------------------------

    def owns(self, room: bytes) -> bool:
        """Whether requests and texts for the room are decided here."""
        at = self.rooms.get(room)
        return at is not None and at.state is _S.OWNED

    def fence_of(self, room: bytes) -> int:
        """The room's fencing number, as far as it is known here."""
        at = self.rooms.get(room)
        return at.fence if at is not None else 0

    def owned(self) -> list[RoomAt]:
        """The rooms that are here, or on their way to another process."""
        return [each for each in self.rooms.values() if each.state in (_S.OWNED, _S.HANDING_OVER)]

    def handing_over(self) -> bool:
        """Whether a room is on its way to another process, or waits for one that is there to renew its lease."""
        waits = self._is_leaving and self._lease.seen
        return any(each.state is _S.HANDING_OVER or (waits and each.state is _S.OWNED) for each in self.rooms.values())

    def next_us(self) -> int | None:
        """When `tick` is to be called next."""
        return self._soon_us

    # --- commands --------------------------------------------------------------------------------

    def at(self, room: bytes) -> RoomAt:
        """The room, of which nothing may be known yet."""
        at = self.rooms.get(room)
        if at is None:
            at = self.rooms[room] = RoomAt(room)
            self._wake_at(self._look_us)
        return at

    def want(self, at: RoomAt, now_us: int) -> None:
        """Become the owner of a room that has none."""
        self._step(at, _E.WANTED)
        self._take(at, now_us)

    def look_up(self, at: RoomAt, now_us: int) -> None:
        """Ask the bucket for a room that has not been seen: it may have been made this moment."""
        self._ask(at, "look", now_us, lambda ask: Get(ask, key_of(OWNER, at.name)))

    def changed(self, room: bytes, now_us: int, *, at_once: bool) -> None:
        """Something happened in a room that is here: it is to be saved (R-OWN-6)."""
        at = self.rooms.get(room)
        if at is not None and at.state is _S.OWNED:
            when_us = now_us if at_once else now_us + SAVE_EVERY_US
            if at.save_us is None or when_us < at.save_us:
                at.save_us = when_us
                self._to_save[room] = at
                self._wake_at(when_us)

    def list_no_more(self, room: bytes, now_us: int) -> None:
        """A room that is here is closing."""
        at = self.rooms[room]
        if at.is_listed and at.state is _S.OWNED and at.asked is None:
            at.is_listed = False
            self._ask(at, "list", now_us, lambda ask: self._put_owner(ask, at, self._lease.address, fence=at.fence))

    def closed(self, room: bytes) -> None:
        """A room that is here is closed: nothing is left of it (R-ROOM-3)."""
        at = self.rooms[room]
        self._step(at, _E.VACATED)
        self._forget(at)
        self._lease.pending.append(Delete(key_of(STATE, room), 0))
        self._lease.pending.append(Delete(key_of(OWNER, room), at.revision))

    def hand_over(self, now_us: int) -> None:
        """Give every room that is here to another process, now or as soon as one can take it (R-OWN-7)."""
        self._is_leaving = not self._lease.candidates()
        if self._is_leaving:
            return
        for at in self.owned():
            if at.state is _S.OWNED:
                at.saved = self._holder.save(at.name, at.fence)
                self._step(at, _E.HANDING_OVER)
                self._holder.drop(at.name, now_us)
                self._to_save.pop(at.name, None)
                if at.asked is None:
                    self._save(at, now_us)

    def lease_held(self, now_us: int) -> None:
        """This process may own rooms from now on: those too that it was given before it knew (R-OWN-7)."""
        for at in list(self.rooms.values()):
            if at.state is _S.ELSEWHERE and at.owner == self._lease.address:
                self._named(at, now_us)

    def lease_lost(self, now_us: int) -> None:
        """This process owns nothing any more; what it held goes on elsewhere, or here again later (R-OWN-2)."""
        for at in list(self.rooms.values()):
            if at.state in (_S.OWNED, _S.HANDING_OVER, _S.ACQUIRING):
                self._step(at, _E.ORPHANED)
                self._ask_no_more(at)
                self._to_save.pop(at.name, None)
                self._holder.drop(at.name, now_us)
                at.save_us, at.since_us, at.owner = None, now_us, at.owner or "?"

    def node_joined(self, address: str, now_us: int) -> None:
        """A process is there, perhaps after its rooms: what waits for it goes on."""
        for at in list(self.rooms.values()):
            if at.owner == address and at.state is _S.ELSEWHERE and (at.waiting or at.held):
                self._holder.settled(at, now_us)

    def node_renewed(self, now_us: int) -> None:
        """A process may be given rooms from now on: perhaps nobody was there to take them."""
        if self._is_leaving:
            self.hand_over(now_us)
        for at in list(self.rooms.values()):
            if at.state is _S.HANDING_OVER and at.asked is None:
                self._name_successor(at, now_us)

    def node_lost(self, address: str, now_us: int) -> None:
        """The lease of a process is over: its rooms need another owner (R-OWN-3)."""
        for at in list(self.rooms.values()):
            if at.owner == address and at.state is _S.ELSEWHERE:
                self._orphan(at, now_us)

    # --- time ------------------------------------------------------------------------------------

    def tick(self, now_us: int) -> None:
        """Save what is due, ask again what was not answered, look for rooms without an owner."""
        for at in [each for each in self._asks.values() if each.asked is not None]:
            assert at.asked is not None, "it was chosen by that"
            if now_us - at.asked[2] >= self._bound_us():
                self._again(at, now_us)
        for at in list(self._to_save.values()):
            if at.save_us is not None and at.save_us <= now_us and at.asked is None:
                self._save(at, now_us)
        self._sleep()
        if now_us >= self._look_us:
            self._look_us = now_us + self._bound_us()
            for at in list(self.rooms.values()):
                self._look_after(at, now_us)
        if self.rooms:
            self._wake_at(self._look_us)

    def _sleep(self) -> None:
        """Work out when there is something to do."""
        times = [each.save_us for each in self._to_save.values() if each.save_us is not None and each.asked is None]
        times += [each.asked[2] + self._bound_us() for each in self._asks.values() if each.asked is not None]
        self._soon_us = min(times, default=None)

    def _wake_at(self, when_us: int) -> None:
        self._soon_us = when_us if self._soon_us is None else min(when_us, self._soon_us)

    def _look_after(self, at: RoomAt, now_us: int) -> None:
        if at.state is _S.ELSEWHERE:
            if self._lease.is_alive(at.owner):
                at.since_us = 0
            elif not at.since_us:
                at.since_us = now_us
            else:
                self._lease.suspect(at.owner, now_us)
        elif at.state is _S.ORPHANED and now_us - at.since_us >= self._bound_us() and self._lease.holds(now_us):
            self.want(at, now_us)

    def _orphan(self, at: RoomAt, now_us: int) -> None:
        self._step(at, _E.ORPHANED)
        at.since_us = now_us
        others = self._lease.candidates()
        if self._lease.holds(now_us) and successor(at.name, [*others, self._lease.address]) == self._lease.address:
            self.want(at, now_us)

    def _bound_us(self) -> int:
        return self._lease.lease_us // 3

    # --- asking ----------------------------------------------------------------------------------

    def _ask(self, at: RoomAt, what: str, now_us: int, make: Callable[[int], Put | Get]) -> None:
        self._ask_no_more(at)
        ask = self._new_ask()
        at.asked = what, ask, now_us
        self._asks[ask] = at
        self._wake_at(now_us + self._bound_us())
        self._lease.pending.append(make(ask))

    def _ask_no_more(self, at: RoomAt) -> None:
        if at.asked is not None:
            self._asks.pop(at.asked[1], None)
            at.asked = None

    def _again(self, at: RoomAt, now_us: int) -> None:
        """An ask was not answered."""
        assert at.asked is not None, "it was asked"
        what = at.asked[0]
        if what == "look":
            self.look_up(at, now_us)
        elif what == "take":
            self._take(at, now_us)
        elif what == "load":
            self._load(at, now_us)
        elif what in ("save", "fence", "check"):
            self._check(at, now_us)
        else:
            self._ask_no_more(at)
            if at.state is _S.HANDING_OVER:
                self._name_successor(at, now_us)

    def _take(self, at: RoomAt, now_us: int) -> None:
        self._ask(at, "take", now_us, lambda ask: self._put_owner(ask, at, self._lease.address))

    def _load(self, at: RoomAt, now_us: int) -> None:
        self._ask(at, "load", now_us, lambda ask: Get(ask, key_of(STATE, at.name)))

    def _check(self, at: RoomAt, now_us: int) -> None:
        self._ask(at, "check", now_us, lambda ask: Get(ask, key_of(STATE, at.name)))

    def _save(self, at: RoomAt, now_us: int) -> None:
        self._to_save.pop(at.name, None)
        at.save_us = None
        at.is_frozen_saved = at.state is _S.HANDING_OVER
        saved = at.saved if at.state is _S.HANDING_OVER else self._holder.save(at.name, at.fence)
        self._ask(at, "save", now_us, lambda ask: Put(ask, key_of(STATE, at.name), saved, at.saved_revision))

    def _name_successor(self, at: RoomAt, now_us: int) -> None:
        to = successor(at.name, self._lease.candidates())
        if to:
            self._ask(at, "name", now_us, lambda ask: self._put_owner(ask, at, to, is_given=True))

    def _put_owner(self, ask: int, at: RoomAt, owner: str, *, fence: int = 0, is_given: bool = False) -> Put:
        value = write(OwnerValue(self._lease.kin, owner, fence, at.is_listed, is_given))
        return Put(ask, key_of(OWNER, at.name), value, at.revision)

    # --- answers ---------------------------------------------------------------------------------

    def answered(self, ask: int, answer: Answer, now_us: int) -> None:
        """The bucket has answered."""
        at = self._asks.get(ask)
        if at is None or at.asked is None:
            return  # it was asked again since, or matters no more
        what = at.asked[0]
        self._ask_no_more(at)
        done = answer.revision is not None
        if what == "look":
            if at.state is _S.UNOWNED:
                if done:
                    self.saw(Entry(key_of(OWNER, at.name), answer.value, answer.revision or 0), now_us)
                if at.state is _S.UNOWNED:  # there is none, or it is a stranger's
                    self._holder.settled(at, now_us)
                    self._forget_if_empty(at)
        elif what == "take" and at.state is _S.ACQUIRING and done:
            self._taken(at, answer.revision or 0, now_us)
        elif what == "load" and at.state is _S.ACQUIRING:
            self._loaded(at, answer, now_us)
        elif what == "fence" and at.state is _S.ACQUIRING:
            if done:
                at.saved_revision = answer.revision or 0
                self._go_on(at, now_us)
            else:
                self._load(at, now_us)  # the owner before has saved once more
        elif what == "save":
            self._was_saved(at, answer, now_us)
        elif what == "check":
            self._was_checked(at, answer, now_us)
        elif what in ("name", "list") and done:
            if what == "list":
                at.revision = max(at.revision, answer.revision or 0)
        # After a `name`, or where one or a `take` is refused, the bucket shows whose the room is.

    def _taken(self, at: RoomAt, revision: int, now_us: int) -> None:
        was_owned = bool(at.owner)  # by another process, or by an earlier life of this one
        at.revision = at.fence = revision
        at.owner = self._lease.address
        if was_owned:
            self._load(at, now_us)
        else:
            self._step(at, _E.ACQUIRED)
            self._holder.settled(at, now_us)

    def _loaded(self, at: RoomAt, answer: Answer, now_us: int) -> None:
        if answer.revision is None:
            self._give_up(at, "nothing was saved")
            return
        at.saved, at.saved_revision = answer.value, answer.revision
        fenced = snapshots.with_fence(answer.value, at.fence)
        self._ask(at, "fence", now_us, lambda ask: Put(ask, key_of(STATE, at.name), fenced, at.saved_revision))

    def _go_on(self, at: RoomAt, now_us: int) -> None:
        """Nobody else can save the room any more (R-OWN-6)."""
        saved, at.saved = at.saved, b""
        if why := self._holder.load(at.name, saved, now_us):
            self._give_up(at, why)
            return
        self._step(at, _E.ACQUIRED)
        self._lease.pending.append(Happened(What.ROOM_RECOVERED, _word(at)))
        self.changed(at.name, now_us, at_once=True)
        self._holder.settled(at, now_us)

    def _give_up(self, at: RoomAt, why: str) -> None:
        """The room cannot go on (R-OWN-8). Every process sees that it is gone, and tells its members."""
        self._lease.pending.append(Happened(What.ROOM_NOT_RECOVERED, _word(at), why))
        self._lease.pending.append(Delete(key_of(STATE, at.name), 0))
        self._lease.pending.append(Delete(key_of(OWNER, at.name), at.revision))

    def _was_saved(self, at: RoomAt, answer: Answer, now_us: int) -> None:
        if answer.revision is None:
            if at.state in (_S.OWNED, _S.HANDING_OVER):
                self._check(at, now_us)
            return
        at.saved_revision = answer.revision
        self._after_save(at, now_us)

    def _was_checked(self, at: RoomAt, answer: Answer, now_us: int) -> None:
        if at.state is _S.ACQUIRING:
            self._load(at, now_us)
        elif at.state in (_S.OWNED, _S.HANDING_OVER) and snapshots.fence_of(answer.value) <= at.fence:
            at.saved_revision = answer.revision or 0
            self._save(at, now_us)
        # A higher fencing number is a later owner's, whom the bucket shows.

    def _after_save(self, at: RoomAt, now_us: int) -> None:
        if at.state is _S.HANDING_OVER:
            if at.is_frozen_saved:
                self._name_successor(at, now_us)
            else:  # an earlier state was under way
                self._save(at, now_us)
        elif at.save_us is not None:
            self._to_save[at.name] = at
            self._wake_at(at.save_us)

    # --- what the bucket shows -------------------------------------------------------------------

    def saw(self, entry: Entry, now_us: int) -> None:
        """A room's key has changed."""
        room = room_of(entry.key)
        if room is None:
            return
        if entry.value is None:
            self._saw_none(room, entry.revision, now_us)
            return
        found = read_owner(entry.value)
        if found is None or found.kin != self._lease.kin:
            return
        _, owner, fence, is_listed, is_given = found
        at = self.at(room)
        if entry.revision < at.revision:
            return
        is_news = entry.revision > at.revision or at.state is _S.UNOWNED
        at.revision = entry.revision
        at.fence = max(at.fence, fence or entry.revision)
        at.is_listed = is_listed
        if owner == self._lease.address:
            self._saw_own(at, now_us, is_news=is_news, is_given=is_given)
        elif is_news:
            self._ask_no_more(at)
            self._to_save.pop(room, None)
            at.owner, at.since_us, at.save_us, at.saved = owner, 0, None, b""
            self._step(at, _E.SEEN)
            self._holder.drop(room, now_us)
            self._holder.settled(at, now_us)

    def _saw_own(self, at: RoomAt, now_us: int, *, is_news: bool, is_given: bool) -> None:
        if at.state is _S.ACQUIRING and (at.asked[0] == "take" if at.asked is not None else is_news):
            self._ask_no_more(at)  # its answer is late, or lost
            if is_given:  # or it was refused: another process had the room, and has given it to this one
                at.owner = self._lease.address
            self._taken(at, at.revision, now_us)
        elif is_news and at.state in (_S.UNOWNED, _S.ELSEWHERE):
            at.owner = self._lease.address
            if self._lease.holds(now_us):
                self._named(at, now_us)
            else:  # its claim is known to the owner before, but not yet here
                self._step(at, _E.SEEN)

    def _named(self, at: RoomAt, now_us: int) -> None:
        """The owner before has given the room to this process (R-OWN-7)."""
        self._step(at, _E.NAMED)
        self._load(at, now_us)

    def _saw_none(self, room: bytes, revision: int, now_us: int) -> None:
        at = self.rooms.get(room)
        if at is None or revision <= at.revision or at.state is _S.UNOWNED:
            return
        self._step(at, _E.VACATED)
        self._ask_no_more(at)
        self._to_save.pop(room, None)
        self._holder.drop(room, now_us)
        self._holder.vacated(room)
        at.owner, at.revision, at.fence, at.saved, at.saved_revision = "", 0, 0, b"", 0
        self._holder.settled(at, now_us)
        self._forget_if_empty(at)

    # --- small steps -----------------------------------------------------------------------------

    def _forget_if_empty(self, at: RoomAt) -> None:
        if at.state is _S.UNOWNED and at.asked is None and not at.held:
            self._forget(at)

    def _forget(self, at: RoomAt) -> None:
        self._ask_no_more(at)
        self._to_save.pop(at.name, None)
        if self.rooms.get(at.name) is at:
            del self.rooms[at.name]

    def _step(self, at: RoomAt, event: OwnershipEvent) -> None:
        row = OWNERSHIP.rows.get((at.state, event))
        if row is None:
            raise IllegalEvent(OWNERSHIP.machine, at.state, event)
        if row.to is not at.state:
            self._lease.pending.append(
                ClusterStepped(ClusterMachine.OWNERSHIP, _word(at), event, at.state, row.to, OwnRule(row.rule))
            )
        at.state = row.to


def _word(at: RoomAt) -> str:
    """How people call the room."""
    return at.name.decode("utf-8", "replace")
