"""A server's figures for Prometheus, served over HTTP on the loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tcrp.spec.names import Counter

if TYPE_CHECKING:
    from tcrp.net.server import Server
    from tcrp.trace.counters import Counters

LOOPBACK = "127.0.0.1"

GAUGES = {
    Counter.ROOMS: "rooms that are not closed",
    Counter.SESSIONS: "living sessions",
    Counter.CONNECTIONS: "open TCP connections",
}
TOTALS = {
    Counter.REQUESTS: "whole requests read",
    Counter.REFUSED_REQUESTS: "requests refused",
    Counter.ABANDONED_REQUESTS: "handshakes that came to nothing",
    Counter.DATAGRAMS: "datagrams in",
    Counter.REJECTED_DATAGRAMS: "datagrams that changed nothing",
    Counter.TEXTS: "texts taken",
    Counter.RELAYS: "relays out",
    Counter.WITHHELD_RELAYS: "relays that no member may get in this form",
    Counter.NOTICES: "notices out",
    Counter.LIMITED: "requests and texts over a limit",
}
# A relay takes tens of microseconds for a handful of members, milliseconds for a thousand.
_SECONDS = (1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1, 1.0, 10.0)


class Metrics(Collector):
    """What `/metrics` shows. Also the server's `Observer`."""

    def __init__(self) -> None:
        self.server: Server | None = None
        self.log_lines_lost: Callable[[], int] = lambda: 0
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._handshake = self._histogram("tcrp_handshake_seconds", "from a connection's opening to its token")
        self._relay = self._histogram("tcrp_relay_seconds", "from a datagram to the last of its relays")
        self.handshake_took: Callable[[float], None] = self._handshake.observe
        self.relay_took: Callable[[float], None] = self._relay.observe

    def _histogram(self, name: str, help: str) -> Histogram:
        return Histogram(name, help, registry=self._registry, buckets=_SECONDS)

    def serve(self, port: int) -> tuple[WSGIServer, int]:
        """Serve on the loopback in a thread of its own. Returns the HTTP server and its port. Raises `OSError`."""
        server, _ = start_http_server(port, addr=LOOPBACK, registry=self._registry)
        return server, int(server.server_port)

    def collect(self) -> Iterator[Metric]:
        """Called by the HTTP thread: reads figures, and copies what may grow meanwhile."""
        if self.server is None:
            return
        server = self.server
        labels = ["listener"] if server.names else []
        counted = [([name] if name else [], each)
                   for name, each in zip(server.names or ("",), server.counters_by_listener, strict=True)]  # fmt: skip
        rooms: list[tuple[list[str], Counters]] = [([], server.counters)]  # members of any listener share them
        for counter, help in GAUGES.items():
            gauge = GaugeMetricFamily(f"tcrp_{counter}", help, labels=labels if counter is not Counter.ROOMS else [])
            for values, each in counted if counter is not Counter.ROOMS else rooms:
                gauge.add_metric(values, each.counts[counter])
            yield gauge
        for counter, help in TOTALS.items():
            total = CounterMetricFamily(f"tcrp_{counter}", help, labels=labels)
            for values, each in counted:
                total.add_metric(values, each.counts[counter])
            yield total
        unsent = CounterMetricFamily("tcrp_unsent_datagrams", "datagrams that the system did not take", labels=labels)
        for (values, _), count in zip(counted, server.unsent, strict=True):
            unsent.add_metric(values, count)
        yield unsent
        lost = "lines of the log that could not be written"
        yield CounterMetricFamily("tcrp_lost_log_lines", lost, value=self.log_lines_lost())
        by_rule = CounterMetricFamily(
            "tcrp_refused_or_dropped", "what was refused or dropped", labels=[*labels, "rule"]
        )
        for values, each in counted:
            for rule, count in dict(each.by_rule).items():
                by_rule.add_metric([*values, rule], count)
        yield by_rule
