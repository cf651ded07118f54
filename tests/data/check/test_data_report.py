"""`edge data check`: what would harm training is found and named; what would not is only told; nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_data import DataReport, check_data
from edge_data.check.findings import Finding
from edge_runtime import DataError

PER_CLASS = 20


def draw(root: Path, *names: str) -> Path:
    """Pictures no two of which are alike, every class large enough to have nothing said about it."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(list(name.encode())).integers(0, 256, (6, 6, 3), np.uint8)
        Image.fromarray(noise).resize((48, 40), Image.Resampling.NEAREST).save(root / name)
    return root


def copy(root: Path, source: str, *targets: str) -> None:
    for target in targets:
        (root / target).write_bytes((root / source).read_bytes())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    labels = ("ant", "bee")
    names = [f"train/{label}/{n}.png" for label in labels for n in range(PER_CLASS)]
    return draw(tmp_path / "data", *names, *(f"val/{label}/{n}.png" for label in labels for n in range(3)))


def kinds(report: DataReport) -> list[str]:
    return [finding.kind for finding in report.findings]


def only(report: DataReport, kind: str) -> Finding:
    (finding,) = report.findings
    assert finding.kind == kind
    return finding


def test_a_clean_folder_has_nothing_to_say(data: Path) -> None:
    report = check_data(data)
    assert (report.findings, report.harmful, report.images) == ((), False, 46)
    assert report.counts == {"train": {"ant": 20, "bee": 20}, "val": {"ant": 3, "bee": 3}}
    assert (report.root, report.labels) == (data, ("ant", "bee"))


def test_unreadable_images_harm_and_are_named(data: Path) -> None:
    whole = (data / "train/ant/0.png").read_bytes()
    (data / "train/ant/cut.png").write_bytes(whole[: len(whole) // 2])
    (data / "train/bee/noise.jpg").write_bytes(b"\xff\xd8\xff" + bytes(range(256)))
    (data / "val/bee/link.png").symlink_to(data / "gone.png")
    (data / "val/bee/empty.png").touch()
    report = check_data(data)
    assert kinds(report) == ["unreadable"] * 4
    files = [file for finding in report.findings for file in finding.files]
    assert sorted(files) == ["train/ant/cut.png", "train/bee/noise.jpg", "val/bee/empty.png", "val/bee/link.png"]
    assert report.harmful
    assert all(finding.text.startswith(f"{finding.files[0]} ") for finding in report.findings)


def test_a_jpeg_cut_at_any_place_is_found(data: Path) -> None:
    y, x = np.mgrid[:256, :256]
    Image.fromarray(np.stack([x, y, x ^ y], -1).astype(np.uint8)).save(data / "train/ant/whole.jpg", quality=90)
    whole = (data / "train/ant/whole.jpg").read_bytes()
    for percent in (10, 50, 90, 98):
        (data / f"train/ant/cut{percent}.jpg").write_bytes(whole[: len(whole) * percent // 100])
    report = check_data(data)
    unreadable = {file for finding in report.findings for file in finding.files if finding.kind == "unreadable"}
    assert unreadable == {f"train/ant/cut{percent}.jpg" for percent in (10, 50, 90, 98)}


def test_one_picture_under_two_labels_harms(data: Path) -> None:
    copy(data, "train/ant/0.png", "train/bee/same.png", "val/bee/same.png")
    finding = only(check_data(data), "two-labels")
    assert finding.harmful
    assert set(finding.files) == {"train/ant/0.png", "train/bee/same.png", "val/bee/same.png"}
    assert "ant and bee" in finding.text


def test_one_picture_in_two_splits_harms(data: Path) -> None:
    copy(data, "train/ant/0.png", "val/ant/same.png")
    finding = only(check_data(data), "two-splits")
    assert finding.harmful and "train and val" in finding.text


def test_copies_within_a_class_are_told_and_do_no_harm(data: Path) -> None:
    copy(data, "train/ant/0.png", "train/ant/again.png", "train/ant/and again.png")
    report = check_data(data)
    finding = only(report, "copies")
    assert (finding.harmful, len(finding.files)) == (False, 3)
    assert not report.harmful


def test_unreadable_files_are_no_copies_of_each_other(data: Path) -> None:
    (data / "train/ant/a.png").touch()
    (data / "train/bee/a.png").touch()
    assert kinds(check_data(data)) == ["unreadable", "unreadable"]


@pytest.mark.parametrize(
    ("target", "kind", "harmful"),
    [
        ("train/ant/again.jpg", "near-copies", False),
        ("train/bee/again.jpg", "near-two-labels", True),
        ("val/ant/again.jpg", "near-two-splits", True),
    ],
)
def test_a_picture_saved_again_smaller_is_found(data: Path, target: str, kind: str, harmful: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
    large = Image.fromarray(noise).resize((200, 160), Image.Resampling.NEAREST)
    large.save(data / "train/ant/large.png")
    large.resize((150, 120)).save(data / target, quality=70)
    finding = only(check_data(data), kind)
    assert (set(finding.files), finding.harmful) == ({"train/ant/large.png", target}, harmful)


@pytest.mark.parametrize(
    "change", ["another thing in it", "a tiny thing in it", "another colour", "mirrored", "lights on"]
)
def test_pictures_of_one_scene_that_differ_are_not_taken_for_one(data: Path, change: str) -> None:
    noise = np.random.default_rng(0).integers(60, 160, (6, 6, 3), np.uint8)
    scene = np.asarray(Image.fromarray(noise).resize((200, 160), Image.Resampling.NEAREST))
    other = scene.copy()
    if change == "another thing in it":
        other[40:52, 100:112] = 255
    elif change == "a tiny thing in it":
        other[40:45, 100:106] += 80
    elif change == "another colour":
        luma, blue, red = Image.fromarray(scene).convert("YCbCr").split()
        other = np.asarray(Image.merge("YCbCr", (luma, red, blue)).convert("RGB"))
    elif change == "mirrored":
        other = scene[:, ::-1]
    else:
        other = scene + np.uint8(60)
    Image.fromarray(scene).save(data / "train/ant/scene.png")
    Image.fromarray(np.ascontiguousarray(other)).save(data / "train/bee/scene.png")
    assert check_data(data).findings == ()


@pytest.mark.parametrize(("ants", "told"), [(201, True), (200, False)])
def test_imbalance_is_told_from_ten_to_one(tmp_path: Path, ants: int, told: bool) -> None:
    data = draw(tmp_path, *(f"ant/{n}.png" for n in range(ants)), *(f"bee/{n}.png" for n in range(20)))
    report = check_data(data)
    assert kinds(report) == (["imbalance"] if told else [])
    assert not report.harmful
    if told:
        assert "ant has 201" in report.findings[0].text and "bee only 20" in report.findings[0].text


def test_an_empty_training_class_harms_and_the_rest_is_still_checked(data: Path) -> None:
    (data / "train/cat").mkdir()
    (data / "train/ant/0.png").write_bytes(b"")
    report = check_data(data)
    empty = [finding for finding in report.findings if finding.kind == "empty-class"]
    assert [(finding.harmful, "cat" in finding.text) for finding in empty] == [(True, True), (False, True)]
    assert report.counts["train"] == {"ant": 20, "bee": 20, "cat": 0}


def test_an_empty_class_of_flat_folders_harms(tmp_path: Path) -> None:
    names = [f"{label}/{n}.png" for label in ("ant", "bee") for n in range(PER_CLASS)]
    data = draw(tmp_path / "data", *names)
    (data / "cat").mkdir()
    finding = only(check_data(data), "empty-class")
    assert finding.harmful and "cat" in finding.text


def test_a_class_missing_in_val_is_told(data: Path) -> None:
    for path in (data / "val/bee").iterdir():
        path.unlink()
    finding = only(check_data(data), "empty-class")
    assert not finding.harmful and "bee has no images in val" in finding.text


def test_a_class_too_small_to_split_harms_and_copies_do_not_enlarge_it(tmp_path: Path) -> None:
    names = [f"ant/{n}.png" for n in range(PER_CLASS)]
    data = draw(tmp_path / "data", *names, "bee/0.png")
    copy(data, "bee/0.png", "bee/1.png", "bee/2.png")
    (data / "bee/broken.png").touch()
    (small,) = [finding for finding in check_data(data).findings if finding.kind == "too-small"]
    assert small.harmful and "bee has 1 usable image" in small.text


def test_few_images_of_a_class_are_told(data: Path) -> None:
    (data / "train/bee/7.png").unlink()
    finding = only(check_data(data), "few-images")
    assert not finding.harmful and "bee 19" in finding.text and "ant" not in finding.text


def test_what_the_listing_left_out_is_told(data: Path) -> None:
    (data / "train/ant/notes.txt").write_text("x", encoding="utf-8")
    report = check_data(data)
    assert kinds(report) == ["note"] and "notes.txt" in report.findings[0].text
    assert not report.harmful


@pytest.mark.parametrize(
    ("upper", "lower", "kind"),
    [
        (("my_train", "my_test"), ("ant", "bee"), "splits-as-classes"),
        (("ant", "bee"), ("camera-1", "camera-2"), "same-folders"),
    ],
)
def test_class_folders_that_hold_the_same_folders_harm_where_they_are_called_like_splits(
    tmp_path: Path, upper: Sequence[str], lower: Sequence[str], kind: str
) -> None:
    for n, path in enumerate(f"{above}/{below}" for above in upper for below in lower):
        draw(tmp_path, f"{path}/{n}.png")
    (finding,) = check_data(tmp_path).by_kind[kind]
    assert finding.harmful == (kind == "splits-as-classes") and f"holds {lower[0]!r}, {lower[1]!r}" in finding.text


def test_a_layout_training_cannot_use_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="empty"):
        check_data(tmp_path)
    draw(tmp_path, "ant/0.png")
    with pytest.raises(DataError, match="one class folder"):
        check_data(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        check_data(tmp_path / "gone")


def test_the_report_is_one_json_document(data: Path) -> None:
    copy(data, "train/ant/0.png", "val/bee/same.png")
    value = json.loads(json.dumps(check_data(data).to_json(), allow_nan=False))
    assert (value["harmful"], value["images"], value["labels"]) == (True, 47, ["ant", "bee"])
    assert value["counts"]["val"] == {"ant": 3, "bee": 4}
    (finding,) = value["findings"]
    assert (finding["kind"], finding["harmful"]) == ("two-labels", True)
    assert sorted(finding["files"]) == ["train/ant/0.png", "val/bee/same.png"]
    assert value["kinds"]["two-labels"]["files"] == 2
    assert value["sheet"] is None


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
    before = {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in data.rglob("*")}
    counter = Counter()
    check_data(data, counter)
    assert (counter.total, counter.done, counter.ended) == (46, 46, True)
    after = {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in data.rglob("*")}
    assert after == before


def test_flowers_four_pictures_under_two_labels_and_two_copies(flowers: Path) -> None:
    found = check_data(flowers).by_kind
    assert len(found["two-labels"]) == 4 and len(found["copies"]) == 2
    assert all(
        {Path(file).parent.name for file in finding.files} == {"rose", "tulip"} for finding in found["two-labels"]
    )
    assert [kind for kind, findings in found.items() if any(f.harmful for f in findings)] == ["two-labels"]


def test_hymenoptera_the_stray_gif(hymenoptera: Path) -> None:
    report = check_data(hymenoptera)
    (stray,) = report.by_kind["stray-format"]
    assert stray.files == ("train/ants/imageNotFound.gif",)
    assert not report.harmful and not [kind for kind in report.by_kind if "copies" in kind or "two" in kind]


def test_a_manifest_is_checked_as_its_folders_are_and_what_it_does_not_name_is_not_looked_at(data: Path) -> None:
    copy(data, "train/ant/0.png", "train/bee/copy.png", "val/bee/copy.png", "hidden.dat")
    rows = [f"{path.relative_to(data)},{path.parent.name},{path.parent.parent.name}\n" for path in data.rglob("*.png")]
    (data / "labels.csv").write_text("path,label,split\n" + "".join(rows))
    by_list, by_folder = check_data(data / "labels.csv"), check_data(data)
    assert by_list.counts == by_folder.counts
    assert "two-labels" in kinds(by_list) and "hidden-image" in kinds(by_folder)
    assert [f for f in by_folder.findings if f.kind not in ("hidden-image", "note")] == list(by_list.findings)
    assert check_data([data / "labels.csv"], sheet=data / "sheet.png").sheet == data / "sheet.png"
    (data / "labels.csv").write_text("path,label\ngone.png,x\n")
    with pytest.raises(DataError, match=r"labels\.csv, line 2: no file 'gone\.png'"):
        check_data(data / "labels.csv")


def test_several_places_are_checked_as_one_set(data: Path, tmp_path: Path) -> None:
    other = draw(tmp_path / "other", "train/ant/new.png")
    copy(tmp_path, "data/train/bee/0.png", "other/train/ant/same.png")
    report = check_data([data, other])
    assert report.root == tmp_path
    assert report.counts["train"] == {"ant": PER_CLASS + 2, "bee": PER_CLASS}
    assert set(only(report, "two-labels").files) == {"data/train/bee/0.png", "other/train/ant/same.png"}


def test_the_folder_an_image_lies_in_may_name_its_class(data: Path) -> None:
    deep = draw(
        data.parent / "deep",
        *(f"{site}/{label}/{n}.png" for site in "xy" for label in ("ant", "bee") for n in range(20)),
    )
    assert check_data(deep, label_from="parent").counts == {"all": {"ant": 40, "bee": 40}}
