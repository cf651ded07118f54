"""What `edge bench` refuses, in words and with which exit code, and that nothing is left of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from bench_command import Bench
from tiny_model import write_tiny_model


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nofile.onnx",), "nofile.onnx does not exist"),
        (("--backbones", "resnet19"), "did you mean"),
        (("--backbones", "none"), "there is no run"),
        ((), "there is no run"),
        (("--run", "nowhere"), "nowhere"),
        (("a.onnx", "--precision", "int4"), "--precision int4"),
        (("a.onnx", "--precision", "int8"), "--precision is what fresh backbones are exported in"),
        (("--run", "x", "--precision", "int8"), "or the file: edge bench runs/NAME/model-int8.onnx"),
        (("a.onnx", "--against", "tensorrt"), "--against tensorrt"),
        (("a.onnx", "--duration", "nan"), "--duration"),
        (("a.onnx", "--duration", "0"), "--duration"),
        (("a.onnx", "--runs", "0"), "--runs"),
        (("a.onnx", "--batch", "0"), "--batch"),
        (("a.onnx", "--threads", "0"), "--threads 0"),
        (("a.onnx", "--threads", "1,1"), "--threads 1,1"),
        (("a.onnx", "--cold-starts", "0"), "--cold-starts"),
        (("a.onnx", "--sustained", "ten"), "--sustained ten"),
        (("a.onnx", "--cooldown", "-1"), "--cooldown"),
        (("a.onnx", "--max-latency", "20"), "--max-latency 20"),
        (("a.onnx", "--max-size", "5"), "--max-size 5"),
        (("a.onnx", "--image", "gone.jpg"), "gone.jpg does not exist"),
        (("a.onnx", "--image", "a.onnx", "--random-input"), "--random-input and --image exclude"),
        (("a.onnx", "--data", "gone"), "--data gone"),
        (("a.onnx", "--data", "others"), "dog"),
        (("a.onnx", "--run", "x"), "--run exclude"),
        (("a.onnx", "--json", "--csv"), "--json and --csv exclude"),
        (("a.onnx", "--keep-models", "x"), "--keep-models keeps fresh backbones"),
        (("a.onnx", "--from", "x.json"), "--from shows a report"),
        (("--from", "x.json", "--sustained", "6s"), "--from shows a report"),
        (("--from", "gone.json"), "gone.json cannot be read"),
        (("nofile.onnx", "--out", "new"), "nofile.onnx does not exist"),
        (("--from", "gone.json", "--out", "new"), "gone.json cannot be read"),
        (("--from", "a.onnx"), "a.onnx is not JSON"),
        (("--compare", "old.json"), "--compare"),
        (("--compare", "gone.json", "gone.json"), "gone.json cannot be read"),
        (("--compare", "a", "b", "a.onnx"), "--compare takes two reports"),
        (("--compare", "a", "b", "--out", "new"), "--compare takes two reports"),
        (("--compare", "a", "b", "--recommend"), "--compare takes two reports"),
        (("--compare", "a", "b", "--fail-over", "10"), "--fail-over 10"),
        (("--fail-over", "10%"), "--fail-over goes with --compare"),
        (("--train", "swiftness"), "choose from speed"),
        (("--train", "--", "--runs", "1"), "--runs is handed on"),
        (("--train", "--run", "x"), "--train measures training"),
        (("--train", "--max-size", "5MB"), "--train measures training"),
        (("--train", "speed", "--duration", "1s"), "leave out --duration"),
        (("--train", "--threads", "1,2"), "--threads 1,2"),
        (("--train", "listing", "--data", "others"), "--data is of no use to listing"),
        (("--train", "precision", "listing", "--data", "others"), "--data is of no use to precision and listing"),
        (("--train", "listing", "--threads", "2"), "--threads is of no use to listing"),
        (("--train", "speed", "--quiet"), "--quiet is of no use to speed"),
    ],
)
def test_wrong_usage_is_exit_2_in_words(edge_bench: Bench, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    if "--out" in words:
        pytest.importorskip("matplotlib")
    write_tiny_model(tmp_path / "a.onnx")
    for label in ("cat", "dog"):
        (tmp_path / "others" / label).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "others" / label / "0.png")
    done = edge_bench(*words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "new").exists()


def test_data_that_is_gone_is_found_out_before_backbones_are_exported(edge_bench: Bench) -> None:
    pytest.importorskip("torchvision")
    pytest.importorskip("onnxscript")
    done = edge_bench("--backbones", "resnet18", "--data", "gone")
    assert done.returncode == 2 and "--data gone" in done.stderr
    assert "exporting" not in done.stderr and done.stdout == ""


@pytest.mark.parametrize(
    ("name", "said"), [("text.onnx", "text.onnx"), ("a.onnx", "out is a file"), ("broken.jpg", "broken.jpg")]
)
def test_what_fails_is_exit_1_in_words(edge_bench: Bench, tmp_path: Path, name: str, said: str) -> None:
    write_tiny_model(tmp_path / "a.onnx")
    (tmp_path / "text.onnx").write_text("not a model", encoding="utf-8")
    (tmp_path / "broken.jpg").write_text("not an image", encoding="utf-8")
    (tmp_path / "out is a file").touch()
    if name == "a.onnx":
        pytest.importorskip("matplotlib")
        done = edge_bench(name, "--out", "out is a file")
    else:
        done = edge_bench(*(("a.onnx", "--image", name) if name.endswith(".jpg") else (name,)))
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
