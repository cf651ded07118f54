"""What is counted and timed, in Prometheus' text format."""

from __future__ import annotations

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

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

    def exposition(self) -> bytes:
        """All of them, in text format 0.0.4."""
        return generate_latest(self.registry)
