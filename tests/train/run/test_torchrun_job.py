"""Two nodes of torchrun that lose a process, and then a whole node, come to what one process comes to.

The nodes are on this machine's loopback. They start some ten processes with torch, which is why the suite leaves it to
`make test-nodes`; the search for a job's run is tried without them.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edge_runtime import EdgeError, Run, Silence, UsageError  # noqa: E402
from edge_train import train  # noqa: E402
from edge_train.run.processes import doubt_of_restarts, join_world  # noqa: E402
from edge_train.run.torchrun_job import find_begun, job_id  # noqa: E402
from quick_training import QUICK, Ear, equal, flags, quick_settings, weights  # noqa: E402

# No draws that differ between processes, and statistics that do not depend on shares.
COMPARED: dict[str, Any] = {
    "strategy": "fine-tune",
    "batch_norm": "frozen",
    "dropout": 0.0,
    "optimizer": "sgd",
    "schedule": "constant",
    "epochs": 16,
    # At the usual rates so small a set makes the loss jump, and rounding grows with every jump.
    "lr_scale": 0.1,
}
NODES = pytest.mark.skipif("EDGE_TEST_NODES" not in os.environ, reason="make test-nodes starts nodes of torchrun")


class Node:
    """torchrun on one machine of up to two, with one process."""

    def __init__(self, port: int, words: list[str], log: Path, *, holds_meeting: bool) -> None:
        rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "flowers"]
        # Shorter signs of life than torchrun's own make the meeting stall on a busy machine. On one machine both nodes
        # take themselves for the host, and whichever comes first is it, maybe the one that is killed here.
        waits = f"join_timeout=120,last_call_timeout=5,is_host={int(holds_meeting)}"
        launch = ["-m", "torch.distributed.run", "--nnodes", "1:2", "--nproc-per-node", "1", "--max-restarts", "3"]
        command = [sys.executable, *launch, *rendezvous, "--rdzv-conf", waits, "--local-addr", "127.0.0.1"]
        self.log = log
        with log.open("w") as file:
            self.agent = subprocess.Popen(
                [*command, "-m", "edge_cli", "train", *words],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"},
                start_new_session=True,
            )

    def workers(self) -> list[int]:
        """The processes that train."""
        children = Path(f"/proc/{self.agent.pid}/task/{self.agent.pid}/children").read_text().split()
        return [pid for pid in map(int, children) if b"edge_cli" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def kill(self) -> None:
        """End the machine."""
        for pid in (*self.workers(), self.agent.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def until(found: Callable[[], Any], nodes: list[Node]) -> None:
    for _ in range(1800):
        with suppress(OSError, ValueError):
            if found():
                return
        time.sleep(0.1)
    raise AssertionError("\n".join(node.log.read_text()[-3000:] for node in nodes))


@pytest.fixture
def port() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        free = held.getsockname()[1]
    yield free


@NODES
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc")
def test_nodes_that_are_killed_come_to_the_weights_of_one_process(
    few_shapes: Path, shufflenet_weights: Path, tmp_path: Path, port: int
) -> None:
    given = {**COMPARED, "weights": str(shufflenet_weights)}
    alone = train(quick_settings(few_shapes, tmp_path / "alone", **given)).run
    out = tmp_path / "out"
    words = list(map(str, flags(**{**QUICK, **given, "data": few_shapes, "out": out})))
    nodes = [Node(port, words, tmp_path / f"node-{number}.log", holds_meeting=number == 1) for number in (1, 2)]
    try:

        def epochs() -> int:
            (run,) = out.iterdir()
            return len((run / "metrics.csv").read_text().splitlines()) - 1

        until(lambda: epochs() >= 2, nodes)
        said = lambda: nodes[0].log.read_text() + nodes[1].log.read_text()  # noqa: E731
        # On a busy machine one node may have begun alone, and the other have joined it since.
        resumed = said().count("resuming ")
        os.kill(nodes[1].workers()[0], signal.SIGKILL)
        until(lambda: said().count("resuming ") > resumed, nodes)
        until(lambda: epochs() >= 5, nodes)
        # The one that holds the meeting point stays.
        nodes[1].kill()
        assert nodes[0].agent.wait(timeout=180) == 0, nodes[0].log.read_text()[-3000:]
    finally:
        for node in nodes:
            if node.agent.poll() is None:
                node.kill()
            node.agent.wait()
    (path,) = out.iterdir()
    together = Run(path)
    rows = [line.split(",") for line in together.metrics.read_text().splitlines()[1:]]
    assert [int(row[0]) for row in rows] == list(range(1, COMPARED["epochs"] + 1))
    assert json.loads(together.summary.read_text())["epochs"] == COMPARED["epochs"]
    assert said().count("resuming ") >= 1 and "TORCH_DISABLE" not in said()
    mine, theirs = weights(together), weights(alone)
    furthest = max(float((mine[key].double() - theirs[key].double()).abs().max()) for key in mine)
    (tmp_path / "furthest.txt").write_text(f"{furthest:.1e}")
    # 7e-6 on two cores; a batch that one process misses moves them a thousand times as far.
    assert furthest < 1e-4


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """This process is the only one of a job of torchrun."""
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "TORCHELASTIC_RUN_ID": "flowers"}.items():
        monkeypatch.setenv(name, value)
    yield monkeypatch


def test_a_job_that_is_started_again_goes_on_with_its_run(
    few_shapes: Path, tmp_path: Path, job: pytest.MonkeyPatch
) -> None:
    settings = quick_settings(few_shapes, tmp_path / "out")
    whole = train(quick_settings(few_shapes, tmp_path / "whole"))
    assert find_begun(settings) is None

    from edge_train import Callback, EpochEnd

    class Killed(Callback):
        def on_epoch(self, epoch: EpochEnd) -> None:
            del epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(settings, callbacks=[Killed()])
    (begun,) = settings.out.iterdir()
    assert json.loads((begun / "config.json").read_text())["torchrun"] == "flowers"
    assert find_begun(settings) == Run(begun)
    others: list[dict[str, Any]] = [
        {"lr_scale": 2.0},
        {"backbone": "resnet18"},
        {"weights": str(whole.run.best), "strategy": "fine-tune"},
    ]
    for given in others:
        assert find_begun(quick_settings(few_shapes, tmp_path / "out", **given)) is None
    for other in ("roses", "none"):
        job.setenv("TORCHELASTIC_RUN_ID", other)
        assert find_begun(settings) is None
    assert job_id() is None
    job.setenv("TORCHELASTIC_RUN_ID", "flowers")
    (begun.parent / "notes").mkdir()
    ended = train(settings)
    assert ended.run == Run(begun) and equal(weights(ended.run), weights(whole.run))
    # What is finished is not begun again.
    assert find_begun(settings) is None


def test_a_job_whose_restarts_may_stall_says_so_in_a_line(
    few_shapes: Path, tmp_path: Path, job: pytest.MonkeyPatch
) -> None:
    ear = Ear()
    job.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    job.setenv("TORCHELASTIC_USE_AGENT_STORE", "False")
    assert doubt_of_restarts() is None
    job.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    train(quick_settings(few_shapes, tmp_path / "out", epochs=1), ear)
    (line,) = [line for line in ear.lines if "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1" in line]
    assert line.startswith("note: processes that torchrun starts again may not find each other")
    job.setenv("WORLD_SIZE", "two")
    with pytest.raises(UsageError) as refused:
        join_world(torch.device("cpu"))
    assert refused.value.hint == doubt_of_restarts()
    job.setenv("TORCHELASTIC_MAX_RESTARTS", "0")
    assert doubt_of_restarts() is None


def test_a_process_whose_partner_is_gone_says_so_in_a_line() -> None:
    from types import SimpleNamespace

    from edge_train.run.callbacks import Listeners
    from edge_train.run.interruption import interruptible
    from edge_train.run.processes import World

    job: Any = SimpleNamespace(world=World(0, 2), progress=Silence(), listeners=Listeners())
    lost = "[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:4321"
    gone = pytest.raises(EdgeError, match="another process of this training is gone")
    with gone, interruptible(job, Run(Path()), kept=lambda: False):
        raise RuntimeError(lost)
    job.world = World()
    with pytest.raises(RuntimeError, match="gloo"), interruptible(job, Run(Path()), kept=lambda: False):
        raise RuntimeError(lost)
