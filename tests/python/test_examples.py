"""The course in examples/: what a script is made of, that it runs; its commands are held with those of the pages.

The scripts and two notebooks run in `make test-examples`, three minutes; in the ordinary suite one script does.
"""

from __future__ import annotations

import ast
import json
import os
import re
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import edge_vision
from conftest import unpacked
from documented_commands import code_blocks, commands_of
from edge_runtime.files.walk import IMAGE_SUFFIXES
from parts import ROOT

SCRIPTS = sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))
ELSEWHERE = {"matplotlib", "PIL"}
EVERY = pytest.mark.skipif("EDGE_TEST_EXAMPLES" not in os.environ, reason="make test-examples runs the course")
# What stands in what each prints, at the end of all it does.
SHOWN = {
    "01": r"feature-extraction +\d+\.\d%.*\n.*fine-tune .*\n.*scratch .*\n\nbest for export: ",
    "02": r"2 of 2 epochs; test \d+\.\d% of 1\d pictures",
    "03": r"mobilenet_v2 +\d+\.\d%.* MB +\d+\.\d ms",
    "04": r"times +rate  training loss by epoch\n +1 +1e-03 +\d\.\d\d   best on validation",
    "05": r"none +\d+\.\d%.*\nlight +\d+\.\d%",
    "06": r"layer4 gives 512 maps of 3×3 places",
    "07": r"cross-validated accuracy \d+\.\d% of 60",
    "08": r"a stage more each epoch +\d+\.\d%",
    "09": r"constant +[12] .*\none-cycle +[12] ",
    "10": r"neither .*\nmixup 0\.2 .*\nCutMix 1 ",
    "11": r"none +0 .*\nse +[\d,]{6,} ",
    "12": r"together +\d+\.\d%.* MB\nof \d+ test pictures wrong: ",
    "13": r"teacher .*\nstudent alone .*\nstudent, taught ",
    "14": r"shape +\w+ +\d+\.\d%\ncolour +\w+ +\d+\.\d%",
}


def cells_of(script: Path) -> list[tuple[str, str]]:
    """Kind and text of each cell of a script in the percent format."""
    found = []
    for mark, body in re.findall(r"(?ms)^# %%( \[markdown\])?\n(.*?)(?=^# %%|\Z)", script.read_text(encoding="utf-8")):
        text = re.sub(r"(?m)^# ?", "", body) if mark else body
        found.append(("markdown" if mark else "code", text.strip("\n")))
    return found


def test_the_course_is_there_in_its_order() -> None:
    assert [script.name[:2] for script in SCRIPTS] == [f"{number:02}" for number in range(1, 15)] == sorted(SHOWN)
    assert {path.stem for path in (ROOT / "examples").glob("*.ipynb")} == {script.stem for script in SCRIPTS}
    page = (ROOT / "docs" / "course.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\d\d_\w+)`", page)
    assert sorted(set(named)) == [script.stem for script in SCRIPTS]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.stem))
def test_a_script_is_short_and_asks_a_question(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    cells = cells_of(script)
    assert cells[0][0] == "markdown" and cells[0][1].startswith("# ")
    shown = [words for language, block in code_blocks(script) for words in commands_of(language, block)]
    assert len(shown) >= 2
    kind, last = cells[-1]
    assert kind == "markdown" and re.fullmatch(r"(?s)\*\*Question\.\*\* .*\?\n\n\*Answer\.\* .*\.", last)
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in imports:
        module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        package = str(module).partition(".")[0]
        assert package in {*sys.stdlib_module_names, *ELSEWHERE, "edge_vision"}, package
    if find_spec("torch") is not None:
        taken = {name.name for node in imports for name in node.names if getattr(node, "module", "") == "edge_vision"}
        assert taken <= set(edge_vision.__all__)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.stem))
def test_the_notebook_is_the_scripts_and_kept_without_outputs(script: Path) -> None:
    cells = json.loads(script.with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
    kept = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    assert kept == cells_of(script), "make notebooks"
    if find_spec("jupytext") is not None:
        made = runpy.run_path(str(ROOT / "examples" / "make_notebooks.py"))["notebook_of"](script)
        assert made == script.with_suffix(".ipynb").read_text(encoding="utf-8"), "make notebooks"


def test_a_photo_of_any_kind_that_edge_reads_is_found() -> None:
    text = (ROOT / "examples" / "07_own_photos.py").read_text(encoding="utf-8")
    (listed,) = re.findall(r"suffixes = \[(.+)\]", text)
    assert set(re.findall(r"\.\w+", listed)) == IMAGE_SUFFIXES


def test_runs_that_a_command_names_are_said_to_be_the_readers() -> None:
    for script in SCRIPTS:
        blocks = " ".join(block for _, block in code_blocks(script))
        said = " ".join(body for kind, body in cells_of(script) if kind == "markdown")
        for name in set(re.findall(r"runs/[a-z-]+", blocks)) - {"runs/second", "runs/third"}:
            assert re.search(rf"`{name}`[^`]* stand", said), f"{script.name}: {name}"


def run(number: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """What a script prints, run here with --quick: torch is imported once for all of them."""
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib").use("Agg")
    (script,) = (script for script in SCRIPTS if script.name.startswith(number))
    monkeypatch.setattr(sys, "argv", [str(script), "--quick"])
    runpy.run_path(str(script), run_name="__main__")
    return capsys.readouterr().out


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that a script runs in, and a cache of its own."""
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def pretrained(home: Path, monkeypatch: pytest.MonkeyPatch, mobilenet_weights: Path, resnet_weights: Path) -> Path:
    """The same with weights and CIFAR-10 at hand, as if they had been downloaded."""
    weights = home.with_name("weights")
    weights.mkdir()
    (weights / "mobilenet_v2.pth").symlink_to(mobilenet_weights)
    (weights / "resnet18.pth").symlink_to(resnet_weights)
    monkeypatch.setenv("EDGE_WEIGHTS_DIR", str(weights))
    (home.with_name("cache") / "cifar10").symlink_to(unpacked("cifar10"))
    return home


# A notebook shows a picture that is opened last in a cell, and closes none.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_script_runs(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert re.search(SHOWN["02"], run("02", capsys, monkeypatch))
    assert len(list(home.glob("runs/drawn-*/report.html"))) == 1


@EVERY
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", sorted(SHOWN.keys() - {"02"}))
def test_every_script_runs(
    number: str, pretrained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not list(pretrained.iterdir())
    said = run(number, capsys, monkeypatch)
    assert re.search(SHOWN[number], said), said


@EVERY
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("number", "pictures"), [("02", 0), ("06", 4)])
def test_notebooks_run(number: str, pictures: int, pretrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ipykernel")
    nbclient = pytest.importorskip("nbclient")
    import nbformat

    (script,) = (script for script in SCRIPTS if script.name.startswith(number))
    notebook: Any = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace('QUICK = "--quick" in sys.argv', "QUICK = True")
    # The kernel is a process of its own; what the tests import need not be installed.
    parts = {str(path) for path in ROOT.iterdir() if (path / f"edge_{path.name}").is_dir()}
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*parts, str(ROOT / "python"), os.environ.get("PYTHONPATH", "")]))
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(pretrained)}}).execute()
    outputs = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    said = "".join(out.get("text", "") for out in outputs)
    assert re.search(SHOWN[number], said), said
    assert sum("image/png" in out.get("data", {}) for out in outputs) == pictures
