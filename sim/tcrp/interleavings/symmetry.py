"""Users who want the same are interchangeable: of the states that differ only in which of them is which, one is kept.

Their names have as many bytes each, so that renaming changes no length. A part is renamed once for each way of
exchanging the users, and looked up from then on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise, permutations
from typing import Any

from tcrp.interleavings.moments import Pace, settled
from tcrp.interleavings.parts import Broken, Flight, Numbers, Party, ServerPart
from tcrp.interleavings.reference_state import Frozen
from tcrp.interleavings.server_part import STREAMS, token_of
from tcrp.interleavings.values import ATOMS, field_names
from tcrp.sim.hosts.user import UserHost

Order = tuple[int, ...]
"""For each place of an interchangeable user, who comes there."""


class Renaming:
    """Puts each of some users in the place of another: names, addresses and tokens, wherever they stand."""

    def __init__(self, users: list[UserHost], order: Mapping[int, int]) -> None:
        names: dict[str, str] = {}
        for of, to in order.items():
            names[users[of].id] = users[to].id
            names[users[of].address.ip] = users[to].address.ip
            for number in STREAMS:
                old, new = token_of(f"{users[of].id}#{number}"), token_of(f"{users[to].id}#{number}")
                names[old.decode()] = new.decode()
        self._places = dict(order)
        self._texts = names
        self._bytes = {old.encode(): new.encode() for old, new in names.items()}
        # An address is not the beginning of another's.
        pattern = "|".join(rf"{re.escape(each)}(?!\d)" if "." in each else re.escape(each) for each in names)
        self._in_text = re.compile(pattern)
        self._in_bytes = re.compile(pattern.encode())

    def of(self, value: Any) -> Any:
        """The value with the users exchanged."""
        kind = type(value)
        if kind is bytes:
            return self._in_bytes.sub(lambda match: self._bytes[match[0]], value)
        if kind is str:
            return self._in_text.sub(lambda match: self._texts[match[0]], value)
        if kind in ATOMS:
            return value
        if isinstance(value, Flight):
            party = self._places.get(value.party, value.party)
            return value._replace(party=party, data=self.of(value.data), address=self.of(value.address))
        if isinstance(value, tuple):
            items = [self.of(each) for each in value]
            return tuple(items) if kind is tuple else kind(*items)
        names = field_names(kind)
        return value if names is None else replace(value, **{name: self.of(getattr(value, name)) for name in names})


class Symmetry:
    """The states that stand for all that are alike. `guests` are the places of the interchangeable users."""

    def __init__(
        self, users: list[UserHost], guests: Order, pace: Pace, server: Numbers[ServerPart],
        parties: list[Numbers[Party]], flight_number: Callable[[Flight], int], flights: Numbers[Flight],
        broken: Numbers[Broken],
    ) -> None:  # fmt: skip
        self._users = users
        self._guests = guests
        self._pace = pace
        self._server = server
        self._parties = parties
        self._flight_number = flight_number
        self._flights = flights
        self._broken = broken
        self._end = 2 + len(users)
        self._known_orders: dict[tuple[int, ...], list[Order]] = {}
        self._renamings: dict[Order, Renaming] = {}
        self._ranks: list[dict[int, int]] = [{} for _ in users]
        self._servers: dict[tuple[int, Order], int] = {}
        self.renamed: list[tuple[tuple[int, Order], int]] = []  # servers, since somebody emptied it
        self._moved: dict[tuple[int, int, int], int] = {}
        self._flown: dict[tuple[int, Order], int] = {}

    def representative(self, state: tuple[int, ...]) -> tuple[int, ...]:
        """The state in which the guests stand in the order of what they have done, whoever they are."""
        if state[0] < 0:
            return (state[0], min(self._broken.number(each) for each in self._alike(self._broken.of[state[1]])))
        ranks = self._ranks
        own = tuple([ranks[at].get(state[2 + at]) or self._rank(at, state[2 + at]) for at in self._guests])
        orders = self._known_orders.get(own) or self._orders(own)
        if len(orders) == 1:
            return state if orders[0] == self._guests else self._exchanged(state, orders[0])
        return min(state if order == self._guests else self._exchanged(state, order) for order in orders)

    def learn(self, renamed: list[tuple[tuple[int, Order], int]]) -> None:
        """Take over servers that another process has renamed."""
        self._servers.update(renamed)

    def _alike(self, broken: Broken) -> Iterator[Broken]:
        """What is broken, whoever the guests are."""
        for order in permutations(self._guests):
            yield self._renaming(order).of(broken)

    def _orders(self, ranks: tuple[int, ...]) -> list[Order]:
        """The orders by rank: more than one where some are equal."""
        orders = self._known_orders[ranks] = [
            tuple(self._guests[each] for each in order)
            for order in permutations(range(len(ranks)))
            if all(ranks[one] <= ranks[other] for one, other in pairwise(order))
        ]
        return orders

    def _exchanged(self, state: tuple[int, ...], order: Order) -> tuple[int, ...]:
        parties = list(state[2 : self._end])
        for place, at in zip(self._guests, order, strict=True):
            parties[place] = self._move(state[2 + at], at, place)
        server = self._servers.get((state[1], order))
        if server is None:
            server = self._servers[state[1], order] = self._rename_server(state[1], order)
        flights = [self._flown.get((each, order)) or self._fly(each, order) for each in state[self._end :]]
        flights.sort()
        return (state[0], server, *parties, *flights)

    def _renaming(self, order: Order) -> Renaming:
        known = self._renamings.get(order)
        if known is None:
            to = dict(zip(order, self._guests, strict=True))
            known = self._renamings[order] = Renaming(self._users, to)
        return known

    def _rank(self, at: int, party: int) -> int:
        """A number of what a guest has done that does not depend on who it is."""
        rank = self._ranks[at][party] = self._move(party, at, self._guests[0])
        return rank

    def _move(self, party: int, at: int, place: int) -> int:
        """The number of a guest's state when the guest is another."""
        if at == place:
            return party
        known = self._moved.get((party, at, place))
        if known is None:
            moved = Renaming(self._users, {at: place}).of(self._parties[at].of[party])
            known = self._moved[party, at, place] = self._parties[place].number(moved)
        return known

    def _rename_server(self, server: int, order: Order) -> int:
        engine, reference = self._renaming(order).of(self._server.of[server])
        number = self._server.number(ServerPart(settled(engine, self._pace), _sorted(reference)))
        self.renamed.append(((server, order), number))
        return number

    def _fly(self, number: int, order: Order) -> int:
        flown = self._flown[number, order] = self._flight_number(self._renaming(order).of(self._flights.of[number]))
        return flown


def _sorted(reference: Frozen | None) -> Frozen | None:
    """A reference server's state as it is frozen: everything in the order of its key."""
    if reference is None:
        return None
    sessions, rooms, connections, is_stopping = reference
    rooms = tuple((name, is_held, tuple(map(_sorted_list, values))) for name, is_held, values in sorted(rooms))
    return tuple(sorted(sessions)), rooms, tuple(sorted(connections)), is_stopping


def _sorted_list(value: Any) -> Any:
    if isinstance(value, tuple) and value and value[0] == "list":
        return ("list", *sorted(value[1:]))
    return value
