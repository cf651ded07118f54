"""`import edge_vision`: what it hands out, with and without the extras, and that its page says so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import is_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import get_type_hints

import pytest
from PIL import Image

import edge_vision
from edge_data import draw_shapes
from edge_runtime import EXTRAS
from other_models import write_foreign

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?ms)^```python\n(.*?)^```", PAGE)

# Hides packages as if they were not installed, then tells what the front door does.
LOOK = """
import importlib.util as u, json, sys
hidden = json.loads(sys.argv[1])
find = u.find_spec
u.find_spec = lambda name, *a: None if name in hidden else find(name, *a)
sys.modules.update(dict.fromkeys(hidden))
import edge_vision
at_import = sorted(name for name, module in sys.modules.items() if module)
names = {}
exec("from edge_vision import *", names)
refused = {}
for name in json.loads(sys.argv[2]):
    try:
        exec(f"from edge_vision import {name}")
    except ImportError as error:
        refused[name] = str(error)
dir_, all_ = dir(edge_vision), edge_vision.__all__
print(json.dumps([at_import, sorted(names.keys() - {"__builtins__"}), refused, dir_, all_]))
"""


def promised() -> list[str]:
    """The names in the table of docs/python.md, and the errors of its tree."""
    rows = re.findall(r"(?m)^\| (`.*?) \|", PAGE)
    return sorted({*re.findall(r"`(\w+)`", " ".join(rows)), *re.findall(r"(?m)^    [├└│─ ]*(\w+Error) ", PAGE)})


def look(*hidden: str) -> tuple[list[str], list[str], dict[str, str], list[str], list[str]]:
    """What a fresh interpreter without `hidden` finds: modules at import, what * brings, refusals, dir(), __all__."""
    command = [sys.executable, "-c", LOOK, json.dumps(hidden), json.dumps(promised())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    at_import, *rest = json.loads(done.stdout)
    return at_import, *rest


def test_the_base_install_has_what_needs_no_extra_and_names_the_extra_of_the_rest() -> None:
    at_import, starred, refused, dir_, all_ = look(*{package for needed in EXTRAS.values() for package in needed})
    assert not {"numpy", "onnxruntime", "PIL", "torch"} & set(at_import)
    assert starred == dir_ == all_ == sorted(set(promised()) - refused.keys())
    assert {"Classifier", "TrainSettings", "bench", "check_data", "evaluate", "newest_run"} <= set(starred)
    by_extra = {"train": ["train", "resume", "compare", "average"], "export": ["export"], "serve": ["serve"]}
    for extra, names in by_extra.items():
        for name in names:
            assert f"edge-vision[{extra}]" in refused[name]
    assert all("is not installed" in text and "edge-vision[" in text for text in refused.values())


@pytest.mark.parametrize(("package", "gone", "here"), [("onnx", "export", "train"), ("uvicorn", "serve", "export")])
@pytest.mark.skipif(find_spec("torch") is None, reason="needs torch")
def test_an_extra_that_lacks_one_package_is_not_here(package: str, gone: str, here: str) -> None:
    _, starred, refused, dir_, _ = look(package)
    assert f"needs {package}" in refused[gone]
    assert gone not in dir_ and here in starred


def test_all_is_what_the_page_promises() -> None:
    assert set(edge_vision.__all__) <= set(promised())
    if not any(find_spec(package) is None for extra in ("export", "serve") for package in EXTRAS[extra]):
        assert promised() == edge_vision.__all__ == dir(edge_vision)
    with pytest.raises(AttributeError, match=r"edge_vision.*nothing_like_it"):
        edge_vision.nothing_like_it  # noqa: B018


@pytest.mark.parametrize("name", ["BenchSettings", "ExportSettings", "ServeSettings", "TrainSettings"])
def test_what_settings_are_made_of_is_handed_out(name: str) -> None:
    for field, kind in get_type_hints(getattr(edge_vision, name)).items():
        if is_dataclass(kind):
            assert getattr(edge_vision, kind.__name__) is kind, field


@pytest.mark.parametrize("block", BLOCKS)
def test_the_examples_use_what_is_promised(block: str) -> None:
    compile(block, "docs/python.md", "exec")
    (imported,) = re.findall(r"(?m)^from edge_vision import (.*)$", block)
    names = imported.split(", ")
    assert set(names) <= set(promised())
    assert all(len(re.findall(rf"\b{name}\b", block)) > 1 for name in names if name != "EdgeError")


@pytest.mark.slow
def test_the_examples_run(tmp_path: Path) -> None:
    """As one program, in a process of its own."""
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    write_foreign(tmp_path / "squeezenet.onnx")
    (tmp_path / "imagenet.txt").write_text("a\nb\nc\nd\ne\n", encoding="utf-8")
    draw_shapes(tmp_path / "photos", counts=(24, 12, 12))
    for name in ("x.jpg", "y.jpg"):
        Image.new("RGB", (64, 48), "red").save(tmp_path / name)
    quick = 'backbone="shufflenet_v2_x0_5", weights="none", strategy="scratch", image_size=32, epochs=1, threads=1'
    program = "".join(BLOCKS).replace('backbone="mobilenet_v2", epochs=5', quick)
    # The server would stay.
    program = program.replace("serve(ServeSettings", "print(ServeSettings").replace(", say=print", "")
    program += "print('AT THE END', exported.path, comparison.best, metrics.n, found.rows[0].latency.n >= 100)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"AT THE END runs/photos-\S+/model.onnx scratch 12 True", done.stdout), done.stdout
