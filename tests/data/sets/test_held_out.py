"""Which images a model is scored on: never, by mistake, one it was trained on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_data import choose_evaluation, split
from edge_data.sets.held_out import EvaluationData
from edge_data.sets.split_file import write_split
from edge_data.sets.splits import Splits
from edge_runtime import CROSS_VALIDATED, ClassFolders, DataError, ModelCard, Preprocessing, Run, UsageError, scan

CARD = ModelCard(
    labels=("ant", "bee"),
    preprocessing=Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear"),
    backbone="tiny",
    strategy="scratch",
)


def put(root: Path, layout: str, counts: Sequence[int] = (20, 20)) -> Path:
    """A data folder; `layout` names its split folders, none of them means flat. Pictures are listed, never opened."""
    for part in layout.split() or [""]:
        for label, count in zip(CARD.labels, counts, strict=True):
            (root / part / label).mkdir(parents=True)
            for number in range(count):
                (root / part / label / f"{number}.jpg").write_bytes(f"{part}{label}{number}".encode())
    return root


def trained_on(folders: ClassFolders, **data: Any) -> ModelCard:
    return replace(CARD, data={"fingerprint": folders.fingerprint, "seed": 0, "limit": None, **data})


def make_run(folder: Path, data_root: object, seed: int = 0) -> Run:
    run = Run(folder)
    folder.mkdir()
    run.config.write_text(json.dumps({"data_root": data_root} if data_root is not None else {}), encoding="utf-8")
    if isinstance(data_root, str) and data_root:
        write_split(run.split, split(scan(data_root), seed=seed), CARD.labels)
    return run


def names(chosen: EvaluationData) -> set[str]:
    return {sample.path for sample in chosen.samples}


def test_without_a_folder_the_runs_own_split_decides(tmp_path: Path) -> None:
    data = put(tmp_path / "data", "")
    run = make_run(tmp_path / "run", str(data), seed=3)
    expected = split(scan(data), seed=3)
    chosen = choose_evaluation(CARD, run, None, None)
    assert (chosen.root, chosen.samples, chosen.split) == (data, expected.test, "test")
    assert str(run.split) in chosen.how
    for name in ("val", "train"):
        assert choose_evaluation(CARD, run, None, name).samples == getattr(expected, name)
    assert len(choose_evaluation(CARD, run, None, "all").samples) == 40


def test_the_folder_of_the_training_files_is_split_again_as_in_training(tmp_path: Path) -> None:
    data = put(tmp_path / "data", "")
    card = trained_on(scan(data), seed=5, limit=30)
    chosen = choose_evaluation(card, None, data, None)
    expected = split(scan(data), seed=5, limit=30)
    assert chosen.samples == expected.test
    assert not names(chosen) & {sample.path for sample in expected.train}
    assert "as in training" in chosen.how


def test_the_same_files_in_another_place_are_known_again(tmp_path: Path) -> None:
    card = trained_on(scan(put(tmp_path / "here", "")))
    moved = put(tmp_path / "there", "")
    chosen = choose_evaluation(card, None, moved, None)
    assert (chosen.root, chosen.split, len(chosen.samples)) == (moved, "test", 4)


def test_another_flat_folder_is_taken_whole(tmp_path: Path) -> None:
    card = trained_on(scan(put(tmp_path / "trained", "")))
    other = put(tmp_path / "other", "", (3, 0))
    for wanted in (None, "all"):
        chosen = choose_evaluation(card, None, other, wanted)
        assert (chosen.split, len(chosen.samples)) == ("all", 3)
    with pytest.raises(DataError, match="no split test") as caught:
        choose_evaluation(card, None, other, "test")
    assert "`split` all" in caught.value.hint


@pytest.mark.parametrize(
    ("layout", "split_", "count"), [("train val test", "test", 5), ("train val", "val", 5), ("test", "test", 5)]
)
def test_another_folders_own_splits_are_taken(tmp_path: Path, layout: str, split_: str, count: int) -> None:
    data = put(tmp_path / "data", layout, (2, 3))
    chosen = choose_evaluation(CARD, None, data, None)
    assert (chosen.split, len(chosen.samples)) == (split_, count)
    assert ("no test split, so val" in chosen.how) == (split_ == "val")
    assert all(name.startswith(f"{split_}/") for name in names(chosen))
    assert len(choose_evaluation(CARD, None, data, "all").samples) == 5 * len(layout.split())


def test_a_split_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    data = put(tmp_path / "data", "train val", (2, 3))
    for wanted in ("test", "holdout"):
        with pytest.raises(DataError, match=f"no {wanted} images") as caught:
            choose_evaluation(CARD, None, data, wanted)
        assert "val, train" in caught.value.hint


def test_labels_are_the_models_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    data = put(tmp_path / "data", "", (0, 4))
    (data / "ant").rmdir()
    chosen = choose_evaluation(CARD, None, data, None)
    assert [sample.label for sample in chosen.samples] == [1] * 4, "the model's numbering, not the folder's"
    (data / "wasp").mkdir()
    (data / "wasp" / "1.jpg").touch()
    with pytest.raises(DataError, match="wasp"):
        choose_evaluation(CARD, None, data, None)


def test_without_run_and_folder_one_is_asked_for() -> None:
    with pytest.raises(UsageError) as caught:
        choose_evaluation(CARD, None, None, None)
    assert "`data`" in caught.value.hint


def test_a_data_folder_that_is_gone_is_asked_for(tmp_path: Path) -> None:
    data = put(tmp_path / "data", "")
    run = make_run(tmp_path / "run", str(data))
    data.rename(tmp_path / "moved")
    with pytest.raises(DataError, match=f"{data}.*is gone") as caught:
        choose_evaluation(CARD, run, None, None)
    assert "`data`" in caught.value.hint


@pytest.mark.parametrize("data_root", [None, "", 3, ["x"]])
def test_a_run_that_does_not_say_its_folder_never_means_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_root: object
) -> None:
    monkeypatch.chdir(put(tmp_path / "data", ""))
    run = make_run(tmp_path / "run", data_root)
    with pytest.raises(DataError, match="does not say") as caught:
        choose_evaluation(CARD, run, None, None)
    assert "config.json" in caught.value.message and "`data`" in caught.value.hint


def test_a_run_without_its_split_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", str(put(tmp_path / "data", "")))
    run.split.unlink()
    with pytest.raises(DataError, match=r"split\.csv"):
        choose_evaluation(CARD, run, None, None)


def cross_validated(folders: ClassFolders, **metrics: Any) -> ModelCard:
    figures = {CROSS_VALIDATED: {"accuracy": 0.95, "n": 40, "folds": 5}, **metrics}
    return replace(trained_on(folders, group_by="none"), metrics=figures)


@pytest.mark.parametrize("moved", [False, True])
def test_a_model_that_learned_from_all_images_is_scored_on_them_only_when_asked(tmp_path: Path, moved: bool) -> None:
    root = put(tmp_path / "data", "")
    card = cross_validated(scan(root))
    run = make_run(tmp_path / "run", str(root))
    whole = tuple(scan(root).splits["all"])
    write_split(run.split, Splits(whole, (), (), "all images"), CARD.labels)
    given = (None, root) if moved else (run, None)
    with pytest.raises(DataError, match=r"none is left.* cross-validated accuracy is 95.0% \(n 40\)") as caught:
        choose_evaluation(card, *given)
    assert "`data`" in caught.value.hint and "`split` train" in caught.value.hint
    chosen = choose_evaluation(card, *given, "train")
    assert chosen.samples == whole and chosen.had_a_part
    other = put(tmp_path / "other", "", (3, 4))
    assert len(choose_evaluation(card, None, other).samples) == 7, "others are new to it"


def test_a_cross_validated_model_with_a_test_split_is_scored_on_that(tmp_path: Path) -> None:
    root = put(tmp_path / "data", "train val test")
    chosen = choose_evaluation(cross_validated(scan(root), test={"accuracy": 0.9, "n": 40}), None, root)
    assert chosen.split == "test" and all(name.startswith("test/") for name in names(chosen)) and not chosen.had_a_part


def ensemble(folders: ClassFolders, *members: tuple[str, dict[str, Any]], **data: Any) -> ModelCard:
    """The card of an average of networks, each with the name of its run and what its own card says of its data."""
    own = [{"run": name, "data": {"fingerprint": folders.fingerprint, **said}} for name, said in members]
    return replace(trained_on(folders, **data), members=tuple(own))


@pytest.mark.parametrize("known", ["both runs", "one run", "no run", "renamed"])
@pytest.mark.parametrize("named", [True, False])
def test_an_ensemble_is_scored_on_what_none_of_its_networks_learned_from(
    tmp_path: Path, known: str, named: bool
) -> None:
    data = put(tmp_path / "data", "", (60, 60))
    folders = scan(data)
    (tmp_path / "runs").mkdir()
    runs = [make_run(tmp_path / "runs" / f"seed-{seed}", str(data), seed) for seed in (1, 2)]
    members = [(run.name, {"seed": seed, "group_by": "none"}) for run, seed in zip(runs, (1, 2), strict=True)]
    card = ensemble(folders, *members)
    card = replace(card, data={"fingerprint": folders.fingerprint, "group_by": "none"})
    for run in {"both runs": [], "one run": runs[1:], "no run": runs, "renamed": runs[1:]}[known]:
        run.path.rename(tmp_path / f"elsewhere-{run.name}")
    if known == "no run" and not named:
        return
    beside = None if known == "no run" else runs[0]
    chosen = choose_evaluation(card, beside, data if named else None)
    one, two = (split(folders, seed=seed) for seed in (1, 2))
    tests = [{sample.path for sample in each.test} for each in (one, two)]
    assert tests[0] != tests[1]
    if common := tests[0] & tests[1]:
        assert (chosen.split, names(chosen)) == ("test", common)
    taught = {sample.path for each in (one, two) for sample in each.train}
    assert chosen.how.startswith("the splits of all 2 networks") and chosen.had_a_part is (chosen.split != "test")
    assert names(chosen) and not names(chosen) & taught
    for part in ("train", "all"):
        assert choose_evaluation(card, beside, data if named else None, part).learned


def test_what_the_runs_of_an_ensemble_would_know_is_said_where_they_are_not_there(tmp_path: Path) -> None:
    data = put(tmp_path / "data", "", (40, 40))
    (tmp_path / "runs").mkdir()
    one, two = (make_run(tmp_path / "runs" / f"seed-{seed}", str(data), seed) for seed in (1, 2))
    # The second has seen one image more, so that it was trained on other data.
    fingerprints = (scan(data).fingerprint, "sha256:grown")
    said = [
        {"run": run.name, "data": {"fingerprint": each}} for run, each in zip((one, two), fingerprints, strict=True)
    ]
    card = replace(CARD, data={"name": "data"}, members=tuple(said))
    chosen = choose_evaluation(card, one)
    taught = {sample.path for seed in (1, 2) for sample in split(scan(data), seed=seed).train}
    assert names(chosen) and not names(chosen) & taught
    # Of data that both were shown no image is new.
    whole = choose_evaluation(card, one, data)
    assert whole.learned and f"{len(taught)} of them trained the model" in whole.how
    two.path.rename(tmp_path / "elsewhere")
    alone = choose_evaluation(card, one)
    assert (alone.split, alone.had_a_part) == ("test", None)
    assert "WARNING" in alone.how and "not known without the runs of all its networks" in alone.how
    half = choose_evaluation(card, one, data)
    assert half.learned and "64 of them trained the model" in half.how and "not known without" in half.how


def test_data_that_were_copied_and_grew_are_known_again_by_their_paths(tmp_path: Path) -> None:
    data = put(tmp_path / "data", "", (20, 20))
    run, card = make_run(tmp_path / "run", str(data)), trained_on(scan(data))
    copy = put(tmp_path / "copy", "", (20, 23))
    chosen = choose_evaluation(card, run, copy)
    said = "32 of them trained the model and 4 of them chose its epoch and temperature"
    assert (len(chosen.samples), chosen.had_a_part, chosen.learned) == (43, True, True)
    assert chosen.how == f"every image of the folder; WARNING: {said}"
    # Other pictures, numbered alike.
    for place in copy.glob("*/*.jpg"):
        place.write_bytes(b"another" + place.read_bytes())
    assert choose_evaluation(card, run, copy).had_a_part is False
    data.rename(tmp_path / "gone")
    unsure = choose_evaluation(card, run, copy)
    assert (unsure.had_a_part, unsure.learned) == (None, False)
    assert unsure.how.endswith(
        "WARNING: 36 of them are called as images that trained the model or chose in it, which are gone"
    )
