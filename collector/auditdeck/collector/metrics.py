"""What the collector counts, as Prometheus' metrics (prometheus.io: "Metric and label naming")."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from auditdeck import __version__
from auditdeck.collector.health import LOSSES
from auditdeck.collector.lag import BOUNDS, Lag
from auditdeck.eventlog.status import troubles

COUNTERS = {
    "events": "Events of audit that were put together.",
    "records": "Records of audit that came.",
    "connections": "Attempts to connect that the tracepoint told.",
    "documents": "Documents written to the event log.",
    "filtered": "Events that a filter kept out, and records of types that are not wanted.",
    "absorbed": "Socket events that only told a protocol.",
    "incomplete": "Events that were written without all of their records.",
    "late": "Records that came after their event was written.",
    "unwatched_seconds": "Seconds in which the kernel did not record what it was asked to.",
}
GAUGES = {
    "backlog": ("backlog_records", "Records that wait in the kernel."),
    "queued": ("queued_records", "Records that wait to be decoded."),
    "segments": ("event_log_segments", "Segments of the event log."),
}
OF_OUTPUTS = {
    "sent": "Documents that were delivered.",
    "repeated": "Documents that were delivered and had been there already.",
    "dead_letters": "Documents that were refused for good.",
    "shortened": "Documents that were too long, and lost the ends of long texts.",
    "doubled": "Documents that may be there twice (at most so many).",
}


class Metrics(Collector):
    """`state` gives what status.json is made of."""

    def __init__(self, state: Callable[[], dict[str, Any]], lag: Lag) -> None:
        self.state = state
        self.lag = lag
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def page(self, accept: str) -> tuple[str, bytes]:
        """Its content type, and the page as the header Accept wants it: OpenMetrics, or Prometheus' text."""
        encode, kind = choose_encoder(accept)
        return kind, encode(self.registry)

    def describe(self) -> Iterator[Metric]:
        """Nothing is asked when this is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        state = self.state()
        counters = state["counters"]
        for name, help_ in COUNTERS.items():
            value = getattr(counters, name.removesuffix("_seconds"))
            yield CounterMetricFamily(f"auditdeck_{name}", help_, value=value)
        lost = CounterMetricFamily(
            "auditdeck_lost", "What was lost, by the name that `auditdeck status` has for it.", labels=["reason"]
        )
        for name in LOSSES:
            lost.add_metric([name], getattr(counters, name))
        yield lost
        for name, (shown, help_) in GAUGES.items():
            yield GaugeMetricFamily(f"auditdeck_{shown}", help_, value=getattr(counters, name))
        yield HistogramMetricFamily(
            "auditdeck_lag_seconds",
            "From an event to its place in the event log.",
            buckets=[*zip([*map(str, BOUNDS), "+Inf"], accumulate(self.lag.counts), strict=True)],
            sum_value=self.lag.total,
        )
        open_ = state["connections"]["open"]
        if open_ is not None:
            yield GaugeMetricFamily("auditdeck_open_connections", "Outbound connections that are open.", value=open_)
        yield GaugeMetricFamily(
            "auditdeck_ready", "Whether everything is watched and written, as /readyz says.", value=not troubles(state)
        )
        info = {"version": __version__, "source": state["connections"]["source"], "mode": state["mode"]}
        build = GaugeMetricFamily("auditdeck_build_info", "What runs, and how.", labels=[*info])
        build.add_metric([*info.values()], 1)
        yield build
        yield from self.of_filters(state["filters"])
        yield from self.of_outputs(state["outputs"])

    def of_filters(self, filters: dict[str, int]) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "auditdeck_filter_events", "Events that a filter decided about.", labels=["filter"]
        )
        for name, count in filters.items():
            family.add_metric([name], count)
        yield family

    def of_outputs(self, outputs: dict[str, Any]) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "auditdeck_output_up", "Whether nothing keeps the output from going on.", labels=["output"]
        )
        behind = GaugeMetricFamily(
            "auditdeck_output_behind_bytes", "Bytes of the event log that it has still to send.", labels=["output"]
        )
        families = {
            name: CounterMetricFamily(f"auditdeck_output_{name}", help_, labels=["output"])
            for name, help_ in OF_OUTPUTS.items()
        }
        for output, counts in outputs.items():
            up.add_metric([output], not counts.error)
            behind.add_metric([output], counts.behind)
            for name, family in families.items():
                family.add_metric([output], getattr(counts, name))
        yield from (up, behind, *families.values())
