"""The picture of a trace in a document: tcrp.view.svg."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.trace.header import CastMember, Header, Mode
from tcrp.trace.records import Record
from tcrp.view.about import About
from tcrp.view.mermaid import mermaid
from tcrp.view.picture import Picture, picture_of
from tcrp.view.svg import svg
from tcrp.view.text import text
from trace_samples import RECORDS, numbered

CUT = """
claim: a text sent while bob is cut off is lost
network: {default: {delay: 10ms}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, network: {cut: {from: server, to: bob}, for: 1s}}
  - {at: 2500ms, alice: {say: hello}}
  - {at: 4s, bob: {say: back}}
"""
EVIL = "</text><script>alert(1)</script>%%{init: {}}%%;\n#"


@pytest.fixture(scope="module")
def cut() -> Picture:
    scenario = read_scenario_text(CUT)
    records: list[Record] = []
    Run(scenario, listeners=[records.append]).go()
    cast = {user.id: CastMember(user.name, user.dialect) for user in scenario.users}
    return picture_of(Header(Mode.SIMULATED, cast=cast), records)


def words(drawn: str) -> str:
    root = ElementTree.fromstring(drawn)  # noqa: S314 (our own)
    return " | ".join(each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text"))


def test_a_picture_names_everybody_their_states_what_is_lost_and_why(cut: Picture) -> None:
    drawn = words(svg(cut, About("a claim", verdict="✔ holds", texts={})))
    for word in ("✔ holds: a claim", "alice", "server", "bob", "in-room", "lobby · open", "⚡ cut server→bob",
                 "lost: cut", "say “back”", "alice", "bob: back", "notice joined: bob"):  # fmt: skip
        assert word in drawn
    assert "keep_alive" not in drawn


def test_every_kind_of_record_is_drawn_and_none_is_markup() -> None:
    records = numbered([replace(each, actor=EVIL) for each in RECORDS])
    drawn = svg(picture_of(Header(Mode.SIMULATED), records), About(EVIL))
    assert "<script" not in drawn
    assert words(drawn)
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", ""), "it needs nothing from elsewhere"


def test_mermaid_has_one_line_for_each_packet_and_cannot_be_told_what_to_do(cut: Picture) -> None:
    drawn = "".join(mermaid(cut, About("a claim")))
    assert "participant L0 as alice\n" in drawn
    assert "L2--xL1: relay: cut\n" in drawn or "L1--xL2: relay: cut\n" in drawn
    assert drawn.count("say back") == 1
    records = numbered([replace(each, actor=EVIL) for each in RECORDS])
    evil = "".join(mermaid(picture_of(Header(Mode.SIMULATED), records), About(EVIL)))
    assert "<" not in evil
    assert "%%{" not in evil
    assert ";\n" not in evil.replace("#59;", "").replace("#125;", "").replace("#35;", "").replace("#37;", "")


def test_sentences_say_who_what_and_how_it_ended(cut: Picture) -> None:
    said = "".join(text(cut, About("a claim", verdict="✔ holds")))
    assert said.startswith("a claim.\n✔ holds.\n")
    assert "network: drops relay from server to bob (udp, 12 bytes, cut)." in said
    assert "At server, the session bob@lobby is in-room." in said
    assert "Faults: 1. Refusals: 0." in said
    assert all(len(line) < 200 for line in said.splitlines())
