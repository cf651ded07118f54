"""What a command may load: the arrows between parts, and what stays out of a small machine's memory."""

from __future__ import annotations

import graphlib
import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tiny_model import write_tiny_model

ROOT = Path(__file__).parents[2]
PARTS: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
    "root_packages"
]

HEAVY = {"torch", "torchvision", "matplotlib", "onnx", "onnxscript", "scipy", "pandas", "starlette", "uvicorn"}

REPORT = """
import json, sys
try:
    {code}
except SystemExit:
    pass
finally:
    sys.stderr.write("\\nLOADED " + json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))
"""


def loaded_by(code: str, cwd: Path) -> set[str]:
    """Top-level packages in memory after `code` has run in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT.format(code=code)], capture_output=True, text=True, cwd=cwd, check=False
    )
    assert "LOADED " in done.stderr, done.stderr
    return set(json.loads(done.stderr.rpartition("LOADED ")[2]))


def command(*words: str) -> str:
    return f"sys.argv = {['edge', *words]!r}; from edge_cli.main import run; run()"


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    loaded = loaded_by(command("--help"), tmp_path)
    assert "edge_cli" in loaded
    assert not loaded & (HEAVY | {"numpy", "onnxruntime", "PIL"})


@pytest.mark.parametrize(
    "verb", ["train", "export", "serve", "bench", "demo", "backbones", "doctor", "info", "evaluate"]
)
def test_help_of_a_verb_loads_nothing_heavy(verb: str, tmp_path: Path) -> None:
    assert not loaded_by(command(verb, "--help"), tmp_path) & HEAVY


def test_predict_loads_no_torch_and_no_rich(tmp_path: Path) -> None:
    from PIL import Image

    model = write_tiny_model(tmp_path / "model.onnx")
    Image.new("RGB", (40, 40), "red").save(tmp_path / "x.png")
    loaded = loaded_by(command("predict", "--image", "x.png", "--model", str(model)), tmp_path)
    assert "onnxruntime" in loaded
    assert not loaded & (HEAVY | {"rich"})


def test_the_runtime_loads_numpy_pillow_onnxruntime_and_the_standard_library_alone(tmp_path: Path) -> None:
    before = loaded_by("pass", tmp_path)
    code = "import edge_runtime; [getattr(edge_runtime, name) for name in edge_runtime.__all__]"
    allowed = {"numpy", "PIL", "onnxruntime", "edge_runtime"} | set(sys.stdlib_module_names)
    # Pillow brings these along where they are installed.
    allowed |= {"defusedxml", "_cython_3_1_2", "cython_runtime"}
    new = {name for name in loaded_by(code, tmp_path) - before if not name.startswith(("_", "google"))}
    assert new <= allowed, new - allowed


@pytest.mark.parametrize("package", [part for part in PARTS if part != "edge_cli"])
def test_the_door_of_a_package_hands_out_what_it_lists(package: str) -> None:
    door = importlib.import_module(package)
    assert door.__all__ == dir(door) == sorted(door.__all__)
    for name in door.__all__:
        try:
            assert getattr(door, name) is not None
        except ModuleNotFoundError as error:  # on the lean install
            assert error.name in HEAVY
    with pytest.raises(AttributeError, match=f"{package}.*nothing_like_it"):
        door.nothing_like_it  # noqa: B018


def lint_imports(folder: Path) -> None:
    """Hold the contracts of pyproject.toml against the packages in `folder`, or where the tests find them."""
    pytest.importorskip("importlinter.cli")
    code = "from importlinter.cli import lint_imports_command as c; c()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--config", str(ROOT / "pyproject.toml"), "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"[1-9]\d* kept, 0 broken", done.stdout)


def test_the_arrows_go_down_only() -> None:
    lint_imports(ROOT)


@pytest.mark.slow
def test_the_arrows_go_down_only_in_the_wheel_and_nothing_in_it_escapes_them(tmp_path: Path) -> None:
    for package in ("importlinter", "hatchling"):
        pytest.importorskip(package)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    found = {path.relative_to(installed).with_suffix("") for path in installed.rglob("*.py")}
    modules = {".".join(path.parts).removesuffix(".__init__") for path in found}
    assert modules == graph(installed)[0]
    assert {path.parts[0] for path in found} == set(PARTS)
    lint_imports(installed)


def graph(folder: Path) -> tuple[set[str], list[tuple[str, str]]]:
    """The modules of the parts in `folder` as import-linter sees them, and which imports which."""
    pytest.importorskip("grimp")
    code = (
        "import grimp, json, sys; g = grimp.build_graph(*sys.argv[1:], cache_dir=None); m = sorted(g.modules); "
        "print(json.dumps([m, [(a, b) for a in m for b in sorted(g.find_modules_directly_imported_by(a))]]))"
    )
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code, *PARTS],
        env={**os.environ, "PYTHONPATH": path},
        cwd=folder,
        capture_output=True,
        check=True,
    )
    modules, imports = json.loads(done.stdout)
    return set(modules), [(importer, imported) for importer, imported in imports]


@pytest.mark.parametrize("part", PARTS)
def test_no_module_imports_itself_by_way_of_others(part: str) -> None:
    """Imports for types alone count too; those of the part's door do not: it hands out what it is asked for."""
    imports: dict[str, list[str]] = {}
    for importer, imported in graph(ROOT)[1]:
        if importer.startswith(f"{part}."):
            imports.setdefault(importer, []).append(imported)
    assert imports
    # Raises CycleError with the circle.
    graphlib.TopologicalSorter(imports).prepare()


def test_parts_import_each_other_by_the_door_alone() -> None:
    for package in PARTS:
        for path in ROOT.glob(f"*/{package}/**/*.py"):
            for line in path.read_text(encoding="utf-8").splitlines():
                words = line.split()
                if len(words) > 1 and words[0] in ("from", "import") and words[1].split(".")[0] in PARTS:
                    owner, *inside = words[1].split(".")
                    assert owner == package or not inside, f"{path}: {line.strip()}"
