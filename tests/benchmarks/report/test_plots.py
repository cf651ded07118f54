"""The pictures: there, whole, and readable without colour."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from bench_reports import make_report, make_row
from edge_benchmarks import Report, draw_latency, draw_sustained, draw_tradeoff
from edge_benchmarks.measure.sustained import Bucket, Sustained
from edge_benchmarks.report import plots, sustained_picture
from edge_benchmarks.report.plots import LOOKS, OTHER
from edge_runtime import MissingExtraError, OutputError

needs_matplotlib = pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")


def report() -> Report:
    rows = [
        make_row(f"a/very/long/path/to/model-number-{i}.onnx", 2.0 * 1.5**i, accuracy=0.5 + 0.03 * i) for i in range(10)
    ]
    return make_report(
        [replace(row, precision=list(LOOKS)[i % 4], size_bytes=10**6 * 3**i) for i, row in enumerate(rows)]
    )


@needs_matplotlib
def test_both_pictures_are_drawn(tmp_path: Path) -> None:
    draw_latency(report(), tmp_path / "latency.png")
    assert draw_tradeoff(report(), tmp_path / "tradeoff.png") == ""
    for name in ("latency.png", "tradeoff.png"):
        with Image.open(tmp_path / name) as image:
            image.load()
            assert image.format == "PNG" and min(image.size) > 500
            # Something is on it.
            assert len(set(image.convert("L").resize((200, 200)).get_flattened_data())) > 10
    assert len(list(tmp_path.iterdir())) == 2


@needs_matplotlib
@pytest.mark.parametrize("celsius", [50.0, None])
def test_minutes_without_a_pause_are_a_picture(
    celsius: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    monkeypatch.setattr(sustained_picture, "save_png", lambda figure, _: figures.append(figure))
    minutes = tuple(Bucket(60.0 * i, 60.0, 2 + 0.1 * i, 3 + 0.1 * i, 500, celsius, None) for i in range(10))
    rows = [make_row("a.onnx", sustained=Sustained(minutes)), make_row("b.onnx", 9.0)]
    assert draw_sustained(make_report(rows), tmp_path / "x.png")
    (figure,) = figures
    # What the machine does not tell has no axes.
    assert [axes.get_ylabel() for axes in figure.axes] == ["ms, median to p90", "°C"][: 2 if celsius else 1]
    (line,) = figure.axes[0].get_lines()
    assert line.get_xdata().tolist() == [i + 0.5 for i in range(10)]
    assert line.get_ydata().tolist() == [minute.p50_ms for minute in minutes]
    assert line.get_label() == "a.onnx: +45.0%"
    assert not draw_sustained(make_report(rows[1:]), tmp_path / "none.png")


@needs_matplotlib
def test_names_stand_beside_their_marks_and_not_on_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    monkeypatch.setattr(plots, "save_png", lambda figure, _: figures.append(figure))
    # Three that are nearly the same, and others around them.
    places = [(10.0, 0.80), (10.2, 0.803), (10.4, 0.798), (9.0, 0.75), (20.0, 0.85), (40.0, 0.86), (35.0, 0.70)]
    rows = [make_row(f"model-{i}.onnx", ms, accuracy=accuracy) for i, (ms, accuracy) in enumerate(places)]
    assert draw_tradeoff(make_report(rows), tmp_path / "x.png") == ""
    (figure,) = figures
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = [plots._extent(text) for text in axes.texts]
    assert len(boxes) == len(places)
    assert all(axes.bbox.contains(*box.p0) and axes.bbox.contains(*box.p1) for box in boxes)
    assert not any(one.overlaps(two) for one, two in itertools.combinations(boxes, 2))


@needs_matplotlib
def test_each_row_has_its_own_height_in_the_picture_of_latency(tmp_path: Path) -> None:
    heights = []
    for count in (2, 10):
        draw_latency(make_report([make_row(str(i)) for i in range(count)]), tmp_path / "x.png")
        with Image.open(tmp_path / "x.png") as image:
            heights.append(image.height)
    assert heights[1] > 2 * heights[0]


@needs_matplotlib
@pytest.mark.parametrize(
    "rows", [[make_row("one", accuracy=0.9)], [make_row("a", accuracy=0.9), make_row("b", accuracy=0.9)]]
)
def test_one_point_and_equal_points_are_drawn_too(tmp_path: Path, rows: list[object]) -> None:
    same = make_report(rows)  # type: ignore[arg-type]
    assert draw_tradeoff(same, tmp_path / "x.png") == ""
    draw_latency(same, tmp_path / "y.png")


@needs_matplotlib
def test_without_accuracy_there_is_no_tradeoff_and_a_reason(tmp_path: Path) -> None:
    assert "--data" in draw_tradeoff(make_report([make_row()]), tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


def test_precisions_differ_in_more_than_colour() -> None:
    looks = [*LOOKS.values(), OTHER]
    assert len({hatch for _, hatch, _ in looks}) == len({mark for _, _, mark in looks}) == len(looks)


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (
        lambda: draw_latency(report(), tmp_path / "x.png"),
        lambda: draw_tradeoff(report(), tmp_path / "y.png"),
    ):
        with pytest.raises(MissingExtraError) as caught:
            draw()
        assert "edge-vision[bench]" in caught.value.hint


@needs_matplotlib
def test_letters_and_signs_of_any_name_are_drawn(tmp_path: Path) -> None:
    rows = [make_row(name, accuracy=0.9) for name in ("木.onnx", "$\\alpha$.onnx", "two\nlines.onnx", "\udcff.onnx")]
    draw_latency(make_report(rows), tmp_path / "x.png")
    assert draw_tradeoff(make_report(rows), tmp_path / "y.png") == ""


@needs_matplotlib
def test_a_folder_that_is_not_there_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        draw_latency(report(), tmp_path / "gone" / "latency.png")


@needs_matplotlib
def test_a_name_that_is_too_long_keeps_what_tells_it_from_the_others() -> None:
    start = "bees-mobilenet_v2-"
    models = [f"runs/{start}{name}-20261128-225153/model.onnx" for name in ("fine-tune", "feature-extraction")]
    rows = [make_row(model, 2.0) for model in models]
    labels = [plots.row_label(row, rows) for row in rows]
    assert labels == ["fine-tune-20261128-225153/model.onnx", "feature-extraction…-225153/model.onnx"]
    short = [make_row(name, 2.0) for name in ("mobilenet_v3_small", "mobilenet_v3_large")]
    assert [plots.row_label(row, short) for row in short] == ["mobilenet_v3_small", "mobilenet_v3_large"]


@needs_matplotlib
@pytest.mark.parametrize(("low", "high", "least"), [(6.0, 9.0, 3), (0.5, 400.0, 5), (11.0, 14.0, 2)])
def test_the_axis_of_milliseconds_has_figures_on_it(low: float, high: float, least: int) -> None:
    from edge_data import new_figure

    axes = new_figure(600, 300).subplots()
    axes.set_xlim(low, high)
    plots._milliseconds(axes, "it takes")
    shown = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert len(shown) >= least
