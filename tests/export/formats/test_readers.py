"""The readers that docs/model-format.md shows work as they stand there, without edge."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from edge_runtime import Classifier
from tiny_model import write_tiny_model

DOCUMENT = Path(__file__).parents[3] / "docs" / "model-format.md"
# Where `npm install --prefix DIR onnxruntime-node` put it; a test downloads nothing by itself.
NODE_MODULES = Path(os.environ.get("EDGE_TEST_NODE", Path.home() / ".cache" / "edge-tests" / "node")) / "node_modules"

COLOURS = ("red", "lime", "blue")


def snippet(language: str) -> str:
    return DOCUMENT.read_text(encoding="utf-8").split(f"```{language}\n")[1].split("```")[0]


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
    label, _, probability = done.stdout.strip().rpartition(" ")
    answer = classifier.predict(picture)
    assert (label, float(probability)) == (answer.label, pytest.approx(answer.probability, abs=1e-5))
