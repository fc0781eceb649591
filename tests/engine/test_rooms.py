"""Windows of a minute, the order of fan-out, and what people call sessions."""

from __future__ import annotations

import pytest

from conversation import SECOND
from tcrp.engine.codec import codec
from tcrp.engine.outputs import Address
from tcrp.engine.rooms import Ended, FanoutGroup, Room, Session, Window, latest

MINUTE = 60 * SECOND


def window(most: int, *moments_us: int) -> Window:
    made = Window(most, MINUTE)
    for moment_us in moments_us:
        made.count(moment_us)
    return made


def member(room: Room, name: str, dialect: str, listener: int = 0) -> Session:
    session = Session(name.encode(), name, room, codec(dialect), "10.0.0.1", 0, 0, listener)
    session.address = Address("10.0.0.1", 1024 + sum(name.encode()))
    room.add(session)
    return session


def test_a_new_session_has_no_place_to_take_and_was_never_rejected_and_a_new_room_has_no_host() -> None:
    session = member(Room(b"lobby", "", "10.0.0.1"), "bob", "text")
    assert (session.supersedes, session.asks_for_answers, session.rejected_in_a_row) == (None, False, 0)
    assert session.room.host is None


def test_a_window_is_full_from_its_limit_on_until_the_first_of_them_is_a_minute_old() -> None:
    some = window(2, 5 * SECOND)
    assert not some.is_full(5 * SECOND)
    some.count(20 * SECOND)
    assert some.is_full(65 * SECOND - 1)
    assert not some.is_full(65 * SECOND)
    some.count(65 * SECOND)
    assert some.is_full(80 * SECOND - 1)  # now the second is the first of two


def test_a_window_matters_until_the_last_of_them_is_a_minute_old() -> None:
    some = window(3, 5 * SECOND, 20 * SECOND)
    assert not some.is_over(65 * SECOND)
    assert not some.is_over(80 * SECOND - 1)
    assert some.is_over(80 * SECOND)
    assert window(3).is_over(0)


def test_a_window_keeps_what_matters_when_it_is_frozen_and_when_its_limit_changes() -> None:
    some = window(3, 5 * SECOND, 20 * SECOND, 30 * SECOND)
    assert some.freeze(65 * SECOND) == (45 * SECOND, 35 * SECOND)
    thawed = Window(3, MINUTE).thaw(some.freeze(65 * SECOND), 100 * SECOND)
    assert thawed.freeze(100 * SECOND) == (45 * SECOND, 35 * SECOND)
    fewer = some.with_most(1)
    assert (fewer.most, fewer.latest_us) == (1, 30 * SECOND)
    assert fewer.is_full(90 * SECOND - 1)


def test_a_window_that_is_filled_is_full_for_a_minute_from_then_on() -> None:
    some = window(3, 5 * SECOND)
    some.fill(20 * SECOND)
    assert some.is_full(80 * SECOND - 1)
    some.latest_us = 70 * SECOND
    assert some.latest_us == 70 * SECOND


def test_windows_that_no_longer_matter_are_forgotten_when_another_is_asked_for() -> None:
    windows: dict[str, Window] = {}
    for number, key in enumerate(("a", "b", "c")):
        latest(windows, key, 2, number * 20 * SECOND).count(number * 20 * SECOND)
    latest(windows, "a", 2, 50 * SECOND).count(50 * SECOND)  # the last of all from now on
    assert list(windows) == ["b", "c", "a"]
    latest(windows, "d", 2, 80 * SECOND).count(80 * SECOND)
    assert list(windows) == ["c", "a", "d"]
    assert latest(windows, "d", 2, 300 * SECOND).is_over(300 * SECOND)
    assert list(windows) == ["d"]


def test_members_are_grouped_by_form_and_listener_in_the_order_of_coming_and_leave_nothing() -> None:
    room = Room(b"lobby", "", "10.0.0.1")
    alice, bob = member(room, "alice", "text"), member(room, "bob", "json")
    carol, dave = member(room, "carol", "text"), member(room, "dave", "text", listener=1)
    assert [list(group) for group in room.fanout_groups.values()] == [[alice, carol], [bob], [dave]]
    for session in (alice, bob, carol, dave, dave):  # the last a second time
        room.remove(session)
    assert room.fanout_groups == {}


def test_the_addresses_of_a_group_are_its_members_in_the_order_of_coming_whoever_leaves_moves_or_comes() -> None:
    room = Room(b"lobby", "", "10.0.0.1")
    crowd = [member(room, f"user{number}", "text") for number in range(6)]
    outsider = member(room, "eve", "json")
    (group, _) = room.fanout_groups.values()

    def agrees() -> bool:
        return all(
            group.addresses_without(each) == [other.address for other in group if other is not each]
            and group.all_but(each) == [other for other in group if other is not each]
            for each in (*crowd, outsider)
        )

    assert agrees()
    room.remove(crowd[2])
    crowd[4].address = Address("10.0.0.1", 7)
    room.move(crowd[4])  # while the place of one who left is still there
    room.add(crowd[2])
    assert agrees()
    assert list(group) == [crowd[0], crowd[1], crowd[3], crowd[4], crowd[5], crowd[2]]
    crowd[2].address = Address("10.0.0.1", 8)
    room.move(crowd[2])
    for each in (crowd[0], crowd[5]):
        room.remove(each)
        assert agrees()
    assert (len(group), crowd[0] in group, crowd[1] in group) == (4, False, True)
    assert FanoutGroup([crowd[1]]).another_than(crowd[1]) is None
    assert group.another_than(crowd[1]) is crowd[3]


def test_where_a_text_goes_stays_as_it_was_when_it_was_sent_whatever_happens_to_the_group_then() -> None:
    room = Room(b"lobby", "", "10.0.0.1")
    host, guest, other = (member(room, name, "text") for name in ("host", "guest", "other"))
    [group] = room.fanout_groups.values()
    sent = group.addresses_without(host)
    before = [guest.address, other.address]
    member(room, "late", "text")
    assert sent == before
    sent_after = group.addresses_without(host)
    assert len(sent_after) == 3
    guest.address = Address("10.0.0.1", 7)
    room.move(guest)
    assert (sent == before, sent_after[0]) == (True, before[0])
    assert group.addresses_without(host)[0] == guest.address
    room.remove(other)
    assert sent == before


def test_texts_share_the_addresses_of_their_group_until_it_changes() -> None:
    room = Room(b"lobby", "", "10.0.0.1")
    host, guest = member(room, "host", "text"), member(room, "guest", "text")
    [group] = room.fanout_groups.values()
    first = group.addresses_without(host)
    assert group.addresses_without(guest).addresses is first.addresses
    room.remove(guest)
    assert group.addresses_without(host).addresses is not first.addresses


def test_one_reader_of_notices_serves_all_members_of_a_dialect() -> None:
    room = Room(b"lobby", "", "10.0.0.1")
    assert room.notice_reader(codec("text")) is room.notice_reader(codec("text"))
    assert room.notice_reader(codec("json")) is not room.notice_reader(codec("text"))


@pytest.mark.parametrize("name", ["bob", "名前"])
def test_people_call_a_session_by_its_name_and_room_even_when_it_has_ended(name: str) -> None:
    room = Room(b"lobby", "", "10.0.0.1")
    session = member(room, name, "text")
    ended = Ended(session.token, name, room, session.codec, "10.0.0.1", None, None, 0, 0)
    assert session.id == ended.id == f"{name}@lobby"


def test_who_comes_and_goes_where_nobody_speaks_leaves_no_address_behind() -> None:
    room = Room(b"lobby", "", "10.0.0.1")
    host = member(room, "host", "json")
    for number in range(1000):
        room.remove(member(room, f"guest{number}", "json"))
    stayed = member(room, "stayed", "json")
    [group] = room.fanout_groups.values()
    assert len(group._addresses) < 200
    assert group.addresses_without(host) == [stayed.address]
