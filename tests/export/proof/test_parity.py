"""Parity: what differs is found, and what does not is not accused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from edge_export.proof.answers import Answers, Model, Pixels
from edge_export.proof.parity import Parity, check_parity, expect
from edge_export.proof.sample_images import HOSTILE, Picture, hostile_pictures, spread
from edge_runtime import ParityError, Preprocessing, Sample

CONTRACT = Preprocessing(resize_px=40, height_px=32, width_px=32, interpolation="bilinear")
LABELS = ("red", "green", "blue")


def by_colour(pixels: Pixels, *, wrong: float = 0.0) -> Answers:
    """Probabilities that follow the mean colour, and that colour as the embedding."""
    colour = pixels.mean((1, 2)) / 255
    powers = np.exp(4 * colour + wrong * np.array([1, 0, -1]))
    return Answers((powers / powers.sum(1, keepdims=True)).astype(np.float32), (colour * 50).astype(np.float32))


REFERENCE = Model(LABELS, CONTRACT, by_colour)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Picture]:
    rng = np.random.default_rng(0)
    real = []
    for index in range(7):
        path = tmp_path / f"{index}.png"
        Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8)).resize((50, 70)).save(path)
        real.append(Picture(path.name, path))
    return [*real, *hostile_pictures(CONTRACT)]


def check(pictures: list[Picture], answer: Callable[[Pixels], Answers], **changes: object) -> Parity:
    candidate = replace(REFERENCE, answer=answer)
    return check_parity(expect(REFERENCE, pictures), candidate, what="m.onnx", **changes)  # type: ignore[arg-type]


def test_the_same_model_is_equal_on_real_and_hostile_pictures(pictures: list[Picture]) -> None:
    found = check(pictures, by_colour)
    assert (found.images, found.hostile_images, found.batch_sizes) == (7, 5, (1, 2, 5))
    assert found.max_difference < 1e-6 and found.top1_agreement == 1 and found.embedding_difference == 0
    assert {"images", "hostile_images", "max_difference", "mean_difference", "tolerance"} <= set(found.to_json())


def test_a_small_difference_is_refused_and_the_worst_pictures_are_named(pictures: list[Picture]) -> None:
    with pytest.raises(ParityError, match=r"m\.onnx does not equal its checkpoint: max \|Δp\| 0\.0") as caught:
        check(pictures, lambda pixels: by_colour(pixels, wrong=0.01))
    assert "7 validation images and 5 hostile ones" in caught.value.message
    named = caught.value.message.rpartition("most on ")[2]
    assert named.count("(") == 3 and any(picture.name in named for picture in pictures)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_model_that_fails_on_one_hostile_picture_alone_is_refused(pictures: list[Picture], name: str) -> None:
    pixels = next(CONTRACT(picture.source) for picture in pictures if picture.name == name)

    def answer(images: Pixels) -> Answers:
        found = by_colour(images)
        hit = (images == pixels).all((1, 2, 3))
        return Answers(np.where(hit[:, np.newaxis], found.probabilities[:, ::-1] * 0.5, found.probabilities))

    with pytest.raises(ParityError, match=name):
        check_parity(
            expect(replace(REFERENCE, answer=lambda images: Answers(by_colour(images)[0])), pictures),
            replace(REFERENCE, answer=answer),
            what="m.onnx",
        )


def test_no_number_is_the_largest_difference(pictures: list[Picture]) -> None:
    with pytest.raises(ParityError, match=r"max \|Δp\| 1 "):
        check(pictures, lambda pixels: Answers(by_colour(pixels)[0] * np.float32("nan"), by_colour(pixels)[1]))


def test_a_batch_of_one_in_disguise_is_refused(pictures: list[Picture]) -> None:
    def first_alone(pixels: Pixels) -> Answers:
        return by_colour(np.repeat(pixels[:1], len(pixels), axis=0))

    def fails(pixels: Pixels) -> Answers:
        if len(pixels) > 1:
            raise RuntimeError("Got: 2 Expected: 1")
        return by_colour(pixels)

    with pytest.raises(ParityError, match="does not equal"):
        check(pictures, first_alone)
    with pytest.raises(ParityError, match="cannot run batches of 2: Got: 2"):
        check(pictures, fails)


def test_two_labels_that_the_checkpoint_itself_ranks_equal_are_no_disagreement(pictures: list[Picture]) -> None:
    def tie(pixels: Pixels, lean: float = 0.0) -> Answers:
        row = np.array([0.45 + lean, 0.45 - lean, 0.1], np.float32)
        return Answers(np.repeat(row[np.newaxis], len(pixels), axis=0))

    expected = expect(replace(REFERENCE, answer=lambda pixels: tie(pixels, 2e-5)), pictures)
    found = check_parity(expected, replace(REFERENCE, answer=lambda pixels: tie(pixels, -2e-5)), what="m.onnx")
    assert found.top1_agreement == 1
    decided = expect(replace(REFERENCE, answer=lambda pixels: tie(pixels, 1e-3)), pictures)
    with pytest.raises(ParityError, match=r"top-1 agreement 0\.0%"):
        check_parity(decided, replace(REFERENCE, answer=lambda pixels: tie(pixels, -1e-3)), what="m.onnx")


def test_a_temperature_does_not_hide_a_difference(pictures: list[Picture]) -> None:
    def flat(pixels: Pixels, wrong: float = 0.0) -> Answers:
        powers = by_colour(pixels, wrong=wrong).probabilities.astype(np.float64) ** (1 / 20)
        return Answers((powers / powers.sum(1, keepdims=True)).astype(np.float32))

    expected = expect(replace(REFERENCE, answer=flat), pictures)
    candidate = replace(REFERENCE, answer=lambda pixels: flat(pixels, 0.004))
    assert check_parity(expected, candidate, what="m.onnx").max_difference < 1e-4
    with pytest.raises(ParityError, match="does not equal"):
        check_parity(expected, candidate, what="m.onnx", temperature=20)


@pytest.mark.parametrize(
    "other",
    [
        replace(CONTRACT, resize_px=32),
        replace(CONTRACT, interpolation="bicubic"),
        # These pictures have no transparency and no large JPEG among them: the contract alone tells.
        replace(CONTRACT, background=(0, 0, 0)),
        replace(CONTRACT, jpeg_draft=False),
    ],
)
def test_another_preprocessing_on_the_card_is_refused(pictures: list[Picture], other: Preprocessing) -> None:
    with pytest.raises(ParityError, match=r"m\.onnx (does not equal|states another preprocessing)"):
        check_parity(expect(REFERENCE, pictures), replace(REFERENCE, preprocessing=other), what="m.onnx")


def test_other_labels_are_refused(pictures: list[Picture]) -> None:
    with pytest.raises(ParityError, match="other labels"):
        check_parity(expect(REFERENCE, pictures), replace(REFERENCE, labels=("green", "red", "blue")), what="m.onnx")


def test_a_wrong_or_missing_embedding_is_refused(pictures: list[Picture]) -> None:
    with pytest.raises(ParityError, match="lacks the embedding"):
        check(pictures, lambda pixels: Answers(by_colour(pixels).probabilities))
    with pytest.raises(ParityError, match="embedding 0"):
        check(pictures, lambda pixels: Answers(by_colour(pixels)[0], by_colour(pixels)[1] * np.float32(1.01)))


def test_without_a_tolerance_differences_are_reported_and_not_refused(pictures: list[Picture]) -> None:
    found = check(pictures, lambda pixels: by_colour(pixels, wrong=1.0), tolerance=None)
    assert found.holds and found.max_difference > 0.1 and found.to_json()["tolerance"] is None


def test_the_hostile_pictures_are_what_they_are_called() -> None:
    made = {picture.name: picture.source for picture in hostile_pictures(CONTRACT)}
    sizes = {name: image.size for name, image in made.items() if isinstance(image, Image.Image)}
    assert tuple(made) == HOSTILE
    assert sizes["1×1"] == (1, 1) and sizes["8000×10"] == (8000, 10)
    black, white, noise = (CONTRACT(made[name]) for name in ("all black", "all white", "noise"))
    assert black.max() == 0 and white.min() == 255 and noise.std() > 20


@pytest.mark.parametrize(("count", "wanted"), [(5, 5), (100, 10), (10, 10), (1, 1)])
def test_a_spread_takes_evenly_from_all_classes(count: int, wanted: int) -> None:
    samples = [Sample(f"{index}.png", index // 5) for index in range(10)]
    found = spread(samples, count)
    assert len(found) == len(set(found)) == wanted
    if wanted > 1:
        assert {sample.label for sample in found} == {0, 1}
