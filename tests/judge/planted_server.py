"""chat-server processes with planted bugs: `with planted_servers(bugs) as ports`.

One process imports what all of them need and forks a child for each bug. A child is chat-server as its users start it,
but for the engine, which is made by the bug.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

OPTIONS = (
    "--host", "127.0.0.1", "--tcp-port", "0", "--udp-port", "0", "--idle-timeout", "3s", "--token-timeout", "1s",
    "--handshake-timeout", "3s", "--linger", "5s",
)  # fmt: skip
READY = re.compile(r"ready on TCP 127\.0\.0\.1:(\d+) and UDP 127\.0\.0\.1:(\d+)")
TESTS = Path(__file__).parents[1]


@contextlib.contextmanager
def planted_servers(bugs: Sequence[Callable[..., Any]]) -> Iterator[list[tuple[int, int]]]:
    """The TCP and UDP port of a running server for each bug, in their order."""
    parent = subprocess.Popen(
        [sys.executable, __file__, *(bug.__name__ for bug in bugs)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, env={**os.environ, "PYTHONPATH": str(TESTS)},
    )  # fmt: skip
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent.stdin, parent.stdout:
        try:
            found = [READY.search(parent.stdout.readline()) for _ in bugs]
            assert all(found), f"a server did not start: {found}"
            yield [(int(each[1]), int(each[2])) for each in found if each is not None]
        finally:
            parent.stdin.close()
            parent.wait(20)


def main(names: Sequence[str]) -> None:
    """Start a server for each bug, say where it is, and end them all when the input ends."""
    import planted_bugs
    from tcrp.cli.server import main as chat_server  # noqa: F401 (imported once for all)

    children = []
    for name in names:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(writing, 1)
            serve(getattr(planted_bugs, name))
        children.append(child)
        os.close(writing)
        with open(reading, encoding="utf-8") as said:
            print(said.readline().strip(), flush=True)
    sys.stdin.read()
    for child in children:
        os.kill(child, signal.SIGKILL)  # with a bug it may fail to stop
        os.waitpid(child, 0)


def serve(make_engine: Callable[..., Any]) -> None:
    """chat-server, whose engine is made by the bug. Does not return."""
    from tcrp.cli import server
    from tcrp.engine.outputs import Detail
    from tcrp.net import server as driver

    def make(config: Any, *, new_token: Any, detail: Any) -> Any:  # noqa: ARG001 (some bugs need all of it)
        return make_engine(config, new_token=new_token, detail=Detail.EVERYTHING)

    driver.ServerEngine = make  # type: ignore[assignment,attr-defined]
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # its log
    os._exit(server.main(OPTIONS))


if __name__ == "__main__":
    main(sys.argv[1:])
