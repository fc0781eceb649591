"""The users of a scenario: their entries, crowds, and the words that stand for users, links, sessions and rooms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from tcrp.sim.scenario.errors import nearest, one_of
from tcrp.sim.scenario.kinds import IP, LISTENER, SERVER_NAME, TRUTH, USER_NAME, Scene, Word, check_user_name, whole
from tcrp.sim.scenario.model import LinkId, User
from tcrp.sim.scenario.nodes import FULL_WIDTH_COLON, FULL_WIDTH_COLON_FOUND, Value
from tcrp.sim.scenario.records import Field, Record, defaults_of
from tcrp.sim.scenario.servers import BUCKET, no_server
from tcrp.spec.dialects import NAMES

RESERVED = (
    *("at", "in", "when", "every", "times", "by", "between", "for", "default", "all"),
    *("server", "network", "room", "session", "step", "packets", "drop", "refuse", "handshake", "trace"),
)
CROWD_MAX = 10_000
SERVER, NETWORK, ALL = "server", "network", "all"
USER_ENTRY: Record[Any] = Record(
    dict,
    Field("name", USER_NAME, "The user's name in the chat; without it, the word before the colon.",
          "bob2: {name: bob}"),
    Field("dialect", Word(NAMES), "The dialect of the user's client; without it, json.", "bob: {dialect: text}"),
    Field("address", IP, "The user's IP address; without it, the next free one from 10.0.0.1, or from 10.9.0.1 "
          "for attackers.", "bob: {address: 10.0.0.7}"),
    Field("attacker", TRUTH, "Whether the user may take attackers' steps.", "mallory: {attacker: true}"),
    Field("keeps_alive", TRUTH, "Whether the user's client keeps itself alive and notices a silent server, as "
          "chat-client does.", "bob: {keeps_alive: true}"),
    Field("listener", LISTENER, "The server's listener by which the user asks and speaks; without it, the first.",
          "bob: {listener: old}"),
    Field("server", SERVER_NAME, "In a cluster, the server to which the user speaks; without it, the first.",
          "bob: {server: b}"),
    Field("count", whole(1, CROWD_MAX), "Makes a crowd of so many users: crowd-1, crowd-2, … The word alone stands for "
          "each of them.", "crowd: {count: 20}"),
    Field("allow_invalid", TRUTH, "Lets a name through that R-NAME-1 forbids.",
          'colon: {name: "a:b", allow_invalid: true}', into="allow_invalid_name"),
    may_be_nothing=True,
    defaults={**defaults_of(User), "name": None, "count": None},
)  # fmt: skip


class Cast:
    """Users by id, in order of appearance. A crowd's name stands for all its members."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.crowds: dict[str, tuple[str, ...]] = {}
        self.rooms: set[str] = set()  # that some step speaks of
        self.listeners: tuple[str, ...] = ()  # of the server, if it has several
        self.servers: tuple[str, ...] = ()  # if there are several

    # --- declaring -------------------------------------------------------------------------------

    def declare(self, key: Value, id: str, value: Value) -> None:
        """An entry of `users:`."""
        self._check_id(key, id)
        parts = USER_ENTRY.parts(value)
        allow_invalid = "allow_invalid" in parts and parts["allow_invalid"].boolean()
        entry = USER_ENTRY.from_parts(value, parts, Scene(self, allow_invalid))
        count, name = entry.pop("count", None), entry.pop("name", None)
        if count is None:
            if name is None:
                check_user_name(key, id, allow_invalid=allow_invalid)
            self._add(key, User(id=id, name=name or id, **entry))
            return
        self.crowds[id] = tuple(f"{id}-{number}" for number in range(1, count + 1))
        for number, member in enumerate(self.crowds[id], start=1):
            own_name = name.replace("{i}", str(number)) if name is not None else member
            check_user_name(key, own_name, allow_invalid=allow_invalid)
            self._add(key, User(id=member, name=own_name, crowd=id, number=number, **entry))

    def appear(self, key: Value, id: str) -> None:
        """A user acts in the script. One that is not declared exists from now on."""
        if id not in self.users and id not in self.crowds:
            self._check_id(key, id)
            check_user_name(key, id, allow_invalid=False)
            self._add(key, User(id=id, name=id))

    def _add(self, key: Value, user: User) -> None:
        if user.id in self.users or user.id in self.crowds:
            key.fail(f"there are two users {user.id!r}")
        self.users[user.id] = user

    @property
    def machines(self) -> tuple[str, ...]:
        """The actors that are neither users nor the network."""
        return (*self.servers, BUCKET) if self.servers else (SERVER,)

    def _check_id(self, key: Value, id: str) -> None:
        if id in RESERVED:
            key.fail(f"{id!r} is a word of the format and cannot be a user; reserved are {one_of(RESERVED)}")
        if id in self.machines:
            key.fail(f"{id!r} is {'the bucket of the servers' if id == BUCKET else 'a server'} and cannot be a user")
        if key.is_ambiguous:
            key.fail(f'user: YAML reads {id} as {key.kind_in_yaml_1_1}; as a user it is written "{id}"')
        if FULL_WIDTH_COLON in id:
            key.fail(f"{id!r} {FULL_WIDTH_COLON_FOUND}")
        if not id:
            key.fail("a user has a name")

    # --- referring -------------------------------------------------------------------------------

    def members(self, value: Value, id: str) -> tuple[str, ...]:
        """The users that a word stands for. Fails where nobody of that name is declared."""
        if id in self.crowds:
            return self.crowds[id]
        if id in self.users:
            return (id,)
        return self._fail_unknown(value, id, [])

    def user(self, value: Value) -> str:
        """One user, by id."""
        id = value.string("alice")
        if id in self.crowds:
            value.fail(f"{value.name}: {id} is a crowd; name one of its members, such as {id}-1")
        return self.members(value, id)[0]

    def link_end(self, value: Value) -> tuple[str, ...]:
        """A user, a crowd, a server, the bucket of servers, or `all`."""
        id = value.string("alice")
        if id in (*self.machines, ALL):
            return (id,)
        if id in self.crowds or id in self.users:
            return self.members(value, id)
        if id == SERVER:
            no_server(value, self.servers)
        return self._fail_unknown(value, id, [*self.machines, ALL])

    def links(self, ends: tuple[Value, Value], *, both_ways: bool) -> tuple[LinkId, ...]:
        """The links between two ends, one for each pair of members."""
        sources, targets = self.link_end(ends[0]), self.link_end(ends[1])
        both = {*sources, *targets}
        if not {*self.machines, ALL} & both:
            one = "`server`" if not self.servers else "a server"
            ends[1].fail(f"links are between users and the server; one of the two ends is {one} or `all`")
        if BUCKET in both and self.servers and both & self.users.keys():
            ends[1].fail("only servers have links to the bucket")
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
            value.fail(f"{value.name}: no user is named {name!r} in the chat{nearest(name, names)}")
        return value.fail(f"{value.name}: no step speaks of the room {room!r}{nearest(room, self.rooms)}")

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
