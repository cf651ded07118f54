"""One line of JSON for each request and event, on stderr, without ever making a request wait for the reader."""

from __future__ import annotations

import io
import json
import logging
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Any

_HELD_LINES = 10_000


class RequestLog:
    """Writes lines on a thread of its own.

    A pipe whose reader sleeps blocks whoever writes to it: lines beyond 10,000 are dropped and counted, not waited for.
    `quiet` leaves out what is not an error. Each line says which `worker` wrote it, where there are several.
    """

    def __init__(self, stream: IO[str] | None = None, *, quiet: bool = False, worker: int | None = None) -> None:
        self._stream = _standard_error() if stream is None else stream
        self._quiet = quiet
        self._worker = worker
        self._lines: queue.Queue[str | None] = queue.Queue(_HELD_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="edge-log", daemon=True)
        self._thread.start()

    def event(self, event: str, *, level: str = "info", **fields: Any) -> None:
        """Write `{"time": …, "level": …, "event": …, …}`; fields that are None are left out."""
        if self._quiet and level == "info":
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        value = {"time": now, "level": level, "event": event}
        fields["worker"] = self._worker
        value.update((key, field) for key, field in fields.items() if field is not None)
        try:
            self._lines.put_nowait(json.dumps(value))
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what is left, for a second at most."""
        try:
            self._lines.put(None, timeout=1)
        except queue.Full:
            return
        self._thread.join(timeout=1)

    @contextmanager
    def libraries(self) -> Iterator[None]:
        """Within the block, what libraries log or warn of is lines of this log, too."""
        handler = _LibraryHandler(self)
        root = logging.getLogger()
        root.addHandler(handler)
        logging.captureWarnings(True)
        # They tell each stranger's mistake; the answer, and the request's own line, tell it better.
        for name in ("uvicorn.error", "python_multipart"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logging.captureWarnings(False)
            root.removeHandler(handler)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                line = f'{line}\n{{"level": "warning", "event": "log lines dropped", "count": {dropped}}}'
            try:
                self._stream.write(f"{line}\n")
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):
                # The reader has gone. Serving goes on.
                continue


def _standard_error() -> IO[str]:
    """Without the buffer of sys.stderr: a write that waits for the reader holds its lock, and whoever flushes waits."""
    try:
        raw = io.FileIO(sys.stderr.fileno(), "wb", closefd=False)
    except OSError:  # no file: a notebook's
        return sys.stderr
    return io.TextIOWrapper(raw, encoding="ascii", write_through=True)


class _LibraryHandler(logging.Handler):
    def __init__(self, log: RequestLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        self._log.event("library", level=level, logger=record.name, error=self.format(record))
