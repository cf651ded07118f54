"""What an older run learned from is not what a new one, which begins with it or learns from it, is measured on."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from edge_runtime import Run, Silence, UsageError  # noqa: E402
from edge_train import pruning_settings, train  # noqa: E402
from edge_train.run.prepare import prepare  # noqa: E402
from quick_training import Ear, quick_settings  # noqa: E402

NEW = ("circle/0-new.png", "square/0-new.png", "square/1-new.png")


@pytest.fixture(scope="module")
def grown(few_shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """A run, and its folder of flat classes, which has had pictures more since."""
    folder = tmp_path_factory.mktemp("grown")
    data = Path(shutil.copytree(few_shapes / "train", folder / "shapes"))
    older = train(quick_settings(data, folder / "runs", seed=3, epochs=1)).run
    for name in NEW:
        Image.effect_noise((40, 40), 80).convert("RGB").save(data / name)
    return older, data


def test_a_folder_that_grew_is_no_way_round(grown: tuple[Run, Path], tmp_path: Path) -> None:
    older, data = grown
    with pytest.raises(UsageError, match=r"the teacher .* was trained on \d of the images this run is") as caught:
        prepare(quick_settings(data, tmp_path, seed=4, teacher=str(older.path)), Silence())
    assert "`seed` 3" in caught.value.hint and "or by a list as `data`" in caught.value.hint
    ear = Ear()
    started = {"weights": str(older.path), "strategy": "fine-tune", "seed": 4}
    prepare(quick_settings(data, tmp_path, **started), ear)
    [note] = [line for line in ear.lines if "its accuracy will be too good" in line]
    assert note.startswith(f"note: {older.path} was trained on ") and " of the 6 images" in note
    # What the hint says: the older seed, or the older split, and a line for what is new.
    kept = shutil.copy(older.split, data / "split.csv")
    with Path(kept).open("a", encoding="utf-8") as file:
        file.writelines(f"train,{name.split('/')[0]},{name},\n" for name in NEW)
    quiet = Ear()
    prepare(quick_settings(data, tmp_path, **{**started, "seed": 3}), quiet)
    job = prepare(quick_settings(data / "split.csv", tmp_path, teacher=str(older.path), **started), quiet)
    assert len(job.splits.train) + len(job.splits.val) + len(job.splits.test) == 24 + len(NEW)
    assert not [line for line in quiet.lines if "too good" in line]


def test_another_seed_is_said_too(grown: tuple[Run, Path], tmp_path: Path, few_shapes: Path) -> None:
    older, grew = grown
    moved = Path(shutil.copytree(few_shapes / "train", tmp_path / "moved"))
    # One that was copied and grew then is known by what is in it.
    copied = Path(shutil.copytree(grew, tmp_path / "copied"))
    for again, seed, said in ((moved, 3, False), (moved, 4, True), (copied, 4, True)):
        ear = Ear()
        prepare(quick_settings(again, tmp_path, weights=str(older.path), strategy="fine-tune", seed=seed), ear)
        assert any("`seed` 3" in line for line in ear.lines) == said


def test_folds_do_not_begin_with_what_they_hold_out(grown: tuple[Run, Path], tmp_path: Path, few_shapes: Path) -> None:
    older, _ = grown
    started = {"weights": str(older.path), "strategy": "fine-tune", "folds": 2}
    taught = len(older.split.read_text().split("\ntrain,")) - 1
    with pytest.raises(
        UsageError, match=rf"`folds` measure on every image, .* was trained on {taught} of them"
    ) as caught:
        prepare(quick_settings(few_shapes / "train", tmp_path, **started), Silence())
    assert "drop `folds`" in caught.value.hint
    assert not list(tmp_path.glob("*/config.json"))
    # Away from its run the checkpoint knows its data alone, and how they were split, whatever it is called.
    alone = shutil.copy(older.best, tmp_path / "alone.pth")
    with pytest.raises(UsageError, match=r"alone\.pth, which they begin with, was trained on these data"):
        prepare(quick_settings(few_shapes / "train", tmp_path, **{**started, "weights": str(alone)}), Silence())
    for seed, said in ((3, False), (4, True)):
        ear, tuned = Ear(), {"weights": str(alone), "strategy": "fine-tune", "seed": seed}
        prepare(quick_settings(few_shapes / "train", tmp_path, **tuned), ear)
        assert any("alone.pth was trained on these data, split otherwise" in line for line in ear.lines) == said
    # Pictures that the run has not seen are what folds are good for.
    new = tmp_path / "new"
    for name in (f"{label}/{number}.png" for label in ("circle", "square") for number in range(4)):
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((40, 40), 80).convert("RGB").save(new / name)
    assert len(prepare(quick_settings(new, tmp_path, **started), Silence()).splits.train) == 8


@pytest.mark.skipif(find_spec("torch_pruning") is None, reason="torch-pruning is not installed")
def test_a_run_is_not_pruned_on_what_it_learned(grown: tuple[Run, Path], tmp_path: Path) -> None:
    older, _ = grown
    with pytest.raises(
        UsageError, match=r"the run to prune .* was trained on \d of the images this run is measured on"
    ):
        prepare(pruning_settings(older.path, 0.3, out=tmp_path, teacher=None, seed=4), Silence())
