"""What led to a record: the chain of its causes."""

from __future__ import annotations

from collections.abc import Callable


def chain_of_causes(n: int, cause_of: Callable[[int], int], most: int) -> list[int]:
    """The numbers of record `n` and of the records that led to it, the latest last; `most` at most.

    `cause_of` gives the cause of a record by its number. Number 0 is no record and begins every chain.
    """
    numbers: list[int] = []
    while n > 0 and len(numbers) < most:
        numbers.append(n)
        n = cause_of(n)
    return numbers[::-1]
