"""Evaluation: the exported file's answers against the folders' names, whatever becomes of single images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge_runtime import Classifier, DataError, LabelledBatch, Sample, evaluate, evaluate_batches
from tiny_model import write_tiny_model

COLOURS = ("red", "lime", "blue")


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    return Classifier(write_tiny_model(tmp_path / "model.onnx", labels=COLOURS), threads=2)


def draw(root: Path, name: str, colour: str, label: int) -> Sample:
    Image.new("RGB", (40, 40), colour).save(root / name)
    return Sample(name, label)


def test_right_and_wrong_answers_are_counted_where_they_belong(classifier: Classifier, tmp_path: Path) -> None:
    samples = [draw(tmp_path, f"{index}.png", COLOURS[index % 3], index % 3) for index in range(30)]
    samples += [draw(tmp_path, "wrong.png", "red", 2), draw(tmp_path, "wrong 2.png", "lime", 0)]
    looked_at = 0

    def count() -> None:
        nonlocal looked_at
        looked_at += 1

    found = evaluate(classifier, tmp_path, samples, on_image=count)
    assert looked_at == 32
    assert found.metrics.labels == COLOURS
    assert found.metrics.confusion.tolist() == [[10, 1, 0], [0, 10, 0], [1, 0, 10]]
    assert found.metrics.accuracy == 30 / 32
    assert found.unreadable == ()


def test_unreadable_images_are_named_and_not_counted(classifier: Classifier, tmp_path: Path) -> None:
    samples = [draw(tmp_path, f"{index}.png", COLOURS[index % 3], index % 3) for index in range(12)]
    (tmp_path / "3.png").write_bytes(b"no picture")
    (tmp_path / "7.png").unlink()
    found = evaluate(classifier, tmp_path, samples)
    assert (found.metrics.n, found.metrics.accuracy) == (10, 1.0), "the answers after a gap keep their own labels"
    assert [
        str(tmp_path / name) in str(error) for name, error in zip(("3.png", "7.png"), found.unreadable, strict=True)
    ]


def test_no_samples_are_a_data_error(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image to evaluate on") as caught:
        evaluate(classifier, tmp_path, [])
    assert str(tmp_path) in caught.value.message and "`data`" in caught.value.hint


def test_where_none_can_be_read_the_first_is_named(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of the 2 images .*gone\.png does not exist"):
        evaluate(classifier, tmp_path, [Sample("gone.png", 0), Sample("gone too.png", 1)])


def test_what_has_no_file_is_scored_in_batches_as_a_file_is(classifier: Classifier, tmp_path: Path) -> None:
    samples = [draw(tmp_path, f"{index}.png", COLOURS[index % 3], index % 2) for index in range(20)]
    (tmp_path / "17.png").write_bytes(b"no picture")
    sizes: list[int] = []

    def answer(batch: LabelledBatch) -> NDArray[np.float32]:
        sizes.append(len(batch.samples))
        return classifier.probabilities(batch.pixels)

    looked_at: list[None] = []
    found = evaluate_batches(
        answer, classifier.preprocessing, tmp_path, samples, on_image=lambda: looked_at.append(None)
    )
    wanted = evaluate(classifier, tmp_path, samples)
    assert found.metrics.labels == ("0", "1", "2") and sizes == [16, 3] and len(looked_at) == 20
    assert found.metrics.confusion.tolist() == wanted.metrics.confusion.tolist()
    assert found.samples == wanted.samples and len(found.samples) == 19
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-6)
    assert [str(error) for error in found.unreadable] == [str(error) for error in wanted.unreadable]
    with pytest.raises(DataError, match="no image to evaluate on"):
        evaluate_batches(answer, classifier.preprocessing, tmp_path, [])
