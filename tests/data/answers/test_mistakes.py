"""What is answered otherwise than it is labelled, as a list: in which order, by which rule, with what beside it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_data import EvaluationData, choose_evaluation, columns_of, write_mistakes
from edge_data.answers.further_columns import FurtherColumns
from edge_data.answers.mistakes import COLUMNS
from edge_runtime import (
    Evaluation,
    ModelCard,
    OperatingPoint,
    Prediction,
    Preprocessing,
    Sample,
    choose_answers,
    find_all_images,
    measure,
    scan,
)

CARD = ModelCard(
    labels=("=ill", "well"),
    preprocessing=Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear"),
    backbone="tiny",
    strategy="scratch",
)
POINT = OperatingPoint("=ill", 0.25, 0.95, 10, 5)


def answered(samples: Sequence[Sample], *shares: float) -> Evaluation:
    """The evaluation of `samples` whose probabilities of the first class are `shares`."""
    first = np.array(shares, np.float32)
    rows = np.stack([first, 1 - first], axis=1)
    truth = np.array([sample.label for sample in samples], np.int64)
    return Evaluation(measure(CARD.labels, truth, rows), (), tuple(samples), rows)


def lines(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return [" ".join(row) for row in csv.reader(file)]


def chosen_of(root: Path, samples: Sequence[Sample]) -> EvaluationData:
    return EvaluationData(root, tuple(samples), "all", "drawn")


def test_the_surest_mistake_comes_first_with_both_probabilities(tmp_path: Path) -> None:
    samples = [Sample("a/1.jpg", 0), Sample("a/2.jpg", 0), Sample("-b/3.jpg", 1), Sample("b/4.jpg", 1)]
    found = answered(samples, 0.4, 0.9, 0.875, 0.25)
    (tmp_path / "lists").mkdir()
    target = tmp_path / "lists/m.csv"
    assert write_mistakes(target, chosen_of(tmp_path, samples), found, CARD) == (2, [])
    assert lines(target) == [
        "path label answer probability label_probability",
        "../-b/3.jpg well '=ill 0.875000 0.125000",
        "../a/1.jpg '=ill well 0.600000 0.400000",
    ]
    by_rule = tmp_path / "rule.tsv"
    assert write_mistakes(by_rule, chosen_of(tmp_path, samples), found, replace(CARD, operating_point=POINT)) == (2, [])
    assert by_rule.read_text().splitlines()[1:] == [
        "'-b/3.jpg\twell\t'=ill\t0.875000\t0.125000",
        "b/4.jpg\twell\t'=ill\t0.250000\t0.750000",
    ]


def test_answers_are_those_of_single_predictions() -> None:
    rows = np.array([[0.1, 0.9], [0.25, 0.75], [np.nextafter(np.float32(0.25), 0), 0.75], [0.9, 0.1]], np.float32)
    for point in (None, POINT, replace(POINT, positive="well")):
        said = [CARD.labels[answer] for answer in choose_answers(CARD.labels, rows, point)]
        assert said == [Prediction("x", CARD.labels, row, point).label for row in rows]


def test_splits_and_groups_of_the_data_are_kept_and_it_is_a_manifest(tmp_path: Path) -> None:
    said = ["'=ill,train,", "well,train,7", "'=ill,val,", "well,val,=8", "well,test,9"]
    for number in range(len(said)):
        (tmp_path / f"{number}.jpg").touch()
    listed = "".join(f"{number}.jpg,{row}\n" for number, row in enumerate(said))
    (tmp_path / "data.csv").write_text(f"path,label,split,group\n{listed}")
    for wanted, expected in ((None, ["test 9"]), ("all", ["train ", "train 7", "val ", "val '=8", "test 9"])):
        chosen = choose_evaluation(CARD, None, tmp_path / "data.csv", wanted)
        wrong = answered(chosen.samples, *(float(sample.label) for sample in chosen.samples))
        target = tmp_path / f"{wanted}.csv"
        assert write_mistakes(target, chosen, wrong, CARD) == (len(expected), [])
        head, *rows = lines(target)
        assert head == "path label answer probability label_probability split group"
        assert sorted(row.split(" ", 5)[5] for row in rows) == sorted(expected)
        assert len(find_all_images([target])) == len(expected)
    assert scan(tmp_path / "all.csv").groups == scan(tmp_path / "data.csv").groups
    flat = tmp_path / "flat.csv"
    flat.write_text("path,label\n0.jpg,'=ill\n1.jpg,well\n")
    chosen = choose_evaluation(CARD, None, flat, None)
    assert write_mistakes(tmp_path / "none.csv", chosen, answered(chosen.samples, 1, 0), CARD) == (0, [])
    assert lines(tmp_path / "none.csv") == ["path label answer probability label_probability"]


def test_a_name_that_no_list_can_hold_is_left_out(tmp_path: Path) -> None:
    samples = [Sample("\udcff.jpg", 1), Sample("b.jpg", 1)]
    chosen, target = chosen_of(tmp_path, samples), tmp_path / "m.csv"
    assert write_mistakes(target, chosen, answered(samples, 1, 0.9), CARD) == (1, ["\udcff.jpg"])
    assert [row.split()[0] for row in lines(target)] == ["path", "b.jpg"]


def test_a_manifests_further_columns_follow_as_they_stand(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.jpg").touch()
    table = tmp_path / "data.csv"
    rows = '0.jpg,\'=ill,"=1+1",Anna,1\n1.jpg,well,"a, b",,2\n2.jpg,well,c,Bo,3\n'
    table.write_text(f"path,label,note,seen by,Probability\n{rows}")
    chosen = choose_evaluation(CARD, None, table, None)
    wrong = answered(chosen.samples[:2], 0, 1)
    target = tmp_path / "deeper" / "m.csv"
    target.parent.mkdir()
    assert write_mistakes(target, chosen, wrong, CARD, columns_of([table])) == (2, [])
    with target.open(encoding="utf-8", newline="") as file:
        head, *found = csv.reader(file)
    # What is named like a column of the list itself is left out.
    assert head == [*COLUMNS, "note", "seen by"]
    assert sorted((row[0], *row[5:]) for row in found) == [("../0.jpg", "=1+1", "Anna"), ("../1.jpg", "a, b", "")]
    assert columns_of([table, table]) is None and columns_of([tmp_path]) is None
    tasks = tmp_path / "tasks.csv"
    tasks.write_text("path,kind,colour,note\n0.jpg,rose,red,old\n1.jpg,,,new\n2.jpg,,blue,dry\n")
    found_more = columns_of([tasks], ["kind", "colour"])
    assert found_more is not None and len(found_more.cells) == 2
    assert FurtherColumns(chosen, ["kind", "colour"], found_more).names == ["note"]
    # A run names its data without links, and the list may be named through one.
    (tmp_path / "linked").symlink_to(".")
    others = columns_of([tmp_path / "linked/data.csv"])
    assert FurtherColumns(chosen, COLUMNS, others).cells("0.jpg") == ["=1+1", "Anna"]
    # An image that the manifest no longer names.
    table.write_text("path,label,note\n2.jpg,well,c\n")
    assert write_mistakes(tmp_path / "n.csv", chosen, wrong, CARD, columns_of([table])) == (2, [])
    assert {line.rpartition(",")[2] for line in (tmp_path / "n.csv").read_text().splitlines()} == {"note", ""}
