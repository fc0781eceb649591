"""What actors do: the verbs of users, attackers, the server and the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal
from typing import cast as typed

from tcrp.sim.scenario.cast import Cast, is_nothing, read_ip
from tcrp.sim.scenario.errors import nearest, one_of
from tcrp.sim.scenario.links import ends, links_of, read_settings
from tcrp.sim.scenario.model import (
    Abandon,
    Action,
    Clock,
    Crash,
    Create,
    Cut,
    Datagram,
    Flood,
    Heal,
    Hold,
    Join,
    KeepAlive,
    Leave,
    LinkId,
    Move,
    Pause,
    Release,
    Remove,
    Replay,
    Reset,
    Say,
    SetLinks,
    Shutdown,
    Spoof,
    Stall,
    Start,
    StealToken,
    Stream,
)
from tcrp.sim.scenario.nodes import Value
from tcrp.sim.scenario.scalars import (
    REPEATED_BYTES_MAX,
    drift_ppm,
    duration_us,
    every_us,
    hex_bytes,
    room,
    text,
)

NTH_MAX = 1_000_000
AFTER = ("idle", "requested", "accepted")
ALONE: dict[str, KeepAlive | Leave | Crash | Start | Shutdown] = {
    "keep_alive": KeepAlive(),
    "leave": Leave(),
    "crash": Crash(),
    "start": Start(),
    "shutdown": Shutdown(),
}
"""Verbs that may stand as a single word."""


class Scene:
    """What a verb needs to know of the scenario and of its step."""

    def __init__(self, people: Cast, *, allow_invalid: bool, companions: dict[str, Value], number: int) -> None:
        self.people = people
        self.allow_invalid = allow_invalid
        self.companions = companions  # `for`, `between`, `from`, `to` beside the verb
        self.number = number  # of the actor in its crowd, for `{i}`

    def fill(self, words: str) -> str:
        """`{i}` filled in."""
        return words.replace("{i}", str(self.number)) if self.number else words

    def room(self, value: Value) -> str:
        """A room's name, which the scenario speaks of from now on."""
        name = self.fill(room(value, allow_invalid=self.allow_invalid))
        self.people.rooms.add(name)
        return name

    def text(self, value: Value) -> str:
        """A text to be said."""
        return self.fill(text(value, allow_invalid=self.allow_invalid))

    def take(self, word: str) -> Value | None:
        """A companion of the verb, taken out so that what is left over is known."""
        return self.companions.pop(word, None)


Verb = Callable[[Value, Scene], Action]


def _room_and_password(value: Value, scene: Scene) -> tuple[str, str]:
    if not value.is_mapping:
        return scene.room(value), ""
    parts = value.mapping(("room", "password"), required=("room",))
    password = text(parts["password"], allow_invalid=scene.allow_invalid) if "password" in parts else ""
    return scene.room(parts["room"]), password


def _create(value: Value, scene: Scene) -> Create:
    return Create(*_room_and_password(value, scene))


def _join(value: Value, scene: Scene) -> Join:
    return Join(*_room_and_password(value, scene))


def _say(value: Value, scene: Scene) -> Say:
    return Say(scene.text(value))


def _nothing(value: Value, _scene: Scene) -> Action:
    if not is_nothing(value):
        value.mapping(())
    return ALONE[value.name]


def _move(value: Value, _scene: Scene) -> Move:
    parts = value.mapping(("port", "address"))
    if len(parts) != 1:
        value.fail("move: either {port: new} or {address: 10.0.0.9} is expected")
    if "address" in parts:
        return Move(read_ip(parts["address"]))
    parts["port"].word(("new",))
    return Move()


def _pause(value: Value, _scene: Scene) -> Pause:
    return Pause(duration_us(value))


def _clock(value: Value, _scene: Scene) -> Clock:
    parts = value.mapping(("skew", "drift"))
    if not parts:
        value.fail("clock: skew, drift or both are expected")
    return Clock(
        skew_us=duration_us(parts["skew"], may_be_negative=True) if "skew" in parts else 0,
        drift_ppm=drift_ppm(parts["drift"]) if "drift" in parts else 0,
    )


def _datagram(value: Value, scene: Scene) -> Datagram:
    parts = value.mapping(("token_of", "room", "text", "hex"))
    holder = scene.people.user(parts["token_of"]) if "token_of" in parts else None
    if "hex" in parts:
        if "room" in parts or "text" in parts:
            value.fail("datagram: hex stands alone or beside token_of")
        return Datagram(token_of=holder, hex=hex_bytes(parts["hex"]))
    for word in ("room", "text"):
        if word not in parts:
            value.fail(f"datagram: {word!r} is missing; expected are room and text, or hex, and token_of")
    name = scene.fill(room(parts["room"], allow_invalid=True))  # a wrong room is what this verb is for
    return Datagram(token_of=holder, room=name, text=scene.text(parts["text"]))


def _stream(value: Value, _scene: Scene) -> Stream:
    return Stream(hex_bytes(value.mapping(("hex",), required=("hex",))["hex"]))


def _abandon(value: Value, scene: Scene) -> Abandon:
    parts = value.mapping(("after", "create", "join"), required=("after",))
    after = typed(Literal["idle", "requested", "accepted"], parts["after"].word(AFTER))
    requests = [word for word in ("create", "join") if word in parts]
    if len(requests) != 1:
        value.fail("abandon: either create or join is expected")
    read = _create if requests[0] == "create" else _join
    return Abandon(after, read(parts[requests[0]], scene))


def _steal_token(value: Value, scene: Scene) -> StealToken:
    return StealToken(scene.people.user(value))


def _spoof(value: Value, scene: Scene) -> Spoof:
    parts = value.mapping(("as", "say"), required=("as", "say"))
    return Spoof(scene.people.user(parts["as"]), scene.text(parts["say"]))


def _replay(value: Value, scene: Scene) -> Replay:
    parts = value.mapping(("from", "nth", "spoofed"), required=("from", "nth"))
    spoofed = "spoofed" in parts and parts["spoofed"].boolean()
    return Replay(scene.people.user(parts["from"]), parts["nth"].integer(1, NTH_MAX), spoofed)


def _flood(value: Value, _scene: Scene) -> Flood:
    parts = value.mapping(("rate", "for", "size"), required=("rate", "for", "size"))
    return Flood(every_us(parts["rate"]), duration_us(parts["for"]), parts["size"].integer(0, REPEATED_BYTES_MAX))


def _server_crash(value: Value, _scene: Scene) -> Crash:
    parts = {} if is_nothing(value) else value.mapping(("restart",))
    return Crash(duration_us(parts["restart"]) if "restart" in parts else None)


def _remove(value: Value, scene: Scene) -> Remove:
    parts = value.mapping(("user", "room"), required=("user", "room"))
    user = parts["user"].string("bob")
    names = scene.people.chat_names()
    if user not in names:
        parts["user"].fail(f"nobody calls himself {user!r}")
    return Remove(user, parts["room"].string("lobby"))


def _which_links(value: Value, scene: Scene) -> tuple[LinkId, ...]:
    between, source, target = (scene.take(word) for word in ("between", "from", "to"))
    if between is not None and source is None and target is None:
        return scene.people.links(ends(between), both_ways=True)
    if between is None and source is not None and target is not None:
        return scene.people.links((source, target), both_ways=False)
    value.fail("which links? expected is between: [alice, server], or from: and to:")
    return None


def _set(value: Value, scene: Scene) -> SetLinks:
    return SetLinks(_which_links(value, scene), read_settings(value))


def _cut(value: Value, scene: Scene) -> Cut:
    lasting = scene.take("for")
    return Cut(links_of(value, scene.people), duration_us(lasting) if lasting is not None else None)


def _heal(value: Value, scene: Scene) -> Heal:
    return Heal(links_of(value, scene.people))


def _hold(value: Value, scene: Scene) -> Hold:
    return Hold(links_of(value, scene.people))


def _release(value: Value, scene: Scene) -> Release:
    return Release(links_of(value, scene.people))


def _stall(value: Value, scene: Scene) -> Stall:
    lasting = scene.take("for")
    if lasting is None:
        value.fail("stall: for how long? expected is for: 2s beside it")
    return Stall(links_of(value, scene.people), duration_us(lasting))


def _reset(value: Value, scene: Scene) -> Reset:
    return Reset(links_of(value, scene.people))


USER_VERBS: dict[str, Verb] = {
    "create": _create,
    "join": _join,
    "say": _say,
    "keep_alive": _nothing,
    "leave": _nothing,
    "move": _move,
    "pause": _pause,
    "crash": _nothing,
    "clock": _clock,
    "datagram": _datagram,
    "stream": _stream,
    "abandon": _abandon,
}
ATTACKER_VERBS: dict[str, Verb] = {"steal_token": _steal_token, "spoof": _spoof, "replay": _replay, "flood": _flood}
SERVER_VERBS: dict[str, Verb] = {
    "crash": _server_crash,
    "start": _nothing,
    "pause": _pause,
    "shutdown": _nothing,
    "remove": _remove,
}
NETWORK_VERBS: dict[str, Verb] = {
    "set": _set,
    "cut": _cut,
    "heal": _heal,
    "hold": _hold,
    "release": _release,
    "stall": _stall,
    "reset": _reset,
}
COMPANIONS = ("for", "between", "from", "to")


def read_action(value: Value, actor: str, verbs: dict[str, Verb], scene: Scene) -> tuple[str, Action]:
    """The verb's name and what it means."""
    if value.is_scalar:
        word = value.string("leave")
        alone = [name for name in verbs if name in ALONE]
        if word not in alone:
            _refuse_unknown(value, word, actor, verbs)
            value.fail(f"{actor}: {word!r} needs more words: {{{word}: …}}")
        return word, ALONE[word]
    found: list[tuple[str, Value]] = []
    for key, word, each in value.entries():
        if word in COMPANIONS and verbs is NETWORK_VERBS:
            scene.companions[word] = each
            continue
        _refuse_unknown(key, word, actor, verbs)
        if found:
            key.fail(f"{actor} does one thing in a step, but this is a second: {found[0][0]} and {word}")
        found.append((word, each))
    if not found:
        value.fail(f"{actor}: what does it do? expected is one of {', '.join(verbs)}")
    word, each = found[0]
    action = verbs[word](each, scene)
    if scene.companions:
        name, left = next(iter(scene.companions.items()))
        left.fail(f"{name!r} does not go with {word!r}")
    return word, action


def _refuse_unknown(key: Value, word: str, actor: str, verbs: dict[str, Verb]) -> None:
    if word in verbs:
        return
    if word in ATTACKER_VERBS:
        key.fail(f"{word!r} is what attackers do; {actor} is one with users: {{{actor}: {{attacker: true}}}}")
    key.fail(f"{actor}: unknown verb {word!r}; expected is one of {one_of(verbs)}{nearest(word, verbs)}")
