"""What is counted and timed, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
    values,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from edge_runtime import ModelCard
from edge_serve.http.answer_text import encodable
from edge_serve.observability.process_figures import ProcessFigures

# From a nano model on a desktop to a large one on a Raspberry Pi.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)
_DRIFT = {
    "window": "Answers that the other edge_drift figures are of",
    "confidence": "Mean probability of the answers",
    "confidence_p10": "Probability below which a tenth of the answers lie",
    "expected": "Accuracy on validation, which a calibrated model's confidence equals there",
    "labels_distance": "Total variation distance of the labels' shares from validation's",
    "distance": "Mean distance of the pictures from training's",
    "distance_expected": "Mean distance of validation's pictures from training's",
    "unlikeness": "Mean share of validation's pictures that lie nearer to training's, 0.5 where nothing has changed",
}


@contextmanager
def counted_here() -> Iterator[None]:
    """Within the block, what is counted is kept by this process, though the environment have another program's folder.

    prometheus-client takes PROMETHEUS_MULTIPROC_DIR for its own where it is first loaded, and writes files there.
    """
    before = values.ValueClass
    values.ValueClass = values.MutexValue
    try:
        yield
    finally:
        values.ValueClass = before


class Metrics:
    """The metrics of one server, in a registry of their own.

    `models` are the names where there are several: each figure then says in the label `model` which of them it is of.
    `shared` is the folder that they have in common with the other workers', where `share_metrics` has been called.
    """

    def __init__(self, models: Sequence[str] = (), shared: Path | None = None) -> None:
        self.registry = CollectorRegistry()
        self.shared = shared
        self._by_model = bool(models)
        self._watched: list[tuple[Gauge, Callable[[], float]]] = []
        self._process = None if shared is None else ProcessFigures(self)
        if shared is None:
            ProcessCollector(registry=self.registry)
        of = self._of_model()
        self._requests = self.counter("edge_requests", "Requests answered", "method", "route", "status", *of)
        self._errors = self.counter("edge_errors", "Requests not answered as asked, by kind", "kind", *of)
        self._request_seconds = self._seconds(
            "edge_request_seconds", "From a request's head to its answer", "route", *of
        )
        self.connections = self.gauge("edge_connections", "Clients connected")
        self.in_flight = self.gauge("edge_requests_in_flight", "Requests accepted and not answered")
        self.images = self.counter("edge_images", "Pictures classified", *of)
        self.queue_images = self.gauge("edge_queue_images", "Pictures waiting or in work", *of)
        self.queue_seconds = self._seconds("edge_queue_seconds", "From accepted to begun", *of)
        self.decode_seconds = self._seconds("edge_decode_seconds", "Decoding and resizing a picture", *of)
        self.inference_seconds = self._seconds("edge_inference_seconds", "Running the model once", *of)
        self.batch_images = Histogram(
            "edge_batch_images", "Pictures in one run of the model", of, buckets=_SIZES, registry=self.registry
        )
        self.reloads = self.counter("edge_model_reloads", "Model files looked at after the first", "result", *of)
        self._served = _ServedModels(by_model=self._by_model)
        self.registry.register(self._served)

    def of(self, model: str) -> ModelMetrics:
        """The metrics of the model of that name."""
        return ModelMetrics(self, model, self._served, (model,) if self._by_model else ())

    def watch(self, gauge: Gauge, figure: Callable[[], float]) -> None:
        """Have the gauge show what `figure` gives when somebody looks, or, of several workers, lately gave."""
        if self.shared is None:
            gauge.set_function(figure)
        else:
            self._watched.append((gauge, figure))

    def refresh(self) -> None:
        """Have the other workers see what is watched as it is now."""
        for gauge, figure in self._watched:
            gauge.set(figure())
        if self._process is not None:
            self._process.refresh()

    def answered(self, method: str, route: str, status: int, seconds: float, model: str) -> None:
        """Count a request; `model` is that which it was for, "" where it was for none."""
        of = self._of_model(model)
        self._requests.labels(method, route, str(status), *of).inc()
        self._request_seconds.labels(route, *of).observe(seconds)

    def failed(self, kind: str, model: str = "") -> None:
        """Count what was not answered as asked."""
        self._errors.labels(kind, *self._of_model(model)).inc()

    def exposition(self) -> bytes:
        """All of them, in text format 0.0.4; of several workers those of all together."""
        if self.shared is None:
            return generate_latest(self.registry)
        self.refresh()
        together = CollectorRegistry()
        MultiProcessCollector(together, str(self.shared))  # type: ignore[no-untyped-call]
        together.register(self._served)
        return generate_latest(together)

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """A counter among these."""
        return Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """A gauge among these; of several workers it is the sum of those that live."""
        return Gauge(name, text, labels, registry=self.registry, multiprocess_mode="livesum")

    def _of_model(self, value: str = "model") -> tuple[str, ...]:
        return (value,) if self._by_model else ()

    def _seconds(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=_SECONDS, registry=self.registry)


class ModelMetrics:
    """Those of one model among a server's metrics; `of` are the values of the label that says so."""

    def __init__(self, metrics: Metrics, name: str, served: _ServedModels, of: tuple[str, ...]) -> None:
        self.images: Counter = metrics.images.labels(*of) if of else metrics.images
        self.queue_seconds: Histogram = metrics.queue_seconds.labels(*of) if of else metrics.queue_seconds
        self.decode_seconds: Histogram = metrics.decode_seconds.labels(*of) if of else metrics.decode_seconds
        self.inference_seconds: Histogram = metrics.inference_seconds.labels(*of) if of else metrics.inference_seconds
        self.batch_images: Histogram = metrics.batch_images.labels(*of) if of else metrics.batch_images
        self._metrics, self._name, self._served, self._of = metrics, name, served, of
        for result in ("loaded", "refused"):
            metrics.reloads.labels(result, *of)

    def queue_images(self, count: Callable[[], float]) -> None:
        """Have the pictures that wait or are in work shown as `count` gives them."""
        gauge = self._metrics.queue_images
        self._metrics.watch(gauge.labels(*self._of) if self._of else gauge, count)

    def looked(self, result: str) -> None:
        """Count a look at a new file: `loaded` or `refused`."""
        self._metrics.reloads.labels(result, *self._of).inc()

    def show_model(self, card: ModelCard) -> None:
        """Say which model is served."""
        self._served.cards[self._name] = card

    def show_drift(self, figures: Callable[[], Mapping[str, Any]]) -> None:
        """Show what `figures` gives, as a `DriftRecord`'s window has them, each time they are asked for."""
        self._served.drift[self._name] = figures


class _ServedModels(Collector):
    """Which models are served, and the figures of their last answers, as they are when somebody looks."""

    def __init__(self, *, by_model: bool) -> None:
        self.cards: dict[str, ModelCard] = {}
        self.drift: dict[str, Callable[[], Mapping[str, Any]]] = {}
        self._by_model = by_model

    def describe(self) -> list[Metric]:
        """Nothing: what there is shows once there is a model."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The models, and of each that is recorded a gauge for every figure that is known."""
        served = GaugeMetricFamily(
            "edge_model_info", "1 for the model served", labels=["model", "backbone", "precision"]
        )
        for name, card in self.cards.items():
            served.add_metric([name, *map(encodable, (card.backbone, card.precision))], 1)
        yield served
        found = {name: figures() for name, figures in self.drift.items()}
        if not found:
            return
        labels = ["model"] if self._by_model else []
        for key, text in _DRIFT.items():
            known = {name: figures[key] for name, figures in found.items() if figures.get(key) is not None}
            gauge = GaugeMetricFamily(f"edge_drift_{key}", text, labels=labels)
            for name, value in known.items():
                gauge.add_metric([name] if self._by_model else [], value)
            if known:
                yield gauge
        shares = GaugeMetricFamily("edge_drift_label_share", "Share of the answers", labels=[*labels, "label"])
        for name, figures in found.items():
            for label, share in figures.get("labels", {}).items():
                of = encodable(label)
                shares.add_metric([name, of] if self._by_model else [of], share)
        yield shares
