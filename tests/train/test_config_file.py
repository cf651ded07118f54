"""A run's config.json as a file of settings: its images by their absolute paths, its strategy as it was."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_runtime import Run, UsageError
from edge_train import SweepPart, TrainSettings, find_backbone, pruning_settings, read_train_config, read_train_settings
from own_nets import NETS

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
    for each in (path, path.parent, str(path), Run(path.parent)):
        assert read_train_settings(each) == replace(settings, strategy="fine-tune", data=sources[0])


def test_a_run_stands_for_its_folder_and_in_pruning_its_name_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    run = Run(write_run(tmp_path / "runs" / "one", TrainSettings(data="/photos")).parent)
    (run.path / "best.pt").touch()
    whole = pruning_settings(run, 0.5)
    assert (whole.weights, whole.teacher) == (str(run.path), str(run.path))
    for each in (str(run.path), "one"):
        assert Path(pruning_settings(each, 0.5).weights).resolve() == run.path
    held = TrainSettings(weights=run, teacher=run)  # type: ignore[arg-type]
    assert (held.weights, held.teacher) == (str(run.path), str(run.path))


def test_a_part_of_a_sweep_takes_a_text_for_its_folder() -> None:
    assert SweepPart(embeddings="kept").embeddings == Path("kept")  # type: ignore[arg-type]
    assert SweepPart() == SweepPart(embeddings=None, spares_test=False, at_once=1)
    with pytest.raises(UsageError, match="`at_once` 0: at least 1 is needed"):
        SweepPart(at_once=0)


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


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a network that nobody named so far; it leaves a file `ran` where it is run."""
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    package = tmp_path / "package_of_a_stranger"
    package.mkdir()
    (package / "__init__.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")
    (package / "nets.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n{NETS}")
    monkeypatch.syspath_prepend(str(tmp_path))
    return package / "nets.py"


@pytest.mark.parametrize("name", ["{}:plain", " {}:plain", "package_of_a_stranger.nets:plain"])
def test_code_that_a_run_names_must_have_been_named_here(name: str, code: Path, tmp_path: Path) -> None:
    named = name.format(code)
    path = write_run(tmp_path / "run", TrainSettings(backbone=named))
    (path.parent / "best.pt").touch()
    message = f"{re.escape(str(path))}: backbone {re.escape(named)} is code that was never named to edge"
    for read in (read_train_config, read_train_settings, lambda at: pruning_settings(at, 0.5)):
        with pytest.raises(UsageError, match=message) as caught:
            read(path.parent)
        assert f"edge backbones {named.strip()} (which leaves a mark in {tmp_path / 'cache'}" in caught.value.hint
    assert read_train_config(path, given={"backbone"}).values["epochs"] == TrainSettings().epochs
    assert not (tmp_path / "ran").exists()
    # A file that is no run's is its user's own, and names as a flag does.
    (tmp_path / "mine.json").write_text(json.dumps({"backbone": named}))
    assert find_backbone(read_train_settings(tmp_path / "mine.json").backbone).head == "out"
    assert (tmp_path / "ran").exists()
    assert read_train_settings(path).backbone == named
    code.write_text(code.read_text() + "\n")
    with pytest.raises(UsageError, match="never named to edge on this machine, as it is now"):
        read_train_settings(path)


@pytest.mark.parametrize("name", ["/gone/nets.py:net", "no_such_package.nets:net", "~nobody-has-that-home/n.py:net"])
def test_code_of_a_run_that_is_not_there_is_one_line(name: str, code: Path, tmp_path: Path) -> None:  # noqa: ARG001
    path = write_run(tmp_path / "run", TrainSettings(backbone=name))
    with pytest.raises(UsageError, match=r"there is no such code here"):
        read_train_config(path)


def test_a_folder_that_is_no_runs_has_no_settings(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"backbone": "nets.py:plain"}')
    with pytest.raises(UsageError, match=r"config\.json is not of a run"):
        read_train_config(tmp_path)
