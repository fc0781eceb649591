"""`chat-server`: its settings, their errors, and its start."""

from __future__ import annotations

import os
import socket
import subprocess
import tomllib
from pathlib import Path

import pytest

from processes import BIN, PATIENCE, Peer, imported_by_help, live_server
from tcrp.cli.server import main
from tcrp.cli.settings import OPTIONS
from tcrp.spec.limits import SETTINGS, Limits, parse_setting, write_setting


def said(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The error message of chat-server, without its prefix."""
    assert main(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("chat-server: ")
    assert err.count("\n") == 1
    return err[len("chat-server: ") : -1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--idle-timeout", "300"], "idle_timeout: a duration such as 10ms or 1.5s is expected"),
        (["--idle-timeout", "0s"], "idle_timeout is 0s; allowed are 1ms to 31536000s"),
        (["--idle_timeout", "0s"], "idle_timeout is 0s; allowed are 1ms to 31536000s"),
        (["--rooms-max=none"], "rooms_max is 'none'; a whole number is expected; allowed are 1 to 10000000"),
        (["--takeover", "on"], "takeover is 'on'; allowed are token, same_address, off"),
        (["--tcp-port", "65536"], "tcp_port is 65536; allowed are 0 to 65535"),
        (["--udp-port", "-1"], "udp_port is '-1'; allowed are 0 to 65535"),
        (["--log-format", "xml"], "log_format is 'xml'; allowed are text, json"),
        (["--dialect", "jsn"], "there is no dialect named 'jsn'; did you mean json?"),
        (["--dialect", "none.toml"], "none.toml: cannot read the dialect: No such file or directory"),
        (["--config", ""], "--config is empty; the name of a TOML file is expected"),
        (["--config", "none.toml"], "none.toml: cannot read the file: No such file or directory"),
        (["--host", "no.such.host.invalid"], "'no.such.host.invalid' is no host. Try --host 127.0.0.1"),
        (["--host", "a..b"], "'a..b' is no host. Try --host 127.0.0.1"),
        (["--host", "\udcff"], "'\\udcff' is no host. Try --host 127.0.0.1"),
        (["--host", "203.0.113.1"], "203.0.113.1 is no address of this machine"),
        (["--trace", "-"], "trace is '-', but a server writes no trace to standard output; name a file"),
        (["--trace", "/no/such/folder/t.jsonl"], "/no/such/folder/t.jsonl: the trace cannot be written"),
    ],
)
def test_a_user_error_is_reported_in_one_line(
    capfd: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert said(capfd, *arguments).startswith(complaint)


def test_a_second_dialect_is_a_mistake_that_names_the_option_for_several(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--dialect", "text", "--dialect", "json"])
    assert ended.value.code == 2
    said = capfd.readouterr().err
    assert "--dialect: given twice; a listener of several dialects is a --listen" in said
    assert said.count("\n") == 1  # no usage, which has thirty lines


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        ("idle_timeout = 300", "idle_timeout is 300; a duration with its unit is expected, such as 300s"),
        ("idle_timout = '3s'", "there is no setting named 'idle_timout'; did you mean 'idle_timeout'?"),
        ("rooms_max = true", "rooms_max is True; a whole number is expected"),
        ("tcp_port = '9002x'", "tcp_port is '9002x'; allowed are 0 to 65535"),
        ("host = 1", "host is 1; a string is expected"),
        ("[server]\nhost = '::1'", "there is no setting named 'server'"),
        ("rooms_max = ", "not valid TOML: "),
    ],
)
def test_an_error_in_a_file_names_the_file(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, toml: str, complaint: str
) -> None:
    config = tmp_path / "server.toml"
    config.write_text(toml)
    assert said(capfd, "--config", str(config)).startswith(f"{config}: {complaint}")


def test_a_taken_port_is_reported_with_a_suggestion(capfd: pytest.CaptureFixture[str]) -> None:
    with live_server() as server:
        assert said(capfd, "--tcp-port", str(server.tcp), "--udp-port", "0") == (
            f"port {server.tcp} is taken (another chat-server?). Try --tcp-port {server.tcp + 100}"
            ", here and for chat-client"
        )
        assert said(capfd, "--tcp-port", str(server.tcp), "--udp-port", str(server.udp)) == (
            f"ports {server.tcp} (TCP) and {server.udp} (UDP) are taken (another chat-server?). "
            f"Try --tcp-port {server.tcp + 100} --udp-port {server.udp + 100}, here and for chat-client"
        )
        assert said(capfd, "--tcp-port", "0", "--udp-port", str(server.udp)).startswith(f"port {server.udp} is taken")


def test_the_printed_config_has_every_setting_and_reads_back(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    changed = ["--idle-timeout", "90s", "--takeover", "off", "--host", "::1", "--rooms-max", "7", "--trace", 'a"\\b']
    assert main([*changed, "--print-config"]) == 0
    printed = capfd.readouterr().out
    table = tomllib.loads(printed)
    assert (table["idle_timeout"], table["takeover"], table["host"], table["rooms_max"], table["trace"]) == (
        "90s", "off", "::1", 7, 'a"\\b',
    )  # fmt: skip
    for name in (*OPTIONS, *SETTINGS):
        assert f"\n{name} = " in printed or f"\n# {name} =\n" in printed
    config = tmp_path / "server.toml"
    config.write_text(printed)
    assert main(["--config", str(config), "--print-config"]) == 0
    assert capfd.readouterr().out == printed


def test_an_option_overrides_the_file_and_the_file_overrides_the_default(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "server.toml"
    config.write_text("rooms_max = 7\nmembers_max = 8\n")
    main(["--config", str(config), "--members-max", "9", "--print-config"])
    table = tomllib.loads(capfd.readouterr().out)
    assert (table["rooms_max"], table["members_max"], table["sessions_max"]) == (7, 9, 300_000)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_an_option_of_the_same_name(capfd: pytest.CaptureFixture[str], name: str) -> None:
    setting = SETTINGS[name]
    value = setting.choices[-1] if setting.choices else write_setting(name, Limits())
    main([f"--{name.replace('_', '-')}", value, "--print-config"])
    table = tomllib.loads(capfd.readouterr().out)
    assert parse_setting(name, table[name]) == parse_setting(name, value)


def test_help_imports_neither_network_nor_machines() -> None:
    assert imported_by_help("tcrp.cli.server", {"statemachine", "asyncio", "tcrp.sim", "prometheus_client"}) == []


def test_it_can_serve_on_one_address_of_the_machine() -> None:
    with live_server(host="127.0.0.5") as server, socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
        assert server.host == "127.0.0.5"
        Peer(server, "ann").creates("lobby")
        assert tcp.connect_ex(("127.0.0.1", server.tcp)) != 0


# --- output that cannot be written, and descriptors that are closed -----------------------------------


def shell(line: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A line of a shell in which $S is chat-server."""
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, encoding="latin-1", timeout=PATIENCE, check=False,
        env={**os.environ, "S": str(BIN / "chat-server"), **env},
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp932"])
@pytest.mark.parametrize("arguments", ["--dialect 日本", "--host 日本", "--takeover é😀", "ctl --control 日本 list"])
def test_an_error_is_a_line_in_any_encoding(encoding: str, arguments: str) -> None:
    done = shell(f"$S {arguments}", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("chat-server")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_config_that_cannot_be_printed_has_its_own_exit_code() -> None:
    done = shell("$S --print-config > /dev/full")
    assert done.returncode == 74
    assert done.stderr == "chat-server: cannot write the output: No space left on device\n"


@pytest.mark.parametrize("redirection", ["> /dev/full", ">&-", "2>&-", "<&-", "<&- >&- 2>&-", "2> /dev/full"])
def test_it_serves_and_stops_whatever_its_standard_streams_are(redirection: str, tmp_path: Path) -> None:
    control = tmp_path / "control"
    line = (
        f"$S --tcp-port 0 --udp-port 0 --control {control} {redirection} & server=$!; "
        f"until $S ctl --control {control} shutdown 2> {tmp_path}/why; do kill -0 $server || break; done; wait $server"
    )
    done = shell(line)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert ("ready_line_not_written" in done.stderr) == (redirection == "> /dev/full")
