"""The classifier: what goes in, what comes out, in which order, on how many threads and in how much memory."""

from __future__ import annotations

import io
import pickle
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from edge_runtime import Classifier, ImageError, ModelError, Prediction, UsageError
from tiny_model import write_tiny_model

COLOURS = ("red", "lime", "blue")
LABELS = ("stop", "go", "sky")


def png(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 60), colour).save(file, "PNG")
    return file.getvalue()


def pictures(folder: Path, count: int) -> list[Path]:
    """Pictures of the three colours in turn, by size told apart."""
    paths = [folder / f"{index}.png" for index in range(count)]
    for index, path in enumerate(paths):
        Image.new("RGB", (33 + index % 50, 40), COLOURS[index % 3]).save(path)
    return paths


def worker_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("edge-worker")]


def test_a_path_bytes_and_a_pil_image_get_the_same_answer(classifier: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png("lime"))
    sources: list[Any] = [path, str(path), png("lime"), bytearray(png("lime")), memoryview(png("lime"))]
    sources.append(Image.open(path))
    answers = [classifier.predict(source) for source in sources]
    assert {answer.label for answer in answers} == {"go"}
    assert len({answer.probabilities.tobytes() for answer in answers}) == 1
    assert [answer.image for answer in answers] == [str(path), str(path), *["image bytes"] * 3, str(path)]
    assert classifier.predict(Image.new("RGB", (9, 9))).image == "PIL image"


def test_the_answer_is_a_distribution_over_the_labels(classifier: Classifier) -> None:
    answer = classifier.predict(png("red"))
    assert (answer.label, answer.labels) == ("stop", LABELS)
    assert answer.probability > 0.99
    assert answer.probabilities.dtype == np.float32
    assert answer.probabilities.sum() == pytest.approx(1, abs=1e-6)
    # e^8 against 1 + 1 for a pure colour: what the graph computes, by hand.
    assert answer.probability == pytest.approx(np.exp(8) / (np.exp(8) + 2), abs=1e-6)


def test_top_and_json_are_the_most_probable_first_and_ties_keep_label_order() -> None:
    answer = Prediction("x.png", ("a", "b", "c"), np.array([0.25, 0.5, 0.25], np.float32))
    assert [row.label for row in answer.top()] == ["b", "a", "c"]
    assert answer.top(0) == () and answer.top(-1) == ()
    assert answer.top(1)[0].probability == 0.5
    assert answer.to_json(2) == {
        "image": "x.png",
        "label": "b",
        "probability": 0.5,
        "top": [{"label": "b", "probability": 0.5}, {"label": "a", "probability": 0.25}],
    }


@pytest.mark.parametrize("source", [b"", b"not an image", 3, None, np.zeros((4, 4, 3), np.int64), ["x.png"]])
def test_what_is_no_image_is_an_image_error(classifier: Classifier, source: Any) -> None:
    with pytest.raises(ImageError):
        classifier.predict(source)


def test_many_are_answered_in_order_as_one_by_one(classifier: Classifier, tmp_path: Path) -> None:
    paths = pictures(tmp_path, 40)
    answers = list(classifier.predict_many(paths, batch_size=7))
    assert [answer.image for answer in answers] == [str(path) for path in paths]
    assert [answer.label for answer in answers] == [LABELS[index % 3] for index in range(40)]
    for path, answer in zip(paths, answers, strict=True):
        np.testing.assert_allclose(answer.probabilities, classifier.predict(path).probabilities, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 8, 1000])
def test_any_batch_size_answers_every_image_once(classifier: Classifier, tmp_path: Path, batch_size: int) -> None:
    for count in (0, 1, 8, 9):
        folder = tmp_path / str(count)
        folder.mkdir()
        paths = pictures(folder, count)
        assert [answer.image for answer in classifier.predict_many(paths, batch_size=batch_size)] == list(
            map(str, paths)
        )


def test_a_stream_is_read_no_further_ahead_than_its_threads_need(classifier: Classifier) -> None:
    read = answered = 0
    furthest = 0
    most_alive = 0
    frames: list[weakref.ref[Image.Image]] = []

    def camera() -> Iterator[Image.Image]:
        nonlocal read
        for _ in range(300):
            read += 1
            frame = Image.new("RGB", (50, 50), "blue")
            frames.append(weakref.ref(frame))
            yield frame

    stream = classifier.predict_many(camera(), batch_size=3)
    assert read == 0, "nothing is read before the first answer is asked for"
    for answer in stream:
        answered += 1
        assert answer.label == "sky"
        furthest = max(furthest, read - answered)
        most_alive = max(most_alive, sum(frame() is not None for frame in frames))
    assert answered == 300
    # Two images per thread waiting, and one batch in the model.
    assert furthest <= 2 * 2 + 3
    assert most_alive <= 2 * (2 * 2 + 3)


def test_a_broken_image_raises_in_its_place(classifier: Classifier, tmp_path: Path) -> None:
    paths = pictures(tmp_path, 6)
    paths[4].write_bytes(paths[4].read_bytes()[:50])
    stream = classifier.predict_many(paths)
    assert [next(stream).label for _ in range(4)] == ["stop", "go", "sky", "stop"]
    with pytest.raises(ImageError, match=r"4\.png"):
        next(stream)
    assert not worker_threads()


def test_a_broken_image_is_returned_in_its_place(classifier: Classifier, tmp_path: Path) -> None:
    paths: list[Any] = [*pictures(tmp_path, 9)]
    paths[0].write_bytes(b"")
    paths[8].unlink()
    paths.insert(4, None)
    answers = list(classifier.predict_many(paths, batch_size=2, on_error="return"))
    wrong = {index for index, answer in enumerate(answers) if isinstance(answer, ImageError)}
    assert (len(answers), wrong) == (10, {0, 4, 9})
    assert "0.png is empty" in str(answers[0]) and "8.png does not exist" in str(answers[9])
    only_broken = list(classifier.predict_many([b"x", b"y"], on_error="return"))
    assert [type(answer) for answer in only_broken] == [ImageError, ImageError]


def test_one_by_one_is_the_default_and_gives_what_batches_give(classifier: Classifier, tmp_path: Path) -> None:
    paths: list[Any] = pictures(tmp_path, 40)
    paths[7] = b"no picture"
    single = list(classifier.predict_many(paths, on_error="return"))
    batched = list(classifier.predict_many(paths, on_error="return", batch_size=6))
    for index, (one, other) in enumerate(zip(single, batched, strict=True)):
        if index == 7:
            assert isinstance(one, ImageError) and isinstance(other, ImageError) and str(one) == str(other)
        else:
            assert isinstance(one, Prediction) and isinstance(other, Prediction)
            assert (one.image, one.label) == (other.image, other.label) == (str(paths[index]), LABELS[index % 3])
            np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)


def test_without_a_batch_size_as_little_is_read_ahead(classifier: Classifier) -> None:
    read = furthest = 0

    def camera() -> Iterator[bytes]:
        nonlocal read
        for _ in range(300):
            read += 1
            yield png("blue")

    stream = classifier.predict_many(camera())
    assert read == 0
    for answered, answer in enumerate(stream, start=1):
        assert answer.label == "sky"
        furthest = max(furthest, read - answered)
    assert (read, answered) == (300, 300)
    assert furthest <= 2 * 2


@pytest.mark.parametrize("batch_size", [None, 3])
def test_a_camera_may_fill_one_buffer_again_and_again(classifier: Classifier, batch_size: int | None) -> None:
    def buffers() -> Iterator[bytearray]:
        buffer = bytearray()
        for index in range(30):
            buffer[:] = png(COLOURS[index % 3])
            yield buffer

    def frames() -> Iterator[Image.Image]:
        frame = Image.new("RGB", (40, 40))
        for index in range(30):
            frame.paste(COLOURS[index % 3], (0, 0, 40, 40))
            yield frame

    for source in (buffers(), frames()):
        answers = classifier.predict_many(source, batch_size=batch_size)
        assert [answer.label for answer in answers] == [LABELS[index % 3] for index in range(30)]


@pytest.mark.parametrize("batch_size", [None, 3])
def test_ctrl_c_ends_the_threads(classifier: Classifier, batch_size: int | None) -> None:
    def camera() -> Iterator[bytes]:
        yield from [png("red")] * 5
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(classifier.predict_many(camera(), batch_size=batch_size))
    assert not worker_threads()


def test_errors_that_are_kept_hold_no_picture(classifier: Classifier) -> None:
    answers = list(classifier.predict_many([b"no picture"] * 3, on_error="return"))
    for answer in answers:
        assert isinstance(answer, ImageError)
        assert answer.__traceback__ is None
        assert answer.__context__ is None or answer.__context__.__traceback__ is None


def test_an_export_replaced_midway_does_not_change_the_answers(model: Path, tmp_path: Path) -> None:
    classifier = Classifier(model, threads=2)
    # Beside it first and then in its place, as edge export does; it knows one label more.
    write_tiny_model(tmp_path / "new.onnx", labels=(*LABELS, "fourth")).replace(model)
    answers = list(classifier.predict_many([png("blue")] * 20))
    assert {answer.label for answer in answers} == {"sky"}
    assert {answer.probabilities.shape for answer in answers} == {(3,)}


@pytest.mark.parametrize("gone", [False, True])
def test_many_are_answered_when_the_file_is_gone(classifier: Classifier, model: Path, gone: bool) -> None:
    if gone:
        model.unlink()
    assert [answer.label for answer in classifier.predict_many([png("lime")] * 12)] == ["go"] * 12


def test_leaving_early_ends_the_threads(classifier: Classifier, tmp_path: Path) -> None:
    stream = classifier.predict_many(pictures(tmp_path, 60))
    next(stream)
    assert worker_threads()
    stream.close()
    assert not worker_threads()


def test_a_failing_source_is_passed_on_and_ends_the_threads(classifier: Classifier) -> None:
    def camera() -> Iterator[bytes]:
        yield png("red")
        raise ConnectionError("unplugged")

    with pytest.raises(ConnectionError, match="unplugged"):
        list(classifier.predict_many(camera()))
    assert not worker_threads()


def test_eight_threads_may_share_one_classifier(classifier: Classifier, tmp_path: Path) -> None:
    paths = pictures(tmp_path, 24)
    alone = [classifier.predict(path).probabilities.tobytes() for path in paths]

    def work(_: int) -> list[bytes]:
        single = [classifier.predict(path).probabilities.tobytes() for path in paths]
        many = [answer.label for answer in classifier.predict_many(paths, batch_size=5)]
        assert many == [LABELS[index % 3] for index in range(24)]
        return single

    with ThreadPoolExecutor(8) as pool:
        assert all(answers == alone for answers in pool.map(work, range(8)))


def test_it_pickles_by_path(classifier: Classifier, model: Path) -> None:
    twin = pickle.loads(pickle.dumps(classifier))
    assert (twin.path, twin.threads, twin.card) == (model, 2, classifier.card)
    assert twin.predict(png("blue")).label == "sky"
    assert len(pickle.dumps(classifier)) < 500, "the model itself does not travel"
    parcel = pickle.dumps(classifier)
    model.unlink()
    with pytest.raises(UsageError, match="does not exist"):
        pickle.loads(parcel)


def test_a_pickle_from_a_relative_path_opens_in_another_folder(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    parcel = pickle.dumps(Classifier(model.name, threads=1))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert pickle.loads(parcel).predict(png("red")).label == "stop"


def test_processes_started_afresh_answer_as_this_one(model: Path, tmp_path: Path) -> None:
    classifier = Classifier(model, threads=1)
    paths = pictures(tmp_path, 6)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        answers = list(pool.map(classifier.predict, paths, chunksize=3))
    for path, answer in zip(paths, answers, strict=True):
        alone = classifier.predict(path)
        assert (answer.image, answer.label) == (alone.image, alone.label)
        np.testing.assert_array_equal(answer.probabilities, alone.probabilities)


def test_repr_says_which_model(classifier: Classifier, model: Path) -> None:
    assert repr(classifier) == f"Classifier({str(model)!r}, 3 labels, tiny)"


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((32, 32, 3), np.uint8),
        np.zeros((1, 3, 32, 32), np.uint8),
        np.zeros((1, 32, 31, 3), np.uint8),
        np.zeros((1, 32, 32, 4), np.uint8),
        np.zeros((1, 32, 32, 3), np.float32),
        np.zeros((1, 32, 32, 3), np.int64),
        [[0]],
        None,
    ],
)
def test_pixels_of_another_shape_or_type_are_refused(classifier: Classifier, pixels: Any) -> None:
    with pytest.raises(UsageError, match=r"uint8 \[N, 32, 32, 3\]"):
        classifier.probabilities(pixels)


def test_any_number_of_images_and_any_memory_layout_run(classifier: Classifier) -> None:
    for count in (0, 1, 2, 5, 33):
        assert classifier.probabilities(np.zeros((count, 32, 32, 3), np.uint8)).shape == (count, 3)
    wide = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 6), np.uint8)
    np.testing.assert_array_equal(
        classifier.probabilities(wide[..., ::2]), classifier.probabilities(wide[..., ::2].copy())
    )


def test_a_model_that_answers_no_number_is_an_error_not_an_answer(model: Path) -> None:
    proto = onnx.load(model)
    weights = next(each for each in proto.graph.initializer if each.name == "weights")
    weights.CopyFrom(numpy_helper.from_array(np.full((3, 3), np.nan, np.float32), "weights"))
    onnx.save(proto, model)
    classifier = Classifier(model, threads=2)
    with pytest.raises(ModelError, match="no numbers"):
        classifier.predict(png("red"))
    # Not one picture's fault: it ends the stream, and the threads, whatever is asked for bad pictures.
    for batch_size in (None, 3):
        with pytest.raises(ModelError, match="no numbers"):
            list(classifier.predict_many([png("red")] * 20, batch_size=batch_size, on_error="return"))
        assert not worker_threads()


def test_one_thread_answers_as_many_do(model: Path, classifier: Classifier, tmp_path: Path) -> None:
    paths = pictures(tmp_path, 10)
    one = [answer.label for answer in Classifier(model, threads=1).predict_many(paths)]
    assert one == [answer.label for answer in classifier.predict_many(paths)]
