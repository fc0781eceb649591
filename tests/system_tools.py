"""Programs of the system that some tests use, and that need not be installed."""

from __future__ import annotations

import os
import shutil

import pytest


def required(program: str) -> str:
    """The path of a program. Without it the test is skipped; it fails where TCRP_REQUIRE_TOOLS is set."""
    path = shutil.which(program)
    if path is None:
        problem = f"{program} is not installed"
        if os.environ.get("TCRP_REQUIRE_TOOLS"):
            pytest.fail(problem)
        pytest.skip(problem)
    return path
