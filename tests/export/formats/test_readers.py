"""The readers that docs/model-format.md shows work as they stand there, without edge."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
