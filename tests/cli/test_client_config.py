"""The client's configuration file: what is taken, and which mistake is named how."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcrp.cli.client_config import KEYS, default_path, read_config
from tcrp.cli.exits import UsageError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that is read if none is named."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "tcrp").mkdir()
    return tmp_path / "tcrp" / "chat-client.toml"


def complaint(file: Path, toml: str) -> str:
    file.write_text(toml, encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        read_config(str(file))
    assert str(raised.value).startswith(f"{file}: ")
    return str(raised.value).removeprefix(f"{file}: ")


def test_every_key_is_read_with_its_type(file: Path) -> None:
    values = {str: '"あき"', int: "9002", bool: "false"}
    file.write_text("".join(f"{key} = {values[kind]}\n" for key, kind in KEYS.items()), encoding="utf-8")
    assert read_config(None) == {key: {str: "あき", int: 9002, bool: False}[kind] for key, kind in KEYS.items()}


def test_without_a_file_nothing_is_set_unless_it_was_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_config(None) == {}
    monkeypatch.setenv("XDG_CONFIG_HOME", str(file / "below"))
    file.touch()
    assert read_config(None) == {}
    with pytest.raises(UsageError, match=r"missing\.toml: cannot read it: No such file or directory"):
        read_config("missing.toml")


def test_a_default_file_that_cannot_be_read_is_not_passed_over(file: Path) -> None:
    file.mkdir()
    with pytest.raises(UsageError, match="cannot read it: Is a directory"):
        read_config(None)


@pytest.mark.parametrize("folder", ["", "relative/folder"])
def test_the_default_is_in_the_home_folder_unless_an_absolute_one_is_set(
    monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setenv("HOME", "/home/aki")
    monkeypatch.setenv("XDG_CONFIG_HOME", folder)
    assert default_path() == Path("/home/aki/.config/tcrp/chat-client.toml")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert default_path() == Path("/home/aki/.config/tcrp/chat-client.toml")


@pytest.mark.parametrize("port", [1, 65535])
def test_a_port_may_be_the_first_and_the_last(file: Path, port: int) -> None:
    file.write_text(f"tcp_port = {port}")
    assert read_config(None) == {"tcp_port": port}


@pytest.mark.parametrize("port", [0, 65536, -1, "true", "9002.0", '"9002"'])
def test_what_is_no_port_is_refused_with_its_key(file: Path, port: object) -> None:
    said = complaint(file, f"udp_port = {port}")
    assert said.startswith("udp_port is ")
    assert said.endswith("; expected is a port, 1 to 65535")


def test_a_value_of_another_type_is_refused_as_it_stands_in_the_file(file: Path) -> None:
    assert complaint(file, "name = 7") == "name is 7; expected is a text in quotes"
    assert complaint(file, 'reconnect = "no"') == "reconnect is 'no'; expected is true or false"
    assert complaint(file, "name = true") == "name is true; expected is a text in quotes"


def test_a_key_that_does_not_exist_is_answered_with_the_nearest_or_all(file: Path) -> None:
    assert complaint(file, 'nmae = "bob"') == "there is no key 'nmae'; did you mean name?"
    assert complaint(file, 'xyz = "bob"') == f"there is no key 'xyz'; allowed are {', '.join(KEYS)}"


@pytest.mark.parametrize("data", [b"name = ", b"name = '\xff'", b"name = " + b"[" * 5000])
def test_what_is_not_toml_is_said_to_be_so_in_one_line(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    with pytest.raises(UsageError, match="not valid TOML: ") as raised:
        read_config(None)
    assert "\n" not in str(raised.value)


def test_a_byte_order_mark_is_no_mistake(file: Path) -> None:
    file.write_bytes(b'\xef\xbb\xbfname = "bob"\r\n')
    assert read_config(None) == {"name": "bob"}
