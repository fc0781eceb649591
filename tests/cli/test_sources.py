"""What a name on the command line stands for: a scenario, a trace, or the bundle of a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcrp.cli.exits import UsageError
from tcrp.cli.failure_artifacts import SCENARIO, TRACE
from tcrp.cli.sources import find_source, is_scenario, open_trace_file, play_for_a_look, read_scenario_file
from tcrp.sim.scenario.reader import read_scenario
from tcrp.trace.records import Kind, PacketRecord

CUT = Path(__file__).parents[2] / "examples" / "cut.yaml"


def test_a_bundle_is_its_scenario_or_else_its_trace(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no bundle of a failure: there is neither scenario\.yaml nor trace\.jsonl"):
        find_source(str(tmp_path))
    for name in (TRACE, SCENARIO):
        (tmp_path / name).touch()
        assert find_source(str(tmp_path)) == tmp_path / name


def test_a_name_that_stands_for_nothing_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file or folder"):
        find_source(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("name", "is_it"), [("a.yaml", True), ("a.yml", True), ("a.jsonl", False), ("yaml", False), ("a.YAML.gz", False)]
)
def test_a_scenario_is_known_by_the_ending_of_its_name(name: str, is_it: bool) -> None:
    assert is_scenario(Path(name)) == is_it


def test_mistakes_in_files_are_mistakes_of_the_user_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("claim: x\nscirpt: []\n")
    with pytest.raises(UsageError, match=r"a\.yaml:2:1: unknown key 'scirpt'"):
        read_scenario_file(tmp_path / "a.yaml")
    (tmp_path / "a.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match=r"a\.jsonl:1:"):
        open_trace_file(tmp_path / "a.jsonl")


def test_a_run_for_a_look_has_every_record_and_if_wanted_the_bytes_of_every_packet() -> None:
    scenario = read_scenario(CUT)
    played = play_for_a_look(scenario, 7, keeps_payloads=True)
    assert (played.seed, played.header.seed, len(played.records)) == (7, 7, played.verdict.records)
    datagrams = [
        each for each in played.records
        if isinstance(each, PacketRecord) and each.kind is Kind.SEND and each.proto == "udp"
    ]  # fmt: skip
    assert datagrams
    assert all(len(played.payloads[each.n].data) == each.bytes for each in datagrams)
    assert play_for_a_look(scenario, None).payloads == {}
    assert play_for_a_look(scenario, None).seed == scenario.seed
