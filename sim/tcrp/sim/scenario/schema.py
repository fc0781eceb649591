"""The JSON Schema of scenarios, for editors: the shapes that the words declare.

A schema knows words and shapes; which users there are and what fits together, only the reader knows.
`make document` writes it to sim/scenarios/.
"""

from __future__ import annotations

import json

from tcrp.sim.scenario.kinds import DEFINED, Schema
from tcrp.sim.scenario.reader import SCENARIO


def schema() -> Schema:
    """The schema of `tcrp-scenario/1`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tcrp-scenario/1",
        **SCENARIO.schema(),
        "$defs": {name: {**kind.shape(), "description": kind.meaning} for name, kind in sorted(DEFINED.items())},
    }


def text() -> str:
    """The schema as the file that editors read."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"
