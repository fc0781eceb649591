"""The settings of a server that is one of several: what is refused, and what is made of the rest."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from tcrp.cli.cluster import check_cluster_option, cluster_config
from tcrp.cli.exits import UsageError
from tcrp.cli.settings import ServerSettings, add_options, read_settings
from tcrp.net.service import Listen

LISTENERS = [Listen()]


def settings(**given: Any) -> ServerSettings:
    parser = argparse.ArgumentParser()
    add_options(parser)
    parser.set_defaults(**given)
    return read_settings(parser.parse_args([]), None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cluster", "nats://127.0.0.1:4222"),
        ("cluster", "tls://nats.example"),
        ("node", "a"),
        ("node", "x" * 64),
        ("cluster_name", "A-z_9"),
        ("cluster_lease", "1s"),
        ("cluster_lease", "1m"),
        ("cluster_key", "any/path"),
    ],
)
def test_what_is_allowed(name: str, value: str) -> None:
    check_cluster_option(name, value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("cluster", "127.0.0.1:4222", "the address of a NATS server is expected: nats://HOST:4222"),
        ("cluster", "http://x", "the address of a NATS server is expected"),
        ("cluster", "nats://", "the address of a NATS server is expected"),
        ("cluster", "nats://me:secret@x", "cluster holds credentials; put them in a file"),
        ("node", "", "1 to 64 letters, digits, - and _ are allowed"),
        ("node", "x" * 65, "1 to 64 letters"),
        ("node", "部屋", "1 to 64 letters"),
        ("node", "a\n", "1 to 64 letters"),
        ("cluster_name", "a.b", "cluster_name is 'a.b'"),
        ("cluster_lease", "999ms", "allowed are 1s to 1m"),
        ("cluster_lease", "61s", "allowed are 1s to 1m"),
        ("cluster_lease", "soon", "a duration such as"),
    ],
)
def test_what_cannot_be_is_named_and_a_password_is_not_shown(name: str, value: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        check_cluster_option(name, value)
    assert "secret" not in str(raised.value)


def test_a_single_server_has_no_cluster() -> None:
    assert cluster_config(settings(), LISTENERS, "1.0") is None


@pytest.mark.parametrize("name", ["node", "cluster_credentials", "cluster_ca", "cluster_cert", "cluster_key"])
def test_what_says_something_of_a_cluster_needs_one(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} says something of a cluster; give --cluster"):
        cluster_config(settings(**{name: "x"}), LISTENERS, "1.0")


@pytest.mark.parametrize("name", ["cluster_cert", "cluster_key"])
def test_a_certificate_and_its_key_go_together(name: str) -> None:
    with pytest.raises(UsageError, match="go together"):
        cluster_config(settings(cluster="tls://x", **{name: "x"}), LISTENERS, "1.0")


@pytest.mark.parametrize(
    ("machine", "node"),
    [("host.example", "host-example-9002"), ("", "server-9002"), ("h" * 80, "h" * 48 + "-9002"), ("機械", "---9002")],
)
def test_a_server_without_a_name_is_called_after_its_machine_and_port(
    machine: str, node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.node", lambda: machine)
    config = cluster_config(settings(cluster="nats://x"), LISTENERS, "1.0")
    assert config is not None
    assert config.node == node
    check_cluster_option("node", config.node)


def test_files_and_lease_are_handed_on_and_other_versions_are_not_kin() -> None:
    given = settings(cluster="tls://x", cluster_cert="c", cluster_key="k", cluster_lease="2s", node="one")
    config = cluster_config(given, LISTENERS, "1.0")
    other = cluster_config(given, LISTENERS, "1.1")
    assert config is not None
    assert other is not None
    assert (config.certificate, config.key, config.ca) == (Path("c"), Path("k"), None)
    assert (config.node, config.lease_us) == ("one", 2_000_000)
    assert config.kin != other.kin
