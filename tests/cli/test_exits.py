"""Exit codes that a script can tell apart, and errors of which nobody may be there to read them."""

from __future__ import annotations

import io
import sys

import pytest

from tcrp.cli.exits import (
    CANNOT,
    DOES_NOT_HOLD,
    HOLDS,
    INTERRUPTED,
    OUR_FAULT,
    OUTPUT_LOST,
    PIPE_CLOSED,
    complain,
)


def test_every_exit_code_has_one_meaning_and_fits_a_byte() -> None:
    codes = [HOLDS, DOES_NOT_HOLD, CANNOT, OUR_FAULT, OUTPUT_LOST, INTERRUPTED, PIPE_CLOSED]
    assert len(set(codes)) == len(codes)
    assert all(0 <= code < 256 for code in codes)


def test_an_error_names_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    complain("chat-sim", "満員 is no file")
    assert capsys.readouterr() == ("", "chat-sim: 満員 is no file\n")


def test_an_error_that_cannot_be_written_is_no_second_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    complain("chat-sim", "first")
    complain("chat-sim", "second")
    with sys.stderr as stream:
        assert not isinstance(stream, Full)  # else Python would try again at the end, and change the exit code
