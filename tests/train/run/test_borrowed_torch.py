"""What training from Python does to the process it is called in: nothing that lasts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("torchvision")

import torch

from edge_runtime import EdgeError, Run
from edge_train import average, find_learning_rate, import_checkpoint, train
from edge_train.run.borrowed_torch import borrow_torch
from process_snapshot import TESTS, large_blocks_are_mapped, leaves_no_trace
from quick_training import equal, quick_settings, weights

TRAIN = """
from pathlib import Path
from edge_runtime import newest_run
from edge_train import average, resume, train
from quick_training import quick_settings
data, out = map(Path, sys.argv[1:])
runs = [train(quick_settings(data, out, epochs=1, threads=3, seed=seed, device="cpu")).run for seed in (0, 1)]
{more}
"""


def test_training_averaging_and_resuming_leave_the_process_as_it_is(few_shapes: Path, tmp_path: Path) -> None:
    averaged = (
        "from edge_runtime import EdgeError\ntry:\n    average(runs, out=out)\nexcept EdgeError as e:\n    print(e)"
    )
    leaves_no_trace(
        TRAIN.format(more=f"resume(runs[0])\n{averaged}"),
        few_shapes,
        tmp_path,
        preload="import onnxruntime, torchvision",
    )


def test_a_prepared_process_keeps_the_memory_that_training_frees(few_shapes: Path, tmp_path: Path) -> None:
    code = f"import sys\nsys.path.append({str(TESTS)!r})\nfrom edge_runtime import prepare_process\nprepare_process()\n"
    code += TRAIN.format(more="from process_snapshot import large_blocks_are_mapped\nprint(large_blocks_are_mapped())")
    said = subprocess.check_output([sys.executable, "-c", code, few_shapes, tmp_path], text=True).split()[-1]
    assert said == ("False" if large_blocks_are_mapped() is not None else "None")


def test_the_weights_do_not_depend_on_what_the_caller_draws(few_shapes: Path, tmp_path: Path) -> None:
    ended: list[Run] = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        ended.append(train(quick_settings(few_shapes, tmp_path, epochs=1)).run)
        drawn = torch.rand(1)
        torch.manual_seed(seed)
        assert torch.equal(drawn, torch.rand(1))
    assert equal(weights(ended[0]), weights(ended[1]))


def test_torch_is_the_callers_again_after_an_error() -> None:
    threads, seed = torch.get_num_threads(), torch.initial_seed()
    with pytest.raises(ZeroDivisionError), borrow_torch():
        torch.set_num_threads(threads + 1)
        torch.manual_seed(seed + 1)
        raise ZeroDivisionError
    assert (torch.get_num_threads(), torch.initial_seed()) == (threads, seed)


@pytest.mark.parametrize(
    "work",
    [
        lambda folder: train(quick_settings(folder / "gone", folder)),
        lambda folder: find_learning_rate(quick_settings(folder / "gone", folder)),
        lambda folder: import_checkpoint(folder / "gone.pth"),
        lambda folder: average([], out=folder),
    ],
    ids=["train", "find_learning_rate", "import_checkpoint", "average"],
)
def test_what_has_torch_in_one_thread_waits_for_another(tmp_path: Path, work: Callable[[Path], object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        with borrow_torch():
            # The same thread may: a callback of a training may train.
            with pytest.raises(EdgeError):
                work(tmp_path)
            other: Future[object] = pool.submit(work, tmp_path)
            with pytest.raises(TimeoutError):
                other.result(timeout=0.5)
        with pytest.raises(EdgeError):
            other.result(timeout=60)


def test_trainings_in_two_threads_end_both(few_shapes: Path, tmp_path: Path) -> None:
    settings = [quick_settings(few_shapes, tmp_path / str(seed), epochs=1, seed=seed) for seed in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        assert all(result.run.best.is_file() for result in pool.map(train, settings))
    assert torch.nn.Linear(1, 1)(torch.zeros(1, 1)).shape == (1, 1)
