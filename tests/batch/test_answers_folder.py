"""A folder of answers is of one model and one listing, and holds nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")

from edge_batch.answers_folder import AnswersFolder, answers_place
from edge_batch.committed_answers import Follower, FreshAnswers
from edge_batch.locations import Locations
from edge_batch.picture_listing import Listing
from edge_runtime import UsageError

LISTING = Listing(("photos",), ("/a.png", "/b.png", "/c.png"), (1, 2, 3), Locations([]))
PROMISE = {
    "format": 1,
    "edge": "0.1.0",
    "model": {"path": "model.onnx", "sha256": "a" * 64},
    "data": {"names": ["photos"], "pictures": 3, "bytes": 6, "sha256": LISTING.sha256},
    "settings": {"top": 5, "embedding": False},
}


@pytest.mark.parametrize("name", ["s3://bucket/answers", "gs://b", "S3://b/c", "abfs://b@c/d"])
def test_a_bucket_is_no_folder_to_write_to(name: str) -> None:
    with pytest.raises(UsageError, match=f"`out` {re.escape(name)} is no folder"):
        answers_place(Path(name))


def test_a_folder_may_be_named_as_a_uri() -> None:
    assert answers_place(Path("file:///some/answers")) == Path("/some/answers")
    for name in ("answers", "/a:/b", "C:/answers", "a:b/c"):
        assert answers_place(Path(name)) == Path(name)


@pytest.fixture
def folder(tmp_path: Path) -> AnswersFolder:
    return AnswersFolder(tmp_path / "answers", PROMISE)


def begun(folder: AnswersFolder) -> AnswersFolder:
    with folder.alone():
        folder.begin(LISTING)
    return folder


def answer(folder: AnswersFolder, name: str, places: list[int], *, pending: bool = False) -> Path:
    """A file of answers as Ray leaves one, and what its checkpoint says of it."""
    import pyarrow as pa
    from pyarrow import parquet

    folder.checkpoint.mkdir(exist_ok=True)
    table = pa.table({"index": places, "error": pa.nulls(len(places), pa.string())})
    parquet.write_table(table, folder.checkpoint / f"{name}{'.pending' if pending else ''}.parquet")
    parquet.write_table(table, folder.path / f"{name}-0.parquet")
    return folder.path / f"{name}-0.parquet"


def test_only_whole_files_count_and_half_ones_go(folder: AnswersFolder) -> None:
    begun(folder)
    whole, half = answer(folder, "x_000000", [0, 2]), answer(folder, "x_000001", [1], pending=True)
    assert folder.committed() == [whole]
    assert folder.count(3).tolist() == [1, 0, 1]
    folder.clear()
    assert whole.exists() and not half.exists()
    answer(folder, "y_000000", [1, 2])
    assert folder.count(3).tolist() == [1, 1, 2]


def test_a_finished_folder_is_known_and_tidy(folder: AnswersFolder) -> None:
    begun(folder)
    whole = answer(folder, "x_000000", [0, 1, 2])
    assert folder.counts is None
    folder.finish({"answered": 3, "failed": 0})
    assert folder.counts == (3, 0) and whole.exists()
    assert {path.name for path in folder.inside.iterdir()} == {"lock", "run.json"}
    assert json.loads(folder.note.read_text())["answered"] == 3


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("model", {"path": "model.onnx", "sha256": "b" * 64}, "another model (aaaaaaaaaaaa, now bbbbbbbbbbbb)"),
        ("data", {"pictures": 4, "sha256": "c"}, "other pictures (3, now 4"),
        ("settings", {"top": 3, "embedding": False}, "other settings (top 5, now 3)"),
        ("edge", "0.2.0", "begun by edge 0.1.0"),
    ],
)
def test_answers_of_something_else_are_not_mixed(folder: AnswersFolder, key: str, value: Any, said: str) -> None:
    begun(folder)
    other = AnswersFolder(folder.path, {**PROMISE, key: value})
    with pytest.raises(UsageError, match=re.escape(said)), other.alone():
        pass
    # The name that a model or a listing goes by says nothing.
    renamed = {**PROMISE, "model": {"path": "elsewhere.onnx", "sha256": "a" * 64}}
    with AnswersFolder(folder.path, renamed).alone():
        pass


def test_what_a_reader_adds_to_a_finished_folder_is_not_counted(folder: AnswersFolder) -> None:
    begun(folder)
    whole = answer(folder, "x_000000", [0, 1, 2])
    folder.finish({"answered": 2, "failed": 1})
    (folder.path / "all.parquet").write_bytes(whole.read_bytes())
    (folder.path / "other.parquet").write_text("no Parquet")
    heard: list[FreshAnswers] = []
    with folder.alone():
        follower = Follower(folder, heard.append)
        follower.look(before=True)
    assert (follower.pictures, follower.failed, follower.all_there) == (3, 1, True)
    assert heard == [FreshAnswers(3, (), True)]
    said = json.loads(folder.note.read_text())
    folder.note.write_text(json.dumps({**said, "answered": None}))
    with pytest.raises(UsageError, match="no note of this edge"):
        follower.look()


@pytest.mark.parametrize(
    "name", [".DS_Store", ".nfs0001", "._x_000000-0.parquet", "_SUCCESS", "Thumbs.db", "desktop.ini"]
)
def test_what_a_system_keeps_in_any_folder_is_passed_over(folder: AnswersFolder, name: str) -> None:
    begun(folder)
    whole = answer(folder, "x_000000", [0, 1])
    (folder.path / name).write_bytes(whole.read_bytes())
    with folder.alone():
        assert folder.count(3).tolist() == [1, 1, 0]
        folder.clear()
    assert (folder.path / name).exists()


@pytest.mark.parametrize("name", ["notes.txt", "x.parquet", "_other"])
def test_a_folder_with_something_else_is_left_alone(folder: AnswersFolder, name: str) -> None:
    folder.path.mkdir()
    (folder.path / name).write_text("mine")
    with pytest.raises(UsageError, match=f"holds {name}"), folder.alone():
        pass
    assert [path.name for path in folder.path.iterdir()] == [name]
    begun(AnswersFolder(folder.path.with_name("other"), PROMISE))
    (folder.path.with_name("other") / "more.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds more\.txt"), AnswersFolder(folder.path.with_name("other"), {}).alone():
        pass


def test_parquet_of_others_is_left_alone_in_a_begun_folder(folder: AnswersFolder) -> None:
    begun(folder)
    (folder.path / "mine-0.parquet").write_text("mine")
    with pytest.raises(UsageError, match=r"mine-0\.parquet, which is none of its answers"):
        folder.clear()
    assert (folder.path / "mine-0.parquet").exists()


def test_a_file_and_a_strange_note_are_refused(folder: AnswersFolder) -> None:
    folder.path.write_text("mine")
    with pytest.raises(UsageError, match="is no folder"), folder.alone():
        pass
    folder.path.unlink()
    begun(folder)
    folder.note.write_text("[]")
    with pytest.raises(UsageError, match="no note of this edge"), folder.alone():
        pass


def test_two_do_not_work_on_one(folder: AnswersFolder) -> None:
    with folder.alone(), pytest.raises(UsageError, match="another edge predict works on"), folder.alone():
        pass
    with folder.alone():
        pass
