"""The table of docs/dialects.md that says which forms can talk, made from those that the tests converse in."""

from __future__ import annotations

import sys
from pathlib import Path

from interop.forms import EIGHT, Form
from interop.public_forms import PUBLIC
from interop.wire_forms import WIRE
from tcrp.engine.codec import Codec, codec, codec_of
from tcrp.spec import dialects

FORMS: dict[str, Form] = {form.capture or form.name: form for form in (*EIGHT, *WIRE)}
OTHERS: dict[str, Form] = {form.name: form for form in PUBLIC}
"""Forms of other public programs: no captures, and dialects that are files of the tests."""
ALL = {**FORMS, **OTHERS}
CANNOT = {
    "other-header-b": "a guest needs a token that the host hands on by hand, and says its port in a second request",
}
"""Captured forms that no dialect's file describes, and why."""
HEAD = (
    "| captured form | dialect | our server serves its clients | our client uses its servers | not in the capture |",
    "| --- | --- | --- | --- | --- |",
)


def dialect_of(form: Form) -> str:
    """What our programs are to speak with it: a name, or a file's path."""
    return str(Path(__file__).parent / "dialects" / f"{form.file}.toml") if form.file else form.name


def codec_for(form: Form) -> Codec:
    """The codec of that."""
    if not form.file:
        return codec(form.name)
    path = Path(dialect_of(form))
    return codec_of(dialects.parse(path.read_text(encoding="utf-8"), path.name))


def rows() -> list[str]:
    """The table's lines, without its head."""
    lines = []
    for name, form in FORMS.items():
        lines.append(f"| `{name}` | `{form.name}` | yes | yes | {', '.join(form.unseen)} |")
    return lines + [f"| `{name}` | – | no | no | {why} |" for name, why in CANNOT.items()]


def count() -> str:
    """The sentence above the table."""
    return f"Of these {len(FORMS) + len(CANNOT)} forms {len(FORMS)} have a dialect"


if __name__ == "__main__":
    sys.stdout.write("\n".join((count(), *HEAD, *rows(), "")))
