from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tiny_model import write_tiny_model

SCRIPTS = Path(__file__).parents[3] / "benchmarks" / "self_checks"


def run_script(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / script), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def given_words(tmp_path: Path) -> list[str]:
    model, image = write_tiny_model(tmp_path / "tiny.onnx"), tmp_path / "red.jpg"
    Image.new("RGB", (320, 240), "red").save(image)
    return ["--model", str(model), "--image", str(image), "--threads", "1"]


def medians(stdout: str) -> dict[str, float]:
    rows = re.finditer(r"^((?:edge|bare)(?:, [a-z ]+?)?) +([\d.]+) +[\d.]+ +\d+$", stdout, re.MULTILINE)
    return {row[1]: float(row[2]) for row in rows}


def test_warm_compares_predict_with_its_bare_halves(given_words: list[str]) -> None:
    done = run_script("warm.py", *given_words, "--seconds", "0.05", "--beside")
    assert done.returncode == 0, done.stderr
    row = medians(done.stdout)
    assert len(row) == 6
    ratio = re.search(r"sum of the bare halves ([\d.]+), to both in turn ([\d.]+)", done.stdout)
    assert ratio is not None
    # Medians are printed to the microsecond, and these are some tenths of a millisecond.
    expected = row["edge"] / (row["bare, decode and resize"] + row["bare, model"])
    assert float(ratio[1]) == pytest.approx(expected, rel=0.05)
    assert float(ratio[2]) == pytest.approx(row["edge"] / row["bare"], rel=0.05)
    beside = re.findall(r"^(edge|bare): one process ([\d.]+) .* together ([\d.]+) of one", done.stdout, re.MULTILINE)
    assert [how for how, _, _ in beside] == ["edge", "bare"]
    assert all(float(rate) > 0 and float(share) > 0 for _, rate, share in beside)


def test_the_bare_side_sees_what_the_model_is_meant_to_see(
    given_words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from warm import Program  # type: ignore[import-not-found]

    rows = np.linspace(0, 255, 300).astype(np.uint8)
    picture = np.stack([np.tile(rows, (200, 1)), np.full((200, 300), 128, np.uint8), np.tile(rows, (200, 1))], axis=-1)
    Image.fromarray(picture).save(tmp_path / "ramp.jpg", quality=95)
    program = Program(Path(given_words[1]), (tmp_path / "ramp.jpg").read_bytes(), 1)
    bare = program.bare_pixels().astype(int)
    ours = program.classifier.preprocessing(program.jpeg).astype(int)
    assert bare.shape == ours.shape
    assert np.abs(bare - ours).mean() < 2


def test_throughput_names_a_bound_and_the_share_of_it(given_words: list[str]) -> None:
    done = run_script("throughput.py", *given_words, "--images", "30", "--rounds", "1", "--megapixels", "0.05")
    assert done.returncode == 0, done.stderr
    bound = re.search(r"bound ([\d.]+) images/s", done.stdout)
    rows = re.findall(r"^(predict_many|batches of 8) +([\d.]+) images/s +([\d.]+)% of", done.stdout, re.MULTILINE)
    assert bound is not None
    assert [name for name, _, _ in rows] == ["predict_many", "batches of 8"]
    for _, rate, share in rows:
        # Both are printed to one place.
        assert float(share) == pytest.approx(100 * float(rate) / float(bound[1]), rel=0.02, abs=0.1)
    best = re.search(r"best of predict_many ([\d.]+)%", done.stdout)
    assert best is not None and best[1] == rows[0][2]


@pytest.mark.parametrize("script", ["warm.py", "throughput.py"])
def test_what_is_missing_is_an_error_not_a_figure(
    refused: Callable[..., tuple[int, str, str]], script: str, given_words: list[str], tmp_path: Path
) -> None:
    given_words[1] = str(tmp_path / "gone.onnx")
    code, _, stderr = refused(script, *given_words)
    assert code == 2
    assert "gone.onnx" in stderr


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("warm.py", ["--seconds", "0"]),
        ("warm.py", ["--seconds", "nan"]),
        ("warm.py", ["--threads", "0"]),
        ("throughput.py", ["--images", "0"]),
        ("throughput.py", ["--megapixels", "1000"]),
    ],
)
def test_senseless_settings_are_refused(
    refused: Callable[..., tuple[int, str, str]], script: str, words: list[str]
) -> None:
    code, stdout, stderr = refused(script, *words)
    assert (code, stdout) == (2, "")
    assert words[0] in stderr
