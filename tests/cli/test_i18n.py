"""In which language the client speaks."""

from __future__ import annotations

import argparse
import gettext
from collections.abc import Iterator

import pytest

from tcrp.cli import i18n
from tcrp.cli.i18n import _, translate_argparse

VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    i18n._catalogue.cache_clear()
    yield
    i18n._catalogue.cache_clear()


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("language", ["ja", "ja_JP.UTF-8"])
def test_each_variable_chooses_the_language(name: str, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, language)
    assert _("The room was closed.") != "The room was closed."


@pytest.mark.parametrize("language", ["C", "en_GB.UTF-8", "xx", "/", ""])
def test_a_language_without_a_catalogue_is_english(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", language)
    assert _("The room was closed.") == "The room was closed."


def test_a_text_that_no_catalogue_has_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "ja")
    assert _("no such text {name}") == "no such text {name}"


def test_argparse_speaks_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "ja")
    domain = gettext.textdomain()
    try:
        translate_argparse()
        assert argparse.ArgumentParser(prog="x").format_help().startswith("使い方: x")
    finally:
        gettext.textdomain(domain)
