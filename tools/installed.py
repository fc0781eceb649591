"""Tries an installation as its first user would: in an empty folder the story runs, and a server carries a chat.

python -m tools.installed .venv-wheel/bin
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Timer
from typing import IO

PATIENCE = 60.0
READY = re.compile(r"ready on TCP 127\.0\.0\.1:(\d+) and UDP 127\.0\.0\.1:(\d+)")


def main(programs: Path) -> None:
    """Raises if a program does not do what it should."""
    with tempfile.TemporaryDirectory() as folder:
        for told in (["new", "story", "--like", "the-story"], ["run", "story.yaml"]):
            subprocess.run([programs / "chat-sim", *told], cwd=folder, check=True, timeout=PATIENCE)
        server = [str(programs / "chat-server"), "--host", "127.0.0.1", "--tcp-port", "0", "--udp-port", "0"]
        with subprocess.Popen(server, cwd=folder, stdout=subprocess.PIPE, text=True) as serving:
            late = Timer(PATIENCE, serving.kill)  # then its output ends, and what waits for more of it
            late.start()
            try:
                ready = READY.search(_line_with(serving.stdout, "ready on TCP"))
                assert ready is not None
                _chat(programs, Path(folder), ["--tcp-port", ready[1], "--udp-port", ready[2]])
            finally:
                late.cancel()
                serving.terminate()
        assert serving.returncode == 0, "the server stops when it is told to"


def _chat(programs: Path, folder: Path, ports: list[str]) -> None:
    """What bob says, ann reads."""
    client = [str(programs / "chat-client"), "--plain", *ports]
    with subprocess.Popen(
        [*client, "--name", "ann", "--create", "lobby"], cwd=folder, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as ann:  # fmt: skip
        _line_with(ann.stderr, "You are in lobby as ann")
        bob = [*client, "--name", "bob", "--join", "lobby"]
        subprocess.run(bob, cwd=folder, input="hello\n", text=True, check=True, timeout=PATIENCE)
        _line_with(ann.stdout, "bob: hello")
        ann.communicate(timeout=PATIENCE)  # her input ends, and she leaves
        assert ann.returncode == 0


def _line_with(lines: IO[str] | None, text: str) -> str:
    assert lines is not None
    for line in lines:
        sys.stdout.write(line)
        if text in line:
            return line
    raise AssertionError(f"it never came: {text}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
    print("installed: the story runs, and a server carries a chat")
