"""What happens in a random scenario: one small function for each kind of step, and how often each kind is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tcrp.engine.codec import codec
from tcrp.sim.scenario.model import (
    Abandon,
    Action,
    Clock,
    CloseRoom,
    Crash,
    Create,
    Cut,
    Datagram,
    Flood,
    Hold,
    Join,
    KeepAlive,
    Leave,
    LinkId,
    Listener,
    Move,
    Pause,
    Remove,
    Replay,
    Reset,
    Say,
    SetLimits,
    SetLinks,
    Shutdown,
    Spoof,
    Stall,
    StealToken,
    Stream,
    UseListener,
    User,
)
from tcrp.sim.swarm.dice import Dice
from tcrp.sim.swarm.environment import MS, draw_changes, draw_link_settings
from tcrp.sim.swarm.requests import LISTING_REQUEST, draw_request
from tcrp.spec.limits import (
    CLIENT_DATAGRAM_BYTES_MAX,
    REJECTED_IN_A_ROW_MAX,
    SERVER_DATAGRAM_BYTES_MAX,
    TOKEN_BYTES,
    Limits,
)
from tcrp.spec.names import Operation

SERVER, NETWORK, MALLORY = "server", "network", "mallory"
TEXTS = (
    "hi", "how are you?", "exit", "/quit", "Room closed", "bob left the room", "x" * 300, "こんにちは", "a: b",
    "\x1b[2Jgone", "two\nlines", "長" * 1300, "@join", "__REGISTER__", "DISCONNECTED: timeout", "[システム]: hi",
)  # fmt: skip
BODIES = (b"\xff\x00", b"{", b'{"sender": "x"}', b'{"sender": "x", "message": 5}', b"[]", b'"text"')
"""Of datagrams by hand: no UTF-8, or not what a JSON dialect expects."""


class Drawn(NamedTuple):
    """One step without its time: `times` times, `every_us` apart."""

    actor: str
    action: Action
    every_us: int = 0
    times: int = 1


@dataclass(frozen=True, slots=True)
class Scene:
    """What steps are drawn from: the users, the rooms, the addresses and the server's settings."""

    dice: Dice
    users: tuple[User, ...]
    rooms: tuple[str, ...]
    addresses: tuple[str, ...]
    limits: Limits
    has_passwords: bool
    listeners: tuple[Listener, ...] = ()  # of the server, if it has several

    def user(self) -> str:
        """The id of any user."""
        return self.dice.one_of(self.users).id

    def room(self) -> str:
        """A room: mostly the first, so that users meet."""
        return self.rooms[0] if self.dice.chance(60) else self.dice.one_of(self.rooms)

    def password(self) -> str:
        """One of two, or none."""
        return self.dice.one_of(("a", "b")) if self.has_passwords and self.dice.chance(60) else ""

    def resume(self, user: str) -> str | None:
        """Whose token a request carries: mostly none, or the user's own former one."""
        if not self.dice.chance(40):
            return None
        return user if self.dice.chance(70) else self.user()


# --- what users do -----------------------------------------------------------------------------------


def use_listener(scene: Scene) -> Drawn:
    return Drawn(scene.user(), UseListener(scene.dice.one_of(scene.listeners).name))


def create(scene: Scene) -> Drawn:
    user = scene.user()
    return Drawn(user, Create(scene.room(), scene.password(), scene.resume(user)))


def join(scene: Scene) -> Drawn:
    user = scene.user()
    return Drawn(user, Join(scene.room(), scene.password(), scene.resume(user)))


def say(scene: Scene) -> Drawn:
    dice = scene.dice
    text = dice.one_of(TEXTS) if dice.chance(40) else "hello {n}"
    if dice.chance(30):
        return Drawn(scene.user(), Say(text), dice.one_of((5, 50, 300)) * MS, dice.between(2, 8))
    return Drawn(scene.user(), Say(text))


def keep_alive(scene: Scene) -> Drawn:
    dice = scene.dice
    if dice.chance(30):
        return Drawn(scene.user(), KeepAlive(), dice.one_of((5, 50, 300)) * MS, dice.between(2, 8))
    return Drawn(scene.user(), KeepAlive())


def leave(scene: Scene) -> Drawn:
    return Drawn(scene.user(), Leave())


def say_too_often(scene: Scene) -> Drawn:
    """More texts in a second than one user may send, and some a second later, when it may again."""
    most = scene.limits.texts_per_second_max
    return Drawn(scene.user(), Say("burst {n}"), scene.dice.one_of((1, 20, 900 // most)) * MS, most + 3)


def say_at_the_bound(scene: Scene) -> Drawn:
    """A text as long as a client's datagram or a server's relay may be, or a byte more or less."""
    dice, user = scene.dice, scene.dice.one_of(scene.users)
    in_request = CLIENT_DATAGRAM_BYTES_MAX - 2 - TOKEN_BYTES - len(scene.rooms[0].encode())
    in_relay = SERVER_DATAGRAM_BYTES_MAX - len(user.name.encode()) - dice.one_of((2, 4, 6, 36))
    return Drawn(user.id, Say("x" * (min(in_request, in_relay) + dice.between(-1, 1))))


# --- what goes wrong with users ----------------------------------------------------------------------


def move(scene: Scene) -> Drawn:
    """Goes on from a new port, or from an address of the pool: perhaps one that it had before."""
    return Drawn(scene.user(), Move(scene.dice.one_of(scene.addresses) if scene.dice.chance(50) else None))


def pause(scene: Scene) -> Drawn:
    return Drawn(scene.user(), Pause(scene.dice.between(1, 4000) * MS))


def crash(scene: Scene) -> Drawn:
    return Drawn(scene.user(), Crash())


def disturb_clock(scene: Scene) -> Drawn:
    return Drawn(scene.user(), Clock(scene.dice.between(-2000, 2000) * MS, scene.dice.between(-500, 500)))


def abandon(scene: Scene) -> Drawn:
    request = Create(scene.room()) if scene.dice.chance(50) else Join(scene.room())
    return Drawn(scene.user(), Abandon(scene.dice.one_of(("idle", "requested", "accepted")), request))


# --- what no honest client sends ---------------------------------------------------------------------


def request_by_hand(scene: Scene) -> Drawn:
    return Drawn(scene.user(), Stream(draw_request(scene.dice, scene.room(), scene.limits.request_bytes_max)))


def create_and_stay_away(scene: Scene) -> Drawn:
    """A room whose host does not enter, and then another request for one."""
    request = codec("text").write_request(Operation.CREATE, b"empty", "raw", "", "", 0)
    return Drawn(scene.user(), Stream(request), 50 * MS, 2)


def guess_the_password(scene: Scene) -> Drawn:
    """Wrong passwords until the address is locked out."""
    return Drawn(scene.user(), Join(scene.room(), "wrong"), scene.dice.one_of((300, 3000)) * MS, 4)


def ask_for_the_rooms(scene: Scene) -> Drawn:
    return Drawn(scene.user(), Stream(LISTING_REQUEST))


def wrong_room(scene: Scene) -> Drawn:
    """Another's or its own token with a room that is perhaps not its own."""
    room = scene.dice.one_of(("elsewhere", *scene.rooms))
    return Drawn(scene.user(), Datagram(token_of=scene.user(), room=room, text="by hand"))


def no_text(scene: Scene) -> Drawn:
    return Drawn(scene.user(), Datagram(token_of=scene.user(), data=scene.dice.one_of(BODIES)))


def rubbish(scene: Scene) -> Drawn:
    data = bytes(scene.dice.below(256) for _ in range(scene.dice.below(40)))
    return Drawn(scene.user(), Datagram(data=data))


def rejected_in_a_row(scene: Scene) -> Drawn:
    """As many as end a session, or one fewer, from its own address."""
    user = scene.user()
    wrong = Datagram(token_of=user, room="elsewhere", text="by hand")
    if scene.dice.chance(40):
        wrong = Datagram(token_of=user, data=scene.dice.one_of((b"\xff\x00", b"x" * CLIENT_DATAGRAM_BYTES_MAX)))
    return Drawn(user, wrong, scene.dice.one_of((5, 400)) * MS, REJECTED_IN_A_ROW_MAX - scene.dice.below(2))


def datagram_at_the_bound(scene: Scene) -> Drawn:
    """The longest datagram that the server takes, or a byte more or less, with its own token."""
    user = scene.user()
    size = CLIENT_DATAGRAM_BYTES_MAX - 2 - TOKEN_BYTES - len(scene.rooms[0].encode()) + scene.dice.between(-1, 1)
    return Drawn(user, Datagram(token_of=user, data=b"x" * size))


# --- the server --------------------------------------------------------------------------------------


def crash_server(scene: Scene) -> Drawn:
    return Drawn(SERVER, Crash(scene.dice.between(1, 3000) * MS))


def pause_server(scene: Scene) -> Drawn:
    return Drawn(SERVER, Pause(scene.dice.between(1, 3000) * MS))


def remove(scene: Scene) -> Drawn:
    return Drawn(SERVER, Remove(scene.dice.one_of(scene.users).name, scene.room()))


def close_room(scene: Scene) -> Drawn:
    return Drawn(SERVER, CloseRoom(scene.room()))


def shut_down(_scene: Scene) -> Drawn:
    return Drawn(SERVER, Shutdown())


def change_limits(scene: Scene) -> Drawn:
    return Drawn(SERVER, SetLimits(draw_changes(scene.dice)))


# --- the network -------------------------------------------------------------------------------------


def _both_directions(scene: Scene) -> tuple[LinkId, ...]:
    user = scene.user() if scene.dice.chance(80) else "all"
    return (LinkId(user, SERVER), LinkId(SERVER, user))


def _one_direction(scene: Scene) -> tuple[LinkId, ...]:
    return (_both_directions(scene)[scene.dice.below(2)],)


def cut(scene: Scene) -> Drawn:
    return Drawn(NETWORK, Cut(_both_directions(scene), scene.dice.between(1, 8000) * MS))


def cut_one_direction(scene: Scene) -> Drawn:
    for_us = scene.dice.between(1, 8000) * MS if scene.dice.chance(70) else None
    return Drawn(NETWORK, Cut(_one_direction(scene), for_us))


def hold(scene: Scene) -> Drawn:
    return Drawn(NETWORK, Hold(_one_direction(scene)))


def stall(scene: Scene) -> Drawn:
    return Drawn(NETWORK, Stall(_both_directions(scene), scene.dice.between(1, 3000) * MS))


def reset(scene: Scene) -> Drawn:
    return Drawn(NETWORK, Reset(_both_directions(scene)))


def change_links(scene: Scene) -> Drawn:
    return Drawn(NETWORK, SetLinks(_one_direction(scene), draw_link_settings(scene.dice).as_patch()))


# --- attackers ---------------------------------------------------------------------------------------


def steal(scene: Scene) -> Drawn:
    return Drawn(MALLORY, StealToken(scene.user()))


def use_stolen(scene: Scene) -> Drawn:
    return Drawn(MALLORY, Say("it was me") if scene.dice.chance(70) else Leave())


def spoof(scene: Scene) -> Drawn:
    return Drawn(MALLORY, Spoof(scene.user(), "it was him"))


def replay(scene: Scene) -> Drawn:
    return Drawn(MALLORY, Replay(scene.user(), scene.dice.between(1, 6), is_spoofed=scene.dice.chance(60)))


def flood(scene: Scene) -> Drawn:
    per_second, size = scene.dice.one_of((1000, 50)), scene.dice.one_of((0, 2, 70, 5000))
    return Drawn(MALLORY, Flood(per_second, 200 * MS, size))


# --- how often ---------------------------------------------------------------------------------------


class Mix(NamedTuple):
    """Kinds of steps that a scenario has together: `knob` decides, or else this percentage of the scenarios."""

    knob: str
    percent: int
    draws: tuple[Callable[[Scene], Drawn], ...]


ALWAYS = (create, join, join, say, say, say, keep_alive, leave)
MIXES = (
    Mix("faults_of_users", 50, (move, pause, crash, disturb_clock, abandon)),
    Mix("faults_of_users", 40, (wrong_room, no_text, rubbish, create_and_stay_away, request_by_hand, request_by_hand)),
    Mix("faults_of_users", 30, (say_too_often, say_at_the_bound, rejected_in_a_row, datagram_at_the_bound, move)),
    Mix("faults_of_server", 25, (crash_server, pause_server, remove, close_room)),
    Mix("faults_of_server", 12, (change_limits, change_limits)),
    Mix("faults_of_server", 8, (shut_down,)),
    Mix("faults_of_network", 50, (cut, cut_one_direction, hold, stall, reset)),
    Mix("faults_of_network", 30, (change_links,)),
    Mix("attackers", 35, (steal, use_stolen, spoof, replay, flood)),
)
