"""Settings of Hypothesis for all tests."""

from __future__ import annotations

from hypothesis import settings

from example_counts import examples

# No example has a deadline: a busy machine may stop a process for longer. What else is set stays.
settings.register_profile("tests", settings(deadline=None, max_examples=examples(100)))
settings.load_profile("tests")
