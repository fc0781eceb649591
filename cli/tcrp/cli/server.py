"""`chat-server`: parses the arguments and serves until it is told to stop."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tcrp.cli.dialects import dialect_named
from tcrp.cli.exits import CANNOT, HOLDS, UsageError, complain
from tcrp.cli.settings import AUTO, ServerSettings, add_options, print_config, read_settings, with_dashes
from tcrp.cli.version import tcrp_version

if TYPE_CHECKING:
    from tcrp.net.service import Configuration
    from tcrp.spec.limits import Limits

PROGRAM = "chat-server"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `chat-server`. Returns 0 if it was told to stop, 2 if it could not start."""
    options = _parser().parse_args(with_dashes(sys.argv[1:] if arguments is None else arguments))
    try:
        settings = read_settings(options, options.config)
        if options.print_config:
            print_config(settings)
            return HOLDS
        return _serve(options, settings)
    except UsageError as error:
        complain(PROGRAM, str(error))
        return CANNOT
    except BrokenPipeError:
        return CANNOT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Serve chat rooms: tokens over TCP, chat traffic over UDP.",
        epilog="Times have a unit: 300s, 500ms, 5m. In the TOML file settings have the same names, with _ for -.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="read settings from this TOML file")
    parser.add_argument(
        "--print-config", action="store_true", help="print the settings as a commented TOML file and exit"
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {tcrp_version()}")
    add_options(parser)
    return parser


def _serve(options: argparse.Namespace, settings: ServerSettings) -> int:
    configuration = _configuration(settings)
    from tcrp.net.service import (
        CannotReread,
        CannotServe,
        serve,
    )  # imported late: --help and --print-config do not need it

    def reread() -> Limits:
        try:
            return read_settings(options, options.config).limits
        except UsageError as error:
            raise CannotReread(str(error)) from None

    try:
        serve(configuration, reread, sys.stdout, sys.stderr)
    except CannotServe as error:
        raise UsageError(str(error)) from None
    return HOLDS


def _configuration(settings: ServerSettings) -> Configuration:
    from pathlib import Path

    from tcrp.net.service import Configuration

    return Configuration(
        host=settings.host,
        tcp_port=settings.tcp_port,
        udp_port=settings.udp_port,
        only=None if settings.dialect == AUTO else dialect_named(settings.dialect),
        limits=settings.limits,
        trace=Path(settings.trace) if settings.trace is not None else None,
        log_format="json" if settings.log_format == "json" else "text",
        metrics_port=settings.metrics_port,
        version=tcrp_version(),
    )


if __name__ == "__main__":
    sys.exit(main())
