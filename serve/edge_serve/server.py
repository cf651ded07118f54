"""Serving from start to end: open, listen, answer, drain."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import ssl
from collections.abc import Callable, Mapping

from edge_runtime import UsageError
from edge_serve.app import build_app
from edge_serve.http.listen import allow_open_files, inherited_socket, listen, listen_unix, shown_address
from edge_serve.http.running import INTERRUPTED, Running, notify
from edge_serve.http.tls import tls_context
from edge_serve.model.reload import Reloader
from edge_serve.model.served_model import ServedModel, open_models
from edge_serve.observability.prometheus import Metrics
from edge_serve.observability.request_log import RequestLog
from edge_serve.settings import ServeSettings

_COLLECT_EVERY = 2_000


def serve(settings: ServeSettings, say: Callable[[str], None]) -> int:
    """Serve until SIGTERM (0), Ctrl-C (130), or, where the grace period was too short for what was accepted, 1.

    `say` is told in words what was chosen. SIGHUP looks at the model file again; a second Ctrl-C ends at once.

    Raises UsageError or EdgeError where the port cannot be had or the model file is none.
    """
    if os.name == "nt":
        raise UsageError("edge serve needs Linux or macOS", "on Windows, run it in WSL or a container")
    allow_open_files(settings.limits.open_files)
    # The port before the model: that it is taken is known in no time.
    tls = None if settings.tls_cert is None else tls_context(settings.tls_cert, settings.tls_key)
    inherited = inherited_socket()
    listening = inherited or _listen(settings)
    try:
        metrics = Metrics(tuple(settings.models) if settings.several else ())
        log = RequestLog(quiet=not settings.log_requests)
        try:
            with open_models(settings, metrics, say) as models, log.libraries():
                # What is here stays; what comes and goes in a request is collected before it is much.
                gc.freeze()
                gc.set_threshold(_COLLECT_EVERY)
                return asyncio.run(_serve(settings, listening, say, models=models, metrics=metrics, log=log, tls=tls))
        finally:
            log.close()
    finally:
        listening.close()
        if settings.unix is not None and inherited is None:
            settings.unix.unlink(missing_ok=True)


def _listen(settings: ServeSettings) -> socket.socket:
    return listen(settings.host, settings.port) if settings.unix is None else listen_unix(settings.unix)


async def _serve(
    settings: ServeSettings,
    listening: socket.socket,
    say: Callable[[str], None],
    *,
    models: Mapping[str, ServedModel],
    metrics: Metrics,
    log: RequestLog,
    tls: ssl.SSLContext | None,
) -> int:
    """Serve until a signal, then drain; the exit code."""
    gate = build_app(settings, models, metrics, log)

    def report(status: int, kind: str, reason: str) -> None:
        metrics.failed(kind)
        log.event("refused", status=status, kind=kind, error=reason)

    running = Running(gate, settings.limits, log, report, tls)
    metrics.watch(metrics.connections, lambda: len(running.connections.open))
    metrics.watch(metrics.in_flight, lambda: gate.in_flight)
    reloaders = [Reloader(served, log) for served in models.values()]

    def reload() -> None:
        for each in reloaders:
            running.spawn(each.reload())

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
    if settings.reload:
        for each in reloaders:
            running.spawn(each.watch())

    def ready() -> None:
        if listening.family == socket.AF_UNIX:
            where = listening.getsockname()
        else:
            scheme = "http" if tls is None else "https"
            where = shown_address(settings.host, listening.getsockname()[1], scheme=scheme)
        what = ", ".join(settings.models) if settings.several else settings.path
        say(f"serving {what} at {where}; Ctrl-C ends it")
        notify("READY=1")

    ended_by, left = await running.run(listening, ready)
    if left:
        log.event("stopped", level="error", cut_off=left)
        # What is stuck would hold up the end of the process.
        return 1
    for served in models.values():
        served.engine.close()
    log.event("stopped")
    return INTERRUPTED if ended_by is signal.SIGINT else 0
