"""edge train with its settings in a file: flags win, what is printed is read, a run's config.json repeats the run."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from edge_benchmarks import DRAWN
from edge_cli.commands.compare import app as compare_app
from edge_cli.commands.train import app as train_app
from edge_cli.commands.tune import app as tune_app
from edge_cli.console import fail
from edge_data import draw_shapes
from edge_runtime import EdgeError, setting_fields
from edge_train import TrainSettings, read_train_settings
from parts import ROOT

SCHEMA = ROOT / "docs" / "train-config.schema.json"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `edge train`, or `edge compare`, in this process: its exit code, stdout and stderr."""

    def command(*words: str, app: typer.Typer = train_app) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = typer.main.get_command(app).main([*words], standalone_mode=False, prog_name="edge train")
        except EdgeError as error:
            code = fail(error.message, error.hint, error.exit_code)
        return code, *capsys.readouterr()

    return command


def settings(run: Any, *words: str) -> TrainSettings:
    """What `edge train` would train with."""
    code, out, err = run(*words, "--print-config")
    assert code == 0, err
    Path("printed.toml").write_text(out, encoding="utf-8")
    return read_train_settings("printed.toml")


def test_what_is_printed_is_read_and_has_every_setting(run: Any) -> None:
    assert settings(run) == TrainSettings()
    words = ["--data", "a b", "--data", "ü", "--group-by", r"it's (\d+)", "--lr-scale", "1e-5", "--patience", "3"]
    wanted = TrainSettings(
        data=("a b", "ü"), group_by=r"it's (\d+)", lr_scale=1e-5, patience=3, out=Path("x"), strategy="fine-tune"
    )
    assert settings(run, *words, "--strategy", "fine-tune", "--out", "x") == wanted
    assert settings(run, "--config", "printed.toml") == wanted
    text = Path("printed.toml").read_text(encoding="utf-8")
    for field in setting_fields(TrainSettings):
        assert f"\n{field.name} = " in text or f"\n# {field.name} = " in text
        assert field.setting.help.split()[0] in text
    code, out, _ = run("--config", "printed.toml", "--print-config", "--json")
    Path("printed.json").write_text(out, encoding="utf-8")
    assert code == 0 and read_train_settings("printed.json") == wanted
    assert not Path("runs").exists()


def test_flags_win_over_the_file_even_at_their_defaults(run: Any) -> None:
    Path("photos.toml").write_text('epochs = 9\nbatch_size = 4\nstrategy = "scratch"\ndata = ["a", "b"]\nviews = 2\n')
    with pytest.raises(EdgeError, match="views is for feature extraction"):
        read_train_settings("photos.toml")
    words = ("--config", "photos.toml", "--strategy", "feature-extraction")
    assert settings(run, *words) == TrainSettings(
        epochs=9, batch_size=4, strategy="feature-extraction", data=("a", "b"), views=2
    )
    found = settings(run, *words, "--epochs", "5", "--strategy", "auto", "--data", "shapes", "--seed", "3")
    assert found == TrainSettings(batch_size=4, views=2, seed=3)


@pytest.mark.parametrize(
    ("text", "words", "said", "hint"),
    [
        ("epochs = 5\nbach_size = 3", [], "photos.toml, line 2: there is no setting bach_size", "mean batch_size?"),
        ("min-sensitivity = 0.9", [], "photos.toml, line 1: there is no setting min-sensitivity", "min_sensitivity?"),
        ("colour = 3", [], "there is no setting colour", "edge train --print-config lists them"),
        ('epochs = "9"', [], 'photos.toml, line 1: epochs = "9": a whole number is needed', "epochs = 5"),
        ("ema = 0.1", [], "photos.toml, line 1: ema 0.1: at least 0.5 is needed", "from 0.5 to 0.99999"),
        ('strategy = "all"', [], "photos.toml, line 1: strategy all is not known", "choose auto, "),
        ("head_epochs = 3\nepochs = 3", [], "photos.toml: head_epochs 3 leaves none of 3 epochs", "--epochs"),
        ("head_epochs = 3", ["--epochs", "3"], "photos.toml: head_epochs 3 leaves none of 3 epochs", "--epochs"),
        ("epochs = 3", ["--head-epochs", "3"], "--head-epochs 3 leaves none of 3 epochs", "--epochs"),
        ("folds = 3", ["--strategy", "all"], "photos.toml: --strategy all compares on one split, not on folds", "drop"),
        ("epochs = 3", ["--resume", "x"], "--resume takes the run's own settings, but --config is given", "drop"),
    ],
)
def test_what_makes_no_sense_is_one_line_that_names_file_and_key(
    text: str, words: list[str], said: str, hint: str, run: Any
) -> None:
    Path("photos.toml").write_text(text)
    code, out, err = run("--config", "photos.toml", *words)
    assert (code, out) == (2, "") and err.count("\n") == 2
    assert said in err.splitlines()[0] and hint in err.splitlines()[1]
    assert not Path("runs").exists()


def test_compare_takes_the_file_too_whatever_strategy_it_names(run: Any) -> None:
    Path("photos.toml").write_text('epochs = 9\nstrategy = "scratch"\n')
    code, out, _ = run("--config", "photos.toml", "--print-config", app=compare_app)
    assert code == 0 and out.startswith("# edge compare --config FILE")
    found = tomllib.loads(out)
    assert found["epochs"] == 9 and not {"strategy", "folds"} & found.keys()
    assert run("--config", "photos.toml", "--print-config", "--strategy", "all")[1] == out
    Path("photos.toml").write_text("folds = 9\n")
    code, _, err = run("--config", "photos.toml", app=compare_app)
    assert code == 2 and "photos.toml: --strategy all compares on one split, not on folds" in err


def test_a_sweep_takes_the_file_too_with_its_own_settings_and_draws_what_it_draws(run: Any) -> None:
    Path("sweep.toml").write_text(
        'epochs = 9\nbackbone = "resnet50"\ntrials = 4\nimage_sizes = [64]\nstrategies = ["scratch"]\n'
    )
    code, out, err = run("--config", "sweep.toml", "--print-config", "--trials", "5", app=tune_app)
    assert code == 0, err
    found = tomllib.loads(out)
    assert (found["epochs"], found["trials"], found["image_sizes"]) == (9, 5, [64])
    assert not {*DRAWN, "folds", "prune"} & found.keys()
    Path("printed.toml").write_text(out, encoding="utf-8")
    assert run("--config", "printed.toml", "--print-config", app=tune_app)[1] == out
    code, out, _ = run("--config", "printed.toml", "--print-config", "--json", app=tune_app)
    assert code == 0 and json.loads(out)["trials"] == 5

    code, _, err = run("--config", "sweep.toml", "--data", "nowhere", app=tune_app)
    assert code == 2 and "draw their own --backbone, whatever sweep.toml says" in err
    # Training has no trials, and a sweep no file of them that makes no sense.
    code, _, err = run("--config", "sweep.toml", "--data", "nowhere")
    assert code == 2 and "sweep.toml, line 3: there is no setting trials" in err
    for text, said in (
        ("trials = 0\n", "sweep.toml, line 1: trials 0: at least 1"),
        ("grace = 2\n", "there is no setting grace"),
    ):
        Path("sweep.toml").write_text(text)
        code, _, err = run("--config", "sweep.toml", app=tune_app)
        assert code == 2 and said in err, err
    assert not Path("runs").exists()


@pytest.mark.parametrize(("text", "said"), [("folds = 3\n", "not on folds"), ("prune = 0.3\nweights = 'x'\n", "prune")])
def test_a_file_of_what_no_sweep_can_have_is_refused(text: str, said: str, run: Any) -> None:
    pytest.importorskip("torch")
    Path("sweep.toml").write_text(text)
    code, _, err = run("--config", "sweep.toml", app=tune_app)
    assert code == 2 and said in err, err
    assert not Path("runs").exists()


def test_printing_trains_nothing_and_loads_no_torch(edge: Any) -> None:
    done = edge("train", "--print-config", "--quiet", PYTHONPROFILEIMPORTTIME="1", LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert tomllib.loads(done.stdout)["backbone"] == "resnet18"
    assert "edge_cli.train_config" in done.stderr and not {"torch", "matplotlib"} & set(done.stderr.split())


def test_the_published_schema_is_the_one_of_the_settings(run: Any) -> None:
    code, out, _ = run("--print-schema")
    assert code == 0 and SCHEMA.read_text(encoding="utf-8") == out, "edge train --print-schema > docs/…schema.json"
    rs = pytest.importorskip("jsonschema_rs")
    valid = rs.validator_for(json.loads(out)).is_valid
    assert valid(tomllib.loads(run("--print-config")[1])) and valid(json.loads(run("--print-config", "--json")[1]))
    for wrong in ({"epochs": 0}, {"bach_size": 1}, {"strategy": "all"}, {"min_sensitivity": 0}, {"seed": -1}):
        assert not valid(wrong)


def test_a_runs_config_json_trains_the_same_weights_from_any_folder(
    here: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from edge_train import train
    from quick_training import equal, quick_settings, weights

    draw_shapes(here / "photos", counts=(16, 6, 0))
    own = {"strategy": "auto", "weights": "none", "epochs": 1, "dropout": 0.2, "group_by": "none"}
    first = train(quick_settings(Path("photos"), here / "runs", **own)).run
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    code, _, err = run("--config", os.path.relpath(first.config), "--out", "again")
    assert code == 0 and "images have changed" not in err and "strategy scratch (as asked)" in err
    (again,) = Path("again").iterdir()
    assert again.name.startswith("photos-shufflenet")
    second = type(first)(again)
    assert equal(weights(first), weights(second)) and equal(weights(first, "best"), weights(second, "best"))
    assert first.split.read_text() == second.split.read_text()
    before, after = first.read_config()["settings"], second.read_config()["settings"]
    assert before.pop("data") == "photos" and after.pop("data") == str(here / "photos")
    assert before | {"strategy": "scratch", "out": "again"} == after
    next((here / "photos" / "train").rglob("*.png")).unlink()
    code, _, err = run("--config", os.path.relpath(first.path), "--out", "other")
    assert code == 0 and f"images have changed since {os.path.relpath(first.config)} was written" in err
