"""Single values: durations, delays, shares, counts, texts, names, bytes. Exact: no floats anywhere."""

from __future__ import annotations

import re
from decimal import Decimal

from tcrp.engine.text import room_name_fault, user_name_fault
from tcrp.sim.scenario.model import Amount, Delay, Exponential, Span
from tcrp.sim.scenario.nodes import Value
from tcrp.spec.durations import parse_duration
from tcrp.spec.limits import CLIENT_DATAGRAM_BYTES_MAX, TOKEN_BYTES

SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,4})?)%", re.ASCII)
COUNT = re.compile(r"(\d{1,18})(?:\.\.(\d{1,18}))?", re.ASCII)
RATE = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(bit|kbit|Mbit|Gbit)/s", re.ASCII)
PER_SECOND = re.compile(r"(\d{1,7})/s", re.ASCII)
DRIFT = re.compile(r"(-?\d{1,6})ppm", re.ASCII)
BITS = {"bit": 1, "kbit": 1000, "Mbit": 1_000_000, "Gbit": 1_000_000_000}
FLOOD_PER_SECOND_MAX = 1_000_000
REPEATED_BYTES_MAX = 65507  # the largest UDP datagram
TEXT_BYTES_MAX = CLIENT_DATAGRAM_BYTES_MAX - 2 - TOKEN_BYTES


def duration_us(value: Value, *, may_be_negative: bool = False) -> int:
    """A duration with its unit, as microseconds."""
    text = _scalar(value)
    sign = -1 if may_be_negative and text.startswith("-") else 1
    return sign * _duration_us(value, text.removeprefix("-") if sign < 0 else text)


def _duration_us(value: Value, text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        value.fail(f"{value.name}: {error}")


def delay(value: Value) -> Delay:
    """A duration, a span `A..B`, or `{exp: M, min: A}`."""
    if value.is_mapping:
        parts = value.mapping(("exp", "min"), required=("exp",))
        least = duration_us(parts["min"]) if "min" in parts else 0
        return Exponential(mean_us=duration_us(parts["exp"]), least_us=least)
    first, dots, last = _scalar(value).partition("..")
    least_us = _duration_us(value, first)
    most_us = _duration_us(value, last) if dots else least_us
    if most_us < least_us:
        value.fail(f"{value.name}: {first}..{last} ends before it begins")
    return Span(least_us, most_us)


def share_ppm(value: Value) -> int:
    """A share such as 2% or 0.5%, in parts per million."""
    text = _scalar(value)
    match = SHARE.fullmatch(text)
    if match is None:
        value.fail(f"{value.name}: a share such as 2% or 0.5% is expected, not {text!r}")
    ppm = Decimal(match[1]) * 10_000
    if ppm > 1_000_000:
        value.fail(f"{value.name}: {text} is more than everything; allowed are 0% to 100%")
    return int(ppm)


def amount(value: Value) -> Amount:
    """A count `N`, or a range `A..B`."""
    text = _scalar(value)
    match = COUNT.fullmatch(text)
    if match is None:
        value.fail(f"{value.name}: a count such as 3 or 1..5 is expected, not {text!r}")
    least, most = int(match[1]), int(match[2] or match[1])
    if most < least:
        value.fail(f"{value.name}: {text} ends before it begins")
    return Amount(least, most)


def rate_bps(value: Value) -> int:
    """A rate such as 512kbit/s or 1.5Mbit/s, in bits a second."""
    text = _scalar(value)
    match = RATE.fullmatch(text)
    exact = Decimal(match[1]) * BITS[match[2]] if match is not None else Decimal(0)
    if match is None or exact < 1 or exact != int(exact):
        value.fail(f"{value.name}: a rate such as 512kbit/s or 8Mbit/s is expected, at least 1bit/s, not {text!r}")
    return int(exact)


def every_us(value: Value) -> int:
    """How often, such as 1000/s, as the microseconds between two."""
    text = _scalar(value)
    match = PER_SECOND.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= FLOOD_PER_SECOND_MAX:
        value.fail(f"{value.name}: a rate such as 1000/s is expected, 1/s to {FLOOD_PER_SECOND_MAX}/s, not {text!r}")
    return 1_000_000 // int(match[1])


def segment(value: Value) -> Span:
    """How many bytes a piece of TCP has: `N` or `A..B`, at least 1."""
    sizes = amount(value)
    if sizes.least < 1 or sizes.most is None or sizes.most > REPEATED_BYTES_MAX:
        value.fail(f"{value.name}: pieces of 1 to {REPEATED_BYTES_MAX} bytes are possible, such as 1..64")
    return Span(sizes.least, sizes.most)


def drift_ppm(value: Value) -> int:
    """A clock's drift such as 50ppm or -200ppm."""
    text = _scalar(value)
    match = DRIFT.fullmatch(text)
    if match is None or abs(int(match[1])) > 500_000:
        value.fail(f"{value.name}: a drift such as 50ppm is expected, at most 500000ppm, not {text!r}")
    return int(match[1])


def hex_bytes(value: Value) -> bytes:
    """Bytes in hexadecimal digits; spaces may stand between them."""
    text = value.string('"0500"')
    try:
        return bytes.fromhex(text)
    except ValueError:
        digits = text.replace(" ", "")
        what = "an odd number of digits" if len(digits) % 2 else f"{text!r}"
        value.fail(f"{value.name}: pairs of hexadecimal digits are expected, not {what}")


def room(value: Value, *, allow_invalid: bool) -> str:
    """A room's name (R-NAME-1)."""
    text = value.string('"lobby"')
    fault = room_name_fault(_encoded(value, text))
    if fault and not allow_invalid:
        value.fail(f"{value.name}: the room name {fault} (R-NAME-1); allow_invalid: true in the step lets it through")
    return text


def user_name(value: Value, *, allow_invalid: bool) -> str:
    """What a user calls himself (R-NAME-1)."""
    text = value.string('"bob"')
    check_user_name(value, text, allow_invalid=allow_invalid)
    return text


def check_user_name(value: Value, text: str, *, allow_invalid: bool) -> None:
    """Fail at `value` if `text` is no user name."""
    fault = user_name_fault(_encoded(value, text))
    if fault and not allow_invalid:
        value.fail(f"the user name {text!r} {fault} (R-NAME-1); allow_invalid: true lets it through")


def text(value: Value, *, allow_invalid: bool, sent: bool = True) -> str:
    """A text, or `{repeat: "x", bytes: N}`."""
    if value.is_mapping:
        parts = value.mapping(("repeat", "bytes"), required=("repeat", "bytes"))
        unit = parts["repeat"].string('"x"')
        size = len(_encoded(parts["repeat"], unit))
        if not size:
            parts["repeat"].fail("repeat: at least one character is expected")
        total = parts["bytes"].integer(1, REPEATED_BYTES_MAX)
        if total % size:
            parts["bytes"].fail(f"bytes: {total} is no multiple of the {size} bytes of {unit!r}")
        result = unit * (total // size)
    else:
        result = value.string('"hello"')
    length = len(_encoded(value, result))
    if sent and length > TEXT_BYTES_MAX and not allow_invalid:
        value.fail(
            f"{value.name}: the text is {length} bytes, at most {TEXT_BYTES_MAX} fit with room and token in a "
            f"datagram of {CLIENT_DATAGRAM_BYTES_MAX} (R-UDP-1); allow_invalid: true in the step lets it through"
        )
    return result


def _encoded(value: Value, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        value.fail(f"{value.name}: half of a surrogate pair is no text")


def _scalar(value: Value) -> str:
    if not value.is_scalar:
        value.fail(f"{value.name}: a single value is expected, but this is {value.kind}")
    return str(value.node.value)
