"""What is said beside a picture: what was run, whether its claim holds, and why not. Data that a viewer is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a claim does not hold: what was expected, more in parts with a name each, and the record to look at."""

    what: str
    parts: tuple[tuple[str, str], ...] = ()
    n: int = 0


@dataclass(frozen=True, slots=True)
class About:
    """What the page says beside the picture. `verdict` is empty where nothing has been judged."""

    title: str
    subtitle: str = ""
    verdict: str = ""
    holds: bool = True
    findings: tuple[Finding, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)  # by the name of a chain of packets, what they say
    meanings: Mapping[str, str] = field(default_factory=dict)  # of the reasons why packets are dropped
