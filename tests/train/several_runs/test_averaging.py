"""Averages of runs: better than each or not made, with statistics of their own, and only of runs that go together."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_data import draw_shapes, read_split  # noqa: E402
from edge_data.sets.image_store import ImageStore  # noqa: E402
from edge_runtime import Accuracy, CheckpointError, DataError, EdgeError, Run, UsageError, newest_run  # noqa: E402
from edge_train import TrainSettings, load_checkpoint, resume, save_checkpoint, train  # noqa: E402
from edge_train.run.batches import evaluation_batches  # noqa: E402
from edge_train.several_runs.averaging import Score, average  # noqa: E402

QUICK = {"backbone": "shufflenet_v2_x0_5", "strategy": "scratch", "image_size": 32, "augment": "none", "threads": 1}

Weights = dict[str, torch.Tensor]
Change = Callable[[Weights], Weights]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_shapes(tmp_path_factory.mktemp("data") / "shapes", counts=(60, 15, 9))


def pixels(run: Run, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """All images of a split as one batch, with their labels."""
    card = load_checkpoint(run.best).card
    samples = getattr(read_split(run.split, card.labels), split)
    store = ImageStore(Path(run.read_config()["data_root"]), card.preprocessing, cache_bytes=0, threads=1)
    ((images, labels),) = evaluation_batches(store, samples, batch_size=len(samples))
    return images, labels


@pytest.fixture(scope="module")
def good(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that is right on every validation image: its head is fitted to them, over honest statistics."""
    run = train(TrainSettings(data=str(data), epochs=1, out=tmp_path_factory.mktemp("good"), **QUICK)).run
    best = load_checkpoint(run.best)
    network = best.build()
    torch.optim.swa_utils.update_bn([pixels(run, "train")[0]], network)
    network.eval()
    images, labels = pixels(run, "val")
    features: list[torch.Tensor] = []
    head = network.backbone.fc
    handle = head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    with torch.no_grad():
        network(images)
        handle.remove()
        known = torch.cat([features[0], torch.ones(len(labels), 1)], dim=1).double()
        wanted = torch.nn.functional.one_hot(labels, 3).double() * 6
        solved = torch.linalg.lstsq(known, wanted, driver="gelsd").solution.float()
        head.weight.copy_(solved[:-1].T)
        head.bias.copy_(solved[-1])
        assert (network(images).argmax(dim=1) == labels).all()
    save_checkpoint(run.best, replace(best, network=network.state_dict()))
    return run


def changed(run: Run, place: Path, change: Change) -> Run:
    """A copy of a run with other weights."""
    made = Run(Path(shutil.copytree(run.path, place)))
    best = load_checkpoint(run.best)
    save_checkpoint(made.best, replace(best, network=change({name: w.clone() for name, w in best.network.items()})))
    return made


def head_off(amount: float) -> Change:
    """Add noise to the head alone; the opposite amount takes it away again."""

    def change(weights: Weights) -> Weights:
        noise = torch.randn(weights["backbone.fc.weight"].shape, generator=torch.Generator().manual_seed(0))
        return weights | {"backbone.fc.weight": weights["backbone.fc.weight"] + amount * noise}

    return change


def body_off(amount: float, spread: float) -> Change:
    """Move all weights by `amount` of their spread, and make the statistics wrong by the factor `spread`."""

    def change(weights: Weights) -> Weights:
        draw = torch.Generator().manual_seed(1)
        for name, w in weights.items():
            if name.endswith("running_var"):
                weights[name] = w * spread
            elif name.startswith("backbone.conv") and w.ndim == 4:
                weights[name] = w + amount * w.std() * torch.randn(w.shape, generator=draw)
        return weights

    return change


@pytest.fixture(scope="module")
def pair(good: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Two runs with bad heads whose average is the good head."""
    folder = tmp_path_factory.mktemp("pair")
    return changed(good, folder / "one", head_off(3.0)), changed(good, folder / "two", head_off(-3.0))


@pytest.fixture(scope="module")
def made(pair: tuple[Run, Run], tmp_path_factory: pytest.TempPathFactory) -> Any:
    return average(pair, out=tmp_path_factory.mktemp("made"), threads=1)


def test_an_average_better_than_each_is_a_run_like_any_other(pair: tuple[Run, Run], good: Run, made: Any) -> None:
    first, second = made.steps
    assert (first.kept, first.averaged, second.kept) == (True, None, True)
    assert second.alone.accuracy.share <= first.alone.accuracy.share < 1
    assert second.averaged.accuracy == Accuracy(15, 15)
    run = made.run
    assert newest_run(run.path.parent).path == run.path and run.name.startswith("shapes-shufflenet_v2_x0_5-average-")
    assert sorted(path.name for path in run.path.iterdir()) == ["best.pt", "config.json", "split.csv", "summary.json"]
    assert run.split.read_text() == good.split.read_text()
    best = load_checkpoint(run.best)
    assert best.card == made.card and best.card.strategy == "average"
    summary = json.loads(run.summary.read_text())
    assert (
        summary == made.summary and summary["metrics"]["val"]["accuracy"] == 1 and summary["metrics"]["test"]["n"] == 9
    )
    assert sorted(summary["averaged"]) == sorted(str(one.path) for one in pair)
    assert all(one.name in best.card.data["averaged"] for one in pair)
    config = run.read_config()
    assert [step["run"] for step in config["average"]] == [str(step.run.path) for step in made.steps]
    images, labels = pixels(run, "val")
    assert (best.build()(images).argmax(dim=1) == labels).all()


def test_what_no_run_changed_is_bit_for_bit_what_it_was(good: Run, made: Any) -> None:
    one, two = load_checkpoint(made.run.best).network, load_checkpoint(good.best).network
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one if not name.startswith("backbone.fc"))
    torch.testing.assert_close(one["backbone.fc.weight"], two["backbone.fc.weight"])


def test_its_probabilities_are_calibrated_on_validation(made: Any) -> None:
    from edge_train.strategy.calibration import fit_temperature

    images, labels = pixels(made.run, "val")
    with torch.no_grad():
        logits = load_checkpoint(made.run.best).build()(images)
    assert made.card.temperature == pytest.approx(fit_temperature(logits, labels), rel=1e-3)
    assert made.card.metrics["val"]["n"] == 15


def test_an_average_can_be_averaged_again_but_not_resumed(made: Any, pair: tuple[Run, Run], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"last\.pt"):
        resume(made.run)
    with pytest.raises(EdgeError, match="no average validates better"):
        average([made.run, pair[0]], out=tmp_path, threads=1)


def test_batch_norm_statistics_are_those_of_the_averaged_weights(good: Run, tmp_path: Path) -> None:
    runs = [
        changed(good, tmp_path / "one", body_off(0.5, spread=9.0)),
        changed(good, tmp_path / "two", body_off(-0.5, spread=40.0)),
    ]
    result = average(runs, out=tmp_path / "runs", threads=1)
    assert result.steps[1].kept
    found, expected = load_checkpoint(result.run.best).network, load_checkpoint(good.best).network
    for name, w in expected.items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(found[name], w, rtol=1e-3, atol=1e-4)


def test_65_training_images_leave_no_batch_of_one_that_has_no_variance(tmp_path: Path) -> None:
    data = draw_shapes(tmp_path / "shapes", counts=(66, 3, 3))
    first = train(TrainSettings(data=str(data), epochs=1, out=tmp_path / "runs", **QUICK)).run
    rows = first.split.read_text().splitlines(keepends=True)
    first.split.write_text("".join(rows[:1] + rows[2:]))
    with contextlib.suppress(EdgeError):
        average([first, changed(first, tmp_path / "two", body_off(0.1, spread=2.0))], out=tmp_path / "out", threads=1)


def test_the_greedy_soup_leaves_out_what_does_not_help(good: Run, pair: tuple[Run, Run], tmp_path: Path) -> None:
    def reversed_(weights: Weights) -> Weights:
        return weights | {name: -50 * w for name, w in weights.items() if name.startswith("backbone.fc")}

    other = changed(good, tmp_path / "other", reversed_)
    result = average([other, *pair], out=tmp_path / "runs", threads=1)
    assert {step.run.path: step.kept for step in result.steps}[other.path] is False
    assert result.summary["averaged"] and str(other.path) not in result.summary["averaged"]
    accuracies = [step.alone.rank for step in result.steps]
    assert accuracies == sorted(accuracies, reverse=True)
    assert "other" not in result.card.data["averaged"]


def test_without_an_average_that_is_better_nothing_is_written(good: Run, pair: tuple[Run, Run], tmp_path: Path) -> None:
    twin = Run(Path(shutil.copytree(good.path, tmp_path / "twin")))
    with pytest.raises(EdgeError) as caught:
        average([pair[0], good, twin], out=tmp_path / "runs", threads=1)
    assert caught.value.exit_code == 1
    assert "100.0% (15 of 15" in caught.value.message and caught.value.message.count(" of 15") == 3
    assert not (tmp_path / "runs").exists()


def test_weights_that_are_no_numbers_are_left_out(pair: tuple[Run, Run], good: Run, tmp_path: Path) -> None:
    def broken(weights: Weights) -> Weights:
        return weights | {"backbone.fc.bias": torch.full((3,), float("nan"))}

    nan = changed(good, tmp_path / "nan", broken)
    result = average([nan, *pair], out=tmp_path / "runs", threads=1)
    assert result.steps[-1].run is nan and not result.steps[-1].kept
    assert json.loads(result.run.summary.read_text())["metrics"]["val"]["accuracy"] == 1


def test_an_average_is_chosen_by_what_its_runs_were_chosen_by(pair: tuple[Run, Run], tmp_path: Path) -> None:
    settings = {**pair[0].read_config()["settings"], "best_by": "balanced-accuracy"}
    first = other_config(pair[0], tmp_path / "first", settings=settings)
    result = average([first, pair[1]], out=tmp_path / "runs", threads=1)
    assert result.summary["best_by"] == "balanced-accuracy"
    score = result.steps[1].averaged
    assert score is not None and score.rank == (1.0, -score.loss) and "balanced accuracy 100.0%" in score.describe()
    rare, common = (
        Score(Accuracy(right, 10), 0.5, balanced, "balanced-accuracy") for right, balanced in ((7, 0.8), (8, 0.6))
    )
    assert rare.rank > common.rank


def test_a_score_ranks_by_images_first_then_by_loss() -> None:
    def rank(correct: int, loss: float) -> tuple[float, float]:
        return Score(Accuracy(correct, 10), loss, correct / 10).rank

    base = rank(8, 0.5)
    assert rank(9, 2.0) > base and rank(8, 0.4) > base
    assert not rank(8, 0.5) > base and not rank(7, 0.1) > base
    assert not rank(0, float("inf")) > rank(0, 3.0)


def other_card(run: Run, place: Path, **changes: Any) -> Run:
    made = Run(Path(shutil.copytree(run.path, place)))
    best = load_checkpoint(run.best)
    save_checkpoint(made.best, replace(best, card=replace(best.card, **changes)))
    return made


def other_config(run: Run, place: Path, **changes: Any) -> Run:
    made = Run(Path(shutil.copytree(run.path, place)))
    made.config.write_text(json.dumps({**made.read_config(), **changes}))
    return made


def refused(match: str, *runs: Run, out: Path, **others: Any) -> None:
    """Refused with exit code 2, a hint, and nothing written."""
    with pytest.raises(UsageError, match=match) as caught:
        average(runs, out=out, **{"threads": 1, **others})
    assert caught.value.hint or "threads" in match
    assert not out.exists() or not any(out.glob("*-average-*"))


def test_runs_that_do_not_go_together_are_refused(good: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    card = load_checkpoint(good.best).card
    refused("at least two", good, out=out)
    refused("named twice", good, Run(good.path / ".." / good.name), out=out)
    refused("backbone differs: .* and resnet18", good, other_card(good, tmp_path / "a", backbone="resnet18"), out=out)
    refused("labels differs", good, other_card(good, tmp_path / "b", labels=("x", "y", "z")), out=out)
    larger = replace(card.preprocessing, height_px=48)
    refused("differs: 32 and 48|differs: .*48", good, other_card(good, tmp_path / "c", preprocessing=larger), out=out)
    elsewhere = {**card.data, "fingerprint": "other"}
    refused("fingerprint differs", good, other_card(good, tmp_path / "d", data=elsewhere), out=out)
    small = {"stem": "small"}
    refused("stem differs: standard and small", good, other_card(good, tmp_path / "e", architecture=small), out=out)
    wide = changed(good, tmp_path / "f", lambda w: w | {"backbone.fc.weight": torch.zeros(3, 7)})
    refused(r"layers differ, backbone\.fc\.weight", good, wide, out=out)
    refused("`threads` 0", good, wide, out=out, threads=0)


def test_a_run_split_otherwise_or_without_a_checkpoint_is_refused(good: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    other = Run(Path(shutil.copytree(good.path, tmp_path / "split")))
    rows = other.split.read_text().splitlines()
    ours, theirs = rows.index(next(row for row in rows if row.startswith("val"))), 1
    rows[ours], rows[theirs] = rows[ours].replace("val,", "train,", 1), rows[theirs].replace("train,", "val,", 1)
    other.split.write_text("\n".join(rows) + "\n")
    refused("split differently", good, other, out=out)
    other.best.unlink()
    refused(r"split has no best\.pt", good, other, out=out)
    other.best.write_bytes(good.best.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"best\.pt is damaged"):
        average([good, other], out=out, threads=1)


def test_images_that_moved_are_found_by_any_run_and_changed_ones_refused(
    pair: tuple[Run, Run], data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    moved = other_config(
        pair[0], tmp_path / "moved", data_root=str(tmp_path / "gone"), data_sources=[str(tmp_path / "gone")]
    )
    assert average([moved, pair[1]], out=out, threads=1).run.read_config()["data_root"] == str(data)
    shutil.rmtree(out)
    both = [
        moved,
        other_config(
            pair[1], tmp_path / "moved too", data_root=str(tmp_path / "gone"), data_sources=[str(tmp_path / "gone")]
        ),
    ]
    refused("are gone", *both, out=out)
    copy = Path(shutil.copytree(data, tmp_path / "gone"))
    next(copy.rglob("*.png")).unlink()
    with pytest.raises(DataError, match="have changed"):
        average(both, out=out, threads=1)
    refused("inside the data folder", *pair, out=data / "runs")
    assert not (data / "runs").exists()
    (tmp_path / "file").touch()
    refused("is a file", *pair, out=tmp_path / "file")


def test_an_average_is_the_same_each_time_and_leaves_the_random_state_alone(good: Run, tmp_path: Path) -> None:
    runs = [changed(good, tmp_path / name, body_off(by, spread=9 + by)) for name, by in (("one", 0.5), ("two", -0.5))]
    networks = []
    for order in (runs, runs[::-1]):
        result = average(order, out=tmp_path / "runs", threads=1)
        networks.append(load_checkpoint(result.run.best).network)
    assert all(torch.equal(networks[0][name], networks[1][name]) for name in networks[0])
    assert len({float(np.asarray(network["backbone.fc.bias"]).sum()) for network in networks}) == 1


def test_without_test_images_it_says_what_choosing_it_flatters(
    pair: tuple[Run, Run], made: Any, tmp_path: Path
) -> None:
    assert "optimism" not in made.summary and "optimism_points" not in made.card.metrics["val"]
    untested = []
    for run in pair:
        copy = Run(Path(shutil.copytree(run.path, tmp_path / run.path.name)))
        rows = copy.split.read_text().splitlines(keepends=True)
        copy.split.write_text("".join(row for row in rows if not row.startswith("test,")))
        untested.append(copy)
    result = average(untested, out=tmp_path / "made", threads=1)
    found = result.summary["optimism"]
    # Each run alone, and the average with the second.
    assert (found["epochs"], found["images"]) == (3, 15) and found["points"] >= 0
    assert found["text"].startswith(
        "the accuracy of the best of 3 runs and averages on the 15 images that chose it is "
    )
    assert found["text"].endswith(" points too good; the epoch of each run was chosen on them before")
    assert load_checkpoint(result.run.best).card.metrics["val"]["optimism_points"] == found["points"]
    for copy in untested:
        with copy.split.open(newline="") as file:
            columns, *rows = csv.reader(file)
        rows = [[*row[:3], "burst" if row[0] == "val" else ""] for row in rows]
        with copy.split.open("w", newline="") as file:
            csv.writer(file).writerows([[*columns[:3], "group"], *rows])
    assert "optimism" not in average(untested, out=tmp_path / "burst", threads=1).summary, "one group chose it"
