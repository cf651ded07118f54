"""A run's config.json as a file of settings: its images by their absolute paths, its strategy as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_runtime import UsageError
from edge_train import TrainSettings, read_train_config, read_train_settings

torch = pytest.importorskip("torch")

from edge_train.run.run_folder import plain_settings  # noqa: E402


def write_run(folder: Path, settings: TrainSettings, strategy: str = "scratch", **more: Any) -> Path:
    """The config.json of a run, in brief."""
    folder.mkdir()
    card = {"data": {"fingerprint": "abc"}, "strategy": strategy, "backbone": settings.backbone}
    config = {"settings": plain_settings(settings), "strategy": strategy, "card": card, **more}
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    return folder / "config.json"


def test_a_run_is_repeated_by_its_file_or_its_folder(tmp_path: Path) -> None:
    settings = TrainSettings(data="photos", epochs=7, clip_norm=1.0, batch_norm="train", teacher="/runs/t")
    sources = [str(tmp_path / "photos")]
    path = write_run(tmp_path / "run", settings, "fine-tune", data_sources=sources)
    found = read_train_config(path)
    assert found.fingerprint == "abc" and found.path == path
    for each in (path, path.parent, str(path)):
        assert read_train_settings(each) == replace(settings, strategy="fine-tune", data=sources[0])


def test_several_sources_and_those_of_an_older_run_are_found(tmp_path: Path) -> None:
    several = write_run(tmp_path / "a", TrainSettings(data=("x", "y.csv")), data_sources=["/d/x", "/d/y.csv"])
    assert read_train_settings(several).data == ("/d/x", "/d/y.csv")
    older = write_run(tmp_path / "b", TrainSettings(data="x"), data_root="/d/x")
    assert read_train_settings(older).data == "/d/x"


@pytest.mark.parametrize(
    ("data", "source", "found"),
    [
        ("shapes", "/cache/edge/shapes-0-v1", "shapes"),  # its images are 64 px by the name alone
        ("shapes", "/home/me/shapes", "/home/me/shapes"),
        ("cifar10", "/cache/edge/cifar10", "/cache/edge/cifar10"),
    ],
)
def test_a_set_known_by_name_stays_one(data: str, source: str, found: str, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", TrainSettings(data=data), data_sources=[source])
    assert read_train_settings(path).data == found


@pytest.mark.parametrize(
    ("strategy", "more", "said"),
    [
        ("scratch", {"fold": {"number": 1, "of": 5}}, "is of one fold of a cross-validation"),
        ("average", {}, "is not of a run that was trained"),
    ],
)
def test_a_run_that_no_settings_make_is_refused(strategy: str, more: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", TrainSettings(), strategy, **more)
    with pytest.raises(UsageError, match=said) as caught:
        read_train_config(path)
    assert str(path) in caught.value.message


def test_a_setting_of_another_version_is_named_with_the_line(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", TrainSettings())
    config = json.loads(path.read_text())
    config["settings"] = {"epoch": 3, **config["settings"]}
    path.write_text(json.dumps(config, indent=1))
    with pytest.raises(UsageError, match=r"config\.json, line 3: there is no setting epoch") as caught:
        read_train_settings(path)
    assert caught.value.hint == "did you mean epochs?"


def test_settings_that_contradict_each_other_are_said_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "photos.json"
    path.write_text('{"folds": 5, "teacher": "run"}')
    with pytest.raises(UsageError, match=r"photos\.json: folds measure on every image, and the teacher"):
        read_train_settings(path)
