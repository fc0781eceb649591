"""How many random examples tests have: `make fuzz` has twenty times as many as the gate."""

from __future__ import annotations

import os

TIMES = int(os.environ.get("TCRP_EXAMPLES_TIMES", "1"))


def examples(count: int) -> int:
    """So many for Hypothesis in the gate, a multiple of it in a search for what the gate has not met yet."""
    return count * TIMES
