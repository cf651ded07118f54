"""edge average as a person types it: two runs in, a better one out, and what cannot be averaged refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edge_data import draw_shapes, read_split  # noqa: E402
from edge_data.sets.image_store import ImageStore  # noqa: E402
from edge_runtime import Run  # noqa: E402
from edge_train import TrainSettings, load_checkpoint, save_checkpoint, train  # noqa: E402
from edge_train.run.batches import evaluation_batches  # noqa: E402


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run whose head fits its validation images, and that head pushed two opposite ways."""
    folder = tmp_path_factory.mktemp("average")
    data = draw_shapes(folder / "shapes", counts=(24, 15, 9))
    good = train(
        TrainSettings(
            data=str(data),
            backbone="shufflenet_v2_x0_5",
            strategy="scratch",
            image_size=32,
            epochs=1,
            threads=1,
            out=folder / "trained",
        )
    ).run
    best = load_checkpoint(good.best)
    network = best.build()
    store = ImageStore(data, best.card.preprocessing, cache_bytes=0, threads=1)
    ((images, labels),) = evaluation_batches(store, read_split(good.split, best.card.labels).val, batch_size=15)
    head, network.backbone.fc = network.backbone.fc, torch.nn.Identity()
    with torch.no_grad():
        # Untrained features are all but alike; the intercept takes what they share.
        features = network(images).double()
        centre = features.mean(dim=0)
        solved = torch.linalg.pinv(features - centre) @ (torch.nn.functional.one_hot(labels, 3).double() * 6 - 2)
        head.weight.copy_(solved.T)
        head.bias.copy_(-centre @ solved)
    noise = torch.randn(head.weight.shape, generator=torch.Generator().manual_seed(0)) * 10 * head.weight.std()
    for name, sign in (("good", 0), ("one", 1), ("two", -1)):
        made = Run(Path(shutil.copytree(good.path, folder / "runs" / name)))
        weights = dict(best.network) | {
            "backbone.fc.weight": head.weight.detach() + sign * noise,
            "backbone.fc.bias": head.bias.detach(),
        }
        save_checkpoint(made.best, replace(best, network=weights))
    return folder


def test_the_average_of_two_runs_is_exported_and_evaluated_like_any_run(edge: Any, runs: Path) -> None:
    done = edge("average", "one", "runs/two", "--threads", "1", cwd=runs)
    assert done.returncode == 0, done.stderr
    assert "start" in done.stdout and "kept" in done.stdout and "n 15" in done.stdout
    assert "val accuracy 100.0% (n 15" in done.stdout and "test accuracy" in done.stdout
    (run,) = (runs / "runs").glob("shapes-shufflenet_v2_x0_5-average-*")
    assert f"next: edge export --run {run.relative_to(runs)}" in done.stderr and str(run.name) in done.stdout

    done = edge("export", cwd=runs)
    assert done.returncode == 0, done.stderr
    assert run.name in done.stderr and (run / "model.onnx").is_file()
    done = edge("evaluate", "--split", "val", "--json", cwd=runs)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accuracy"] == 1
    done = edge("predict", "--image", runs / "shapes" / "val" / "circle" / "0000.png", "--json", cwd=runs)
    assert json.loads(done.stdout)["predictions"][0]["label"] == "circle"
    done = edge("train", "--resume", run, cwd=runs)
    assert done.returncode == 1 and "last.pt" in done.stderr and "Traceback" not in done.stderr


def test_json_is_the_summary_and_nothing_else(edge: Any, runs: Path, tmp_path: Path) -> None:
    done = edge("average", "one", "two", "--threads", "1", "--json", "--quiet", "--out", tmp_path, cwd=runs)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    summary = json.loads(done.stdout)
    assert (tmp_path / summary["run"] / "summary.json").read_text() == done.stdout
    assert [step["kept"] for step in summary["steps"]] == [True, True]


def test_what_is_no_better_is_1_and_what_makes_no_sense_is_2(edge: Any, runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = edge("average", "good", "one", "--threads", "1", "--out", out, cwd=runs)
    assert done.returncode == 1 and "no average validates better than good" in done.stderr
    assert "15 of 15" in done.stderr and done.stdout == "" and not out.exists()
    for words, reason in (
        (("good",), "at least two"),
        (("good", "runs/good"), "named twice"),
        (("good", "nowhere"), "not a run folder"),
        (("good", "one", "--threads", "0"), "--threads 0"),
        ((), "RUN"),
    ):
        done = edge("average", *words, "--out", out, cwd=runs)
        assert done.returncode == 2 and reason in done.stderr, (words, done.stderr)
        assert "Traceback" not in done.stderr and not out.exists()
