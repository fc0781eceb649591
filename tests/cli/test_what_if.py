"""A run with other fates of its packets: what differs, what is written, and what cannot be opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcrp.cli.exits import UsageError
from tcrp.cli.what_if import Opened, open_source, run_with_fates, save, with_fates
from tcrp.sim.scenario.model import DROP, SetFate
from tcrp.sim.scenario.reader import read_scenario
from tcrp.trace.header import Header, Mode
from tcrp.trace.records import Kind, PacketRecord, Record

CUT = Path(__file__).parents[2] / "examples" / "cut.yaml"


def records_of(opened: Opened) -> list[Record]:
    return [opened.index.record(n) for n in range(1, len(opened.index) + 1)]


def packets(opened: Opened, kind: Kind, what: str = "", name: str = "") -> list[PacketRecord]:
    """The records of a kind of packets with this name, if one is given."""
    found = (each for each in records_of(opened) if isinstance(each, PacketRecord))
    return [each for each in found if each.kind is kind and what in ("", each.what) and name in ("", each.packet)]


@pytest.fixture(scope="module")
def opened() -> Opened:
    return open_source(str(CUT), None)


@pytest.fixture(scope="module")
def relay(opened: Opened) -> PacketRecord:
    """The relay of the second text, which arrives."""
    return packets(opened, Kind.SEND, "relay")[-1]


def test_without_other_fates_it_is_the_run_itself(opened: Opened) -> None:
    assert opened.verdict is not None
    assert (len(opened.index), opened.fates, opened.seed) == (opened.verdict.records, (), 0)
    assert (opened.violations, opened.misses) == ({}, [])
    scenario = read_scenario(CUT)
    assert with_fates(scenario, []).script == scenario.script


def test_a_packet_with_another_fate_changes_nothing_before_it_and_what_is_wrong_then_is_said(
    opened: Opened, relay: PacketRecord
) -> None:
    assert opened.scenario is not None
    other = run_with_fates(opened.scenario, None, [SetFate(relay.packet, DROP)])
    assert records_of(other)[: relay.n] == records_of(opened)[: relay.n]
    assert packets(other, Kind.ARRIVE, name=relay.packet) == []
    assert [each.why for each in packets(other, Kind.DROP, name=relay.packet)] == ["fate"]
    assert [*other.violations.values(), *other.misses]


def test_several_packets_have_a_fate_each(opened: Opened, relay: PacketRecord) -> None:
    assert opened.scenario is not None
    text = packets(opened, Kind.SEND, "say")[0]
    other = run_with_fates(opened.scenario, None, [SetFate(each.packet, delay_us=250_000) for each in (text, relay)])
    for each in (text, relay):
        [arrived] = packets(other, Kind.ARRIVE, name=each.packet)
        assert arrived.t_us >= each.t_us + 250_000


def test_what_is_saved_is_the_run_with_its_seed_and_nothing_is_overwritten(
    opened: Opened, relay: PacketRecord, tmp_path: Path
) -> None:
    assert opened.scenario is not None
    other = run_with_fates(opened.scenario, 9, [SetFate(relay.packet, DROP)])
    save(other, tmp_path / "a.yaml")
    again = open_source(str(tmp_path / "a.yaml"), None)
    assert again.seed == 9
    assert records_of(again) == records_of(other)
    with pytest.raises(FileExistsError):
        save(other, tmp_path / "a.yaml")


def test_a_trace_is_of_one_run(tmp_path: Path, opened: Opened) -> None:
    file = tmp_path / "trace.jsonl"
    lines = [each.line() for each in records_of(opened)]
    file.write_text("\n".join([Header(mode=Mode.SIMULATED).line(), *lines, ""]), encoding="utf-8")
    assert len(open_source(str(file), None).index) == len(lines)
    assert open_source(str(file), None).scenario is None
    with pytest.raises(UsageError, match="--seed is for scenarios"):
        open_source(str(file), 1)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", "", "no complete line"),
        ("a.jsonl", "{}\n", "a trace, a scenario"),
        ("a.jsonl", Header(mode=Mode.SIMULATED).line() + "\n", "the trace holds no record"),
        ("a.yaml", "claim: x\nuntil: 1s\nscript: []\n", "nothing happens in this scenario"),
    ],
)
def test_what_has_nothing_to_step_through_is_said_to_be_so(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        open_source(str(tmp_path / name), None)
