"""benchmarks/self_checks/recipe_gains.py and the sets it measures on: figures whose answer is known, drawn pictures."""

from __future__ import annotations

import csv
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import numpy as np
from PIL import Image

SCRIPTS = Path(__file__).parents[3] / "benchmarks" / "self_checks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    yield import_module
    for name in ("recipe_gains", "field_sets", "drawn_documents", "shared"):
        sys.modules.pop(name, None)


def test_figures_are_of_all_seeds_and_each_picture_is_one_unit(script: Any) -> None:
    gains = script("recipe_gains")
    sources = np.array(["a", "b", "c", "d"])
    labels = np.array(["cat", "cat", "cat", "dog"])
    before = gains.Tested(sources, labels, np.array([True, False, False, True]))
    after = gains.Tested(sources, labels, np.array([True, True, False, True]))
    rows = list(gains.compare("products", "cat", [({"plain": before}, {"plain": after})] * 2))
    found = {row["figure"]: row for row in rows}
    assert found["accuracy"]["defaults"] == 0.5 and found["accuracy"]["with"] == 0.75
    assert found["balanced accuracy"]["difference"] == pytest.approx((2 / 3 - 1 / 3) / 2)
    assert found["found of cat"]["with"] == pytest.approx(2 / 3)
    assert {(row["pictures_n"], row["tests_n"]) for row in rows} == {(4, 8)}
    assert found["accuracy"]["by_seed"] == [0.25, 0.25]


def test_the_interval_is_paired_and_narrows_with_pictures(script: Any) -> None:
    gains = script("recipe_gains")

    def bounds(count: int, gain: float) -> tuple[float, float]:
        draw = np.random.default_rng(0)
        names, labels = np.arange(count).astype(str), np.where(np.arange(count) % 3, "cat", "dog")
        right = draw.random(count) < 0.6
        mended = right | (draw.random(count) < gain)
        sides = [[gains.Tested(names, labels, right), gains.Tested(names, labels, mended)]]
        low, high = gains.interval(gains.units(sides), gains.balanced_accuracy)
        return low, high

    # Unpaired it would be ±14 points about nothing.
    assert bounds(90, 0) == (0, 0)
    (low, high), (near, far) = bounds(90, 0.3), bounds(360, 0.3)
    assert 0 < low < 0.12 < high < 0.25 and far - near < 0.7 * (high - low)


def test_drawn_pages_have_the_size_of_a_scan_and_come_again_with_the_seed(script: Any) -> None:
    drawn, sets = script("drawn_documents"), script("field_sets")
    scan = Image.new("RGB", (150, 260), "white")
    for make in (drawn.draw_invoice, drawn.draw_form):
        one, same, other = (np.asarray(make(scan, np.random.default_rng(seed))) for seed in (1, 1, 2))
        assert one.shape == (260, 150, 3) and np.array_equal(one, same) and not np.array_equal(one, other)
        assert np.median(one) > 180 and one.min() < 110, "dark print on light paper"
        taken = sets.photograph(Image.fromarray(one), np.random.default_rng(3))
        assert taken.size == scan.size and np.asarray(taken).mean() < one.mean() - 20


def test_night_is_grey_and_dark_and_clutter_leaves_no_white(script: Any) -> None:
    sets = script("field_sets")
    photo = Image.new("RGB", (90, 60), (240, 250, 230))
    photo.paste((20, 90, 20), (30, 20, 60, 40))
    lit = np.asarray(sets.night(photo, np.random.default_rng(0))).astype(int)
    assert lit.shape == (128, 128, 3) and np.ptp(lit, axis=2).max() == 0 and lit.mean() < 130
    behind = np.asarray(sets.clutter(photo, np.random.default_rng(0))).astype(int)
    assert behind[30, 45].max() <= 90 and behind[:15].std() > 8 and behind.max() < 250


def test_a_set_is_a_list_that_keeps_copies_on_one_side(script: Any, tmp_path: Path) -> None:
    sets = script("field_sets")
    draw = np.random.default_rng(0)
    for label in ("can", "jar"):
        (tmp_path / "things" / label).mkdir(parents=True)
        for number in range(24):
            coarse = Image.fromarray(draw.integers(0, 256, (4, 4, 3), dtype=np.uint8))
            picture = coarse.resize((40, 40), Image.Resampling.BICUBIC)
            for name in (f"{number}.png", f"{number}-copy.png")[: 2 if number < 3 else 1]:
                picture.save(tmp_path / "things" / label / name)
    listed = sets.write_set(sets.products(tmp_path / "things", 0), tmp_path / "set", 0)
    with listed.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    sides: dict[str, set[str]] = {}
    for row in rows:
        assert (listed.parent / row["path"]).is_file()
        sides.setdefault(Path(row["source"]).stem.removesuffix("-copy") + row["label"], set()).add(row["split"])
    assert all(len(found) == 1 for found in sides.values())
    tests = [row for row in rows if row["split"] == "test"]
    assert sum("/field/" in row["path"] for row in tests) == len(tests) / 2 > 0
    assert {row["split"] for row in rows} == {"train", "val", "test"}
