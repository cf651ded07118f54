"""Several workers at one socket: started, kept alive, told of signals, and ended together.

uvicorn's own supervisor starts a worker that died at once and again for ever, ends with 0 whatever became of them, and
lets each tell systemd and say its greeting; so the few lines are ours. The socket is one that all inherit: whoever is
free takes the next client, none is lost with a worker that dies, and it may be a port, a Unix socket, or systemd's.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from edge_runtime import EdgeError, OutputError, identify_file
from edge_serve.http.listen import serving_where
from edge_serve.http.notify import INTERRUPTED, notify
from edge_serve.observability.request_log import RequestLog
from edge_serve.settings import ServeSettings
from edge_serve.workers.drift_figures import FleetDrift
from edge_serve.workers.messages import Answers, Message, Opened, Task
from edge_serve.workers.worker import Worker

_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 30.0
# One that has lived so long did not die of how it was started.
_STEADY_S = 60.0
# Beyond the grace period: for what a worker does before and after it.
_TO_END_S = 10.0
_PUBLISH_EVERY_S = 1.0


def supervise(settings: ServeSettings, listening: socket.socket, say: Callable[[str], None]) -> int:
    """Answer at `listening` with as many processes as `settings` say; the exit code, as `serve` gives it.

    Raises EdgeError or UsageError where the first worker cannot start, or none is left.
    """
    try:
        shared = Path(tempfile.mkdtemp(prefix="edge-serve-"))
    except OSError as error:
        raise OutputError(f"no temporary folder can be made: {error.strerror}", "set TMPDIR to one") from None
    log = RequestLog(quiet=not settings.log_requests)
    drift = FleetDrift(settings, shared, say)
    try:
        return asyncio.run(Supervisor(settings, listening, say, shared=shared, log=log, drift=drift).run())
    finally:
        drift.close()
        log.close()
        shutil.rmtree(shared, ignore_errors=True)


class Supervisor:
    """The workers from the first to the last."""

    def __init__(
        self,
        settings: ServeSettings,
        listening: socket.socket,
        say: Callable[[str], None],
        *,
        shared: Path,
        log: RequestLog,
        drift: FleetDrift,
    ) -> None:
        self._settings, self._listening, self._say = settings, listening, say
        self._shared, self._log, self._drift = shared, log, drift
        self._workers: dict[int, Worker] = {}
        self._batching: dict[str, tuple[bool, str]] = {}
        self._files: dict[str, tuple[int, ...] | None] = {}
        self._hangups = 0
        self._stopped = asyncio.Event()
        self._signal = signal.SIGTERM
        self._failure: EdgeError | None = None

    async def run(self) -> int:
        """Start all, keep them, end them; the exit code. Raises EdgeError where none is left."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, partial(self._stop, number))
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        keeping = asyncio.create_task(self._keep_all())
        stopping = asyncio.create_task(self._stopped.wait())
        await asyncio.wait((keeping, stopping), return_when=asyncio.FIRST_COMPLETED)
        self._stopped.set()
        stopping.cancel()
        keeping.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await keeping
        finally:
            codes = await self._end()
        if self._failure is not None:
            raise self._failure
        self._log.event("workers stopped", signal=self._signal.name)
        if any(code not in (0, INTERRUPTED) for code in codes):
            return 1
        return INTERRUPTED if self._signal is signal.SIGINT else 0

    async def _keep_all(self) -> None:
        """Start the first, which measures how the models are run best while nothing else is done; then the others."""
        self._files = {name: identify_file(path) for name, path in self._settings.models.items()}
        first = await self._start(0)
        self._batching = first.batching
        for line in first.said:
            self._say(line)
        count, threads = self._settings.workers, self._settings.worker_threads
        others = await asyncio.gather(*(self._start(number) for number in range(1, count)))
        each = f"{count} workers of {threads} thread{'' if threads == 1 else 's'} each"
        self._say(f"serving {serving_where(self._settings, self._listening)} with {each}; Ctrl-C ends it")
        notify("READY=1")
        async with asyncio.TaskGroup() as keeping:
            for worker in (first, *others):
                keeping.create_task(self._keep(worker))
            keeping.create_task(self._publish())

    async def _start(self, number: int) -> Worker:
        """A worker that takes clients. Raises what it could not start for."""
        settings = self._settings
        task = Task(number, settings.of_worker(), self._shared, self._batching)
        before = self._hangups
        worker = await Worker.start(task, self._listening, partial(self._heard, number))
        self._workers[number] = worker
        await worker.ready()
        if before != self._hangups:
            worker.send(signal.SIGHUP)
        return worker

    async def _keep(self, worker: Worker) -> None:
        """Start its successor when it has died, and theirs, each time after a longer while."""
        number, wait_s, started = worker.number, _FIRST_WAIT_S, time.monotonic()
        while True:
            code = await worker.ended()
            self._clear(number)
            if time.monotonic() - started > _STEADY_S:
                wait_s = _FIRST_WAIT_S
            self._log.event("worker died", level="error", died=number, pid=worker.pid, code=code, again_in_s=wait_s)
            successor = None
            while successor is None:
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
                started = time.monotonic()
                successor = await self._succeed(number, wait_s)
                if self._failure is not None:
                    return
            worker = successor

    async def _succeed(self, number: int, again_in_s: float) -> Worker | None:
        """A worker in the place of one that died; None where none can be started, which is the end if none is left."""
        try:
            worker = await self._start(number)
        except EdgeError as error:
            self._clear(number)
            self._log.event(
                "worker cannot start",
                level="error",
                died=number,
                error=error.message,
                hint=error.hint,
                again_in_s=again_in_s,
            )
            if not any(each.takes_clients for each in self._workers.values()):
                self._failure = EdgeError(f"no worker is left: {error.message}", error.hint)
                self._stopped.set()
            return None
        self._log.event("worker started", started=number, pid=worker.pid)
        self._agree(worker)
        return worker

    def _agree(self, worker: Worker) -> None:
        """Have the others look at their files again where the new worker has opened newer ones."""
        if any(worker.files.get(name) != file for name, file in self._files.items()):
            self._reload()

    async def _publish(self) -> None:
        while True:
            self._drift.publish()
            await asyncio.sleep(_PUBLISH_EVERY_S)

    def _heard(self, number: int, message: Message) -> None:
        if isinstance(message, Opened):
            self._drift.opened(number, message)
        elif isinstance(message, Answers):
            self._drift.answered(number, message)

    def _clear(self, number: int) -> None:
        """Have the figures of what is at this moment without the worker that died; what it counted stays."""
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(number, str(self._shared))  # type: ignore[no-untyped-call]

    def _reload(self) -> None:
        self._hangups += 1
        self._files = {name: identify_file(path) for name, path in self._settings.models.items()}
        self._send(signal.SIGHUP)

    def _stop(self, number: signal.Signals) -> None:
        if self._stopped.is_set() and number is signal.SIGINT:
            # A second Ctrl-C does not wait, and neither do they.
            self._send(signal.SIGINT)
        if not self._stopped.is_set():
            self._signal = number
        self._stopped.set()

    def _send(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            if worker.takes_clients:
                worker.send(number)

    async def _end(self) -> list[int]:
        """Let all drain; their exit codes. One that takes too long is killed."""
        notify("STOPPING=1")
        self._listening.close()
        self._send(self._signal)
        serving = [each for each in self._workers.values() if each.takes_clients]
        others = [each for each in self._workers.values() if each not in serving]
        for each in others:
            each.kill()
        left_s = self._settings.limits.grace_s + _TO_END_S
        codes = await asyncio.gather(*(each.end_within(left_s) for each in (*serving, *others)))
        return list(codes[: len(serving)])
