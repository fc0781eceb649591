"""Who is in a scenario: users, crowds, and the words that stand for them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import NoReturn

from tcrp.sim.scenario.errors import nearest, one_of
from tcrp.sim.scenario.model import LinkId, User
from tcrp.sim.scenario.nodes import Value
from tcrp.sim.scenario.scalars import check_user_name, user_name
from tcrp.spec.dialects import NAMES

RESERVED = (
    *("at", "in", "when", "every", "times", "by", "between", "for", "default", "all"),
    *("server", "network", "room", "session", "step", "packets", "drop", "refuse", "handshake", "trace"),
)
USER_KEYS = ("name", "dialect", "address", "attacker", "count", "allow_invalid")
CROWD_MAX = 10_000
SERVER, NETWORK, ALL = "server", "network", "all"


class Cast:
    """Users by id, in order of appearance. A crowd's name stands for all its members."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.crowds: dict[str, tuple[str, ...]] = {}
        self.rooms: set[str] = set()

    # --- declaring -------------------------------------------------------------------------------

    def declare(self, key: Value, id: str, value: Value) -> None:
        """An entry of `users:`."""
        self._check_id(key, id)
        parts = {} if is_nothing(value) else value.mapping(USER_KEYS)
        allow_invalid = "allow_invalid" in parts and parts["allow_invalid"].boolean()
        name = user_name(parts["name"], allow_invalid=allow_invalid) if "name" in parts else id
        common = {
            "dialect": parts["dialect"].word(NAMES) if "dialect" in parts else "json",
            "address": read_ip(parts["address"]) if "address" in parts else None,
            "attacker": "attacker" in parts and parts["attacker"].boolean(),
            "allow_invalid_name": allow_invalid,
        }
        if "count" not in parts:
            if "name" not in parts:
                check_user_name(key, id, allow_invalid=allow_invalid)
            self._add(key, User(id=id, name=name, **common))  # type: ignore[arg-type]
            return
        count = parts["count"].integer(1, CROWD_MAX)
        members = []
        for number in range(1, count + 1):
            member = f"{id}-{number}"
            own_name = name.replace("{i}", str(number)) if "name" in parts else member
            check_user_name(key, own_name, allow_invalid=allow_invalid)
            self._add(key, User(id=member, name=own_name, crowd=id, number=number, **common))  # type: ignore[arg-type]
            members.append(member)
        self.crowds[id] = tuple(members)

    def appear(self, key: Value, id: str) -> None:
        """Somebody acts in the script: whoever does so exists."""
        if id not in self.users and id not in self.crowds:
            self._check_id(key, id)
            check_user_name(key, id, allow_invalid=False)
            self._add(key, User(id=id, name=id))

    def _add(self, key: Value, user: User) -> None:
        if user.id in self.users or user.id in self.crowds:
            key.fail(f"there are two users {user.id!r}")
        self.users[user.id] = user

    @staticmethod
    def _check_id(key: Value, id: str) -> None:
        if id in RESERVED:
            key.fail(f"{id!r} is a word of the format and cannot be a user; reserved are {one_of(RESERVED)}")
        if not id:
            key.fail("a user has a name")

    # --- referring -------------------------------------------------------------------------------

    def members(self, value: Value, id: str) -> tuple[str, ...]:
        """The users that a word stands for. Fails where nobody of that name is declared."""
        if id in self.crowds:
            return self.crowds[id]
        if id in self.users:
            return (id,)
        self._fail_unknown(value, id, [])
        return None

    def user(self, value: Value) -> str:
        """One user, by id."""
        id = value.string("alice")
        if id in self.crowds:
            value.fail(f"{value.name}: {id} is a crowd; name one of its members, such as {id}-1")
        return self.members(value, id)[0]

    def link_end(self, value: Value) -> tuple[str, ...]:
        """A user, a crowd, `server` or `all`."""
        id = value.string("alice")
        if id in (SERVER, ALL):
            return (id,)
        if id in self.crowds or id in self.users:
            return self.members(value, id)
        self._fail_unknown(value, id, [SERVER, ALL])
        return None

    def links(self, ends: tuple[Value, Value], *, both_ways: bool) -> tuple[LinkId, ...]:
        """The links between two ends, one for each pair of members."""
        sources, targets = self.link_end(ends[0]), self.link_end(ends[1])
        if not {SERVER, ALL} & {*sources, *targets}:
            ends[1].fail("links are between users and the server; one of the two ends is `server` or `all`")
        links = [LinkId(source, target) for source in sources for target in targets]
        if both_ways:
            links += [LinkId(target, source) for source in sources for target in targets]
        return tuple(links)

    def chat_names(self) -> set[str]:
        """What users call themselves."""
        return {user.name for user in self.users.values()}

    def session_id(self, value: Value) -> str:
        """`bob@lobby`: a chat name, and a room that some step speaks of."""
        text = value.string("bob@lobby")
        at = [i for i, character in enumerate(text) if character == "@"]
        names = self.chat_names()
        for i in at:
            if text[:i] in names and self._is_room(text[i + 1 :]):
                return text
        if not at:
            value.fail(f"{value.name}: user@room is expected, not {text!r}")
        name, _, room = text.partition("@")
        if name not in names:
            value.fail(f"{value.name}: nobody calls himself {name!r}{nearest(name, names)}")
        value.fail(f"{value.name}: no step speaks of the room {room!r}{nearest(room, self.rooms)}")
        return None

    def room(self, value: Value) -> str:
        """A room that some step speaks of."""
        text = value.string("lobby")
        if not self._is_room(text):
            value.fail(f"{value.name}: no step speaks of the room {text!r}{nearest(text, self.rooms)}")
        return text

    def _is_room(self, text: str) -> bool:
        return text in self.rooms or any("{n}" in room for room in self.rooms)

    def _fail_unknown(self, value: Value, id: str, others: Iterable[str]) -> NoReturn:
        known = [*self.users, *self.crowds, *others]
        value.fail(f"{id!r} is nobody: declared are {one_of(known)}{nearest(id, known)}")


def read_ip(value: Value) -> str:
    """An IP address of either version, in its usual form."""
    text = value.string("10.0.0.7")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        value.fail(f"{value.name}: {text!r} is no IP address, such as 10.0.0.7")


def is_nothing(value: Value) -> bool:
    """Whether nothing stands there, as after a lone `key:`."""
    return value.is_scalar and str(value.node.tag).endswith(":null")
