"""Reads and writes durations with a unit: `300s`, `1.5ms`. Exact: no floats."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

UNITS_US = {"us": 1, "ms": 1000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
PATTERN = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)(us|ms|s|m|h)", re.ASCII)
OTHER_UNITS = {
    "min": "m", "mins": "m", "minute": "m", "minutes": "m", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "msec": "ms", "millis": "ms", "milliseconds": "ms", "usec": "us", "μs": "us", "hr": "h", "hour": "h", "hours": "h",
}  # fmt: skip
LONGEST_US = 365 * 24 * UNITS_US["h"]


def parse_duration(text: str) -> int:
    """`text` in microseconds. Raises `ValueError` with a phrase that says what was expected."""
    match = PATTERN.fullmatch(text)
    if match is None:
        hint = f"; a unit is missing: {text}s, {text}ms?" if text.replace(".", "", 1).isdigit() else _meant(text)
        raise ValueError(f"a duration such as 10ms or 1.5s is expected (us ms s m h), not {text!r}{hint}")
    exact = Decimal(match[1]) * UNITS_US[match[2]]
    if exact != int(exact):
        raise ValueError(f"{text} is finer than a microsecond")
    if exact > LONGEST_US:
        raise ValueError(f"{text} is longer than a year")
    return int(exact)


def _meant(text: str) -> str:
    """A hint, for a duration that is written in another way, such as `1min`, `5 s` or in full-width digits."""
    plain = "".join(unicodedata.normalize("NFKC", text).lower().split())
    number = plain.rstrip("abcdefghijklmnopqrstuvwxyzμ")
    unit = OTHER_UNITS.get(plain[len(number) :], plain[len(number) :])
    return f"; did you mean {number}{unit}?" if PATTERN.fullmatch(number + unit) else ""


def write_duration(us: int) -> str:
    """`us` with the largest unit that needs no fraction: 300000000 is `300s`."""
    for unit in ("s", "ms"):
        if us % UNITS_US[unit] == 0:
            return f"{us // UNITS_US[unit]}{unit}"
    return f"{us}us"
