"""Programs of the system that some tests use, and that need not be installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKSUMS = tuple(word for layer in ("ip", "udp", "tcp") for word in ("-o", f"{layer}.check_checksum:TRUE"))


def required(program: str) -> str:
    """The path of a program. Without it the test is skipped; it fails where TCRP_REQUIRE_TOOLS is set."""
    path = shutil.which(program)
    if path is None:
        problem = f"{program} is not installed"
        if os.environ.get("TCRP_REQUIRE_TOOLS"):
            pytest.fail(problem)
        pytest.skip(problem)
    return path


def tshark(capture: Path, *words: str) -> list[str]:
    """The lines that tshark prints about a capture, checksums verified; numbers for names without `-N`."""
    command = [required("tshark"), "-r", str(capture), *CHECKSUMS, *words, *(() if "-N" in words else ("-n",))]
    ran = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "Lua:" not in ran.stderr, ran.stderr  # an error in a dissector, which tshark itself does not mind
    return ran.stdout.splitlines()


def fields(capture: Path, *names: str, where: str = "", options: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """These fields of each packet that the display filter `where` lets through."""
    words = [word for name in names for word in ("-e", name)]
    lines = tshark(
        capture, *options, "-Y", where, "-T", "fields", "-E", "separator=/t", "-E", "aggregator=\x1f", *words
    )
    return [tuple(line.split("\t")) for line in lines]
