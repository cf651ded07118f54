"""The table of extras is that of pyproject.toml, and what is missing is named."""

from __future__ import annotations

import re
import tomllib
from importlib import invalidate_caches
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_runtime import EXTRAS, MissingExtraError, missing_package, require_extra

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def packages(extras: dict[str, list[str]], name: str) -> set[str]:
    """What installing the extra brings, extras it builds on included, by import name."""
    found: set[str] = set()
    for requirement in extras[name]:
        if inner := re.match(r"edge-vision\[(.+)\]", requirement):
            found |= {package for each in inner[1].split(",") for package in packages(extras, each)}
        else:
            name = re.match(r"[\w-]+", requirement)[0].replace("-", "_")  # type: ignore[index]
            found.add("mlflow" if name == "mlflow_skinny" else name)
    return found


def test_the_table_is_that_of_the_distribution() -> None:
    extras = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {name: set(needed) for name, needed in EXTRAS.items()} == {
        name: packages(extras, name) for name in extras if name != "all"
    }


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(origin="here")
    monkeypatch.setattr("edge_runtime.extras.find_spec", lambda name: None if name == "onnx" else found)
    assert missing_package("export") == "onnx"
    assert missing_package("train") is None
    require_extra("train")
    with pytest.raises(MissingExtraError, match=r"this needs onnx.*edge-vision\[export\]") as raised:
        require_extra("export")
    # Whoever tries an import catches it as one.
    assert isinstance(raised.value, ImportError)


def test_a_folder_that_is_called_like_a_package_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(EXTRAS, "made", ("left_by_a_tool",))  # type: ignore[arg-type]
    (tmp_path / "left_by_a_tool").mkdir()
    assert missing_package("made") == "left_by_a_tool"
    (tmp_path / "left_by_a_tool" / "__init__.py").touch()
    invalidate_caches()
    assert missing_package("made") is None
