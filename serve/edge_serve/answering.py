"""Answering at a socket: open the models, answer, drain."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edge_serve.app import build_app
from edge_serve.http.listen import serving_where
from edge_serve.http.notify import INTERRUPTED, notify
from edge_serve.http.running import Running
from edge_serve.model.reload import Reloader
from edge_serve.model.served_model import ServedModel
from edge_serve.observability.prometheus import Metrics, counted_here
from edge_serve.observability.request_log import RequestLog
from edge_serve.settings import ServeSettings

_COLLECT_EVERY = 2_000
_REFRESH_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """Where and for whom is answered: at `listening`, encrypted with `tls`; what happens is counted and written down.

    `ready` is called once clients are taken. Where there is `ends_with`, a file descriptor, its end ends the answering
    as SIGTERM does. Where `hung_up` is set, SIGHUP came while the models were opened.
    """

    listening: socket.socket
    tls: ssl.SSLContext | None
    metrics: Metrics
    log: RequestLog
    ready: Callable[[], None]
    ends_with: int | None = None
    hung_up: threading.Event = field(default_factory=threading.Event)


def answer_alone(
    settings: ServeSettings, listening: socket.socket, tls: ssl.SSLContext | None, say: Callable[[str], None]
) -> int:
    """Answer in this process, as `serve` does, which says what it gives and raises."""
    # Late: what metrics are made of is chosen when this is first loaded.
    from edge_serve.model.served_model import open_models

    def ready() -> None:
        say(f"serving {serving_where(settings, listening)}; Ctrl-C ends it")
        notify("READY=1")

    hung_up = threading.Event()
    signal.signal(signal.SIGHUP, lambda *_: hung_up.set())
    log = RequestLog(quiet=not settings.log_requests)
    try:
        with counted_here():
            metrics = Metrics(tuple(settings.models) if settings.several else ())
            with open_models(settings, metrics, say) as models, log.libraries():
                return answer(settings, Place(listening, tls, metrics, log, ready, hung_up=hung_up), models)
    finally:
        log.close()


def answer(settings: ServeSettings, place: Place, models: Mapping[str, ServedModel]) -> int:
    """Answer with `models` until a signal, then drain; the exit code, as `serve` gives it."""
    # What is here stays; what comes and goes in a request is collected before it is much.
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)
    return asyncio.run(_answer(settings, place, models))


async def _answer(settings: ServeSettings, place: Place, models: Mapping[str, ServedModel]) -> int:
    metrics, log = place.metrics, place.log
    gate = build_app(settings, models, metrics, log)

    def report(status: int, kind: str, reason: str) -> None:
        metrics.failed(kind)
        log.event("refused", status=status, kind=kind, error=reason)

    running = Running(gate, settings.limits, log, report, place.tls)
    metrics.watch(metrics.connections, lambda: len(running.connections.open))
    metrics.watch(metrics.in_flight, lambda: gate.in_flight)
    reloaders = [Reloader(served, log) for served in models.values()]

    def reload() -> None:
        for each in reloaders:
            running.spawn(each.reload())

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload)
    if place.hung_up.is_set():
        reload()
    if settings.reload:
        for each in reloaders:
            running.spawn(each.watch())
    if metrics.shared is not None:
        running.spawn(_refresh(metrics))
    if (end := place.ends_with) is not None:

        def ended() -> None:
            loop.remove_reader(end)
            running.stop()

        loop.add_reader(end, ended)
    ended_by, left = await running.run(place.listening, place.ready)
    if left:
        log.event("stopped", level="error", cut_off=left)
        # What is stuck would hold up the end of the process.
        return 1
    for served in models.values():
        served.engine.close()
    log.event("stopped")
    return INTERRUPTED if ended_by is signal.SIGINT else 0


async def _refresh(metrics: Metrics) -> None:
    """Have the others' scrapes see this process as it is."""
    while True:
        metrics.refresh()
        await asyncio.sleep(_REFRESH_EVERY_S)
