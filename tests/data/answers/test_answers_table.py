"""Answers as a list that can be labelled: what it says, what a manifest makes of it, what it may replace."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from edge_data import AnswersTable, check_answers_target
from edge_runtime import DataError, OutputError, Prediction, UsageError, find_all_images, scan

LABELS = ("ant", "=bee", "wasp")
HEAD = ["path", "label", "answer", "probability", "margin", "entropy", "error"]
NAMES = ("a/1.jpg", "-c/=cmd.jpg", '-c/q"uo\nte.jpg', "a/re\rturn.jpg", "'=d.jpg", " é/a\\b .jpg")


def answer(*shares: float) -> Prediction:
    return Prediction("x", LABELS, np.array(shares, np.float32))


def write(target: Path, *names: str | Path, ranks: int = 2) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8", newline="") as file:
        table = AnswersTable(file, target.parent, ranks)
        for name in names:
            table.write(str(name), answer(0.25, 0.75, 0), "=bee")
    return target


def rows(target: Path) -> list[dict[str, str]]:
    with target.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_has_the_answer_and_how_sure_it_is_but_no_label(tmp_path: Path) -> None:
    target = tmp_path / "answers.csv"
    with target.open("w", newline="") as file:
        table = AnswersTable(file, tmp_path, 3)
        table.write(str(tmp_path / "x.jpg"), answer(0.25, 0.75, 0), "")
        table.fail(str(tmp_path / "y.jpg"), "=broken\nfile")
        table.write(str(tmp_path / "z.jpg"), answer(0, 1, 0), "=bee")
    first, second, third = rows(target)
    assert list(first) == [*HEAD, "label_1", "probability_1", "label_2", "probability_2", "label_3", "probability_3"]
    assert (first["path"], first["label"], first["answer"], first["error"]) == ("x.jpg", "", "", "")
    assert [float(first[name]) for name in HEAD[3:6]] == pytest.approx([0.75, 0.5, 0.562335], abs=1e-6)
    assert [first[f"label_{rank}"] for rank in (1, 2, 3)] == ["'=bee", "ant", "wasp"]
    assert [*second.values()][:7] == ["y.jpg", "", "", "", "", "", r"'=broken\nfile"] and not any(
        [*second.values()][7:]
    )
    assert third["entropy"] == "0.000000"


@pytest.mark.parametrize("place", ["here.csv", "photos/inside.csv", "else/where/list.csv"])
@pytest.mark.parametrize("absolute", [True, False])
def test_a_manifest_finds_the_pictures_again_and_names_that_none_has_a_label(
    tmp_path: Path, place: str, absolute: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [(tmp_path if absolute else Path()) / "photos" / name for name in NAMES]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    target = write(Path(place), *paths)
    assert find_all_images([target]) == [tmp_path / "photos" / name for name in NAMES]
    assert all(not os.path.isabs(row["path"]) for row in rows(target))  # noqa: PTH117
    with pytest.raises(DataError, match=rf"{target.name}: none of its 6 rows has a label"):
        scan(target)


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not valid UTF-8"):
        write(tmp_path / "answers.csv", os.fsdecode(b"\xff.jpg"))


def test_only_answers_that_nobody_has_labelled_are_replaced(tmp_path: Path) -> None:
    check_answers_target(tmp_path / "new.CSV")
    for ranks in (0, 3):
        check_answers_target(write(tmp_path / "ours.csv", "x.jpg", ranks=ranks))
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "empty.csv").touch()
    (tmp_path / "bytes.csv").write_bytes(b"\xff\0")
    (tmp_path / "theirs.csv").write_text("path,label\nx.jpg,\n")
    (tmp_path / "more.csv").write_text(",".join([*HEAD, "note"]))
    (tmp_path / "dangling.csv").symlink_to(tmp_path / "gone")
    worked_on = write(tmp_path / "labels.csv", "x.jpg", "y.jpg")
    worked_on.write_text(worked_on.read_text().replace("y.jpg,,", "y.jpg,ant,"))
    for name, why in {
        "folder.csv": "no file",
        "dangling.csv": "no file",
        "empty.csv": "no table of answers",
        "bytes.csv": "no table of answers",
        "theirs.csv": "no table of answers",
        "more.csv": "no table of answers",
        "labels.csv": "with 1 labels that somebody gave",
        "x.parquet": "answers are a CSV file",
    }.items():
        with pytest.raises(UsageError, match=why):
            check_answers_target(tmp_path / name)
    with pytest.raises(OutputError, match="is not a folder"):
        check_answers_target(tmp_path / "gone/x.csv")
