"""What a search knows, in a file, to go on from later. A file is read by the version that wrote it, and trusted."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcrp.explore.model import Progress

SCHEMA = "tcrp-exploration/4"


class CheckpointError(Exception):
    """A file is no checkpoint, or one of another model. The message says which."""


@dataclass(slots=True)
class Checkpoint:
    """A search between two slices."""

    model: str
    levels: list[int]
    met: dict[str, int]
    progress: Progress
    partitions: list[Any]
    notes: list[Any]


def write_checkpoint(file: Path, checkpoint: Checkpoint) -> None:
    """Replace the file in one step, so that there is always a whole one."""
    new = file.with_name(f"{file.name}.new")
    with new.open("wb") as stream:
        pickle.dump((SCHEMA, checkpoint), stream, protocol=pickle.HIGHEST_PROTOCOL)
    new.replace(file)


def read_checkpoint(file: Path, model: str) -> Checkpoint:
    """Read a file. Raises `CheckpointError` where it is none, or that of another model."""
    try:
        with file.open("rb") as stream:
            schema, checkpoint = pickle.load(stream)  # noqa: S301 - the user's own file
    except OSError as error:
        raise CheckpointError(f"{file}: {error.strerror}") from None
    except Exception:
        raise CheckpointError(f"{file} is not a checkpoint of an exploration") from None
    if schema != SCHEMA:
        raise CheckpointError(f"{file} was written in the format {schema}; this version reads {SCHEMA}")
    if checkpoint.model != model:
        raise CheckpointError(f"{file} belongs to another search: {checkpoint.model}. This one is {model}")
    assert isinstance(checkpoint, Checkpoint), "the schema says so"
    return checkpoint
