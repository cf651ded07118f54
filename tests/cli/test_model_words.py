"""--model NAME=FILE."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_cli.model_words import named_models
from edge_runtime import UsageError


def test_one_file_needs_no_name_and_keeps_its_equals_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert named_models(["model.onnx"]) == Path("model.onnx")
    assert named_models(["runs/lr=3/model.onnx"]) == Path("runs/lr=3/model.onnx")
    Path("a=b.onnx").touch()
    assert named_models(["a=b.onnx"]) == Path("a=b.onnx")
    assert named_models(["cats=a.onnx"]) == {"cats": Path("a.onnx")}


def test_several_have_their_names_or_their_files() -> None:
    found = named_models(["cats=x/a.onnx", "x/dogs.onnx", "birds=runs/lr=3/b.onnx"])
    assert found == {"cats": Path("x/a.onnx"), "dogs": Path("x/dogs.onnx"), "birds": Path("runs/lr=3/b.onnx")}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cats=a.onnx", "cats=b.onnx"], "cats is there twice: a.onnx and b.onnx"),
        (["1/model.onnx", "2/model.onnx"], "model is there twice"),
        (["=a.onnx"], "lacks a name"),
        ([f"cats={'x' * 5000}", "cats=b.onnx"], "cats is there twice"),
        (["cats=", "b.onnx"], "lacks a file"),
    ],
)
def test_what_names_no_model_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        named_models(words)
