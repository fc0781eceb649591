"""A run as a table: records that belong together are one row, and each kind is told in its words."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

import made_records as made
from tcrp.cli.rows import fold
from tcrp.cli.steps import NAMES_SHOWN_MAX, steps_table
from tcrp.spec.names import Deadline, Rule
from tcrp.trace.records import (
    Kind,
    PacketRecord,
    Record,
    RefusalRecord,
    ShowRecord,
    StepRecord,
)

MS = 1000


def step(
    actor: str, event: str, from_: str, to: str, *, id: str = "bob@lobby", at: int = 0, why: str = ""
) -> StepRecord:
    return made.step(actor=actor, event=event, from_=from_, id=id, rule=Rule.TOK_2, t_us=at, to=to, why=why)


def refusal(actor: str = "server", why: str = "it has ended") -> RefusalRecord:
    return made.refusal(actor=actor, event="spoke", from_="expired", id="bob@lobby", rule=Rule.TOK_4, why=why)


def packet(kind: Kind, link: str, what: str = "relay", *, actor: str = "", why: str = "", at: int = 0) -> PacketRecord:
    actor = actor or ("network" if kind is Kind.DROP else link.partition(">")[0])
    return made.packet(actor=actor, bytes=7, kind=kind, link=link, t_us=at, what=what, why=why)


def show(actor: str, what: str, name: str = "", text: str = "", *, at: int = 0) -> ShowRecord:
    return made.show(actor=actor, name=name, t_us=at, text=text, what=what)


def rows(*records: Record) -> list[list[str]]:
    """Each row: the ids of its records, and then those of what followed."""
    return [[*row.ids, *("+" + id for each in row.followed for id in each.ids)] for row in fold(records)]


def table(*records: Record, width: int = 200, rows_max: int | None = None) -> list[str]:
    """The lines of the table on a plain console, without its head."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(steps_table(list(fold(records)), console, rows_max))
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()][1:]


# --- which records make a row ----------------------------------------------------------------------


def test_one_text_to_many_members_is_one_row() -> None:
    sent = [packet(Kind.SEND, f"server>{name}") for name in ("alice", "bob", "carol")]
    assert rows(*sent) == [["alice", "bob", "carol"]]
    assert rows(sent[0], packet(Kind.SEND, "server>bob", "notice")) == [["alice"], ["bob"]]
    assert rows(sent[0], packet(Kind.SEND, "server>bob", at=1)) == [["alice"], ["bob"]]
    assert rows(sent[0], packet(Kind.SEND, "carol>server")) == [["alice"], ["server"]]


def test_the_same_step_of_many_machines_is_one_row() -> None:
    ended = [step("server", "room_closed", "in-room", "expired", id=f"{name}@lobby") for name in ("bob", "carol")]
    assert rows(*ended) == [["bob@lobby", "carol@lobby"]]
    assert rows(ended[0], step("server", "room_closed", "tokened", "expired")) == [["bob@lobby"], ["bob@lobby"]]


def test_what_a_step_sends_or_shows_stands_beside_it() -> None:
    spoke = step("server", "spoke", "in-room", "in-room")
    relays = [packet(Kind.SEND, f"server>{name}") for name in ("alice", "carol")]
    assert rows(spoke, *relays) == [["bob@lobby", "+alice", "+carol"]]
    assert rows(spoke, packet(Kind.SEND, "server>alice", at=1)) == [["bob@lobby"], ["alice"]]
    assert rows(step("bob", "idled", "in-room", "expired"), show("bob", "idled")) == [["bob@lobby", "+bob"]]
    assert rows(step("bob", "idled", "in-room", "expired"), show("carol", "idled")) == [["bob@lobby"], ["carol"]]
    assert rows(packet(Kind.SEND, "bob>server"), show("bob", "idled")) == [["server"], ["bob"]]
    assert rows(refusal(), packet(Kind.SEND, "server>bob", "notice")) == [["bob@lobby", "+bob"]]


def test_arrivals_deadlines_and_the_plumbing_of_tcp_are_left_out() -> None:
    assert rows(
        packet(Kind.ARRIVE, "server>bob"),
        made.timer(rule=Rule.IDLE_1, what=Deadline.IDLE),
        *(packet(Kind.SEND, "bob>server", what) for what in ("open", "opened", "close")),
    ) == []  # fmt: skip
    assert rows(packet(Kind.DROP, "bob>server", "close")) == [["server"]]


def test_a_record_that_is_left_out_does_not_part_a_row() -> None:
    relays = [packet(Kind.SEND, f"server>{name}") for name in ("alice", "bob")]
    assert rows(relays[0], packet(Kind.ARRIVE, "server>alice"), relays[1]) == [["alice", "bob"]]


# --- what a row says -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (
            step("server", "entered", "tokened", "in-room", at=1_500_000),
            "1.500000 server session bob@lobby tokened → in-room entered R-TOK-2",
        ),
        (
            step("server", "spoke", "in-room", "in-room", why="a keep-alive"),
            "0.000000 server session bob@lobby in-room spoke R-TOK-2 a keep-alive",
        ),
        (refusal(), "0.000000 server session bob@lobby expired spoke R-TOK-4 ! refused: it has ended"),
        (packet(Kind.SEND, "server>bob"), "0.000000 server ▸ relay to bob (7 B)"),
        (packet(Kind.DROP, "server>bob", why="loss"), "0.000000 network ✗ relay to bob dropped: loss"),
        (
            packet(Kind.DROP, "bob>server", "say", actor="server", why="rubbish"),
            "0.000000 server ✗ say from bob dropped: rubbish",
        ),
        (show("bob", "relay", "alice", "hi"), "0.000000 bob ◂ alice: hi"),
        (show("bob", "room_closed"), "0.000000 bob ◂ notice room_closed"),
        (show("bob", "left", "carol"), "0.000000 bob ◂ notice left: carol"),
        (
            made.fault(actor="network", what="cut", why="bob>server"),
            "0.000000 network ⚡ cut bob>server",
        ),
        (made.fault(what="crash"), "0.000000 server ⚡ crash"),
    ],
)
def test_each_kind_of_record_has_its_words(record: Record, line: str) -> None:
    assert table(record) == [line]
    assert table(record, width=90) == [line]  # a narrow screen says the same in fewer columns


@pytest.mark.parametrize(("length", "shown"), [(100, "x" * 100), (101, "x" * 100 + "…")])
def test_a_long_text_is_cut(length: int, shown: str) -> None:
    [line] = table(show("bob", "relay", "alice", "x" * length), width=300)
    assert line.endswith(f"◂ alice: {shown}")


def test_of_many_receivers_some_are_named_and_bytes_are_of_each() -> None:
    sent = [packet(Kind.SEND, f"server>u{number}") for number in range(NAMES_SHOWN_MAX + 2)]
    assert table(*sent[:NAMES_SHOWN_MAX]) == ["0.000000 server ▸ relay to u0, u1, u2, u3 (7 B each)"]
    assert table(*sent) == ["0.000000 server ▸ relay to u0, u1, u2, u3 and 2 more (7 B each)"]


def test_a_step_tells_what_followed_in_its_row() -> None:
    spoke = step("server", "spoke", "in-room", "in-room")
    [line] = table(spoke, packet(Kind.SEND, "server>alice"))
    assert line.endswith("spoke R-TOK-2 ▸ relay to alice (7 B)")


def test_a_packet_that_is_dropped_for_the_reason_of_its_refusal_says_it_once() -> None:
    for why, line in (("it has ended", "! refused: it has ended"),
                      ("too long", "! refused: it has ended ✗ say from bob dropped: too long")):  # fmt: skip
        [said] = table(refusal(), packet(Kind.DROP, "bob>server", "say", actor="server", why=why))
        assert said.endswith(f"R-TOK-4 {line}")


# --- how many rows ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows_max", "shown"), [(None, 9), (9, 9), (10, 9), (8, 9), (4, 5), (5, 5)])
def test_of_too_many_rows_the_middle_is_left_out(rows_max: int | None, shown: int) -> None:
    steps = [step("server", "spoke", "in-room", "in-room", at=at * MS) for at in range(9)]
    lines = table(*steps, rows_max=rows_max)
    assert len(lines) == shown
    if shown < 9 or rows_max == 8:
        assert rows_max is not None
        left = 9 - 2 * (rows_max // 2)
        assert f"⋮ {left} more {'row' if left == 1 else 'rows'} (--rows all shows them)" in lines
        assert lines[0].startswith("0.000000")
        assert lines[-1].startswith("0.008000")
    else:
        assert not any("more row" in line for line in lines)
