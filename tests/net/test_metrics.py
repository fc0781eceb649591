"""A server's figures as Prometheus reads them."""

from __future__ import annotations

import contextlib
import socket
import urllib.request
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tcrp.net.metrics import GAUGES, LOOPBACK, TOTALS, Metrics
from tcrp.spec.names import Counter, Rule
from tcrp.trace.counters import Counters, summed


@contextlib.contextmanager
def served(metrics: Metrics) -> Iterator[str]:
    """The address at which the figures are read."""
    http, port = metrics.serve(0)
    try:
        yield f"http://{LOOPBACK}:{port}/metrics"
    finally:
        http.shutdown()
        http.server_close()


def read(address: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with urllib.request.urlopen(address, timeout=10) as page:  # noqa: S310 - an address of our own
        families = text_string_to_metric_families(page.read().decode())
        return {(each.name, tuple(each.labels.items())): each.value for family in families for each in family.samples}


def server(*names: str, **counts: int) -> Any:
    """A server of one listener, or of those of these names, which have all counted the same."""
    counted = [Counters() for _ in names or ("",)]
    for counters in counted:
        counters.counts |= {Counter(name): count for name, count in counts.items()}
        counters.by_rule |= {Rule.UDP_3: 4, Rule.LIM_1: 2}
    unsent = [3] * len(counted)
    figures = {"counters_by_listener": counted, "counters": summed(counted), "unsent": unsent}
    return cast(Any, SimpleNamespace(names=names, further_metrics=lambda: (), **figures))


def test_figures_are_served_on_the_loopback_address_only() -> None:
    with served(Metrics()) as address, socket.socket() as elsewhere:
        assert read(address) is not None
        # Another address of this machine: a port that is open on every address would be open here too.
        assert elsewhere.connect_ex(("127.0.0.2", int(address.rpartition(":")[2].partition("/")[0]))) != 0


def test_every_counter_is_a_gauge_or_a_total_with_a_sentence() -> None:
    assert [*GAUGES, *TOTALS] == list(Counter)
    assert set(GAUGES).isdisjoint(TOTALS)
    assert list(GAUGES) == [Counter.ROOMS, Counter.SESSIONS, Counter.CONNECTIONS]


def test_figures_are_those_of_the_server_by_name_and_by_rule() -> None:
    metrics = Metrics()
    metrics.server = server(rooms=1, sessions=2, texts=30, relays=90)
    with served(metrics) as address:
        figures = read(address)
    assert figures["tcrp_rooms", ()] == 1
    assert figures["tcrp_sessions", ()] == 2
    assert figures["tcrp_texts_total", ()] == 30
    assert figures["tcrp_relays_total", ()] == 90
    assert figures["tcrp_unsent_datagrams_total", ()] == 3
    assert figures["tcrp_refused_or_dropped_total", (("rule", "R-UDP-3"),)] == 4
    assert figures["tcrp_refused_or_dropped_total", (("rule", "R-LIM-1"),)] == 2
    assert all((f"tcrp_{name}{'' if name in GAUGES else '_total'}", ()) in figures for name in Counter)


def test_figures_of_several_listeners_say_which_but_for_the_rooms_which_are_no_listeners() -> None:
    metrics = Metrics()
    metrics.server = server("9002", "old", rooms=1, sessions=2, texts=30)
    metrics.server.counters_by_listener[1].counts[Counter.TEXTS] = 5
    with served(metrics) as address:
        figures = read(address)
    assert figures["tcrp_rooms", ()] == 2
    assert figures["tcrp_sessions", (("listener", "old"),)] == 2
    assert figures["tcrp_texts_total", (("listener", "9002"),)] == 30
    assert figures["tcrp_texts_total", (("listener", "old"),)] == 5
    assert figures["tcrp_unsent_datagrams_total", (("listener", "old"),)] == 3
    assert figures["tcrp_refused_or_dropped_total", (("listener", "old"), ("rule", "R-UDP-3"))] == 4


def test_how_long_things_took_is_counted_in_buckets() -> None:
    metrics = Metrics()
    metrics.server = server()
    metrics.relay_took(0.00003)
    metrics.relay_took(0.004)
    metrics.handshake_took(0.3)
    with served(metrics) as address:
        figures = read(address)
    assert figures["tcrp_relay_seconds_bucket", (("le", "2e-05"),)] == 0
    assert figures["tcrp_relay_seconds_bucket", (("le", "5e-05"),)] == 1
    assert figures["tcrp_relay_seconds_bucket", (("le", "0.005"),)] == 2
    assert figures["tcrp_relay_seconds_count", ()] == 2
    assert figures["tcrp_handshake_seconds_sum", ()] == pytest.approx(0.3)


def test_before_there_is_a_server_nothing_of_it_is_shown() -> None:
    with served(Metrics()) as address:
        figures = read(address)
    assert not any(name in ("tcrp_rooms", "tcrp_texts_total") for name, _ in figures)


def test_two_servers_in_one_process_have_figures_of_their_own() -> None:
    one, other = Metrics(), Metrics()
    one.server, other.server = server(rooms=1), server(rooms=2)
    with served(one) as here, served(other) as there:
        assert [read(address)["tcrp_rooms", ()] for address in (here, there)] == [1, 2]


def test_a_port_that_is_taken_is_the_callers_to_tell() -> None:
    metrics = Metrics()
    with served(metrics) as address, pytest.raises(OSError, match="in use"):
        Metrics().serve(int(address.rpartition(":")[2].partition("/")[0]))
