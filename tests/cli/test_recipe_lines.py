"""edge train --recipe: what was chosen is printed with its reason, and whatever is typed or filed wins."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from edge_cli.commands.compare import app as compare_app
from edge_cli.commands.train import app as train_app
from edge_cli.commands.tune import app as tune_app
from edge_cli.console import fail
from edge_runtime import EdgeError
from edge_train import find_recipe, read_train_settings


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command in this process, in an empty folder: its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str, app: typer.Typer = train_app) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = typer.main.get_command(app).main([*words], standalone_mode=False, prog_name="edge train")
        except EdgeError as error:
            code = fail(error.message, error.hint, error.exit_code)
        return code, *capsys.readouterr()

    return command


def test_each_value_is_said_before_the_run_and_is_in_the_printed_settings(run: Any) -> None:
    code, out, err = run("--recipe", "medical", "--data", "scans", "--print-config")
    assert code == 0
    found = tomllib.loads(out)
    head, *lines = err.splitlines()
    assert head.startswith("recipe medical, ") and head.endswith("(edge docs medical):")
    for line, each in zip(lines, find_recipe("medical").values, strict=False):
        assert line == f"  --{each.setting.replace('_', '-')} {each.value}: {each.why}".replace("`", "")
        assert found[each.setting] == each.value
    assert found["recipe"] == "medical" and "  yours to say, --positive " in err
    Path("printed.toml").write_text(out, encoding="utf-8")
    again = run("--config", "printed.toml", "--print-config")
    assert again[1] == out and "as given; the recipe has" not in again[2]
    assert run("--recipe", "medical", "--print-config", "--quiet")[2] == ""


def test_flag_and_file_win_over_the_recipe_and_a_flag_over_the_file(run: Any) -> None:
    Path("photos.toml").write_text('recipe = "medical"\naugment = "none"\nepochs = 4\n')
    _, out, err = run("--config", "photos.toml", "--augment", "light", "--print-config")
    found = tomllib.loads(out)
    assert (found["augment"], found["epochs"], found["recipe"]) == ("light", 4, "medical")
    assert "  --augment light: as given; the recipe has medical\n" in err
    _, out, err = run("--config", "photos.toml", "--recipe", "documents", "--print-config")
    assert err.startswith("recipe documents, ") and tomllib.loads(out)["augment"] == "none"


def test_a_repeated_command_comes_to_the_same_settings(run: Any) -> None:
    pytest.importorskip("torch")
    from edge_train.report.page import repeat_command
    from edge_train.run.run_folder import plain_settings

    settings = find_recipe("wildlife").settings(augment="light", class_balance="none", data="frames")
    words = shlex.split(repeat_command(plain_settings(settings)))[2:]
    Path("printed.toml").write_text(run(*words, "--print-config")[1], encoding="utf-8")
    assert read_train_settings("printed.toml") == settings


def test_comparing_and_tuning_take_what_they_leave_to_a_recipe(run: Any) -> None:
    code, out, err = run("--recipe", "documents", "--print-config", app=compare_app)
    assert code == 0 and tomllib.loads(out)["augment"] == "document"
    assert "--strategy" not in err and "--epochs 12: " in err
    pytest.importorskip("torch")
    code, _, err = run("--recipe", "medical", "--data", "nowhere", app=tune_app)
    assert code == 2 and "nowhere" in err.splitlines()[-2]
    assert "  --augments medical: the recipe's; strategies, sizes and rates are drawn as without it\n" in err
    assert "--strategy" not in err and "  --augment " not in err and "  --class-balance weights: " in err
    assert "--augments" not in run("--recipe", "medical", "--augments", "light", "--data", "nowhere", app=tune_app)[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--recipe", "medical", "--resume", "x"], "--resume takes the run's own settings, but --recipe is given"),
        (["--config", "bad.toml"], "bad.toml, line 1: recipe cats is not known"),
        (["--recipe", "medical", "--folds", "2", "--strategy", "all"], "compares on one split, not on --folds"),
        (["--recipe", "products", "--epochs", "2", "--warmup-epochs", "3"], "--warmup-epochs 3 is more than all 2"),
    ],
)
def test_what_makes_no_sense_is_one_line(run: Any, words: list[str], said: str) -> None:
    Path("bad.toml").write_text('recipe = "cats"\n')
    code, out, err = run(*words)
    assert (code, out) == (2, "") and said in err.splitlines()[-2] and not Path("runs").exists()
