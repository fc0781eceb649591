"""Translated messages: gettext catalogues, chosen by LANGUAGE, LC_ALL, LC_MESSAGES or LANG."""

from __future__ import annotations

import gettext
from functools import cache
from pathlib import Path

DOMAIN = "tcrp"
FOLDER = Path(__file__).parent / "locale"


@cache
def _catalogue() -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, FOLDER, fallback=True)


def translate_argparse() -> None:
    """Let argparse speak the language of the program: it asks gettext's own domain for the words below."""
    gettext.bindtextdomain(DOMAIN, FOLDER)
    gettext.textdomain(DOMAIN)


def _(text: str) -> str:
    """`text` in the user's language; in English if there is no catalogue for it."""
    return _catalogue().gettext(text)


def _frame_of_help() -> tuple[str, ...]:
    """What argparse says by itself, so that the catalogue has it."""
    return (
        _("usage: "),
        _("options"),
        _("positional arguments"),
        _("show this help message and exit"),
        _("show program's version number and exit"),
        _("%(prog)s: error: %(message)s\n"),
        _("argument %(argument_name)s: %(message)s"),
        _("unrecognized arguments: %s"),
        _("expected one argument"),
        _("not allowed with argument %s"),
    )
