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


def _(text: str) -> str:
    """`text` in the user's language; in English if there is no catalogue for it."""
    return _catalogue().gettext(text)
