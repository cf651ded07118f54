"""Splits: the proportions a person is promised, the same on every machine, and a file that brings them back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from edge_data.sets.split_file import read_split, write_split
from edge_data.sets.splits import Splits, split, without
from edge_runtime import ClassFolders, DataError, OutputError, Sample, UsageError


def folders(**splits: Sequence[int]) -> ClassFolders:
    """A data folder with the given number of images per class in each split."""
    n_classes = max(len(counts) for counts in splits.values())
    labels = tuple(f"class {label}" for label in range(n_classes))
    samples = {
        name: tuple(
            Sample(f"{'' if name == 'all' else name + '/'}{labels[label]}/{index}.jpg", label)
            for label, count in enumerate(counts)
            for index in range(count)
        )
        for name, counts in splits.items()
    }
    return ClassFolders(Path("data"), labels, samples, (), "sha256:0")


def counts(samples: Sequence[Sample], n_classes: int) -> list[int]:
    found = Counter(sample.label for sample in samples)
    return [found[label] for label in range(n_classes)]


def everything(splits: Splits) -> list[Sample]:
    return [*splits.train, *splits.val, *splits.test]


def test_flat_folders_are_split_80_10_10_in_every_class() -> None:
    made = split(folders(all=[100, 50, 10]), seed=0)
    assert counts(made.train, 3) == [80, 40, 8]
    assert counts(made.val, 3) == [10, 5, 1]
    assert counts(made.test, 3) == [10, 5, 1]
    assert made.how == "split 80/10/10 by class with seed 0"
    assert made.notes == ()


@settings(max_examples=40)
@given(st.lists(st.integers(1, 60), min_size=2, max_size=5), st.integers(0, 99))
def test_flat_splits_lose_nothing_and_share_nothing(sizes: list[int], seed: int) -> None:
    data = folders(all=sizes)
    if max(sizes) == 1:
        with pytest.raises(DataError):
            split(data, seed=seed)
        return
    made = split(data, seed=seed)
    assert sorted(everything(made), key=lambda each: each.path) == sorted(
        data.splits["all"], key=lambda each: each.path
    )
    for label, size in enumerate(sizes):
        shares = [counts(part, len(sizes))[label] for part in (made.train, made.val, made.test)]
        if size >= 3:
            assert min(shares) >= 1
            assert abs(shares[1] - size / 10) <= 1
            assert shares[1] == shares[2]
        else:
            assert shares == [[1, 0, 0], [1, 1, 0]][size - 1]


def test_the_seed_decides_and_the_order_of_the_listing_does_not() -> None:
    data = folders(all=[40, 40])
    shuffled = ClassFolders(data.root, data.labels, {"all": data.splits["all"][::-1]}, (), "")
    assert split(data, seed=3) == split(shuffled, seed=3)
    assert split(data, seed=3).val != split(data, seed=4).val


def test_the_split_is_the_same_on_every_machine_and_in_every_release() -> None:
    made = split(folders(all=[10, 10]), seed=0)
    held = [sample.path for sample in (*made.val, *made.test)]
    assert held == ["class 0/2.jpg", "class 1/2.jpg", "class 0/4.jpg", "class 1/1.jpg"]


def test_a_class_with_a_single_training_image_is_noted_by_name() -> None:
    made = split(folders(all=[10, 1]), seed=0)
    assert made.notes == ("only one training image for 'class 1'",)


def test_found_splits_are_kept_as_they_are() -> None:
    data = folders(train=[5, 5], val=[2, 2], test=[1, 1])
    made = split(data, seed=0)
    assert (made.train, made.val, made.test) == tuple(data.splits[name] for name in ("train", "val", "test"))
    assert made.how == "train/, val/ and test/ as found"
    assert split(folders(train=[5, 5], val=[2, 2]), seed=0).how == "train/ and val/ as found; no test split"


def test_a_tenth_of_train_is_set_aside_where_there_is_no_val() -> None:
    made = split(folders(train=[50, 4, 1], test=[3, 3, 3]), seed=7)
    assert counts(made.train, 3) == [45, 3, 1]
    assert counts(made.val, 3) == [5, 1, 0]
    assert counts(made.test, 3) == [3, 3, 3]
    assert made.how == "10 % of train/ set aside as validation with seed 7; test/ as found"
    assert split(folders(train=[9, 9]), seed=7).how.endswith("; no test split")


def test_a_folder_without_train_cannot_be_trained_on() -> None:
    with pytest.raises(DataError, match="no train"):
        split(folders(test=[3, 3]), seed=0)


def test_a_limit_keeps_splits_and_classes_in_proportion() -> None:
    made = split(folders(train=[800, 400], val=[100, 50], test=[100, 50]), seed=0, limit=150)
    assert counts(made.train, 2) == [80, 40]
    assert counts(made.val, 2) == [10, 5]
    assert counts(made.test, 2) == [10, 5]
    assert made.how.endswith("limited to 150 of 1,500 images")


def test_a_limit_above_all_images_changes_nothing() -> None:
    data = folders(all=[20, 20])
    assert split(data, seed=0, limit=40) == split(data, seed=0)


@settings(max_examples=40)
@given(
    st.lists(st.integers(2, 80), min_size=2, max_size=5),
    st.integers(0, 400),
    st.integers(0, 9),
)
def test_a_limit_is_reached_exactly_and_leaves_every_class_something(sizes: list[int], extra: int, seed: int) -> None:
    limit = 2 * len(sizes) + extra
    made = split(folders(all=sizes), seed=seed, limit=limit)
    assert len(everything(made)) == min(limit, sum(sizes))
    assert min(counts(made.train, len(sizes))) >= 1
    assert min(counts(made.val, len(sizes))) >= 1
    whole = split(folders(all=sizes), seed=seed)
    assert set(made.train) <= set(whole.train), "a limited run must not test on what a full run trains on"
    assert set(made.test) <= set(whole.test)


@pytest.mark.parametrize("limit", [5, 1, 0, -1])
def test_a_limit_below_two_images_a_class_is_refused(limit: int) -> None:
    with pytest.raises(UsageError, match=str(limit)) as caught:
        split(folders(all=[9, 9, 9]), seed=0, limit=limit)
    assert "6 or more" in caught.value.hint


def test_unreadable_images_are_left_out_and_counted() -> None:
    made = split(folders(train=[3, 3], val=[2, 2]), seed=0)
    kept = without(made, ["train/class 0/1.jpg", "val/class 1/0.jpg", "not/there.jpg"])
    assert counts(kept.train, 2) == [2, 3]
    assert counts(kept.val, 2) == [2, 1]
    assert "2 unreadable" in kept.how
    assert without(made, []) == made


def test_a_class_with_no_readable_image_is_named() -> None:
    made = split(folders(train=[3, 1], val=[1, 1]), seed=0)
    with pytest.raises(DataError, match="train/class 1"):
        without(made, ["train/class 1/0.jpg"])
    with pytest.raises(DataError, match="validation"):
        without(made, ["val/class 0/0.jpg", "val/class 1/0.jpg"])


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name not in (".", "..")
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(names=st.sets(NAMES, min_size=3, max_size=9), labels=st.sets(NAMES, min_size=2, max_size=2))
def test_any_file_name_survives_the_file(tmp_path: Path, names: set[str], labels: set[str]) -> None:
    both = sorted(labels)
    samples = [Sample(f"{both[i % 2]}/{name}", i % 2) for i, name in enumerate(sorted(names))]
    made = Splits(tuple(samples[2:]), tuple(samples[1:2]), tuple(samples[:1]), "by hand")
    write_split(tmp_path / "split.csv", made, both)
    back = read_split(tmp_path / "split.csv", both)
    assert (back.train, back.val, back.test) == (made.train, made.val, made.test)


def test_a_file_name_that_is_not_utf8_survives_the_file(tmp_path: Path) -> None:
    made = Splits((Sample("a/\udcff.jpg", 0),), (), (), "by hand")
    write_split(tmp_path / "split.csv", made, ["a"])
    assert b"a/\xff.jpg" in (tmp_path / "split.csv").read_bytes()
    assert read_split(tmp_path / "split.csv", ["a"]).train == made.train


def test_what_a_spreadsheet_would_compute_stays_as_it_is(tmp_path: Path) -> None:
    made = Splits((Sample("=1+1/-a.jpg", 0), Sample("@b/\x1b\t.jpg", 1)), (), (), "by hand")
    write_split(tmp_path / "split.csv", made, ["=1+1", "@b"])
    assert "train,=1+1,=1+1/-a.jpg,\n" in (tmp_path / "split.csv").read_text(encoding="utf-8")
    assert read_split(tmp_path / "split.csv", ["=1+1", "@b"]).train == made.train


def test_the_file_names_classes_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_split(tmp_path / "split.csv", split(folders(train=[1, 1], val=[1, 0]), seed=0), ["ant", "bee"])
    assert (tmp_path / "split.csv").read_text().splitlines() == [
        "split,label,path,group",
        "train,ant,train/class 0/0.jpg,",
        "train,bee,train/class 1/0.jpg,",
        "val,ant,val/class 0/0.jpg,",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["split.csv"]


def test_groups_survive_the_file_and_a_file_without_them_is_read(tmp_path: Path) -> None:
    groups = {f"class {label}/{n}.jpg": f"patient {n // 4}" for label in (0, 1) for n in range(40)}
    made = split(folders(all=[40, 41]), seed=0, groups=groups)
    write_split(tmp_path / "split.csv", made, ["a", "b"])
    back = read_split(tmp_path / "split.csv", ["a", "b"])
    assert (back.train, back.val, back.test, back.groups) == (made.train, made.val, made.test, groups)
    rows = (tmp_path / "split.csv").read_text().splitlines()
    old = "\n".join(row.rpartition(",")[0] for row in rows)
    (tmp_path / "split.csv").write_text(old)
    back = read_split(tmp_path / "split.csv", ["a", "b"])
    assert (back.train, back.val, back.test, back.groups) == (made.train, made.val, made.test, {})


def sides_of(made: Splits, groups: dict[str, str]) -> dict[str, set[str]]:
    """The splits that each group has images in."""
    found: dict[str, set[str]] = {}
    for name in ("train", "val", "test"):
        for sample in getattr(made, name):
            if sample.path in groups:
                found.setdefault(groups[sample.path], set()).add(name)
    return found


@settings(max_examples=40)
@given(st.integers(0, 99), st.integers(8, 300), st.integers(1, 12))
def test_groups_stay_whole_and_a_limit_moves_nothing_across(seed: int, limit: int, size: int) -> None:
    data = folders(all=[90, 60])
    groups = {sample.path: f"g{index // size}" for index, sample in enumerate(data.splits["all"]) if index % 3}
    whole = split(data, seed=seed, groups=groups)
    assert all(len(sides) == 1 for sides in sides_of(whole, groups).values())
    made = split(data, seed=seed, limit=limit, groups=groups)
    assert len(everything(made)) == min(limit, 150)
    for name in ("train", "val", "test"):
        assert set(getattr(made, name)) <= set(getattr(whole, name))
    assert set(made.groups) <= {sample.path for sample in everything(made)}


def test_what_was_kept_together_is_said() -> None:
    data = folders(all=[40, 40])
    groups = {
        "class 0/0.jpg": "x",
        "class 0/1.jpg": "x",
        "class 1/1.jpg": "y",
        "class 1/7.jpg": "y",
        "class 1/9.jpg": "z",
    }
    made = split(data, seed=0, groups=groups)
    assert made.how == "split 80/10/10 by class with seed 0, 4 images kept together in 2 groups"
    assert made.groups == {path: name for path, name in groups.items() if name != "z"}
    assert made.notes == ()
    aside = folders(train=[40, 40], test=[3, 3])
    twins = {f"train/{path}": name for path, name in groups.items()}
    how = "10 % of train/ set aside as validation with seed 0, 4 images kept together in 2 groups; test/ as found"
    assert split(aside, seed=0, groups=twins).how == how


def test_a_share_that_large_groups_cannot_give_is_noted() -> None:
    data = folders(all=[40, 40])
    groups = {f"class {label}/{n}.jpg": f"patient {n % 4}" for label in (0, 1) for n in range(40)}
    (note,) = split(data, seed=0, groups=groups).notes
    assert note == "groups are large: 20 of 80 images (25%) validate instead of a tenth"
    one = {f"class 1/{n}.jpg": "one" for n in range(40)}
    assert split(data, seed=0, groups=one).notes == (
        "nothing of 'class 1' validates: no group of it could be spared from training",
        "groups are large: 4 of 80 images (5%) validate instead of a tenth",
    )


def test_a_class_that_is_one_group_everywhere_cannot_validate() -> None:
    groups = {f"class {label}/{n}.jpg": f"{label}" for label in (0, 1) for n in range(40)}
    with pytest.raises(DataError, match=r"no class of data has two groups.*\(add images of other groups, or"):
        split(folders(all=[40, 40]), seed=0, groups=groups)
    alike = {f"class {label}/{n}.jpg": f"class {label}/0.jpg" for label in (0, 1) for n in range(40)}
    with pytest.raises(DataError, match=r"two groups.*\(images that look alike .* `group_by` none keeps"):
        split(folders(all=[40, 40]), seed=0, groups=alike)
    del alike["class 1/7.jpg"], alike["class 0/7.jpg"]
    assert "`group_by` none keeps nothing together" in split(folders(all=[40, 40]), seed=0, groups=alike).notes[-1]


def test_labels_of_the_other_form_of_unicode_are_read(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text("split,label,path,group\ntrain,Ba\u0308r,1.jpg,\nval,b,2.jpg,\n", encoding="utf-8")
    assert [sample.label for sample in read_split(path, ("b", "B\u00e4r")).train] == [1]


def test_a_split_is_read_with_the_labels_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_text("split,label,path\ntrain,bee,x.jpg\n")
    assert read_split(tmp_path / "split.csv", ["ant", "bee"]).train == (Sample("x.jpg", 1),)
    assert read_split(tmp_path / "split.csv", ["bee", "ant"]).train == (Sample("x.jpg", 0),)


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("", 1, "header"),
        ("label,path\n", 1, "header"),
        ("split,label,path\ntrain,a,1.jpg\ntrain,a\n", 3, "2 fields"),
        ('split,label,path\ntrain,a,"1\n2.jpg"\nhold,a,2.jpg\n', 4, "'hold'"),
        ("split,label,path\ntrain,zebra,1.jpg\n", 2, "'zebra'"),
        ("split,label,path\ntrain,a,1.jpg\nval,a,1.jpg\n", 3, "twice"),
        ("split,label,path\ntrain,a,/etc/passwd\n", 2, "inside the data folder"),
        ("split,label,path\ntrain,a,a/../../x.jpg\n", 2, "inside the data folder"),
        ("split,label,path\ntrain,a,\n", 2, "inside the data folder"),
        ('split,label,path\ntrain,a,"1.jpg\n', 2, "unexpected end"),
        ("split,label,path,group\ntrain,a,1.jpg\n", 2, "3 fields instead of 4"),
        ("split,label,path\ntrain,a,1.jpg,g\n", 2, "4 fields instead of 3"),
        ("split,label,path,group,what\n", 1, "header"),
    ],
)
def test_a_spoilt_file_is_refused_by_name_and_line(tmp_path: Path, text: str, line: int, why: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=why) as caught:
        read_split(path, ["a", "b"])
    assert f"{path}, line {line}:" in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"split\.csv"):
        read_split(tmp_path / "split.csv", ["a"])


def test_a_split_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        write_split(tmp_path / "nowhere/split.csv", split(folders(all=[3, 3]), seed=0), ["a", "b"])
