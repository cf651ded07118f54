"""The synthetic set: the same everywhere, easy to see, whole or absent."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_data.sets.shapes import CONTRAST, SHAPES, draw, draw_shapes, shapes_folder
from edge_data.sets.splits import split
from edge_runtime import OutputError, UsageError, cache_folder, scan


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_set_is_a_data_folder(tmp_path: Path) -> None:
    folder = draw_shapes(tmp_path / "deep/down/shapes", counts=(12, 6, 3), size_px=48)
    found = scan(folder)
    assert found.labels == ("circle", "square", "triangle")
    assert {name: len(samples) for name, samples in found.splits.items()} == {"train": 12, "val": 6, "test": 3}
    assert found.notes == ()
    assert (folder / "train/circle/0003.png").is_file()
    with Image.open(folder / "test/square/0000.png") as image:
        assert (image.size, image.mode, image.format) == ((48, 48), "RGB", "PNG")


def test_classes_differ_by_one_at_most_and_a_split_may_be_left_out(tmp_path: Path) -> None:
    found = scan(draw_shapes(tmp_path / "shapes", counts=(11, 4, 0), size_px=32))
    numbers = [sum(each.label == label for each in found.splits["train"]) for label in range(3)]
    assert numbers == [4, 4, 3]
    assert "test" not in found.splits


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path: Path) -> None:
    first, again, other = (
        files(draw_shapes(tmp_path / name, counts=(6, 3, 3), seed=seed, size_px=40))
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first == again
    assert first.keys() == other.keys()
    assert not set(first.values()) & set(other.values())


def test_no_picture_is_in_two_places(tmp_path: Path) -> None:
    drawn = files(draw_shapes(tmp_path / "shapes", counts=(30, 15, 15), size_px=32))
    assert len(set(drawn.values())) == 60


def test_a_picture_does_not_depend_on_how_many_are_drawn(tmp_path: Path) -> None:
    few = files(draw_shapes(tmp_path / "few", counts=(6, 3, 3), size_px=32))
    many = files(draw_shapes(tmp_path / "many", counts=(12, 6, 3), size_px=32))
    assert few.items() <= many.items()


def test_the_pixels_are_the_same_on_every_machine_and_in_every_release() -> None:
    digest = hashlib.sha256()
    for index in range(8):
        for shape in SHAPES:
            digest.update(draw(shape, seed=0, split="train", index=index).pixels.tobytes())
    assert digest.hexdigest() == "d219f0d60d3a7a68bc1753a5780ca5ce79ce9f0ceb69b831332f4cc0ea9e9e1c", (
        "raise the version in the cached set's name when this is meant"
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", [0, 12345])
def test_a_person_can_always_tell_the_shape(shape: str, seed: int) -> None:
    for index in range(25):
        drawing = draw(shape, seed=seed, split="val", index=index, size_px=64)
        luma = drawing.pixels @ np.array([0.299, 0.587, 0.114])
        inside, outside = luma[drawing.coverage == 16], luma[drawing.coverage == 0]
        assert inside.max() <= outside.min() - CONTRAST
        edge = np.concatenate([drawing.coverage[[0, -1]].ravel(), drawing.coverage[:, [0, -1]].ravel()])
        assert not edge.any(), "the whole shape is in the picture"
        assert 0.08 < inside.size / luma.size < 0.45


def test_the_outline_is_that_of_its_name() -> None:
    # Of the box a shape fills: a circle pi/4, a turned square 1 down to 0.57, a triangle about half.
    for index in range(20):
        filled = {}
        for shape in SHAPES:
            covered = draw(shape, seed=3, split="train", index=index).coverage / 16
            rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
            filled[shape] = covered.sum() / (np.ptp(rows) + 1) / (np.ptp(columns) + 1)
        assert filled["circle"] == pytest.approx(np.pi / 4, abs=0.04)
        assert 0.54 < filled["square"] <= 1
        assert filled["triangle"] < 0.56


def test_pictures_vary_in_size_place_colour_and_background() -> None:
    drawings = [draw("circle", seed=0, split="train", index=index, size_px=48) for index in range(30)]
    areas = [int(drawing.coverage.sum()) for drawing in drawings]
    assert max(areas) > 1.5 * min(areas)
    centres = np.array([np.argwhere(drawing.coverage > 8).mean(axis=0) for drawing in drawings])
    assert (np.ptp(centres, axis=0) > 8).all()
    assert len({tuple(drawing.pixels[drawing.coverage == 16][0]) for drawing in drawings}) == 30
    flat = [len(np.unique(drawing.pixels[drawing.coverage == 0], axis=0)) for drawing in drawings]
    assert min(flat) == 1, "some plain"
    assert max(flat) > 100, "some not"


def test_a_folder_in_use_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    with pytest.raises(UsageError, match="mine is not empty"):
        draw_shapes(tmp_path / "mine", counts=(3, 3, 3))
    assert files(tmp_path) == {"mine/notes.txt": b"keep"}
    with pytest.raises(UsageError, match="is a file"):
        draw_shapes(tmp_path / "mine/notes.txt", counts=(3, 3, 3))


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "shapes").mkdir()
    draw_shapes(tmp_path / "shapes", counts=(3, 3, 3), size_px=32)
    assert len(files(tmp_path)) == 9, "and nothing is left beside it"


@pytest.mark.parametrize(
    ("counts", "seed", "size_px", "named"),
    [
        ((2, 3, 3), 0, 96, "class without images"),
        ((30, 1, 3), 0, 96, "class without images"),
        ((30, 3, -3), 0, 96, "class without images"),
        ((30, 3, 3), -1, 96, "-1"),
        ((30, 3, 3), 0, 8, "8 pixels"),
        ((30, 3, 3), 0, 100_000, "100000 pixels"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    tmp_path: Path, counts: tuple[int, int, int], seed: int, size_px: int, named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        draw_shapes(tmp_path / "shapes", counts=counts, seed=seed, size_px=size_px)
    assert not (tmp_path / "shapes").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file/shapes"):
        draw_shapes(tmp_path / "file/shapes", counts=(3, 3, 3))


def test_a_kill_leaves_no_half_set(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from edge_data.sets.shapes import draw_shapes;"
        f"draw_shapes(Path({str(tmp_path / 'shapes')!r}), counts=(30000, 3, 3))"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("0002.png")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert list(tmp_path.rglob("0002.png")), "it was killed at work"
    assert not (tmp_path / "shapes").exists()


def test_the_default_set_is_drawn_once_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    folder = shapes_folder()
    assert folder.is_relative_to(tmp_path / "cache")
    made = split(scan(folder), seed=0)
    assert (len(made.train), len(made.val), len(made.test)) == (300, 60, 60)
    drawn = (folder / "train/circle/0000.png").stat().st_mtime_ns
    assert shapes_folder() == folder
    assert (folder / "train/circle/0000.png").stat().st_mtime_ns == drawn
    (folder / "val/square/0007.png").unlink()
    assert (shapes_folder() / "val/square/0007.png").is_file()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.name]


def test_two_processes_may_draw_the_default_set_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path))
    script = "from edge_data.sets.shapes import shapes_folder; print(shapes_folder())"
    command = [sys.executable, "-W", "error", "-c", script]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=120)[0].strip() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert len(set(answers)) == 1
    assert len(list(Path(answers[0]).rglob("*.png"))) == 420


def test_a_cache_that_cannot_be_written_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "file/cache"))
    with pytest.raises(OutputError, match="file/cache") as caught:
        shapes_folder()
    assert "EDGE_CACHE" in caught.value.hint


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("EDGE_CACHE", "")
    assert cache_folder() == tmp_path / "xdg/edge"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache/edge"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == tmp_path / ".cache/edge"


def test_drawing_and_splitting_need_no_torch() -> None:
    script = (
        "import sys, edge_data.sets.shapes, edge_data.sets.splits;"
        "sys.exit(bool({'torch', 'torchvision', 'matplotlib'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_command_takes_the_sizes_that_can_be_drawn(edge: Any, tmp_path: Path) -> None:
    refused = edge("data", "shapes", "--image-size", "31")
    assert refused.returncode == 2 and "32<=x<=1024" in refused.stderr
    assert edge("data", "shapes", "--image-size", "32", "--counts", "3,0,0").returncode == 0
    with Image.open(tmp_path / "shapes/train/circle/0000.png") as picture:
        assert picture.size == (32, 32)
