"""The names of a cluster's machines and rules, the rules' sentences, and the figures that they rest on.

Has no behaviour. Apart from `tcrp.spec.names`, which speaks of one server and whatever serves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from tcrp.spec.limits import SECOND_US
from tcrp.spec.names import Machine, Rule


class ClusterMachine(StrEnum):
    """The machines of a cluster."""

    LEASE = "lease"
    OWNERSHIP = "ownership"


class LeaseState(StrEnum):
    """A process's right to own rooms."""

    FREE = "free"
    CLAIMING = "claiming"
    HELD = "held"
    RENEWING = "renewing"
    LOST = "lost"
    RELEASED = "released"


class LeaseEvent(StrEnum):
    """What can happen to a lease."""

    CLAIMED = "claimed"
    GRANTED = "granted"
    REFUSED = "refused"
    RENEWAL_SENT = "renewal_sent"
    RAN_OUT = "ran_out"
    RELEASED = "released"


class OwnershipState(StrEnum):
    """Whose a room is, as one process sees it."""

    UNOWNED = "unowned"
    ACQUIRING = "acquiring"
    OWNED = "owned"
    HANDING_OVER = "handing-over"
    ELSEWHERE = "elsewhere"
    ORPHANED = "orphaned"


class OwnershipEvent(StrEnum):
    """What can happen to a room's ownership."""

    WANTED = "wanted"
    NAMED = "named"
    ACQUIRED = "acquired"
    SEEN = "seen"
    ORPHANED = "orphaned"
    HANDING_OVER = "handing_over"
    VACATED = "vacated"


class OwnRule(StrEnum):
    """The rules of a cluster, by id."""

    OWN_1 = "R-OWN-1"
    OWN_2 = "R-OWN-2"
    OWN_3 = "R-OWN-3"
    OWN_4 = "R-OWN-4"
    OWN_5 = "R-OWN-5"
    OWN_6 = "R-OWN-6"
    OWN_7 = "R-OWN-7"
    OWN_8 = "R-OWN-8"
    OWN_9 = "R-OWN-9"


AnyMachine = Machine | ClusterMachine
AnyRule = Rule | OwnRule

OWN_SENTENCES: Mapping[OwnRule, str] = MappingProxyType(
    {
        OwnRule.OWN_1: "A room has at most one owner: the process that its key in the bucket names. The key changes by "
        "compare-and-set only. The owner's fencing number is the revision by which it became the owner; it grows with "
        "every owner.",
        OwnRule.OWN_2: "A process owns rooms only while it holds its lease, which it renews every third of it. It "
        "counts from the moment at which it asked for the latest renewal that was granted, less the clock drift, and "
        "owns nothing from then on, whether it hears of others or not.",
        OwnRule.OWN_3: "Others take a lease for lost when they have seen no renewal for the lease and the clock drift, "
        "each by its own clock, and the key, read then, is still the one that they saw; or when it was released.",
        OwnRule.OWN_4: "What an owner puts out carries its fencing number. A process that knows of a higher one for "
        "that room drops it.",
        OwnRule.OWN_5: "A gateway forwards what its clients send, with their addresses, to the owner of the room, and "
        "sends out what the owner puts out for them. A session belongs to the gateway and the listener that granted "
        "its token, as R-TOK-3 says of listeners.",
        OwnRule.OWN_6: "The owner saves a room at each join and leave, and every second while something happens in "
        "it, by compare-and-set. After the loss of its owner a room goes on from there at another process; silence "
        "counts from then on.",
        OwnRule.OWN_7: "A process that stops saves each room, names its successor in the room's key, and forwards what "
        "still comes for the room. A room is left only to a process that has renewed its lease: one that has claimed "
        "it may not know that it has it. So a process renews for the first time as soon as its claim is granted.",
        OwnRule.OWN_8: "Where a room cannot go on, because there is nothing saved that the next owner can read, and "
        "where a gateway has been cut off from the bucket for a lease, the gateways tell their members (shutdown).",
        OwnRule.OWN_9: "Processes of another version, with other listeners or of another application are neither "
        "spoken to nor listened to.",
    }
)

LEASE_US = 5 * SECOND_US
"""The usual length of a lease."""

LEASE_LEAST_US, LEASE_MOST_US = SECOND_US, 60 * SECOND_US
"""Bounds of its setting."""

DRIFT_PARTS = 100
"""Clocks of two processes may go apart by one part in so many."""

SAVE_EVERY_US = SECOND_US
"""A room in which something happened is saved at least so often."""

WAITING_MAX = 1024
"""So many inputs for a room wait at a process while it has no owner; the oldest give way."""
