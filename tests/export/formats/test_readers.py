"""The readers that docs/model-format.md shows work as they stand there, without edge."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from edge_runtime import Classifier
from edge_runtime.images.profiles import rgb_profile
from tiny_model import write_multi_label_model, write_multi_task_model, write_tiny_model

DOCUMENT = Path(__file__).parents[3] / "docs" / "model-format.md"
# Where `npm install --prefix DIR onnxruntime-node` put it; a test downloads nothing by itself.
NODE_MODULES = Path(os.environ.get("EDGE_TEST_NODE", Path.home() / ".cache" / "edge-tests" / "node")) / "node_modules"

COLOURS = ("red", "lime", "blue")


def snippet(language: str) -> str:
    return DOCUMENT.read_text(encoding="utf-8").split(f"```{language}\n")[1].split("```")[0]


def change_card(model: Path, change: Callable[[dict[str, Any]], object], **fields: Any) -> None:
    """Change the card in a model file."""
    graph = onnx.load(model)
    (entry,) = (each for each in graph.metadata_props if each.key == "edge")
    card = {**json.loads(entry.value), **fields}
    change(card)
    entry.value = json.dumps(card)
    onnx.save(graph, model)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "model.onnx", labels=("stop – “ä”", "go", "sky"))


@pytest.mark.parametrize("colour", COLOURS)
def test_the_python_reader_gives_what_edge_gives(model: Path, tmp_path: Path, colour: str) -> None:
    (tmp_path / "reader.py").write_text(snippet("python"), encoding="utf-8")
    Image.new("RGB", (70, 50), colour).save(tmp_path / "x.png")
    done = subprocess.run(
        [sys.executable, tmp_path / "reader.py", model, tmp_path / "x.png"], capture_output=True, text=True, check=True
    )
    answer = Classifier(model).predict(tmp_path / "x.png")
    label, _, probability = done.stdout.strip().rpartition(" ")
    assert (label, float(probability)) == (answer.label, pytest.approx(answer.probability, abs=1e-6))


@pytest.mark.parametrize(
    ("write", "colour", "given"),
    [
        (write_multi_label_model, "yellow", [["red", "green"]]),
        (write_multi_label_model, "black", [[]]),
        (write_multi_task_model, "blue", [["blue"], ["dark"]]),
    ],
)
def test_the_python_reader_gives_all_labels_and_every_task(
    write: Callable[[Path], Path], colour: str, given: list[list[str]], tmp_path: Path
) -> None:
    model = write(tmp_path / "model.onnx")
    (tmp_path / "reader.py").write_text(snippet("python"), encoding="utf-8")
    Image.new("RGB", (70, 50), colour).save(tmp_path / "x.png")
    done = subprocess.run(
        [sys.executable, tmp_path / "reader.py", model, tmp_path / "x.png"], capture_output=True, text=True, check=True
    )
    lines = [[cell.split(" ") for cell in line.split(", ") if cell] for line in done.stdout.splitlines()]
    assert [[label for label, _ in line] for line in lines] == given
    answer = Classifier(model).predict(tmp_path / "x.png")
    known = dict(zip(answer.labels, answer.probabilities, strict=True))
    for label, share in (cell for line in lines for cell in line):
        own = next(known[name] for name in known if name.removeprefix("colour: ").removeprefix("light: ") == label)
        assert float(share) == pytest.approx(float(own), abs=1e-6)


@pytest.mark.parametrize("version", [1, 2])
def test_the_python_reader_converts_colours_where_the_format_does(tmp_path: Path, version: int) -> None:
    model = write_tiny_model(tmp_path / "model.onnx", labels=("stop", "go", "sky"))
    if version == 1:
        change_card(model, lambda card: card["preprocessing"].pop("to_srgb"), format_version=1)
    (tmp_path / "reader.py").write_text(snippet("python"), encoding="utf-8")
    profile = rgb_profile(((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.3127, 0.329)))
    # On the border of two labels: as sRGB it is more red, as Display P3 less.
    Image.new("RGB", (70, 50), (160, 150, 40)).save(tmp_path / "x.png", icc_profile=profile)
    done = subprocess.run(
        [sys.executable, tmp_path / "reader.py", model, tmp_path / "x.png"], capture_output=True, text=True, check=True
    )
    classifier = Classifier(model)
    assert classifier.preprocessing.to_srgb is (version == 2)
    answer = classifier.predict(tmp_path / "x.png")
    label, _, probability = done.stdout.strip().rpartition(" ")
    assert (label, float(probability)) == (answer.label, pytest.approx(answer.probability, abs=1e-6))
    plain = classifier.predict(Image.new("RGB", (70, 50), (160, 150, 40)))
    assert (answer.probability == plain.probability) is (version == 1)


def hard_pictures() -> Iterator[tuple[str, Image.Image, dict[str, Any]]]:
    """Pictures of every kind that the format names: a name, the picture, and what it is saved with."""
    half = np.zeros((50, 70), np.uint8)
    half[:, 20:] = 255
    half[:, 50:] = 100
    shown = np.full((50, 70, 3), (160, 150, 40), np.uint8)
    shown[half == 0] = (0, 0, 255)
    photo, alpha = Image.fromarray(shown), Image.fromarray(half)
    p3 = rgb_profile(((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.3127, 0.329)))
    seen = Image.merge("RGBA", (*photo.split(), alpha))
    grey = photo.convert("L")
    yield "transparent", seen, {}
    yield "transparent, wide colours", seen, {"icc_profile": p3}
    yield "transparent grey", Image.merge("LA", (grey, alpha)), {}
    yield "transparent grey, wide colours", Image.merge("LA", (grey, alpha)), {"icc_profile": p3}
    yield "one transparent colour", photo, {"transparency": (0, 0, 255)}
    yield "one transparent grey", grey, {"transparency": grey.getpixel((0, 0))}
    palette = photo.quantize(4)
    yield "palette", palette, {}
    yield "palette, wide colours", palette, {"icc_profile": p3}
    yield "palette, transparent", palette, {"transparency": bytes([0, 90, 255, 255])}
    yield "16 bits", Image.fromarray(np.linspace(20_000, 65_535, 3500).reshape(50, 70).astype(np.uint16)), {}
    yield "grey, colours' profile", grey, {"icc_profile": p3}
    yield "broken profile", photo, {"icc_profile": p3[:200]}
    yield "no profile", photo, {"icc_profile": b"x" * 200}
    yield "black and white", grey.convert("1"), {}


def test_the_python_reader_prepares_pictures_of_every_kind_as_edge_does(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reader.py").write_text(snippet("python"), encoding="utf-8")
    classifier = Classifier(model)
    for name, picture, saved in hard_pictures():
        picture.save(tmp_path / "x.png", **saved)
        monkeypatch.setattr(sys, "argv", ["reader.py", str(model), str(tmp_path / "x.png")])
        made = runpy.run_path(str(tmp_path / "reader.py"))
        assert np.array_equal(made["pixels"], classifier.preprocessing(tmp_path / "x.png")), name
        assert capsys.readouterr().out.startswith(classifier.predict(tmp_path / "x.png").label), name


@pytest.mark.parametrize("colour", COLOURS)
def test_the_javascript_reader_gives_what_edge_gives(model: Path, tmp_path: Path, colour: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    if not (NODE_MODULES / "onnxruntime-node").is_dir():
        pytest.skip(f"npm install --prefix {NODE_MODULES.parent} --ignore-scripts onnxruntime-node")
    (tmp_path / "reader.cjs").write_text(snippet("javascript"), encoding="utf-8")
    classifier = Classifier(model)
    picture = Image.new("RGB", (70, 50), colour)
    (tmp_path / "x.rgb").write_bytes(classifier.preprocessing(picture).tobytes())
    done = subprocess.run(
        [node, tmp_path / "reader.cjs", model, tmp_path / "x.rgb"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NODE_PATH": str(NODE_MODULES)},
    )
    assert done.returncode == 0, done.stderr
    if colour == COLOURS[0]:
        newer = write_tiny_model(tmp_path / "newer.onnx")
        change_card(newer, lambda _: None, format_version=4)
        refused = subprocess.run(
            [node, tmp_path / "reader.cjs", newer, tmp_path / "x.rgb"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "NODE_PATH": str(NODE_MODULES)},
        )
        assert refused.returncode != 0 and "model format 4; this reads up to 3" in refused.stderr
    label, _, probability = done.stdout.strip().rpartition(" ")
    answer = classifier.predict(picture)
    assert (label, float(probability)) == (answer.label, pytest.approx(answer.probability, abs=1e-5))
