"""Rooms and sessions: what limits that change, moves, takeovers under way and endings mean for each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from changed_dialects import changed
from conversation import SECOND, Chat, Peer, User, counted_tokens
from tcrp.engine.codec import codec, codec_of
from tcrp.engine.frames import write_request
from tcrp.engine.outputs import Address, Detail, SendDatagram, Stepped
from tcrp.engine.server import Outputs as ServerOutputs
from tcrp.engine.server import ServerConfig, ServerEngine
from tcrp.sim.reference.server import ReferenceServer
from tcrp.spec import dialects
from tcrp.spec.limits import ANSWER_ENDED_EVERY_US, Limits
from tcrp.spec.names import Deadline, Operation, Reason, SessionState
from tcrp.trace.records import TimerRecord

BY_SILENCE: dict[str, Any] = {"takeover": "same_address", "takeover_after": SECOND}


def two(chat: Chat) -> tuple[User, User]:
    """Alice's lobby with bob in it."""
    return chat.user("alice").creates("lobby"), chat.user("bob").joins("lobby")


def takeover_under_way(chat: Chat, user: User) -> Peer:
    """A connection whose request takes over the user's name: accepted, and not yet completed."""
    heir = chat.peer(user.address.ip)
    heir.sends(write_request(Operation.JOIN, b"lobby", user.name.encode()), wake=False)
    return heir


# --- limits that change --------------------------------------------------------------------------


def test_a_shorter_idle_timeout_holds_at_once() -> None:
    chat = Chat(idle_timeout=60 * SECOND)
    alice = chat.user("alice").creates("lobby")
    chat.passes(31)
    heard_us = alice.sent[-1][0]
    chat.server.set_limits(chat.limits.with_settings({"idle_timeout": 15 * SECOND}))
    chat.passes((heard_us - chat.now_us) / SECOND + 14.9)
    assert alice.told == []
    chat.passes(0.1)
    assert alice.told == ["idled"]


def test_a_lower_rate_counts_what_was_said_before() -> None:
    chat = Chat(texts_per_second_max=5)
    alice, bob = two(chat)
    for text in ("one", "two", "three"):
        alice.says(text)
    chat.server.set_limits(chat.limits.with_settings({"texts_per_second_max": 3}))
    alice.says("four")
    chat.passes(1)
    alice.says("five")
    assert bob.sees("one", "two", "three", "five")


# --- entering and moving -------------------------------------------------------------------------


def test_a_session_has_spoken_when_its_token_is_handed_over_however_late_the_server_is() -> None:
    chat = Chat(idle_timeout=60 * SECOND)
    peer = chat.peer("10.0.0.1")
    peer.sends(codec("name-port").write_request(Operation.CREATE, b"lobby", "ann", "", "10.0.0.1", 40001), wake=False)
    chat.now_us += 10 * SECOND  # the server stood still
    chat.passes(59.9)
    assert chat.steps("session") == ["granted", "entered"]
    chat.passes(0.1)
    assert chat.steps("session") == ["granted", "entered", "idled"]


def test_a_session_that_moved_and_came_back_is_told_that_it_ended() -> None:
    chat = Chat()
    alice = chat.user("alice").creates("lobby")
    there, here = Address(alice.address.ip, 50000), alice.address
    for source in (there, here, there, here):
        alice.sends(b"", source=source)
    assert chat.server.registry.sessions_at == {here: 1}
    chat.do(chat.server.remove("alice", "lobby", chat.now_us) or [])
    assert alice.told == ["removed"]


# --- takeovers under way -------------------------------------------------------------------------


def test_a_name_is_not_silent_for_longer_the_later_it_is() -> None:
    chat = Chat(takeover="same_address", takeover_after=10 * SECOND, idle_timeout=60 * SECOND)
    _, bob = two(chat)
    chat.passes(30)
    bob.says("hello")
    chat.passes(5)
    again = chat.user("bob", ip=bob.address.ip)
    assert again.joins("lobby").refused is Reason.NAME_TAKEN
    chat.passes(5)
    assert again.joins("lobby").state is SessionState.IN_ROOM


def test_after_a_takeover_that_is_broken_off_the_name_is_taken_as_before() -> None:
    chat = Chat(**BY_SILENCE)
    _, bob = two(chat)
    chat.passes(30)
    takeover_under_way(chat, bob).breaks()
    bob.says("still here")
    assert chat.user("bob").joins("lobby").refused is Reason.NAME_TAKEN
    chat.do(chat.server.remove("bob", "lobby", chat.now_us) or [])
    assert bob.told == ["removed"]
    assert chat.user("bob").joins("lobby").refused is None


def test_a_token_that_is_undone_is_forgotten() -> None:
    chat = Chat(**BY_SILENCE)
    _, bob = two(chat)
    chat.passes(30)
    causes = set(chat.recorder.causes)
    takeover_under_way(chat, bob).breaks()
    assert set(chat.recorder.causes) == causes


def test_who_holds_a_name_ends_with_the_room_although_a_takeover_is_under_way() -> None:
    chat = Chat(**BY_SILENCE)
    alice, bob = two(chat)
    chat.passes(30)
    takeover_under_way(chat, bob)
    alice.leaves()
    assert bob.told == ["room_closed"]
    assert not chat.server.registry.sessions


# --- endings -------------------------------------------------------------------------------------


def test_at_a_shutdown_the_host_is_told_first_and_then_the_members_as_they_came() -> None:
    chat = Chat()
    alice, bob = two(chat)
    carol = chat.user("carol").joins("lobby")
    again = chat.user("alice", "json", ip=alice.address.ip).joins("lobby", resume=alice.token)  # the last who came
    before = len(chat.sent)
    chat.do(chat.server.shutdown(chat.now_us))
    assert [address for _, address, _ in chat.sent[before:]] == [again.address, bob.address, carol.address]


@pytest.mark.parametrize("dialect", ["json", "name-port", "name-port-list"])
def test_a_session_that_is_removed_hears_that_and_no_farewell(dialect: str) -> None:
    chat = Chat(only=dialect)
    alice = chat.user("alice", dialect).creates("lobby")
    before = len(chat.sent_to(alice))
    chat.do(chat.server.remove("alice", "lobby", chat.now_us) or [])
    assert len(chat.sent_to(alice)) == before + 1


@pytest.mark.parametrize(
    ("dialect", "who", "sentence"),
    [
        ("json", "alice", "チャットルームが閉じられました"),
        ("name-port", "alice", "Room closed"),
        ("name-port-list", "alice", "DISCONNECTED: quit"),
        ("name-port-list", "bob", "DISCONNECTED: quit"),
        ("json", "bob", None),
    ],
)
def test_who_leaves_hears_a_farewell_where_the_dialect_has_one(dialect: str, who: str, sentence: str | None) -> None:
    chat = Chat(only=dialect)
    users = {"alice": chat.user("alice", dialect).creates("lobby"), "bob": chat.user("bob", dialect).joins("lobby")}
    before = len(chat.sent_to(users[who]))
    users[who].leaves()
    assert chat.sent_to(users[who])[before:] == ([] if sentence is None else [sentence.encode()])


def test_a_room_that_lingers_no_longer_anyway_is_not_kept_by_a_shutdown() -> None:
    chat = Chat(linger=20 * SECOND)
    chat.user("alice").creates("lobby").leaves()
    chat.passes(19.8)
    chat.do(chat.server.shutdown(chat.now_us))
    chat.passes(0.2)
    assert not chat.server.has_rooms


def test_a_room_that_was_closed_has_no_members_and_is_forgotten_in_the_end() -> None:
    chat = Chat()
    causes = set(chat.recorder.causes)
    alice, _ = two(chat)
    alice.leaves()
    assert chat.server.remove("bob", "lobby", chat.now_us) is None
    chat.settles()
    assert set(chat.recorder.causes) == causes


@pytest.mark.parametrize(("dialect", "is_fixed"), [("text", False), ("json-port", True)])
def test_an_ended_token_is_answered_where_it_hears(dialect: str, is_fixed: bool) -> None:
    chat = Chat(only=dialect)
    bob = chat.user("bob", dialect).creates("lobby")
    chat.do(chat.server.remove("bob", "lobby", chat.now_us) or [])
    elsewhere = Address(bob.address.ip, 50000)
    bob.sends(b"is anybody there?", source=elsewhere)
    assert chat.sent[-1][1] == (bob.address if is_fixed else elsewhere)


def test_an_ended_token_is_answered_again_after_the_whole_pause() -> None:
    chat = Chat()
    chat.passes(30)
    bob = chat.user("bob").creates("lobby")
    chat.do(chat.server.remove("bob", "lobby", chat.now_us) or [])
    bob.sends(b"is anybody there?")
    answered = len(chat.sent)
    chat.now_us += ANSWER_ENDED_EVERY_US - 1
    bob.sends(b"is anybody there?")
    assert len(chat.sent) == answered
    chat.now_us += 1
    bob.sends(b"is anybody there?")
    assert len(chat.sent) == answered + 1


def test_a_shutdown_remembers_ended_tokens_for_half_a_second_even_where_nothing_lingers() -> None:
    chat = Chat(linger=0)
    _, bob = two(chat)
    chat.do(chat.server.shutdown(chat.now_us))
    told = len(chat.sent_to(bob))
    chat.passes(0.4)
    chat.datagram(bytes((5, 32)) + b"lobby" + bob.token, bob.address)
    assert len(chat.sent_to(bob)) == told + 1
    chat.passes(0.1)
    assert not chat.server.registry.ended
    assert chat.server.next_deadline_us() is None


@pytest.mark.parametrize("linger", [0, SECOND])
def test_an_ended_token_is_remembered_while_it_lingers(linger: int) -> None:
    chat = Chat(linger=linger)
    _, bob = two(chat)
    token = bob.token
    bob.leaves()
    assert (token in chat.server.registry.ended) == (linger > 0)
    assert (token in chat.recorder.causes) == (linger > 0)


def test_what_is_to_be_told_again_is_forgotten_with_its_room() -> None:
    chat = Chat(linger=20 * SECOND)
    _, bob = two(chat)
    chat.do(chat.server.remove("bob", "lobby", chat.now_us) or [])
    chat.passes(0.9)  # told twice; a third time would be 0.6 seconds from now
    chat.do(chat.server.shutdown(chat.now_us))
    chat.passes(0.5)
    assert not chat.server.has_rooms
    assert chat.server.next_deadline_us() is None
    assert bob.told == ["removed"]


def test_each_silence_that_lasted_too_long_is_observed_by_its_name() -> None:
    chat = Chat(idle_timeout=60 * SECOND)
    chat.user("alice").creates("lobby")
    guest = chat.peer()
    guest.sends(write_request(Operation.JOIN, b"lobby", b"dave"))
    chat.passes(200)
    timers = [record.what for record in chat.records if isinstance(record, TimerRecord)]
    assert [what for what in timers if what in (Deadline.UNUSED, Deadline.IDLE)] == [Deadline.UNUSED, Deadline.IDLE]


def test_a_session_that_ended_counts_no_longer_for_its_address() -> None:
    chat = Chat(sessions_per_ip_max=1)
    chat.user("alice").creates("lobby")
    bob = chat.user("bob")
    for _ in range(3):
        assert bob.joins("lobby").refused is None
        bob.leaves()


def test_a_token_that_is_held_or_remembered_is_not_granted_again() -> None:
    chat = Chat()
    alice, bob = two(chat)
    tokens = iter((alice.token, bob.token, b"%032x" % 99))
    bob.leaves()
    chat.server.registry._new_token = lambda: next(tokens)
    assert chat.user("carol").joins("lobby").token == b"%032x" % 99


@pytest.mark.parametrize("times", [1, 2, 4])
def test_a_dialect_says_how_often_an_ended_session_is_told(times: int) -> None:
    """Clients that show each of them need no more than one."""
    text = (Path(dialects.__file__).parent / "dialects" / "text.toml").read_text(encoding="utf-8")
    spoken = dialects.parse(text.replace("[notices]", f"[notices]\nrepeat = {times}"), "often.toml")
    chat = Chat(only=codec_of(spoken))
    chat.user("alice").creates("lobby")
    chat.user("bob").joins("lobby")
    reference = ReferenceServer(chat.limits, [[spoken]], counted_tokens())
    for name, operation in (("alice", Operation.CREATE), ("bob", Operation.JOIN)):
        reference.stream_opened(name, Address("10.0.0.9", 50000), 0)
        reference.receive_stream(name, codec_of(spoken).write_request(operation, b"lobby", name, "", "", 0), 0)
        reference.handle_timeout(0)
    reference.receive_datagram(b"\5\x20lobby" + b"%032x" % 2, Address("10.0.0.9", 50000), 0)
    told = [*(chat.server.remove("bob", "lobby", 0) or [])]
    theirs = [*(reference.remove("bob", "lobby", 0) or [])]
    for when_us in (500_000, 1_500_000, 3_500_000, 4_900_000):
        told += chat.server.handle_timeout(when_us)
        theirs += reference.handle_timeout(when_us)
    for outputs in (told, theirs):
        removed = [each for each in outputs if isinstance(each, SendDatagram) and each.data == b"You were removed"]
        assert len(removed) == times


# --- endings and who hears of others -------------------------------------------------------------


def test_a_name_that_ends_clients_of_a_dialect_is_not_told_to_them() -> None:
    """R-REL-3: `json-port` ends its clients by a phrase anywhere in a datagram."""
    speaks = changed("json-port", ("[notices]", '[notices]\njoined = "{name} came"'))
    chat = Chat(only=speaks)
    alice = chat.user("alice", "json-port").creates("lobby")
    chat.user("bob", "json-port").joins("lobby")
    chat.user("ホストが退出したため", "json-port").joins("lobby")
    assert chat.sent_to(alice) == [b"bob came"]


def silent(count: int, limits: Limits) -> tuple[ServerEngine, ServerOutputs]:
    """A server whose `count` rooms nobody has entered, at the moment when their tokens end, and what it does then."""
    server = ServerEngine(ServerConfig(limits), new_token=counted_tokens(), detail=Detail.EVERYTHING)
    for number in range(count):
        server.stream_opened(number, Address(f"10.0.0.{number}", 4000), 0)
        server.receive_stream(number, write_request(Operation.CREATE, b"room%d" % number, b"bob"), 0)
    server.handle_timeout(0)
    assert len(server.registry.sessions) == count
    return server, server.handle_timeout(limits.token_timeout)


def test_sessions_that_are_silent_for_equally_long_end_together_and_their_rooms_with_them() -> None:
    server, _ = silent(3, Limits())
    assert (len(server.registry.sessions), server.has_rooms) == (0, False)


def test_only_of_a_session_that_never_spoke_the_dialect_is_doubted() -> None:
    _, outputs = silent(1, Limits())
    [why] = [each.why for each in outputs if isinstance(each, Stepped) and each.event == "idled"]
    assert why.startswith("granted in text, silent since")
    chat = Chat(idle_timeout=2 * SECOND)
    alice, _ = two(chat)
    alice.is_cut_off = True
    outputs = chat.server.handle_timeout(chat.now_us + 3 * SECOND)
    assert {each.why for each in outputs if isinstance(each, Stepped) and each.event == "idled"} == {""}
