"""The lease of one process, and whom it sees alive. Knows the bucket's keys and its own clock, no rooms.

The holder counts from when it asked, less the drift; the others from when they saw it, plus the drift (R-OWN-2,
R-OWN-3). So no two clocks are ever compared, only how fast they run. That a renewal was not shown says little: the
bucket may be out of reach. So before a lease is taken for lost, its key is read, and must be the one that was seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tcrp.cluster.keys import NODE, LeaseValue, read_lease, write
from tcrp.cluster.outputs import Answer, ClusterOutput, ClusterStepped, Delete, Entry, Get, Happened, Put, What
from tcrp.spec.cluster_names import DRIFT_PARTS, ClusterMachine, LeaseEvent, LeaseState, OwnRule
from tcrp.spec.ownership import LEASE
from tcrp.spec.table import IllegalEvent

RENEWALS = 3
"""Renewals within one lease."""


@dataclass(slots=True)
class Seen:
    """Another process: its address, until when it counts as alive, and whether it has renewed its lease."""

    address: str
    until_us: int
    revision: int
    is_renewed: bool


class News(NamedTuple):
    """What a key says that was not known: whose lease is over, is there, or is renewed for the first time. Or empty."""

    lost: str = ""
    joined: str = ""
    renewed: str = ""


class Lease:
    """`name` is the process's place in the cluster, `life` tells its lives apart, `kin` its version and settings."""

    def __init__(self, name: str, life: str, kin: str, lease_us: int, new_ask: Callable[[], int]) -> None:
        self.name = name
        self.kin = kin
        self.lease_us = lease_us
        self.state = LeaseState.FREE
        self.until_us = 0  # by its own clock
        self.seen: dict[str, Seen] = {}  # the others, by name
        self.pending: list[ClusterOutput] = []
        self._life = life
        self._lives = 1
        self._revision = 0
        self._holder: Seen | None = None  # who has the name
        self._asked: tuple[int, int] | None = None  # the ask that is not answered, and when it was sent
        self._renew_us = 0
        self._new_ask = new_ask
        self._confirming: dict[int, tuple[str, str, int]] = {}  # by ask: name, address, when it was sent
        self._lost: list[str] = []
        self._was_contested = False
        self._strangers: dict[str, None] = {}  # who has been spoken of

    @property
    def address(self) -> str:
        """Where this life of the process is spoken to."""
        return f"{self.name}.{self._life}.{self._lives}"

    def holds(self, now_us: int) -> bool:
        """Whether the process may own rooms at this moment."""
        return self.state in (LeaseState.HELD, LeaseState.RENEWING) and now_us < self.until_us

    @property
    def key(self) -> str:
        """Of the bucket."""
        return NODE + self.name

    @property
    def revision(self) -> int:
        """Of its key, as it knows it."""
        return self._revision

    def is_alive(self, address: str) -> bool:
        """Whether the lease of the process at `address` is taken to hold."""
        if address == self.address:
            return self.state in (LeaseState.HELD, LeaseState.RENEWING)
        seen = self.seen.get(address.partition(".")[0])
        return seen is not None and seen.address == address

    def candidates(self) -> list[str]:
        """The addresses of the others that may be given rooms.

        One that has written a claim may never learn that it was granted: its way to the bucket is perhaps too slow.
        """
        return [each.address for each in self.seen.values() if each.is_renewed]

    def next_us(self) -> int | None:
        """When `tick` is to be called next."""
        # Of one that was suspected, it is asked again later; it may have been shown since, and the answer lost.
        again = {name: sent_us + self._bound_us() for name, _, sent_us in self._confirming.values()}
        times = [max(each.until_us, again.get(name, 0)) for name, each in self.seen.items()]
        if self.state is LeaseState.RELEASED:
            return None
        if self.state in (LeaseState.HELD, LeaseState.RENEWING):
            times.append(self.until_us)
        times.append(self._renew_us if self._asked is None else self._asked[1] + self._bound_us())
        return min(times)

    def take_lost(self) -> list[str]:
        """The addresses of processes whose leases are known to be over since the last call."""
        lost, self._lost = self._lost, []
        return lost

    def suspect(self, address: str, now_us: int) -> None:
        """Find out whether the lease of a process is over: nothing, or nothing new, has been seen of it."""
        name = address.partition(".")[0]
        for ask, (other, _, sent_us) in list(self._confirming.items()):
            if other == name:
                if now_us - sent_us < self._bound_us():
                    return
                del self._confirming[ask]
        ask = self._new_ask()
        self._confirming[ask] = name, address, now_us
        self.pending.append(Get(ask, NODE + name))

    def tick(self, now_us: int) -> None:
        """Do what is due."""
        for each in list(self.seen.values()):
            if now_us >= each.until_us:
                self.suspect(each.address, now_us)
        if self._holder is not None and now_us >= self._holder.until_us:
            self._revision, self._holder = max(self._revision, self._holder.revision), None
        if self.state in (LeaseState.HELD, LeaseState.RENEWING) and now_us >= self.until_us:
            self._step(LeaseEvent.RAN_OUT)
            self._lives += 1
            self._renew_us, self._asked = now_us, None
        if self.state in (LeaseState.CLAIMING, LeaseState.RENEWING) and self._is_overdue(now_us):
            self._asked = None
            if self.state is LeaseState.CLAIMING:
                self._step(LeaseEvent.RAN_OUT)
        if now_us >= self._renew_us:
            self._ask(now_us)

    def ask_again(self, now_us: int) -> None:
        """The bucket is in reach again: what was asked before may be lost."""
        self._asked = None
        if self._holder is None:
            self._renew_us = now_us

    def release(self) -> None:
        """Own nothing from now on."""
        if self.state in (LeaseState.HELD, LeaseState.RENEWING):
            self._step(LeaseEvent.RELEASED)
            self.pending.append(Delete(self.key, self._revision))

    def answered(self, ask: int, answer: Answer, now_us: int) -> bool:
        """The bucket has answered. Returns whether it was about a lease."""
        if ask in self._confirming:
            name, address, _ = self._confirming.pop(ask)
            self._confirm(name, address, answer, now_us)
            return True
        if self._asked is None or ask != self._asked[0]:
            return False
        _, sent_us = self._asked
        self._asked = None
        if answer.revision is not None:
            if self.state in (LeaseState.CLAIMING, LeaseState.RENEWING):
                self._revision = answer.revision
                self.until_us = sent_us + self.lease_us - self.lease_us // DRIFT_PARTS
                was_claiming = self.state is LeaseState.CLAIMING
                self._step(LeaseEvent.GRANTED)
                if was_claiming:  # the others are to know that it may be given rooms
                    self._ask(now_us)
        elif self.state is LeaseState.CLAIMING:
            self._step(LeaseEvent.REFUSED)
        elif self.state is LeaseState.RENEWING and self._holder is not None:  # its name is another process's
            self._step(LeaseEvent.REFUSED)
            self._lives += 1
        # Otherwise an earlier renewal was written whose answer was lost: the bucket tells its revision.
        return True

    def _confirm(self, name: str, address: str, answer: Answer, now_us: int) -> None:
        """What a key is that was not shown for a lease."""
        seen = self.seen.get(name)
        if seen is not None and (seen.address != address or now_us < seen.until_us):
            return  # it was shown meanwhile
        value = read_lease(answer.value if answer.revision is not None else None)
        is_new = seen is None or answer.revision != seen.revision
        is_there = value is not None and (value.kin, value.address) == (self.kin, address)
        if is_there and is_new:  # it is alive, and its news did not come
            until_us = now_us + self.lease_us + self.lease_us // DRIFT_PARTS
            was_renewed = seen is not None and seen.is_renewed  # more is news, and the bucket shows it
            self.seen[name] = Seen(address, until_us, answer.revision or 0, was_renewed)
            return
        self.seen.pop(name, None)
        self._lost.append(address)
        self.pending.append(Happened(What.NODE_LOST, name))

    def saw(self, entry: Entry, now_us: int) -> News:
        """A process's key has changed."""
        name = entry.key.removeprefix(NODE)
        value = read_lease(entry.value)
        if name == self.name:
            self._saw_own(entry, value.address if value is not None else "", now_us)
            return News()
        old = self.seen.get(name)
        if value is None or value.kin != self.kin:
            if entry.value is not None and name not in self._strangers:
                self._strangers[name] = None
                self.pending.append(Happened(What.STRANGER, name, "another version, or other listeners"))
            if old is None:
                return News()
            del self.seen[name]
            self.pending.append(Happened(What.NODE_LOST, name))
            return News(lost=old.address)
        _, address, is_renewed = value
        until_us = now_us + self.lease_us + self.lease_us // DRIFT_PARTS
        self.seen[name] = Seen(address, until_us, entry.revision, is_renewed)
        if old is None:
            self.pending.append(Happened(What.NODE_JOINED, name))
        if old is None or old.address != address:
            return News(old.address if old is not None else "", address, address if is_renewed else "")
        return News(renewed=address if is_renewed and not old.is_renewed else "")

    def _saw_own(self, entry: Entry, address: str, now_us: int) -> None:
        if address == self.address:  # also the renewal whose answer was lost
            self._revision = max(self._revision, entry.revision)
            return
        if entry.revision <= self._revision:
            return  # an older one, shown late
        if entry.value is None:
            self._holder, self._revision = None, 0
            if self.state is LeaseState.FREE:
                self._renew_us = now_us
            return
        if address.rpartition(".")[0] == self.address.rpartition(".")[0]:  # an earlier life of this very process
            self._revision = max(self._revision, entry.revision)
            return
        if self._holder is not None and self._holder.revision != entry.revision and not self._was_contested:
            self._was_contested = True
            self.pending.append(Happened(What.NAME_IN_USE, self.name))
        until_us = now_us + self.lease_us + self.lease_us // DRIFT_PARTS
        self._holder = Seen(address, until_us, entry.revision, is_renewed=False)
        self._renew_us = max(self._renew_us, until_us)

    # --- asking ----------------------------------------------------------------------------------

    def _bound_us(self) -> int:
        return self.lease_us // RENEWALS

    def _is_overdue(self, now_us: int) -> bool:
        return self._asked is not None and now_us - self._asked[1] >= self._bound_us()

    def _ask(self, now_us: int) -> None:
        if self.state is LeaseState.RELEASED or self._asked is not None:
            return
        self._renew_us = now_us + self._bound_us()
        if self._holder is not None:
            self._renew_us = self._holder.until_us
            return
        if self.state in (LeaseState.FREE, LeaseState.LOST):
            self._step(LeaseEvent.CLAIMED)
        elif self.state is LeaseState.HELD:
            self._step(LeaseEvent.RENEWAL_SENT)
        ask = self._new_ask()
        self._asked = ask, now_us
        value = write(LeaseValue(self.kin, self.address, self.state is LeaseState.RENEWING))
        self.pending.append(Put(ask, self.key, value, self._revision))

    def _step(self, event: LeaseEvent) -> None:
        row = LEASE.rows.get((self.state, event))
        if row is None:
            raise IllegalEvent(LEASE.machine, self.state, event)
        self.pending.append(
            ClusterStepped(ClusterMachine.LEASE, self.address, event, self.state, row.to, OwnRule(row.rule))
        )
        self.state = row.to
