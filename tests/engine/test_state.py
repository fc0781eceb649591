"""A state is a value: it can be kept, compared and gone on from, and nothing that matters is left out of it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from conversation import SECOND, Chat
from example_counts import examples
from tcrp.engine.client import ClientConfig, ClientEngine, ClientState
from tcrp.engine.codec import codec
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.outputs import OBSERVATIONS, Address, ClientOutput, Detail, Forgotten, ServerOutput, Stepped
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.engine.state import ServerState
from tcrp.spec.dialects import NAMES
from tcrp.spec.limits import Limits, Takeover
from tcrp.spec.names import Machine, Operation, Reason
from tcrp.spec.table import IllegalEvent

random_runs = settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
EVERYTHING = Detail.EVERYTHING


def typed(outputs: Sequence[Any] | str | None) -> Sequence[Any] | str | None:
    """The outputs with their types: two of different types may be equal as tuples."""
    return outputs if isinstance(outputs, str | None) else [(type(each), each) for each in outputs]


def is_observed(output: ServerOutput, detail: Detail) -> bool:
    """Whether an engine that observes so much puts this out."""
    if not isinstance(output, OBSERVATIONS):
        return True
    stays = isinstance(output, Stepped) and output.machine is Machine.SESSION and output.from_ is output.to
    return detail is EVERYTHING or (detail is Detail.CHANGES and not stays)


# --- a server's random run -----------------------------------------------------------------------

IPS = ("10.0.0.1", "10.0.0.2", "::ffff:10.0.0.1")
ROOMS = ("lobby", "vault")
USERS = ("ann", "bob", "carol")
BODIES = (b"", b"hello", b"join", b"/exit", b'{"text": "hi"}', b'{"message": "hi"}', b"exit", b"\xff", b"x" * 4100)
PORTS = (40001, 40002)


@dataclass(frozen=True)
class Opened:
    ip: str
    listener: int = 0


@dataclass(frozen=True)
class Asks:
    """A request on the latest stream but `back`, or the first `cut` bytes of one."""

    back: int
    dialect: str
    operation: Operation
    room: str
    name: str
    password: str
    cut: int | None


@dataclass(frozen=True)
class Connects:
    """A stream is opened, a request made on it, and what is due at once done."""

    ip: str
    asks: Asks
    listener: int = 0


@dataclass(frozen=True)
class Bytes:
    back: int
    data: bytes


@dataclass(frozen=True)
class Ends:
    back: int
    is_closed: bool


@dataclass(frozen=True)
class Says:
    """A datagram with the token that was granted `back` before the latest, from its owner unless `ip` is given.

    It goes to the listener of its owner, or to the one that `strays` further.
    """

    back: int
    room: str | None
    body: bytes
    ip: str | None
    port: int
    strays: int = 0


@dataclass(frozen=True)
class Wakes:
    """Woken at the next deadline, or late."""

    late_us: int


@dataclass(frozen=True)
class Removes:
    user: str
    room: str


@dataclass(frozen=True)
class Limited:
    limits: Limits


@dataclass(frozen=True)
class ShutsDown:
    pass


Call = Opened | Asks | Connects | Bytes | Ends | Says | Wakes | Removes | Limited | ShutsDown
SMALL = Limits(
    rooms_max=2, members_max=3, sessions_max=5, sessions_per_ip_max=4, connections_max=4, connections_per_ip_max=3,
    request_bytes_max=128, unentered_rooms_per_ip_max=1, idle_timeout=20 * SECOND, token_timeout=8 * SECOND,
    takeover=Takeover.SAME_ADDRESS, takeover_after=SECOND, texts_per_second_max=2, password_tries_max=2,
)  # fmt: skip
limits = st.sampled_from(
    [
        SMALL, Limits(), SMALL.with_settings({"linger": 0}), SMALL.with_settings({"linger": SECOND}),
        replace(SMALL, texts_per_second_max=3, password_tries_max=1, idle_timeout=5 * SECOND),
    ]
)  # fmt: skip
backs = st.sampled_from([0, 0, 0, 1, 2])
asks = st.builds(
    Asks, backs, st.sampled_from(["text", "json", *NAMES]), st.sampled_from([Operation.CREATE, Operation.JOIN]),
    st.sampled_from(ROOMS), st.sampled_from(USERS), st.sampled_from(["", "", "sesame"]), st.none(),
)  # fmt: skip
says = st.builds(
    Says, st.integers(0, 4), st.sampled_from([None, None, None, "vault"]), st.sampled_from(BODIES),
    st.sampled_from([None, None, None, *IPS]), st.sampled_from(PORTS), st.sampled_from([0, 0, 0, 0, 1]),
)  # fmt: skip
listeners = st.integers(0, 2)
connects = st.builds(Connects, st.sampled_from(IPS), asks, listeners)
calls: st.SearchStrategy[Call] = st.one_of(
    connects, connects, connects, says, says, says, st.builds(Opened, st.sampled_from(IPS), listeners), asks,
    st.builds(lambda ask, cut: replace(ask, cut=cut), asks, st.integers(1, 60)),
    st.builds(Bytes, backs, st.sampled_from([b"\x9c\x41", b"\0", b"\x9c"])),
    st.builds(Ends, backs, st.booleans()), st.builds(Wakes, st.sampled_from([0, 0, 1, SECOND, 30 * SECOND])),
    st.builds(Removes, st.sampled_from(USERS), st.sampled_from(ROOMS)), st.builds(Limited, limits),
    st.builds(ShutsDown),
)  # fmt: skip
pauses = st.sampled_from([0, 0, 0, 0, 0, 1, 200_000, 500_000, SECOND, SECOND, 3 * SECOND, 10 * SECOND, 61 * SECOND])
runs = st.lists(st.tuples(pauses, calls), max_size=40)


def connect(
    ip: str, dialect: str, operation: Operation, name: str, password: str = "", room: str = "lobby"
) -> Connects:
    return Connects(ip, Asks(0, dialect, operation, room, name, password, None))


def say(back: int, body: bytes) -> Says:
    return Says(back, None, body, None, 40001)


ANN = connect(IPS[0], "text", Operation.CREATE, "ann")
BOB = connect(IPS[1], "json", Operation.JOIN, "bob")
LOCKED = connect(IPS[0], "json", Operation.CREATE, "ann", "sesame")
WRONG = connect(IPS[1], "json", Operation.JOIN, "bob", "wrong")
RIGHT = connect(IPS[1], "json", Operation.JOIN, "bob", "sesame")
ANOTHER = connect(IPS[0], "text", Operation.CREATE, "bob", room="vault")
talk: list[tuple[int, Call]] = [(0, ANN), (0, BOB), (0, say(1, b"")), (0, say(0, b"hello"))]
# The second answer is given, and the token not yet.
superseding: list[tuple[int, Call]] = [*talk, (4 * SECOND, Opened(IPS[1])), (0, BOB.asks)]
beginnings = st.sampled_from(
    [
        [],
        superseding,
        talk,
        [*talk, (4 * SECOND, BOB), (0, say(0, b""))],  # taken over
        [*talk, (0, say(0, b"\xff")), (0, say(0, b"\xff"))],  # about to be removed
        [*talk, (0, say(1, b"/exit")), (SECOND, say(0, b"hello"))],  # ended, and told again and again
        [(0, LOCKED), (0, WRONG), (SECOND, WRONG), (SECOND, RIGHT)],  # locked out
        [(0, LOCKED), (0, WRONG), (SECOND, RIGHT), (0, say(1, b"hello")), (0, say(0, b"hello"))],
        [(0, ANN), (0, ANN), (0, Opened(IPS[1])), (0, Bytes(0, b"\x05\x02")), (0, ANN)],  # half open, and refused
        [(0, ShutsDown())],
    ]
)


class Server:
    """An engine, the moment, how many streams were opened and how many tokens were granted."""

    def __init__(self, config: ServerConfig, *, now_us: int = 0, streams: int = 0, tokens: int = 0) -> None:
        self.config = config
        self.now_us = now_us
        self.streams = streams
        self.tokens = tokens
        self.asking = ("", "", 0)  # the address, the room and the listener of the latest request
        self.owners: list[tuple[str, str, int]] = []  # of each token
        self.engine = ServerEngine(config, new_token=self.new_token, now_us=now_us, detail=EVERYTHING)

    def new_token(self) -> bytes:
        self.tokens += 1
        self.owners.append(self.asking)
        return b"%032x" % self.tokens

    def restored(self) -> Server:
        """Another one, whose engine has been written down and read again."""
        other = Server(self.config, now_us=self.now_us, streams=self.streams, tokens=self.tokens)
        other.asking, other.owners = self.asking, list(self.owners)
        state: ServerState = pickle.loads(pickle.dumps(self.engine.freeze()))  # noqa: S301 (our own bytes)
        other.engine = ServerEngine(
            other.config, new_token=other.new_token, state=state, now_us=self.now_us, detail=EVERYTHING
        )
        return other

    def takes(self, pause_us: int, call: Call, *, wake_us: int | None = None) -> list[ServerOutput] | None:
        """What the engine puts out. `wake_us` is when it is woken, if the call is a waking."""
        engine = self.engine
        if isinstance(call, Limited):  # which has no moment
            self.config = replace(self.config, limits=call.limits)
            engine.set_limits(call.limits)
            return None
        now_us = self.now_us = max(self.now_us + pause_us, wake_us or 0)
        match call:
            case Connects(ip, asks, listener):
                outputs = [self.takes(0, each) or [] for each in (Opened(ip, listener), asks, Wakes(0))]
                return [output for some in outputs for output in some]
            case Opened(ip, listener):
                self.streams += 1
                number = listener % len(self.config.listeners)
                self.asking = ip.removeprefix("::ffff:"), "", number
                return engine.stream_opened(
                    self.streams, Address(ip, 50000), now_us, number, name=f"peer{self.streams}"
                )
            case Asks(back, dialect, operation, room, name, password, cut):
                self.asking = self.asking[0], room, self.asking[2]
                data = codec(dialect).write_request(operation, room.encode(), name, password, IPS[0], PORTS[0])
                return engine.receive_stream(self.streams - back, data[:cut], now_us)
            case Bytes(back, data):
                return engine.receive_stream(self.streams - back, data, now_us)
            case Ends(back, is_closed):
                stream = self.streams - back
                return engine.stream_closed(stream, now_us) if is_closed else engine.stream_ended(stream, now_us)
            case Says(back, room, body, ip, port, strays):
                number = self.tokens - back
                owner_ip, own_room, listener = self.owners[number - 1] if number > 0 else (IPS[0], "lobby", 0)
                room_bytes = (own_room if room is None else room).encode()
                data = bytes((len(room_bytes), 32)) + room_bytes + b"%032x" % max(number, 0) + body
                listener = (listener + strays) % len(self.config.listeners)
                return engine.receive_datagram(data, Address(ip or owner_ip, port), now_us, listener)
            case Wakes():
                return engine.handle_timeout(now_us)
            case Removes(user, room):
                return engine.remove(user, room, now_us)
            case ShutsDown():
                return engine.shutdown(now_us)

    def wake_us(self, pause_us: int, call: Call) -> int | None:
        """When this call wakes the engine, if it does."""
        if not isinstance(call, Wakes):
            return None
        return max(self.engine.next_deadline_us() or 0, self.now_us + pause_us) + call.late_us


AUTO = ListenerConfig()
SOME = ListenerConfig(tuple(map(codec, ("name-port", "json"))))
ONE_OF_EACH = [ListenerConfig((codec(name),)) for name in ("text", "json", "name-port-list")]
configs = st.builds(
    ServerConfig,
    limits,
    st.one_of(
        st.just((AUTO,)), st.sampled_from([(each,) for each in ONE_OF_EACH]),
        st.lists(st.sampled_from([AUTO, SOME, *ONE_OF_EACH]), min_size=2, max_size=3).map(tuple),
    ),
)  # fmt: skip


@random_runs
@given(configs, beginnings, runs, runs)
def test_a_server_that_is_written_down_and_read_again_goes_on_as_it_would_have(
    config: ServerConfig, beginning: Any, before: Any, after: Any
) -> None:
    original = Server(config)
    for pause_us, call in beginning + before:
        original.takes(pause_us, call, wake_us=original.wake_us(pause_us, call))
    restored = original.restored()
    assert restored.engine.freeze() == original.engine.freeze()
    for pause_us, call in after:
        wake_us = original.wake_us(pause_us, call)
        outputs = original.takes(pause_us, call, wake_us=wake_us)
        assert typed(restored.takes(pause_us, call, wake_us=wake_us)) == typed(outputs)
        is_over = original.engine.next_deadline_us() is None
        assert (restored.engine.next_deadline_us() is None) is is_over
        assert restored.engine.is_quiescent is original.engine.is_quiescent
        assert restored.engine.has_rooms is original.engine.has_rooms
        one, other = original.engine.freeze(), restored.engine.freeze()
        assert (one, hash(one)) == (other, hash(other))


@random_runs
@given(configs, beginnings, runs, st.integers(1, 10**15))
def test_a_server_knows_no_absolute_time(config: ServerConfig, beginning: Any, run: Any, later_us: int) -> None:
    early, late = Server(config), Server(config, now_us=later_us)
    for pause_us, call in beginning + run:
        wake_us = early.wake_us(pause_us, call)
        outputs = early.takes(pause_us, call, wake_us=wake_us)
        late_us = None if wake_us is None else wake_us + later_us
        assert typed(late.takes(pause_us, call, wake_us=late_us)) == typed(outputs)
        one, other = early.engine.freeze(), late.engine.freeze()
        assert (one, hash(one)) == (other, hash(other))


@random_runs
@given(configs, beginnings, runs, st.sampled_from(list(Detail)))
def test_what_a_server_holds_does_not_depend_on_how_much_it_observes(
    config: ServerConfig, beginning: Any, run: Any, detail: Detail
) -> None:
    all_of_it, less = Server(config), Server(config)
    less.engine = ServerEngine(config, new_token=less.new_token, detail=detail)
    for pause_us, call in beginning + run:
        wake_us = all_of_it.wake_us(pause_us, call)
        everything = all_of_it.takes(pause_us, call, wake_us=wake_us) or []
        some = less.takes(pause_us, call, wake_us=wake_us) or []
        assert typed(some) == typed([each for each in everything if is_observed(each, detail)])
        assert less.engine.freeze() == all_of_it.engine.freeze()


# --- everything that is held matters -------------------------------------------------------------

Run = list[tuple[int, Call]]
OPEN, WOKEN = Opened(IPS[1]), Wakes(0)
BOBS = BOB.asks
ASKS_FOR_TIMEOUT = codec("json-endpoint").write_request(
    Operation.JOIN, b"lobby", "bob", "", IPS[1], 40001, asks_for_timeout=True
)
ENTERS = Asks(0, "json-endpoint", Operation.JOIN, "lobby", "bob", "", None)
TAKES_OVER: Run = [(4 * SECOND, BOB), (0, Ends(0, False))]
HELD: list[tuple[str, str, Any, Run, Run]] = [
    ("sessions", "silent_us", 0, [*talk, (15 * SECOND, say(1, b""))], [(0, WOKEN), (0, WOKEN), (5 * SECOND, WOKEN)]),
    ("sessions", "rejected_in_a_row", 0, [*talk, (0, say(0, b"\xff")), (0, say(0, b"\xff"))], [(0, say(0, b"\xff"))]),
    ("sessions", "texts", (), [*talk, (0, say(0, b"hello"))], [(0, say(0, b"hello"))]),
    ("sessions", "supersedes", None, [*talk, (4 * SECOND, OPEN), (0, BOBS)], [(0, WOKEN)]),
    ("sessions", "address", None, talk, [(0, Removes("bob", "lobby"))]),
    ("rooms", "password", "", [(0, LOCKED)], [(0, WRONG)]),
    ("rooms", "fanout_groups", (), talk, [(0, say(0, b"hello"))]),
    ("rooms", "takeovers", (), [*talk, *TAKES_OVER * 3], [(4 * SECOND, BOB)]),
    ("rooms", "wrong_passwords", (), [(0, LOCKED), (0, WRONG)], [(0, WRONG), (0, WRONG)]),
    ("rooms", "owner_ip", IPS[1], [(0, ANN)], [(0, ANOTHER)]),
    ("rooms", "host_has_entered", True, [(0, ANN)], [(0, ANOTHER)]),
    ("ended", "ended_ago_us", 0, [*talk, (0, Removes("bob", "lobby")), (400_000, say(1, b""))], [(0, WOKEN)] * 2),
    (
        "ended", "answered_ago_us", None, [*talk, (0, Removes("bob", "lobby")), (0, say(0, b"hello"))],
        [(200_000, say(0, b"hello"))],
    ),
    ("ended", "times_told", 3, [*talk, (0, Removes("bob", "lobby"))], [(0, WOKEN)] * 2),
    ("ended", "sentence", None, [*talk, (0, Removes("bob", "lobby"))], [(0, WOKEN)]),
    ("handshakes", "buffer", b"", [(0, ANN), (0, OPEN), (0, replace(BOBS, cut=40))], [(0, Bytes(0, b"x" * 99))]),
    ("handshakes", "port", None, [(0, ANN), (0, OPEN), (0, ENTERS)], [(0, WOKEN)]),
    ("handshakes", "asks_for_timeout", False, [(0, ANN), (0, OPEN), (0, Bytes(0, ASKS_FOR_TIMEOUT))], [(0, WOKEN)]),
    ("handshakes", "session", None, [(0, ANN), (0, OPEN), (0, BOBS)], [(0, Ends(0, True))]),
    ("handshakes", "is_finished", False, [(0, ANN)], [(0, Ends(0, False))]),
    ("sessions", "listener", 1, talk, [(0, say(0, b"hello"))]),
    ("ended", "listener", 1, [*talk, (0, Removes("bob", "lobby"))], [(0, WOKEN)]),
    ("handshakes", "listener", 1, [(0, ANN), (0, OPEN)], [(0, BOBS), (0, WOKEN)]),
    ("handshakes", "peer_ended", False, [(0, ANN), (0, OPEN), (0, BOBS), (0, Ends(0, False))], [(0, WOKEN)]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "other", "before", "after"), HELD, ids=lambda each: str(each)[:20])
def test_what_is_held_decides_what_comes(kind: str, name: str, other: object, before: Run, after: Run) -> None:
    """The run goes another way if one value of a state is lost."""
    original = Server(ServerConfig(SMALL, (AUTO, AUTO)))
    for pause_us, call in before:
        original.takes(pause_us, call, wake_us=original.wake_us(pause_us, call))
    same, lost = original.restored(), original.restored()
    state = lost.engine.freeze()
    changed: Any = tuple(replace(each, **{name: other}) for each in getattr(state, kind))
    assert changed != getattr(state, kind)
    lost.engine = ServerEngine(
        lost.config, new_token=lost.new_token, state=replace(state, **{kind: changed}), now_us=lost.now_us,
        detail=EVERYTHING,
    )  # fmt: skip
    outputs: list[list[Any]] = [[], [], []]
    for pause_us, call in after:
        wake_us = original.wake_us(pause_us, call)
        for run, server in zip(outputs, (original, same, lost), strict=True):
            try:
                run.append(typed(server.takes(pause_us, call, wake_us=wake_us)))
            except (AssertionError, IllegalEvent, KeyError):
                assert server is lost, "only an impossible state may do this"
                run.append("raised")
    assert outputs[1] == outputs[0]
    assert outputs[2] != outputs[0]


def test_a_window_keeps_its_moments_under_other_limits() -> None:
    """Fewer are kept at once, so that a state says what its engine will do."""
    for name in ("password_tries_max", "texts_per_second_max"):
        original = Server(ServerConfig(SMALL))
        for pause_us, call in [(0, LOCKED), (0, WRONG), (SECOND, WRONG), *talk]:
            original.takes(pause_us, call)
        for most in (1, 3):
            original.takes(0, Limited(SMALL.with_settings({name: most})))
            assert original.restored().engine.freeze() == original.engine.freeze()


def test_who_gave_a_wrong_password_is_forgotten_in_the_same_order() -> None:
    chat = vault()
    for name in ("carol", "dave", "carol"):
        chat.user(name, "json", ip=f"10.5.0.{len(name)}").joins("vault", "wrong")
        chat.passes(1)
    chat.do(chat.server.handle_timeout(chat.now_us))
    again = ServerEngine(
        ServerConfig(chat.limits), new_token=lambda: b"", state=chat.server.freeze(), now_us=chat.now_us
    )
    orders = [list(engine.registry.rooms[b"vault"].wrong_passwords) for engine in (chat.server, again)]
    assert orders == [["10.5.0.4", "10.5.0.5"]] * 2


# --- different ways to one state -----------------------------------------------------------------


def vault(*, moment_us: int = 0) -> Chat:
    """A room with a password and two members, who entered ten seconds ago."""
    chat = Chat()
    chat.now_us = moment_us
    chat.user("alice", "json").creates("vault", "sesame")
    chat.user("bob", "json").joins("vault", "sesame")
    chat.passes(10)
    return chat


def bobs(chat: Chat, body: bytes, *, room: str = "vault") -> None:
    """A datagram with bob's token."""
    bob = list(chat.users.values())[1]
    bob.sends(body, room=room)


def rejected_and_cleared(chat: Chat) -> None:
    bobs(chat, b'{"username": "bob", "message": "hi"}', room="attic")
    bobs(chat, b"")


def only_valid(chat: Chat) -> None:
    bobs(chat, b"")


def wrong_password(chat: Chat) -> None:
    assert chat.user("carol", "json", ip="10.5.0.5").joins("vault", "wrong").refused is Reason.WRONG_PASSWORD
    chat.passes(60)


def locked_out(chat: Chat) -> None:
    for _ in range(5):
        chat.user("carol", "json", ip="10.5.0.5").joins("vault", "wrong")
    chat.passes(60)


def no_password(chat: Chat) -> None:
    chat.passes(60)


def text_of_long_ago(chat: Chat) -> None:
    bobs(chat, b'{"username": "bob", "message": "hi"}')
    chat.passes(1)
    bobs(chat, b"")


def no_text(chat: Chat) -> None:
    chat.passes(1)
    bobs(chat, b"")


def answered_after_its_end(chat: Chat, *, pause: float) -> None:
    """Bob is removed, asks later, when the notices are sent, what became of them, and `pause` seconds pass."""
    ended_and_not_answered(chat)
    told = len(chat.sent)
    bobs(chat, b"x" * 100)
    assert len(chat.sent) == told + 1
    chat.passes(pause)


def answered_a_second_ago(chat: Chat) -> None:
    answered_after_its_end(chat, pause=1)


def ended_and_not_answered(chat: Chat) -> None:
    chat.do(chat.server.remove("bob", "vault", chat.now_us) or [])
    chat.passes(2.5)


def ended_and_not_answered_for_another_second(chat: Chat) -> None:
    ended_and_not_answered(chat)
    chat.passes(1)


def test_how_long_ago_an_ended_token_was_answered_is_part_of_the_state_for_a_second() -> None:
    chat = vault(moment_us=12345)
    answered_after_its_end(chat, pause=0.75)
    chat.do(chat.server.handle_timeout(chat.now_us))
    assert [each.answered_ago_us for each in chat.server.freeze().ended] == [750_000]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (rejected_and_cleared, only_valid), (wrong_password, no_password), (locked_out, no_password),
        (text_of_long_ago, no_text), (answered_a_second_ago, ended_and_not_answered_for_another_second),
    ],
)  # fmt: skip
def test_different_ways_lead_to_one_state(one: Callable[[Chat], None], other: Callable[[Chat], None]) -> None:
    chats = vault(), vault(moment_us=12345)
    before = chats[0].server.freeze()
    assert before == chats[1].server.freeze()
    one(chats[0])
    other(chats[1])
    now = chats[0].now_us + 12345
    assert chats[1].now_us == now
    for chat in chats:
        chat.do(chat.server.handle_timeout(chat.now_us))  # a state is that of the latest call
    states = [chat.server.freeze() for chat in chats]
    assert states[0] == states[1]
    assert hash(states[0]) == hash(states[1])
    assert states[0] != before


@pytest.mark.parametrize(
    "step",
    [
        lambda chat: bobs(chat, b"\xff"),
        lambda chat: bobs(chat, b'{"username": "bob", "message": "hi"}'),
        lambda chat: chat.user("carol", "json").joins("vault", "wrong"),
        lambda chat: chat.user("carol", "json").joins("vault", "sesame"),
        lambda chat: chat.peer(),
        lambda chat: chat.do(chat.server.shutdown(chat.now_us)),
        lambda chat: chat.do(chat.server.remove("bob", "vault", chat.now_us) or []),
    ],
)
def test_what_matters_later_makes_another_state(step: Callable[[Chat], object]) -> None:
    chat = vault()
    chat.do(chat.server.handle_timeout(chat.now_us))
    before = chat.server.freeze()
    step(chat)
    assert chat.server.freeze() != before


def test_a_state_holds_no_password_in_its_text() -> None:
    assert "sesame" not in repr(vault().server.freeze())


# --- a client's random run -----------------------------------------------------------------------

ClientCall = tuple[str, Any]
LOBBY = b"lobby"


def replies(dialect: str) -> list[bytes]:
    """What a server may answer, whole and in halves."""
    speaks = codec(dialect)
    answer = speaks.write_answer(Operation.JOIN, LOBBY) if speaks.dialect.answer is not None else b""
    completion = speaks.write_completion(Operation.JOIN, LOBBY, "bob", b"t0ken")
    refusal = b"".join(speaks.write_refusal(2, LOBBY, Reason.NAME_TAKEN))
    return [answer + completion, answer, completion, completion[:20], completion[20:], refusal, b"\xff" * 40]


def client_calls(dialect: str) -> st.SearchStrategy[ClientCall]:
    """What may happen to a client of that dialect."""
    speaks = codec(dialect)
    datagrams = [b"", b"Room closed", b"alice: hi", b"\xff", "bobがlobbyから退出しました。".encode()]
    relay = speaks.write_relay("alice", "hello")
    if relay is not None:
        datagrams.append(relay)
    return st.one_of(
        st.tuples(st.just("stream"), st.sampled_from(replies(dialect))),
        st.tuples(st.just("datagram"), st.sampled_from(datagrams)),
        st.tuples(st.just("say"), st.sampled_from(["", "hi", "hello", "x" * 5000])),
        st.tuples(st.just("wake"), st.sampled_from([0, 0, 0, 1, SECOND, 70 * SECOND])),
        st.tuples(st.sampled_from(["leave", "abandon", "closed", "opened"]), st.none()),
    )


@st.composite
def client_runs(draw: st.DrawFn) -> tuple[ClientConfig, list[tuple[int, ClientCall]], list[tuple[int, ClientCall]]]:
    dialect = draw(st.sampled_from(NAMES))
    config = ClientConfig(
        codec(dialect), Operation.JOIN, "lobby", "bob", udp_port=5000,
        limits=Limits(idle_timeout=60 * SECOND, texts_per_second_max=draw(st.sampled_from([1, 20]))),
        keeps_alive=draw(st.booleans()), paces=draw(st.booleans()),
    )  # fmt: skip
    run = st.lists(st.tuples(pauses, client_calls(dialect)), max_size=30)
    granted: list[tuple[int, ClientCall]] = [(0, ("opened", None)), (0, ("stream", replies(dialect)[0]))]
    return config, draw(st.sampled_from([[], granted])) + draw(run), draw(run)


def client_takes(engine: ClientEngine, call: ClientCall, now_us: int) -> list[ClientOutput] | str:
    """What the client puts out, or what it raises."""
    kind, value = call
    try:
        match kind:
            case "stream":
                return engine.receive_stream(value, now_us)
            case "datagram":
                return engine.receive_datagram(value, now_us)
            case "say":
                return engine.say(value, now_us)
            case "leave":
                return engine.leave(now_us)
            case "abandon":
                return engine.abandon(now_us)
            case "closed":
                return engine.stream_closed(now_us)
            case "opened":
                return engine.stream_opened(1, now_us)
            case _:
                return engine.handle_timeout(now_us)
    except (IllegalEvent, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def client_wake_us(engine: ClientEngine, call: ClientCall, now_us: int) -> int:
    """When the call happens."""
    if call[0] != "wake":
        return now_us
    return max(engine.next_deadline_us() or 0, now_us) + int(call[1])


@random_runs
@given(client_runs())
def test_a_client_that_is_written_down_and_read_again_goes_on_as_it_would_have(
    told: tuple[ClientConfig, list[tuple[int, ClientCall]], list[tuple[int, ClientCall]]],
) -> None:
    config, before, after = told
    original, now_us = ClientEngine(config, detail=EVERYTHING), 0
    original.start(0)
    for pause_us, call in before:
        now_us = client_wake_us(original, call, now_us + pause_us)
        client_takes(original, call, now_us)
    state: ClientState = pickle.loads(pickle.dumps(original.freeze()))  # noqa: S301 (our own bytes)
    restored = ClientEngine(config, state=state, now_us=now_us, detail=EVERYTHING)
    assert restored.freeze() == state
    for pause_us, call in after:
        now_us = client_wake_us(original, call, now_us + pause_us)
        assert typed(client_takes(restored, call, now_us)) == typed(client_takes(original, call, now_us))
        assert restored.next_deadline_us() == original.next_deadline_us()
        assert restored.is_quiescent is original.is_quiescent
        one, other = original.freeze(), restored.freeze()
        assert (one, hash(one)) == (other, hash(other))


def test_a_clients_different_ways_lead_to_one_state() -> None:
    def client(start_us: int) -> ClientEngine:
        speaks = codec("text")
        engine = ClientEngine(ClientConfig(speaks, Operation.JOIN, "lobby", "bob", paces=True), now_us=start_us)
        engine.start(start_us)
        engine.stream_opened(1, start_us)
        engine.receive_stream(speaks.write_answer(Operation.JOIN, LOBBY), start_us)
        engine.receive_stream(speaks.write_completion(Operation.JOIN, LOBBY, "bob", b"t"), start_us)
        engine.receive_datagram(b"alice: hi", start_us)
        return engine

    one, other = client(0), client(777)
    assert (one.freeze(), hash(one.freeze())) == (other.freeze(), hash(other.freeze()))
    one.say("a text", SECOND)  # whose pace is over when the next thing is said
    one.say("", 5 * SECOND)
    other.say("", 5 * SECOND + 777)
    for engine, now_us in ((one, 400 * SECOND), (other, 400 * SECOND + 777)):
        assert engine.is_living
        engine.handle_timeout(now_us)
        assert not engine.is_living
    assert (one.freeze(), hash(one.freeze())) == (other.freeze(), hash(other.freeze()))


# --- one room of several -------------------------------------------------------------------------


def test_a_room_is_taken_out_and_put_into_another_engine_as_it_is() -> None:
    chat = Chat()
    for room in ROOMS:
        host = chat.user(f"host of {room}", "json").creates(room)
        guest = chat.user("guest", "text").joins(room)
        gone = chat.user("gone", "text").joins(room)
        guest.says("hello")
        gone.leaves()
        host.says("hi")
    early = chat.server.freeze()
    assert {each.room for each in early.ended} == {room.encode() for room in ROOMS}
    assert ServerEngine(ServerConfig(chat.limits), new_token=lambda: b"0" * 32, state=early).freeze() == early
    chat.settles()
    whole = chat.server.freeze()
    parts = [chat.server.freeze_room(room.encode()) for room in ROOMS]
    other = ServerEngine(ServerConfig(chat.limits), new_token=lambda: b"0" * 32)
    for part in reversed(parts):
        other.adopt(part, 0)
    assert [other.freeze_room(room.encode()) for room in ROOMS] == parts
    other.stream_opened("late", Address("10.5.0.5", 50000), 0)
    other.receive_stream("late", codec("json").write_request(Operation.JOIN, b"lobby", "late", "", "", 0), 0)
    assert [each.name for each in other.freeze_room(b"lobby").sessions][-1] == "late"
    for name in ("sessions", "rooms", "ended", "handshakes", "timers"):
        both = [each for part in parts for each in getattr(part, name)]
        assert sorted(map(repr, both)) == sorted(map(repr, getattr(whole, name)))
    for room in ROOMS:
        chat.server.forget_room(room.encode())
    assert chat.server.freeze() == ServerState()
    assert chat.server.next_deadline_us() is None
    assert not chat.server.registry.sessions_at
    assert chat.server.registry.rooms_per_ip.of("10.0.0.1") == chat.server.registry.sessions_per_ip.of("10.0.0.1") == 0


def everything_in(states: Sequence[ServerState]) -> list[str]:
    """What several states hold, without an order."""
    parts = ("sessions", "rooms", "ended", "handshakes", "timers")
    return sorted(repr(each) for state in states for part in parts for each in getattr(state, part))


def counts_of(engine: ServerEngine) -> list[int]:
    registry = engine.registry
    counts = (registry.sessions_per_ip, registry.rooms_per_ip, registry.unentered_rooms_per_ip)
    return [each.of(ip) for each in (*counts, engine.handshake_server.per_ip) for ip in ("10.0.0.1", "10.0.0.2")]


@settings(random_runs, max_examples=examples(100))
@given(configs, beginnings, runs)
@example(ServerConfig(SMALL), superseding, [])
def test_what_is_taken_out_room_by_room_is_what_was_there(config: ServerConfig, beginning: Any, run: Any) -> None:
    """And what stays behind is the connections of those who have no session yet, with their deadlines."""
    server = Server(config)
    for pause_us, call in beginning + run:
        server.takes(pause_us, call, wake_us=server.wake_us(pause_us, call))
    engine, whole, now_us = server.engine, server.engine.freeze(), server.now_us
    rooms = [each.name for each in whole.rooms]
    parts = [engine.freeze_room(room) for room in rooms]
    for part in parts:
        assert [each.when_us for each in part.timers] == sorted(each.when_us for each in part.timers)
        assert [each for each in whole.sessions if each in part.sessions] == list(part.sessions)
        assert [each for each in whole.ended if each in part.ended] == list(part.ended)
        assert [each for each in whole.handshakes if each in part.handshakes] == list(part.handshakes)

    other = ServerEngine(server.config, new_token=server.new_token, now_us=now_us)
    for part in parts:
        other.adopt(part, now_us)
    assert [other.freeze_room(room) for room in rooms] == parts
    assert everything_in([other.freeze()]) == everything_in(parts)

    forgotten = [output.subject for room in rooms for output in engine.forget_room(room) if type(output) is Forgotten]
    rest = engine.freeze()
    assert everything_in([rest, *parts]) == everything_in([whole])
    assert (rest.rooms, rest.sessions, rest.ended) == ((), (), ())
    assert not {each.session for each in rest.handshakes} & {each.token for each in whole.sessions}
    assert {*rooms, *(each.token for each in whole.sessions)} <= set(forgotten)
    alone = ServerEngine(server.config, new_token=server.new_token, state=rest, now_us=now_us)
    assert counts_of(engine) == counts_of(alone)
    assert engine.registry.sessions_at == {}
    assert engine.next_deadline_us() == alone.next_deadline_us()


class Away:
    """Every room is another server's."""

    def serves(self, room: bytes) -> bool:
        return False

    def listed(self) -> list[bytes]:
        return []


def test_a_request_that_waits_for_a_room_of_another_server_is_frozen_with_what_came_behind_it() -> None:
    engine = ServerEngine(ServerConfig(Limits()), new_token=lambda: b"", beside=Away())
    engine.stream_opened("waiting", Address("10.5.0.5", 50000), 0)
    request = codec("json").write_request(Operation.JOIN, b"lobby", "ann", "", "", 0)
    outputs = engine.receive_stream("waiting", request + b"more", 0)
    assert "Elsewhere" in [type(each).__name__ for each in outputs]
    assert [each.buffer for each in engine.freeze().handshakes] == [request + b"more"]
