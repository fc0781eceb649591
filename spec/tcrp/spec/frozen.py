"""What frozen dataclasses share, so that they can be pickled in both builds. Knows nothing of what they hold."""

from __future__ import annotations

from dataclasses import fields


class Frozen:
    """The base of every frozen dataclass that may be compiled.

    `slots=True` gives those of Python a way to be read back, but it does not reach compiled ones.
    """

    __slots__ = ()

    def __getstate__(self) -> list[object]:
        return [getattr(self, each.name) for each in fields(self)]  # type: ignore[arg-type]

    def __setstate__(self, state: list[object]) -> None:
        for each, value in zip(fields(self), state, strict=True):  # type: ignore[arg-type]
            object.__setattr__(self, each.name, value)
