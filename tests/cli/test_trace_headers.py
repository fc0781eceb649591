"""The header of a simulated run's trace, and the file that it is written to."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tcrp.cli.exits import OutputLost
from tcrp.cli.trace_headers import TraceFile, open_trace, scenario_header, versions
from tcrp.cli.version import tcrp_version
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.trace.header import CastMember, Mode, read_header
from tcrp.trace.lines import Line

SCENARIO = read_scenario_text("""
claim: x
server: {idle_timeout: 3s}
users: {bob: {name: ボブ, dialect: text, address: 10.0.0.9}}
script:
  - {at: 0s, alice: {create: lobby}}
""", "a.yaml")  # fmt: skip


def test_a_header_says_what_is_needed_to_run_it_again() -> None:
    header = scenario_header(SCENARIO, 7)
    assert (header.mode, header.scenario, header.seed) == (Mode.SIMULATED, "a.yaml", 7)
    assert scenario_header(SCENARIO, 7, "b.yaml").scenario == "b.yaml"
    assert header.cast.keys() == {"alice", "bob"}
    assert header.cast["bob"] == CastMember("ボブ", "text", "10.0.0.9")
    assert header.limits["idle_timeout"] == "3s"
    assert header.dialects == tuple(sorted({"text", header.cast["alice"].dialect}))
    assert header.versions == versions()
    assert versions()["tcrp"] == tcrp_version()


def test_what_is_written_is_read_back_from_the_file(tmp_path: Path) -> None:
    header = scenario_header(SCENARIO, 7)
    with open_trace(tmp_path / "a.jsonl") as file:
        assert file is not None
        file.write(header.line() + "\n")
    data = (tmp_path / "a.jsonl").read_bytes()
    assert b"\r" not in data
    assert read_header(Line("a", 1, data.decode().rstrip("\n"))) == header


def test_no_trace_is_wanted() -> None:
    with open_trace(None) as file:
        assert file is None


@pytest.mark.parametrize("name", ["", "missing/a.jsonl"])
def test_a_trace_that_cannot_be_opened_is_lost_output_with_its_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputLost, match=f"^{tmp_path / name}: cannot write the trace: "):
        open_trace(tmp_path / name)


def test_a_full_disk_is_noticed_at_the_end_if_not_before() -> None:
    trace = open_trace("/dev/full")
    assert isinstance(trace, TraceFile)
    trace.write("x")
    with pytest.raises(OutputLost, match=f"/dev/full: cannot write the trace: {os.strerror(errno.ENOSPC)}"):
        trace.close()
