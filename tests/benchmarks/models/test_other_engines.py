"""Which other engines a model can be run by, and what is said where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_benchmarks import Contestant, choose_engines, find_rivals
from edge_benchmarks.models import other_engines as rivals
from edge_runtime import ModelCard, Preprocessing, UsageError
from tiny_model import write_tiny_model


def test_engines_by_name() -> None:
    assert choose_engines("torch, OpenVINO,torch") == ("torch", "openvino")
    assert choose_engines("all") == ("torch", "torchscript", "openvino")
    for wrong in ("", "tensorrt", "onnxruntime"):
        with pytest.raises(UsageError, match="`against`"):
            choose_engines(wrong)


@pytest.fixture
def everything_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_benchmarks.models.other_engines.find_spec", lambda name: name)


def card(**changes: object) -> ModelCard:
    size = Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear")
    fields = {"labels": ("a", "b", "c"), "preprocessing": size, "backbone": "tiny", "strategy": "scratch", **changes}
    return ModelCard(**fields)  # type: ignore[arg-type]


def test_what_is_not_installed_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_benchmarks.models.other_engines.find_spec", lambda _: None)
    said: list[str] = []
    contestant = Contestant("tiny", write_tiny_model(tmp_path / "tiny.onnx"))
    assert find_rivals([contestant], choose_engines("all"), tmp_path, said.append) == []
    assert len(said) == 3
    assert "edge-vision[export]" in said[0] and "edge-vision[fast]" in said[2]


@pytest.mark.usefixtures("everything_installed")
def test_a_file_without_its_checkpoint_is_left_to_openvino(tmp_path: Path) -> None:
    said: list[str] = []
    contestant = Contestant("tiny", write_tiny_model(tmp_path / "tiny.onnx"))
    found = find_rivals([contestant], choose_engines("all"), tmp_path, said.append)
    assert [(rival.engine, rival.opened) for rival in found] == [("openvino", contestant.model)]
    assert all("best.pt of its run, does not lie beside it" in line for line in said) and len(said) == 2


@pytest.mark.usefixtures("everything_installed")
def test_a_run_has_its_checkpoint_and_the_torchscript_it_was_exported_to(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "model.onnx")
    (tmp_path / "best.pt").touch()
    (tmp_path / "model.torchscript.pt").touch()
    contestant = Contestant("model.onnx", model, checkpoint=tmp_path / "best.pt")
    found = find_rivals([contestant], ("torch", "torchscript"), tmp_path / "new", print)
    assert [rival.opened.name for rival in found] == ["best.pt", "model.torchscript.pt"]
    assert not any(rival.passing for rival in found)


@pytest.mark.usefixtures("everything_installed")
def test_two_runs_in_folders_of_one_name_are_traced_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    edge_export = pytest.importorskip("edge_export")
    monkeypatch.setattr(edge_export, "write_torchscript", lambda _, network, path: path.write_text(network))
    monkeypatch.setattr(rivals, "read_checkpoint", lambda path: (card(), path.read_text()))
    runs = []
    for name, sharpness in (("one", 1.0), ("two", 2.0)):
        (run := tmp_path / name / "final").mkdir(parents=True)
        (run / "best.pt").write_text(name)
        model = write_tiny_model(run / "model.onnx", sharpness=sharpness)
        runs.append(Contestant(name, model, checkpoint=run / "best.pt"))
    found = find_rivals(runs, ("torchscript",), tmp_path, print)
    assert [rival.opened.read_text() for rival in found] == ["one", "two"]


@pytest.mark.usefixtures("everything_installed")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"precision": "int8"}, "int8 layers exist in the ONNX file alone"),
        ({"members": ({"run": "a"},)}, "an ensemble"),
    ],
)
def test_what_torch_cannot_have_is_said(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    model = write_tiny_model(tmp_path / "model.onnx", card=card(**changes))
    contestant = Contestant("model.onnx", model, checkpoint=tmp_path / "best.pt")
    lines: list[str] = []
    assert find_rivals([contestant], ("torch",), tmp_path, lines.append) == []
    assert said in lines[0]


def test_only_other_engines_are_rivals() -> None:
    assert "onnxruntime" not in rivals.RIVALS
