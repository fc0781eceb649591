"""The lines of `chat-sim step`: each fits the width it is given, whatever the names and however long the run."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from rich.cells import cell_len

import made_records as made
from tcrp.cli.step_text import (
    EXPLANATION_LINES_MAX,
    STATES,
    heading,
    lifelines_for,
    machine_entry,
    machine_line,
    narrow_row,
    record_lines,
    sequence_row,
)
from tcrp.spec.names import Machine, PacketKind, Rule
from tcrp.spec.rules import SENTENCES
from tcrp.trace.records import Kind, PacketRecord, Record
from tcrp.view.index import MachineAt
from trace_samples import RECORDS, numbered

ALL = numbered(RECORDS)
WIDE_NAMES = ["とても長い名前の人", "さらにもっと長い名前", "server", "x" * 30]


def relay(link: str, *, kind: Kind = Kind.ARRIVE, why: str = "", t_us: int = 0) -> PacketRecord:
    actor = "network" if kind is Kind.DROP else link.partition(">")[2]
    return made.packet(
        actor=actor, bytes=7, kind=kind, link=link, packet="alice#1/relay", t_us=t_us, what=PacketKind.RELAY, why=why
    )


# --- widths ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 60, 80, 81, 200])
@pytest.mark.parametrize("is_current", [False, True])
def test_no_row_is_wider_than_the_screen_and_none_has_a_control_character(width: int, is_current: bool) -> None:
    odd = relay('a "quoted" \\ 日本\n\x07\u2028>server')
    for record in (
        *ALL,
        odd,
        made.show(actor="ボブ", name="あき", text="長い" * 60, what="relay"),
    ):
        for lifelines in (WIDE_NAMES, ["bob", "server"], ["server"], [odd.link.partition(">")[0], "server"]):
            rows = [heading(lifelines, width), sequence_row(record, lifelines, width, is_current=is_current)]
            rows.append(narrow_row(record, width, is_current=is_current))
            for row in rows:
                assert row.cell_len <= width
                assert "\x07" not in row.plain
                assert "\n" not in row.plain
            if is_current:
                assert rows[1].cell_len == width  # the bar goes to the edge


@pytest.mark.parametrize("width", [40, 80, 200])
def test_machines_and_records_fit_too(width: int) -> None:
    for machine, states in STATES.items():
        for state in states:
            at = MachineAt("とても長い名前の人", machine, "bob@" + "長い部屋" * 9, state, 1)
            assert machine_entry(at, width).cell_len <= width
            assert machine_line("session", machine, at.id, at, width).cell_len <= width
        assert machine_line("session", machine, "", None, width).cell_len <= width
    for record in ALL:
        assert all(line.cell_len <= width for line, _ in record_lines(record, ALL, width))


def test_the_state_is_named_also_where_there_is_no_room_for_the_others() -> None:
    at = MachineAt("server", Machine.SESSION, "bob@lobby", "in-room", 1)
    assert machine_line("session", Machine.SESSION, at.id, at, 40).plain.split() == [
        "session",
        "bob@lobby",
        "[in-room]",
    ]
    wide = machine_line("session", Machine.SESSION, at.id, at, 120).plain
    assert [word.strip("[]") for word in wide.split()[2:]] == STATES[Machine.SESSION]
    assert wide.count("[") == 1
    assert machine_line("session", Machine.SESSION, "", None, 40).plain.split() == ["session", "-"]


# --- lifelines ---------------------------------------------------------------------------------------


def test_the_server_stands_between_its_users() -> None:
    assert lifelines_for([], [], 80, "") == ["server"]
    assert lifelines_for([], ["alice", "bob"], 80, "") == ["alice", "server", "bob"]
    assert lifelines_for([relay("server>eve")], ["alice"], 80, "") == ["alice", "server", "eve"]


def test_where_not_all_fit_those_who_took_part_last_are_drawn_in_their_order() -> None:
    users = [f"user{number}" for number in range(9)]
    records: list[Record] = [relay(f"server>user{number}") for number in (7, 1, 4, 8, 2)]
    assert lifelines_for(records, users, 80, "") == ["user2", "user4", "server", "user8"]  # (80 - 11) // 14: four
    assert lifelines_for(records, users, 10, "") == ["user2", "server"]  # never fewer than two


def test_a_user_in_focus_is_always_drawn_and_those_who_do_nothing_are_not() -> None:
    records: list[Record] = [relay("server>bob")]
    assert lifelines_for(records, ["alice", "bob", "carol"], 80, "carol") == ["bob", "server", "carol"]
    assert "carol" in lifelines_for(records * 9, ["alice", "bob", "carol"], 10, "carol")


def test_names_of_neighbours_do_not_stand_in_each_other() -> None:
    line = heading(["とても長い名前の人", "長い名前のボブさん", "server"], 53).plain
    assert cell_len(line) <= 53
    first, second, third = line.split()
    assert third == "server"
    assert first.endswith("…")
    assert second.endswith("…")


# --- rows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "arrow"),
    [
        (relay("server>bob", kind=Kind.SEND), "─ relay ─"),
        (relay("server>bob"), "┄ relay ┄"),
        (relay("server>bob", why="duplicate"), " relay: duplicate "),
        (relay("server>bob", kind=Kind.DROP, why="cut"), " relay: cut "),
        (relay("server>zoe", kind=Kind.DROP, why="cut"), "drop relay server>zoe: cut"),
    ],
)
def test_a_packet_is_an_arrow_between_its_ends_or_words_where_one_is_not_drawn(
    record: PacketRecord, arrow: str
) -> None:
    assert arrow in sequence_row(record, ["alice", "server", "bob"], 100, is_current=False).plain


def test_the_head_of_an_arrow_says_where_to_and_what_became_of_it() -> None:
    def heads(kind: Kind, link: str) -> str:
        row = sequence_row(relay(link, kind=kind), ["server", "bob"], 60, is_current=False).plain
        return "".join(sign for sign in row if sign in "▷◁▶◀✗")

    assert [heads(kind, "server>bob") for kind in (Kind.SEND, Kind.ARRIVE, Kind.DROP)] == ["▷", "▶", "✗"]
    assert [heads(kind, "bob>server") for kind in (Kind.SEND, Kind.ARRIVE, Kind.DROP)] == ["◁", "◀", "✗"]


@pytest.mark.parametrize(
    ("t_us", "shown", "current"),
    [
        (0, "  0.000000", "▶ 0.000000"),
        (99_999_999, " 99.999999", "▶99.999999"),
        (100_000_000, "100.000000", "▶100.00000"),
        (999_999_999, "999.999999", "▶999.99999"),
        (1_000_000_000, "1000.00000", "▶1000.0000"),
        (123_456_789_000_000, "123456789.", "▶123456789"),
    ],
)
def test_a_long_run_has_fewer_digits_behind_the_point_and_not_before_it(t_us: int, shown: str, current: str) -> None:
    fault = made.fault(actor="network", t_us=t_us, what="cut", why="server>bob")
    assert sequence_row(fault, ["server"], 80, is_current=False).plain == f"{shown} ! cut server>bob"
    assert sequence_row(fault, ["server"], 80, is_current=True).plain.rstrip() == f"{current} ! cut server>bob"


# --- a record ----------------------------------------------------------------------------------------


def test_what_led_to_a_record_is_told_from_the_nearest_on_and_each_line_knows_its_record() -> None:
    record, *chain = ALL[5], ALL[1], ALL[3]
    lines = record_lines(record, chain, 80)
    assert lines[0][1] == record.n
    because = [line.plain for line, _ in lines].index("because")
    assert [n for _, n in lines[because + 1 :]] == [chain[1].n, chain[0].n]
    assert not any(line.plain == "because" for line, _ in record_lines(record, [], 80))


def test_the_reason_of_a_drop_is_explained_with_its_rule_in_a_few_lines_that_say_if_there_is_more() -> None:
    drop = replace(relay("bob>server", kind=Kind.DROP, why="no such token"), rule=Rule.TOK_3)
    narrow, wide = ([line.plain for line, _ in record_lines(drop, [], width)][2:] for width in (40, 200))
    assert len(narrow) == EXPLANATION_LINES_MAX
    assert narrow[-1].endswith("…")
    assert " ".join(" ".join(wide).split()).endswith(f" {Rule.TOK_3}: {SENTENCES[Rule.TOK_3]}")
