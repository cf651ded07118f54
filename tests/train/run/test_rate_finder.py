"""A learning rate is looked for: a picture and a table are left of it, and no run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from edge_cli.commands.train import app  # noqa: E402
from edge_runtime import UsageError  # noqa: E402
from edge_train import find_learning_rate  # noqa: E402
from quick_training import QUICK, flags, quick_settings  # noqa: E402


@pytest.mark.parametrize("strategy", ["scratch", "fine-tune", "feature-extraction"])
def test_a_search_leaves_a_picture_and_a_table(
    strategy: str, few_shapes: Path, shufflenet_weights: Path, tmp_path: Path
) -> None:
    weights = "default" if strategy == "scratch" else str(shufflenet_weights)
    # Neither the head's first epochs nor what the rates are now has a part in it.
    more = {"head_epochs": 1, "lr_scale": 7.0} if strategy == "fine-tune" else {}
    found = find_learning_rate(quick_settings(few_shapes, tmp_path, strategy=strategy, weights=weights, **more))
    assert sorted(tmp_path.iterdir()) == sorted([found.picture, found.table])
    with Image.open(found.picture) as picture:
        assert picture.size == (900, 500)
    rows = found.table.read_text().splitlines()
    assert rows[0] == "lr_scale,loss,smoothed_loss" and len(rows) == 1 + len(found.curve.losses)
    assert found.curve.scales[0] == pytest.approx(0.01) and found.strategy == strategy
    assert found.curve.rates["all" if strategy == "scratch" else "head"] == pytest.approx(1e-3)
    assert set(found.curve.rates) > {"head", "stage4"} or strategy != "fine-tune"
    json.dumps(found.to_json(), allow_nan=False)


def test_the_same_seed_finds_the_same_and_rates_that_are_too_high_end_it(few_shapes: Path, tmp_path: Path) -> None:
    settings = quick_settings(few_shapes, tmp_path, optimizer="sgd")
    one, two = (find_learning_rate(settings).curve for _ in range(2))
    assert one.losses == two.losses
    assert one.diverged and len(one.losses) < 50


def test_folds_have_no_one_rate(few_shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="on one split, not on `folds`"):
        find_learning_rate(quick_settings(few_shapes, tmp_path, folds=2))


def test_the_command_says_it_in_its_own_flags(
    few_shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = flags(**{**QUICK, "data": few_shapes, "out": tmp_path})
    for words in ([*given, "--find-lr", "--strategy", "all"], ["--find-lr", "--resume", str(tmp_path)]):
        with pytest.raises(UsageError, match="--find-lr"):
            command(words)
    assert not list(tmp_path.iterdir())
    code = command([*given, "--find-lr", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == (1 if found["lr_scale"] is None else 0)
    assert {path.name for path in tmp_path.iterdir()} == {Path(found["picture"]).name, Path(found["table"]).name}


def command(words: list[str]) -> int:
    return int(typer.main.get_command(app).main(words, standalone_mode=False, prog_name="edge train"))
