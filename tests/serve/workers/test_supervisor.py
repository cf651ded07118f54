"""Several processes at one port: one figure for all, one record, and a successor for each that dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from edge_runtime import EdgeError
from edge_serve import ServeSettings
from edge_serve.workers.messages import Failed, Opened, Ready, Task
from edge_serve.workers.worker import Worker
from serving import Served, picture, replace_file, serving
from tiny_model import write_tiny_model


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def label(served: Served) -> str:
    return str(served.predict(picture("red")).json()["predictions"][0]["label"])


def pids(served: Served) -> list[int]:
    """Of the workers that live."""
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")
    return [int(each) for each in children.read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux")
def test_a_life_of_two_workers(tmp_path: Path) -> None:
    """In one piece: each start costs seconds."""
    model = write_tiny_model(tmp_path / "model.onnx", labels=("old", "b", "c"))
    flags = ("--workers", "2", "--threads", "2", "--drift", str(tmp_path / "drift.jsonl"))
    with serving(model, *flags, TMPDIR=str(tmp_path)) as served:
        assert "with 2 workers of 1 thread each; Ctrl-C ends it" in served.said()
        assert served.said().count("batching off: as asked") == 1
        assert len(pids(served)) == 2 and len(list(tmp_path.glob("edge-serve-*"))) == 1
        _shares_clients_out(served)
        assert {label(served) for _ in range(6)} == {"old"}
        until(lambda: served.metric("edge_workers") == 2)
        for _ in range(4):
            assert served.metric("edge_images_total") == 6 and served.metric("edge_workers") == 2
        until(lambda: served.metric("edge_drift_window") == 6)
        _reloads(served, model, write_tiny_model(tmp_path / "other.onnx", labels=("new", "b", "c")))
        _restarts(served)
        line = json.loads((tmp_path / "drift.jsonl").read_text().splitlines()[0])
        assert (line["images"], line["labels"]) == (6, {"old": 1.0})
        _ends_where_none_is_left(served, model)
        assert not list(tmp_path.glob("edge-serve-*"))


def _shares_clients_out(served: Served) -> None:
    """Clients that stay are not all one worker's; where the machine is busy, more have to come until that shows."""
    clients: list[socket.socket] = []
    counts = [0, 0]
    while min(counts) < 2:
        assert len(clients) < 128, counts
        new = [socket.create_connection(("127.0.0.1", served.port), timeout=20) for _ in range(16)]
        clients += new
        for client in new:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert all(client.recv(1000).startswith(b"HTTP/1.1 200") for client in new)
        until(partial(_has_logged, served, len(clients)))
        counts = [sum(line["worker"] == worker for line in served.log("request")) for worker in (0, 1)]
    until(lambda: served.metric("edge_connections") >= 2)
    for client in clients:
        client.close()


def _has_logged(served: Served, requests: int) -> bool:
    return len(served.log("request")) >= requests


def _reloads(served: Served, model: Path, other: Path) -> None:
    replace_file(model, other)
    served.process.send_signal(signal.SIGHUP)
    assert {served.wait_for("reloaded", count)["worker"] for count in (1, 2)} == {0, 1}
    assert {label(served) for _ in range(4)} == {"new"}
    assert served.metric('edge_model_info{backbone="tiny",model="model",precision="fp32"}') == 1
    # The window is of the new model's answers alone.
    until(lambda: served.metric("edge_drift_window") == 4)
    assert served.metric('edge_drift_label_share{label="new"}') == 1


def _restarts(served: Served) -> None:
    dead = pids(served)[0]
    os.kill(dead, signal.SIGKILL)
    died = served.wait_for("worker died")
    assert (died["pid"], died["code"]) == (dead, -9)
    # The other goes on, and what was counted stays.
    assert label(served) == "new" and served.metric("edge_images_total") == 11
    assert served.metric("edge_workers") == 1
    started = served.wait_for("worker started")
    assert started["started"] == died["died"] and started["pid"] in pids(served)
    assert label(served) == "new"
    until(lambda: served.metric("edge_workers") == 2)
    assert served.metric("edge_images_total") == 12


def _ends_where_none_is_left(served: Served, model: Path) -> None:
    model.unlink()
    dead, last = pids(served)
    deaths = len(served.log("worker died")) + 1
    os.kill(dead, signal.SIGKILL)
    until(lambda: len(served.log("worker cannot start")) == 2, seconds=60)
    # One death is one line, however often its successor cannot start.
    assert len(served.log("worker died")) == deaths
    os.kill(last, signal.SIGKILL)
    assert served.process.wait(timeout=30) == 1
    until(lambda: "error: no worker is left: " in served.said())
    assert f"{model} does not exist" in served.said() and "Traceback" not in served.said()


def test_all_are_ended_together(rgb_model: Path, tmp_path: Path) -> None:
    with serving(rgb_model, "--workers", "2", TMPDIR=str(tmp_path)) as served:
        assert served.predict(picture("blue")).json()["predictions"][0]["label"] == "blue"
        assert served.end(signal.SIGINT) == 130
        assert served.log("stopped")[0]["worker"] in (0, 1) and len(served.log("stopped")) == 2
        assert served.log("workers stopped")[0]["signal"] == "SIGINT" and "Traceback" not in served.said()
        with pytest.raises(OSError):
            served.ask("GET", "/healthz")
    assert not list(tmp_path.iterdir())


def hired(model: Path, shared: Path) -> tuple[subprocess.Popen[bytes], Connection, int]:
    """A worker process by itself: its channel, and the port that it is to answer at."""
    ours, theirs = socket.socketpair()
    with socket.socket() as listening, theirs:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        handed_over = (theirs.fileno(), listening.fileno())
        process = subprocess.Popen(
            [sys.executable, "-m", "edge_serve.workers.serving_worker", *map(str, handed_over)],
            pass_fds=handed_over,
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(shared)},
        )
        port = listening.getsockname()[1]
    channel = Connection(ours.detach())
    channel.send(Task(3, ServeSettings(model, batching="off", log_requests=False), shared))
    return process, channel, port


def test_one_that_is_not_waited_for_any_more_is_gone(rgb_model: Path, tmp_path: Path) -> None:
    """As where the server is told to end while it starts."""

    async def give_up() -> int:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            worker = await Worker.start(Task(0, ServeSettings(rgb_model), tmp_path), listening, lambda _: None)
            waiting = asyncio.create_task(worker.ready())
            await asyncio.sleep(0)
            assert waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert not worker.takes_clients
            return await worker.end_within(10)

    assert asyncio.run(give_up()) == -signal.SIGKILL


def test_one_that_the_system_does_not_start_is_an_error_of_ours(
    rgb_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which the supervisor tries again after, and the others go on."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python that was replaced"))

    async def begin() -> None:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            await Worker.start(Task(1, ServeSettings(rgb_model), tmp_path), listening, lambda _: None)

    with pytest.raises(EdgeError, match=r"worker 1 cannot be started: No such file or directory"):
        asyncio.run(begin())


def test_a_worker_whose_supervisor_has_gone_drains_and_ends(rgb_model: Path, tmp_path: Path) -> None:
    process, channel, port = hired(rgb_model, tmp_path)
    try:
        opened, ready = channel.recv(), channel.recv()
        assert isinstance(opened, Opened) and opened.card.labels == ("red", "green", "blue") and opened.file
        # What else is said at the start, as which engine it is that runs the model, comes this way.
        assert ready == Ready({"colours": (False, "as asked")}, ("batching off: as asked",))
        until(lambda: b"200 OK" in _asked(port))
        channel.close()
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
    assert {file.name for file in tmp_path.iterdir()} == {"counter_3.db", "histogram_3.db", "gauge_livesum_3.db"}


def _asked(port: int) -> bytes:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return connection.recv(1000)
    return b""


def test_what_a_worker_cannot_start_for_is_told(tmp_path: Path) -> None:
    process, channel, _ = hired(tmp_path / "gone.onnx", tmp_path)
    with channel:
        failed = channel.recv()
    assert isinstance(failed, Failed) and "gone.onnx does not exist" in failed.message and failed.exit_code == 2
    assert process.wait(timeout=20) == 2
