"""Words in the language of whoever reads them: gettext catalogues, chosen by LANGUAGE, LC_ALL, LC_MESSAGES or LANG."""

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
    """`text` as the user's language has it; English where there is no catalogue."""
    return _catalogue().gettext(text)
