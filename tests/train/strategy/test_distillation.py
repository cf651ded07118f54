"""Distillation: who may teach, and that the student learns what it is taught."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from drawn_targets import draw_labels  # noqa: E402
from edge_data import Splits, write_split  # noqa: E402
from edge_runtime import (  # noqa: E402
    CheckpointError,
    ClassFolders,
    ModelCard,
    Preprocessing,
    Run,
    Sample,
    Silence,
    UsageError,
)
from edge_train import Network, TrainSettings, load_checkpoint, train  # noqa: E402
from edge_train.run.feature_extraction import embed  # noqa: E402
from edge_train.run.prepare import prepare  # noqa: E402
from edge_train.run.step import Learning, train_epoch  # noqa: E402
from edge_train.strategy.distillation import Teacher  # noqa: E402
from edge_train.strategy.learning_rate import Schedule  # noqa: E402
from edge_train.strategy.loss import Distillation, Objective  # noqa: E402
from edge_train.strategy.seen_images import require_unseen  # noqa: E402
from quick_training import SMALL, Ear, equal, quick_settings, weights  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def teacher(few_shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run at 48 pixels, larger than its students'."""
    return train(
        quick_settings(few_shapes, tmp_path_factory.mktemp("teacher"), backbone=SMALL, image_size=48, epochs=1)
    ).run


@pytest.fixture(scope="module")
def flat(few_shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders without splits, which a seed deals out."""
    return Path(shutil.copytree(few_shapes / "train", tmp_path_factory.mktemp("flat") / "shapes"))


def student(data: Path, out: Path, teacher: Run, **others: Any) -> TrainSettings:
    return quick_settings(data, out, backbone=SMALL, teacher=str(teacher.path), **others)


def test_a_student_trains_with_a_teacher_of_another_size_which_stays_as_it_is(
    few_shapes: Path, tmp_path: Path, teacher: Run
) -> None:
    before = teacher.best.read_bytes()
    taught = train(student(few_shapes, tmp_path / "taught", teacher)).run
    alone = train(quick_settings(few_shapes, tmp_path / "alone", backbone=SMALL)).run
    assert not equal(weights(taught), weights(alone))
    assert teacher.best.read_bytes() == before
    # A teacher without a share changes nothing.
    silent = train(student(few_shapes, tmp_path / "silent", teacher, teacher_weight=0)).run
    one, two = weights(silent), weights(alone)
    for key in one:
        torch.testing.assert_close(one[key], two[key], rtol=1e-4, atol=1e-6)


def test_the_teacher_answers_the_students_images_at_its_own_size(
    few_shapes: Path, tmp_path: Path, teacher: Run
) -> None:
    job = prepare(student(few_shapes, tmp_path, teacher), Silence())
    assert job.teacher is not None and job.teacher.size_px == (48, 48)
    network = load_checkpoint(teacher.best).build()
    plain = torch.tensor([[200, 30, 60], [10, 250, 90]], dtype=torch.uint8)[:, None, None, :]
    with torch.no_grad():
        expected = network(plain.expand(2, 48, 48, 3))
    for side in (48, 32, 64):
        torch.testing.assert_close(job.teacher.logits(plain.expand(2, side, side, 3)), expected, rtol=1e-4, atol=1e-4)
    assert not any(parameter.requires_grad for parameter in job.teacher.network.parameters())


def test_embeddings_come_with_the_teachers_answers(
    few_shapes: Path, small_weights: Path, tmp_path: Path, teacher: Run
) -> None:
    given = {"strategy": "feature-extraction", "weights": str(small_weights), "augment": "standard"}
    job = prepare(student(few_shapes, tmp_path, teacher, **given), Silence())
    embeddings = embed(job, 2)
    assert job.teacher is not None and embeddings.teacher is not None
    assert embeddings.teacher.shape == (2, 24, 3)
    pixels = torch.stack([torch.from_numpy(job.store.pixels(sample)) for sample in job.splits.train])
    torch.testing.assert_close(embeddings.teacher[0], job.teacher.logits(pixels), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(embeddings.teacher[1], embeddings.teacher[0], rtol=1e-3, atol=1e-3)
    rows = {row.numpy().tobytes(): place for place, row in enumerate(embeddings.train.flatten(0, 1))}
    for vectors, _, answers in embeddings.batches(job, 1):
        places = [rows[row.numpy().tobytes()] for row in vectors]
        assert torch.equal(answers, embeddings.teacher.flatten(0, 1)[places])


def test_a_teacher_of_several_labels_a_picture_is_refused_though_its_labels_are_the_same(
    few_shapes: Path, tmp_path: Path
) -> None:
    several = draw_labels(tmp_path / "labels", 40)
    teacher = train(quick_settings(several, tmp_path / "teacher", backbone=SMALL, multi_label=True, epochs=1))
    assert teacher.card.labels == ("circle", "square", "triangle")
    with pytest.raises(UsageError, match="is a multi-label run, the data is single-label"):
        train(student(few_shapes, tmp_path / "runs", teacher.run))


def test_a_teacher_of_other_classes_is_refused(few_shapes: Path, tmp_path: Path, teacher: Run) -> None:
    other = Path(shutil.copytree(few_shapes, tmp_path / "other"))
    for name in ("train", "val", "test"):
        (other / name / "circle").rename(other / name / "disc")
    with pytest.raises(UsageError, match="tells circle, square, triangle apart, the data has disc, square, triangle"):
        train(student(other, tmp_path / "runs", teacher))
    assert not list((tmp_path / "runs").glob("*"))


def test_a_teacher_that_learned_what_the_student_is_measured_on_is_refused(flat: Path, tmp_path: Path) -> None:
    teacher = train(quick_settings(flat, tmp_path / "teacher", backbone=SMALL, seed=3, epochs=1)).run
    with pytest.raises(UsageError, match=r"was trained on \d+ of the images this run is measured on") as caught:
        train(student(flat, tmp_path / "runs", teacher, seed=4))
    assert "`seed` 3" in caught.value.hint
    train(student(flat, tmp_path / "runs", teacher, seed=3, epochs=1))


def test_a_group_on_both_sides_of_a_found_split_teaches_nothing_new(tmp_path: Path) -> None:
    run, labels = Run(tmp_path), ("a", "b")
    run.config.write_text("{}")
    folders = ClassFolders(tmp_path, labels, {}, (), "sha256:these")
    card = ModelCard(
        labels=labels,
        preprocessing=Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear"),
        backbone="resnet18",
        strategy="scratch",
        data={"fingerprint": folders.fingerprint},
    )
    groups = {"1.jpg": "p1", "2.jpg": "p1", "3.jpg": "p2", "4.jpg": "p2"}
    one, two, three, four = (Sample(path, number % 2) for number, path in enumerate(groups))
    found = Splits((one, three), (two, four), (), "as found", groups=groups)
    write_split(run.split, found, labels)
    require_unseen(run, card, folders, found, role="teacher")
    # This run has not seen the second group, its teacher has.
    with pytest.raises(UsageError, match="was trained on 1 of the images"):
        require_unseen(run, card, folders, replace(found, train=(one,)), role="teacher")


def test_a_folder_that_is_no_finished_run_cannot_teach(few_shapes: Path, tmp_path: Path, teacher: Run) -> None:
    with pytest.raises((UsageError, CheckpointError)):
        train(quick_settings(few_shapes, tmp_path / "runs", teacher=str(tmp_path / "nowhere")))
    copy = Run(Path(shutil.copytree(teacher.path, tmp_path / "copy")))
    copy.best.unlink()
    with pytest.raises(CheckpointError, match=r"best\.pt"):
        train(student(few_shapes, tmp_path / "runs", copy))


def linear(seed: int) -> Network:
    torch.manual_seed(seed)
    return Network(nn.Sequential(nn.Flatten(), nn.Linear(4 * 4 * 3, 3)), mean=(0.5,) * 3, std=(0.2,) * 3)


@pytest.mark.parametrize("weight", [1.0, 0.0])
def test_a_student_imitates_its_teacher_whatever_the_labels_say(weight: float) -> None:
    teacher = Teacher(linear(1).requires_grad_(False), (4, 4), CPU, "fp32")
    draw = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (300, 4, 4, 3), dtype=torch.uint8, generator=draw)
    right = teacher.logits(images).argmax(dim=1)
    wrong = (right + 1) % 3
    made = linear(8)
    optimizer = torch.optim.Adam([{"params": list(made.parameters()), "lr": 0.01, "rate": 0.01}])
    learning = Learning(
        made,
        optimizer,
        Schedule("constant", 1000),
        Objective(distillation=Distillation(weight, 2.0)),
        teacher=teacher,
    )
    batches = list(zip(images.split(50), wrong.split(50), strict=True))
    losses = [train_epoch(made, learning, batches, device=CPU).loss for _ in range(40)]
    with torch.no_grad():
        answers = made(images).argmax(dim=1)
    followed, obeyed = float((answers == right).float().mean()), float((answers == wrong).float().mean())
    assert losses[-1] < 0.2 * losses[0]
    assert followed > 0.95 if weight == 1.0 else obeyed > 0.95


def test_what_is_no_run_is_refused_as_a_teacher_before_training(few_shapes: Path, tmp_path: Path) -> None:
    ear = Ear()
    with pytest.raises(UsageError):
        train(quick_settings(few_shapes, tmp_path, teacher=str(tmp_path)), ear)
    assert not any(line.startswith(("run ", "epoch ")) for line in ear.lines)
