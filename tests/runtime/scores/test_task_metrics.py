"""Figures of several tasks: each task's own, on the images that have its label."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge_runtime import measure
from edge_runtime.model.task import Task, task_slices
from edge_runtime.scores.task_metrics import measure_tasks

TASKS = (Task("species", ("ant", "bee", "fly")), Task("age", ("old", "young")), Task("sex", ("f", "m")))
TRUTH = np.array([[0, 1, -1], [1, -1, -1], [2, 0, -1], [0, 0, -1]])
ANSWERS = np.array(
    [
        [0.8, 0.1, 0.1, 0.4, 0.6, 0.5, 0.5],
        [0.5, 0.3, 0.2, 0.9, 0.1, 0.5, 0.5],
        [0.1, 0.1, 0.8, 0.7, 0.3, 0.5, 0.5],
        [0.6, 0.2, 0.2, 0.2, 0.8, 0.5, 0.5],
    ],
    np.float32,
)


def test_each_task_is_measured_on_the_images_that_have_its_label() -> None:
    found = measure_tasks(TASKS, TRUTH, ANSWERS)
    species, age = found.tasks["species"], found.tasks["age"]
    assert species is not None and age is not None and found.tasks["sex"] is None
    assert (species.n, species.correct, age.n, age.correct) == (4, 3, 3, 2)
    seen = TRUTH[:, 1] >= 0
    alone = measure(("old", "young"), TRUTH[seen, 1], ANSWERS[seen, 3:5])
    assert age.to_json() == alone.to_json()
    assert found.mean_accuracy == pytest.approx((3 / 4 + 2 / 3) / 2)
    value = json.loads(json.dumps(found.to_json()))
    assert (value["n"], value["tasks"]["species"]["n"], value["tasks"]["age"]["n"]) == (4, 4, 3)
    assert value["tasks"]["sex"] == {"n": 0} == found.on_card()["tasks"]["sex"]
    assert "confusion" in value["tasks"]["age"] and "confusion" not in found.on_card()["tasks"]["age"]


def test_slices_follow_one_another() -> None:
    assert [(task.name, part) for task, part in task_slices(TASKS)] == [
        ("species", slice(0, 3)),
        ("age", slice(3, 5)),
        ("sex", slice(5, 7)),
    ]


def test_shapes_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ValueError, match="3 tasks"):
        measure_tasks(TASKS, TRUTH[:, :2], ANSWERS)
    with pytest.raises(ValueError, match="probabilities"):
        measure_tasks(TASKS, TRUTH, ANSWERS[:, :6])
