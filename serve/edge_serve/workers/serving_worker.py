"""One of several processes that answer at one port: `python -m edge_serve.workers.serving_worker CHANNEL SOCKET`.

Both are file descriptors that the supervisor hands over. The end of the channel is the end of the supervisor, and the
worker drains then: nobody is left to hold the port.
"""

from __future__ import annotations

import signal
import socket
import sys
from multiprocessing.connection import Connection

from edge_runtime import EdgeError, prepare_process
from edge_serve.workers.fair_socket import FairSocket
from edge_serve.workers.messages import Failed, Opened, Ready, Task


def main() -> int:
    """Do what the channel says; the exit code."""
    # One that comes too early would end it; what it asks for, the newest file, is opened anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    channel = Connection(int(sys.argv[1]))
    with FairSocket(fileno=int(sys.argv[2])) as listening:
        try:
            task = channel.recv()
        except EOFError:
            return 1
        if not isinstance(task, Task):
            return 1
        prepare_process()
        try:
            return _work(task, channel, listening)
        except EdgeError as error:
            channel.send(Failed(error.message, error.hint, error.exit_code))
            return error.exit_code


def _work(task: Task, channel: Connection, listening: socket.socket) -> int:
    _share_metrics(task.number)
    from edge_serve.answering import Place, answer
    from edge_serve.http.tls import tls_context
    from edge_serve.model.batching import BatchChoice
    from edge_serve.model.served_model import open_models
    from edge_serve.observability.prometheus import Metrics
    from edge_serve.observability.request_log import RequestLog
    from edge_serve.workers.answers_sender import AnswersSender, SentAnswers
    from edge_serve.workers.drift_figures import drift_figures

    settings = task.settings
    tls = None if settings.tls_cert is None else tls_context(settings.tls_cert, settings.tls_key)
    metrics = Metrics(tuple(settings.models) if settings.several else (), task.shared)
    log = RequestLog(quiet=not settings.log_requests, worker=task.number)
    sender = AnswersSender(channel)
    known = {name: BatchChoice(*choice) for name, choice in task.batching.items()}
    record_of = None if settings.drift is None else lambda name, card: SentAnswers(sender, name, card)
    said: list[str] = []
    try:
        opened = open_models(settings, metrics, said.append, known=known, record_of=record_of)
        with opened as models, log.libraries():
            for name, served in models.items():
                sender.now(Opened(name, served.engine.model.wide.card, served.engine.model.file))
                if settings.drift is not None:
                    served.metrics.show_drift(drift_figures(task.shared, name))
            choices = {name: served.engine.model.choice for name, served in models.items()}

            def ready() -> None:
                sender.now(Ready({name: (each.on, each.reason) for name, each in choices.items()}, tuple(said)))
                sender.start()

            return answer(settings, Place(listening, tls, metrics, log, ready, channel.fileno()), models)
    finally:
        sender.close()
        log.close()


def _share_metrics(number: int) -> None:
    """Have this worker's figures in files of its number, which its successor goes on with.

    By process id, as they are else, each worker that dies would leave files behind.
    """
    from prometheus_client import values

    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    sys.exit(main())
