"""`serve` called from a program: where it cannot, and what it leaves as it was."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge_runtime import EdgeError, UsageError
from edge_serve import ServeSettings, serve

pytestmark = pytest.mark.skipif(os.name == "nt", reason="edge serve is for Linux and macOS")


@pytest.fixture
def handlers() -> Iterator[dict[int, object]]:
    before = signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, lambda *_: None)
    yield {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGHUP, before)


def test_it_is_refused_where_an_event_loop_runs_or_outside_the_main_thread(
    rgb_model: Path, handlers: dict[int, object]
) -> None:
    async def in_a_notebook() -> int:
        return serve(ServeSettings(rgb_model, port=0), print)

    with pytest.raises(UsageError, match="notebook") as told:
        asyncio.run(in_a_notebook())
    assert "edge serve" in told.value.hint
    with ThreadPoolExecutor(1) as pool, pytest.raises(UsageError, match="main thread"):
        pool.submit(serve, ServeSettings(rgb_model, port=0), print).result()
    assert {number: signal.getsignal(number) for number in handlers} == handlers


def test_signals_are_the_programs_again_when_it_ends(
    rgb_model: Path, tmp_path: Path, handlers: dict[int, object]
) -> None:
    pytest.importorskip("uvicorn")

    def stop(said: str) -> None:
        if said.startswith("serving"):
            os.kill(os.getpid(), signal.SIGTERM)

    assert serve(ServeSettings(rgb_model, port=0, threads=1), stop) == 0
    said: list[str] = []

    def stop_early(line: str) -> None:
        said.append(line)
        os.kill(os.getpid(), signal.SIGTERM)

    # It is told how the model is run before there is anyone to drain for.
    assert serve(ServeSettings(rgb_model, unix=tmp_path / "s", threads=1, batching="off"), stop_early) == 0
    assert len(said) == 1 and said[0].startswith("batching off") and not (tmp_path / "s").exists()
    (tmp_path / "no.onnx").write_bytes(b"no model")
    with pytest.raises(EdgeError):
        serve(ServeSettings(tmp_path / "no.onnx", port=0), print)
    assert {number: signal.getsignal(number) for number in handlers} == handlers
