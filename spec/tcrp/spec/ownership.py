"""The machines of a cluster: a process's lease, and a room's ownership as one process sees it.

Several servers share one space of room names. The chat protocol does not know of it: its machines, rules and
properties are those of one server. What is here says which server that is, for each room and at each moment.
"""

from __future__ import annotations

from typing import cast

from statemachine.states import States

from tcrp.spec.cluster_names import (
    ClusterMachine,
    LeaseEvent,
    LeaseState,
    OwnershipEvent,
    OwnershipState,
    OwnRule,
)
from tcrp.spec.machine import ProtocolMachine
from tcrp.spec.names import Machine, Rule
from tcrp.spec.table import Table, read


class LeaseMachine(ProtocolMachine):
    """free → claiming → held ⇄ renewing → lost, or released.

    `ran_out` is found by the holder's own clock; `refused` says that somebody else has written the key.
    """

    states_ = States.from_enum(LeaseState, initial=LeaseState.FREE, final=LeaseState.RELEASED, use_enum_instance=True)

    claimed = states_.FREE.to(states_.CLAIMING) | states_.LOST.to(states_.CLAIMING)
    granted = states_.CLAIMING.to(states_.HELD) | states_.RENEWING.to(states_.HELD)
    refused = states_.CLAIMING.to(states_.FREE) | states_.RENEWING.to(states_.LOST)
    renewal_sent = states_.HELD.to(states_.RENEWING)
    ran_out = states_.CLAIMING.to(states_.FREE) | states_.HELD.to(states_.LOST) | states_.RENEWING.to(states_.LOST)
    released = states_.HELD.to(states_.RELEASED) | states_.RENEWING.to(states_.RELEASED)


LEASE_RULES = {
    (LeaseState.FREE, LeaseEvent.CLAIMED): OwnRule.OWN_2,
    (LeaseState.LOST, LeaseEvent.CLAIMED): OwnRule.OWN_2,
    (LeaseState.CLAIMING, LeaseEvent.GRANTED): OwnRule.OWN_2,
    (LeaseState.RENEWING, LeaseEvent.GRANTED): OwnRule.OWN_2,
    (LeaseState.CLAIMING, LeaseEvent.REFUSED): OwnRule.OWN_3,
    (LeaseState.RENEWING, LeaseEvent.REFUSED): OwnRule.OWN_3,
    (LeaseState.HELD, LeaseEvent.RENEWAL_SENT): OwnRule.OWN_2,
    (LeaseState.CLAIMING, LeaseEvent.RAN_OUT): OwnRule.OWN_2,
    (LeaseState.HELD, LeaseEvent.RAN_OUT): OwnRule.OWN_2,
    (LeaseState.RENEWING, LeaseEvent.RAN_OUT): OwnRule.OWN_2,
    (LeaseState.HELD, LeaseEvent.RELEASED): OwnRule.OWN_7,
    (LeaseState.RENEWING, LeaseEvent.RELEASED): OwnRule.OWN_7,
}


class OwnershipMachine(ProtocolMachine):
    """unowned → acquiring → owned → handing-over → elsewhere, as one process sees one room.

    `seen`: the bucket says that another process owns the room. `orphaned`: that process has lost its lease.
    `named`: the owner before has named this process.
    """

    states_ = States.from_enum(OwnershipState, initial=OwnershipState.UNOWNED, use_enum_instance=True)

    wanted = states_.UNOWNED.to(states_.ACQUIRING) | states_.ORPHANED.to(states_.ACQUIRING)
    named = states_.UNOWNED.to(states_.ACQUIRING) | states_.ELSEWHERE.to(states_.ACQUIRING)
    acquired = states_.ACQUIRING.to(states_.OWNED)
    seen = (
        states_.UNOWNED.to(states_.ELSEWHERE)
        | states_.ACQUIRING.to(states_.ELSEWHERE)
        | states_.ELSEWHERE.to.itself(internal=True)
        | states_.ORPHANED.to(states_.ELSEWHERE)
        | states_.OWNED.to(states_.ELSEWHERE)
        | states_.HANDING_OVER.to(states_.ELSEWHERE)
    )
    orphaned = (
        states_.ELSEWHERE.to(states_.ORPHANED)
        | states_.ACQUIRING.to(states_.ORPHANED)
        | states_.OWNED.to(states_.ORPHANED)
        | states_.HANDING_OVER.to(states_.ORPHANED)
    )
    handing_over = states_.OWNED.to(states_.HANDING_OVER)
    vacated = (
        states_.ACQUIRING.to(states_.UNOWNED)
        | states_.OWNED.to(states_.UNOWNED)
        | states_.ELSEWHERE.to(states_.UNOWNED)
        | states_.ORPHANED.to(states_.UNOWNED)
        | states_.HANDING_OVER.to(states_.UNOWNED)
    )


_S, _E = OwnershipState, OwnershipEvent
OWNERSHIP_RULES = {
    (_S.UNOWNED, _E.WANTED): OwnRule.OWN_1,
    (_S.ORPHANED, _E.WANTED): OwnRule.OWN_6,
    (_S.UNOWNED, _E.NAMED): OwnRule.OWN_7,
    (_S.ELSEWHERE, _E.NAMED): OwnRule.OWN_7,
    (_S.ACQUIRING, _E.ACQUIRED): OwnRule.OWN_1,
    (_S.UNOWNED, _E.SEEN): OwnRule.OWN_1,
    (_S.ACQUIRING, _E.SEEN): OwnRule.OWN_1,
    (_S.ELSEWHERE, _E.SEEN): OwnRule.OWN_1,
    (_S.ORPHANED, _E.SEEN): OwnRule.OWN_1,
    (_S.OWNED, _E.SEEN): OwnRule.OWN_4,
    (_S.HANDING_OVER, _E.SEEN): OwnRule.OWN_7,
    (_S.ELSEWHERE, _E.ORPHANED): OwnRule.OWN_3,
    (_S.ACQUIRING, _E.ORPHANED): OwnRule.OWN_2,
    (_S.OWNED, _E.ORPHANED): OwnRule.OWN_2,
    (_S.HANDING_OVER, _E.ORPHANED): OwnRule.OWN_2,
    (_S.OWNED, _E.HANDING_OVER): OwnRule.OWN_7,
    (_S.ACQUIRING, _E.VACATED): OwnRule.OWN_8,
    (_S.OWNED, _E.VACATED): OwnRule.OWN_1,
    (_S.ELSEWHERE, _E.VACATED): OwnRule.OWN_1,
    (_S.ORPHANED, _E.VACATED): OwnRule.OWN_1,
    (_S.HANDING_OVER, _E.VACATED): OwnRule.OWN_1,
}


# A table's types speak of one server's machines and rules; it is read, rendered and stepped alike for these.
LEASE: Table[LeaseState, LeaseEvent] = read(
    cast(Machine, ClusterMachine.LEASE), LeaseMachine, LeaseState, LeaseEvent,
    cast("dict[tuple[LeaseState, LeaseEvent], Rule]", LEASE_RULES),
)  # fmt: skip
OWNERSHIP: Table[OwnershipState, OwnershipEvent] = read(
    cast(Machine, ClusterMachine.OWNERSHIP), OwnershipMachine, OwnershipState, OwnershipEvent,
    cast("dict[tuple[OwnershipState, OwnershipEvent], Rule]", OWNERSHIP_RULES),
)  # fmt: skip
