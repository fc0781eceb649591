"""Settings for all tests: of Hypothesis, and of what programs that tests start take over from here."""

from __future__ import annotations

import signal

from hypothesis import settings

from example_counts import examples

# No example has a deadline: a busy machine may stop a process for longer. What else is set stays.
settings.register_profile("tests", settings(deadline=None, max_examples=examples(100)))
settings.load_profile("tests")

# Shells let what they start in the background ignore SIGINT, and a program ignores what its parent ignores.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
