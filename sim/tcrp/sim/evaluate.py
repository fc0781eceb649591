"""Expectations against what a run has shown: which do not hold, and what came nearest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from tcrp.sim.history import DOWN, Change, History, SeenRelay, first_state, subject_of
from tcrp.sim.scenario.model import (
    Amount,
    Counters,
    Expectation,
    NeverSees,
    Packets,
    Records,
    Refused,
    Seen,
    Sees,
    SeesCount,
    SeesExactly,
    StateExpected,
    Told,
    Window,
)
from tcrp.spec.names import Counter
from tcrp.trace.sentences import sentence

WAS_MET = "had been"
GAUGES = (Counter.ROOMS, Counter.SESSIONS, Counter.CONNECTIONS)
"""The counters that say what a server has; the others say what it has done."""


@dataclass(frozen=True, slots=True)
class Miss:
    """An expectation that does not hold, what came nearest, and the record to look at (0: none)."""

    expectation: Expectation
    nearest: str
    n: int

    @property
    def was_met(self) -> bool:
        """Whether a state that is expected was reached at another moment."""
        return f"it {WAS_MET}" in self.nearest


def judge(expectation: Expectation, history: History) -> Miss | None:
    """None if `expectation` holds."""
    claim, window = expectation.claim, expectation.window
    match claim:
        case StateExpected():
            result = _judge_state(claim, window, history)
        case Sees() | SeesExactly() | NeverSees() | SeesCount():
            result = _judge_seen(claim, window, history)
        case Told():
            result = _judge_told(claim, window, history)
        case Refused():
            result = _judge_refused(claim, window, history)
        case Counters():
            result = _judge_counters(claim, window, history)
        case Records():
            result = _judge_records(claim, window, history)
        case Packets():
            result = _judge_packets(claim, window, history)
        case _:
            assert_never(claim)
    return None if result is None else Miss(expectation, *result)


Nearest = tuple[str, int] | None


def seconds(t_us: int) -> str:
    """A moment as people read it."""
    return f"{t_us / 1_000_000:.6f}".rstrip("0").rstrip(".") + " s"


def in_window(t_us: int, window: Window) -> bool:
    """Whether a moment is in the window of an expectation."""
    if window.by_us is not None:
        return t_us <= window.by_us
    if window.at_us is not None:
        return t_us <= window.at_us
    if window.between_us is not None:
        return window.between_us[0] <= t_us <= window.between_us[1]
    return True


def _judge_state(claim: StateExpected, window: Window, history: History) -> Nearest:
    changes = history.changes[subject_of(claim.claim)]
    wanted = claim.claim.state
    start = Change(0, 0, first_state(claim.claim))
    if window.by_us is not None or window.between_us is not None:
        entered = [start, *changes] if window.by_us is not None else changes
        if any(each.to == wanted and in_window(each.t_us, window) for each in entered):
            return None
        late = [each for each in changes if each.to == wanted]
        if late:
            return f"it was {wanted} at {seconds(late[0].t_us)}", late[0].n
        last = changes[-1] if changes else start
        ended = "the server ended down" if last.to == DOWN else f"it ended as {last.to}"
        return f"it was never {wanted}; {ended}", last.n
    before = [each for each in [start, *changes] if window.at_us is None or each.t_us <= window.at_us]
    last = before[-1]
    if last.to == wanted:
        return None
    was = [each for each in before if each.to == wanted]
    then = f"; it {WAS_MET} {wanted} at {seconds(was[-1].t_us)}" if was else ""
    since = f" since {seconds(last.t_us)}" if last.n else " all the time"
    return f"{'the server' if last.to == DOWN else 'it'} was {last.to}{since}{then}", last.n


def _judge_seen(claim: Sees | SeesExactly | NeverSees | SeesCount, window: Window, history: History) -> Nearest:
    screens = [each for each in history.screens[claim.user] if in_window(each.t_us, window)]
    match claim:
        case Sees(user, relays):
            matched = _matched_in_order(screens, relays)
            if matched == len(relays):
                return None
            return (
                f"{user} saw {matched} of {len(relays)} in this order; the next would be {_quoted(relays[matched])}, "
                f"but {_seen(screens)}",
                screens[-1].n if screens else 0,
            )
        case SeesExactly(user, relays):
            if len(screens) == len(relays) and _matched_in_order(screens, relays) == len(relays):
                return None
            return f"{user} {_seen(screens)}", screens[-1].n if screens else 0
        case NeverSees(_, relays):
            wrong = [each for each in screens if any(_shows(each, relay) for relay in relays)]
            if not wrong:
                return None
            return f"{wrong[0].name}'s {wrong[0].text!r} was seen at {seconds(wrong[0].t_us)}", wrong[0].n
        case SeesCount(user, count):
            if _holds(count, len(screens)):
                return None
            return f"{user} saw {len(screens)} relay{'s' * (len(screens) != 1)}", screens[-1].n if screens else 0


def _matched_in_order(screens: list[SeenRelay], relays: tuple[Seen, ...]) -> int:
    matched = 0
    for each in screens:
        if matched < len(relays) and _shows(each, relays[matched]):
            matched += 1
    return matched


def _shows(screen: SeenRelay, relay: Seen) -> bool:
    return screen.text == relay.text and relay.name in (None, screen.name)


def _quoted(relay: Seen) -> str:
    text = relay.text if len(relay.text) <= 60 else f"{relay.text[:57]}…"
    return f"{text!r} from {relay.name}" if relay.name else repr(text)


def _seen(screens: list[SeenRelay]) -> str:
    if not screens:
        return "saw nothing"
    shown = ", ".join(f"{each.name}: {each.text[:40]!r}" for each in screens[-5:])
    return f"saw {len(screens)}: {'… ' if len(screens) > 5 else ''}{shown}"


def _judge_told(claim: Told, window: Window, history: History) -> Nearest:
    told = [each for each in history.told[claim.user] if in_window(each[0], window)]
    missing = list(claim.notices)
    for _, _, what in told:
        if missing and what == missing[0]:
            missing.pop(0)
    if not missing:
        return None
    heard = ", ".join(f"{what} at {seconds(t_us)}" for t_us, _, what in history.told[claim.user]) or "nothing"
    return f"{claim.user} was told {heard}", told[-1][1] if told else 0


def _judge_refused(claim: Refused, window: Window, history: History) -> Nearest:
    answers = [each for each in history.refusals[claim.user] if in_window(each[0], window)]
    if answers and answers[-1][2] == claim.reason:
        return None
    if not answers:
        return f"no request of {claim.user} was answered", 0
    t_us, n, why = answers[-1]
    return f"at {seconds(t_us)} it was {f'refused: {why}' if why else 'accepted'}", n


def _judge_counters(claim: Counters, window: Window, history: History) -> Nearest:
    samples = history.counters
    if window.at_us is not None or (window.by_us is None and window.between_us is None):
        moments = [each for each in samples if window.at_us is None or each[0] <= window.at_us][-1:]
    elif window.by_us is not None:
        moments = [each for each in samples if each[0] <= window.by_us]
    else:
        assert window.between_us is not None, "the last of the windows"
        inside = [each for each in samples if in_window(each[0], window)]
        moments = [each for each in samples if each[0] < window.between_us[0]][-1:] + inside
    if any(_have(claim, counts) for _, counts in moments):
        return None
    if moments and not moments[-1][1]:
        return "the server was down: it had no sessions, rooms and connections, and counted nothing", 0
    last = moments[-1][1] if moments else {}
    return "the server counts " + ", ".join(f"{name} {last.get(name, 0)}" for name, _ in claim.counts), 0


def _have(claim: Counters, counts: Mapping[str, int]) -> bool:
    """Whether counters are as claimed. While the server is down they are empty: what it has is nothing, and what it
    has counted is lost.
    """
    known = counts or dict.fromkeys(GAUGES, 0)
    return all(_holds(amount, known.get(name, 0)) and (counts or name in known) for name, amount in claim.counts)


def _judge_records(claim: Records, window: Window, history: History) -> Nearest:
    found = [each for each in history.matches[claim] if in_window(each[0], window)]
    if _holds(claim.count, len(found)):
        return None
    if found or claim not in history.nearest:
        are = "is 1 such record" if len(found) == 1 else f"are {len(found)} such records"
        return f"there {are}", found[-1][1] if found else 0
    record = history.nearest[claim][1]
    return f"there are none; the nearest is at {seconds(record.t_us)} {sentence(record)}", record.n


def _judge_packets(claim: Packets, window: Window, history: History) -> Nearest:
    found = [(n, size) for t_us, n, size in history.packets[claim] if in_window(t_us, window)]
    sent = [size for _, size in found]
    count_holds = claim.count is None or _holds(claim.count, len(sent))
    bytes_hold = claim.bytes is None or _holds(claim.bytes, sum(sent))
    if count_holds and bytes_hold and (sent or claim.count is not None or claim.bytes is not None):
        return None
    were = "was 1 such packet" if len(sent) == 1 else f"were {len(sent)} such packets"
    return f"there {were} of {sum(sent)} bytes{' together' if len(sent) > 1 else ''}", found[-1][0] if found else 0


def _holds(amount: Amount, number: int) -> bool:
    return amount.least <= number and (amount.most is None or number <= amount.most)
