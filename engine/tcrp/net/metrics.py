"""A server's figures for Prometheus, served over HTTP on the loopback."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
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


class _Durations:
    """A histogram. Not prometheus_client's: its lock costs more than the rest of what is done for a text's metrics."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_SECONDS) + 1)
        self._seconds = 0.0

    def add(self, seconds: float) -> None:
        """One more, by the thread that serves."""
        self._counts[bisect_left(_SECONDS, seconds)] += 1
        self._seconds += seconds

    def metric(self, name: str, help: str) -> HistogramMetricFamily:
        """What was added so far, for the HTTP thread."""
        bounds = [*map(str, _SECONDS), "+Inf"]
        counts = list(zip(bounds, accumulate(self._counts), strict=True))
        return HistogramMetricFamily(name, help, buckets=counts, sum_value=self._seconds)


class Metrics(Collector):
    """What `/metrics` shows. Also the server's `Observer`."""

    def __init__(self) -> None:
        self.server: Server | None = None
        self.log_lines_lost: Callable[[], int] = lambda: 0
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._handshakes, self._relays = _Durations(), _Durations()
        self.handshake_took = self._handshakes.add
        self.relay_took = self._relays.add

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
        yield self._handshakes.metric("tcrp_handshake_seconds", "from a connection's opening to its token")
        yield self._relays.metric("tcrp_relay_seconds", "from a datagram to the last of its relays")
        lost = "lines of the log that could not be written"
        yield CounterMetricFamily("tcrp_lost_log_lines", lost, value=self.log_lines_lost())
        by_rule = CounterMetricFamily(
            "tcrp_refused_or_dropped", "what was refused or dropped", labels=[*labels, "rule"]
        )
        for values, each in counted:
            for rule, count in dict(each.by_rule).items():
                by_rule.add_metric([*values, rule], count)
        yield by_rule
        yield from server.further_metrics()
