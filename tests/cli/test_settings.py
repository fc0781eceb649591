"""A server's settings: options over a file over defaults, one name for each everywhere."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tcrp.cli.exits import UsageError
from tcrp.cli.settings import OPTIONS, ServerSettings, add_options, print_config, read_settings, with_dashes
from tcrp.spec.limits import SETTINGS, Limits, write_setting

SECOND_US = 1_000_000


def settings(*options: str, config: str | None = None) -> ServerSettings:
    """What a server is told by these options and that file."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    return read_settings(parser.parse_args(with_dashes(options)), config)


def written(folder: Path, toml: str) -> str:
    path = folder / "server.toml"
    path.write_text(toml, encoding="utf-8")
    return str(path)


def said(*options: str, config: str | None = None) -> str:
    with pytest.raises(UsageError) as error:
        settings(*options, config=config)
    return str(error.value)


# --- read together ---------------------------------------------------------------------------------


def test_without_options_and_file_the_defaults_hold() -> None:
    plain = settings()
    assert plain.run_options() == {
        "host": "127.0.0.1",
        "tcp_port": 9002,
        "udp_port": 9003,
        "dialect": "auto",
        "trace": None,
        "log_format": "text",
        "metrics_port": None,
        "watch": None,
        "watch_texts": "no",
        "cluster": None,
        "cluster_name": "tcrp",
        "cluster_lease": "5s",
        "cluster_credentials": None,
        "cluster_ca": None,
        "cluster_cert": None,
        "cluster_key": None,
        "node": None,
        "control": None,
    }
    assert plain.limits == Limits()


def test_an_option_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    config = written(tmp_path, 'host = "::"\ntcp_port = 1\nidle_timeout = "7s"\nrooms_max = 5\n')
    read = settings("--tcp-port", "2", "--rooms-max", "6", config=config)
    assert (read.host, read.tcp_port, read.udp_port) == ("::", 2, 9003)
    assert (read.limits.idle_timeout, read.limits.rooms_max) == (7 * SECOND_US, 6)


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["--idle_timeout", "5s"], ["--idle-timeout", "5s"]),
        (["--idle_timeout=a_b"], ["--idle-timeout=a_b"]),
        (["--host=a=b"], ["--host=a=b"]),
        (["my_file", "-x_y", "--"], ["my_file", "-x_y", "--"]),
        (["--trace", "a_b"], ["--trace", "a_b"]),
    ],
)
def test_an_option_may_be_written_with_underscores_and_its_value_stays(words: Sequence[str], read: list[str]) -> None:
    assert with_dashes(words) == read


@pytest.mark.parametrize("name", [*OPTIONS, *SETTINGS])
def test_every_setting_is_an_option_of_its_name_with_its_default_in_the_help(name: str) -> None:
    parser = argparse.ArgumentParser(prog="x")
    add_options(parser)
    text = " ".join(parser.format_help().split())
    assert f"--{name.replace('_', '-')} " in text
    help, default = (
        (OPTIONS[name].help, OPTIONS[name].default)
        if name in OPTIONS
        else (SETTINGS[name].help, write_setting(name, Limits()))
    )
    assert " ".join(help.split()) + ("" if default is None else f" ({default})") in text


def test_help_says_what_may_be_given() -> None:
    parser = argparse.ArgumentParser(prog="x")
    add_options(parser)
    text = " ".join(parser.format_help().split())
    for words in (
        "--tcp-port PORT",
        "--host HOST",
        "--log-format text|json",
        "--idle-timeout TIME",
        "--rooms-max N",
        "silence after which a session ends (300s)",
        "for requests; 0 picks a free one (9002)",
    ):
        assert words in text


# --- what cannot be --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--tcp-port", "65536"), "tcp_port is 65536; allowed are 0 to 65535"),
        (("--tcp-port", "-1"), "tcp_port is '-1'; allowed are 0 to 65535"),
        (("--tcp-port", "http"), "tcp_port is 'http'; allowed are 0 to 65535"),
        (("--tcp-port", "9" * 10), f"tcp_port is '{'9' * 10}'; allowed are 0 to 65535"),
        (("--tcp-port", "٣"), "tcp_port is '٣'; allowed are 0 to 65535"),
        (("--host", ""), "host is ''; a string is expected"),
        (("--log-format", "xml"), "log_format is 'xml'; allowed are text, json"),
        (("--rooms-max", "0"), "rooms_max is 0; allowed are 1 to 10000000"),
    ],
)
def test_a_wrong_option_names_itself_its_value_and_what_is_allowed(options: tuple[str, ...], message: str) -> None:
    assert said(*(f"{options[0]}={options[1]}",)) == message


@pytest.mark.parametrize("port", ["0", "65535"])
def test_a_port_may_be_the_systems_choice_or_the_largest(port: str) -> None:
    assert settings("--tcp-port", port).tcp_port == int(port)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("tcp_port = true", "tcp_port is True; allowed are 0 to 65535"),
        ("tcp_port = 1.5", "tcp_port is 1.5; allowed are 0 to 65535"),
        ("host = 7", "host is 7; a string is expected"),
        ("idle_timeout = 300", "idle_timeout is 300; a duration with its unit is expected, such as 300s"),
        ("tpc_port = 1", "there is no setting named 'tpc_port'; did you mean 'tcp_port'?"),
        ("flavour = 1", "there is no setting named 'flavour'; chat-server --print-config shows all of them"),
        ("host = ", "not valid TOML: Invalid value"),
    ],
)
def test_a_wrong_file_names_itself_and_the_key(tmp_path: Path, toml: str, message: str) -> None:
    config = written(tmp_path, toml)
    assert said(config=config).startswith(f"{config}: {message}")


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    missing, binary = str(tmp_path / "missing.toml"), tmp_path / "binary.toml"
    binary.write_bytes(b"\xff")
    assert said(config=missing) == f"{missing}: cannot read the file: No such file or directory"
    assert said(config=str(binary)) == f"{binary}: not valid UTF-8"


# --- written down ----------------------------------------------------------------------------------


def test_a_printed_config_reads_back_as_the_settings_it_was_printed_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original = settings(
        "--host", 'a"b\\c\x07', "--trace", "t.jsonl", "--metrics-port", "0", "--idle-timeout", "7s", "--rooms-max", "5"
    )
    print_config(original)
    printed = capsys.readouterr().out
    assert settings(config=written(tmp_path, printed)) == original


def test_a_printed_config_explains_each_setting_and_leaves_out_what_is_not_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_config(settings())
    printed = capsys.readouterr().out
    assert set(tomllib.loads(printed)) == {*OPTIONS, *SETTINGS} - {
        name for name, option in OPTIONS.items() if option.default is None
    }
    lines = printed.splitlines()
    assert "# trace =" in lines
    assert 'idle_timeout = "300s"' in lines
    assert "rooms_max = 10000" in lines
    assert lines[lines.index("rooms_max = 10000") - 1] == "# rooms that are not closed: 1 to 10000000"
    assert lines[lines.index('idle_timeout = "300s"') - 1].endswith(": 1ms to 31536000s")
    takeover = next(line for line in lines if line.startswith("takeover ="))
    assert " or ".join(SETTINGS["takeover"].choices) in lines[lines.index(takeover) - 1]


# --- switches ------------------------------------------------------------------------------------


def test_a_switch_is_an_option_alone_or_a_word_or_true(tmp_path: Path) -> None:
    assert settings("--watch-texts").watch_texts == "yes"
    assert settings("--watch-texts", "no").watch_texts == "no"
    for value, wanted in (("true", "yes"), ("false", "no"), ('"yes"', "yes")):
        assert settings(config=written(tmp_path, f"watch_texts = {value}")).watch_texts == wanted
    assert "watch_texts is 'perhaps'; allowed are no, yes" in said("--watch-texts", "perhaps")
