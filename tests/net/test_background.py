"""Writing in a thread: in order, never waiting, never raising, counting what is lost."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from processes import until
from tcrp.net.background import BackgroundWriter

PIPE_FULL = b"x" * (1 << 20)


class Pipe:
    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.heard = b""

    def reads(self) -> bytes:
        """What is there, once there is something."""
        self.heard += os.read(self.reading, 1 << 20)
        return self.heard

    def fills(self) -> None:
        """Nothing more fits."""
        os.set_blocking(self.writing, False)
        try:
            while True:
                os.write(self.writing, PIPE_FULL)
        except BlockingIOError:
            os.set_blocking(self.writing, True)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    for end in (pipe.reading, pipe.writing):
        try:
            os.close(end)
        except OSError:
            continue  # a test has closed it


def test_pieces_are_written_in_order_and_closing_writes_the_rest(pipe: Pipe) -> None:
    writer = BackgroundWriter(pipe.writing, 1000)
    for number in range(50):
        writer.write(f"{number},".encode())
    assert writer.close(10)
    assert pipe.reads().decode() == "".join(f"{number}," for number in range(50))
    assert writer.lost == 0
    writer.write(b"too late")
    assert writer.lost == 1


def test_a_pipe_that_nobody_reads_holds_nobody_up_and_what_does_not_fit_is_counted(pipe: Pipe) -> None:
    pipe.fills()
    writer = BackgroundWriter(pipe.writing, 100)
    for _ in range(25):
        writer.write(b"0123456789")
    assert writer.lost == 15
    assert not writer.keeps_up
    assert not writer.close(0.01)
    while b"0123456789" * 10 not in pipe.reads():
        pass
    assert writer.close(10)


def test_a_reader_that_has_gone_is_no_error_and_every_piece_counts(pipe: Pipe) -> None:
    writer = BackgroundWriter(pipe.writing, 1000)
    os.close(pipe.reading)
    for _ in range(3):
        writer.write(b"piece")
    assert writer.close(10)
    assert writer.lost == 3
    assert isinstance(writer.error, BrokenPipeError)
    assert not writer.keeps_up


def test_a_descriptor_that_somebody_made_non_blocking_is_waited_for(pipe: Pipe) -> None:
    pipe.fills()
    os.set_blocking(pipe.writing, False)
    writer = BackgroundWriter(pipe.writing, 1000)
    writer.write(b"piece")
    while b"piece" not in pipe.reads():
        pass
    until(lambda: writer.keeps_up, "that it keeps up")
    assert writer.lost == 0
    assert writer.close(10)


@pytest.mark.parametrize(("ends_at_error", "said"), [(True, b""), (False, b"later")])
def test_behind_an_error_it_goes_on_unless_a_hole_must_not_be(pipe: Pipe, ends_at_error: bool, said: bytes) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    writer = BackgroundWriter(full, 1000, ends_at_error=ends_at_error)
    writer.write(b"lost")
    until(lambda: writer.lost == 1, "the error")
    os.dup2(pipe.writing, full)
    writer.write(b"later")
    assert writer.close(10)
    os.close(full)
    os.close(pipe.writing)
    assert pipe.reads() == said
