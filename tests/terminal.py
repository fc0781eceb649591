"""A program on a terminal, for tests: what it draws is read as a person would, from the screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyte

from processes import BIN, PATIENCE, LiveServer

COLUMNS, LINES = 100, 40
CTRL_A, CTRL_C, CTRL_D, CTRL_E, CTRL_Z, UP = "\x01", "\x03", "\x04", "\x05", "\x1a", "\x1b[A"


class _Answering(pyte.Screen):
    """Answers the questions that programs ask a terminal, such as where its cursor is."""

    def __init__(self, columns: int, lines: int, master: int) -> None:
        super().__init__(columns, lines)
        self._master = master
        self.bells = 0

    def bell(self, *_arguments: object) -> None:
        self.bells += 1

    def write_process_input(self, data: str) -> None:
        os.write(self._master, data.encode())


class Terminal:
    """One program, its screen of 100 columns, and its keyboard."""

    def __init__(self, program: str, *arguments: str, env: dict[str, str] | None = None, folder: Path = BIN) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self._screen = _Answering(COLUMNS, LINES, self._master)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self.process = subprocess.Popen(
            [str(folder / program), *arguments], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "", **(env or {})},
        )  # fmt: skip
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # the program has ended
                return
            if not data:
                return
            with self._lock:
                self._stream.feed(data)

    @property
    def lines(self) -> list[str]:
        """What stands on the screen; a wide character fills two cells, of which the second is empty."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display if line.strip()]

    def column_of(self, text: str) -> int:
        """In which column `text` begins, on whichever line it stands."""
        with self._lock:
            for row in range(LINES):
                cells = [self._screen.buffer[row][column].data for column in range(COLUMNS)]
                for column in range(COLUMNS):
                    if "".join(cells[column:]).startswith(text):
                        return column
        raise AssertionError(f"{text!r} is not on the screen")

    def colour_of(self, text: str) -> str:
        """The colour in which `text` stands, where it stands last."""
        with self._lock:
            for row in reversed(range(LINES)):
                cells = [self._screen.buffer[row][column] for column in range(COLUMNS)]
                for column in range(COLUMNS):
                    if "".join(cell.data for cell in cells[column:]).startswith(text):
                        return str(cells[column].fg)
        raise AssertionError(f"{text!r} is not on the screen")

    def shows(self, text: str) -> bool:
        """Wait until `text` stands on the screen."""
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            if any(text in line for line in self.lines):
                return True
            time.sleep(0.01)
        raise AssertionError(f"{text!r} never came; the screen shows:\n" + "\n".join(self.lines))

    @property
    def bells(self) -> int:
        """How often it has rung."""
        with self._lock:
            return self._screen.bells

    @property
    def echoes(self) -> bool:
        """Whether the system still shows what is typed, as until a program takes the terminal over."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    def types(self, text: str) -> None:
        os.write(self._master, text.encode())

    def enters(self, text: str) -> None:
        self.types(text + "\r")

    def ends(self) -> int:
        """Wait for its end; its exit code."""
        return self.process.wait(PATIENCE)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        os.close(self._master)


def ports(server: LiveServer) -> list[str]:
    """The options that name a server's ports."""
    return ["--tcp-port", str(server.tcp), "--udp-port", str(server.udp)]


@contextlib.contextmanager
def client(server: LiveServer, *arguments: str, **env: str) -> Iterator[Terminal]:
    """A `chat-client` on a terminal."""
    terminal = Terminal("chat-client", *ports(server), *arguments, env=env)
    try:
        yield terminal
    finally:
        terminal.close()


def plain(server: LiveServer, typed: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """A `chat-client --plain` that is given these bytes and has ended."""
    return subprocess.run(
        [BIN / "chat-client", "--plain", *ports(server), *arguments], input=typed, capture_output=True,
        timeout=PATIENCE, check=False, env={**os.environ, "LANG": "C.UTF-8"},
    )  # fmt: skip
