"""What actors do: one declaration for each verb of users, attackers, the server and the network."""

from __future__ import annotations

from functools import cache
from typing import Any

from tcrp.sim.scenario import model
from tcrp.sim.scenario.errors import nearest, one_of
from tcrp.sim.scenario.kinds import (
    CHAT_NAME,
    DATAGRAM_BYTES_MAX,
    DRIFT,
    DURATION,
    FREE_ROOM,
    HEX,
    IP,
    LISTENER,
    PACKET_NAME,
    PASSWORD,
    PER_SECOND,
    ROOM,
    SERVER_NAME,
    SKEW,
    TEXT,
    TRUTH,
    USER,
    ListOf,
    Scene,
    Word,
    whole,
)
from tcrp.sim.scenario.links import LINKS, SETTINGS, LinksBeside
from tcrp.sim.scenario.nodes import Value
from tcrp.sim.scenario.records import Field, Record, Verb, table
from tcrp.sim.scenario.settings import CHANGES
from tcrp.spec.cluster_names import DRIFT_PARTS

NTH_MAX = 1_000_000
REQUEST = (
    Field("room", ROOM, is_bare=True), Field("password", PASSWORD),
    Field("resume", USER, "Whose latest token proves that the name is this user's own, where the dialect has a place "
          "for it (R-NAME-2)."),
)  # fmt: skip
CLOCK = (Field("skew", SKEW, into="skew_us"), Field("drift", DRIFT, into="drift_ppm"))
FOR = Field("for", DURATION, "For how long.", into="for_us", is_beside=True)
WHICH = Field("links", LINKS, is_bare=True)

USER_VERBS = table(
    Verb("create", model.Create, "Asks the server for a new room; enters it.",
         "alice: {create: {room: lobby, password: sesame}}", *REQUEST),
    Verb("join", model.Join, "Asks the server to join a room; enters it.", "bob: {join: lobby}", *REQUEST),
    Verb("say", model.Say, "Sends a text to the room.", 'bob: {say: "still here?"}', Field("text", TEXT, is_bare=True)),
    Verb("keep_alive", model.KeepAlive, "Sends an empty text, which the server does not relay.", "bob: keep_alive"),
    Verb("leave", model.Leave, "Leaves the room.", "alice: leave"),
    Verb("move", model.Move, "Goes on from a new port of the same address, or from another address.",
         "bob: {move: {address: 10.0.0.9}}",
         Field("port", Word({"new": None}), "Only the port is new.", into="address"), Field("address", IP),
         forms=(("port",), ("address",))),
    Verb("use_listener", model.UseListener, "Asks and speaks by another of the server's listeners from now on.",
         "bob: {use_listener: old}", Field("listener", LISTENER, is_bare=True)),
    Verb("use_server", model.UseServer, "In a cluster: asks and speaks to another of the servers from now on.",
         "bob: {use_server: b}", Field("server", SERVER_NAME, is_bare=True)),
    Verb("pause", model.Pause, "Stands still: what arrives waits, and timers are late.", "bob: {pause: 5s}",
         Field("for_us", DURATION, is_bare=True)),
    Verb("crash", model.Crash, "Loses all state and sends nothing; the user may create or join again.", "bob: crash"),
    Verb("clock", model.Clock, "Sets the user's clock: how far ahead it is, and how much faster it runs.",
         "bob: {clock: {skew: -2s, drift: 50ppm}}",
         *CLOCK, if_empty="clock: at least one is expected"),
    Verb("datagram", model.Datagram, "Sends a datagram made by hand: a room, a token and a text, or bytes behind a "
         "token. Without `token_of`, the token is the user's own or stolen one, and `hex` is the whole datagram.",
         'bob: {datagram: {token_of: alice, room: lobby, text: "it was me"}}',
         Field("token_of", USER, "Whose token it carries."), Field("room", FREE_ROOM), Field("text", TEXT),
         Field("hex", HEX, "The bytes after the token.", into="data"), forms=(("room", "text"), ("hex",))),
    Verb("stream", model.Stream, "Sends raw bytes on a new TCP connection.", 'bob: {stream: {hex: "05 00"}}',
         Field("hex", HEX, into="data")),
    Verb("abandon", model.Abandon, "Breaks a connection off: with nothing sent, after a part of the request or all.",
         "bob: {abandon: {after: requested, join: lobby}}",
         Field("after", Word(("idle", "requested", "accepted")), "After nothing, a part of the request, or all of it."),
         Field("create", Record(model.Create, *REQUEST), "The request is for a new room.", into="request"),
         Field("join", Record(model.Join, *REQUEST), "The request is to join.", into="request"),
         forms=(("create",), ("join",))),
)  # fmt: skip
ATTACKER_VERBS = table(
    Verb("steal_token", model.StealToken, "Learns a user's token. From then on the attacker's own `say`, `leave` and "
         "`datagram` carry it.", "mallory: {steal_token: alice}", Field("victim", USER, is_bare=True)),
    Verb("spoof", model.Spoof, "Says something with a user's IP address and port as source, and with the stolen token, "
         "or else a random one.", 'mallory: {spoof: {as: alice, say: "hi"}}',
         Field("as", USER, into="victim"), Field("say", TEXT, into="text")),
    Verb("replay", model.Replay, "Sends a datagram of a user again.",
         "mallory: {replay: {from: alice, nth: 3, spoofed: true}}", Field("from", USER, into="victim"),
         Field("nth", whole(1, NTH_MAX), "Which one the user sent, from 1."),
         Field("spoofed", TRUTH, "Whether the user's address is the source.", into="is_spoofed")),
    Verb("flood", model.Flood, "Sends datagrams of random bytes.",
         "mallory: {flood: {rate: 1000/s, for: 5s, size: 4096}}", Field("rate", PER_SECOND, into="per_second"),
         Field("for", DURATION, into="for_us"), Field("size", whole(0, DATAGRAM_BYTES_MAX), "Bytes of each.")),
)  # fmt: skip
SERVER_VERBS = table(
    Verb("crash", model.Crash, "Loses all state and sends nothing; starts again after `restart` or at a later `start`.",
         "server: {crash: {restart: 3s}}", Field("restart", DURATION, into="restart_us")),
    Verb("start", model.Start, "Starts again after a crash.", "server: start"),
    Verb("pause", model.Pause, "Stands still: what arrives waits, and timers are late.", "server: {pause: 2s}",
         Field("for_us", DURATION, is_bare=True)),
    Verb("shutdown", model.Shutdown, "Ends every room, tells the members, and stops. One of several servers gives its "
         "rooms to the others, as on SIGTERM, and ends those that nobody takes.", "server: shutdown"),
    Verb("remove", model.Remove, "Removes a member from a room.", "server: {remove: {user: bob, room: lobby}}",
         Field("user", CHAT_NAME, "The member's name in the chat."), Field("room", FREE_ROOM)),
    Verb("close_room", model.CloseRoom, "Closes a room: its host is removed.", "server: {close_room: lobby}",
         Field("room", FREE_ROOM, is_bare=True)),
    Verb("set_limits", model.SetLimits, "Gives some of the server's settings other values from now on.",
         "server: {set_limits: {members_max: 3}}", Field("settings", CHANGES, is_bare=True)),
)  # fmt: skip
CLUSTER_VERBS = table(
    Verb("hand_over", model.HandOver, "Gives all its rooms to the other servers, and goes on as a gateway.",
         "a: hand_over"),
    Verb("clock", model.Clock, "Sets the server's clock: how far ahead it is, and how much faster it runs. Leases "
         f"allow for {1_000_000 // DRIFT_PARTS}ppm.", "a: {clock: {drift: -5000ppm}}", *CLOCK,
         if_empty="clock: at least one is expected"),
)  # fmt: skip
BUCKET_VERBS = table(
    Verb("crash", model.Crash, "Breaks every connection off and is away, as NATS that is restarted; its keys are on "
         "disk. Comes back after `restart` or at a later `start`.", "bucket: {crash: {restart: 10s}}",
         Field("restart", DURATION, into="restart_us")),
    Verb("start", model.Start, "Comes back after a crash.", "bucket: start"),
    Verb("pause", model.Pause, "Stands still: it answers nobody.", "bucket: {pause: 2s}",
         Field("for_us", DURATION, is_bare=True)),
)  # fmt: skip
NETWORK_VERBS = table(
    Verb("set", model.SetLinks, "Changes settings of links from now on.",
         "network: {set: {loss: 2.5%}, between: [alice, server]}", Field("settings", SETTINGS, is_bare=True),
         LinksBeside("links", LINKS, "Which links: both ways, or one way.", is_beside=True,
                     if_missing="which links? expected is between: [alice, server], or from: and to:")),
    Verb("cut", model.Cut, "Drops every datagram and stalls TCP, for a time or until a `heal`.",
         "network: {cut: {from: alice, to: server}, for: 3s}", WHICH, FOR),
    Verb("heal", model.Heal, "Takes cuts back.", "network: {heal: [all, server]}", WHICH),
    Verb("hold", model.Hold, "Keeps everything back and loses nothing, until a `release`.",
         "network: {hold: [all, server]}", WHICH),
    Verb("release", model.Release, "Delivers what was held.", "network: {release: [all, server]}", WHICH),
    Verb("stall", model.Stall, "Stops TCP for a time; datagrams go on.", "network: {stall: [alice, server], for: 2s}",
         WHICH, Field("for", DURATION, "For how long.", into="for_us", is_beside=True,
                      if_missing="stall: for how long? expected is for: 2s beside it")),
    Verb("reset", model.Reset, "Breaks every TCP connection off.", "network: {reset: [alice, server]}", WHICH),
    Verb("packet", model.SetFate, "Decides what becomes of one packet that is sent from now on, by its name in a "
         "trace: it is dropped, or arrives twice, or later. TCP repairs: what is dropped is sent again after a second, "
         "and a duplicate is not noticed.", 'network: {packet: {name: "bob.say@2s~8ba0/say", fate: drop}}',
         Field("name", PACKET_NAME, into="packet"), Field("fate", Word(model.PACKET_FATES), "What becomes of it."),
         Field("delay", DURATION, "How much longer it takes.", into="delay_us"),
         Field("arrives", ListOf(DURATION), "How long each of its copies travels, whatever its link is like; an empty "
               "list: it is lost.", into="arrives_us"), forms=(("fate",), ("delay",), ("arrives",))),
)  # fmt: skip
TABLES = (USER_VERBS, ATTACKER_VERBS, CLUSTER_VERBS, BUCKET_VERBS, SERVER_VERBS, NETWORK_VERBS)


def companions() -> dict[str, Field]:
    """The fields that stand beside a verb, by their words."""
    verbs = [verb for verbs in TABLES for verb in verbs.values()]
    return {word: each for verb in verbs for each in verb.fields if each.is_beside for word in each.words}


def verb_of(action: Any) -> Verb:
    """The verb that an action is written with."""
    return _verb_that_makes(type(action))  # type: ignore[arg-type]  # a class is hashable


@cache
def _verb_that_makes(action: Any) -> Verb:
    return next(verb for verbs in reversed(TABLES) for verb in verbs.values() if verb.make is action)


def filled(action: model.Action, repetition: int) -> Any:
    """The action with `{n}` filled in."""
    return verb_of(action).fill(action, "{n}", repetition)


def read_action(value: Value, actor: str, verbs: dict[str, Verb], scene: Scene) -> model.Action:
    """What an actor does in a step."""
    if value.is_scalar:
        word = value.string("leave")
        if word not in verbs or not verbs[word].may_stand_alone:
            _refuse_unknown(value, word, actor, verbs)
            value.fail(f"{actor}: {word!r} needs more words: {{{word}: …}}")
        alone: model.Action = verbs[word].from_parts(value, {}, scene)
        return alone
    beside = {word for verb in verbs.values() for word in verb.companions}
    found: list[tuple[str, Value]] = []
    for key, word, each in value.entries():
        if word in beside:
            scene.beside[word] = each
            continue
        _refuse_unknown(key, word, actor, verbs)
        if found:
            key.fail(f"{actor} does one thing in a step, but this is a second: {found[0][0]} and {word}")
        found.append((word, each))
    if not found:
        value.fail(f"{actor}: what does it do? expected is one of {', '.join(verbs)}")
    word, each = found[0]
    action: model.Action = verbs[word].read(each, scene)
    for name, left in scene.beside.items():
        left.fail(f"{name!r} does not go with {word!r}")
    return action


def _refuse_unknown(key: Value, word: str, actor: str, verbs: dict[str, Verb]) -> None:
    if word in verbs:
        return
    if word in ATTACKER_VERBS:
        key.fail(f"{word!r} is what attackers do; {actor} is one with users: {{{actor}: {{attacker: true}}}}")
    key.fail(f"{actor}: unknown verb {word!r}; expected is one of {one_of(verbs)}{nearest(word, verbs)}")
