"""Lists whose pictures have several labels, or one for each of several tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime import ClassFolders, DataError, EdgeError, UsageError, scan

SEVERAL = "path,label\n1.jpg,dog | cat\n2.jpg,cat\n3.jpg,\n4.jpg,bird\n"
TASKS = "path;Species;age;split\n1.jpg;ant;old;train\n2.jpg;bee;;train\n3.jpg;;young;train\n4.jpg;ant;old;val\n"


def put(folder: Path, text: str, name: str = "list.csv") -> Path:
    """The list `name` in `folder`, beside four pictures."""
    folder.mkdir(exist_ok=True)
    for number in range(1, 5):
        (folder / f"{number}.jpg").write_bytes(b"x" * number)
    (folder / name).write_text(text)
    return folder / name


def targets(folders: ClassFolders) -> dict[str, tuple[int, ...]]:
    return {sample.path: sample.targets for samples in folders.splits.values() for sample in samples}


def fault(place: Path | list[Path], **asked: object) -> str:
    with pytest.raises(EdgeError) as caught:
        scan(place, **asked)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return caught.value.message


def test_a_cell_has_any_number_of_labels(tmp_path: Path) -> None:
    folders = scan(put(tmp_path, SEVERAL), multi_label=True)
    assert (folders.kind, folders.labels, folders.tasks) == ("multi-label", ("bird", "cat", "dog"), ())
    assert targets(folders) == {"1.jpg": (1, 2), "2.jpg": (1,), "3.jpg": (), "4.jpg": (0,)}
    assert [folders.true_places(sample) for sample in folders.splits["all"]] == [(1, 2), (1,), (), (0,)]
    assert {sample.label for sample in folders.splits["all"]} == {0}
    assert [note.text for note in folders.notes] == [
        f"1 row of {tmp_path / 'list.csv'} without a label: of none of the classes"
    ]


def test_without_being_asked_such_a_cell_is_one_label_and_a_note_names_the_flag(tmp_path: Path) -> None:
    folders = scan(put(tmp_path, SEVERAL))
    assert folders.labels == ("bird", "cat", "dog | cat")
    note = next(note for note in folders.notes if note.kind == "several-labels")
    assert note.text.endswith("'dog | cat', one class: train with `multi_label` where those are several labels")


def test_the_kind_is_part_of_what_the_data_is_known_by(tmp_path: Path) -> None:
    manifest = put(tmp_path, "path,label\n1.jpg,cat\n2.jpg,dog\n")
    one, several = scan(manifest), scan(manifest, multi_label=True)
    assert one.labels == several.labels
    assert one.fingerprint != several.fingerprint


def test_each_task_is_a_column_and_its_label_may_miss(tmp_path: Path) -> None:
    folders = scan(put(tmp_path, TASKS), tasks=("species", "age"))
    assert (folders.kind, folders.labels) == (
        "multi-task",
        ("species: ant", "species: bee", "age: old", "age: young"),
    )
    assert [(task.name, task.labels) for task in folders.tasks] == [
        ("species", ("ant", "bee")),
        ("age", ("old", "young")),
    ]
    assert targets(folders) == {"1.jpg": (0, 0), "2.jpg": (1, -1), "3.jpg": (-1, 1), "4.jpg": (0, 0)}
    assert folders.true_places(folders.splits["train"][2]) == (3,)
    missing = [note.text for note in folders.notes]
    assert missing == [
        f"the split val of {tmp_path / 'list.csv'} has no images of 2 classes: 'species: bee', 'age: young'"
    ]


@pytest.mark.parametrize(("text", "asked"), [(SEVERAL, {"multi_label": True}), (TASKS, {"tasks": ("species", "age")})])
def test_several_lists_are_one_set_of_the_kind(tmp_path: Path, text: str, asked: dict[str, object]) -> None:
    places = [put(tmp_path / name, text) for name in ("one", "two")]
    alone, both = scan(places[0], **asked), scan(places, **asked)
    assert (both.kind, both.labels, both.tasks) == (alone.kind, alone.labels, alone.tasks)
    assert targets(both) == {f"{n}/{path}": t for n in ("one", "two") for path, t in targets(alone).items()}


def test_the_labels_are_a_models_where_it_is_asked_about(tmp_path: Path) -> None:
    manifest = put(tmp_path, "path,label,size\n1.jpg,cat|dog,big\n2.jpg,,small\n")
    assert targets(scan(manifest, labels=["dog", "cow", "cat"], multi_label=True)) == {"1.jpg": (0, 2), "2.jpg": ()}
    known = ["size: small", "size: big", "colour: red", "colour: blue"]
    (tmp_path / "tasks.csv").write_text("path,size,colour\n1.jpg,big,blue\n2.jpg,,red\n")
    assert targets(scan(tmp_path / "tasks.csv", labels=known, tasks=("size", "colour"))) == {
        "1.jpg": (1, 1),
        "2.jpg": (-1, 0),
    }
    assert "label 'dog' is not known" in fault(manifest, labels=["cow", "cat"], multi_label=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,label\n1.jpg,cat|dog\n2.jpg,cat|cat\n", "line 3: the label 'cat' stands twice in 'cat|cat'"),
        ("path,label\n1.jpg,cat||dog\n2.jpg,cow\n", "line 2: 'cat||dog' has an empty label"),
        ("path,label\n1.jpg,\n2.jpg,\n", "has no label"),
        ("path,label\n1.jpg,cat\n2.jpg,\n", "has one label, 'cat'"),
        ("path,name\n1.jpg,cat\n", "no column label"),
    ],
)
def test_what_is_wrong_with_several_labels_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in fault(put(tmp_path, text), multi_label=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,a,b\n1.jpg,x,u\n2.jpg,,\n3.jpg,y,v\n", "line 3: no label in a or b"),
        ("path,a,b\n1.jpg,x,u\n2.jpg,x,v\n", "has one label, 'x', for the task a, which needs at least two"),
        ("path,a,b\n1.jpg,x,\n2.jpg,y,\n", "has no label, for the task b, which needs at least two"),
        ("path,a\n1.jpg,x\n", "line 1: no column b"),
        ("path,a,b,b\n1.jpg,x,u,u\n", "has 2 columns b"),
    ],
)
def test_what_is_wrong_with_tasks_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in fault(put(tmp_path, text), tasks=("a", "b"))


def test_one_list_alone_may_lack_a_class_that_all_together_have(tmp_path: Path) -> None:
    places = [put(tmp_path / name, f"path,a,b\n1.jpg,{name},u\n2.jpg,{name},v\n") for name in ("x", "y")]
    assert [task.labels for task in scan(places, tasks=("a", "b")).tasks] == [("x", "y"), ("u", "v")]


@pytest.mark.parametrize("names", [("a", "A"), ("a b",), ("path",), ("",), ("1st",), ("é",)])
def test_tasks_that_cannot_be_columns_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="tasks"):
        scan(put(tmp_path, TASKS), tasks=names)


def test_folders_give_one_label_and_are_refused(tmp_path: Path) -> None:
    for asked in ({"multi_label": True}, {"tasks": ("a",)}):
        assert "is a folder, which gives each picture one label" in fault(tmp_path, **asked)
    with pytest.raises(UsageError, match="two ways"):
        scan(put(tmp_path, TASKS), multi_label=True, tasks=("species",))


def test_parquet_has_tasks_too(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    put(tmp_path, "")
    table = pyarrow.table({"path": ["1.jpg", "2.jpg"], "a": ["x", "y"], "b": ["u", None], "c": ["", ""]})
    parquet.write_table(table, tmp_path / "list.parquet")
    with pytest.raises(DataError, match="one label, 'u', for the task b"):
        scan(tmp_path / "list.parquet", tasks=("a", "b"))
