"""The data of a run found again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_data import choose_evaluation, run_places, scan_as_trained, split_data, write_split
from edge_data.sets.splits import Splits
from edge_runtime import ModelCard, Preprocessing, Run, write_json

CARD = ModelCard(
    labels=("a", "b"),
    preprocessing=Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear"),
    backbone="resnet18",
    strategy="scratch",
)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Forty pictures of two classes and ten cameras, not split, and one of no label."""
    (tmp_path / "x").mkdir()
    rows = ["path,label,camera"]
    for number in range(41):
        (tmp_path / f"x/{number}.jpg").write_bytes(bytes([number]))
        rows.append(f"x/{number}.jpg,{'ab'[number % 2] if number < 40 else ''},c{number // 4}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return tmp_path / "labels.csv"


def test_a_run_of_today_names_its_sources_and_an_older_one_its_folder() -> None:
    assert run_places({"data_sources": ["/a", "/b.csv"], "data_root": "/"}) == (Path("/a"), Path("/b.csv"))
    assert run_places({"data_root": "/photos"}) == (Path("/photos"),)
    for config in ({}, {"data_root": 3}, {"data_root": ""}, {"data_sources": "x"}):
        assert run_places(config) == ()


def test_a_manifest_is_scored_on_what_was_held_out(manifest: Path, tmp_path: Path) -> None:
    folders = scan_as_trained(manifest, CARD)
    made = split_data(folders, seed=4, group_by="none")
    data = {"fingerprint": folders.fingerprint, "seed": 4, "limit": None, "group_by": "none"}
    chosen = choose_evaluation(replace(CARD, data=data), None, manifest)
    assert (chosen.root, chosen.samples, chosen.split) == (tmp_path, made.test, "test")


def test_the_column_that_named_the_groups_names_them_again(manifest: Path) -> None:
    card = replace(CARD, data={"group_by": "camera"})
    assert scan_as_trained(manifest, card).groups["x/9.jpg"] == "c2"
    assert scan_as_trained(manifest, CARD).groups == {}


def test_classes_are_called_as_in_training_unless_said(tmp_path: Path) -> None:
    for name in ("site/a/1.jpg", "site/b/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    card = replace(CARD, data={"label_from": "parent"})
    assert {sample.label for sample in choose_evaluation(card, None, tmp_path).samples} == {0, 1}
    site = choose_evaluation(card, None, [tmp_path / "site"], label_from="top")
    assert len(site.samples) == 2


def test_it_is_said_how_many_of_the_images_trained_the_run(manifest: Path, tmp_path: Path) -> None:
    made = split_data(scan_as_trained(manifest, CARD), seed=0, group_by="none")
    run = Run(tmp_path / "run")
    run.path.mkdir()
    write_json(run.config, {"data_root": str(tmp_path)})
    write_split(run.split, made, CARD.labels)
    whole = manifest.read_text()
    (tmp_path / "x/other.csv").write_text(whole.replace("x/", "").replace("camera", "lens"))
    card = replace(CARD, data={"fingerprint": "sha256:another"})
    chosen = choose_evaluation(card, run, tmp_path / "x/other.csv")
    trained = f"{len(made.train)} of them trained the model"
    chose = f"{len(made.val)} of them chose its epoch and temperature"
    assert chosen.how == f"every labelled image; WARNING: {trained} and {chose}"
    assert (chosen.had_a_part, chosen.learned) == (True, True)
    (tmp_path.parent / f"{tmp_path.name}-linked").symlink_to(tmp_path)
    linked = tmp_path.parent / f"{tmp_path.name}-linked/x/other.csv"
    assert choose_evaluation(card, run, linked).how == chosen.how
    # A folder in it that is a link, which the run names as it stands.
    (tmp_path / "y").symlink_to("x")
    train, val = (tuple(replace(each, path=f"y{each.path[1:]}") for each in part) for part in (made.train, made.val))
    again = Splits(train, val, (), "")
    write_split(run.split, again, CARD.labels)
    assert choose_evaluation(card, run, linked).how == chosen.how
    write_split(run.split, made, CARD.labels)
    for held, said, had_a_part in ((made.val, f"; WARNING: {chose}", True), (made.test, "", False)):
        names = {"path", *(sample.path.removeprefix("x/") for sample in held)}
        rows = [row for row in whole.replace("x/", "").splitlines() if row.split(",")[0] in names]
        (tmp_path / "x/other.csv").write_text("\n".join(rows))
        chosen = choose_evaluation(card, run, tmp_path / "x/other.csv")
        assert chosen.how == f"every labelled image{said}"
        assert (chosen.had_a_part, chosen.learned) == (had_a_part, False)
    # Away from its run nothing is known, and the name of the data makes it likely.
    for name, said in (("x", "WARNING: it was trained on data of this name, which of"), ("y", "which of")):
        away = choose_evaluation(replace(card, data={**card.data, "name": name}), None, tmp_path / "x/other.csv")
        assert away.how == f"every labelled image; {said} them trained the model is not known without its run"
        assert away.had_a_part is None


def test_a_manifests_splits_are_its_own(manifest: Path) -> None:
    rows = [
        f"{row},{'split' if n == 0 else 'test' if n % 4 == 0 else 'train'}"
        for n, row in enumerate(manifest.read_text().splitlines())
    ]
    manifest.write_text("\n".join(rows))
    chosen = choose_evaluation(CARD, None, manifest)
    assert (chosen.split, len(chosen.samples), chosen.how) == ("test", 10, "the data's own splits")
    made = split_data(scan_as_trained(manifest, CARD), seed=0, group_by="none")
    assert made.how == "10 % of train set aside as validation with seed 0; test as found"
    manifest.write_text("\n".join(rows).replace("test", "val"))
    made = split_data(scan_as_trained(manifest, CARD), seed=0, group_by="none")
    assert made.how == "train and val as found; no test split"
