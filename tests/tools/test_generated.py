"""The generated pages are up to date, and each says all of what the code declares."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tcrp.spec.dialect_file import Source
from tcrp.spec.dialect_keys import KEYS, Key, Shape
from tcrp.spec.dialects import DialectError, _Reader, dialect, parse, path_of
from tcrp.spec.field_forms import FORMS, MEANINGS
from tcrp.spec.fields import _WORDS, Encoding, Item, Number, Order, Role, Text, read_item
from tcrp.trace.header import HEADER_KEYS, MEMBER_KEYS
from tcrp.trace.lines import Line
from tcrp.trace.reader import keys_of, read_record
from tcrp.trace.records import Kind
from tools import dialect_words, generated, trace_words

ROOT = Path(__file__).parents[2]


def test_every_generated_file_is_up_to_date() -> None:
    assert generated.stale(ROOT) == [], "run: make document"


def test_check_names_a_file_that_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generated, "FILES", {"page.md": lambda: "new\n"})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text("old\n", encoding="utf-8")
    assert generated.main(["check"]) == 1
    assert capsys.readouterr().err == "page.md is stale: run `make document`\n"
    assert generated.main(["write"]) == 0
    assert generated.main(["check"]) == 0
    assert generated.main(["draw"]) == 2


# --- dialects ------------------------------------------------------------------------------------

WRONG: Mapping[Shape, object] = {Shape.STRING: 1, Shape.DURATION: "1 fortnight", Shape.STRINGS: "x", Shape.TABLE: 1}
NEEDED_BESIDE: Mapping[str, dict[str, object]] = {
    "endings.phrases": {"match": "whole"},
    "list.reply": {"request": {"fields": ["operation: u1"]}},
}


@pytest.mark.parametrize("path", KEYS)
def test_the_reader_asks_for_every_declared_key(path: str) -> None:
    """A wrong value at each key is found there. A key that nobody asks for would be unknown, or do no harm."""
    source = Source(path_of("json").read_text(encoding="utf-8"), "mine.toml")
    *tables, name = path.split(".")
    table = source.content
    for each in tables:
        table = table.setdefault(each, dict(NEEDED_BESIDE.get(path, {})))
    table[name] = WRONG.get(KEYS[path].shape, [1])
    with pytest.raises(DialectError) as error:
        _Reader(source).dialect()
    assert f"{path}: " in str(error.value)
    assert "unknown key" not in str(error.value)


def test_a_key_that_is_not_declared_cannot_be_read() -> None:
    text = path_of("text").read_text(encoding="utf-8")
    with pytest.raises(DialectError, match=r"leave\.often: unknown key"):
        parse(text.replace("[leave]", "[leave]\noften = true"), "mine.toml")


def test_the_defaults_of_the_page_are_those_of_a_dialect() -> None:
    page = dialect_words.document()
    assert (
        f"| `[notices]` `repeat` | 1 to 4 | How often an ended session is told in all. | `{_default('text')}` |" in page
    )
    assert {Shape(key.shape) for key in KEYS.values()} == set(Shape)
    assert dialect_words._without(Key("A key.")) == "an error"


def _default(name: str) -> int:
    return dialect(name).notice_repeat


def test_every_example_of_a_field_is_read_and_every_word_of_the_notation_is_in_one() -> None:
    read: list[Item] = []
    written: list[str | Mapping[str, Any]] = [example for form in FORMS for example in form.examples]
    for example in written:
        if example != "@head":  # stands for other fields; the dialect's reader knows which
            read += read_item(example, {"payload": ()})
    assert {type(item) for item in read} == set(Item.__args__)
    assert {item.encoding for item in read if isinstance(item, Text)} == set(Encoding)
    assert {item.order for item in read if isinstance(item, Number)} == set(Order)
    words = set(re.findall(r"[a-z]\w*", " ".join(map(str, written))))
    assert set(_WORDS) <= words


def test_every_field_with_a_meaning_is_in_the_page() -> None:
    assert set(MEANINGS) == set(Role)
    page = dialect_words.document().partition("### Fields with a meaning")[2]
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == [str(role) for role in MEANINGS]


# --- traces --------------------------------------------------------------------------------------


@cache
def records_page() -> str:
    return trace_words.document()


def test_the_page_has_every_key_of_a_header_and_a_meaning_for_each() -> None:
    header = records_page().partition("## Header")[2].partition("## Records")[0]
    keys = re.findall(r"^\| `(\w+)` \| .+ \| .+\. \|$", header, re.MULTILINE)
    assert sorted(keys) == sorted([*HEADER_KEYS, *MEMBER_KEYS])


@pytest.mark.parametrize("kind", Kind)
def test_the_page_has_every_key_of_a_kind_and_an_example_that_is_read(kind: Kind) -> None:
    records = records_page().partition("## Records")[2]
    common, *sections = re.split(r"^### ", records, flags=re.MULTILINE)
    [section] = [each for each in sections if f"`{kind}`" in each.partition("\n")[0]]
    keys = re.findall(r"^\| `(\w+)` \| .+ \| .+\. \|$", common + section, re.MULTILINE)
    assert sorted(keys) == sorted(key.name for key in keys_of(kind))
    examples = re.findall(r"^```json\n(.+)\n```$", section, re.MULTILINE)
    assert kind in [read_record(Line("page", 1, example)).kind for example in examples]
