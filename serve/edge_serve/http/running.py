"""A gate on a socket, from the first request to the last: listen, answer, drain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import uvicorn

from edge_serve.http.connections import Connections, GuardedProtocol
from edge_serve.http.gate import Gate
from edge_serve.http.handshake import Handshake, shaking_hands
from edge_serve.http.limits import ServeLimits
from edge_serve.http.notify import INTERRUPTED, notify
from edge_serve.observability.request_log import RequestLog

_KEEP_ALIVE_S = 5
# Clients that are about to send on a connection they keep are told, rather than cut off in the middle.
_LEAST_DRAIN_S = 0.5
_LAST_CALL_S = 0.1


class Running:
    """One run of a server inside an event loop.

    `report` is told of each client that was refused before there was a request, as `Connections` says. With `tls` all
    connections are encrypted.
    """

    def __init__(
        self,
        gate: Gate,
        limits: ServeLimits,
        log: RequestLog,
        report: Callable[[int, str, str], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.connections = Connections(limits, report)
        self._gate = gate
        self._limits = limits
        self._log = log
        self._tls = tls
        self._stopped = asyncio.Event()
        self._signal = signal.SIGTERM
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, listening: socket.socket, ready: Callable[[], None]) -> tuple[signal.Signals, int]:
        """Serve until SIGTERM or SIGINT, then drain; which of them it was, and how many requests were cut off.

        `ready` is called once it listens. A second Ctrl-C ends the process at once.
        """
        server = _Server(_config(self._gate, self.connections, self._tls))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, partial(self._stop, number))
        self.spawn(self.connections.look_after())
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        ready()
        stopping = asyncio.create_task(self._stopped.wait())
        await asyncio.wait((stopping, serving), return_when=asyncio.FIRST_COMPLETED)
        notify("STOPPING=1")
        left = await self._drain()
        for listener in server.servers:
            listener.close()
        for each in list(self.connections.open):
            if isinstance(each, Handshake):
                # It has nothing to say that could be answered.
                each.abort()
        # Who connected just before may have sent a request that has not been read yet: it is answered, too.
        await asyncio.sleep(_LAST_CALL_S)
        server.should_exit = True
        await serving
        for task in self._tasks:
            task.cancel()
        return self._signal, left

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` beside the serving, and no longer than that."""
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self) -> int:
        """Let what was accepted be answered; how many requests were not within the grace period."""
        gate = self._gate
        gate.draining = True
        self._log.event("draining", signal=self._signal.name, in_flight=gate.in_flight)
        begun = time.monotonic()
        while (spent := time.monotonic() - begun) < self._limits.grace_s:
            if not gate.in_flight and spent >= min(_LEAST_DRAIN_S, self._limits.grace_s / 2):
                break
            await asyncio.sleep(0.02)
        return gate.in_flight

    def stop(self) -> None:
        """Drain and end, as at SIGTERM."""
        self._stop(signal.SIGTERM)

    def _stop(self, number: signal.Signals) -> None:
        if self._stopped.is_set() and number is signal.SIGINT:
            os._exit(INTERRUPTED)
        if not self._stopped.is_set():
            self._signal = number
        self._stopped.set()


class _Server(uvicorn.Server):
    """uvicorn's, with signals left to us: it would end with the signal's own code."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(gate: Gate, connections: Connections, tls: ssl.SSLContext | None) -> uvicorn.Config:
    # With a context of its own uvicorn would hear of a client only once it has shaken hands.
    http = partial(GuardedProtocol, connections) if tls is None else partial(shaking_hands, connections, tls)
    config = uvicorn.Config(
        gate,
        http=http,  # type: ignore[arg-type]
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
    config.load()
    return config
