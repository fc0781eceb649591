"""`packet`: a scenario decides what becomes of one packet, and of no other."""

from __future__ import annotations

import pytest

from tcrp.sim.run import Run, Verdict
from tcrp.sim.scenario.errors import ScenarioError
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.trace.records import FaultRecord, Kind, PacketRecord, Record, ShowRecord

TALK = """\
claim: bob sees three texts
users: {bob: {dialect: text}}
network: {default: {delay: 10ms..30ms}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 3s, alice: {say: "one"}}
  - {at: 4s, alice: {say: "two"}}
  - {at: 5s, alice: {say: "three"}}
expect:
  - {bob: {sees_exactly: ["one", "two", "three"]}}
"""


def run(*fates: str, until: str = "10s") -> tuple[Verdict, list[Record]]:
    """The talk, with steps of the network before it."""
    rows = "".join(f"  - {{at: 0s, network: {{packet: {{{fate}}}}}}}\n" for fate in fates)
    records: list[Record] = []
    scenario = read_scenario_text(TALK.replace("script:\n", f"until: {until}\nscript:\n{rows}"))
    return Run(scenario, listeners=[records.append]).go(), records


def named(what: str, link: str, nth: int = 1) -> str:
    """The name of the nth packet of a kind that is sent over a link, as a trace of the undisturbed talk has it."""
    _, records = run()
    sent = [each for each in records if isinstance(each, PacketRecord) and each.kind is Kind.SEND]
    return [each.packet for each in sent if each.what == what and each.link == link][nth - 1]


def arrivals(records: list[Record], packet: str) -> list[int]:
    return [each.t_us for each in records
            if isinstance(each, PacketRecord) and each.kind is Kind.ARRIVE and each.packet.startswith(packet)
            and each.what == packet.rpartition("/")[2].partition(":")[0]]  # fmt: skip


def shown(records: list[Record]) -> list[str]:
    return [each.text for each in records if isinstance(each, ShowRecord) and each.actor == "bob" and each.text]


def test_a_dropped_packet_is_lost_and_no_other() -> None:
    packet = named("relay", "server>bob", 2)
    verdict, records = run(f'name: "{packet}", fate: drop')
    assert shown(records) == ["one", "three"]
    [drop] = [each for each in records if each.kind is Kind.DROP]
    assert isinstance(drop, PacketRecord)
    assert (drop.packet, drop.why) == (packet, "fate")
    [fault] = [each for each in records if isinstance(each, FaultRecord)]
    assert (fault.what, fault.why) == ("fate", "server>bob")
    assert records[fault.cause - 1].kind is Kind.SEND  # recorded where it happens
    assert not verdict.holds
    assert verdict.violation is None


def test_what_the_script_drops_on_a_calm_link_breaks_no_property() -> None:
    # `speakers-arrive` is judged at the end of a run, of links that lose nothing: here bob has never entered by then.
    first = named("enter", "bob>server")
    packets = [first, *(f"{first}#{nth}" for nth in range(2, 5))]
    verdict, records = run(*(f'name: "{packet}", fate: drop' for packet in packets), until="4700ms")
    assert sum(each.kind is Kind.DROP for each in records) == len(packets)
    assert verdict.violation is None


def test_until_the_packet_is_sent_the_trace_is_the_same() -> None:
    _, before = run()
    _, after = run(f'name: "{named("relay", "server>bob", 2)}", fate: drop')
    [fault] = [each for each in after if isinstance(each, FaultRecord)]
    assert before[: fault.n - 1] == after[: fault.n - 1]


def test_a_duplicate_arrives_twice() -> None:
    packet = named("say", "alice>server", 2)
    verdict, records = run(f'name: "{packet}", fate: duplicate')
    assert len(arrivals(records, packet)) == 2
    assert shown(records) == ["one", "two", "two", "three"]
    assert verdict.violation is None


def test_a_delay_is_added_to_what_the_link_takes() -> None:
    packet = named("say", "alice>server", 2)
    _, undisturbed = run()
    _, records = run(f'name: "{packet}", delay: 1500ms')
    [before], [after] = arrivals(undisturbed, packet), arrivals(records, packet)
    assert after - before == 1_500_000
    assert shown(records) == ["one", "three", "two"]


def test_tcp_repairs_a_loss_after_a_second_and_notices_no_duplicate() -> None:
    packet = named("request", "bob>server")
    _, undisturbed = run()
    [before] = arrivals(undisturbed, packet)
    verdict, records = run(f'name: "{packet}", fate: drop')
    assert arrivals(records, packet) == [before + 1_000_000]
    assert verdict.holds
    verdict, records = run(f'name: "{packet}", fate: duplicate')
    assert arrivals(records, packet) == [before]
    assert verdict.holds


def test_a_packet_that_is_never_sent_is_reported() -> None:
    verdict, _ = run('name: "nobody.say@0s~0000/say", fate: drop')
    assert not verdict.holds
    assert [step.actor for step in verdict.never_taken] == ["network"]


@pytest.mark.parametrize(
    "words", ['name: "x"', 'name: "x", fate: drop, delay: 1s', "fate: drop", 'name: "x", fate: lose']
)
def test_one_fate_is_given(words: str) -> None:
    with pytest.raises(ScenarioError):
        run(words)
