"""Worker processes: what they say of a model, what they obey, and how they fail."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_benchmarks import Contestant
from edge_benchmarks.measure.worker_driver import Worker
from edge_benchmarks.measure.worker_process import _Obedience
from edge_benchmarks.models.drawn_picture import draw_picture
from edge_benchmarks.models.engines import Setup, open_engine
from edge_runtime import Accuracy, ImageError, ModelError, Sample, UsageError, WarmUp
from tiny_model import write_heavy_model, write_tiny_model

NEEDS_PEAK = pytest.mark.skipif(sys.platform == "win32", reason="Windows does not say")


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    model, image = write_tiny_model(tmp_path / "tiny.onnx"), draw_picture(tmp_path / "x.jpg")
    return Setup(str(model), threads=1, batch=4, images=(str(image),))


def coloured(folder: Path, **colours: str) -> dict[str, Path]:
    for name, colour in colours.items():
        Image.new("RGB", (40, 40), colour).save(folder / f"{name}.png")
    return {name: folder / f"{name}.png" for name in colours}


def test_the_first_answer_and_what_it_took(setup: Setup, tmp_path: Path) -> None:
    green = coloured(tmp_path, green="lime")["green"]
    with Worker(Setup(setup.path, threads=1, images=(str(green),))) as worker:
        first = worker.first
    assert int(np.argmax(first.answer)) == 1 and sum(first.answer) == pytest.approx(1, abs=1e-5)
    assert first.load_ms > 0 and first.first_ms > 0
    # Starting Python and importing numpy take longer than opening a tiny model.
    assert first.process_ms > first.load_ms + first.first_ms


def test_torch_in_a_process_of_its_own_answers_as_onnxruntime_does(fresh: Contestant, setup: Setup) -> None:
    assert fresh.checkpoint is not None
    answers = []
    for contestant in (fresh, fresh.run_by("torch", fresh.checkpoint)):
        given = contestant.setup(threads=1, batch=1, images=tuple(map(Path, setup.images)))
        with Worker(given) as worker:
            answers.append(np.array(worker.first.answer))
    assert answers[0].shape == (1000,) and np.abs(answers[0] - answers[1]).max() < 1e-4


@NEEDS_PEAK
def test_a_fresh_process_reports_its_own_memory_not_its_parents(setup: Setup) -> None:
    with Worker(setup) as worker:
        before = worker.first.peak_bytes
    assert before is not None
    # numpy and onnxruntime alone are some 40 MB; a tiny model adds next to nothing.
    assert 20e6 < before < 300e6
    ballast = np.ones(200_000_000 // 8)
    with Worker(setup) as worker:
        after = worker.first.peak_bytes
    assert after is not None
    assert after < before + ballast.nbytes / 2


@NEEDS_PEAK
def test_a_larger_picture_takes_more_memory(setup: Setup, tmp_path: Path) -> None:
    peaks = []
    for name, size in (("small", (64, 48)), ("large", (4000, 3000))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
        with Worker(Setup(setup.path, images=(str(tmp_path / f"{name}.png"),))) as worker:
            peaks.append(worker.first.peak_bytes or 0)
    assert peaks[1] - peaks[0] > 4000 * 3000 * 2


@pytest.mark.parametrize("task", ["preprocess", "latency", "end_to_end", "throughput"])
def test_turns_at_each_task(setup: Setup, task: str) -> None:
    with Worker(setup) as worker:
        warm = worker.warm_up(task, least_s=0.01)
        times_ms = worker.turn(task)(0.02, 3)
    assert warm.runs >= 10
    assert len(times_ms) >= 3 and all(time_ms > 0 for time_ms in times_ms)
    (busyness,) = worker.busyness
    assert busyness.capacity_s * 1000 >= sum(times_ms)


@pytest.mark.parametrize("stable", [True, False])
def test_whether_inference_became_stable_is_handed_on(
    setup: Setup, stable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_runtime.warm_up", lambda *_, **__: WarmUp(3, stable))
    obey = _Obedience(open_engine(setup), setup, print)
    said = obey({"do": "warm_up", "task": "latency", "least_s": 0.0})
    assert said == {"runs": 3, "stable": stable}
    with Worker(setup) as worker:
        monkeypatch.setattr(worker, "_ask", lambda **_: said)
        assert worker.warm_up("latency", least_s=0.0) == WarmUp(3, stable)


def test_end_to_end_is_decoding_and_inference(tmp_path: Path) -> None:
    # Where one half takes nearly all, the whole takes far more than the other half, however busy the machine is.
    Image.effect_noise((2000, 2000), 50).save(tmp_path / "large.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "small.png")
    light, heavy = write_tiny_model(tmp_path / "light.onnx", size=8), write_heavy_model(tmp_path / "heavy.onnx")
    for model, picture, half in ((light, "large.png", "latency"), (heavy, "small.png", "preprocess")):
        with Worker(Setup(str(model), threads=1, images=(str(tmp_path / picture),))) as worker:
            assert min(worker.turn("end_to_end")(0.0, 10)) > 3 * min(worker.turn(half)(0.0, 10))


def test_every_picture_has_its_turn(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny.onnx")
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    Image.new("RGB", (32, 32)).save(small)
    Image.effect_noise((1600, 1600), 50).save(large)
    with Worker(Setup(str(model), threads=1, images=(str(small), str(large)))) as worker:
        times_ms = worker.turn("preprocess")(0.0, 10)
    quick, slow = sorted((min(times_ms[::2]), min(times_ms[1::2])))
    assert slow > 3 * quick


def test_random_input_needs_no_picture(setup: Setup) -> None:
    with Worker(Setup(setup.path, threads=1)) as worker:
        assert worker.first.answer == ()
        assert len(worker.turn("latency")(0.0, 5)) >= 5


def test_images_are_scored_and_the_unreadable_named(setup: Setup, tmp_path: Path) -> None:
    coloured(tmp_path, red="red", green="lime", blue="blue", wrong="blue")
    (tmp_path / "broken.png").write_text("not a picture", encoding="utf-8")
    names = {"red": 0, "green": 1, "blue": 2, "wrong": 0, "broken": 1}
    samples = [Sample(f"{name}.png", label) for name, label in names.items()]
    seen = 0

    def count() -> None:
        nonlocal seen
        seen += 1

    with Worker(setup) as worker:
        found, (reason,) = worker.evaluate(str(tmp_path), samples, count)
    assert (found, seen) == (Accuracy(3, 4), 5)
    assert "broken.png" in reason


def test_what_the_worker_cannot_do_is_the_same_error_here(setup: Setup, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.onnx does not exist") as caught:
        Worker(Setup(str(tmp_path / "gone.onnx"), images=setup.images))
    assert caught.value.exit_code == 2 and caught.value.hint
    (tmp_path / "text.onnx").write_text("not a model", encoding="utf-8")
    with pytest.raises(ModelError, match=r"text\.onnx is not an ONNX file"):
        Worker(Setup(str(tmp_path / "text.onnx"), images=setup.images))
    (tmp_path / "text.jpg").write_text("not an image", encoding="utf-8")
    with pytest.raises(ImageError, match=r"text\.jpg"):
        Worker(Setup(setup.path, images=(str(tmp_path / "text.jpg"),)))


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_process_that_is_killed_is_one_line(setup: Setup) -> None:
    with Worker(setup) as worker:
        worker._process.send_signal(signal.SIGKILL)
        with pytest.raises(ModelError, match="killed by signal 9") as caught:
            worker.turn("latency")(0.0, 1)
    assert "\n" not in caught.value.message


def test_a_process_that_ends_by_itself_says_its_last_line(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('no luck today')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ModelError, match="no luck today"):
        Worker(setup)


def test_a_module_in_the_users_folder_does_not_get_in(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with Worker(setup) as worker:
        assert worker.first.load_ms > 0


def test_nothing_is_left_running(setup: Setup) -> None:
    with Worker(setup) as worker:
        process = worker._process
    assert process.poll() is not None
