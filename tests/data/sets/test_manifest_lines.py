"""The manifest that is written of a data set: what is read of it is what the folders say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_data import list_images
from edge_runtime import ClassFolders, DataError, read_other_columns, scan

NAMES = (
    "a/1.jpg",
    "a/2.jpg",
    "bee, or=wasp/x/1.jpg",
    "-c/=cmd.jpg",
    '-c/q"uo\nte.jpg',
    "b/re\rturn.jpg",
    "'=d/'-x.jpg",
    "é/a\\b.jpg",
)


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def write(path: Path, folders: ClassFolders, delimiter: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(list_images(folders, path.parent, delimiter=delimiter))
    path.write_text(text, encoding="utf-8", newline="")
    return path


def read(folders: ClassFolders) -> dict[str, list[tuple[Path, str]]]:
    return {
        split: [(folders.root / sample.path, folders.labels[sample.label]) for sample in found]
        for split, found in folders.splits.items()
    }


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("place", ["here.csv", "photos/inside.csv", "else/where/list.csv"])
def test_what_is_written_reads_back(tmp_path: Path, place: str, delimiter: str) -> None:
    flat = scan(put(tmp_path / "photos", *NAMES))
    listed = scan(write(tmp_path / place, flat, delimiter))
    assert read(listed) == read(flat)
    assert listed.labels == flat.labels


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    lines = list(list_images(scan(put(tmp_path, *NAMES)), tmp_path))
    assert lines[0] == "path,label\n"
    cells = [cell.strip('"') for line in lines for cell in line.split(",")]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_splits_and_groups_have_columns_where_there_are_any(tmp_path: Path) -> None:
    root = put(tmp_path / "set", "train/a/1.jpg", "train/b/1.jpg", "val/a/2.jpg")
    split = scan(root)
    assert list(list_images(split, tmp_path)) == [
        "path,label,split\n",
        "set/train/a/1.jpg,a,train\n",
        "set/train/b/1.jpg,b,train\n",
        "set/val/a/2.jpg,a,val\n",
    ]
    grouped = tmp_path / "grouped.csv"
    grouped.write_text("path,label,group\nset/train/a/1.jpg,a,=g\nset/train/b/1.jpg,b,\n")
    assert list(list_images(scan(grouped), root))[1:] == ["train/a/1.jpg,a,'=g\n", "train/b/1.jpg,b,\n"]
    assert scan(write(tmp_path / "again.csv", scan(grouped))).groups == scan(grouped).groups


def test_other_columns_of_a_list_stay_as_they_are(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg", "b/1.jpg", "b/2.jpg", "c/1.jpg")
    mine = tmp_path / "mine.csv"
    mine.write_text(
        'Site;label;PATH;Rank;;split\n-0.5;b;b/1.jpg;007;=1+1;val\n; a ;a/1.jpg;"x;\n y";;train\n'
        "k;;b/2.jpg;3;;train\nz;b;b/2.jpg;é;'q;train\nu;;c/1.jpg;;;\n"
    )
    others = read_other_columns(mine)
    assert others.names == ("Site", "Rank", "")
    (tmp_path / "lists").mkdir()
    lines = list(list_images(scan(mine), tmp_path / "lists", others=others))
    assert lines == [
        "path,label,split,Site,Rank,\n",
        '../a/1.jpg,a,train,,"x;\n y",\n',
        "../b/2.jpg,b,train,z,é,'q\n",
        "../b/1.jpg,b,val,-0.5,007,=1+1\n",
    ]


def test_from_a_linked_folder_the_way_leads_where_the_system_goes(tmp_path: Path) -> None:
    put(tmp_path / "photos", "a/1.jpg", "b/1.jpg")
    (tmp_path / "real/deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/deep")
    listed = scan(write(tmp_path / "link/list.csv", scan(tmp_path / "photos")))
    assert {path.resolve() for path, _ in read(listed)["all"]} == {
        path for path, _ in read(scan(tmp_path / "photos"))["all"]
    }


def test_what_a_manifest_cannot_hold_is_named(tmp_path: Path) -> None:
    root = put(tmp_path, "a/1.jpg", "b/1.jpg")
    (root / os.fsdecode(b"a/\xff.jpg")).write_bytes(b"x")
    with pytest.raises(DataError, match=r"1 names are not valid UTF-8, 'a/\\udcff\.jpg' for one"):
        list(list_images(scan(root), root))
    spaced = put(tmp_path / "spaced", "a /1.jpg", "b/1.jpg")
    with pytest.raises(DataError, match="'a ' begins or ends with a space"):
        list(list_images(scan(spaced), spaced))


def test_several_labels_and_tasks_are_written_as_they_are_read(tmp_path: Path) -> None:
    put(tmp_path, *(f"{number}.jpg" for number in range(4)))
    several = tmp_path / "several.csv"
    several.write_text("path,label,note\n0.jpg,dog|cat,x\n1.jpg,,y\n2.jpg,cat,\n3.jpg,=a|dog,z\n")
    found = scan(several, multi_label=True)
    lines = list(list_images(found, tmp_path, others=read_other_columns(several, multi_label=True)))
    # Rows without a label are images of none, with their other columns.
    assert lines == [
        "path,label,note\n",
        "0.jpg,cat|dog,x\n",
        "1.jpg,,y\n",
        "2.jpg,cat,\n",
        "3.jpg,'=a|dog,z\n",
    ]
    (tmp_path / "again.csv").write_text("".join(lines))
    again = scan(tmp_path / "again.csv", multi_label=True)
    assert (again.labels, again.splits) == (found.labels, found.splits)
    tasks = tmp_path / "tasks.csv"
    tasks.write_text("Kind,path,colour,label,split\nrose,0.jpg,red,l,train\n,1.jpg,blue,,train\nlily,2.jpg,,m,val\n")
    by_task = scan(tasks, tasks=["kind", "colour"], labels=["kind: lily", "kind: rose", "colour: blue", "colour: red"])
    lines = list(list_images(by_task, tmp_path, others=read_other_columns(tasks, tasks=["kind", "colour"])))
    assert lines == [
        "path,kind,colour,split,label\n",
        "0.jpg,rose,red,train,l\n",
        "1.jpg,,blue,train,\n",
        "2.jpg,lily,,val,m\n",
    ]
