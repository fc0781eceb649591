"""Generates random scenarios: the users, the network, and a script of steps. One seed gives one scenario.

Each scenario first draws its own knobs, then its steps by them. If all scenarios drew from the same mix,
none would reach the corner cases (swarm testing: Groce and others, 2012).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from tcrp.engine.codec import codec
from tcrp.engine.frames import CREATE, HEADER_BYTES, JOIN, STATE_REQUEST, write_frame
from tcrp.sim.network.draws import PPM, key_of, mix
from tcrp.sim.scenario.model import (
    ORDINARY,
    Abandon,
    Action,
    At,
    Burst,
    ByteSpan,
    Clock,
    Crash,
    Create,
    Cut,
    Datagram,
    Exponential,
    Flood,
    Heal,
    Hold,
    Join,
    KeepAlive,
    Leave,
    LinkId,
    LinkSettings,
    Loss,
    Move,
    NetworkSettings,
    Pause,
    Place,
    Release,
    Remove,
    Reorder,
    Replay,
    Reset,
    Say,
    Scenario,
    SetLinks,
    Shutdown,
    Span,
    Spoof,
    Stall,
    StealToken,
    Step,
    Stream,
    User,
)
from tcrp.sim.scenario.presets import PRESETS
from tcrp.sim.scenario.steps import numbered
from tcrp.spec import dialects
from tcrp.spec.limits import Limits, Takeover
from tcrp.spec.names import Operation

T = TypeVar("T")
Planned = tuple[int, str, Action, int, int]  # at_us, actor, action, every_us, times

MS, SECOND = 1_000, 1_000_000
NOWHERE = Place(0, 0)
SERVER, NETWORK, MALLORY = "server", "network", "mallory"
NAMES = ("ann", "bob", "cem", "dee", "eve", "fay")
ROOMS = ("lobby", "attic", "den")
LISTING = next(name for name in dialects.NAMES if dialects.dialect(name).lists)
DIALECTS = tuple(name for name in dialects.NAMES if name != LISTING)
STEPS_MAX = 1000
HORIZON_US_MIN = 1000
TEXTS = (
    "hi", "how are you?", "exit", "/quit", "Room closed", "bob left the room", "x" * 300, "こんにちは", "a: b",
    "\x1b[2Jgone", "two\nlines", "長" * 1300,
)  # fmt: skip
HEAL_AFTER_US = SECOND
"""In most scenarios the network heals this long after the last step; a second later every user speaks once more."""
DRAIN_US = 30 * SECOND
"""How long a scenario goes on after its last step, so that deadlines can pass."""


class Dice:
    """Pseudo-random draws from a seed, one after another."""

    def __init__(self, *seed: str | int) -> None:
        self._key = key_of(*seed)
        self._drawn = 0

    def below(self, bound: int) -> int:
        """0 to `bound - 1`, uniformly."""
        self._drawn += 1
        return (mix(self._key + self._drawn) >> 16) % bound

    def between(self, least: int, most: int) -> int:
        """`least` to `most`, both inclusive."""
        return least + self.below(most - least + 1)

    def one_of(self, things: Sequence[T]) -> T:
        """One of `things`, uniformly."""
        return things[self.below(len(things))]

    def chance(self, percent: int) -> bool:
        """True with this probability."""
        return self.below(100) < percent


@dataclass(frozen=True, slots=True)
class Knobs:
    """Settings of the generator; a knob that is None is drawn. `heals` appends steps that end all network faults."""

    users: int | None = None
    steps: int | None = None
    horizon_us: int | None = None
    faults_of_users: bool | None = None
    faults_of_server: bool | None = None
    faults_of_network: bool | None = None
    attackers: bool | None = None
    heals: bool | None = None


class Generator:
    """Generates one scenario."""

    def __init__(self, seed: int, knobs: Knobs) -> None:
        # The key is part of every seed: another one would give other scenarios.
        self._dice = dice = Dice("story", seed)
        self._seed = seed
        self._users = NAMES[: knobs.users or dice.between(2, 6)]
        self._rooms = ROOMS[: dice.between(1, 3)]
        self._heals = knobs.heals
        self._steps = knobs.steps or dice.one_of((5, 10, 20, 40))
        self._horizon_us = knobs.horizon_us or dice.one_of((3, 10, 30, 60)) * SECOND
        self._has_passwords = dice.chance(25)
        self._lists = dice.chance(6)  # a server of the one dialect that can list its rooms
        self._names = {id: dice.one_of(NAMES[:3]) if dice.chance(20) else id for id in self._users}
        verbs: list[Callable[[], tuple[str, Action]]] = [
            self._create, self._join, self._join, self._say, self._say, self._say, self._keep_alive, self._leave,
        ]  # fmt: skip

        def maybe(knob: bool | None, percent: int, more: list[Callable[[], tuple[str, Action]]]) -> None:
            if dice.chance(percent) if knob is None else knob:
                # Not all of them in every scenario: one fault may hide another.
                verbs.extend(each for each in more if knob or dice.chance(60))

        maybe(knobs.faults_of_users, 50, [self._move, self._pause, self._crash, self._clock, self._abandon])
        maybe(knobs.faults_of_users, 40, [self._wrong_datagram, self._wrong_datagram, self._stream])
        maybe(knobs.faults_of_server, 25, [self._server_crash, self._server_pause, self._remove])
        maybe(knobs.faults_of_server, 5, [self._shutdown])
        maybe(knobs.faults_of_network, 50, [self._cut, self._cut_one_direction, self._hold, self._stall, self._reset])
        maybe(knobs.faults_of_network, 30, [self._set])
        self._has_attacker = False
        before = len(verbs)
        maybe(knobs.attackers, 35, [self._steal, self._mallory_says, self._spoof, self._replay, self._flood])
        self._has_attacker = len(verbs) > before
        self._verbs = verbs

    def scenario(self) -> Scenario:
        """The generated scenario."""
        dice = self._dice
        users = [
            User(
                id=id,
                name=self._names[id],
                dialect=LISTING if self._lists else dice.one_of(DIALECTS) if dice.chance(70) else "json",
                address=f"10.0.7.{dice.between(1, 2)}" if dice.chance(25) else None,
                keeps_alive=dice.chance(25),
            )
            for id in self._users
        ]
        if self._has_attacker:
            users.append(User(id=MALLORY, name=MALLORY, attacker=True))
        steps = self._opening()
        while len(steps) < self._steps:
            actor, action = dice.one_of(self._verbs)()
            at_us = self._moment()
            repeats = isinstance(action, Say | KeepAlive) and dice.chance(30)
            times = dice.between(2, 8) if repeats else 1
            steps.append((at_us, actor, action, dice.one_of((5, 50, 300)) * MS if repeats else 0, times))
            steps += self._follow_up(at_us, action)
        steps.sort(key=_moment_of)
        if dice.chance(70) if self._heals is None else self._heals:
            steps += self._heal_network(steps[-1][0] + HEAL_AFTER_US)
        script = numbered(
            Step("", 0, actor, action, At(at_us, every_us, times), NOWHERE)
            for at_us, actor, action, every_us, times in steps
        )
        last_us = max(at_us for at_us, *_ in steps)
        limits = self._limits()
        return Scenario(
            path=f"swarm-{self._seed}.yaml",
            claim=f"every property holds in swarm scenario {self._seed}",
            seed=dice.below(1 << 16),
            until_us=last_us + DRAIN_US + limits.idle_timeout // 10,
            limits=limits,
            server_dialect=LISTING if self._lists else "auto",
            users=tuple(users),
            network=NetworkSettings(self._link_settings() if dice.chance(70) else ORDINARY),
            script=script,
        )

    def _opening(self) -> list[Planned]:
        """One user creates a room; in most scenarios most others join it, for a room of one tests little."""
        dice = self._dice
        password = self._password()
        steps: list[Planned] = [(0, self._users[0], Create(self._rooms[0], password), 0, 1)]
        if dice.chance(75):
            room = Join(self._rooms[0], password)
            steps += [(dice.between(50, 2000) * MS, user, room, 0, 1) for user in self._users[1:] if dice.chance(80)]
        return steps[: self._steps]

    def _heal_network(self, at_us: int) -> list[Planned]:
        """All network faults end and every user speaks: from here on no session may hang."""
        everywhere = (LinkId("all", "all"),)
        steps: list[Planned] = [
            (at_us, NETWORK, Heal(everywhere), 0, 1),
            (at_us, NETWORK, Release(everywhere), 0, 1),
            (at_us, NETWORK, SetLinks(everywhere, ORDINARY.as_patch()), 0, 1),
        ]
        return steps + [(at_us + SECOND, user, Say("still here"), 0, 1) for user in self._users]

    def _moment(self) -> int:
        """A time for a step: mostly uniform, sometimes one that many steps share, so that they collide."""
        dice = self._dice
        if dice.chance(25):
            return dice.one_of((0, 500, 1000, 1001, 1500, 2000)) * MS
        return dice.below(self._horizon_us // MS) * MS

    def _follow_up(self, at_us: int, action: Action) -> list[Planned]:
        """The step that undoes a hold, or a cut without an end."""
        later_us = at_us + self._dice.between(1, 5000) * MS
        match action:
            case Hold(links):
                return [(later_us, NETWORK, Release(links), 0, 1)]
            case Cut(links, None):
                return [(later_us, NETWORK, Heal(links), 0, 1)]
            case _:
                return []

    # --- the environment -------------------------------------------------------------------------

    def _limits(self) -> Limits:
        dice = self._dice
        settings: dict[str, int | str] = {}

        def maybe(percent: int, name: str, *values: int) -> None:
            if dice.chance(percent):
                settings[name] = dice.one_of(values)

        maybe(60, "idle_timeout", 3 * SECOND, 10 * SECOND, 60 * SECOND)
        maybe(40, "token_timeout", 1 * SECOND, 5 * SECOND)
        maybe(40, "linger", 0, SECOND // 2, 5 * SECOND, 20 * SECOND)
        maybe(40, "takeover_after", 1 * SECOND, 3 * SECOND)
        maybe(30, "handshake_timeout", SECOND // 2, 2 * SECOND)
        maybe(30, "members_max", 1, 2, 3)
        maybe(25, "texts_per_second_max", 1, 3)
        maybe(15, "unentered_rooms_per_ip_max", 1)
        maybe(15, "connections_per_ip_max", 1)
        maybe(10, "sessions_per_ip_max", 1)
        maybe(10, "rooms_max", 1)
        maybe(70 if self._has_passwords else 0, "password_tries_max", 1)
        settings["takeover"] = dice.one_of((*[Takeover.TOKEN] * 4, *[Takeover.SAME_ADDRESS] * 5, Takeover.OFF))
        return Limits().with_settings(settings)

    def _link_settings(self) -> LinkSettings:
        dice = self._dice
        if dice.chance(25):
            return ORDINARY.patched(PRESETS[dice.one_of(tuple(PRESETS))])
        settings = ORDINARY
        least, most = dice.one_of(((1, 1), (1, 5), (5, 50), (1, 500), (100, 120)))
        settings = replace(settings, delay=Span(least * MS, most * MS))
        if dice.chance(20):
            settings = replace(settings, delay=Exponential(most * MS, least * MS))
        if dice.chance(50):
            settings = replace(settings, loss=Loss(dice.one_of((1, 5, 30)) * PPM // 100))
        if dice.chance(20):
            settings = replace(settings, loss=Loss(PPM, Burst(2 * PPM // 100, 20 * PPM // 100)))
        if dice.chance(30):
            settings = replace(settings, duplicate_ppm=dice.one_of((1, 10, 50)) * PPM // 100)
        if dice.chance(30):
            settings = replace(settings, reorder=Reorder(dice.one_of((5, 30)) * PPM // 100, dice.one_of((5, 200)) * MS))
        if dice.chance(20):
            settings = replace(settings, corrupt_ppm=dice.one_of((1, 20)) * PPM // 100)
        if dice.chance(10):
            settings = replace(settings, mtu_bytes=dice.one_of((45, 60, 500)))
        if dice.chance(10):
            settings = replace(settings, rate_bps=dice.one_of((8_000, 64_000)), queue_bytes=dice.one_of((200, 2000)))
        if dice.chance(20):
            settings = replace(settings, segment=ByteSpan(1, dice.one_of((1, 7, 40))))
        return settings

    # --- actions of users -------------------------------------------------------------------------

    def _user(self) -> str:
        return self._dice.one_of(self._users)

    def _room(self) -> str:
        return self._rooms[0] if self._dice.chance(60) else self._dice.one_of(self._rooms)

    def _password(self) -> str:
        return self._dice.one_of(("a", "b")) if self._has_passwords and self._dice.chance(60) else ""

    def _resume(self, user: str) -> str | None:
        """Whose token a request carries: mostly none, or the user's own former one."""
        dice = self._dice
        if not dice.chance(40):
            return None
        return user if dice.chance(70) else self._user()

    def _create(self) -> tuple[str, Action]:
        user = self._user()
        return user, Create(self._room(), self._password(), self._resume(user))

    def _join(self) -> tuple[str, Action]:
        user = self._user()
        return user, Join(self._room(), self._password(), self._resume(user))

    def _say(self) -> tuple[str, Action]:
        return self._user(), Say(self._dice.one_of(TEXTS) if self._dice.chance(40) else "hello {n}")

    def _keep_alive(self) -> tuple[str, Action]:
        return self._user(), KeepAlive()

    def _leave(self) -> tuple[str, Action]:
        return self._user(), Leave()

    def _move(self) -> tuple[str, Action]:
        return self._user(), Move(f"10.0.7.{self._dice.between(1, 3)}" if self._dice.chance(40) else None)

    def _pause(self) -> tuple[str, Action]:
        return self._user(), Pause(self._dice.between(1, 4000) * MS)

    def _crash(self) -> tuple[str, Action]:
        return self._user(), Crash()

    def _clock(self) -> tuple[str, Action]:
        dice = self._dice
        return self._user(), Clock(dice.between(-2000, 2000) * MS, dice.between(-500, 500))

    def _abandon(self) -> tuple[str, Action]:
        dice = self._dice
        request = Create(self._room()) if dice.chance(50) else Join(self._room())
        return self._user(), Abandon(dice.one_of(("idle", "requested", "accepted")), request)

    def _wrong_datagram(self) -> tuple[str, Action]:
        dice = self._dice
        match dice.below(3):
            case 0:
                made = Datagram(token_of=self._user(), room=dice.one_of(("elsewhere", *self._rooms)), text="by hand")
            case 1:
                made = Datagram(token_of=self._user(), data=b"\xff\x00")
            case _:
                made = Datagram(data=bytes(dice.below(256) for _ in range(dice.below(40))))
        return self._user(), made

    def _stream(self) -> tuple[str, Action]:
        operation = self._dice.one_of((CREATE, JOIN, 9))
        whole = write_frame(2, operation, STATE_REQUEST, b"r1", b"ann")
        no_text = write_frame(2, operation, STATE_REQUEST, b"r1", b"\xff\xff\xff")
        listing = write_frame(0, JOIN, STATE_REQUEST, b"", b"")
        room = self._room().encode()
        low_port = codec("json-port").write_request(Operation.JOIN, room, "ann", "", "", 80)
        with_trailer = codec("json").write_request(Operation.JOIN, room, "raw", "", "", 0) + b"\xc3\x50"
        requests = (b"", whole[:1], listing, whole[:HEADER_BYTES], whole, no_text, low_port, with_trailer)
        return self._user(), Stream(self._dice.one_of(requests))

    # --- actions of server and network ------------------------------------------------------------

    def _server_crash(self) -> tuple[str, Action]:
        return SERVER, Crash(self._dice.between(1, 3000) * MS)

    def _server_pause(self) -> tuple[str, Action]:
        return SERVER, Pause(self._dice.between(1, 3000) * MS)

    def _remove(self) -> tuple[str, Action]:
        return SERVER, Remove(self._names[self._user()], self._room())

    def _shutdown(self) -> tuple[str, Action]:
        return SERVER, Shutdown()

    def _both_directions(self) -> tuple[LinkId, ...]:
        user = self._user() if self._dice.chance(80) else "all"
        return (LinkId(user, SERVER), LinkId(SERVER, user))

    def _one_direction(self) -> tuple[LinkId, ...]:
        return (self._both_directions()[self._dice.below(2)],)

    def _cut(self) -> tuple[str, Action]:
        return NETWORK, Cut(self._both_directions(), self._dice.between(1, 8000) * MS)

    def _cut_one_direction(self) -> tuple[str, Action]:
        return NETWORK, Cut(self._one_direction(), self._dice.between(1, 8000) * MS if self._dice.chance(70) else None)

    def _hold(self) -> tuple[str, Action]:
        return NETWORK, Hold(self._one_direction())

    def _stall(self) -> tuple[str, Action]:
        return NETWORK, Stall(self._both_directions(), self._dice.between(1, 3000) * MS)

    def _reset(self) -> tuple[str, Action]:
        return NETWORK, Reset(self._both_directions())

    def _set(self) -> tuple[str, Action]:
        patch = self._link_settings().as_patch()
        return NETWORK, SetLinks(self._one_direction(), patch)

    # --- actions of attackers --------------------------------------------------------------------

    def _steal(self) -> tuple[str, Action]:
        return MALLORY, StealToken(self._user())

    def _mallory_says(self) -> tuple[str, Action]:
        return MALLORY, Say("it was me") if self._dice.chance(70) else Leave()

    def _spoof(self) -> tuple[str, Action]:
        return MALLORY, Spoof(self._user(), "it was him")

    def _replay(self) -> tuple[str, Action]:
        return MALLORY, Replay(self._user(), self._dice.between(1, 6), is_spoofed=self._dice.chance(60))

    def _flood(self) -> tuple[str, Action]:
        return MALLORY, Flood(self._dice.one_of((1000, 50)), 200 * MS, self._dice.one_of((0, 2, 70, 5000)))


def _moment_of(step: Planned) -> int:
    return step[0]


def generate(seed: int, knobs: Knobs = Knobs()) -> Scenario:
    """The random scenario of a seed."""
    return Generator(seed, knobs).scenario()
