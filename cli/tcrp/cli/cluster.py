"""The settings by which a chat-server is one of several: `--cluster`, `--node` and what goes with them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tcrp.cli.exits import UsageError
from tcrp.live.extras import missing
from tcrp.spec.cluster_names import LEASE_LEAST_US, LEASE_MOST_US
from tcrp.spec.durations import parse_duration

if TYPE_CHECKING:
    from tcrp.cli.settings import ServerSettings
    from tcrp.net.cluster import ClusterConfig
    from tcrp.net.service import Listen

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SCHEMES = ("nats", "tls")


def check_cluster_option(name: str, value: str) -> None:
    """Raise `ValueError` if a setting cannot be so."""
    if name == "cluster":
        scheme, colon, rest = value.partition("://")
        if not colon or scheme not in _SCHEMES or not rest:
            raise ValueError(f"cluster is {value!r}; the address of a NATS server is expected: nats://HOST:4222")
        if "@" in rest:  # every user of the machine sees a program's arguments
            raise ValueError("cluster holds credentials; put them in a file: --cluster-credentials FILE")
    elif name in ("node", "cluster_name") and not _NAME.fullmatch(value):
        raise ValueError(f"{name} is {value!r}; 1 to 64 letters, digits, - and _ are allowed")
    elif name == "cluster_lease":
        _lease_us(value)


def _lease_us(value: str) -> int:
    lease_us = parse_duration(value)
    if not LEASE_LEAST_US <= lease_us <= LEASE_MOST_US:
        raise ValueError(f"cluster_lease is {value}; allowed are 1s to 1m")
    return lease_us


def cluster_config(settings: ServerSettings, listeners: Sequence[Listen], version: str) -> ClusterConfig | None:
    """What the server needs to be one of several, or None. Raises `UsageError`."""
    if settings.cluster is None:
        given = [name for name in ("node", "cluster_credentials", "cluster_ca", "cluster_cert", "cluster_key")
                 if getattr(settings, name) is not None]  # fmt: skip
        if given:
            raise UsageError(f"{given[0]} says something of a cluster; give --cluster nats://HOST:4222 too")
        return None
    if (settings.cluster_cert is None) != (settings.cluster_key is None):
        raise UsageError("cluster_cert and cluster_key go together: a certificate and its key")
    try:
        from tcrp.net.cluster import ClusterConfig  # a single server needs no NATS
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != "nats":
            raise
        raise UsageError(missing("--cluster", "nats-py", "cluster")) from None
    import platform
    from pathlib import Path

    node = settings.node
    if node is None:
        machine = re.sub(r"[^A-Za-z0-9_-]", "-", platform.node())[:48]
        node = f"{machine or 'server'}-{listeners[0].tcp_port}"
    files = {
        "credentials": settings.cluster_credentials, "ca": settings.cluster_ca,
        "certificate": settings.cluster_cert, "key": settings.cluster_key,
    }  # fmt: skip
    return ClusterConfig(
        url=settings.cluster,
        node=node,
        bucket=settings.cluster_name,
        lease_us=_lease_us(settings.cluster_lease),
        kin=f"{version}/{'; '.join(each.written_dialects() for each in listeners)}",
        **{name: Path(path) for name, path in files.items() if path is not None},
    )
