"""A picture as data: everything that was drawn, in JSON that other programs read."""

from __future__ import annotations

import json
from typing import Any

from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.trace.header import CastMember, Header, Mode
from tcrp.trace.records import Record
from tcrp.view.about import About, Finding
from tcrp.view.data import SCHEMA, data
from tcrp.view.picture import Fate, picture_of

CUT = """
claim: a text sent while bob is cut off is lost
users: {bob: {dialect: text}}
network: {default: {delay: 10ms}}
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, network: {cut: {from: server, to: bob}, for: 1s}}
  - {at: 2500ms, alice: {say: hello}}
"""
ABOUT = About("cut.yaml", verdict="false", findings=(Finding("bob sees hello", (("seen", "nothing"),), 7),))


def played(scenario: str = CUT) -> tuple[dict[str, Any], list[Record]]:
    records: list[Record] = []
    read = read_scenario_text(scenario)
    Run(read, listeners=[records.append]).go()
    cast = {user.id: CastMember(user.name, user.dialect) for user in read.users}
    picture = picture_of(Header(Mode.SIMULATED, cast=cast), records)
    return json.loads(json.dumps(data(picture, ABOUT))), records


def test_it_says_what_it_is_and_what_was_found() -> None:
    found, _ = played()
    assert (found["schema"], found["title"], found["verdict"]) == (SCHEMA, "cut.yaml", "false")
    assert found["findings"] == [{"what": "bob sees hello", "parts": [["seen", "nothing"]], "n": 7}]


def test_lifelines_are_in_the_order_of_drawing_and_others_refer_to_them_by_index() -> None:
    found, _ = played()
    by_index = {each["index"]: each["id"] for each in found["lifelines"]}
    assert list(by_index.values()) == ["alice", "server", "bob"]
    of_server = [each for each in found["machines"] if by_index[each["lifeline"]] == "server"]
    [session] = [each for each in of_server if each["id"] == "bob@lobby"]
    assert [band["state"] for band in session["bands"]] == ["tokened", "in-room"]
    [lost] = [each for each in found["packets"] if each["fate"] == Fate.LOST and each["what"] == "relay"]
    assert (by_index[lost["source"]], by_index[lost["target"]], lost["why"]) == ("server", "bob", "cut")
    [cut] = found["faults"]
    assert (cut["what"], cut["to_us"] - cut["from_us"]) == ("cut", 1_000_000)


def test_each_record_is_a_sentence_with_its_number_and_cause() -> None:
    found, records = played()
    assert [(each["n"], each["cause"], each["t_us"]) for each in found["records"]] == [
        (each.n, each.cause, each.t_us) for each in records
    ]
    assert all(each["sentence"] for each in found["records"])


def test_of_nothing_there_is_a_picture_too() -> None:
    empty = data(picture_of(Header(Mode.SIMULATED), []), About("nothing"))
    assert json.loads(json.dumps(empty))["records"] == []
