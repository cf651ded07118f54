"""The engine that was measured fastest is taken where all that it was measured on is still so, and nowhere else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_runtime import Classifier, EngineChoice, OutputError, find_engine_choice, keep_engine_choices, usable_cores
from edge_runtime.model import engine_choice
from tiny_model import write_tiny_model

TWO = EngineChoice("openvino", 2, p50_ms=2.0, onnxruntime_p50_ms=3.0, max_difference=1e-6, images=21)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test's own."""
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "model.onnx")


def test_a_choice_is_found_for_its_file_and_its_number_of_threads(model: Path, tmp_path: Path) -> None:
    assert find_engine_choice(model, 2) is None
    note = keep_engine_choices(model, [TWO])
    assert note.parent == tmp_path / "cache/engines"
    assert find_engine_choice(model, 2) == TWO and find_engine_choice(model, 64) is None
    assert find_engine_choice(model) == (TWO if usable_cores() == 2 else None)
    assert find_engine_choice(write_tiny_model(tmp_path / "other.onnx"), 2) is None
    assert "1.50 times as fast" in str(TWO)
    one = replace(TWO, engine="onnxruntime", threads=1)
    keep_engine_choices(model, [one])
    assert (find_engine_choice(model, 1), find_engine_choice(model, 2)) == (one, TWO)


def test_the_same_file_with_another_time_still_counts(model: Path) -> None:
    keep_engine_choices(model, [TWO])
    os.utime(model, (1, 1))
    assert find_engine_choice(model, 2) == TWO


def test_exact_arithmetic_is_onnxruntimes_whatever_was_chosen(model: Path) -> None:
    keep_engine_choices(model, [TWO])
    classifier = Classifier(model, threads=2, engine="auto", exact=True)
    assert (classifier.engine, classifier.engine_choice) == ("onnxruntime", None)


def change(key: str, value: Any) -> Callable[[Path], object]:
    def write(note: Path) -> None:
        said = json.loads(note.read_text())
        *path, last = key.split(".")
        place = said
        for part in path:
            place = place[int(part) if part.isdigit() else part]
        place[last] = value
        note.write_text(json.dumps(said))

    return write


def link(note: Path) -> None:
    note.rename(note.with_suffix(".real"))
    note.symlink_to(note.with_suffix(".real"))


@pytest.mark.parametrize(
    "spoil",
    [
        change("choice_format", 2),
        change("machine.cpu", "another"),
        change("machine.instruction_sets", []),
        change("machine.onnxruntime", "1.0.0"),
        change("machine.openvino", "2019.1"),
        change("machine.edge", "0.0.1"),
        change("model.sha256", "0" * 64),
        change("model.size_bytes", 1),
        change("choices", 7),
        change("choices.0.engine", "tensorrt"),
        change("choices.0.p50_ms", "fast"),
        change("choices.0.p50_ms", 0),
        change("choices.0.threads", "2"),
        change("choices.0.more", 1),
        lambda note: note.write_text("[" * 20_000),
        lambda note: note.write_bytes(b"\xff{"),
        lambda note: note.write_text(" " * 70_000 + note.read_text()),
        lambda note: note.chmod(0o666),
        link,
    ],
)
def test_a_note_that_holds_no_longer_or_is_not_this_users_alone_is_passed_over(
    model: Path, spoil: Callable[[Path], object]
) -> None:
    note = keep_engine_choices(model, [TWO])
    if spoil.__qualname__.startswith("change") and "sha256" in str(spoil.__closure__[0].cell_contents):  # type: ignore[index]
        # While size and time are the same the file is taken for the same.
        os.utime(model, (1, 1))
    spoil(note)
    assert find_engine_choice(model, 2) is None
    assert Classifier(model, threads=2, engine="auto").engine == "onnxruntime"
    # What is written then takes nothing over from it.
    note.unlink()
    keep_engine_choices(model, [replace(TWO, threads=1)])
    assert find_engine_choice(model, 2) is None


def test_a_note_of_another_user_is_passed_over(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_engine_choices(model, [TWO])
    monkeypatch.setattr(engine_choice.os, "geteuid", lambda: 4711)
    if model.stat().st_uid:
        assert find_engine_choice(model, 2) is None
    else:
        # What root wrote counts for everyone.
        assert find_engine_choice(model, 2) == TWO


def test_another_model_in_the_same_place_has_no_choice(model: Path) -> None:
    keep_engine_choices(model, [TWO])
    write_tiny_model(model, sharpness=1.0)
    assert find_engine_choice(model, 2) is None


def test_without_a_cache_there_is_no_choice(model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.touch()
    with pytest.raises(OutputError, match="cache") as raised:
        keep_engine_choices(model, [TWO])
    assert "EDGE_CACHE" in raised.value.hint
    assert find_engine_choice(model, 2) is None
    monkeypatch.setattr(engine_choice, "cache_folder", lambda: (_ for _ in ()).throw(OutputError("no home", "")))
    assert find_engine_choice(model, 2) is None


def test_auto_is_onnxruntime_where_nothing_was_measured_and_says_what_it_is(model: Path) -> None:
    assert Classifier(model).engine_choice is None
    keep_engine_choices(model, [replace(TWO, engine="onnxruntime")])
    classifier = Classifier(model, threads=2, engine="auto")
    assert classifier.engine == "onnxruntime"
    assert classifier.engine_choice is not None and classifier.engine_choice.threads == 2
