from __future__ import annotations

import os
import re
import runpy
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from edge_benchmarks.serving.load import LoadResult, post_request, put_load
from edge_runtime import EdgeError
from tiny_model import write_tiny_model

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "self_checks" / "serving.py"

needs_serve = pytest.mark.skipif(find_spec("uvicorn") is None, reason="needs the extra serve")


def run_script(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


@pytest.fixture
def given(tmp_path: Path) -> list[str]:
    (tmp_path / "images").mkdir()
    for colour in ("red", "blue"):
        Image.new("RGB", (64, 64), colour).save(tmp_path / "images" / f"{colour}.jpg")
    model = write_tiny_model(tmp_path / "tiny.onnx")
    return ["--model", str(model), "--images", str(tmp_path / "images"), "--threads", "2"]


@needs_serve
@pytest.mark.slow
def test_every_server_is_measured_against_predict_many(given: list[str]) -> None:
    done = run_script(*given, "--seconds", "0.3", "--rounds", "1", "--clients", "4", "--plain", "mobilenet_v3_small")
    assert done.returncode == 0, done.stderr
    in_process = re.search(r"in one process ([\d.]+) images/s .* predict ([\d.]+) ms", done.stdout)
    assert in_process is not None
    number = r" +([\d.]+)%?"
    rows = re.findall(
        rf"^(edge serve(?:, batching \w+)?|plain FastAPI \+ torch){number * 7} +(\d+) +(-?[\d.]+) +(\d+)$",
        done.stdout,
        re.M,
    )
    names = [row[0] for row in rows]
    assert names[:3] == ["edge serve", "edge serve, batching off", "edge serve, batching on"]
    assert (len(names) == 4) == (find_spec("fastapi") is not None and find_spec("torch") is not None)
    for _, rate, low, high, share, cpu, p50, p99, n, _added, pairs in rows:
        assert float(low) == float(rate) == float(high) and int(n) >= 4
        assert float(share) == pytest.approx(100 * float(rate) / float(in_process[1]), rel=0.02, abs=0.1)
        assert 0 < float(p50) <= float(p99) and float(cpu) > 0
        assert int(pairs) >= 1


@needs_serve
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux")
def test_one_process_is_measured_against_two(given: list[str], tmp_path: Path) -> None:
    other = write_tiny_model(tmp_path / "other.onnx")
    beside = ("--beside", str(other), "--workers", "2")
    done = run_script(*given, *beside, "--seconds", "0.2", "--rounds", "1", "--clients", "4")
    assert done.returncode == 0, done.stderr
    assert f"and {other}" in done.stdout
    rows = re.findall(r"^([12]) +" + r"([\d.]+) +" * 7 + r"([\d.]+)$", done.stdout, re.M)
    assert [row[0] for row in rows] == ["1", "2"]
    # The second process has a model, and a supervisor.
    assert float(rows[1][-1]) > 1.2 * float(rows[0][-1]) and all(float(row[-2]) > 0 for row in rows)


@needs_serve
def test_a_soak_prints_the_memory_as_it_goes(given: list[str]) -> None:
    done = run_script(*given, "--soak", "200")
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^ +(\d+) requests", done.stdout, re.M) == [str(count) for count in range(20, 201, 20)]
    assert "growth since the second part" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["--seconds", "0"],
        ["--seconds", "nan"],
        ["--rounds", "0"],
        ["--clients", "0"],
        ["--threads", "0"],
        ["--soak", "-1"],
        ["--workers", "1"],
    ],
)
def test_senseless_settings_are_refused(words: list[str], refused: Callable[..., tuple[int, str, str]]) -> None:
    code, _, said = refused("serving.py", *words)
    assert code == 2 and words[0] in said


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_memory_is_counted_in_the_systems_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    resident_bytes = runpy.run_path(str(SCRIPT))["_resident_bytes"]
    here = resident_bytes(os.getpid())
    status = Path("/proc/self/status").read_text()
    said = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert said is not None and here == pytest.approx(1024 * int(said[1]), rel=0.05)
    page = os.sysconf("SC_PAGE_SIZE")
    monkeypatch.setattr(os, "sysconf", lambda _: 4 * page)
    assert resident_bytes(os.getpid()) == pytest.approx(4 * here, rel=0.05)


def test_what_is_missing_is_an_error_not_a_figure(given: list[str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for words in (["--model", str(tmp_path / "gone.onnx")], ["--images", str(tmp_path / "empty")]):
        done = run_script(*given, *words, "--rounds", "1", "--seconds", "0.1")
        assert done.returncode in (1, 2) and "error: " in done.stderr and "Traceback" not in done.stderr


def test_percentiles_are_of_the_nearest_rank() -> None:
    result = LoadResult(tuple(number / 1e3 for number in range(1, 101)), 2.0)
    assert (result.percentile_ms(50), result.percentile_ms(99), result.percentile_ms(100)) == (50, 99, 100)
    assert result.rate == 50
    assert LoadResult((0.007,), 1.0).percentile_ms(99) == pytest.approx(7)


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A server that gives the same answer to everything, in two pieces."""
    listening = socket.create_server(("127.0.0.1", 0))

    def talk(connection: socket.socket) -> None:
        # The client may go before it has all.
        with connection, suppress(ConnectionError):
            while connection.recv(65_536):
                connection.sendall(answer[:20])
                connection.sendall(answer[20:])

    def listen() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def test_as_many_answers_as_asked_for_are_waited_for() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") as port:
        result = put_load(port, [post_request("/", b"x", "image/png")], clients=3, count=20)
    assert len(result.latencies_s) == 20 and result.wall_s > 0


def test_an_answer_other_than_200_is_an_error_not_a_figure() -> None:
    with (
        answering(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n") as port,
        pytest.raises(EdgeError, match="429"),
    ):
        put_load(port, [post_request("/", b"x", "image/png")], clients=2, count=5)
