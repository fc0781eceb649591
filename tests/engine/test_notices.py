"""Notices: a server's sentences, and what a client takes them for."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tcrp.engine.codec import Codec, codec, codec_of
from tcrp.engine.meanings import Told
from tcrp.engine.notices import ENDINGS, NoticeReader, write_farewell, write_notice
from tcrp.spec.dialects import NAMES, Endings, Match, Telling
from tcrp.spec.names import Notice, SessionEvent

OF_OTHERS = (Notice.JOINED, Notice.LEFT)


def told(name: str, sentence: str) -> Told | None:
    """What a member of `lobby` who speaks that dialect takes the sentence for."""
    speaks = codec(name)
    data = speaks.write_notice(speaks.dialect.notices[Notice.ROOM_CLOSED], sentence)
    assert data is not None
    return NoticeReader(speaks, "lobby").read(data)


def changed(**notices: str) -> Codec:
    """The dialect `text` with other sentences."""
    dialect = codec("text").dialect
    form = dialect.notices[Notice.LEFT].form
    tellings = {Notice(name): Telling((sentence,), form) for name, sentence in notices.items()}
    return codec_of(replace(dialect, notices=tellings))


def said(sentence: str) -> Telling:
    """A sentence in the form of `text`."""
    return Telling((sentence,), codec("text").dialect.notices[Notice.LEFT].form)


def test_every_notice_to_its_receiver_ends_a_session_and_the_others_speak_of_others() -> None:
    assert set(ENDINGS) == set(Notice) - set(OF_OTHERS)
    assert ENDINGS[Notice.QUIT] is SessionEvent.LEFT
    assert ENDINGS[Notice.SHUTDOWN] is ENDINGS[Notice.ROOM_CLOSED] is SessionEvent.ROOM_CLOSED
    assert [ENDINGS[Notice(word)] for word in ("idled", "removed", "superseded")] == [
        SessionEvent.IDLED,
        SessionEvent.REMOVED,
        SessionEvent.SUPERSEDED,
    ]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("notice", Notice)
def test_a_notice_is_read_as_itself_or_as_the_end_that_shares_its_sentence(name: str, notice: Notice) -> None:
    speaks = codec(name)
    data = write_notice(speaks, notice, name="bob", room="lobby", host="alice")
    telling = speaks.dialect.notices.get(notice)
    if telling is None:
        assert data is None
        return
    sentence = telling.sentences[0]
    assert data is not None
    read = NoticeReader(speaks, "lobby").read(data)
    assert read is not None
    sharing = {each for each, other in speaks.dialect.notices.items() if other.sentences[0] == sentence}
    assert read.notice in sharing
    if Notice.ROOM_CLOSED in sharing:
        assert read.notice is Notice.ROOM_CLOSED
    elif Notice.LEFT in sharing:
        assert read.notice is Notice.LEFT
    named = "alice" if "{host}" in sentence else "bob" if "{name}" in sentence else ""
    assert read.name == named


@pytest.mark.parametrize(
    ("name", "sentence", "meant"),
    [
        ("text", "Room closed", Told(Notice.ROOM_CLOSED, "")),
        ("text", "bob left the room", Told(Notice.LEFT, "bob")),
        ("text", "You were silent too long", Told(Notice.IDLED, "")),
        ("text", "You were removed", Told(Notice.REMOVED, "")),
        ("text", "You joined from elsewhere", Told(Notice.SUPERSEDED, "")),
        ("text", "Server shutdown", Told(Notice.SHUTDOWN, "")),
        ("json", "bob がチャットルームに参加しました", Told(Notice.JOINED, "bob")),
        ("json-address", "bobがlobbyから退出しました。", Told(Notice.LEFT, "bob")),
        ("json-address", "bobがatticから退出しました。", None),
        ("name-port-list", "ROOM_CLOSED: lobby", Told(Notice.ROOM_CLOSED, "")),
        ("name-port-list", "ROOM_CLOSED: attic", None),
        ("name-port-list", "DISCONNECTED: quit", Told(Notice.QUIT, "")),
        ("text", "room closed", None),
        ("text", "Room closed now", None),
        ("text", " left the room", None),
        ("text", "bob left the rooms", None),
        ("text", "bob", None),
        ("text", "bob: Room closed", None),
    ],
)
def test_a_client_matches_whole_sentences(name: str, sentence: str, meant: Told | None) -> None:
    assert told(name, sentence) == meant


def test_bytes_that_are_no_sentence_are_no_notice() -> None:
    assert NoticeReader(codec("text"), "lobby").read(b"\xff") is None
    assert NoticeReader(codec("json-endpoint"), "lobby").read(b"Room closed") is None


def test_a_name_stands_between_what_is_before_and_after_it() -> None:
    reader = NoticeReader(changed(left="<{name}> has left", room_closed="closed"), "lobby")
    assert reader.read(b"<bob> has left") == Told(Notice.LEFT, "bob")
    assert reader.read(b"<b> has left") == Told(Notice.LEFT, "b")
    assert reader.read("<ボブ> has left".encode()) == Told(Notice.LEFT, "ボブ")
    for other in (b"<> has left", b"bob> has left", b"<bob", b"<bob> has left.", b"<> has", b"<bob> has lef"):
        assert reader.read(other) is None


def test_before_and_after_do_not_overlap_in_one_sentence() -> None:
    reader = NoticeReader(changed(left="aba{name}aba", room_closed="closed"), "lobby")
    assert reader.read(b"ababa") is None
    assert reader.read(b"abaxaba") == Told(Notice.LEFT, "x")


def test_a_whole_sentence_counts_before_one_with_a_name() -> None:
    reader = NoticeReader(changed(left="{name} left", room_closed="everybody left"), "lobby")
    assert reader.read(b"everybody left") == Told(Notice.ROOM_CLOSED, "")
    assert reader.read(b"somebody left") == Told(Notice.LEFT, "somebody")


def test_a_whole_sentence_counts_before_one_with_a_name_wherever_it_stands() -> None:
    reader = NoticeReader(changed(left="{name} left", room_closed="closed", idled="bob left"), "lobby")
    assert reader.read(b"bob left") == Told(Notice.IDLED, "")
    assert reader.read(b"ann left") == Told(Notice.LEFT, "ann")


def test_a_sentence_may_name_somebody_twice_and_hold_anything() -> None:
    reader = NoticeReader(
        changed(left="{name} left ({any}); bye {name}", room_closed="closed", idled="idle {any}"), "x"
    )
    assert reader.read(b"bob left (at\nnoon); bye bob") == Told(Notice.LEFT, "bob")
    assert reader.read(b"bob left (); bye bob") == Told(Notice.LEFT, "bob")
    assert reader.read(b"idle for 3 s") == Told(Notice.IDLED, "")
    for other in (b"bob left (); bye ann", b" left (); bye ", b"bob left (); bye bob!", b"idle"):
        assert reader.read(other) is None
    twice = NoticeReader(changed(left="{name}, {name} left", room_closed="closed"), "x")
    assert twice.read(b"bob, bob left") == Told(Notice.LEFT, "bob")
    assert twice.read(b"bob, ann left") is None


def test_a_room_named_as_a_role_is_no_role() -> None:
    assert NoticeReader(codec("name-port-list"), "{x}").read(b"ROOM_CLOSED: {x}") == Told(Notice.ROOM_CLOSED, "")


# --- forged endings (R-REL-3) ----------------------------------------------------------------------


def forged(name: str, user: str, text: str) -> bool:
    """Whether the text of `user`, relayed to a member who speaks that dialect, would end a client there."""
    data = codec(name).write_relay(user, text)
    assert data is not None
    return NoticeReader(codec(name), "lobby").is_forged_by(data)


@pytest.mark.parametrize(
    ("name", "user", "text"),
    [
        ("json-port", "mallory", "ホストが退出したため"),
        ("json-port", "mallory", "see: ホストが退出したためルームを閉じます!"),
        ("json-port", "ホストが退出したため", "hi"),
        ("json-address", "mallory", "ホストが退出したため、チャットルーム:lobbyを終了します。"),
        ("name-port-list", "ISCONNECTED".ljust(68, "x"), "hi"),
        ("name-port-list", "OOM_CLOSED".ljust(82, "x"), "hi"),
        ("name-port-list", "ERVER_SHUTDOWN".ljust(83, "x"), "hi"),
    ],
)
def test_what_ends_clients_of_a_dialect_by_a_part_of_it_is_forged(name: str, user: str, text: str) -> None:
    assert NoticeReader(codec(name), "lobby").read(codec(name).write_relay(user, text) or b"") is None
    assert forged(name, user, text)


@pytest.mark.parametrize(
    ("name", "user", "text"),
    [
        ("json-port", "mallory", "ホストが退出"),
        ("json", "mallory", "ホストが退出したため"),
        ("name-port-list", "mallory", "DISCONNECTED: quit"),
        ("name-port-list", "ISCONNECTED".ljust(69, "x"), "hi"),
        ("name-port-list", "DISCONNECTED".ljust(200, "x"), "hi"),  # the length byte is no UTF-8
        ("name-port", "mallory", "Room closed"),
    ],
)
def test_what_ends_no_client_of_the_dialect_is_not(name: str, user: str, text: str) -> None:
    assert not forged(name, user, text)


@pytest.mark.parametrize(
    ("match", "ending", "other"),
    [
        (Match.WHOLE, (b"ann: bye",), (b"ann: bye!", b"so ann: bye")),
        (Match.PREFIX, (b"ann: bye", b"ann: bye!", b"ann: bye\xff"), (b"so ann: bye", b"\xffann: bye")),
        (Match.CONTAINS, (b"ann: bye", b"so ann: bye", b"\xffann: bye!"), (b"ann: by", b"ann:\xffbye")),
    ],
)
def test_a_dialect_says_how_its_clients_match(
    match: Match, ending: tuple[bytes, ...], other: tuple[bytes, ...]
) -> None:
    endings = Endings(match, ("ann: bye", "zzz"))
    assert all(map(endings.end, ending))
    assert not any(map(endings.end, other))


# --- what a leaver is told -------------------------------------------------------------------------


def test_a_leaving_host_is_told_that_the_room_is_closed_where_its_dialect_says_so() -> None:
    told = {name: write_farewell(codec(name), is_host=True, name="alice", room="lobby") for name in NAMES}
    assert told["json"] == "チャットルームが閉じられました".encode()
    assert told["name-port"] == b"Room closed"
    assert told["text"] is told["json-port"] is told["json-endpoint"] is None
    assert NoticeReader(codec("name-port"), "lobby").read(b"Room closed") == Told(Notice.ROOM_CLOSED, "")


def test_a_leaving_guest_is_told_so_in_one_dialect_alone() -> None:
    told = {name: write_farewell(codec(name), is_host=False, name="bob", room="lobby") for name in NAMES}
    assert {name: data for name, data in told.items() if data} == {"name-port-list": b"DISCONNECTED: quit"}


def test_a_farewell_names_the_leaver_as_host() -> None:
    speaks = codec_of(replace(codec("text").dialect, host_quit=said("{host} closes {room}")))
    assert write_farewell(speaks, is_host=True, name="alice", room="lobby") == b"alice closes lobby"


def test_a_hosts_farewell_is_read_as_the_end_of_the_room_unless_the_dialect_has_a_word_for_quitting() -> None:
    closing = replace(codec("text").dialect, host_quit=said("Good night"))
    assert NoticeReader(codec_of(closing), "lobby").read(b"Good night") == Told(Notice.ROOM_CLOSED, "")
    quitting = replace(closing, notices={**closing.notices, Notice.QUIT: said("Good night")})
    assert NoticeReader(codec_of(quitting), "lobby").read(b"Good night") == Told(Notice.QUIT, "")
    without = replace(closing, host_quit=None)
    assert NoticeReader(codec_of(without), "lobby").read(b"Good night") is None
