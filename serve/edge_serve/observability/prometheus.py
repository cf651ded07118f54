"""What is counted and timed, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge_runtime import ModelCard

# From a nano model on a desktop to a large one on a Raspberry Pi.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter("edge_requests", "Requests answered", ["method", "route", "status"], registry=registry)
        self.errors = Counter("edge_errors", "Requests not answered as asked, by kind", ["kind"], registry=registry)
        seconds = partial(Histogram, buckets=_SECONDS, registry=registry)
        self.request_seconds = seconds("edge_request_seconds", "From a request's head to its answer", ["route"])
        self.images = Counter("edge_images", "Pictures classified", registry=registry)
        self.queue_images = Gauge("edge_queue_images", "Pictures waiting or in work", registry=registry)
        self.queue_seconds = seconds("edge_queue_seconds", "From accepted to begun")
        self.decode_seconds = seconds("edge_decode_seconds", "Decoding and resizing a picture")
        self.inference_seconds = seconds("edge_inference_seconds", "Running the model once")
        self.batch_images = Histogram(
            "edge_batch_images", "Pictures in one run of the model", buckets=_SIZES, registry=registry
        )
        self.connections = Gauge("edge_connections", "Clients connected", registry=registry)
        self.in_flight = Gauge("edge_requests_in_flight", "Requests accepted and not answered", registry=registry)
        self.reloads = Counter(
            "edge_model_reloads", "Model files looked at after the first", ["result"], registry=registry
        )
        self.model = Gauge(
            "edge_model_info", "1 for the model served", ["model", "backbone", "precision"], registry=registry
        )
        for result in ("loaded", "refused"):
            self.reloads.labels(result)

    def show_model(self, name: str, card: ModelCard) -> None:
        """Say which model is served."""
        self.model.clear()
        self.model.labels(name, card.backbone, card.precision).set(1)

    def show_drift(self, figures: Callable[[], Mapping[str, Any]]) -> None:
        """Show what `figures` gives, as a `DriftRecord`'s window has them, each time they are asked for."""
        self.registry.register(_DriftCollector(figures))

    def exposition(self) -> bytes:
        """All of them, in text format 0.0.4."""
        return generate_latest(self.registry)


class _DriftCollector(Collector):
    """The figures of the last answers, as they are when somebody looks."""

    def __init__(self, figures: Callable[[], Mapping[str, Any]]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """A gauge for each figure that is known."""
        found = self._figures()
        for key, text in (
            ("window", "Answers that the other edge_drift figures are of"),
            ("confidence", "Mean probability of the answers"),
            ("confidence_p10", "Probability below which a tenth of the answers lie"),
            ("expected", "Accuracy on validation, which a calibrated model's confidence equals there"),
            ("labels_distance", "Total variation distance of the labels' shares from validation's"),
        ):
            if (value := found.get(key)) is not None:
                yield GaugeMetricFamily(f"edge_drift_{key}", text, value=value)
        shares = GaugeMetricFamily("edge_drift_label_share", "Share of the answers", labels=["label"])
        for label, share in found.get("labels", {}).items():
            shares.add_metric([label], share)
        yield shares
