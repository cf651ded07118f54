"""Serving from start to end: open, listen, answer, drain."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import uvicorn

from edge_runtime import UsageError
from edge_serve.app import build_app
from edge_serve.http.connections import Connections, GuardedProtocol
from edge_serve.http.gate import Gate
from edge_serve.http.listen import allow_open_files, listen, shown_address
from edge_serve.model.engine import Engine
from edge_serve.model.loaded_model import load_model
from edge_serve.model.reload import Reloader
from edge_serve.observability.prometheus import Metrics
from edge_serve.observability.request_log import RequestLog
from edge_serve.settings import ServeSettings

INTERRUPTED = 130
_KEEP_ALIVE_S = 5
_COLLECT_EVERY = 2_000
# Clients that are about to send on a connection they keep are told, rather than cut off in the middle.
_LEAST_DRAIN_S = 0.5
_LAST_CALL_S = 0.1


def serve(settings: ServeSettings, say: Callable[[str], None]) -> int:
    """Serve until SIGTERM (0), Ctrl-C (130), or, where the grace period was too short for what was accepted, 1.

    `say` is told in words what was chosen. SIGHUP looks at the model file again; a second Ctrl-C ends at once.

    Raises UsageError or EdgeError where the port cannot be had or the model file is none.
    """
    if os.name == "nt":
        raise UsageError("edge serve needs Linux or macOS", "on Windows, run it in WSL or a container")
    allow_open_files(settings.limits.open_files)
    # The port before the model: that it is taken is known in no time.
    listening = listen(settings.host, settings.port)
    try:
        model = load_model(settings)
        metrics = Metrics()
        log = RequestLog(quiet=not settings.log_requests)
        engine = Engine(settings, model, metrics)
        metrics.show_model(settings.model_name, model.wide.card)
        try:
            on = "on" if model.choice.on else "off"
            # What is here stays; what comes and goes in a request is collected before it is much.
            gc.freeze()
            gc.set_threshold(_COLLECT_EVERY)
            say(f"batching {on}: {model.choice.reason}")
            with log.libraries():
                return asyncio.run(_Serving(settings, engine, metrics, log, say).run(listening))
        finally:
            log.close()
    finally:
        listening.close()


class _Server(uvicorn.Server):
    """uvicorn's, with signals left to us: it would end with the signal's own code."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Serving:
    """One run of the server inside an event loop."""

    def __init__(
        self, settings: ServeSettings, engine: Engine, metrics: Metrics, log: RequestLog, say: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._metrics = metrics
        self._log = log
        self._say = say
        self._stopped = asyncio.Event()
        self._signal = signal.SIGTERM
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, listening: socket.socket) -> int:
        """Serve until a signal, then drain; the exit code."""
        gate = build_app(self._settings, self._engine, self._metrics, self._log)
        connections = Connections(self._settings.limits, self._report)
        self._metrics.connections.set_function(lambda: len(connections.open))
        self._metrics.in_flight.set_function(lambda: gate.in_flight)
        server = _Server(_config(gate, connections))
        reloader = Reloader(self._settings, self._engine, self._metrics, self._log)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, partial(self._stop, number))
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(reloader.reload()))
        self._spawn(connections.look_after())
        if self._settings.reload:
            self._spawn(reloader.watch())
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        port = listening.getsockname()[1]
        self._say(f"serving {self._settings.model} at {shown_address(self._settings.host, port)}; Ctrl-C ends it")
        _notify("READY=1")
        stopping = asyncio.create_task(self._stopped.wait())
        await asyncio.wait((stopping, serving), return_when=asyncio.FIRST_COMPLETED)
        _notify("STOPPING=1")
        left = await self._drain(gate)
        for listener in server.servers:
            listener.close()
        # Who connected just before may have sent a request that has not been read yet: it is answered, too.
        await asyncio.sleep(_LAST_CALL_S)
        server.should_exit = True
        await serving
        for task in self._tasks:
            task.cancel()
        if left:
            self._log.event("stopped", level="error", cut_off=left)
            # What is stuck would hold up the end of the process.
            return 1
        self._engine.close()
        self._log.event("stopped")
        return INTERRUPTED if self._signal is signal.SIGINT else 0

    async def _drain(self, gate: Gate) -> int:
        """Let what was accepted be answered; how many requests were not within the grace period."""
        gate.draining = True
        self._log.event("draining", signal=self._signal.name, in_flight=gate.in_flight)
        begun = time.monotonic()
        while (spent := time.monotonic() - begun) < self._settings.limits.grace_s:
            if not gate.in_flight and spent >= min(_LEAST_DRAIN_S, self._settings.limits.grace_s / 2):
                break
            await asyncio.sleep(0.02)
        return gate.in_flight

    def _stop(self, number: signal.Signals) -> None:
        if self._stopped.is_set() and number is signal.SIGINT:
            os._exit(INTERRUPTED)
        if not self._stopped.is_set():
            self._signal = number
        self._stopped.set()

    def _report(self, status: int, kind: str, reason: str) -> None:
        """A client that was refused before there was a request."""
        self._metrics.errors.labels(kind).inc()
        self._log.event("refused", status=status, kind=kind, error=reason)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _config(gate: Gate, connections: Connections) -> uvicorn.Config:
    return uvicorn.Config(
        gate,
        http=partial(GuardedProtocol, connections),  # type: ignore[arg-type]
        loop="asyncio",
        ws="none",
        lifespan="off",
        # Our own log has what uvicorn's would say, and more.
        log_config=None,
        access_log=False,
        # An address that a client claims is worth nothing; whoever is connected is logged.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )


def _notify(state: str) -> None:
    """Tell systemd, where it started us with Type=notify (sd_notify)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
