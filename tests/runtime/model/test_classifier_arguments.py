"""What a classifier is asked with: another kind of argument, or one picture for many, is refused at the call."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_runtime import Classifier, UsageError

COLOURS = ("red", "lime", "blue")
LABELS = ("stop", "go", "sky")


def pictures(folder: Path, count: int) -> list[Path]:
    """Pictures of the three colours in turn, by size told apart."""
    paths = [folder / f"{index}.png" for index in range(count)]
    for index, path in enumerate(paths):
        Image.new("RGB", (33 + index % 50, 40), COLOURS[index % 3]).save(path)
    return paths


def test_settings_that_make_no_sense_are_refused_at_the_call(classifier: Classifier, model: Path) -> None:
    with pytest.raises(UsageError, match="batch_size 0"):
        classifier.predict_many([], batch_size=0)
    with pytest.raises(UsageError, match="skip"):
        classifier.predict_many([], on_error="skip")  # type: ignore[call-overload]
    for threads in (0, -1):
        with pytest.raises(UsageError, match=f"`threads` {threads}"):
            Classifier(model, threads=threads)


@pytest.mark.parametrize(
    "one",
    ["x.jpg", Path("x.jpg"), b"\xff", memoryview(b"\xff"), Image.new("RGB", (8, 8)), np.zeros((8, 8, 3), np.uint8),
     io.BytesIO(b"\xff"), None, 5],
    ids=lambda one: type(one).__name__,
)  # fmt: skip
def test_one_picture_is_not_taken_for_many(classifier: Classifier, one: Any) -> None:
    with pytest.raises(UsageError, match="several pictures") as told:
        classifier.predict_many(one)
    assert "predict takes one" in told.value.hint


def test_an_array_of_pictures_or_of_names_is_many(classifier: Classifier, tmp_path: Path) -> None:
    assert len(list(classifier.predict_many(np.zeros((2, 8, 8, 3), np.uint8)))) == 2
    names = np.array([str(path) for path in pictures(tmp_path, 3)])
    assert [answer.label for answer in classifier.predict_many(names)] == list(LABELS)


@pytest.mark.parametrize("threads", ["2", 1.5, True, [1]])
def test_an_argument_of_another_kind_is_refused_by_its_name(
    classifier: Classifier, model: Path, threads: object
) -> None:
    with pytest.raises(UsageError, match=r"`threads` .*: a whole number is needed"):
        Classifier(model, threads=threads)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"batch_size .*: a whole number is needed"):
        classifier.predict_many([], batch_size=threads)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="`model` 5: a path is needed"):
        Classifier(5)  # type: ignore[arg-type]
    assert Classifier(model, threads=np.int64(1)).threads == 1  # type: ignore[arg-type]
