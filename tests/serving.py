"""`edge serve` as a process of its own, on a free port, for tests that talk to it over real sockets."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

__all__ = ["Reply", "Served", "form", "picture", "replace_file", "serving"]

START_S = 60


class Reply:
    """What the server answered."""

    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """A running server: its port, its process, and what it has said on stderr."""

    def __init__(self, process: subprocess.Popen[str], lines: list[str], port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._lines = lines

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        """One request on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def predict(self, image: bytes, query: str = "", **headers: str) -> Reply:
        """POST /predict with a picture's bytes."""
        return self.ask("POST", f"/predict{query}", image, {"Content-Type": "image/png", **headers})

    def raw(self, data: bytes, *, timeout_s: float = 15, then_close: bool = False) -> bytes:
        """Send bytes as they are; everything the server says until it closes, or until it is silent for `timeout_s`."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as connection:
            received = b""
            try:
                connection.sendall(data)
                if then_close:
                    connection.shutdown(socket.SHUT_WR)
                while chunk := connection.recv(65_536):
                    received += chunk
            except (TimeoutError, ConnectionError):
                pass
            return received

    def log(self, event: str) -> list[dict[str, Any]]:
        """The structured lines of one kind, so far."""
        lines = [json.loads(line) for line in self._lines if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def check_log(self) -> None:
        """Fail where a line behind the greeting is not one JSON object."""
        greeting = next(number for number, line in enumerate(self._lines) if line.startswith("serving "))
        for line in self._lines[greeting + 1 :]:
            assert line.startswith("{") and isinstance(json.loads(line), dict), line

    def said(self) -> str:
        """Everything on stderr, so far."""
        return "\n".join(self._lines)

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        """The `count`th line of that kind, once it is there."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            found = self.log(event)
            if len(found) >= count:
                return found[count - 1]
            time.sleep(0.02)
        raise AssertionError(f"no {event!r} in:\n{self.said()}")

    def request_line(self, identity: str) -> dict[str, Any]:
        """The line of the request that was answered with that X-Request-Id."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            for line in self.log("request"):
                if line["id"] == identity:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"no line of {identity} in:\n{self.said()}")

    def metric(self, name: str) -> float:
        """A sample of /metrics, named with its labels."""
        for line in self.ask("GET", "/metrics").body.decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and give the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


@contextmanager
def serving(model: Path | Mapping[str, Path], *flags: str, **environment: str) -> Iterator[Served]:
    """`edge serve --model MODEL`, ready; warnings are errors there, too. It is killed where it does not end itself."""
    models = [f"{name}={path}" for name, path in model.items()] if isinstance(model, Mapping) else [str(model)]
    command = [sys.executable, "-W", "error", "-m", "edge_cli", "serve"]
    command += [word for each in models for word in ("--model", each)]
    command += [] if "--unix" in flags else ["--port", "0"]
    if "--batching" not in flags:
        # Measuring takes a second and a half of each test.
        command += ["--batching", "off"]
    process = subprocess.Popen(
        [*command, *flags],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stderr is not None
    lines: list[str] = []
    ready = threading.Event()
    reader = threading.Thread(target=_read, args=(process, lines, ready))
    reader.start()
    try:
        if not ready.wait(START_S) or process.poll() is not None:
            raise AssertionError("the server did not start:\n" + "\n".join(lines))
        port = re.search(r"at https?://[^ ]*:(\d+)/", "\n".join(lines))
        assert port is not None or "--unix" in flags
        yield Served(process, lines, int(port[1]) if port else 0)
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join()
        process.stderr.close()


def _read(process: subprocess.Popen[str], lines: list[str], ready: threading.Event) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line.rstrip("\n"))
        if line.startswith("serving "):
            ready.set()
    ready.set()


def picture(colour: str = "red", size: tuple[int, int] = (48, 40), kind: str = "PNG") -> bytes:
    """A picture of one colour, encoded."""
    file = BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def replace_file(path: Path, new: Path) -> None:
    """As a careful program does: the new file appears whole."""
    shutil.copy(new, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def form(*parts: tuple[str, str | None, bytes], boundary: str = "xYzZY") -> tuple[bytes, dict[str, str]]:
    """A multipart body of (field, file name or None, bytes), and its Content-Type."""
    body = b""
    for name, file_name, data in parts:
        file = "" if file_name is None else f'; filename="{file_name}"'
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}
