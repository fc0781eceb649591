"""What is said where a library is missing: a command that can be pasted, and an extra that exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tcrp.live.extras import missing

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
CALL = re.compile(r'missing\(\s*f?"[^"]*", "([^"]+)", "([^"]+)"')


def test_both_ways_to_install_it_are_in_one_line() -> None:
    assert missing("chat-sim step", "textual", "view") == (
        "chat-sim step needs textual, which is not installed: pip install textual "
        "(in a clone of tcrp: pip install -e '.[view]')"
    )


def test_every_library_that_is_asked_for_is_in_the_extra_that_is_named() -> None:
    calls = [
        (file.name, *found)
        for file in (ROOT / "cli").rglob("*.py")
        for found in CALL.findall(file.read_text(encoding="utf-8"))
    ]
    assert len(calls) >= 5
    for file, library, extra in calls:
        needed = [re.split(r"[\[<>=~; ]", each)[0].lower() for each in EXTRAS[extra]]
        assert library.lower() in needed, f"{file}: {library} is not in the extra {extra}"
