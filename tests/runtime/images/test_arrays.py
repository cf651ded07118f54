"""Arrays as pictures: the same answers as the pictures they were read from, and one clear line for others."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime import Classifier, ImageError, Preprocessing, UsageError, decode
from tiny_model import write_tiny_model

CONTRACT = Preprocessing(256, 224, 224, "bilinear")


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return Classifier(write_tiny_model(tmp_path_factory.mktemp("arrays") / "model.onnx"), threads=2)


def test_an_array_gives_what_its_picture_gives(tmp_path: Path) -> None:
    array = noise(300, 400, 3)
    Image.fromarray(array).save(tmp_path / "x.png")
    np.testing.assert_array_equal(CONTRACT(array), CONTRACT(tmp_path / "x.png"))


def test_a_grey_array_is_the_grey_picture(tmp_path: Path) -> None:
    array = noise(300, 400)
    Image.fromarray(array).save(tmp_path / "x.png")
    np.testing.assert_array_equal(CONTRACT(array), CONTRACT(tmp_path / "x.png"))


@pytest.mark.parametrize("view", [np.asfortranarray, lambda array: array[::-1, ::2], lambda array: array[:, :, ::-1]])
def test_any_memory_layout_is_read(view: object) -> None:
    array = view(noise(300, 400, 3))  # type: ignore[operator]
    np.testing.assert_array_equal(CONTRACT(array), CONTRACT(Image.fromarray(np.ascontiguousarray(array))))


def test_the_decoded_picture_shares_no_memory_with_the_array() -> None:
    array = noise(30, 40, 3)
    picture, before = decode(array), array.copy()
    array[:] = 0
    np.testing.assert_array_equal(np.asarray(picture), before)


def test_bgr_is_the_order_of_opencv(classifier: Classifier) -> None:
    array = np.zeros((50, 50, 3), np.uint8)
    array[..., 0] = 255
    assert classifier.predict(array).label == classifier.predict(Image.new("RGB", (50, 50), "red")).label
    blue = classifier.predict(Image.new("RGB", (50, 50), "blue"))
    assert classifier.predict(array, colour="bgr").label == blue.label != classifier.predict(array).label
    many = list(classifier.predict_many([array] * 10, colour="bgr"))
    assert [answer.label for answer in many] == [blue.label] * 10
    assert many[0].image == "array"


def test_bgr_changes_no_file_and_no_grey(classifier: Classifier, tmp_path: Path) -> None:
    Image.new("RGB", (50, 50), "red").save(tmp_path / "x.png")
    plain, bgr = classifier.predict(tmp_path / "x.png"), classifier.predict(tmp_path / "x.png", colour="bgr")
    np.testing.assert_array_equal(plain.probabilities, bgr.probabilities)
    grey = noise(60, 50)
    np.testing.assert_array_equal(
        classifier.predict(grey, colour="bgr").probabilities, classifier.predict(grey).probabilities
    )


def test_one_buffer_that_is_filled_again_and_again_gives_each_frame_its_own_answer(classifier: Classifier) -> None:
    buffer = np.zeros((50, 50, 3), np.uint8)

    def camera() -> object:
        for channel in (0, 1, 2) * 5:
            buffer[:] = 0
            buffer[..., channel] = 255
            yield buffer

    labels = [answer.label for answer in classifier.predict_many(camera())]  # type: ignore[arg-type]
    expected = [classifier.predict(Image.new("RGB", (50, 50), colour)).label for colour in ("red", "lime", "blue")]
    assert labels == expected * 5


@pytest.mark.parametrize(
    ("array", "said", "hint"),
    [
        (np.zeros((5, 5, 3), np.float32), r"float32 \[5, 5, 3\]", "255"),
        (np.zeros((5, 5, 3), np.uint16), r"uint16 \[5, 5, 3\]", r"0\.\.255"),
        (np.zeros((5, 5, 4), np.uint8), r"uint8 \[5, 5, 4\]", r"\[\.\.\., :3\]"),
        (np.zeros((5, 5, 1), np.uint8), r"uint8 \[5, 5, 1\]", r"\[\.\.\., 0\]"),
        (np.zeros((2, 5, 5, 3), np.uint8), r"uint8 \[2, 5, 5, 3\]", "one by one"),
        (np.zeros((5,), np.uint8), r"uint8 \[5\]", "one picture"),
        (np.zeros((0, 5, 3), np.uint8), r"uint8 \[0, 5, 3\]", "no pixels"),
        (np.zeros((5, 5), bool), r"bool \[5, 5\]", r"0\.\.255"),
    ],
)
def test_another_type_or_shape_is_one_clear_line(
    classifier: Classifier, array: np.ndarray, said: str, hint: str
) -> None:
    with pytest.raises(ImageError, match=f"the array is {said}, not uint8.*{hint}"):
        classifier.predict(array)
    (error,) = classifier.predict_many([array], on_error="return")
    assert isinstance(error, ImageError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_an_unknown_order_of_channels_is_refused_at_the_call(classifier: Classifier) -> None:
    with pytest.raises(UsageError, match="colour 'gbr'"):
        classifier.predict(noise(9, 9, 3), colour="gbr")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="colour 'gbr'"):
        classifier.predict_many([], colour="gbr")  # type: ignore[call-overload]
