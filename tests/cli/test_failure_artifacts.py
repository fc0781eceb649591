"""The bundle of a failure: everything in it fails as the run did, and can be replayed by what it says."""

from __future__ import annotations

import shlex
from hashlib import sha256
from pathlib import Path

import pytest

from planting import Planted
from tcrp.cli.failure_artifacts import PAGE, README, SCENARIO, SHRUNK, TRACE, shrink_into, write_bundle
from tcrp.sim.scenario.model import Scenario
from tcrp.sim.scenario.reader import read_scenario, read_scenario_text
from tcrp.sim.swarm.failures import UNMET, Failure, failure_of
from tcrp.trace.reader import read_trace

SCRIPT = """
claim: two rooms are open
seed: 7
script:
  - {at: 0s, alice: {create: lobby}}
  - {at: 1s, bob: {join: lobby}}
  - {at: 2s, server: {remove: {user: bob, room: lobby}}}
  - {at: 3s, alice: {say: hi}}
"""


class Faulty(Planted):
    def remove(self, user: str, room: str, now_us: int) -> None:
        raise ZeroDivisionError(f"of {user}:\n日本")


def failing(script: str, engine: type[Planted] = Planted) -> tuple[Scenario, Failure]:
    scenario = read_scenario_text(script)
    failure, _ = failure_of(scenario, make_engine=engine)
    assert failure is not None
    return scenario, failure


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "not made yet" / "日本"
    scenario, failure = failing(SCRIPT, Faulty)
    shrunk = write_bundle(folder, scenario, failure, Faulty)
    assert [type(step.action).__name__ for step in shrunk.script] == ["Remove"]
    return folder


def test_it_holds_these_files_and_no_other(bundle: Path) -> None:
    assert sorted(each.name for each in bundle.iterdir()) == sorted([README, SCENARIO, SHRUNK, TRACE, PAGE])


@pytest.mark.parametrize("name", [SCENARIO, SHRUNK])
def test_its_scenarios_fail_as_the_run_did_and_say_so_in_one_line(name: str, bundle: Path) -> None:
    failure, _ = failure_of(read_scenario(bundle / name), make_engine=Faulty)
    assert failure is not None
    assert failure.kind == "ZeroDivisionError in test_failure_artifacts.remove"
    first = (bundle / name).read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# breaks {failure.kind}: of bob: 日本"


def test_its_trace_ends_where_the_run_did_and_has_the_digest_that_is_named(bundle: Path) -> None:
    header, records = read_trace(bundle / TRACE)
    assert (header.seed, header.scenario) == (7, SCENARIO)
    assert max(record.t_us for record in records) <= 2_000_000
    lines = (bundle / TRACE).read_bytes().split(b"\n", 1)[1]
    assert f"digest of {TRACE}: sha256:{sha256(lines).hexdigest()}\n" in (bundle / README).read_text(encoding="utf-8")


def test_what_it_says_to_type_names_its_files_also_where_a_folder_has_a_blank(bundle: Path) -> None:
    readme = (bundle / README).read_text(encoding="utf-8")
    commands = [line.partition(": chat-sim run ")[2] for line in readme.splitlines() if ": chat-sim run " in line]
    assert [shlex.split(each) for each in commands] == [[str(bundle / SHRUNK)], [str(bundle / SCENARIO)]]
    assert "seed: 7\n" in readme


def test_of_an_unmet_expectation_the_shrunk_scenario_keeps_it(tmp_path: Path) -> None:
    scenario, failure = failing(SCRIPT + "expect: [{server: {rooms: 2}}]\n")
    assert failure.kind.startswith(UNMET)
    shrunk = shrink_into(tmp_path, scenario, failure)
    assert len(shrunk.expect) == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([SHRUNK, PAGE])
    first, second, *_ = (tmp_path / SHRUNK).read_text(encoding="utf-8").splitlines()
    assert first.startswith(f"# {failure.kind}: ")
    assert second.startswith(f"# shrunk from 4 steps to {len(shrunk.script)} in ")


def test_a_folder_that_cannot_be_made_is_an_error_of_the_file_system(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    scenario, failure = failing(SCRIPT, Faulty)
    with pytest.raises(NotADirectoryError):
        write_bundle(tmp_path / "file" / "bundle", scenario, failure, Faulty)
