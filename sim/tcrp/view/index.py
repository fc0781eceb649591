"""A trace of any length, of which only what is looked at is parsed.

The model that the other viewers share is built from every record, which takes a minute for a million of them. Here
the bytes of the trace are searched instead: the writer of traces writes each kind of record in one way. It reads what
it is handed: bytes, or a file that is mapped into memory.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from mmap import mmap
from typing import NamedTuple

from tcrp.spec.cluster_names import AnyMachine, ClusterMachine
from tcrp.spec.names import Machine
from tcrp.trace.header import Header, read_header
from tcrp.trace.lines import LINE_BYTES_MAX, Line, TraceError
from tcrp.trace.reader import read_record
from tcrp.trace.records import Record, StepRecord

BLOCK_BYTES = 1 << 20
"""Where lines are counted from: a line is found by counting within a block."""
BLOCKS_KEPT = 16
LOOK_BACK_BLOCKS = 2
SERVER, NETWORK = "server", "network"
MACHINES: dict[str, AnyMachine] = {str(each): each for each in (*Machine, *ClusterMachine)}

_TEXT = rb'"([^"\\]*(?:\\.[^"\\]*)*)"'
_LISTENER = rb'(?:"listener":"[^"]*",)?'
_CHANGE = re.compile(
    rb'\{"actor":' + _TEXT + rb',"cause":\d+,(?:"event":"[^"]*","from":"[^"]*","id":' + _TEXT
    + rb',"instance":\d+,"kind":"step",' + _LISTENER + rb'"machine":"(\w+)","n":(\d+),"rule":"[^"]*","t_us":\d+,'
    rb'"to":"([^"]*)"|"kind":"fault","n":\d+,"t_us":\d+,"what":"crash")'
)  # fmt: skip
"""A step of a machine, or the crash of an actor, whose machines are then in no state."""
_CRASH = rb'","cause":\d+,"kind":"fault","n":\d+,"t_us":\d+,"what":"crash"'
_NUMBER = re.compile(rb'"n":(\d+),')
_LINE_END = re.compile(rb"\n")

DROPS = re.compile(rb'"kind":"drop"')
REFUSALS = re.compile(rb'"kind":"refuse"|"event":"refused"')
FAULTS = re.compile(rb'"kind":"fault"')
Pattern = re.Pattern[bytes]


class MachineId(NamedTuple):
    """A machine, as one actor sees it."""

    actor: str
    machine: AnyMachine
    id: str


class MachineAt(NamedTuple):
    """The latest machine of one id, as one actor sees it: its state, and the record of its latest step."""

    actor: str
    machine: AnyMachine
    id: str
    state: str
    n: int


class TraceIndex:
    """The records of a trace, numbered from 1. Raises `TraceError` where what is asked for cannot be read."""

    def __init__(self, data: bytes | mmap, path: str) -> None:
        self.path = path
        self._data = data
        start = data.find(b"\n") + 1
        if not start:
            raise TraceError(path, 1, 1, "no complete line; a trace begins with a header line")
        self.header: Header = read_header(self._line(1, 0, start - 1))
        self._start = start
        self._end = data.rfind(b"\n") + 1
        self.is_cut_off = self._end < len(data)
        self._blocks = max(-(-(self._end - start) // BLOCK_BYTES), 1)
        self._start_of = lru_cache(None)(self._block_start)
        self._first_of = lru_cache(None)(self._block_first)
        self._ends_of = lru_cache(BLOCKS_KEPT)(self._line_ends)
        last = data.rfind(b"\n", start, self._end - 1) + 1 or start
        self._count = self._number_in(last) if self._end > start else 0
        self._absent: dict[MachineId, int] = {}  # up to which record there is no machine

    def __len__(self) -> int:
        return self._count

    # --- records ---------------------------------------------------------------------------------

    def record(self, n: int) -> Record:
        """Record number `n`."""
        record = read_record(self._line(n + 1, *self._span(n)))
        if record.n != n:
            raise TraceError(self.path, n + 1, 1, f"n is {record.n}; {n} is expected")
        if record.cause >= n:
            raise TraceError(self.path, n + 1, 1, f"cause is {record.cause}; it must be less than n, which is {n}")
        return record

    def at_time(self, t_us: int) -> int:
        """The number of the first record at or after a time; the last one if there is none."""
        low, high = 1, self._count
        while low < high:
            middle = (low + high) // 2
            if self.record(middle).t_us < t_us:
                low = middle + 1
            else:
                high = middle
        return low

    def _line(self, number: int, start: int, end: int) -> Line:
        if end - start > LINE_BYTES_MAX:
            raise TraceError(self.path, number, 1, f"longer than {LINE_BYTES_MAX} bytes")
        try:
            return Line(self.path, number, self._data[start:end].decode())
        except UnicodeDecodeError as error:
            raise TraceError(self.path, number, error.start + 1, "not UTF-8") from None

    def _span(self, n: int) -> tuple[int, int]:
        """Where the line of record `n` begins and ends, without its newline."""
        assert 1 <= n <= self._count, f"record {n} of {self._count}"
        block = self._block_of(n)
        ends = self._ends_of(block)
        place = n - self._first_of(block)
        if place >= len(ends):  # numbers that do not follow each other
            raise TraceError(self.path, n + 1, 1, f"record {n} is not where it should be")
        return (ends[place - 1] + 1 if place else self._start_of(block)), ends[place]

    # Lines are found by the numbers that records have: nothing is read to find out where a line is but its block.

    def _block_of(self, n: int) -> int:
        return bisect_right(range(self._blocks), n, key=self._first_of) - 1

    def _block_start(self, block: int) -> int:
        """Where the first line begins that begins in a block; where the next block's does, if there is none."""
        if block == 0:
            return self._start
        if block >= self._blocks:
            return self._end
        return self._data.find(b"\n", self._start + block * BLOCK_BYTES - 1, self._end) + 1 or self._end

    def _block_first(self, block: int) -> int:
        start = self._start_of(block)
        return self._number_in(start) if start < self._end else self._count + 1

    def _number_in(self, start: int) -> int:
        """The number that the record in the line that begins there says that it has."""
        found = _NUMBER.search(self._data, start, self._data.find(b"\n", start) + 1)
        if found is None:
            raise TraceError(self.path, 1, 1, f"the line at byte {start} is no record")
        return int(found[1])

    def _line_ends(self, block: int) -> list[int]:
        found = _LINE_END.finditer(self._data, self._start_of(block), self._start_of(block + 1))
        return [each.start() for each in found]

    def _number_of(self, offset: int) -> int:
        """The number of the record in whose line this byte is."""
        block = self._block_at(offset)
        return self._first_of(block) + bisect_left(self._ends_of(block), offset)

    def _block_at(self, offset: int) -> int:
        return bisect_right(range(self._blocks), offset, key=self._start_of) - 1

    # --- searching -------------------------------------------------------------------------------

    def after(self, n: int, patterns: Sequence[Pattern], up_to: int | None = None) -> int | None:
        """The number of the first record after `n`, and not after `up_to`, whose line has all of these patterns."""
        last = self._count if up_to is None else up_to
        if n >= last:
            return None
        if not patterns:
            return n + 1
        at, stop = self._span(n + 1)[0], self._span(last)[1]
        while (found := patterns[0].search(self._data, at, stop)) is not None:
            number = self._number_of(found.start())
            start, end = self._span(number)
            if all(each.search(self._data, start, end) for each in patterns[1:]):
                return number
            at = end + 1
        return None

    def before(self, n: int, patterns: Sequence[Pattern]) -> int | None:
        """The number of the last record before `n` whose line has all of these patterns."""
        return next(self.backwards(n - 1, patterns), None)

    def backwards(self, n: int, patterns: Sequence[Pattern], down_to: int = 1) -> Iterator[int]:
        """The numbers of the records from `n` down whose lines have all of these patterns."""
        if not patterns:
            yield from range(min(n, self._count), down_to - 1, -1)
            return
        if n < down_to:
            return
        least = self._span(down_to)[0]
        stop = self._span(min(n, self._count))[1]
        for block in range(self._block_at(stop), -1, -1):
            latest = 0
            numbers = []
            start, end = max(least, self._start_of(block)), min(stop, self._start_of(block + 1))
            if end < least:
                return
            for found in patterns[0].finditer(self._data, start, end):
                number = self._number_of(found.start())
                if number != latest:
                    numbers.append(number)
                    latest = number
            for number in reversed(numbers):
                span = self._span(number)
                if all(each.search(self._data, *span) for each in patterns[1:]):
                    yield number

    def matches(self, n: int, patterns: Sequence[Pattern]) -> bool:
        """Whether the line of record `n` has all of these patterns."""
        span = self._span(n)
        return all(each.search(self._data, *span) for each in patterns)

    # --- machines --------------------------------------------------------------------------------

    def state_of(self, machine: MachineId, n: int) -> MachineAt | None:
        """The latest machine of an id after record `n`; None if there was none, or its actor has crashed since."""
        actor, kind, id = machine
        pattern = re.compile(
            rb'\{"actor":"' + _written(actor) + rb'","cause":\d+,"event":"[^"]*","from":"[^"]*","id":"' + _written(id)
            + rb'","instance":\d+,"kind":"step",' + _LISTENER + rb'"machine":"' + kind.encode()
        )  # fmt: skip
        known = self._absent.get(machine, 0)
        found = next(self.backwards(n, [pattern], down_to=known + 1), None) if n > known else None
        if found is None:
            self._absent[machine] = max(n, known)
            return None
        crash = self.after(found, [re.compile(rb'\{"actor":"' + _written(actor) + _CRASH)], up_to=n)
        step = self.record(found)
        if crash is not None or not isinstance(step, StepRecord):
            return None
        return MachineAt(actor, step.machine, id, step.to, found)

    def machines_at(self, n: int, most: int) -> list[MachineAt]:
        """The machines that have taken a step last, the latest first, as they are after record `n`.

        Looks no further back than `LOOK_BACK_BLOCKS`.
        """
        states: dict[tuple[bytes, bytes, bytes], MachineAt] = {}
        crashed: set[bytes] = set()
        if n < 1:
            return []
        stop = self._span(n)[1]
        last = self._block_at(stop)
        for block in range(last, max(last - LOOK_BACK_BLOCKS, -1), -1):
            end = min(stop, self._start_of(block + 1))
            for found in reversed(list(_CHANGE.finditer(self._data, self._start_of(block), end))):
                actor, id, machine, number, state = found.groups()
                if machine is None:
                    crashed.add(actor)
                elif actor not in crashed and (actor, machine, id) not in states:
                    at = MachineAt(_text(actor), MACHINES[machine.decode()], _text(id), state.decode(), int(number))
                    states[actor, machine, id] = at
                    if len(states) == most:
                        return list(states.values())
        return list(states.values())

    # --- patterns --------------------------------------------------------------------------------

    def members_of(self, room: str) -> list[str]:
        """The ids of the users who were, or wanted to be, in a room."""
        written: dict[bytes, None] = {}
        for found in re.finditer(b"@" + _written(room) + b'","instance"', memoryview(self._data)[: self._end]):
            start = self._data.rfind(b'"id":"', 0, found.start()) + len(b'"id":"')
            written[self._data[start : found.start()]] = None
        ids = {member.name: id for id, member in self.header.cast.items()}
        return [ids.get(name, name) for name in map(_text, written)]

    def about_user(self, id: str) -> Pattern:
        """Lines about a user, by id: what they do, what they send and are sent, the server's machines of theirs."""
        return re.compile(self._about([id]))

    def room_itself(self, room: str) -> Pattern:
        """Lines about a room's machine and the sessions in it."""
        return re.compile(rb'(?:"id":"|@)' + _written(room) + rb'","(?:instance|kind)"')

    def about_room(self, room: str) -> Pattern:
        """Lines about a room: its machine, its members' sessions, and what its members do."""
        members = self.members_of(room)
        own = self.room_itself(room).pattern
        return re.compile(own + b"|" + self._about(members) if members else own)

    def _about(self, ids: Sequence[str]) -> bytes:
        cast = self.header.cast
        id = b"(?:" + b"|".join(map(_written, ids)) + b")"
        name = b"(?:" + b"|".join(_written(cast[each].name if each in cast else each) for each in ids) + b")"
        # What the names are looked for behind comes first: a room may have a thousand members.
        actor = rb'\{"actor":"' + id + b'"'
        link = b'"link":"(?:' + id + b'>|[^">]*>' + id + b'")'
        machine = b'"id":"(?:' + name + b'["@]|' + id + b'")'
        return b"|".join((actor, link, machine))


def steps_of(actor: str) -> Pattern:
    """Lines of the steps of an actor's machines."""
    return re.compile(rb'\{"actor":"' + _written(actor) + rb'",[^\n]*"kind":"step"')


def holding(text: str) -> Pattern:
    """Lines with this text in them."""
    return re.compile(_written(text))


def _written(text: str) -> bytes:
    """How a text stands in a trace, as a pattern."""
    return re.escape(json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "replace"))


def _text(written: bytes) -> str:
    text: str = json.loads(b'"' + written + b'"')
    return text
