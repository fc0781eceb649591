"""The systemd unit and the Dockerfile, looked at by the tools that know them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import tomllib
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from nats_process import Nats
from processes import BIN, PATIENCE, live_server, until

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze (Debian package systemd) is not on this machine"
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with the server of this environment in the place of the installed one."""
    path = tmp_path / "chat-server.service"
    path.write_text((DEPLOY / "chat-server.service").read_text().replace("/opt/tcrp/bin", str(BIN)))
    return path


@needs_systemd
def test_systemd_takes_the_unit_without_a_word(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
def test_systemd_finds_the_unit_little_exposed(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", unit], capture_output=True, text=True, timeout=60, check=True
    )
    exposure = re.search(r"exposure level for chat-server.service: ([\d.]+)", done.stdout)
    assert exposure is not None
    assert float(exposure[1]) <= 1.5


def test_the_unit_starts_the_server_with_options_that_it_has(unit: Path, tmp_path: Path) -> None:
    command = re.search(r"^ExecStart=(.*)$", unit.read_text(), re.MULTILINE)
    assert command is not None
    config = tmp_path / "server.toml"
    config.write_text(subprocess.check_output([BIN / "chat-server", "--print-config"], text=True))
    arguments = command[1].replace("/etc/tcrp/server.toml", str(config)).split()
    subprocess.run([*arguments, "--print-config"], stdout=subprocess.DEVNULL, timeout=PATIENCE, check=True)


def test_the_server_tells_systemd_when_it_is_ready_rereads_and_stops(tmp_path: Path) -> None:
    path, config = str(tmp_path / "notify"), tmp_path / "server.toml"
    config.write_text("")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(PATIENCE)
        before_us = time.monotonic_ns() // 1000
        with live_server("--config", str(config), env={"NOTIFY_SOCKET": path}) as server:
            assert notify.recv(100) == b"READY=1"
            server.signal(signal.SIGHUP)
            reloading = re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=(\d+)", notify.recv(100))
            assert reloading is not None
            assert before_us < int(reloading[1]) <= time.monotonic_ns() // 1000
            assert notify.recv(100) == b"READY=1"
            assert server.stop() == 0
            assert notify.recv(100) == b"STOPPING=1"


def test_a_systemd_that_does_not_listen_stops_nobody(tmp_path: Path) -> None:
    with live_server(env={"NOTIFY_SOCKET": str(tmp_path / "nobody")}) as server:
        until(lambda: server.logs("systemd_not_told"), "the complaint")


def test_hadolint_takes_the_dockerfile_without_a_word() -> None:
    hadolint = BIN / "hadolint"
    if not hadolint.exists():
        pytest.skip("hadolint comes for Linux only")
    done = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_the_image_is_built_from_is_enough_and_holds_all_parts(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            name = line[1:]
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            copy(ROOT / name, context / name)
    subprocess.run(
        [BIN / "python", "-m", "build", "--quiet", "--wheel", "--no-isolation", "--outdir", tmp_path, context],
        timeout=120, check=True, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )  # fmt: skip
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in ("tcrp/net/server.py", "tcrp/spec/dialects/json.toml", "tcrp/cli/locale/ja/LC_MESSAGES/tcrp.mo"):
        assert name in names


def test_the_configuration_with_several_listeners_serves_them_all(tmp_path: Path) -> None:
    """With ports that the system picks, each listener of the example is there."""
    example = (DEPLOY / "listeners.toml").read_text(encoding="utf-8")
    pairs = [(table["tcp"], table["udp"]) for table in tomllib.loads(example)["listen"]]
    assert pairs == [(9002, 9003), (9000, 9001), (8000, 8001), (9090, 9091), (8888, 8889)]
    config = tmp_path / "listeners.toml"
    config.write_text(re.sub(r"(?m)^(tcp|udp) = .*", r"\1 = 0", example).replace("0.0.0.0", "127.0.0.1"))  # noqa: S104
    with live_server("--config", str(config), host="127.0.0.1", listeners=5) as server:
        assert len({each.tcp for each in server.listeners}) == 5


def test_the_composition_opens_the_ports_of_its_configuration() -> None:
    composed = YAML(typ="safe", pure=True).load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    tables = tomllib.loads((DEPLOY / "listeners.toml").read_text(encoding="utf-8"))["listen"]
    server = composed["services"]["chat-server"]
    assert server["ports"] == [f"{each[way]}:{each[way]}/{way}" for each in tables for way in ("tcp", "udp")]
    assert server["volumes"] == [f"./listeners.toml:{server['command'][1]}:ro"]
    assert (DEPLOY / ".." / server["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("name", ["compose.yaml", "cluster.compose.yaml"])
def test_a_composition_is_what_the_compose_specification_allows(name: str) -> None:
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(DEPLOY / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_the_commands_of_the_composed_cluster_make_a_cluster(tmp_path: Path) -> None:
    """The same commands as processes: NATS with its folder, and each server with its own ports."""
    services = YAML(typ="safe", pure=True).load((DEPLOY / "cluster.compose.yaml").read_text(encoding="utf-8"))[
        "services"
    ]
    assert services.pop("nats")["command"] == ["--jetstream", "--store_dir", "/data"]
    nats = Nats(tmp_path)
    try:
        with contextlib.ExitStack() as stack:
            for service in services.values():
                options = [word.replace("nats://nats:4222", nats.url) for word in service["command"]]
                server = stack.enter_context(live_server(*options))
            until(lambda: server.log().count("node_joined") == len(services) - 1, "the last server sees the others")
    finally:
        nats.end()
