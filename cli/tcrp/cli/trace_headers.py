"""The file of a simulated run's trace, and its header, from the scenario."""

from __future__ import annotations

import io
import platform
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from tcrp.cli.exits import OutputLost
from tcrp.cli.version import tcrp_version
from tcrp.sim.scenario.model import Scenario
from tcrp.trace.header import CastMember, Header, Mode, written_limits


def versions() -> dict[str, str]:
    """What a trace says it was written with."""
    return {"python": platform.python_version(), "tcrp": tcrp_version()}


def scenario_header(scenario: Scenario, seed: int, name: str | None = None) -> Header:
    """The header of a run of `scenario` with `seed`; `name` is the scenario's file, if not the one it was read from."""
    return Header(
        mode=Mode.SIMULATED,
        scenario=scenario.path if name is None else name,
        seed=seed,
        versions=versions(),
        cast={user.id: CastMember(user.name, user.dialect, user.address) for user in scenario.users},
        limits=written_limits(scenario.limits),
        dialects=tuple(sorted({user.dialect for user in scenario.users})),
        listeners={each.name: str(each) for each in scenario.listeners if each.name},
        servers=scenario.servers,
    )


class TraceFile(io.TextIOWrapper):
    """A file for a trace. What cannot be written raises `OutputLost`, with the name of the file."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        try:
            super().__init__(open(path, "wb"), encoding="utf-8", newline="\n")  # noqa: SIM115 (closed with this object)
        except OSError as error:
            raise self._error(error) from None

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise self._error(error) from None

    def close(self) -> None:
        try:
            super().close()
        except OSError as error:
            raise self._error(error) from None

    def _error(self, error: OSError) -> OutputLost:
        return OutputLost(f"{self.path}: cannot write the trace: {error.strerror}")


def open_trace(path: str | Path | None) -> AbstractContextManager[TraceFile | None]:
    """The file for a trace, if one is wanted. Raises `OutputLost`."""
    return nullcontext() if path is None else TraceFile(path)
