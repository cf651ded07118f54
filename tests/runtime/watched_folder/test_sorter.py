"""Files sorted into folders: never over another, and none lost, whatever happens meanwhile."""

from __future__ import annotations

import errno
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from edge_runtime.errors import OutputError, UsageError
from edge_runtime.watched_folder import sorter as sorting
from edge_runtime.watched_folder.sorter import Sorter, StuckError, bring, free_name


def test_a_label_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    sorter = Sorter(str(tmp_path / "{label}"))
    for label in ("../../etc", "/etc", "..", ".", "", "a/b", "a\0b"):
        assert sorter.folder(label).parent == tmp_path
    with pytest.raises(UsageError):
        Sorter("sorted/{lable}")


ALIKE = [
    "a/b",
    "a_b",
    "a%2Fb",
    "a%2fb",
    "a:b",
    "a",
    " a",
    "a ",
    "a.",
    "a..",
    "",
    "_",
    "%5F",
    ".",
    "..",
    "50%",
    "%00",
    "\0",
]
FOLDING = ["Bee", "bee", "BEE", "%Zoo", "%zoo", "é", "e\u0301", "É", "straße", "STRASSE", "%42ee", "ﬁsh", "fish"]


@pytest.mark.parametrize("labels", [ALIKE, FOLDING, [*FOLDING, *ALIKE]])
def test_two_labels_never_share_a_folder(tmp_path: Path, labels: list[str]) -> None:
    sorter = Sorter(str(tmp_path / "{label}"), labels)
    names = [unicodedata.normalize("NFKC", sorter.folder(label).name).casefold() for label in labels]
    assert len(set(names)) == len(labels), sorted(names)
    for label in labels:
        sorter.folder(label).mkdir()


@given(st.sets(st.text("aA%2Ff/_. é\u0301", max_size=4)), st.sets(st.text(max_size=4)))
def test_nor_do_any_two(some: set[str], more: set[str]) -> None:
    labels = sorted(some | more)
    sorter = Sorter("{label}", labels)
    names = {unicodedata.normalize("NFC", sorter.folder(label).name).casefold() for label in (*labels, None)}
    assert len(names) == len(labels) + 1


@pytest.mark.parametrize(
    ("labels", "name"), [(["a"], "unknown"), (["unknown"], "%5Funknown"), (["Unknown", "_unknown"], "%5Funknown")]
)
def test_what_has_no_label_shares_no_folder_with_a_label_of_that_name(labels: list[str], name: str) -> None:
    sorter = Sorter("{label}", labels)
    assert sorter.folder(None).name == name
    assert [sorter.folder(label).name for label in labels] == labels


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("a/b", "a%2Fb"),
        ("50%", "50%"),
        ("con.x", "%63%6F%6E.x"),
        ("conx", "conx"),
        ("Ameise ä 蜂", "Ameise ä 蜂"),
        ("..", ".%2E"),
        ("a ", "a%20"),
    ],
)
def test_only_what_a_name_cannot_hold_is_escaped(label: str, name: str) -> None:
    assert Sorter("{label}", [label]).folder(label).name == name


def move(source: Path, target: Path, *, again: bool = False) -> bool:
    status = source.stat()
    return bring(source, target, size_bytes=status.st_size, changed_ns=status.st_mtime_ns, again=again)


def test_a_taken_name_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("new")
    target = free_name(tmp_path / "sorted", "x.png")
    target.write_text("came first")
    assert not move(tmp_path / "x.png", target)
    assert target.read_text() == "came first" and (tmp_path / "x.png").read_text() == "new"
    assert free_name(tmp_path / "sorted", "x.png").name == "x-2.png"


@pytest.mark.parametrize("letter", ["x", "蜂", "\udcff"])
def test_a_long_name_is_cut_where_its_number_has_no_room(tmp_path: Path, letter: str) -> None:
    name = letter * (251 // len(os.fsencode(letter))) + ".png"
    (tmp_path / name).touch()
    found = free_name(tmp_path, name)
    found.touch()
    again = free_name(tmp_path, name)
    again.touch()
    assert found.name.endswith("-2.png") and again.name.endswith("-3.png")
    assert set(found.name.removesuffix("-2.png")) == {letter} and 249 < len(os.fsencode(found.name)) <= 255


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
@pytest.mark.parametrize("links", [True, False])
def test_one_that_may_not_be_moved_stays_alone_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, links: bool
) -> None:
    source, target = tmp_path / "x.png", tmp_path / "sorted" / "x.png"
    source.write_text("picture")
    target.parent.mkdir()
    real = Path.unlink

    def refuse(path: Path, *words: Any, **named: Any) -> None:
        if path == source:
            raise OSError(number, os.strerror(number))
        real(path, *words, **named)

    if not links:
        monkeypatch.setattr(sorting.os, "link", without_links(os.link, source))
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StuckError, match="permissions"):
        move(source, target)
    assert source.read_text() == "picture" and list(target.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "hint"), [(errno.ENOSPC, "make room"), (errno.EROFS, "check the disk"), (errno.EIO, "check the disk")]
)
def test_what_keeps_all_from_being_moved_is_no_matter_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "x.png").touch()
    monkeypatch.setattr(sorting.os, "link", fail)
    with pytest.raises(OutputError, match=hint) as raised:
        move(tmp_path / "x.png", tmp_path / "y.png")
    assert not isinstance(raised.value, StuckError)
    monkeypatch.undo()
    # A folder that may not be written to, of any picture.
    monkeypatch.setattr(sorting.os, "access", lambda *_: False)
    monkeypatch.setattr(sorting, "_place", lambda *_: (_ for _ in ()).throw(PermissionError(errno.EACCES, "no")))
    with pytest.raises(OutputError, match="permissions of") as raised:
        move(tmp_path / "x.png", tmp_path / "y.png")
    assert not isinstance(raised.value, StuckError)


@pytest.mark.parametrize("left", ["linked", "copied", "reserved", "nothing"])
def test_a_move_is_finished_from_wherever_it_was_killed(tmp_path: Path, left: str) -> None:
    source, target = tmp_path / "x.png", tmp_path / "y.png"
    source.write_text("picture")
    if left == "linked":
        os.link(source, target)
    elif left == "copied":
        target.write_text("picture")
    elif left == "reserved":
        target.touch()
    assert move(source, target, again=True)
    assert target.read_text() == "picture" and not source.exists()


def test_onto_another_file_system(tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system")
    source = tmp_path / "x.png"
    source.write_text("picture")
    target = elsewhere / f"edge-test-{os.getpid()}.png"
    try:
        assert move(source, target)
        assert target.read_text() == "picture" and not source.exists()
        assert not list(elsewhere.glob(".edge-*.part"))
    finally:
        target.unlink(missing_ok=True)


def replaced(path: Path) -> None:
    """What a camera does that writes each picture under one name."""
    path.with_name(".next").write_text("the next picture")
    path.with_name(".next").replace(path)


@pytest.mark.parametrize("when", ["link", "sync_folder"])
def test_a_picture_that_comes_under_the_same_name_meanwhile_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    source, target = tmp_path / "latest.jpg", tmp_path / "sorted" / "latest.jpg"
    source.write_text("picture")
    target.parent.mkdir()
    place = os if when == "link" else sorting
    real = getattr(place, when)

    def late(*words: Path) -> None:
        monkeypatch.setattr(place, when, real)
        replaced(source)
        real(*words)

    monkeypatch.setattr(place, when, late)
    assert move(source, target)
    # Replaced before it was taken, there is nothing to move; after, the old one is where it was to go.
    assert source.read_text() == "the next picture"
    assert target.exists() == (when == "sync_folder")
    if target.exists():
        assert target.read_text() == "picture"


def test_the_same_onto_another_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "latest.jpg", tmp_path / "sorted" / "latest.jpg"
    source.write_text("picture")
    target.parent.mkdir()
    real = sorting.shutil.copyfile

    def late(first: Path, second: Path) -> None:
        real(first, second)
        replaced(source)

    monkeypatch.setattr(sorting.os, "link", without_links(os.link, source))
    monkeypatch.setattr(sorting.shutil, "copyfile", late)
    assert move(source, target)
    assert source.read_text() == "the next picture"
    assert list(target.parent.iterdir()) == []


def without_links(link: Callable[[Path, Path], None], source: Path) -> Callable[[Path, Path], None]:
    """`os.link` of a system where `source` lies on another disk."""

    def refuse(first: Path, second: Path) -> None:
        if first == source:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        link(first, second)

    return refuse


def test_a_picture_its_owner_took_away_is_no_error_and_a_folder_gone_is_one(tmp_path: Path) -> None:
    source = tmp_path / "x.png"
    source.write_text("picture")
    status = source.stat()
    words = {"size_bytes": status.st_size, "changed_ns": status.st_mtime_ns}
    with pytest.raises(OutputError, match="cannot move"):
        bring(source, tmp_path / "gone" / "x.png", **words)
    assert source.read_text() == "picture"
    source.unlink()
    assert bring(source, tmp_path / "y.png", **words)
    assert not (tmp_path / "y.png").exists()
