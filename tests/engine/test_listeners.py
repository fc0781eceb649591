"""Several listeners, one room space: who is heard, answered and told by which."""

from __future__ import annotations

import pytest

from conversation import Chat
from tcrp.engine.codec import Codec, codec, codec_of
from tcrp.engine.frames import write_request
from tcrp.engine.listeners import ListenerConfig
from tcrp.engine.outputs import SendFrame
from tcrp.engine.recognition import Recognised, Recogniser
from tcrp.spec.dialects import NAMES, parse, path_of
from tcrp.spec.names import Operation, Reason, SessionState
from tcrp.trace.records import StepRecord

PRINTS_AS_TEXT = 0x6161


def listed(*dialects: str) -> ListenerConfig:
    return ListenerConfig(tuple(map(codec, dialects)))


def three() -> Chat:
    return Chat(listeners=(listed(), listed("name-port"), listed("json-name", "text")))


def named_by_port(chat: Chat, listener: int, name: bytes = b"bob") -> SessionState | None:
    """The state of a session that a request of `name-port` is granted whose port prints as text."""
    peer = chat.peer(listener=listener)
    peer.sends(write_request(Operation.JOIN, b"lobby", name + PRINTS_AS_TEXT.to_bytes(2, "big")))
    members = {each.name: each.state for each in chat.server.registry.sessions.values()}
    return members.get(name.decode())


def test_members_of_all_listeners_share_a_room_and_each_is_reached_by_its_own() -> None:
    chat = three()
    alice = chat.user("alice", "json").creates("lobby")
    bob = chat.user("bob", "name-port", listener=1).joins("lobby")
    carol = chat.user("carol", "json-name", listener=2).joins("lobby")
    chat.settles()
    before = len(chat.sent)
    bob.says("hello")
    assert [(address, by) for (_, address, _), by in zip(chat.sent[before:], chat.sent_by[before:], strict=True)] == [
        (alice.address, 0), (carol.address, 2),
    ]  # fmt: skip
    alice.leaves()
    assert bob.told == carol.told == ["room_closed"]


def test_two_members_of_one_dialect_and_two_listeners_get_a_relay_each_from_their_own_socket() -> None:
    chat = three()
    chat.user("alice", "json").creates("lobby")
    here = chat.user("bob", "text").joins("lobby")
    there = chat.user("carol", "text", listener=2).joins("lobby")
    chat.settles()
    before = len(chat.sent)
    next(iter(chat.users.values())).says("hello")
    assert dict(zip([each[1] for each in chat.sent[before:]], chat.sent_by[before:], strict=True)) == {
        here.address: 0, there.address: 2,
    }  # fmt: skip


def test_a_token_that_comes_by_another_listener_is_dropped_and_not_held_against_its_owner() -> None:
    chat = three()
    alice = chat.user("alice", "json").creates("lobby")
    bob = chat.user("bob", "text").joins("lobby")
    chat.settles()
    bob.listener = 2
    for _ in range(4):
        bob.sends(b"hello")
        bob.sends(b"\xff")
    assert chat.rules_dropped() == ["R-TOK-3"] * 8
    assert alice.sees()
    bob.listener = 0
    bob.says("here")
    assert alice.sees("here")


def test_an_ended_token_is_answered_only_by_its_own_listener() -> None:
    chat = three()
    chat.user("alice", "json").creates("lobby")
    bob = chat.user("bob", "text", listener=2).joins("lobby")
    chat.settles()
    chat.server.remove("bob", "lobby", chat.now_us)
    before = len(chat.sent)
    for listener in (0, 1, 2):
        bob.listener = listener
        bob.sends(b"a text that is long enough to be answered")
    assert chat.sent_by[before:] == [2]


def test_notices_are_told_again_by_the_listener_of_their_session() -> None:
    chat = three()
    chat.user("alice", "json").creates("lobby")
    bob = chat.user("bob", "text", listener=2).joins("lobby")
    chat.settles()
    before = len(chat.sent)
    chat.do(chat.server.remove("bob", "lobby", chat.now_us) or [])
    chat.passes(4)
    told = zip(chat.sent[before:], chat.sent_by[before:], strict=True)
    assert [by for (_, address, _), by in told if address == bob.address] == [2, 2, 2, 2]


def test_a_name_is_taken_over_from_one_listener_to_another() -> None:
    chat = three()
    alice = chat.user("alice", "json").creates("lobby")
    again = chat.user("alice", "json", ip=alice.address.ip)
    again.joins("lobby", resume=alice.token)
    assert (alice.told, again.state) == (["superseded"], SessionState.IN_ROOM)
    elsewhere = Chat(listeners=(listed(), listed("json")))
    first = elsewhere.user("alice", "json").creates("lobby")
    second = elsewhere.user("alice", "json", ip=first.address.ip, listener=1).creates("lobby", resume=first.token)
    assert (first.told, second.state) == (["superseded"], SessionState.IN_ROOM)
    assert [each.listener for each in elsewhere.server.registry.sessions.values()] == [1]


def test_limits_hold_for_all_listeners_together() -> None:
    chat = Chat(listeners=(listed(), listed()), sessions_max=2, connections_max=1)
    chat.user("alice").creates("lobby")
    chat.user("bob", listener=1).joins("lobby")
    assert chat.user("carol", listener=1).joins("lobby").refused is Reason.TOO_MANY_REQUESTS
    chat.peer(listener=0)
    assert chat.peer(listener=1).is_closed


def test_a_port_that_prints_as_text_is_read_rightly_where_only_its_dialect_is_listed() -> None:
    """What `auto` cannot do: of the ports of a client 1 in 3 prints as text."""
    chat = three()
    chat.user("alice", "json").creates("lobby")
    assert named_by_port(chat, 0) is None
    assert "bobaa" in {each.name for each in chat.server.registry.sessions.values()}
    assert named_by_port(chat, 1) is SessionState.IN_ROOM


def recognised_by(listener: ListenerConfig, request: bytes) -> str:
    """The dialect that a request is taken for."""
    read = Recogniser(listener.codecs).read(request, limit=4096, is_over=False)
    assert isinstance(read, Recognised)
    assert read.codec is not None
    return read.codec.dialect.name


@pytest.mark.parametrize(("dialects", "first"), [(("name-port", "text"), "name-port"), (("text", "name-port"), "text")])
def test_a_list_is_recognised_in_its_order(dialects: tuple[str, ...], first: str) -> None:
    assert recognised_by(listed(*dialects), write_request(Operation.JOIN, b"lobby", b"bobaa")) == first


def test_auto_is_every_dialect_that_can_be_told_from_the_others() -> None:
    auto, twin = listed(), [name for name in NAMES if codec(name).dialect.lists]
    for name in NAMES:
        request = codec(name).write_request(Operation.CREATE, b"lobby", "alice", "", "10.0.0.1", 40001)
        assert (recognised_by(auto, request) == name) is (name not in twin)


def test_what_a_listener_does_not_recognise_is_refused_in_the_first_of_its_dialects() -> None:
    for dialects, spoken in [((), "text"), (("json-name", "json"), "json-name"), (("name-port",), "name-port")]:
        chat = Chat(listeners=(listed(), listed(*dialects)))
        peer = chat.peer(listener=1)
        peer.sends(write_request(Operation.JOIN, b"lobby", b"\xff\xff\xff\xff"))
        refusal = codec(spoken).write_refusal(2, b"lobby", Reason.BAD_REQUEST)
        assert peer.heard == b"".join(refusal)


def test_rooms_are_listed_by_a_listener_that_lists_them_among_others() -> None:
    chat = Chat(listeners=(listed(), listed("text", "name-port-list")))
    chat.user("alice", "json").creates("lobby")
    for listener, is_listed in ((0, False), (1, True)):
        peer = chat.peer(listener=listener)
        peer.sends(write_request(Operation.JOIN, b"", b""))
        assert (b"lobby" in peer.heard) is is_listed


def test_what_is_put_out_says_which_listener() -> None:
    chat = three()
    chat.user("alice", "json").creates("lobby")
    chat.user("bob", "text", listener=2).joins("lobby")
    outputs = chat.server.stream_opened("s", chat.peer().chat.user("eve").address, chat.now_us, 1, name="eve")
    outputs += chat.server.receive_stream("s", write_request(Operation.JOIN, b"attic", b"eve\x9c\x41"), chat.now_us)
    stepped = [output for output in outputs if not isinstance(output, SendFrame)]
    assert {getattr(output, "listener", None) for output in stepped} == {1, None}


def test_a_session_that_never_enters_leaves_a_hint_at_its_dialect() -> None:
    chat = three()
    chat.user("alice", "json").creates("lobby")
    chat.peer(listener=2).sends(write_request(Operation.JOIN, b"lobby", b"bob"))
    chat.passes(31)
    steps = [record for record in chat.records if isinstance(record, StepRecord)]
    [idled] = [step for step in steps if (step.event, step.id) == ("idled", "bob@lobby")]
    assert idled.why == "granted in text, silent since: wrong dialect?"


@pytest.mark.parametrize(
    ("dialects", "fault"),
    [
        (("name-port", "text"), "requests of text would be taken for name-port, which stands before it"),
        (("name-port", "name-port-list"), "requests of name-port-list would be taken for name-port"),
        (("text", "name-port", "json", "json-name"), None),
        (("name-port-list",), None),
        (("colon-fields",), None),  # alone it may greet
        (("text", "colon-fields"), "colon-fields greets its clients first, so none can be recognised"),
        ((), None),
    ],
)
def test_a_list_in_which_a_dialect_is_never_recognised_is_found(dialects: tuple[str, ...], fault: str | None) -> None:
    found = listed(*dialects).fault()
    assert found == fault if fault is None else (found or "").startswith(fault)


def test_a_request_that_only_the_end_of_the_connection_ends_is_taken_for_the_dialect_that_reads_so_far() -> None:
    text = path_of("colon-fields").read_text(encoding="utf-8").replace('[greeting]\nfields = ["hex 00"]\n', "")
    measured = '"len(room): u1", "operation: u1", "state: u1 = 0", "len(name): u29", "room", "name"'
    assert measured in text

    def changed(name: str, fields: str) -> Codec:
        return codec_of(parse(text.replace("colon-fields", name).replace(measured, fields), f"{name}.toml"))

    open_end = changed("open-end", '"len(room): u1", "operation: u1", "room", "name"')
    with_bar = changed("with-bar", '"len(room): u1", "operation: u1", "room", "name: until \'|\'"')
    assert ListenerConfig((with_bar, open_end)).fault() is None
    assert (ListenerConfig((open_end, with_bar)).fault() or "").startswith("requests of with-bar would be taken for")
