"""What an explorer is given and what it gives back: models, properties, bounds, results.

Knows nothing of chat. A model is data and functions; all of them give the same for equal arguments, in
every process. States are immutable values that are equal when they behave alike.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

S = TypeVar("S")

Step = Hashable
"""What happens between two states. `str()` of it is shown to people."""

Predicate = Callable[[S], bool]


@dataclass(frozen=True, slots=True)
class Liveness(Generic[S]):
    """Somebody waits while `pending` holds, and may not wait for ever: neither in a state without successors, nor
    around a fair cycle.

    A cycle is fair if no step stays possible all around it without being taken. `fairness` names the steps that
    are one for this purpose ("deliver to bob"); None: this step may be put off for ever (a loss, a new text).
    """

    pending: Predicate[S]
    fairness: Callable[[Step], Hashable | None] = lambda step: step


@dataclass(frozen=True, slots=True)
class Model(Generic[S]):
    """A world to explore.

    `always` holds in each state that can be reached; a key names the property. `sometimes` names states of which
    one each is to be met. `fingerprint` is 64 bits that differ where states differ.
    `representative` gives one state for all that differ only in which of several equal parts is which
    (symmetry): it must be the same for all of them, and the properties must not tell them apart.
    `is_local` is for partial-order reduction: it may be true of a step only if that step commutes with every
    other step of every other state until it is taken, none of them can prevent it, no property sees it, and no
    cycle consists of such steps alone. Where one is possible, the others wait, so the way to a violation is then not
    always a shortest one. `reduction.check` tests the claim.
    `pack` and `unpack` are for states that mean something only in processes that have learned the same: what `pack`
    gives means the same everywhere. `notes` is what a process wants to say at the end, beside what the explorer counts.
    `near`, `learned` and `learn` are for models that remember what was costly to find out. States with the same `near`
    need the same. `learned` gives what was found out since it was last asked, and `learn` takes that in another
    process; neither changes what is explored. A state means the same in a process that has learned everything of the
    one in which it was found; `intern` gives equal states for such ones, made of the objects that this process has:
    those are found sooner than equal ones.
    """

    name: str
    initial: tuple[S, ...]
    successors: Callable[[S], Iterable[tuple[Step, S]]]
    fingerprint: Callable[[S], int]
    always: Mapping[str, Predicate[S]] = field(default_factory=dict)
    sometimes: Mapping[str, Predicate[S]] = field(default_factory=dict)
    liveness: Mapping[str, Liveness[S]] = field(default_factory=dict)
    representative: Callable[[S], S] | None = None
    is_local: Callable[[Step], bool] | None = None
    pack: Callable[[Sequence[S]], Any] | None = None
    unpack: Callable[[Any], list[S]] | None = None
    notes: Callable[[], Any] | None = None
    near: Callable[[S], int] | None = None
    learned: Callable[[], Any] | None = None
    learn: Callable[[Any], None] | None = None
    intern: Callable[[Sequence[S]], list[S]] | None = None


@dataclass(frozen=True, slots=True)
class PackedModel:
    """A world whose states are integers below 2**64. It is its own fingerprint: no two states are taken for one.

    `expand` gives the successors of many states at once, in any order, repeated or not. This is what makes it fast:
    one comprehension for each kind of step. `explain` names the step between two states.
    """

    name: str
    initial: tuple[int, ...]
    expand: Callable[[Sequence[int]], Sequence[int]]
    explain: Callable[[int, int], Step]
    always: Mapping[str, Predicate[int]] = field(default_factory=dict)
    sometimes: Mapping[str, Predicate[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArrayModel:
    """A `PackedModel` whose functions take NumPy arrays of states (uint64) and give one of successors, or of truths.

    States are below 2**64 - 1.
    """

    name: str
    initial: tuple[int, ...]
    expand: Callable[[Any], Any]
    explain: Callable[[int, int], Step]
    always: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    sometimes: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a search ends even if there is more: steps from the start, distinct states, seconds of this run of it."""

    depth: int | None = None
    states: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Path(Generic[S]):
    """The way to a state: a start, then each step with the state to which it led."""

    start: S
    steps: tuple[tuple[Step, S], ...] = ()

    @property
    def end(self) -> S:
        """The state to which it leads."""
        return self.steps[-1][1] if self.steps else self.start


@dataclass(frozen=True, slots=True)
class Violation(Generic[S]):
    """A property that does not hold, and the shortest way there. `cycle`: from the path's end, round and back."""

    property: str
    path: Path[S]
    cycle: tuple[tuple[Step, S], ...] = ()


@dataclass(slots=True)
class Progress:
    """How far a search is. `generated` counts each successor, known or new."""

    distinct: int = 0
    generated: int = 0
    depth: int = 0
    frontier: int = 0
    seconds: float = 0.0
    processes: int = 1
    processor_seconds: float = 0.0  # what it takes where each process has a core of its own, without their start
    memory_bytes: int = 0  # the most that all exploring processes together have held


@dataclass(slots=True)
class Exploration(Generic[S]):
    """What a search found. `cut` says why it is not exhausted, or is empty: then what it says holds of every state."""

    model: str
    progress: Progress
    levels: list[int] = field(default_factory=list)  # distinct states by number of steps from the start
    violations: list[Violation[S]] = field(default_factory=list)
    met: dict[str, int] = field(default_factory=dict)  # `sometimes`: after how many steps at the earliest
    cut: str = ""
    notes: list[Any] = field(default_factory=list)  # what each process says

    @property
    def is_exhausted(self) -> bool:
        """Whether each state within reach was visited."""
        return not self.cut
