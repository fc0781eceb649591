"""A server's log: what begins and ends stands in it with its rule, and no token and no text does."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest

import made_records as made
from tcrp.engine.outputs import Address, Stepped
from tcrp.net.log import BURST_LINES, FORMATS, Format, Log
from tcrp.spec.names import Machine, Rule, SessionEvent
from tcrp.trace.records import Kind

SESSION, ROOM, HANDSHAKE = Machine.SESSION, Machine.ROOM, Machine.HANDSHAKE


class Book:
    """A log, and what it says."""

    def __init__(self, format: Format = "json") -> None:
        self.file = io.StringIO()
        self.log = Log(self.file.write, format)

    def hears(
        self, machine: Machine, event: str, id: str = "bob@lobby", *, rule: Rule = Rule.TOK_2, why: str = ""
    ) -> None:
        self.log.hear(
            made.step(event=event, from_="a", id=id, machine=machine, rule=rule, to="b", token="t0k3nt0k", why=why)
        )

    @property
    def says(self) -> list[dict[str, Any]]:
        """The entries, without their time and level."""
        entries = [json.loads(line) for line in self.file.getvalue().splitlines()]
        return [{key: value for key, value in each.items() if key not in ("timestamp", "level")} for each in entries]


def test_both_formats_are_offered() -> None:
    assert FORMATS == ("text", "json")


def test_a_line_of_json_has_its_time_in_utc_its_level_and_its_fields() -> None:
    book = Book("json")
    book.log.info("started", tcp_port=9002, name="日本")
    book.log.warning("slow")
    book.log.error("broken")
    lines = book.file.getvalue().splitlines()
    first = json.loads(lines[0])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", first.pop("timestamp"))
    assert first == {"event": "started", "level": "info", "tcp_port": 9002, "name": "日本"}
    assert "日本" in lines[0]
    assert [json.loads(line)["level"] for line in lines] == ["info", "warning", "error"]


def test_a_line_of_text_begins_with_time_level_and_event() -> None:
    book = Book("text")
    book.log.info("started", tcp_port=9002)
    assert re.fullmatch(r"timestamp=\S+Z level=info event=started tcp_port=9002\n", book.file.getvalue())


@pytest.mark.parametrize(
    ("machine", "event", "entry"),
    [
        (SESSION, "left", {"event": "session_left", "session": "bob@lobby", "rule": "R-TOK-2"}),
        (SESSION, "idled", {"event": "session_idled", "session": "bob@lobby", "rule": "R-TOK-2"}),
        (ROOM, "created", {"event": "room_created", "room": "bob@lobby", "rule": "R-TOK-2"}),
        (ROOM, "host_gone", {"event": "room_host_gone", "room": "bob@lobby", "rule": "R-TOK-2"}),
        (ROOM, "shutdown", {"event": "room_shutdown", "room": "bob@lobby", "rule": "R-TOK-2"}),
        (ROOM, "drained", {"event": "room_drained", "room": "bob@lobby", "rule": "R-TOK-2"}),
    ],
)
def test_what_begins_and_ends_is_a_line(machine: Machine, event: str, entry: dict[str, str]) -> None:
    book = Book()
    book.hears(machine, event)
    assert book.says == [entry]


@pytest.mark.parametrize(
    ("machine", "event"),
    [(SESSION, "granted"), (SESSION, "spoke"), (SESSION, "relayed"), (ROOM, "joined"), (ROOM, "relayed"),
     (ROOM, "left"), (HANDSHAKE, "requested"), (HANDSHAKE, "accepted"), (HANDSHAKE, "completed")],
)  # fmt: skip
def test_what_happens_all_the_time_is_none(machine: Machine, event: str) -> None:
    book = Book()
    book.hears(machine, event)
    book.log.tick({})
    assert book.says == []


@pytest.mark.parametrize(
    ("peer", "field"),
    [
        (Address("192.0.2.1", 9), {"peer": "192.0.2.1:9"}),
        (Address("fe80::1%2", 9), {"peer": "[fe80::1%2]:9"}),
        (None, {}),
    ],
)
def test_who_enters_is_a_line_with_its_address(peer: Address | None, field: dict[str, str]) -> None:
    book = Book()
    step = Stepped(SESSION, b"t0k3n", "bob@lobby", SessionEvent.ENTERED, "a", "b", Rule.TOK_2, "")
    book.log.entered(step, peer)
    book.hears(SESSION, "entered")  # the record is not a second line
    assert book.says == [{"event": "session_entered", "session": "bob@lobby", "rule": "R-TOK-2", **field}]


def test_other_records_than_steps_are_none() -> None:
    book = Book()
    book.log.hear(made.fault(actor="network", what="cut"))
    book.log.hear(made.show(actor="bob", name="alice", text="a secret", what="relay"))
    book.log.hear(made.packet(kind=Kind.DROP, link="a>b", rule=Rule.UDP_3, what="say"))
    assert book.says == []


def test_a_token_stands_in_no_line() -> None:
    book = Book()
    for machine, event in ((SESSION, "left"), (ROOM, "created"), (HANDSHAKE, "refused")):
        book.hears(machine, event)
    book.log.tick({})
    assert len(book.says) == 3
    assert "t0k3n" not in book.file.getvalue()


# --- once a second ---------------------------------------------------------------------------------


def test_a_burst_of_one_event_is_counted_beyond_its_lines_and_other_events_are_written() -> None:
    book = Book()
    for number in range(BURST_LINES + 30):
        book.hears(SESSION, "left", f"user{number}@lobby")
    book.hears(ROOM, "created", "attic")
    said = [(each["event"], each.get("session"), each.get("times")) for each in book.says]
    assert said[:-1] == [("session_left", f"user{number}@lobby", None) for number in range(BURST_LINES)]
    assert said[-1] == ("room_created", None, None)
    book.log.tick({})
    latest = {"event": "session_left", "times": 30, "session": f"user{BURST_LINES + 29}@lobby", "rule": "R-TOK-2"}
    assert book.says[-1] == latest
    book.log.tick({})
    assert len(book.says) == BURST_LINES + 2  # nothing was held back since


def test_an_event_that_never_stops_is_two_lines_a_second() -> None:
    book = Book()
    for _ in range(1000):  # ten times a second
        for _ in range(10):
            book.hears(SESSION, "left")
        book.log.tick({})
    assert len(book.says) <= BURST_LINES + 2 * 1000
    assert sum(each.get("times", 1) for each in book.says) == 10_000


def test_a_warning_that_is_held_back_stays_a_warning() -> None:
    book = Book("text")
    for _ in range(BURST_LINES + 1):
        book.log.warning("connection_error", why="reset")
    book.log.tick({})
    assert "level=warning event=connection_error times=1 why=reset" in book.file.getvalue()


def test_requests_that_came_to_nothing_are_counted_by_event_and_rule_with_the_last_of_them() -> None:
    book = Book()
    book.hears(HANDSHAKE, "refused", "10.0.0.1:1", rule=Rule.TCP_2, why="room_full")
    book.hears(HANDSHAKE, "refused", "10.0.0.2:2", rule=Rule.TCP_2, why="name_taken")
    book.hears(HANDSHAKE, "refused", "10.0.0.3:3", rule=Rule.LIM_1)
    book.hears(HANDSHAKE, "abandoned", "10.0.0.4:4", rule=Rule.TCP_2)
    assert book.says == []  # not before the second is over
    book.log.tick({})
    said = {"event": "request_refused", "rule": "R-TCP-2", "times": 2, "last_peer": "10.0.0.2:2", "why": "name_taken"}
    assert book.says == [
        said,
        {"event": "request_refused", "rule": "R-LIM-1", "times": 1, "last_peer": "10.0.0.3:3"},
        {"event": "request_abandoned", "rule": "R-TCP-2", "times": 1, "last_peer": "10.0.0.4:4"},
    ]
    book.log.tick({})
    assert len(book.says) == 3


def test_what_was_dropped_is_told_by_rule_as_it_grows() -> None:
    book = Book()
    for count in (2, 2, 5):
        book.log.tick({"": {Rule.UDP_3: count}})
    assert book.says == [
        {"event": "dropped", "rule": "R-UDP-3", "times": 2},
        {"event": "dropped", "rule": "R-UDP-3", "times": 3},
    ]


def test_a_refused_request_is_not_told_again_as_dropped_and_an_abandoned_one_was_not_counted() -> None:
    book = Book()
    for count in (1, 2):
        book.hears(HANDSHAKE, "refused", rule=Rule.TCP_2)
        book.hears(HANDSHAKE, "abandoned", rule=Rule.TCP_5)
        book.log.tick({"": {Rule.TCP_2: count}})
    book.log.tick({"": {Rule.TCP_2: 5, Rule.TCP_5: 1}})
    assert [(each["event"], each["rule"], each["times"]) for each in book.says] == [
        ("request_refused", "R-TCP-2", 1), ("request_abandoned", "R-TCP-5", 1),
        ("request_refused", "R-TCP-2", 1), ("request_abandoned", "R-TCP-5", 1),
        ("dropped", "R-TCP-2", 3), ("dropped", "R-TCP-5", 1),
    ]  # fmt: skip


def test_a_leave_word_that_is_sent_again_is_not_told_as_dropped() -> None:
    book = Book()
    book.log.tick({"": {Rule.EXIT_1: 2}})
    assert book.says == []
