"""A picture in chunks: whoever puts them together has the whole picture, however it was cut."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.trace.header import CastMember, Header, Mode
from tcrp.trace.records import FaultRecord, PacketRecord, Record, RefusalRecord, ShowRecord, StepRecord, TimerRecord
from tcrp.view.chunks import FATES, KINDS, MACHINES, NONE, PACKET_COLUMNS, RECORD_COLUMNS, ChunkWriter
from tcrp.view.picture import Picture

SCENARIO = """
claim: a talk with a cut, a crash, refusals, drops and a silence
server: {idle_timeout: 20s}
users: {bob: {dialect: text}, mallory: {attacker: true}}
network: {default: {delay: 10ms}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 1s, carol: {join: nowhere}}
  - {at: 2s, network: {cut: {from: server, to: bob}, for: 1s}}
  - {at: 2500ms, alice: {say: hello}}
  - {at: 4s, alice: {say: "and now?"}}
  - {at: 5s, mallory: {datagram: {hex: "0001ff"}}}
  - {at: 5s, carol: {say: "not in a room"}}
  - {at: 30s, server: {crash: {restart: 1s}}}
  - {at: 32s, alice: {create: lobby}}
until: 60s
"""


def played(scenario: str = SCENARIO) -> tuple[Header, list[Record]]:
    records: list[Record] = []
    read = read_scenario_text(scenario)
    Run(read, listeners=[records.append]).go()
    cast = {user.id: CastMember(user.name, user.dialect) for user in read.users}
    return Header(Mode.SIMULATED, cast=cast), records


HEADER, RECORDS = played()


class Page:
    """Puts chunks together as the page does."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.records: dict[str, list[int]] = {name: [] for name in RECORD_COLUMNS}
        self.packets: dict[int, dict[str, int]] = {}
        self.lifelines: list[Any] = []
        self.tracks: list[Any] = []
        self.latest: dict[str, Any] = {}
        self.said: dict[int, str] = {}

    def takes(self, chunk: dict[str, Any]) -> None:
        chunk = json.loads(json.dumps(chunk))
        assert chunk["first"] == 1 + len(self.records["t"])
        self.texts += chunk["texts"]
        for name in RECORD_COLUMNS:
            self.records[name] += chunk["records"][name]
        for row in zip(*(chunk["packets"][name] for name in PACKET_COLUMNS), strict=True):
            packet = dict(zip(PACKET_COLUMNS, row, strict=True))
            self.packets[packet["i"]] = packet
        self.lifelines += chunk["lifelines"]
        self.tracks += chunk["tracks"]
        self.latest = chunk
        self.said.update((n, self.text(text)) for n, text in chunk["said"])

    def text(self, number: int) -> str:
        return self.texts[number] if number != NONE else ""

    def readable(self) -> dict[str, Any]:
        """All that it shows, with texts in place of their numbers."""
        lifelines = [(self.text(id), self.text(name), role, dialect) for id, name, role, dialect in self.lifelines]
        tracks = [(line, machine, self.text(id), *more[:2]) for line, machine, id, *more in self.tracks]
        packets = [
            {**each, **{name: self.text(each[name]) for name in ("proto", "what", "why", "text")}}
            for _, each in sorted(self.packets.items())
        ]
        records: dict[str, Any] = {name: self.records[name] for name in ("t", "cause", "kind")}
        records |= {name: [self.text(each) for each in self.records[name]] for name in ("what", "rule", "why")}
        faults = [
            (self.text(what), self.text(why), line, self.text(links), *rest)
            for what, why, line, links, *rest in self.latest["faults"]
        ]
        return {
            "lifelines": lifelines, "tracks": tracks, "packets": packets, "records": records, "faults": faults,
            "order": self.latest["order"], "ended_us": self.latest["ended_us"], "losses": self.latest["losses"],
        }  # fmt: skip


def put_together(records: list[Record], every: int, texts: dict[str, str] | None = None) -> Page:
    picture, page = Picture(HEADER), Page()
    writer = ChunkWriter(picture, texts)
    for number, record in enumerate(records, 1):
        picture.add(record)
        if number % every == 0:
            page.takes(writer.chunk())
    page.takes(writer.chunk())
    return page


WHOLE = put_together(RECORDS, len(RECORDS) + 1)


@pytest.mark.parametrize("every", [1, 2, 7, 50])
def test_however_a_picture_is_cut_it_is_the_same_when_put_together(every: int) -> None:
    assert put_together(RECORDS, every).readable() == WHOLE.readable()


def test_every_kind_of_record_is_told_with_its_texts() -> None:
    columns, at = WHOLE.records, {type(each): each for each in RECORDS}
    assert at.keys() == {StepRecord, RefusalRecord, PacketRecord, TimerRecord, FaultRecord, ShowRecord}
    for record in RECORDS:
        row = {name: columns[name][record.n - 1] for name in RECORD_COLUMNS}
        assert (row["t"], row["cause"], KINDS[row["kind"]]) == (record.t_us, record.cause, record.kind)
        rule = getattr(record, "rule", None)
        assert WHOLE.text(row["rule"]) == (str(rule) if rule else "")
        lifeline = WHOLE.text(WHOLE.lifelines[row["line"]][0]) if row["line"] != NONE else ""
        match record:
            case StepRecord():
                assert (WHOLE.text(row["b"]), WHOLE.text(row["c"]), WHOLE.text(row["what"])) == (
                    record.from_, record.to, record.event,
                )  # fmt: skip
                assert WHOLE.text(WHOLE.tracks[row["a"]][2]) == record.id
            case RefusalRecord():
                assert (MACHINES[row["a"]], WHOLE.text(row["c"]), lifeline) == (record.machine, record.id, record.actor)
            case PacketRecord():
                assert WHOLE.text(WHOLE.packets[row["a"]]["what"]) == record.what == WHOLE.text(row["what"])
            case ShowRecord():
                assert (lifeline, WHOLE.text(row["a"]), WHOLE.text(row["why"])) == (
                    record.actor, record.name, record.text,
                )  # fmt: skip
            case FaultRecord() | TimerRecord():
                assert WHOLE.text(row["what"]) == record.what


def test_a_packet_is_told_again_only_when_something_became_of_it() -> None:
    picture = Picture(HEADER)
    writer, ends, told = ChunkWriter(picture), 0, 0
    for record in RECORDS:
        picture.add(record)
        chunk = writer.chunk()
        told += len(chunk["packets"]["i"])
        ends += isinstance(record, PacketRecord | ShowRecord)  # a show tells what was said
        assert sum(map(len, chunk["records"].values())) == len(RECORD_COLUMNS)
    assert told <= ends + sum(each.rejected_n > 0 for each in picture.packets)
    assert writer.chunk()["packets"]["i"] == []


def test_a_text_is_written_once_and_harmless() -> None:
    assert len(set(WHOLE.texts)) == len(WHOLE.texts)
    evil = SCENARIO.replace('"and now?"', '"\\e[31m\\u202ehello\\nthere"')
    _, records = played(evil)
    shown = [each for each in put_together(records, 9).texts if "hello" in each]
    assert shown
    assert not [each for text in shown for each in text if each in "\x1b\u202e\n"]


def test_what_a_packet_says_is_that_of_its_chain() -> None:
    say = next(each for each in RECORDS if isinstance(each, PacketRecord) and each.what == "say").packet
    texts = {say.partition("/")[0]: "hello"}
    said = [WHOLE.text(each["text"]) for each in WHOLE.packets.values()]
    told = put_together(RECORDS, 9, texts)
    assert [told.text(each["text"]) for each in told.packets.values()].count("hello") > said.count("hello")


def test_a_lost_packet_has_its_fate_and_reason() -> None:
    lost = [each for each in WHOLE.packets.values() if FATES[each["fate"]] == "lost"]
    assert [(WHOLE.text(each["what"]), WHOLE.text(each["why"])) for each in lost] == [("relay", "cut")]
