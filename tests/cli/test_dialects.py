"""A dialect by its name or its file, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcrp.cli.dialects import dialect_named, toml_of
from tcrp.cli.exits import UsageError
from tcrp.engine.codec import codec
from tcrp.spec.dialect_file import FILE_BYTES_MAX
from tcrp.spec.dialects import SHIPPED, path_of


@pytest.mark.parametrize("name", SHIPPED)
def test_an_included_dialect_is_found_by_name_and_by_its_file(name: str) -> None:
    assert dialect_named(name) is codec(name)
    assert dialect_named(str(path_of(name))).dialect == codec(name).dialect


def test_a_file_goes_by_its_path_even_without_the_ending(tmp_path: Path) -> None:
    file = tmp_path / "自分の"
    file.write_text(toml_of("text"), encoding="utf-8")
    assert dialect_named(str(file)).dialect.leave_words == codec("text").dialect.leave_words


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("txet", "there is no dialect named 'txet'; did you mean text?"),
        ("", "there is no dialect named ''; allowed are "),
        ("missing.toml", "missing.toml: cannot read the dialect: No such file or directory"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as raised:
        dialect_named(name)
    assert str(raised.value).startswith(said)
    assert not str(raised.value).endswith(".")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff", "not valid UTF-8"),
        (b"#" * (FILE_BYTES_MAX + 1), f"has at most {FILE_BYTES_MAX} bytes; this is more"),
    ],
)
def test_a_file_that_is_no_text_or_too_long_is_not_parsed(data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(data)
    with pytest.raises(UsageError, match=said):
        toml_of(str(tmp_path / "a.toml"))
    (tmp_path / "a.toml").write_bytes(b"#" * FILE_BYTES_MAX)
    assert len(toml_of(str(tmp_path / "a.toml"))) == FILE_BYTES_MAX


def test_a_folder_is_no_description(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the dialect: Is a directory"):
        toml_of(str(tmp_path))
