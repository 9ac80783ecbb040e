"""What the house counts of itself, for Prometheus. Counting is a dictionary's business; the text is made when it is asked for."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
_BUCKETS_NS = tuple(int(bucket * 1_000_000) for bucket in BUCKETS_MS)


class Metrics(Collector):
    """The requests of one process, by method, route and status, with their latency by route; and gauges asked of others."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], int] = {}
        self._latencies: dict[str, list[int]] = {}
        self._gauges: list[tuple[str, str, Callable[[], float]]] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def count(self, method: str, route: str, status: int, nanoseconds: int) -> None:
        """One request that ended."""
        name = (method, route, status)
        self._requests[name] = self._requests.get(name, 0) + 1
        latencies = self._latencies.get(route)
        if latencies is None:
            latencies = self._latencies[route] = [0] * (len(BUCKETS_MS) + 2)
        place = 0
        for bound in _BUCKETS_NS:
            if nanoseconds <= bound:
                break
            place += 1
        latencies[place] += 1
        latencies[-1] += nanoseconds

    def gauge(self, name: str, meaning: str, ask: Callable[[], float]) -> None:
        """A number that is asked for when the metrics are read."""
        self._gauges.append((name, meaning, ask))

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What Prometheus' own library asks for."""
        requests = CounterMetricFamily(
            "tallystick_requests", "Requests that ended.", labels=["method", "route", "status"]
        )
        for (method, route, status), number in self._requests.items():
            requests.add_metric([method, route, str(status)], number)
        yield requests
        seconds = HistogramMetricFamily("tallystick_request_seconds", "How long requests took.", labels=["route"])
        for route, latencies in self._latencies.items():
            total, buckets = 0, []
            for bound, number in zip((*BUCKETS_MS, None), latencies[:-1], strict=True):
                total += number
                buckets.append(("+Inf" if bound is None else str(bound / 1000), total))
            seconds.add_metric([route], buckets, sum_value=latencies[-1] / 1e9)
        yield seconds
        for name, meaning, ask in self._gauges:
            gauge = GaugeMetricFamily(name, meaning)
            gauge.add_metric([], ask())
            yield gauge
