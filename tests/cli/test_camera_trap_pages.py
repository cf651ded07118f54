"""The pages on camera traps fit each other: names, groups, and where the service may write."""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path, PurePosixPath

import pytest

from camera_frames import evenings, frame_name, outputs
from documented_commands import code_blocks, commands_of, inline_code, parse
from edge_data.sets.group_by import name_groups
from edge_runtime import ClassFolders, EdgeError
from parts import ROOT

DOCS = ROOT / "docs"
TRAPS = ("tutorials/camera-trap.md", "recipes/wildlife.md")
NAMED = [(page, output) for page in ("tutorials/camera-trap.md", "raspberry-pi.md") for output in outputs(page)]


def shown(page: str) -> list[list[str]]:
    return [words for block in code_blocks(DOCS / page) for words in commands_of(*block)]


@pytest.mark.parametrize(("page", "output"), NAMED)
def test_frames_are_grouped_by_evening_and_none_is_written_over(page: str, output: str) -> None:
    names = [frame_name(output, evening, number) for evening in evenings(3) for number in range(2)]
    assert len(set(names)) == 6, page
    by = {words[words.index("--group-by") + 1] for each in TRAPS for words in shown(each) if "--group-by" in words}
    assert len(by) == 1
    groups = name_groups(
        ClassFolders(Path(), ("empty",), {}, (), "", inside={name: name for name in names}), names, by.pop()
    )
    assert groups == [f"cam1-{evening:%Y%m%d}" for evening in evenings(3) for _ in range(2)]


def test_all_cameras_are_heeded() -> None:
    assert [page for page, _ in NAMED] == ["tutorials/camera-trap.md"] * 2 + ["raspberry-pi.md"]


def test_the_service_may_write_what_the_pages_have_it_write() -> None:
    (unit,) = (
        block for language, block in code_blocks(DOCS / "raspberry-pi.md") if language == "ini" and "--watch" in block
    )
    home = PurePosixPath(re.findall(r"WorkingDirectory=(\S+)", unit)[0])
    allowed = re.findall(r"ReadWritePaths=(.+)", unit)[0].split()
    watching = [words for page in TRAPS for words in shown(page) if "--watch" in words]
    (added,) = (code for code in inline_code(DOCS / TRAPS[0]) if code.startswith("--min-confidence"))
    # In a unit % begins a specifier.
    assert not re.search(r"(?<!%)%(?:%%)*(?!%)", added)
    (started,) = commands_of("ini", unit)
    watching.append([*started, *shlex.split(added.replace("%%", "%"))])
    assert len(watching) == 3
    for words in watching:
        parse(words)
        assert str((home / words[words.index("--drift") + 1]).parent) in allowed


def test_the_folders_of_drawn_sets_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "self_checks"))
    import field_sets  # type: ignore[import-not-found]

    def folders(name: str) -> list[str]:
        asked: list[str] = []

        class Root:
            def __truediv__(self, folder: str) -> Path:
                asked.append(folder)
                return Path("none")

        with contextlib.suppress(EdgeError):
            next(field_sets.SETS[name](Root(), 0), None)
        return asked

    index = (DOCS / "recipes" / "index.md").read_text(encoding="utf-8")
    assert all(f"`{folder}`" in index for name in field_sets.SETS for folder in folders(name))
    page = (DOCS / "recipes" / "wildlife.md").read_text(encoding="utf-8")
    assert [folder for folder in folders("wildlife") if f"`{folder}`" in page] == ["flowers128", "hymenoptera"]
