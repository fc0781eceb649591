"""`chat-server ctl`: commands to a running server, over its control socket."""

from __future__ import annotations

import argparse
import json
import socket
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tcrp.cli.exits import HOLDS, UsageError
from tcrp.cli.output import ArgumentParser

CONTROL_PATH = "/run/chat-server/control"
"""Where the systemd unit has it."""
SECONDS_MAX = 10.0


def control(arguments: Sequence[str]) -> int:
    """Send one command. Returns 0 if it was carried out; raises `UsageError` if not."""
    options = _parser().parse_args(arguments)
    command = options.command
    request = {name: getattr(options, name) for name in ("user", "room") if getattr(options, name, None) is not None}
    if command == "list" and "room" in request:
        command = "members"
    answer = _ask(options.control, {"command": command, **request})
    if options.json:
        print(json.dumps(answer.get("rooms", answer.get("members", {})), ensure_ascii=False))
    elif "rooms" in answer:
        _print_table(("room", "state", "host", "members"), ("server",), answer["rooms"])
    elif "members" in answer:
        columns = ("user", "state", "host", "address", "dialect", "silent_seconds")
        _print_table(columns, ("server", "listener"), answer["members"])
    return HOLDS


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="chat-server ctl",
        description="Command a running chat-server that was started with --control FILE.",
        epilog="Only the user who runs the server, and root, may do so.",
        allow_abbrev=False,
    )
    _add_options(parser, control=CONTROL_PATH, json=False)
    # After the command too, where a default would undo what was given before it.
    common = ArgumentParser(add_help=False)
    _add_options(common, control=argparse.SUPPRESS, json=argparse.SUPPRESS)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    new_command = partial(commands.add_parser, parents=[common], allow_abbrev=False)
    listing = new_command("list", help="list the rooms, or the members of one room")
    listing.add_argument("room", metavar="ROOM", nargs="?")
    remove = new_command("remove", help="remove a user from a room; removing the host closes the room")
    remove.add_argument("user", metavar="USER")
    remove.add_argument("room", metavar="ROOM")
    close = new_command("close", help="close a room: every session in it ends")
    close.add_argument("room", metavar="ROOM")
    new_command("shutdown", help="stop the server, as SIGTERM does")
    return parser


def _add_options(parser: argparse.ArgumentParser, *, control: str, json: bool | str) -> None:
    parser.add_argument("--control", metavar="FILE", default=control, help=f"the server's socket ({CONTROL_PATH})")
    parser.add_argument("--json", action="store_true", default=json, help="print lists as JSON")


def _ask(path: str, request: Mapping[str, str]) -> dict[str, Any]:
    """The server's answer. Raises `UsageError` if there is none, or if it is a no."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(SECONDS_MAX)
        try:
            asking.connect(path)
            data = b""
            asking.sendall(json.dumps(request).encode() + b"\n")
            while more := asking.recv(1 << 16):
                data += more
        except TimeoutError:
            raise UsageError(f"the server at {path} does not answer") from None
        except (FileNotFoundError, ConnectionRefusedError):
            hint = "Start chat-server with --control FILE, and give ctl the same"
            raise UsageError(f"no server listens at {path}. {hint}") from None
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror or error}") from None
    try:
        answer: dict[str, Any] = json.loads(data)
    except ValueError:
        raise UsageError(f"the server at {path} broke off; it may have too many other commands at once") from None
    if not answer.pop("ok"):
        raise UsageError(answer["why"])
    return answer


def _print_table(columns: Sequence[str], further: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Columns apart by two spaces, as wide as their longest entry; `further` ones where the server knows of them."""
    from rich.cells import cell_len  # names may be Japanese, whose characters are two columns wide

    columns = [*columns, *(name for name in further if any(name in row for row in rows))]
    lines = [[name.replace("_", " ") for name in columns]]
    lines += [[_written(row[name]) for name in columns] for row in rows]
    widths = [max(cell_len(line[at]) for line in lines) for at in range(len(columns))]
    for line in lines:
        print(
            "  ".join(
                entry + " " * (width - cell_len(entry)) for entry, width in zip(line, widths, strict=True)
            ).rstrip()
        )


def _written(value: object) -> str:
    return {True: "yes", False: "", None: "-"}.get(value, str(value)) if isinstance(value, bool | None) else str(value)
