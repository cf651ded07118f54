"""Which way imports go: down between the parts, by the door, and never in a circle."""

from __future__ import annotations

import graphlib
import json
import os
import re
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import pytest

from parts import ROOT, imported_names, packages

PARTS = packages()


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


@cache
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
    assert all((installed / part / "py.typed").is_file() for part in PARTS)
    lint_imports(installed)


@pytest.mark.parametrize("part", PARTS)
def test_no_module_imports_itself_by_way_of_others(part: str) -> None:
    """Imports for types alone count too; those of the part's door do not: it hands out what it is asked for."""
    imports: dict[str, list[str]] = {}
    for importer, imported in graph(ROOT)[1]:
        if importer.startswith(f"{part}."):
            imports.setdefault(importer, []).append(imported)
    # Raises CycleError with the circle.
    graphlib.TopologicalSorter(imports).prepare()


def test_parts_import_each_other_by_the_door_alone() -> None:
    for part, folder in PARTS.items():
        for path in folder.rglob("*.py"):
            for line in path.read_text(encoding="utf-8").splitlines():
                words = line.split()
                if len(words) > 1 and words[0] in ("from", "import") and words[1].split(".")[0] in PARTS:
                    owner, *inside = words[1].split(".")
                    assert owner == part or not inside, f"{path}: {line.strip()}"


def test_no_module_imports_what_another_keeps_to_itself() -> None:
    private = [
        (str(path), module, name)
        for folder in PARTS.values()
        for path in folder.rglob("*.py")
        for module, name in imported_names(path)
        if module.partition(".")[0] in PARTS and name.startswith("_")
    ]
    assert not private
