"""The optimised form of a model file is opened where it fits, and nowhere else; the answers are the same."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edge_runtime import Classifier, open_quick_load, write_json
from edge_runtime.model.this_machine import (
    NOTE_FORMAT,
    describe_file,
    find_quick_load,
    quick_load_paths,
    remove_quick_load,
    write_quick_load_note,
)
from tiny_model import write_tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model whose optimised form, by way of a test, is never sure of anything: so one can tell who answers."""
    path = write_tiny_model(tmp_path / "model.onnx")
    quick, _ = quick_load_paths(path)
    write_tiny_model(quick, sharpness=0.0)
    write_quick_load_note(path, onnxruntime.__version__)
    return path


def quick_answers(model: Path) -> bool:
    red = np.full((1, 32, 32, 3), (255, 0, 0), np.uint8)
    return bool(Classifier(model, threads=1).probabilities(red).max() < 0.5)


def is_quick(model: Path) -> bool:
    found = find_quick_load(model, onnxruntime.__version__)
    assert (found is not None) == quick_answers(model)
    return found is not None


def test_it_is_opened_where_it_fits_and_the_portable_file_where_it_is_gone(model: Path) -> None:
    assert is_quick(model)
    assert Classifier(model).path == model
    remove_quick_load(model)
    assert not is_quick(model)
    remove_quick_load(model)


def changed(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(note: dict[str, Any]) -> None:
        *path, last = key.split(".")
        place = note
        for part in path:
            place = place[part]
        place[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        changed("note_format", NOTE_FORMAT + 1),
        changed("machine.cpu", "Raspberry Pi 4 Model B"),
        changed("machine.instruction_sets", ["neon"]),
        changed("machine.architecture", "aarch64"),
        changed("machine.onnxruntime", "1.0.0"),
        changed("machine", None),
        changed("portable", {}),
        changed("optimized.size_bytes", 1),
    ],
)
def test_a_note_that_is_not_true_here_is_silently_passed_over(
    model: Path, change: Callable[[dict[str, Any]], None], capfd: pytest.CaptureFixture[str]
) -> None:
    note = quick_load_paths(model)[1]
    value = json.loads(note.read_text())
    change(value)
    write_json(note, value)
    assert not is_quick(model)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", '{"note_format": 1}', "\0", "\ud800".encode("utf-8", "replace").decode()]
)
def test_a_damaged_note_is_silently_passed_over(model: Path, text: str) -> None:
    quick_load_paths(model)[1].write_text(text)
    assert not is_quick(model)


def test_a_portable_file_that_was_exported_again_is_the_one_opened(model: Path) -> None:
    old = model.stat()
    write_tiny_model(model, labels=("x", "y", "z"))
    assert model.stat().st_size == old.st_size, "the size alone must not decide"
    assert not is_quick(model)


def test_files_that_were_copied_are_known_by_their_hash(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / model.name
    copy.parent.mkdir()
    for path in (model, *quick_load_paths(model)):
        shutil.copyfile(path, copy.parent / path.name)
        os.utime(copy.parent / path.name, ns=(0, 0))
    assert is_quick(copy)


def test_labels_are_the_portable_files_to_say(model: Path) -> None:
    quick, _ = quick_load_paths(model)
    write_tiny_model(quick, labels=("c", "b", "a"), sharpness=0.0)
    write_quick_load_note(model, onnxruntime.__version__)
    assert open_quick_load(model) is None
    assert not quick_answers(model) and Classifier(model).labels == ("a", "b", "c")


@pytest.mark.skipif(os.name == "nt", reason="its files have no such modes")
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_what_others_may_write_is_silently_passed_over(model: Path, which: int, mode: int) -> None:
    path = quick_load_paths(model)[which]
    path.chmod(mode)
    assert not is_quick(model)
    path.chmod(0o644)
    assert is_quick(model)


@pytest.mark.skipif(os.name == "nt", reason="its files have no such owners")
@pytest.mark.parametrize("which", [0, 1])
def test_what_another_user_owns_is_silently_passed_over(
    model: Path, which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = quick_load_paths(model)[which]
    if os.geteuid() == 0:
        os.chown(path, 65534, -1)
    elif which:
        # Only root gives files away: here it is this user who is another.
        monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    else:
        pytest.skip("needs root")
    assert not is_quick(model)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_what_the_owner_of_the_portable_file_owns_is_opened(model: Path) -> None:
    for path in quick_load_paths(model):
        os.chown(path, 65534, -1)
    assert not is_quick(model)
    os.chown(model, 65534, -1)
    assert is_quick(model)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
@pytest.mark.parametrize("which", [0, 1])
def test_a_link_is_silently_passed_over(model: Path, which: int) -> None:
    path = quick_load_paths(model)[which]
    path.symlink_to(path.rename(path.with_name("elsewhere")))
    assert not is_quick(model)


@pytest.mark.skipif(os.name == "nt", reason="its files have no such modes")
def test_a_pipe_in_the_notes_place_is_not_waited_for(model: Path) -> None:
    note = quick_load_paths(model)[1]
    note.unlink()
    os.mkfifo(note)
    assert not is_quick(model)


@pytest.mark.skipif(os.name == "nt", reason="there is no umask")
def test_what_is_written_where_a_group_may_write_is_used(model: Path) -> None:
    before = os.umask(0o002)
    try:
        for path in quick_load_paths(model):
            path.unlink()
        write_tiny_model(quick_load_paths(model)[0], sharpness=0.0)
        write_quick_load_note(model, onnxruntime.__version__)
    finally:
        os.umask(before)
    assert is_quick(model)


def test_an_optimised_form_that_onnxruntime_refuses_is_silently_passed_over(
    model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    quick, note = quick_load_paths(model)
    quick.write_bytes(b"no model")
    value = json.loads(note.read_text())
    write_json(note, {**value, "optimized": describe_file(quick)})
    assert find_quick_load(model, onnxruntime.__version__) == quick
    assert open_quick_load(model) is None
    assert Classifier(model).labels == ("a", "b", "c")
    assert capfd.readouterr() == ("", "")


def test_the_answers_of_a_real_optimised_form_are_the_same(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "model.onnx")
    plain = Classifier(model, threads=1)
    quick, _ = quick_load_paths(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(quick)
    onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    write_quick_load_note(model, onnxruntime.__version__)
    assert find_quick_load(model, onnxruntime.__version__) == quick
    fast = Classifier(model, threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    np.testing.assert_allclose(fast.probabilities(pixels), plain.probabilities(pixels), atol=1e-6)
    assert fast.card == plain.card
