"""Several listeners as a server is told of them: by options, in the file, and printed."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tcrp.cli.exits import UsageError
from tcrp.cli.listen import ListenSettings
from tcrp.cli.server import main
from tcrp.cli.settings import ServerSettings, add_options, print_config, read_settings

OLD = ListenSettings("8000", "127.0.0.1", 8000, 8001, ("name-port",))


def settings(*options: str, config: str | None = None) -> ServerSettings:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return read_settings(parser.parse_args(options), config)


def listening(*words: str, options: Sequence[str] = ()) -> tuple[ListenSettings, ...]:
    return settings(*(f"--listen={word}" for word in words), *options).listen


def written(folder: Path, toml: str) -> str:
    path = folder / "server.toml"
    path.write_text(toml, encoding="utf-8")
    return str(path)


def said(*options: str, config: str | None = None) -> str:
    with pytest.raises(UsageError) as error:
        settings(*options, config=config)
    return str(error.value)


def test_without_any_the_old_options_are_those_of_the_only_one() -> None:
    plain = settings("--tcp-port", "1", "--dialect", "text")
    assert (plain.listen, plain.tcp_port, plain.dialect) == ((), 1, "text")


def test_an_option_is_a_listener_and_may_be_repeated() -> None:
    assert listening("tcp=9002,udp=9003", "tcp=8000,udp=8001,dialect=name-port") == (
        ListenSettings("9002", "127.0.0.1", 9002, 9003, ("auto",)), OLD,
    )  # fmt: skip


def test_a_table_is_a_listener(tmp_path: Path) -> None:
    config = written(
        tmp_path,
        'idle_timeout = "7s"\n[[listen]]\ntcp = 9002\nudp = 9003\nname = "ours"\naddress = "::1"\n'
        '[[listen]]\ntcp = 8000\nudp = 8001\ndialect = ["name-port", "json"]\n',
    )
    read = settings(config=config)
    assert read.listen == (
        ListenSettings("ours", "::1", 9002, 9003, ("auto",)),
        ListenSettings("8000", "127.0.0.1", 8000, 8001, ("name-port", "json")),
    )
    assert read.limits.idle_timeout == 7_000_000


def test_address_and_dialect_are_those_of_the_server_unless_a_listener_says_other_ones(tmp_path: Path) -> None:
    several = listening(
        "tcp=1,udp=2", "tcp=3,udp=4,address=::1,dialect=json", options=("--host", "::", "--dialect", "text")
    )
    assert [(each.address, each.dialects) for each in several] == [("::", ("text",)), ("::1", ("json",))]
    config = written(tmp_path, 'host = "0.0.0.0"\n[[listen]]\ntcp = 1\nudp = 2\n')
    assert settings(config=config).listen[0].address == "0.0.0.0"  # noqa: S104 (compared with, not bound to)


def test_options_take_the_place_of_what_the_file_says_of_ports(tmp_path: Path) -> None:
    for toml in ("[[listen]]\ntcp = 1\nudp = 2\n", "tcp_port = 1\nudp_port = 2\n"):
        config = written(tmp_path, toml)
        assert settings("--listen=tcp=8000,udp=8001,dialect=name-port", config=config).listen == (OLD,)


def test_a_listener_is_called_by_its_tcp_port_unless_it_has_a_name_or_that_is_taken() -> None:
    named = listening("tcp=0,udp=0", "tcp=0,udp=0", "tcp=5,udp=6", "tcp=5,udp=6,address=::1", "tcp=7,udp=8,name=seven")
    assert [each.name for each in named] == ["listener-1", "listener-2", "5", "::1:5", "seven"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("tcp=9002", "udp is missing; a listener has both ports, such as tcp=8000,udp=8001,dialect=name-port"),
        ("udp=9002", "tcp is missing; a listener has both ports, such as tcp=8000,udp=8001,dialect=name-port"),
        ("9002", "'9002' is not key=value; expected is such as tcp=8000,udp=8001,dialect=name-port"),
        ("tcp=1,tcp=2,udp=3", "tcp stands there twice"),
        ("tcp=70000,udp=1", "tcp is 70000; allowed are 0 to 65535"),
        ("tcp=1,udp=x", "udp is 'x'; allowed are 0 to 65535"),
        ("tcp=1,udp=2,adress=::1", "there is no key 'adress'; did you mean 'address'?"),
        ("tcp=1,udp=2,colour=red", "there is no key 'colour'; allowed are tcp, udp, address, dialect, name"),
        ("tcp=1,udp=2,address=", "address is ''; a string is expected"),
        ("tcp=1,udp=2,name=" + "n" * 65, f"name is {'n' * 65!r}; allowed are 1 to 64 printable characters"),
        ("tcp=1,udp=2,dialect=", "dialect is ''; a string is expected"),
        (
            "tcp=1,udp=2,dialect=auto,dialect=text",
            "dialect lists auto beside others; auto stands alone, or name each dialect",
        ),
        ("tcp=1,udp=2,dialect=text,dialect=text", "dialect lists 'text' twice"),
    ],
)
def test_a_wrong_option_says_what_is_wrong(option: str, message: str) -> None:
    assert said(f"--listen={option}") == f"--listen {option}: {message}"


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("listen = 9002", "listen is 9002; tables are expected, each under a line [[listen]]"),
        ("listen = []", "listen is []; tables are expected, each under a line [[listen]]"),
        ("[listen]\ntcp = 1", "listen is {'tcp': 1}; tables are expected, each under a line [[listen]]"),
        ("[[listen]]\ntcp = 1\nudp = true", "listen 1: udp is True; allowed are 0 to 65535"),
        ("[[listen]]\ntcp = 1\nudp = 2\ndialect = []", 'listen 1: dialect is []; at least one is expected, or "auto"'),
        ("[[listen]]\ntcp = 1\nudp = 2\ndialect = [1]", "listen 1: dialect is 1; a string is expected"),
        ("[[listen]]\ntcp = 1\nudp = 2\nidle_timeout = '3s'", "listen 1: there is no key 'idle_timeout'; allowed are"),
        (
            "[[listen]]\ntcp = 1\nudp = 2\nname = 'a'\n[[listen]]\ntcp = 3\nudp = 4\nname = 'a'",
            "listen 2: name is 'a', which an earlier listener has; give each another name",
        ),
        (
            "udp_port = 3\n[[listen]]\ntcp = 1\nudp = 2",
            "udp_port does not go with the tables [[listen]], which say the ports; give them there",
        ),
    ],
)
def test_a_wrong_table_says_which_and_what(tmp_path: Path, toml: str, message: str) -> None:
    config = written(tmp_path, toml)
    assert said(config=config).startswith(f"{config}: {message}")


def test_ports_of_an_only_listener_do_not_go_with_several(tmp_path: Path) -> None:
    config = written(tmp_path, "[[listen]]\ntcp = 1\nudp = 2\n")
    message = "--tcp-port: tcp_port does not go with {}, which say the ports; give them there"
    assert said("--tcp-port=5", config=config) == message.format("the tables [[listen]]")
    assert said("--tcp-port=5", "--listen=tcp=1,udp=2") == message.format("--listen")


def test_there_are_not_more_than_can_be_overlooked() -> None:
    words = [f"--listen=tcp={2 * number},udp={2 * number + 1}" for number in range(1, 66)]
    assert said(*words) == "there are 65 listeners, at most 64 are possible"


def test_a_printed_config_reads_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original = settings(
        "--listen=tcp=9002,udp=9003", "--listen=tcp=8000,udp=8001,dialect=name-port,dialect=json,name=o'ld",
        "--idle-timeout=9s",
    )  # fmt: skip
    print_config(original)
    printed = capsys.readouterr().out
    assert "tcp_port" not in tomllib.loads(printed)
    assert settings(config=written(tmp_path, printed)) == original


def test_a_dialect_that_would_never_be_recognised_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--listen=tcp=0,udp=0,name=old,dialect=name-port,dialect=text"]) == 2
    assert capfd.readouterr().err.startswith("chat-server: listener old: requests of text would be taken for name-port")


def test_a_dialect_that_is_none_is_said_with_its_listener(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--listen=tcp=0,udp=0,name=old,dialect=txt"]) == 2
    message = "chat-server: listener old: there is no dialect named 'txt'; did you mean text?\n"
    assert capfd.readouterr().err == message


def test_a_dialect_that_cannot_say_why_a_session_ended_is_refused(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from tcrp.spec import dialects

    text = (Path(dialects.__file__).parent / "dialects" / "text.toml").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("removed =")]
    path = tmp_path / "mute.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert main([f"--listen=tcp=0,udp=0,name=old,dialect={path}"]) == 2
    complaint = capfd.readouterr().err
    assert complaint.startswith(f"chat-server: listener old: {path}:")
    assert "notices.removed: missing: every session must be told why it ended" in complaint
