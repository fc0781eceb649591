"""What every simulated machine has: a clock of its own, a wake-up for its engine, and the chance to be paused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tcrp.sim.network.clock import HostClock
from tcrp.sim.network.world import World
from tcrp.trace.recorder import Cause


class Host:
    """A machine that drives an engine. `id` is how scenarios and traces call it."""

    def __init__(self, world: World, id: str) -> None:
        self.world = world
        self.id = id
        self.clock = HostClock()
        self.is_paused = False
        self._pauses: list[Cause] = []  # those that are not over
        self.is_catching_up = False  # after a pause, until its timers have had their turn
        self._inbox: list[tuple[Callable[[Any], None], Any]] = []
        self._wake_us: int | None = None  # when the engine will be woken, and for which deadline
        self._awaited_us: int | None = None

    # --- for the kind of host to say -------------------------------------------------------------

    def next_deadline_us(self) -> int | None:
        """When the engine is to be woken, by the host's own clock; None: not at all."""
        raise AssertionError("every kind of host says this")

    @property
    def is_quiescent(self) -> bool:
        """Whether nothing but silence is waited for."""
        raise AssertionError("every kind of host says this")

    def handle_timeout(self, local_us: int) -> None:
        """Wake the engine, and rearm."""
        raise AssertionError("every kind of host says this")

    # --- time ------------------------------------------------------------------------------------

    def local_us(self) -> int:
        """What this host's clock shows now."""
        clock = self.clock
        return self.world.now_us if clock.is_right else clock.local_us(self.world.now_us)

    def rearm(self) -> None:
        """See to it that the engine is woken at its next deadline."""
        deadline_us = self.next_deadline_us()
        if deadline_us is None or deadline_us == self._awaited_us or self.is_paused:
            return
        clock, now_us = self.clock, self.world.now_us
        when_us = deadline_us if clock.is_right else clock.world_us(deadline_us)
        if when_us < now_us:
            when_us = now_us
        if self._wake_us is None or when_us < self._wake_us:
            self._wake_us, self._awaited_us = when_us, deadline_us
            self.world.at(when_us, self._wake, when_us, foreground=False)

    def disarm(self) -> None:
        """Let the engine sleep until it is armed again."""
        self._wake_us = self._awaited_us = None

    def _wake(self, when_us: int) -> None:
        if when_us != self._wake_us:
            return  # an earlier moment was asked for since
        self.disarm()
        if self.is_paused:
            return
        now_us = self.local_us()
        self.handle_timeout(now_us)
        self.is_catching_up = False
        awaited_us = self._awaited_us  # as it was armed again
        # A driver of sockets would call again at once, for ever.
        assert awaited_us is None or awaited_us > now_us, f"{self.id} is woken for something that it does not do"

    def disturb_clock(self, skew_us: int, drift_ppm: int, cause: Cause) -> None:
        """Set the clock wrong from now on."""
        self.world.record_fault(self.id, "clock", f"skew {skew_us} us, drift {drift_ppm} ppm", cause)
        self.clock.disturb(self.world.now_us, skew_us, drift_ppm)
        self.disarm()  # what was asked for was reckoned by the old clock
        self.rearm()

    # --- pausing ---------------------------------------------------------------------------------

    def pause(self, for_us: int, cause: Cause) -> None:
        """Freeze the process: what arrives waits, timers are late. It goes on when the last of its pauses is over."""
        self.world.record_fault(self.id, "pause", f"for {for_us} us", cause)
        self.is_paused = True
        self._pauses.append(cause)
        self.world.at(self.world.now_us + for_us, self._resume, cause)

    def _resume(self, cause: Cause) -> None:
        if cause not in self._pauses:
            return  # the process has crashed since
        self._pauses.remove(cause)
        if self._pauses:
            return
        self.is_paused = False
        self.is_catching_up = self.next_deadline_us() is not None
        self.world.record_fault(self.id, "resume", "", cause)
        inbox, self._inbox = self._inbox, []
        for handler, subject in inbox:
            handler(subject)
        self.disarm()
        self.rearm()

    def hold(self, handler: Callable[[Any], None], subject: Any) -> None:
        """Keep for after the pause."""
        self._inbox.append((handler, subject))

    def forget_held(self) -> None:
        """The process is gone: so is what waited, and nobody is frozen any more."""
        self._inbox.clear()
        self._pauses.clear()
        self.is_paused = False
