"""`edge data check` of pictures of several labels, or of several tasks: counted and contradicted by question."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_data import DataReport, check_data
from edge_runtime import UsageError


def listed(folder: Path, header: str, *rows: str) -> Path:
    """A list whose first cells are names of pictures in its folder; `A=B` is the picture B once more, named A."""
    lines = [header]
    for row in rows:
        name, _, rest = row.partition(",")
        name, _, source = name.partition("=")
        if source:
            shutil.copy(folder / source, folder / name)
        else:
            noise = np.random.default_rng(list(name.encode())).integers(0, 256, (6, 6, 3), np.uint8)
            Image.fromarray(noise).resize((48, 40), Image.Resampling.NEAREST).save(folder / name)
        lines.append(f"{name},{rest}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "list.csv"


def said(report: DataReport, kind: str) -> list[str]:
    return [finding.text for finding in report.findings if finding.kind == kind]


def test_each_label_of_a_picture_counts_and_a_picture_once(tmp_path: Path) -> None:
    rows = ("1.png,cat|dog", "2.png,cat", "3.png,", "4.png,dog|cat", "5.png,dog")
    report = check_data(listed(tmp_path, "path,label", *rows), multi_label=True)
    assert (report.labels, report.counts, report.images) == (("cat", "dog"), {"all": {"cat": 3, "dog": 3}}, 5)
    assert not report.harmful
    # Without the flag each cell is one class, and a note says so.
    assert "cat|dog" in check_data(tmp_path / "list.csv").labels


def test_a_copy_with_other_labels_harms_and_one_with_the_same_does_not(tmp_path: Path) -> None:
    rows = ("1.png,cat|dog", "2.png=1.png,dog|cat", "3.png,cat", "4.png=3.png,", "5.png,dog", "6.png,cat|dog")
    report = check_data(listed(tmp_path, "path,label", *rows), multi_label=True)
    assert said(report, "two-labels") == ["one picture under cat and no label: 3.png, 4.png"]
    assert said(report, "copies") == ["exact copies: 1.png, 2.png"]


def test_tasks_are_told_apart_and_a_missing_label_contradicts_nothing(tmp_path: Path) -> None:
    rows = [f"{n}.png,{('ant', 'bee')[n % 2]},{('old', 'young')[n > 0]}" for n in range(40)]
    more = ("a.png,ant,", "b.png=a.png,ant,old", "c.png=5.png,ant,young")
    report = check_data(listed(tmp_path, "path,species,age", *rows, *more), tasks=("species", "age"))
    assert report.counts["all"] == {"species: ant": 23, "species: bee": 20, "age: old": 2, "age: young": 40}
    assert report.images == 43
    assert said(report, "two-labels") == ["one picture under species: ant and species: bee: 5.png, c.png"]
    assert said(report, "copies") == ["exact copies: a.png, b.png"]
    # Within its task, not beside the 23 ants.
    assert said(report, "imbalance") == [
        "age: young has 40 images, age: old only 2: a model may ignore age: old and still look accurate"
    ]


def test_labels_are_read_in_one_way(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="in two ways"):
        check_data(tmp_path, multi_label=True, tasks=("a", "b"))
