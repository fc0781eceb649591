"""The arguments of `chat-sim dialect`, which are needed before its code is."""

from __future__ import annotations

import argparse
from typing import Any


def add_dialect(commands: Any) -> None:
    """The subcommand of `chat-sim`."""
    parser = commands.add_parser("dialect", help="check, show, begin or compare descriptions of dialects")
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    check = actions.add_parser("check", help="say whether files describe dialects, and what is wrong with them")
    check.add_argument("files", nargs="+", metavar="FILE", help="a TOML file")
    check.set_defaults(command=_check)
    show = actions.add_parser("show", help="draw each message of a dialect, with an example of its bytes")
    show.add_argument("name", metavar="NAME|FILE", help="a dialect that is included, or a TOML file")
    show.set_defaults(command=_show)
    new = actions.add_parser("new", help="print a description to begin with: chat-sim dialect new > mine.toml")
    new.add_argument("--from", dest="like", metavar="NAME", default="text", help="the dialect that is nearest (text)")
    new.add_argument("--name", default="mine", help="what the new one is called (mine)")
    new.set_defaults(command=_new)
    ambiguous = actions.add_parser("ambiguous", help="find a request of one dialect that another reads too")
    ambiguous.add_argument("first", metavar="A")
    ambiguous.add_argument("second", metavar="B")
    ambiguous.set_defaults(command=_ambiguous)


def _check(options: argparse.Namespace) -> int:
    from tcrp.cli.dialect import check

    return check(options.files)


def _show(options: argparse.Namespace) -> int:
    from tcrp.cli.dialect import show

    return show(options.name)


def _new(options: argparse.Namespace) -> int:
    from tcrp.cli.dialect import new

    return new(options.like, options.name)


def _ambiguous(options: argparse.Namespace) -> int:
    from tcrp.cli.dialect import ambiguous

    return ambiguous(options.first, options.second)
