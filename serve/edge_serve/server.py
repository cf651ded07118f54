"""Serving from start to end: open the socket, answer at it, be it in one process or several."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from edge_runtime import UsageError, as_kind, identify_file, require_extra
from edge_serve.http.hosts import is_address
from edge_serve.http.listen import allow_open_files, inherited_socket, listen, listen_unix
from edge_serve.http.tls import tls_context
from edge_serve.settings import ServeSettings


def serve(settings: ServeSettings, say: Callable[[str], None]) -> int:
    """Serve until SIGTERM (0), Ctrl-C (130), or, where the grace period was too short for what was accepted, 1.

    `say` is told in words what was chosen. SIGHUP looks at the model file again; a second Ctrl-C ends at once, and so
    does SIGTERM while the models are opened.

    Raises UsageError outside the main thread and where an event loop runs, as in a notebook, UsageError or EdgeError
    where the port cannot be had or a model file is none, and EdgeError where all workers have died and none can be
    started again.
    """
    if os.name == "nt":
        raise UsageError("edge serve needs Linux or macOS", "on Windows, run it in WSL or a container")
    as_kind(settings, ServeSettings, "`settings`")
    _require_process()
    with _borrowed_signals():
        try:
            return _serve(settings, say)
        except _Terminated:
            return 0


class _Terminated(SystemExit):
    """SIGTERM came before anything was accepted; an exit, for an event loop that is just beginning keeps all else."""


def _terminate(*_: object) -> None:
    raise _Terminated


def _serve(settings: ServeSettings, say: Callable[[str], None]) -> int:
    # Until the model is opened it would end the process; what it asks for, the newest file, is opened anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Till there is a loop to drain. Without it the code would be the signal's, and as the first process of a container,
    # to which the system sends no signal that it does not handle, it would go on.
    signal.signal(signal.SIGTERM, _terminate)
    allow_open_files(settings.limits.open_files)
    # The port before the model: that it is taken is known in no time.
    tls = None if settings.tls_cert is None else tls_context(settings.tls_cert, settings.tls_key)
    inherited = inherited_socket()
    listening = inherited or _listen(settings)
    made = None if inherited is not None or settings.unix is None else (settings.unix, identify_file(settings.unix))
    try:
        if inherited is not None:
            settings = _at(settings, inherited)
        if settings.workers > 1:
            require_extra("serve")
            from edge_serve.workers.supervisor import supervise

            return supervise(settings, listening, say)
        # What answers is not loaded where workers do.
        from edge_serve.answering import answer_alone

        return answer_alone(settings, listening, tls, say)
    finally:
        listening.close()
        # Since nobody listens a successor may have put its own there.
        if made is not None and identify_file(made[0]) == made[1]:
            made[0].unlink(missing_ok=True)


def _require_process() -> None:
    """Raise UsageError where signals cannot be had or a loop cannot be run."""
    # Late: where workers answer, what starts them brings it.
    import asyncio

    hint = "start edge serve as a process of its own: subprocess.Popen(['edge', 'serve', '--model', 'model.onnx'])"
    if threading.current_thread() is not threading.main_thread():
        raise UsageError("serve takes signals, which the main thread alone can", hint)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError("serve runs an event loop of its own, and one runs here, as in a notebook", hint)


@contextmanager
def _borrowed_signals() -> Iterator[None]:
    """What handled the signals that a server takes handles them again when the block is left."""
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: not set by Python, and cannot be by it.
            if handler is not None:
                signal.signal(number, handler)


def _at(settings: ServeSettings, inherited: socket.socket) -> ServeSettings:
    """The settings with the address that the socket is bound to.

    Raises UsageError where they do not allow for who may come by it.
    """
    if inherited.family == socket.AF_UNIX:
        return settings
    # The name that was given is still one that the server goes by.
    named = () if is_address(settings.host) else (settings.host,)
    names = (*settings.allow_hosts, *named)
    return replace(settings, host=inherited.getsockname()[0], allow_hosts=names, unix=None)


def _listen(settings: ServeSettings) -> socket.socket:
    return listen(settings.host, settings.port) if settings.unix is None else listen_unix(settings.unix)
