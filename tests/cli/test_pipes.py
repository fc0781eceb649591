"""What comes through a pipe can be read twice, and a file is not copied for it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tcrp.cli.pipes import readable_twice


def test_a_pipe_is_copied_and_the_copy_goes_afterwards(tmp_path: Path) -> None:
    pipe, file = tmp_path / "pipe", tmp_path / "file"
    os.mkfifo(pipe)
    file.write_bytes(b"\0\xff" * 50_000)  # more than a pipe holds
    with subprocess.Popen(["cp", str(file), str(pipe)]), readable_twice(str(pipe)) as copy:
        assert copy.read_bytes() == copy.read_bytes() == file.read_bytes()
    assert not copy.exists()


def test_a_file_or_nothing_stays_what_it_is(tmp_path: Path) -> None:
    for name in ("file", "missing"):
        with readable_twice(str(tmp_path / name)) as same:
            assert same == tmp_path / name
