"""`chat-client` in two languages, and its catalogue of texts."""

from __future__ import annotations

import gettext
import io
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from prompt_toolkit.utils import get_cwidth

from processes import BIN, PATIENCE, LiveServer, Peer, live_server
from tcrp.cli.i18n import FOLDER
from terminal import client


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server("--linger", "0s") as server:
        yield server


def test_it_is_translated_into_japanese(server: LiveServer) -> None:
    with client(server, "--name", "アン", "--create", "居間", LANG="ja_JP.UTF-8") as ann:
        ann.shows("居間 に アン として入室しました。")
        bob = Peer(server, "ボブ").joins("居間")
        bob.says("こんばんは")
        ann.shows("ボブ が入室しました")
        ann.shows("ボブ こんばんは")
        ann.enters("いらっしゃい")
        assert bob.hears() == "アン: いらっしゃい".encode()


def test_the_japanese_catalogue_is_complete_and_compiled() -> None:
    words = {
        message
        for _, _, message, _, _ in extract_from_dir(FOLDER.parent, keywords={"_": None})
        if isinstance(message, str)
    }
    folder = FOLDER / "ja" / "LC_MESSAGES"
    catalogue = read_po(io.BytesIO((folder / "tcrp.po").read_bytes()))
    assert {message.id for message in catalogue if message.id} == words
    assert all(message.string for message in catalogue if message.id)
    fresh = io.BytesIO()
    write_mo(fresh, catalogue)
    compiled = gettext.GNUTranslations(io.BytesIO(fresh.getvalue()))
    with Path(folder / "tcrp.mo").open("rb") as file:
        catalogued = gettext.GNUTranslations(file)
    assert {word: catalogued.gettext(word) for word in words} == {word: compiled.gettext(word) for word in words}


def test_the_frame_of_help_and_argparse_errors_are_in_the_users_language() -> None:
    def run(*words: str) -> str:
        env = {**os.environ, "LANG": "ja_JP.UTF-8", "LC_ALL": "", "LANGUAGE": "", "PYTHONIOENCODING": "utf-8"}
        command = [str(BIN / "chat-client"), *words]
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False, env=env)
        return (done.stdout + done.stderr).decode()

    shown = run("--help")
    assert shown.startswith("使い方: chat-client ")
    assert "\nオプション:\n" in shown
    assert not {"usage:", "options:", "show this"} & set(shown.splitlines())
    assert "このヘルプを表示して終了する" in shown
    assert "バージョンを表示して終了する" in shown
    helps = [re.match(r"  -.*?  +(?=[^ ])", line) for line in shown.splitlines()]
    assert len({get_cwidth(found.group()) for found in helps if found is not None}) == 1, "all in one column"
    assert run("--nme").endswith("chat-client: エラー: 不明な引数です: --nme\n")
