"""The two pictures of a comparison, whatever came of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

torch = pytest.importorskip("torch")

from edge_data.drawing.sheet import plain  # noqa: E402
from edge_runtime import LIGHT, tint  # noqa: E402
from edge_train import STRATEGIES  # noqa: E402
from edge_train.several_runs.comparison import (  # noqa: E402
    Comparison,
    StrategyRow,
    choose_best,
)
from edge_train.several_runs.comparison_pictures import (  # noqa: E402
    Answered,
    Answers,
    draw_comparison,
    draw_predictions,
)
from strategy_rows import row  # noqa: E402


def answered(truth: int, said: tuple[int, ...], classes: int = 3, side: int = 32) -> Answered:
    probabilities = tuple(np.eye(classes, dtype=np.float32)[answer] * 0.9 for answer in said)
    return Answered(truth, np.full((side, side, 3), 128, np.uint8), probabilities)


def cells(target: Path) -> tuple[int, int]:
    """How much of the picture is the ground of right and of wrong answers."""
    with Image.open(target) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    grounds = [ImageColor.getrgb(tint(colour, 0.9)) for colour in (LIGHT.right, LIGHT.wrong)]
    right, wrong = ((pixels == ground).all(axis=2).sum() for ground in grounds)
    return int(right), int(wrong)


@pytest.mark.parametrize(
    ("disputed", "agreed", "wrong"), [(20, 20, 4), (20, 0, 8), (2, 20, 2), (0, 20, 0), (20, 1, 7), (1, 1, 1)]
)
def test_half_the_images_shown_are_disputed_where_there_are_such(
    tmp_path: Path, disputed: int, agreed: int, wrong: int
) -> None:
    images = [answered(0, (0, 1, 0))] * disputed + [answered(1, (1, 1, 1))] * agreed
    draw_predictions(tmp_path / "p.png", Answers("test", ("ant", "bee", "fly"), STRATEGIES, tuple(images)))
    right_px, wrong_px = cells(tmp_path / "p.png")
    shown = min(8, disputed + agreed)
    assert round(3 * shown * wrong_px / (right_px + wrong_px)) == wrong


@pytest.mark.parametrize("classes", [2, 100])
@pytest.mark.parametrize("side", [16, 64, 600])
def test_predictions_are_drawn_whatever_the_labels_and_sizes(tmp_path: Path, classes: int, side: int) -> None:
    odd = ("a label of a hundred words " * 20, "two\nlines", "\udcff", "Großblättrige Linde", "", "木")
    labels = tuple(odd[number] if number < len(odd) else f"class {number}" for number in range(classes))
    images = tuple(answered(n % classes, (n % classes, (n + 1) % classes), classes, side) for n in range(9))
    draw_predictions(tmp_path / "p.png", Answers("validation", labels, ("fine-tune", "scratch"), images))
    with Image.open(tmp_path / "p.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    assert picture.size[0] == 1240 and (pixels[:, -10:] == 255).all(), "nothing runs over the right margin"


@pytest.mark.parametrize("epochs", [1, 3, 200])
@pytest.mark.parametrize("right", [(0, 0, 0), (5, 9, 9), (9, 9, 9)])
def test_a_comparison_is_drawn_whatever_came_of_it(tmp_path: Path, epochs: int, right: tuple[int, ...]) -> None:
    rows = [row(name, r, 9, test=r / 9) for name, r in zip(STRATEGIES, right, strict=True)]
    rows[0] = StrategyRow(strategy="feature-extraction", reason="no network " * 60)
    curves = {
        name: [(e, None if e == 2 else 0.1 * r) for e in range(1, epochs + 1)]
        for name, r in zip(STRATEGIES, right, strict=True)
    }
    best, why = choose_best(rows)
    made = Comparison(tmp_path, tuple(rows), best, why)
    draw_comparison(tmp_path / "c.png", made, curves, title="resnet18 on " + "photos " * 40)
    with Image.open(tmp_path / "c.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    assert (pixels[:, -10:] == 255).all() and (pixels[-8:] == 255).all(), "all of it has room"


def test_labels_are_drawn_in_letters_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plain("two\n lines \udcff") == "two lines ?"
    monkeypatch.setattr("edge_data.drawing.sheet._wide_font", lambda _: None)
    assert plain("Käfer é") == "Kafer e"
