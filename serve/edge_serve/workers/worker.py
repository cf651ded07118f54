"""A worker as its supervisor sees it: a process, and what it says."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Self

from edge_runtime import EdgeError, UsageError, python_command
from edge_serve.workers.messages import Failed, Message, Opened, Ready, Task

_MODULE = "edge_serve.workers.serving_worker"
# The supervisor alone speaks with systemd; the token is part of the task, not of what every process of a user may read.
_NOT_THEIRS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "EDGE_SERVE_TOKEN")


class Worker:
    """The worker `number`; `batching`, `said` and `files` are what it told once it was ready."""

    def __init__(
        self, number: int, process: asyncio.subprocess.Process, channel: Connection, heard: Callable[[Message], None]
    ) -> None:
        self.number = number
        self.batching: dict[str, tuple[bool, str]] = {}
        self.said: tuple[str, ...] = ()
        self.files: dict[str, tuple[int, ...]] = {}
        self._process = process
        self._channel = channel
        self._heard = heard
        self._serves = False
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(channel.fileno(), self._read)

    @classmethod
    async def start(cls, task: Task, listening: socket.socket, heard: Callable[[Message], None]) -> Self:
        """Start the process and tell it its task; `heard` is told what it says.

        Raises EdgeError where the system starts none.
        """
        try:
            process, ours = await cls._begin(task, listening)
        except OSError as error:
            reason = error.strerror or str(error)
            raise EdgeError(f"worker {task.number} cannot be started: {reason}", "it is tried again") from None
        channel = Connection(ours.detach())
        with suppress(OSError):
            channel.send(task)
        return cls(task.number, process, channel, heard)

    @staticmethod
    async def _begin(task: Task, listening: socket.socket) -> tuple[asyncio.subprocess.Process, socket.socket]:
        """A process, and our end of what it hears by."""
        ours, theirs = socket.socketpair()
        handed_over = (theirs.fileno(), listening.fileno())
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_THEIRS}
        environment["PROMETHEUS_MULTIPROC_DIR"] = str(task.shared)
        # What can be imported here can be there, and nothing from the folder that this was started in.
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *python_command(*(f"-W{each}" for each in sys.warnoptions), "-m", _MODULE, *map(str, handed_over)),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=handed_over,
                    env=environment,
                    # Ctrl-C is the supervisor's to hand on: twice means something else.
                    process_group=0,
                )
        except BaseException:
            ours.close()
            raise
        return process, ours

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def takes_clients(self) -> bool:
        """Whether it has been ready and lives."""
        return self._process.returncode is None and self._serves

    async def ready(self) -> None:
        """Wait until it takes clients. Raises what it could not start for; it is killed where nobody waits any more."""
        try:
            await self._ready
        except BaseException:
            self.kill()
            raise

    async def ended(self) -> int:
        """Wait until it has ended; its exit code, negative where a signal ended it."""
        code = await self._process.wait()
        self._close()
        return code

    async def end_within(self, seconds: float) -> int:
        """Its exit code, once it has ended or been killed for taking longer."""
        try:
            async with asyncio.timeout(seconds):
                return await self.ended()
        except TimeoutError:
            self.kill()
            return await self.ended()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it lives."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once."""
        self.send(signal.SIGKILL)

    def _read(self) -> None:
        try:
            message: Message = self._channel.recv()
        except (EOFError, OSError):
            self._close()
            return
        if isinstance(message, Ready):
            self.batching, self.said = message.batching, message.said
            self._serves = True
            self._settle(None)
        elif isinstance(message, Failed):
            kind = UsageError if message.exit_code == UsageError.exit_code else EdgeError
            self._settle(kind(message.message, message.hint))
        else:
            if isinstance(message, Opened) and message.file:
                self.files[message.model] = message.file
            try:
                self._heard(message)
            except EdgeError as error:
                self._settle(error)

    def _settle(self, error: EdgeError | None) -> None:
        if self._ready.done():
            return
        if error is None:
            self._ready.set_result(None)
        else:
            self._ready.set_exception(error)

    def _close(self) -> None:
        if not self._channel.closed:
            asyncio.get_running_loop().remove_reader(self._channel.fileno())
            self._channel.close()
        self._settle(EdgeError(f"worker {self.number} died while it started", "its own words are above"))
