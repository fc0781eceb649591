"""`chat-server`: parses the arguments and serves until it is told to stop."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tcrp.cli.cluster import cluster_config
from tcrp.cli.control import control
from tcrp.cli.dialects import dialect_named, toml_of
from tcrp.cli.exits import HOLDS, UsageError
from tcrp.cli.output import ArgumentParser, run_program
from tcrp.cli.settings import (
    AUTO,
    OPTIONS,
    ServerSettings,
    add_options,
    parse_watch,
    print_config,
    read_settings,
    with_dashes,
)
from tcrp.cli.version import ShowVersion, tcrp_version
from tcrp.live.extras import missing

if TYPE_CHECKING:
    from tcrp.engine.codec import Codec
    from tcrp.net.service import Configuration, Watcher

PROGRAM = "chat-server"
STDERR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `chat-server`. Returns 0 if it was told to stop, 2 if it could not start."""
    _open_standard_descriptors()
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["ctl"]:
        return run_program(f"{PROGRAM} ctl", lambda: control(given[1:]))
    return run_program(PROGRAM, lambda: _main(given))


def _main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(with_dashes(arguments))
    if options.print_dialect is not None:
        print(toml_of(options.print_dialect), end="")
        return HOLDS
    settings = read_settings(options, options.config)
    if options.print_config:
        print_config(settings)
        return HOLDS
    return _serve(options, settings)


def _open_standard_descriptors() -> None:
    """See to it that 0, 1 and 2 are open: a socket or a loop's own pipe must not take such a number."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        continue
    os.close(descriptor)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog=PROGRAM,
        description="Serve chat rooms: tokens over TCP, chat traffic over UDP.",
        epilog="Times have a unit: 300s, 500ms, 5m. In the TOML file settings have the same names, with _ for -. "
        "`chat-server ctl --help` says how to list and close rooms, remove users and stop a running server.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="read settings from this TOML file")
    parser.add_argument(
        "--print-config", action="store_true", help="print the settings as a commented TOML file and exit"
    )
    parser.add_argument(
        "--print-dialect", metavar="NAME", help="print the description of this dialect, a TOML file, and exit"
    )
    parser.add_argument("--version", action=ShowVersion, help="show program's version number and exit", more=_udp_way)
    add_options(parser)
    return parser


def _udp_way() -> str:
    from tcrp.net.udp import udp_path  # only --version wants it

    return f", UDP: {udp_path()}"


def _serve(options: argparse.Namespace, settings: ServerSettings) -> int:
    # Without a file there is nothing to read again, and SIGHUP means what it means to any program on a terminal.
    ends_at_hangup = options.config is None and any(
        stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)
    )
    configuration = _configuration(settings, ends_at_hangup)
    from tcrp.net.service import (
        CannotReread,
        CannotServe,
        Reread,
        serve,
    )  # imported late: --help and --print-config do not need it

    def reread() -> Reread:
        if options.config is None:
            raise CannotReread("no --config FILE was given, so there is nothing to read again")
        try:
            new = read_settings(options, options.config)
        except UsageError as error:
            raise CannotReread(str(error)) from None
        old_options, new_options = settings.run_options(), new.run_options()
        others = [name for name in OPTIONS if new_options[name] != old_options[name]]
        return Reread(new.limits, (*others, *(["listen"] if new.listen != settings.listen else [])))

    try:
        serve(configuration, reread, sys.stdout, sys.stderr)
    except CannotServe as error:
        raise UsageError(str(error)) from None
    return HOLDS


def _configuration(settings: ServerSettings, ends_at_hangup: bool) -> Configuration:
    from pathlib import Path

    from tcrp.net.service import Configuration, Listen

    only = Listen("", settings.host, settings.tcp_port, settings.udp_port, _dialects((settings.dialect,)))
    several = [
        Listen(each.name, each.address, each.tcp, each.udp, _dialects(each.dialects, f"listener {each.name}: "))
        for each in settings.listen
    ]
    listeners = tuple(several) if several else (only,)
    return Configuration(
        listeners=listeners,
        cluster=cluster_config(settings, listeners, tcrp_version()),
        limits=settings.limits,
        trace=Path(settings.trace) if settings.trace is not None else None,
        log_format="json" if settings.log_format == "json" else "text",
        metrics_port=settings.metrics_port,
        control=Path(settings.control) if settings.control is not None else None,
        watcher=_watcher(settings),
        ends_at_hangup=ends_at_hangup,
        version=tcrp_version(),
    )


def _watcher(settings: ServerSettings) -> Watcher | None:
    """The live view, if it is wanted. Raises `UsageError`."""
    if settings.watch is None:
        return None
    try:
        from tcrp.live.watch import Watch  # a server that nobody watches needs no web server
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != "aiohttp":
            raise
        raise UsageError(missing("--watch", "aiohttp", "watch")) from None
    host, port = parse_watch(settings.watch)
    return Watch(host, port, texts=settings.watch_texts == "yes")


def _dialects(names: tuple[str, ...], where: str = "") -> tuple[Codec, ...]:
    """The dialects of a listener; none for `auto`. Raises `UsageError`."""
    if names == (AUTO,):
        return ()
    from tcrp.engine.listeners import ListenerConfig  # --help and --print-config do not need it

    try:
        dialects = tuple(map(dialect_named, names))
    except UsageError as error:
        raise UsageError(f"{where}{error}") from None
    if fault := ListenerConfig(dialects).fault():
        raise UsageError(f"{where}{fault}")
    return dialects


if __name__ == "__main__":
    sys.exit(main())
