"""Patterns of names: as glob takes them, but that no loop of links is followed."""

from __future__ import annotations

import glob
from pathlib import Path

import pytest

from edge_runtime.errors import EdgeError
from edge_runtime.files.named import expand
from edge_runtime.files.patterns import match_pattern
from edge_runtime.files.walk import natural_key


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = ("1.png", "10.png", "2.png", "a/1.png", "a/b/c/2.png", "a/b/.hidden/3.png", ".hidden/4.png", "[x]/b/5.png")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "gone.png").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "pattern",
    [
        "**/*.png",
        "./**/*.png",
        "a/**/*.png",
        "**/b/**/*.png",
        "*/**/2.png",
        "**/.hidden/*.png",
        ".hidden/**/*.png",
        "**/c",
        "**/?.png",
        "a**/*.png",
        "*.png",
        "**/**/5.png",
        "[[]x]/**/*.png",
        "**/1.png",
    ],
)
def test_it_matches_what_glob_does(folder: Path, pattern: str) -> None:
    for given in (pattern, f"{folder}/{pattern}"):
        expected = sorted(set(glob.glob(given, recursive=True)), key=natural_key)  # noqa: PTH207
        assert match_pattern(given) == expected
        assert expected


def test_what_ends_in_two_asterisks_matches_the_files_below(folder: Path) -> None:
    expected = [path for path in glob.glob("a/**", recursive=True) if Path(path).is_file()]  # noqa: PTH207
    assert [path for path in match_pattern("a/**") if Path(path).is_file()] == sorted(expected, key=natural_key)
    assert sorted(expected) == ["a/1.png", "a/b/c/2.png"] and folder.is_dir()
    assert not match_pattern("none/**")


def test_links_are_followed_and_their_loops_are_not(folder: Path) -> None:
    problems: list[EdgeError] = []

    def found(pattern: str) -> list[str]:
        return [source.name for source in expand([pattern], on_problem=problems.append)]

    plain = {pattern: found(pattern) for pattern in ("**/*.png", "**", "a/**/*.png", "**/b/**/*.png")}
    # Of one such link glob finds everything forty times, of two it never ends.
    for name, target in (("self", "."), ("self2", "."), ("a/up", ".."), ("a/b/self", "."), ("a/b/c/top", "../..")):
        (folder / name).symlink_to(target)
    assert {pattern: found(pattern) for pattern in plain} == plain
    (folder / "other").mkdir()
    (folder / "other/z.png").touch()
    (folder / "a/link").symlink_to("../other")
    assert found("a/**/z.png") == ["a/link/z.png"] and not problems
    assert found("**/z.png") == ["a/link/z.png"], "once, as of a folder"
