"""Writing in a thread of its own, to files that may be slow, full or gone: a server's log and its trace.

Whoever writes never waits and never meets an error; what cannot be written is lost, and counted.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque

CLOSING_SECONDS = 0.3
"""How long closing waits for a file that takes nothing."""


class BackgroundWriter:
    """Writes to the descriptor `fd`, in order. What waits to be written is `bytes_max` at most.

    `lost` counts pieces that were not written, `error` is the latest reason. With `ends_at_error` nothing
    is written behind a piece that was lost.
    """

    def __init__(self, fd: int, bytes_max: int, *, ends_at_error: bool = False) -> None:
        self.error: OSError | None = None
        self._fd = fd
        self._bytes_max = bytes_max
        self._ends_at_error = ends_at_error
        self._changed = threading.Condition()
        self._pieces: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._refused = 0  # by write(), which found no room
        self._failed = 0  # by the thread: two counts, so that each has one writer
        self._fails = False  # the latest piece was not written
        self._is_closing = False
        self._is_torn = False  # the latest piece was written in part
        # A daemon: a write that never returns must not keep the process.
        self._thread = threading.Thread(target=self._run, name=f"writer of {fd}", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """How many pieces were not written."""
        return self._refused + self._failed

    @property
    def keeps_up(self) -> bool:
        """Whether the latest piece was written, and none waits."""
        return not self._waiting_bytes and not self._fails

    def write(self, piece: bytes) -> None:
        """Have a piece written soon."""
        with self._changed:
            if self._is_closing or (self._ends_at_error and self.error is not None):
                self._refused += 1
                return
            if self._waiting_bytes + len(piece) > self._bytes_max:
                self._refused += 1
                self.error = OSError("it is written more slowly than it grows")
                return
            self._pieces.append(piece)
            self._waiting_bytes += len(piece)
            self._changed.notify()

    def close(self, seconds: float = CLOSING_SECONDS) -> bool:
        """Write what waits, for so long at most. The descriptor stays open. Returns whether the thread has ended."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    # --- in the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while (piece := self._next()) is not None:
            self._fails = True
            if not (self._ends_at_error and self.error is not None):
                try:
                    self._write_whole(piece)
                    self._fails = False
                except OSError as error:
                    self.error = error
            self._failed += self._fails
            with self._changed:
                self._waiting_bytes -= len(piece)

    def _next(self) -> bytes | None:
        with self._changed:
            while not self._pieces:
                if self._is_closing:
                    return None
                self._changed.wait()
            return self._pieces.popleft()

    def _write_whole(self, piece: bytes) -> None:
        rest = memoryview(b"\n" + piece if self._is_torn else piece)
        size = len(rest)
        try:
            while rest:
                try:
                    rest = rest[os.write(self._fd, rest) :]
                except BlockingIOError:  # another process has made the shared descriptor non-blocking
                    poll = select.poll()
                    poll.register(self._fd, select.POLLOUT)
                    poll.poll()
        finally:
            if len(rest) < size:
                self._is_torn = bool(rest)
