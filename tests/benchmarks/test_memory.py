from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edge_benchmarks import draw_picture, probe
from edge_runtime import ModelError
from tiny_model import write_tiny_model

NEEDS_PEAK = pytest.mark.skipif(sys.platform == "win32", reason="Windows does not say")


@NEEDS_PEAK
def test_a_fresh_process_reports_its_own_memory_not_its_parents(tmp_path: Path) -> None:
    model, image = write_tiny_model(tmp_path / "tiny.onnx"), draw_picture(tmp_path / "x.jpg")
    before = probe(model, image)
    assert before.peak_bytes is not None
    # numpy and onnxruntime alone are some 40 MB; a tiny model adds next to nothing.
    assert 20e6 < before.peak_bytes < 300e6
    ballast = np.ones(500_000_000 // 8)
    after = probe(model, image)
    assert after.peak_bytes is not None
    assert after.peak_bytes < before.peak_bytes + ballast.nbytes / 4


@NEEDS_PEAK
def test_a_larger_picture_takes_more_memory(tmp_path: Path) -> None:
    from PIL import Image

    model = write_tiny_model(tmp_path / "tiny.onnx")
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    Image.new("RGB", (64, 48)).save(small)
    Image.new("RGB", (8000, 6000)).save(large)
    peaks = [probe(model, image).peak_bytes or 0 for image in (small, large)]
    assert peaks[1] - peaks[0] > 8000 * 6000 * 2


def test_times_to_load_and_to_the_first_answer_are_there(tmp_path: Path) -> None:
    found = probe(write_tiny_model(tmp_path / "tiny.onnx"), draw_picture(tmp_path / "x.jpg"), threads=1).to_json()
    assert found["load_ms"] > 0
    assert found["first_ms"] > 0


def test_a_process_that_fails_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="fresh process") as caught:
        probe(tmp_path / "gone.onnx", draw_picture(tmp_path / "x.jpg"))
    assert "\n" not in caught.value.message
    assert "Traceback" not in caught.value.message


def test_a_module_in_the_users_folder_does_not_get_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_model(tmp_path / "tiny.onnx")
    draw_picture(tmp_path / "x.jpg")
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert probe(Path("tiny.onnx"), Path("x.jpg")).load_ms > 0
