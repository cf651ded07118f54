"""The parts of the house: their packages, and what their doors hand out."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

__all__ = ["ROOT", "handed_out", "imported_names", "packages"]

ROOT = Path(__file__).parents[1]


def packages() -> dict[str, Path]:
    """Import name -> folder of each package that the distribution ships."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    folders = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return {Path(folder).name: ROOT / folder for folder in folders}


def imported_names(path: Path) -> list[tuple[str, str]]:
    """Module and name of each `from module import name` of a file, those for types alone and in functions included."""
    return _imported(ast.parse(path.read_text(encoding="utf-8")))


def _imported(tree: ast.AST) -> list[tuple[str, str]]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return [(str(node.module), name.name) for node in found for name in node.names]


def handed_out(package: str) -> dict[str, str]:
    """Name -> module that defines it, of all that the door of `package` hands out."""
    tree = ast.parse((packages()[package] / "__init__.py").read_text(encoding="utf-8"))
    for_types = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {name: module for node in for_types for step in node.body for module, name in _imported(step)}
