"""Splits of pictures with several labels: each label in proportion, and the same again from the run's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_data.sets.split_file import read_split, write_split
from edge_data.sets.splits import Splits, split, without
from edge_runtime import ClassFolders, DataError, Sample
from edge_runtime.model.card_kind import Kind
from edge_runtime.model.task import Task

LABELS = ("common", "often", "rare", "twin a", "twin b")
TASKS = (Task("size", ("big", "small")), Task("colour", ("blue", "green", "red")))


def folders(samples: list[Sample], kind: Kind = "multi-label") -> ClassFolders:
    tasks = TASKS if kind == "multi-task" else ()
    labels = tuple(label for task in tasks for label in task.card_labels) or LABELS
    return ClassFolders(Path("photos"), labels, {"all": tuple(samples)}, (), "sha256:0", kind=kind, tasks=tasks)


def several(count: int = 400) -> list[Sample]:
    """Labels of 60 %, 30 %, 3 %, and two that always come together; a tenth of the pictures has none."""
    draw = np.random.default_rng(3)
    made = []
    for number in range(count):
        chances = draw.random(4)
        true = [at for at, share in enumerate((0.6, 0.3, 0.03)) if chances[at] < share]
        true += [3, 4] if chances[3] < 0.2 else []
        made.append(Sample(f"{number}.jpg", 0, tuple(true)))
    return made


def shares(made: Splits, place: int) -> list[float]:
    counts = [sum(place in made.true_places(s) for s in part) for part in (made.train, made.val, made.test)]
    return [count / sum(counts) for count in counts]


def test_each_label_is_in_proportion_and_pictures_without_one_are_too() -> None:
    samples = several()
    made = split(folders(samples), seed=0)
    assert sorted(s.path for part in (made.train, made.val, made.test) for s in part) == sorted(s.path for s in samples)
    assert [len(part) for part in (made.train, made.val, made.test)] == pytest.approx([320, 40, 40], abs=4)
    for place in range(len(LABELS)):
        assert shares(made, place) == pytest.approx([0.8, 0.1, 0.1], abs=0.03 if place != 2 else 0.12), LABELS[place]
    none = [sum(not s.targets for s in part) for part in (made.train, made.val, made.test)]
    assert min(none) > 0
    assert made.how == "split 80/10/10 by label with seed 0"


def test_the_seed_alone_decides() -> None:
    samples = several(120)
    assert split(folders(samples), seed=1) == split(folders(samples[::-1]), seed=1)
    assert split(folders(samples), seed=1).val != split(folders(samples), seed=2).val


def test_a_label_of_two_pictures_trains_and_validates() -> None:
    samples = [Sample(f"{n}.jpg", 0, (0,)) for n in range(30)] + [Sample("x.jpg", 0, (2,)), Sample("y.jpg", 0, (0, 2))]
    made = split(folders(samples), seed=0)
    counts = [sum(2 in s.targets for s in part) for part in (made.train, made.val, made.test)]
    assert counts == [1, 1, 0]
    assert made.notes == ("only one training image for 'rare'",)


def test_groups_stay_whole() -> None:
    samples = several(200)
    groups = {sample.path: f"visit {number // 4}" for number, sample in enumerate(samples)}
    made = split(folders(samples), seed=0, groups=groups)
    sides = [{groups[s.path] for s in part} for part in (made.train, made.val, made.test)]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert shares(made, 0) == pytest.approx([0.8, 0.1, 0.1], abs=0.05)


def tasks_set(count: int = 120) -> list[Sample]:
    draw = np.random.default_rng(5)
    return [
        Sample(f"{n}.jpg", 0, (int(draw.integers(2)), int(draw.choice(3, p=(0.8, 0.1, 0.1))) if n % 3 else -1))
        for n in range(count)
    ]


def test_each_label_of_each_task_is_in_proportion_where_it_is_known() -> None:
    made = split(folders(tasks_set(300), "multi-task"), seed=0)
    for place in range(5):
        assert shares(made, place) == pytest.approx([0.8, 0.1, 0.1], abs=0.05)


@pytest.mark.parametrize(("samples", "kind"), [(several(60), "multi-label"), (tasks_set(60), "multi-task")])
def test_the_runs_file_gives_the_split_back(tmp_path: Path, samples: list[Sample], kind: Kind) -> None:
    found = folders(samples, kind)
    made = split(found, seed=0, groups={"1.jpg": "a", "2.jpg": "a"})
    write_split(tmp_path / "split.csv", made, found.labels)
    back = read_split(tmp_path / "split.csv", found.labels)
    assert (back.train, back.val, back.test, back.groups) == (made.train, made.val, made.test, made.groups)
    assert (back.kind, back.tasks) == (kind, found.tasks)
    # The classes of a model may be in another order.
    other = read_split(tmp_path / "split.csv", found.labels[::-1])
    sample = next(s for s in other.train if len(other.true_places(s)) > 1)
    same = next(s for s in made.train if s.path == sample.path)
    assert {found.labels[::-1][at] for at in other.true_places(sample)} == {
        found.labels[at] for at in made.true_places(same)
    }
    with pytest.raises(DataError, match="is not one of the classes"):
        read_split(tmp_path / "split.csv", [f"{label}x" for label in found.labels])


def test_a_limit_says_which_labels_it_leaves_untrained() -> None:
    samples = several(300)
    made = split(folders(samples), seed=0, limit=12)
    assert sum(map(len, (made.train, made.val, made.test))) == 12
    missing = [repr(LABELS[at]) for at in range(5) if not any(at in s.targets for s in made.train)]
    assert missing
    assert made.notes[-1] == f"no training image is left of {', '.join(missing)}"


def test_a_label_whose_training_pictures_are_all_unreadable_is_refused() -> None:
    samples = [Sample(f"{n}.jpg", 0, (n % 2,)) for n in range(20)] + [Sample("x.jpg", 0, (0, 2))]
    made = split(folders(samples), seed=0)
    assert len(without(made, {"0.jpg"}).train) < 21
    with pytest.raises(DataError, match="no readable training image is left"):
        without(made, {"x.jpg"})
