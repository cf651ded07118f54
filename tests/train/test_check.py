"""`edge data check`: what would harm training is found and named; what would not is only told; nothing is changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime import DataError
from edge_train import DataReport, check_data


def draw(root: Path, *names: str) -> Path:
    """Pictures no two of which are alike."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(list(name.encode())).integers(0, 256, (9, 9, 3), np.uint8)
        Image.fromarray(noise).save(root / name)
    return root


def copy(root: Path, source: str, *targets: str) -> None:
    for target in targets:
        (root / target).write_bytes((root / source).read_bytes())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    names = [f"{split}/{label}/{n}.png" for split in ("train", "val") for label in ("ant", "bee") for n in range(3)]
    return draw(tmp_path / "data", *names)


def kinds(report: DataReport) -> list[str]:
    return [finding.kind for finding in report.findings]


def test_a_clean_folder_has_nothing_to_say(data: Path) -> None:
    report = check_data(data)
    assert (report.findings, report.harmful, report.images) == ((), False, 12)
    assert report.counts == {"train": {"ant": 3, "bee": 3}, "val": {"ant": 3, "bee": 3}}
    assert (report.root, report.labels) == (data, ("ant", "bee"))


def test_unreadable_images_harm_and_are_named(data: Path) -> None:
    (data / "train/ant/1.png").write_bytes((data / "train/ant/0.png").read_bytes()[:60])
    (data / "val/bee/link.png").symlink_to(data / "gone.png")
    (data / "val/bee/empty.png").touch()
    report = check_data(data)
    assert kinds(report) == ["unreadable"] * 3
    files = [file for finding in report.findings for file in finding.files]
    assert sorted(files) == ["train/ant/1.png", "val/bee/empty.png", "val/bee/link.png"]
    assert report.harmful
    assert all(file in finding.text for finding, file in zip(report.findings, files, strict=True))


def test_one_picture_under_two_labels_harms(data: Path) -> None:
    copy(data, "train/ant/0.png", "train/bee/same.png", "val/bee/same.png")
    (finding,) = check_data(data).findings
    assert (finding.kind, finding.harmful) == ("two-labels", True)
    assert set(finding.files) == {"train/ant/0.png", "train/bee/same.png", "val/bee/same.png"}
    assert "ant and bee" in finding.text


def test_one_picture_in_two_splits_harms(data: Path) -> None:
    copy(data, "train/ant/0.png", "val/ant/same.png")
    (finding,) = check_data(data).findings
    assert (finding.kind, finding.harmful) == ("two-splits", True)
    assert "train and val" in finding.text


def test_copies_within_a_class_are_told_and_do_no_harm(data: Path) -> None:
    copy(data, "train/ant/0.png", "train/ant/again.png", "train/ant/and again.png")
    report = check_data(data)
    (finding,) = report.findings
    assert (finding.kind, finding.harmful, len(finding.files)) == ("copies", False, 3)
    assert not report.harmful


def test_unreadable_files_are_no_copies_of_each_other(data: Path) -> None:
    (data / "train/ant/a.png").touch()
    (data / "train/bee/a.png").touch()
    assert kinds(check_data(data)) == ["unreadable", "unreadable"]


@pytest.mark.parametrize(("ants", "told"), [(21, True), (20, False)])
def test_imbalance_is_told_from_ten_to_one(tmp_path: Path, ants: int, told: bool) -> None:
    data = draw(tmp_path, *(f"ant/{n}.png" for n in range(ants)), "bee/1.png", "bee/2.png")
    report = check_data(data)
    assert kinds(report) == (["imbalance"] if told else [])
    assert not report.harmful
    if told:
        assert "ant has 21" in report.findings[0].text and "bee only 2" in report.findings[0].text


def test_what_the_listing_left_out_is_told(data: Path) -> None:
    (data / "train/ant/notes.txt").write_text("x", encoding="utf-8")
    report = check_data(data)
    assert kinds(report) == ["note"] and "notes.txt" in report.findings[0].text
    assert not report.harmful


def test_a_layout_training_cannot_use_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="empty"):
        check_data(tmp_path)


def test_the_report_is_one_json_document(data: Path) -> None:
    copy(data, "train/ant/0.png", "val/bee/same.png")
    value = json.loads(json.dumps(check_data(data).to_json(), allow_nan=False))
    assert (value["harmful"], value["images"], value["labels"]) == (True, 13, ["ant", "bee"])
    assert value["counts"]["val"] == {"ant": 3, "bee": 4}
    (finding,) = value["findings"]
    assert (finding["kind"], finding["harmful"]) == ("two-labels", True)
    assert sorted(finding["files"]) == ["train/ant/0.png", "val/bee/same.png"]


def test_every_image_is_counted_off_and_nothing_is_changed(data: Path) -> None:
    class Counter:
        total = done = 0
        ended = False

        def say(self, text: str) -> None:
            raise AssertionError(text)

        def begin(self, task: str, total: int, unit: str = "images") -> None:
            del task, unit
            self.total = total

        def advance(self, count: int = 1) -> None:
            self.done += count

        def end(self) -> None:
            self.ended = True

    (data / "train/ant/1.png").touch()
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    counter = Counter()
    check_data(data, counter)
    assert (counter.total, counter.done, counter.ended) == (12, 12, True)
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before
