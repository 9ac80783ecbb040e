"""What the house counts of itself."""

from prometheus_client.parser import text_string_to_metric_families

from tallystick.base.metrics import BUCKETS_MS, Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_requests_and_their_latency_are_told_as_prometheus_reads_them() -> None:
    metrics = Metrics()
    metrics.gauge("tallystick_waiting", "What waits.", lambda: 7)
    for milliseconds in (0.5, 1, 3, 20_000):
        metrics.count("GET", "/cards/{id}", 200, int(milliseconds * 1_000_000))
    metrics.count("GET", "/cards/{id}", 404, 0)
    told = samples(metrics)
    route = ("route", "/cards/{id}")
    assert told["tallystick_requests_total", (("method", "GET"), route, ("status", "200"))] == 4
    assert told["tallystick_requests_total", (("method", "GET"), route, ("status", "404"))] == 1
    assert told["tallystick_waiting", ()] == 7
    assert told["tallystick_request_seconds_count", (route,)] == 5
    assert told["tallystick_request_seconds_sum", (route,)] == 20.0045
    buckets = {
        dict(labels)["le"]: value
        for (name, labels), value in told.items()
        if name == "tallystick_request_seconds_bucket"
    }
    assert len(buckets) == len(BUCKETS_MS) + 1
    assert (buckets["0.001"], buckets["0.0025"], buckets["0.005"], buckets["10.0"], buckets["+Inf"]) == (3, 3, 4, 4, 5)


def test_what_was_never_asked_is_not_told() -> None:
    assert not [name for name, labels in samples(Metrics()) if labels]
