"""A trace's file: lines in order, brought up to date once a turn, and given up once when the disk is full."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import made_records as made
from processes import until
from tcrp.net import trace_file
from tcrp.net.trace_file import TraceFile
from tcrp.trace.records import FaultRecord

FULL = Path("/dev/full")
needs_a_full_disk = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")


class Turn:
    """The driver's loop: does later what it is asked to do soon. Keeps complaints."""

    def __init__(self) -> None:
        self.later: list[Callable[[], None]] = []
        self.complaints: list[OSError] = []
        self.opened: list[TraceFile] = []

    def ends(self) -> None:
        later = self.later.copy()
        self.later.clear()
        for action in later:
            action()

    def opens(self, path: Path) -> TraceFile:
        trace = TraceFile(path, "the header", self.later.append, self.complaints.append)
        self.opened.append(trace)
        return trace


@pytest.fixture
def turn() -> Iterator[Turn]:
    turn = Turn()
    yield turn
    for trace in turn.opened:
        trace.close()


def record(n: int) -> FaultRecord:
    return made.fault(actor="network", n=n, what="cut")


def written(path: Path, lines: int) -> list[str]:
    """The lines of a file, once there are so many: a thread writes them."""
    until(lambda: path.read_text().count("\n") >= lines, f"{lines} lines")
    return path.read_text().splitlines()


def test_the_header_is_there_at_once(turn: Turn, tmp_path: Path) -> None:
    turn.opens(tmp_path / "t.jsonl")
    assert written(tmp_path / "t.jsonl", 1) == ["the header"]


def test_records_are_lines_that_stand_in_the_file_when_the_turn_is_over(turn: Turn, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    trace = turn.opens(path)
    for n in (1, 2, 3):
        trace(record(n))
    assert len(turn.later) == 1  # one write for many records
    assert written(path, 1) == ["the header"]
    turn.ends()
    assert written(path, 4) == ["the header", *(record(n).line() for n in (1, 2, 3))]
    trace(record(4))
    assert len(turn.later) == 1
    turn.ends()
    assert written(path, 5)[-1] == record(4).line()
    assert turn.complaints == []


def test_closing_brings_the_file_up_to_date(turn: Turn, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    trace = turn.opens(path)
    trace(record(1))
    trace.close()
    assert path.read_text().splitlines() == ["the header", record(1).line()]
    assert turn.complaints == []


def test_what_was_put_off_until_after_the_closing_does_nothing_and_closing_twice_is_closing(
    turn: Turn, tmp_path: Path
) -> None:
    trace = turn.opens(tmp_path / "t.jsonl")
    trace(record(1))
    trace.close()
    turn.ends()
    trace(record(2))
    trace.close()
    assert (tmp_path / "t.jsonl").read_text().splitlines() == ["the header", record(1).line()]
    assert turn.complaints == []


def test_a_file_of_an_earlier_run_is_written_anew(turn: Turn, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("what was there\n" * 100)
    turn.opens(path).close()
    assert path.read_text() == "the header\n"


def test_a_file_that_cannot_be_opened_is_the_callers_to_tell(turn: Turn, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        turn.opens(tmp_path / "nowhere" / "t.jsonl")


def test_a_fifo_that_nobody_reads_is_an_error_and_no_wait(turn: Turn, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="No such device"):
        turn.opens(tmp_path / "fifo")


@needs_a_full_disk
def test_a_full_disk_is_complained_of_once_and_the_trace_ends_there(turn: Turn) -> None:
    trace = turn.opens(FULL)
    until(lambda: trace._writer.error is not None, "the error")
    trace.flush()
    assert [error.strerror for error in turn.complaints] == ["No space left on device"]
    trace(record(1))
    assert turn.later == []
    trace.flush()
    trace.close()
    assert len(turn.complaints) == 1


def test_a_reader_that_does_not_keep_up_ends_the_trace_and_not_the_server(
    turn: Turn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_file, "WAITING_BYTES_MAX", 100_000)
    monkeypatch.setattr(trace_file, "CLOSING_SECONDS", 0.01)
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        trace = turn.opens(tmp_path / "fifo")
        for n in range(1, 10_000):
            trace(record(n))
            turn.ends()
        assert [str(error) for error in turn.complaints] == ["it is written more slowly than it grows"]
        trace.close()
        assert len(turn.complaints) == 1
    finally:
        os.close(reader)
