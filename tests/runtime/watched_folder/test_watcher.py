"""A watched folder, look by look: what is answered, what is waited for, and what is told of a moved picture."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edge_runtime import Classifier, ImageError, Journal, Sighting, Sorter, watch
from edge_runtime.errors import ImageProblem
from edge_runtime.images import decoder
from edge_runtime.watched_folder import watcher as watching
from edge_runtime.watched_folder.arrivals import PATIENCE_LOOKS
from edge_runtime.watched_folder.journal import Entry
from tiny_model import write_tiny_model
from unlike_model import write_unlike_model


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    return Classifier(write_tiny_model(tmp_path / "model.onnx", labels=("red", "green", "blue")), threads=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "landing").mkdir()
    return tmp_path / "landing"


def picture(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 40), colour).save(file, "BMP")
    return file.getvalue()


class Looks:
    """Ends a watch after so many looks, which follow each other without a pause."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self._left = count
        monkeypatch.setattr(watching, "_rest", self._rest)

    def _rest(self, *_: object) -> None:
        self._left -= 1

    def __call__(self) -> bool:
        return self._left <= 0


def watched(
    classifier: Classifier,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    looks: int = 8,
    sorter: Sorter | None = None,
    min_confidence: float = 0.0,
) -> Iterator[Sighting | ImageError]:
    with Journal(folder / ".journal", folder) as journal:
        stop = Looks(monkeypatch, looks)
        yield from watch(classifier, folder, journal, sorter=sorter, min_confidence=min_confidence, stop=stop)


def test_what_may_not_be_read_is_said_once_and_answered_once_it_may(
    classifier: Classifier, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "x.bmp"
    path.write_bytes(bytes(len(picture("red"))))
    status = path.stat()
    monkeypatch.setattr(os, "access", lambda *_: False)
    (error,) = watched(classifier, folder, monkeypatch, looks=20)
    assert isinstance(error, ImageError) and "x.bmp" in error.message
    monkeypatch.undo()
    # Permissions change neither size nor time.
    path.write_bytes(picture("red"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    (seen,) = watched(classifier, folder, monkeypatch)
    assert isinstance(seen, Sighting) and seen.label == "red"


@pytest.mark.parametrize("kind", ["no-memory", "not-supported", "unreadable"])
def test_what_only_this_machine_cannot_decode_is_said_once_and_answered_once_it_can(
    classifier: Classifier, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: ImageProblem
) -> None:
    (folder / "x.bmp").write_bytes(picture("red"))
    real, tries = decoder._decode_file, []

    def passing(*words: Any, **named: Any) -> Image.Image:
        tries.append(words)
        if len(tries) < 12:
            raise ImageError("x.bmp: not now", "", kind)
        return real(*words, **named)

    monkeypatch.setattr(decoder, "_decode_file", passing)
    # Not at every look: decoding it may be what there is no strength for.
    assert len(list(watched(classifier, folder, monkeypatch, looks=30))) == 1
    assert len(tries) == PATIENCE_LOOKS
    monkeypatch.setattr(watching, "TRY_AGAIN_S", 0.0)
    error, seen = watched(classifier, folder, monkeypatch, looks=30)
    assert isinstance(error, ImageError) and isinstance(seen, Sighting) and seen.label == "red"


def test_what_is_no_picture_is_said_once_also_after_a_restart(
    classifier: Classifier, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "x.bmp").write_bytes(b"no picture")
    assert [type(each) for each in watched(classifier, folder, monkeypatch, looks=20)] == [ImageError]
    assert list(watched(classifier, folder, monkeypatch, looks=20)) == []
    (folder / "x.bmp").write_bytes(picture("blue"))
    (seen,) = watched(classifier, folder, monkeypatch)
    assert isinstance(seen, Sighting) and seen.label == "blue"


def test_a_touched_picture_is_not_answered_again_and_a_new_one_of_its_name_is(
    classifier: Classifier, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "x.bmp"
    path.write_bytes(picture("red"))
    assert len(list(watched(classifier, folder, monkeypatch))) == 1
    os.utime(path, ns=(1, 1))
    assert list(watched(classifier, folder, monkeypatch)) == []
    path.write_bytes(picture("lime"))
    (seen,) = watched(classifier, folder, monkeypatch)
    assert isinstance(seen, Sighting) and seen.label == "green"


@pytest.mark.parametrize("inside", [False, True])
def test_a_sorted_picture_is_told_with_its_place_and_not_found_again(
    classifier: Classifier, folder: Path, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    (folder / "x.bmp").write_bytes(picture("red"))
    root = folder if inside else folder.parent / "sorted"
    sorter = Sorter(str(root / "{label}"))
    (seen,) = watched(classifier, folder, monkeypatch, looks=12, sorter=sorter)
    assert isinstance(seen, Sighting) and seen.moved_to == str(root / "red" / "x.bmp")
    assert Path(seen.moved_to).read_bytes() == picture("red") and not (folder / "x.bmp").exists()
    assert list(watched(classifier, folder, monkeypatch, looks=12, sorter=sorter)) == []


@pytest.mark.parametrize(("min_confidence", "name"), [(0.0, "unknown"), (0.5, "%5Funknown")])
def test_what_is_unknown_does_not_lie_with_a_class_of_that_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, min_confidence: float, name: str
) -> None:
    model = write_tiny_model(folder.parent / "unsure.onnx", labels=("unknown", "a", "b"), sharpness=0.0)
    classifier = Classifier(model, threads=1)
    (folder / "x.bmp").write_bytes(picture("red"))
    sorter = Sorter(str(folder.parent / "sorted" / "{label}"), classifier.labels)
    (seen,) = watched(classifier, folder, monkeypatch, sorter=sorter, min_confidence=min_confidence)
    assert isinstance(seen, Sighting) and seen.label == "unknown"
    assert seen.moved_to is not None and Path(seen.moved_to).parent.name == name


def test_a_picture_taken_away_before_it_could_be_moved_is_not_told_as_moved(
    classifier: Classifier, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "x.bmp").write_bytes(picture("red"))
    real = Journal.answered

    def and_gone(journal: Journal, entry: watching.Entry) -> None:
        real(journal, entry)
        (folder / "x.bmp").unlink()

    monkeypatch.setattr(Journal, "answered", and_gone)
    (seen,) = watched(classifier, folder, monkeypatch, sorter=Sorter(str(folder.parent / "sorted" / "{label}")))
    assert isinstance(seen, Sighting) and (seen.label, seen.moved_to) == ("red", None)


def test_what_is_unlike_training_goes_where_the_unknown_go(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = Classifier(write_unlike_model(tmp_path / "unlike.onnx"), threads=1, reject_unlike=0.05)
    for colour in ("red", "white"):
        (folder / f"{colour}.bmp").write_bytes(picture(colour))
    sorter = Sorter(str(tmp_path / "sorted" / "{label}"), classifier.labels)
    seen = list(watched(classifier, folder, monkeypatch, sorter=sorter))
    told = [(each.label, each.unlike, each.unlikeness) for each in seen if isinstance(each, Sighting)]
    assert told == [("red", False, 0.84), ("unknown", True, 0.99)]
    assert (tmp_path / "sorted" / "unknown" / "white.bmp").is_file()


def test_one_that_may_not_be_moved_is_answered_and_keeps_neither_the_next_nor_a_restart(
    classifier: Classifier, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.unlink

    def refuse(path: Path, *words: Any, **named: Any) -> None:
        if path.name == "a.bmp" and path.parent == folder:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        real(path, *words, **named)

    monkeypatch.setattr(Path, "unlink", refuse)
    (folder / "a.bmp").write_bytes(picture("red"))
    (folder / "b.bmp").write_bytes(picture("blue"))
    sorter = Sorter(str(tmp_path / "sorted" / "{label}"))
    first, *more = watched(classifier, folder, monkeypatch, sorter=sorter)
    (second,) = more
    assert isinstance(first, Sighting) and (first.label, first.moved_to) == ("red", None)
    assert "cannot move" in first.unmoved and "a.bmp" in first.unmoved
    assert isinstance(second, Sighting) and second.moved_to is not None and second.unmoved == ""
    assert [path.name for path in folder.glob("*.bmp")] == ["a.bmp"]
    assert list(watched(classifier, folder, monkeypatch, sorter=sorter)) == []


@pytest.mark.parametrize("name", ["a" * 300, "a.bmp"])
def test_one_that_a_killed_process_could_not_move_does_not_stop_the_next(
    classifier: Classifier, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (folder / "a.bmp").write_bytes(picture("red"))
    status = (folder / "a.bmp").stat()
    # The folder of the label was removed since.
    target = tmp_path / "sorted" / "red" / name
    with Journal(folder / ".journal", folder) as journal:
        told = {"label": "red", "probability": 0.9, "top": []}
        journal.answered(Entry("a.bmp", status.st_size, status.st_mtime_ns, "0" * 64, told, str(target)))
    (seen,) = watched(classifier, folder, monkeypatch)
    assert isinstance(seen, Sighting) and seen.again
    if name == "a.bmp":
        assert (seen.moved_to, seen.unmoved) == (str(target), "")
    else:
        assert seen.moved_to is None and "too long" in seen.unmoved
    assert list(watched(classifier, folder, monkeypatch)) == []


def test_a_label_whose_folder_no_disk_can_have_leaves_its_pictures_where_they_are(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_tiny_model(tmp_path / "long.onnx", labels=("red" * 100, "green", "blue"))
    for colour in ("blue", "red"):
        (folder / f"{colour}.bmp").write_bytes(picture(colour))
    sorter = Sorter(str(tmp_path / "sorted" / "{label}"))
    seen = list(watched(Classifier(model, threads=1), folder, monkeypatch, sorter=sorter))
    assert [bool(each.unmoved) for each in seen if isinstance(each, Sighting)] == [False, True]
