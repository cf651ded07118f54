"""What the owner of a Raspberry Pi does on the base install: every command that needs no torch, as a process."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image, ImageDraw

from edge_cli.doc_pages import SITE
from edge_data import draw_shapes
from edge_runtime import Classifier
from tiny_model import write_tiny_model

COLOURS = ("red", "lime", "blue")
QUICK = ("--duration", "0.1", "--batch", "2")

without_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is not None, reason="torch is installed: this install is not lean"
)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Class folders with four pictures of one colour each, in four formats."""
    for colour in COLOURS:
        (tmp_path / "photos" / colour).mkdir(parents=True)
        for number, suffix in enumerate(("jpg", "png", "webp", "bmp")):
            Image.new("RGB", (64 + number, 48), colour).save(tmp_path / "photos" / colour / f"{number}.{suffix}")
    return tmp_path / "photos"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "model.onnx", labels=COLOURS)


@pytest.fixture
def run_folder(tmp_path: Path, model: Path) -> Path:
    """A run copied from the machine it was trained on, as the newest run."""
    run = tmp_path / "runs" / "photos-tiny-scratch-20260101-000000"
    run.mkdir(parents=True)
    (run / "config.json").write_text('{"created": "2026-01-01T00:00:00+00:00"}', encoding="utf-8")
    (run / "best.pt").write_bytes(b"never opened here")
    model.rename(run / "model.onnx")
    return run


def answer(done: Any) -> Any:
    """The one JSON document a command printed."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_predict_on_the_newest_run(edge: Any, run_folder: Path, photos: Path) -> None:
    done = edge("predict", photos / "lime" / "0.jpg", photos / "blue", "--json")
    assert [found["label"] for found in answer(done)["predictions"]] == ["lime", *["blue"] * 4]
    assert run_folder.name in done.stderr


def test_evaluate_on_a_folder(edge: Any, model: Path, photos: Path) -> None:
    found = answer(edge("evaluate", "--model", model, "--data", photos, "--json"))
    assert (found["n"], found["accuracy"], found["split"], found["unreadable"]) == (12, 1.0, "all", [])
    (photos / "red" / "mislabelled.png").write_bytes((photos / "blue" / "1.png").read_bytes())
    found = answer(edge("evaluate", "--model", model, "--data", photos, "--json"))
    assert (found["n"], found["correct"]) == (13, 12)
    assert found["confusion"][COLOURS.index("red")][COLOURS.index("blue")] == 1
    done = edge("evaluate", "--model", model, "--data", photos)
    assert "92.31% (12 of 13" in done.stdout


def test_evaluate_names_what_it_cannot_read_and_ends_with_1(edge: Any, model: Path, photos: Path) -> None:
    (photos / "red" / "0.jpg").write_bytes(b"")
    done = edge("evaluate", "--model", model, "--data", photos, "--json")
    assert done.returncode == 1
    assert "0.jpg is empty" in done.stderr
    assert (json.loads(done.stdout)["n"], len(json.loads(done.stdout)["unreadable"])) == (11, 1)


def test_bench_the_newest_run(edge: Any, run_folder: Path) -> None:
    done = edge("bench", *QUICK, "--backbones", "none", "--json")
    (row,) = answer(done)["results"]
    assert row["path"].endswith(f"{run_folder.name}/model.onnx")
    assert 0 < row["latency"]["p50_ms"] <= row["latency"]["p90_ms"]


def test_info_of_a_model(edge: Any, model: Path) -> None:
    done = edge("info", model)
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in ("red, lime, blue", "tiny", "crop 32×32", "uint8"))
    assert answer(edge("info", model, "--json"))["made_by_edge"] is True


def test_doctor_tells_what_is_here(edge: Any) -> None:
    found = answer(edge("doctor", "--json"))
    assert found["onnxruntime_error"] is None
    assert all(found["packages"][name] for name in ("numpy", "pillow", "onnxruntime", "typer", "rich"))
    assert found["extras"]["train"] == (importlib.util.find_spec("torchvision") is not None)
    assert "onnxruntime works" in edge("doctor").stdout


def base_install() -> dict[str, int]:
    """Bytes of every distribution that `pip install edge-vision` brings, compiled modules included.

    The pages that a released wheel carries are counted apart, as `documentation`.
    """
    sizes: dict[str, int] = {}
    wanted = ["edge-vision"]
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name in sizes:
            continue
        found = importlib.metadata.distribution(name)
        files = [Path(str(file.locate())) for file in found.files or ()]
        sizes[name] = sum(file.stat().st_size for file in files if file.is_file() and SITE not in file.parents)
        if pages := [file for file in files if file.is_file() and SITE in file.parents]:
            sizes["documentation"] = sum(file.stat().st_size for file in pages)
        needs = map(Requirement, found.requires or ())
        wanted += [each.name for each in needs if each.marker is None or each.marker.evaluate({"extra": ""})]
    return sizes


def test_the_base_install_is_small_and_brings_nothing_it_does_not_need() -> None:
    sizes = base_install()
    assert {"numpy", "onnxruntime", "pillow", "typer", "rich"} <= sizes.keys()
    assert not sizes.keys() & {"torch", "pydantic", "sympy", "matplotlib", "onnx"}
    assert sizes.pop("documentation", 0) < 5_000_000
    assert sum(sizes.values()) < 200_000_000, sizes


def test_backbones_are_listed(edge: Any) -> None:
    found = {row["name"]: row for row in answer(edge("backbones", "--json"))}
    assert {"resnet18", "mobilenet_v2", "efficientnet_b0"} <= found.keys()
    assert found["resnet18"]["parameters"] == 11_689_512
    assert "mobilenet_v3_small" in edge("backbones").stdout


def test_data_check_looks_at_every_picture(edge: Any, photos: Path) -> None:
    done = edge("data", "check", photos, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["images"], found["harmful"]) == (0, 12, False), done.stderr
    (photos / "red" / "broken.jpg").write_bytes((photos / "red" / "0.jpg").read_bytes()[:100])
    done = edge("data", "check", photos)
    assert done.returncode == 1
    assert "HARM" in done.stdout and "broken.jpg" in done.stdout


@without_torch
def test_train_says_which_extra_it_needs(edge: Any, photos: Path, tmp_path: Path) -> None:
    for words in ((), ("--data", photos)):
        done = edge("train", *words, EDGE_CACHE=str(tmp_path / "cache"))
        assert (done.returncode, done.stdout) == (2, "")
        assert "torch" in done.stderr and "pip install 'edge-vision[" in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


@without_torch
def test_export_says_which_extra_it_needs(edge: Any, run_folder: Path) -> None:
    before = (run_folder / "model.onnx").read_bytes()
    done = edge("export")
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'edge-vision[export]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert (run_folder / "model.onnx").read_bytes() == before


@without_torch
def test_doctor_names_the_missing_extras(edge: Any) -> None:
    done = edge("doctor")
    assert "pip install 'edge-vision[train]'" in done.stdout
    assert json.loads(edge("doctor", "--json").stdout)["packages"]["torch"] is None


def exported_models() -> list[Path]:
    """Model files that `edge export` made elsewhere, in the folder EDGE_TEST_MODELS names."""
    folder = os.environ.get("EDGE_TEST_MODELS")
    if not folder:
        pytest.skip("EDGE_TEST_MODELS names no folder of exported models")
    models = sorted(Path(folder).glob("*.onnx"))
    assert models, f"{folder} has no *.onnx"
    return models


def drawn_picture(path: Path) -> Path:
    image = Image.new("RGB", (96, 96), (230, 220, 200))
    ImageDraw.Draw(image).ellipse((20, 24, 70, 74), fill=(60, 20, 90))
    image.save(path)
    return path


def test_exported_models_predict_a_drawn_picture(edge: Any, tmp_path: Path) -> None:
    for model in exported_models():
        picture = drawn_picture(tmp_path / "circle.png")
        (found,) = answer(edge("predict", "--image", picture, "--model", model, "--top", "1000", "--json"))[
            "predictions"
        ]
        classifier = Classifier(model)
        assert {row["label"] for row in found["top"]} == set(classifier.labels)
        assert sum(row["probability"] for row in found["top"]) == pytest.approx(1, abs=1e-4)
        assert found["label"] == classifier.predict(picture).label


def test_exported_models_of_the_shapes_score_here_what_they_claim(edge: Any, tmp_path: Path) -> None:
    new = draw_shapes(tmp_path / "new", counts=(60, 0, 0), seed=1) / "train"
    for model in exported_models():
        card = Classifier(model).card
        if set(card.labels) == {"circle", "square", "triangle"}:
            found = answer(edge("evaluate", "--model", model, "--data", new, "--json"))
            assert found["n"] == 60
            # Pictures it has never seen, and few of them: a percentage point is less than one picture.
            assert found["accuracy"] >= card.metrics["val"]["accuracy"] - 0.15


def test_exported_models_are_benched_and_described(edge: Any) -> None:
    models = exported_models()
    found = answer(edge("bench", *models, *QUICK, "--json"))["results"]
    assert {Path(row["path"]).name for row in found} == {model.name for model in models}
    assert all(row["latency"]["p90_ms"] > 0 for row in found)
    for model in models:
        card = answer(edge("info", model, "--json"))["card"]
        assert card["parity"]["max_difference"] <= 1e-4
        assert card["metrics"]["val"]["n"] > 0
