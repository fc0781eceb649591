"""Pipes where a file is read more than once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def readable_twice(name: str) -> Iterator[Path]:
    """A file with the bytes of `name`: a copy of what a pipe holds, else the file itself. Raises `OSError`."""
    if not Path(name).is_fifo():
        yield Path(name)
        return
    import shutil  # these two and what they import take a while, and a pipe is rare
    import tempfile

    with tempfile.TemporaryDirectory(prefix="tcrp-") as folder:
        copy = Path(folder) / "copy"
        with Path(name).open("rb") as pipe, copy.open("wb") as file:
            shutil.copyfileobj(pipe, file)
        yield copy
