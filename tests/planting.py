"""What tests put in place of a server's engine: one that is ours but for what a bug changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tcrp.engine.outputs import Address, Detail, StreamId
from tcrp.engine.server import Outputs, ServerConfig, ServerEngine
from tcrp.engine.state import ServerState
from tcrp.engine.timers import TimerEntry
from tcrp.sim.checks.results import Violation
from tcrp.sim.hosts.server import EngineFactory
from tcrp.sim.run import Run
from tcrp.sim.scenario.reader import read_scenario_text
from tcrp.spec.limits import Limits
from tcrp.spec.names import Deadline, Property


class Planted:
    """Stands before a server's engine and hands everything on. A bug changes what comes in, goes out or is held."""

    def __init__(
        self,
        config: ServerConfig,
        *,
        new_token: Callable[[], bytes],
        state: ServerState | None = None,
        now_us: int = 0,
        detail: Detail = Detail.NOTHING,
    ) -> None:
        self.config = config
        self.new_token = new_token
        self.detail = detail
        self.now_us = now_us  # of the latest call
        self.engine = ServerEngine(config, new_token=new_token, state=state, now_us=now_us, detail=detail)

    def becomes(self, state: ServerState) -> None:
        """From here on the engine holds `state`, as of the latest call."""
        self.engine = ServerEngine(
            self.config, new_token=self.new_token, state=state, now_us=self.now_us, detail=self.detail
        )

    def gives(self, outputs: Outputs) -> Outputs:
        """What is put out in place of `outputs`. For a bug to change."""
        return outputs

    # --- everything that an engine can be asked --------------------------------------------------

    def stream_opened(
        self, stream: StreamId, peer: Address, now_us: int, listener: int = 0, *, name: str = ""
    ) -> Outputs:
        self.now_us = now_us
        return self.gives(self.engine.stream_opened(stream, peer, now_us, listener, name=name))

    def receive_stream(self, stream: StreamId, data: bytes, now_us: int) -> Outputs:
        self.now_us = now_us
        return self.gives(self.engine.receive_stream(stream, data, now_us))

    def stream_ended(self, stream: StreamId, now_us: int) -> Outputs:
        self.now_us = now_us
        return self.gives(self.engine.stream_ended(stream, now_us))

    def stream_closed(self, stream: StreamId, now_us: int) -> Outputs:
        self.now_us = now_us
        return self.gives(self.engine.stream_closed(stream, now_us))

    def receive_datagram(self, data: bytes, source: Address, now_us: int, listener: int = 0) -> Outputs:
        self.now_us = now_us
        return self.gives(self.engine.receive_datagram(data, source, now_us, listener))

    def handle_timeout(self, now_us: int) -> Outputs:
        self.now_us = now_us
        return self.gives(self.engine.handle_timeout(now_us))

    def shutdown(self, now_us: int) -> Outputs:
        self.now_us = now_us
        return self.gives(self.engine.shutdown(now_us))

    def remove(self, user: str, room: str, now_us: int) -> Outputs | None:
        self.now_us = now_us
        outputs = self.engine.remove(user, room, now_us)
        return None if outputs is None else self.gives(outputs)

    def close_room(self, room: str, now_us: int) -> Outputs | None:
        self.now_us = now_us
        outputs = self.engine.close_room(room, now_us)
        return None if outputs is None else self.gives(outputs)

    def set_limits(self, limits: Limits) -> None:
        self.config = replace(self.config, limits=limits)
        self.engine.set_limits(limits)

    def freeze(self) -> ServerState:
        return self.engine.freeze()

    def next_deadline_us(self) -> int | None:
        return self.engine.next_deadline_us()

    @property
    def is_quiescent(self) -> bool:
        return self.engine.is_quiescent

    @property
    def has_rooms(self) -> bool:
        return self.engine.has_rooms


# --- runs in which one thing is wrong ------------------------------------------------------------


def violation_of(text: str, only: Property, make_engine: EngineFactory = ServerEngine) -> Violation | None:
    """What a run of the scenario breaks of one property; no other can stop it."""
    left_out = frozenset(Property) - {only}
    run = Run(read_scenario_text(text), make_engine=make_engine, leave_out=left_out)
    verdict = run.go()
    assert verdict.judged[only], f"the scenario never puts {only} to the test"
    return verdict.violation


def gives(change: Callable[[Planted, Outputs], Outputs]) -> EngineFactory:
    """Makes engines whose outputs of each call are changed."""

    class Changed(Planted):
        def gives(self, outputs: Outputs) -> Outputs:
            return change(self, outputs)

    return Changed


def with_limits(**settings: Any) -> EngineFactory:
    """Makes engines that go by other limits than they were given."""

    def make_engine(config: ServerConfig, **kwargs: Any) -> ServerEngine:
        return ServerEngine(replace(config, limits=config.limits.with_settings(settings)), **kwargs)

    return make_engine


def moves_timers(kind: Deadline, by_us: int) -> EngineFactory:
    """Makes engines whose deadlines of one kind are each off by so much."""

    class Moved(Planted):
        def __init__(self, *given: Any, **named: Any) -> None:
            self.moved: set[tuple[object, int]] = set()
            super().__init__(*given, **named)

        def gives(self, outputs: Outputs) -> Outputs:
            state = self.engine.freeze()
            timers = [self._moved(each) if each.kind is kind else each for each in state.timers]
            if tuple(timers) != state.timers:
                self.becomes(replace(state, timers=tuple(sorted(timers, key=lambda each: each.when_us))))
            return outputs

        def _moved(self, timer: TimerEntry) -> TimerEntry:
            if (timer.subject, self.now_us + timer.when_us) in self.moved:
                return timer
            self.moved.add((timer.subject, self.now_us + timer.when_us + by_us))
            return replace(timer, when_us=timer.when_us + by_us)

    return Moved
