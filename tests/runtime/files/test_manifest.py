"""Manifests: CSV however a spreadsheet writes it, Parquet, and every fault named with its line."""

from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path

import pytest

from edge_runtime import ClassFolders, DataError, MissingExtraError, listed_pictures, read_other_columns, scan
from time_ratio import ratio

FILES = ("a/1.jpg", "a/2.jpg", "b/1.jpg", "b/ü,2.jpg")
PLAIN = "path,label\na/1.jpg,ant\na/2.jpg,ant\nb/1.jpg,bee\n"


def put(folder: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    """The manifest `name` in `folder`, beside pictures of one byte more each."""
    for size, file in enumerate(FILES, start=1):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"x" * size)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def read(folders: ClassFolders) -> dict[str, dict[str, str]]:
    """Path to label, by split."""
    return {
        split: {sample.path: folders.labels[sample.label] for sample in samples}
        for split, samples in folders.splits.items()
    }


def fault(manifest: Path, **known: list[str]) -> str:
    with pytest.raises(DataError) as caught:
        scan(manifest, **known)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return caught.value.message.removeprefix(f"{manifest}, ")


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_it_is_read_however_a_spreadsheet_writes_it(tmp_path: Path, delimiter: str, end: str, bom: bytes) -> None:
    rows = [
        [" Label", "notes", '"PATH "', "Group"],
        ["ant", "x", "a/1.jpg", "colony 1"],
        ["bee ", '"two\nlines, and ""quotes"""', '"b/ü,2.jpg"', ""],
        ["", "", "", ""],
        ["bee", "", str(tmp_path / "b/1.jpg"), "'=hive"],
    ]
    manifest = put(tmp_path, bom + end.join(delimiter.join(row) for row in rows).encode())
    folders = scan(manifest)
    assert folders.root == tmp_path
    assert folders.labels == ("ant", "bee")
    assert read(folders) == {"all": {"a/1.jpg": "ant", "b/1.jpg": "bee", "b/ü,2.jpg": "bee"}}
    assert (folders.group_column, folders.groups) == ("group", {"a/1.jpg": "colony 1", "b/1.jpg": "=hive"})
    assert not folders.notes


def test_splits_are_spelt_as_folders_are(tmp_path: Path) -> None:
    text = "split,path,label\nTraining,a/1.jpg,x\ntrain,b/1.jpg,y\n VALID ,a/2.jpg,x\ntest,b/ü,2.jpg,y\n"
    folders = scan(put(tmp_path, text.replace("ü,2", '"ü,2').replace('b/"', '"b/').replace("2.jpg,y", '2.jpg",y')))
    assert {split: sorted(found) for split, found in read(folders).items()} == {
        "train": ["a/1.jpg", "b/1.jpg"],
        "val": ["a/2.jpg"],
        "test": ["b/ü,2.jpg"],
    }


def test_a_split_column_that_is_empty_throughout_splits_nothing(tmp_path: Path) -> None:
    assert list(scan(put(tmp_path, "path,label,split\na/1.jpg,x,\nb/1.jpg,y,\n")).splits) == ["all"]


def test_another_column_may_name_the_groups(tmp_path: Path) -> None:
    manifest = put(tmp_path, "path,label,Camera,group\na/1.jpg,x,c1,g1\nb/1.jpg,y,,g2\n")
    by_camera = scan(manifest, group_column="camera")
    assert (by_camera.group_column, by_camera.groups) == ("camera", {"a/1.jpg": "c1"})
    assert scan(manifest, group_column="none such").groups == {"a/1.jpg": "g1", "b/1.jpg": "g2"}
    assert scan(manifest, group_column="label").group_column == "group"
    # Which pictures are one group decides the split, so that a list with a corrected column is other data.
    before, plain = by_camera.fingerprint, scan(manifest).fingerprint
    manifest.write_text(manifest.read_text().replace("c1", "c2"))
    assert scan(manifest, group_column="camera").fingerprint != before
    assert scan(manifest).fingerprint == scan(manifest, group_column="none such").fingerprint == plain


@pytest.mark.parametrize("by", ["auto", "none", "Auto "])
def test_a_column_called_as_what_names_none_names_no_groups(tmp_path: Path, by: str) -> None:
    header = f"path,label,{by.strip()},group"
    manifest = put(tmp_path, f"{header}\na/1.jpg,x,yes,g1\nb/1.jpg,y,yes,g2\n")
    folders = scan(manifest, group_column=by)
    assert (folders.group_column, folders.groups) == ("group", {"a/1.jpg": "g1", "b/1.jpg": "g2"})
    (tmp_path / "other").mkdir()
    assert scan([manifest, put(tmp_path / "other", PLAIN)], group_column=by).group_column == "group"


def test_rows_without_a_label_are_left_out_and_counted(tmp_path: Path) -> None:
    manifest = put(tmp_path, PLAIN + "gone.jpg,\nb/ü.jpg, \n")
    (note,) = scan(manifest).notes
    assert (note.kind, note.text) == ("no-label", f"left out 2 rows of {manifest} without a label, line 5 for one")


def test_labels_alike_but_for_letter_case_are_noted(tmp_path: Path) -> None:
    (note,) = scan(put(tmp_path, "path,label\na/1.jpg,Ant\na/2.jpg,ant\nb/1.jpg,bee\n")).notes
    assert note.kind == "alike-labels"
    assert "'Ant', 'ant'" in note.text


def test_the_root_is_the_manifests_folder_or_what_holds_all_pictures(tmp_path: Path) -> None:
    put(tmp_path / "photos", "")
    beside = put(tmp_path / "lists", "path,label\n../photos/a/1.jpg,x\n../photos/./b/../b/1.jpg,y\n")
    assert scan(beside).root == tmp_path / "photos"
    assert set(read(scan(beside))["all"]) == {"a/1.jpg", "b/1.jpg"}
    above = tmp_path / "labels.csv"
    above.write_text("path,label\nphotos/a/1.jpg,x\nphotos/b/1.jpg,y\n")
    assert scan(above).root == tmp_path
    assert set(read(scan(above))["all"]) == {"photos/a/1.jpg", "photos/b/1.jpg"}


def test_two_dots_behind_a_link_mean_what_the_system_means(tmp_path: Path) -> None:
    put(tmp_path / "real/deep", "")
    (tmp_path / "real/x.jpg").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real/deep")
    manifest = put(tmp_path, "path,label\nlink/../x.jpg,x\nlink/a/1.jpg,y\n")
    assert set(read(scan(manifest))["all"]) == {"real/x.jpg", "link/a/1.jpg"}


def test_backslashes_separate_folders_where_no_file_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "b\\1.jpg").write_bytes(b"own")
    manifest = put(tmp_path, "path,label\na\\1.jpg,x\nb\\1.jpg,y\n")
    assert set(read(scan(manifest))["all"]) == {"a/1.jpg", "b\\1.jpg"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,label\ngone.jpg,x\n", "line 2: no file 'gone.jpg'"),
        (PLAIN + ",ant\n", "line 5: no path"),
        (PLAIN + "a,ant\n", "line 5: 'a' is a folder"),
        (PLAIN + "a/./1.jpg,bee\n", "line 5: 'a/./1.jpg' stands in line 2, too"),
        (PLAIN + "b/ü,2.jpg,bee\n", "line 5: 3 fields instead of 2"),
        (PLAIN + "b/1.jpg\n", "line 5: 1 field instead of 2"),
        (PLAIN + '"b/1.jpg,bee\n', "line 5: bad quoting (unexpected end of data)"),
        (PLAIN + '"b"/1.jpg,bee\n', "line 5: bad quoting (',' expected after '\"')"),
        ("path,label,split\na/1.jpg,x,train\nb/1.jpg,y,later\n", "line 3: 'later' is no split: train, val or test"),
        ("path,label,split\na/1.jpg,x,train\nb/1.jpg,y,\n", "line 3: no split, where others have one"),
        (
            "path,label,split\na/1.jpg,x,train\nb/1.jpg,y,train\na/2.jpg,z,val\n",
            "line 4: label 'z' is not known in training: 'x', 'y'",
        ),
        (PLAIN + "b/\udcff.jpg,bee\n", "line 5: not UTF-8 (byte 0xff): save it as UTF-8"),
        (PLAIN + "b/\0.jpg,bee\n", "line 5: a NUL, which no text has"),
        (PLAIN + "x" * 1_100_000, "line 5: over a million characters without a line end"),
        (PLAIN + "x" * 5000 + ",bee\n", "line 5: '" + "x" * 5000 + "' cannot be read: File name too long"),
        ("file,label\na/1.jpg,x\n", "line 1: no column path; it has 'file', 'label'"),
        ("path\na/1.jpg\n", "line 1: no column label; it has 'path'"),
        ("\na/1.jpg\n", "line 1: no header"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert fault(put(tmp_path, text.encode("utf-8", "surrogateescape"))) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "{} is empty"),
        ("path,label\n", "{}: it names no image"),
        ("path,label\na/1.jpg,\n", "{}: none of its 1 rows has a label"),
        ("path,label\na/1.jpg,x\n", "{} has one label, 'x'; a classifier needs at least two"),
        ("path,path,label\n", "{} has 2 columns path"),
        ("path,label,split\na/1.jpg,x,val\na/2.jpg,y,test\n", "{} has rows of val and test, but none of train"),
    ],
)
def test_what_is_wrong_with_all_of_it_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    manifest = put(tmp_path, text)
    assert fault(manifest) == said.format(manifest)


def test_another_encoding_is_named(tmp_path: Path) -> None:
    assert fault(put(tmp_path, PLAIN.encode("utf-16"))) == "line 1: not UTF-8 (UTF-16): save it as UTF-8"
    assert fault(put(tmp_path, (PLAIN + "\n" * 5000 + "ü").encode("cp1252"))).startswith(
        "line 5005: not UTF-8 (byte 0xfc)"
    )


def test_faults_are_gathered_and_five_are_shown(tmp_path: Path) -> None:
    text = PLAIN + "".join(f"{number}.jpg,ant\n" for number in range(20))
    said = fault(put(tmp_path, text))
    assert said.count("no file") == 5
    assert said.startswith("line 5: no file '0.jpg'; line 6: no file '1.jpg'")
    assert said.endswith("; and 15 more")


def test_a_model_s_labels_are_what_it_is_held_against(tmp_path: Path) -> None:
    manifest = put(tmp_path, PLAIN)
    assert fault(manifest, labels=["bee", "wasp"]) == (
        "line 2: label 'ant' is not known: 'bee', 'wasp'; line 3: label 'ant' is not known: 'bee', 'wasp'"
    )
    folders = scan(manifest, labels=["wasp", "bee", "ant"])
    assert read(folders)["all"]["a/1.jpg"] == "ant"
    assert [note.kind for note in folders.notes] == ["no-images"]
    decomposed = put(tmp_path, "path,label\na/1.jpg,cafe\u0301\nb/1.jpg,caf\u00e9\na/2.jpg,x\n")
    assert scan(decomposed).labels == ("café", "x")
    assert read(scan(decomposed, labels=["cafe\u0301", "x"]))["all"]["b/1.jpg"] == "cafe\u0301"


def test_the_fingerprint_covers_what_is_said_of_each_picture(tmp_path: Path) -> None:
    text = "path,label,split,group\na/1.jpg,x,train,1\nb/1.jpg,y,train,2\na/2.jpg,x,val,3\n"
    first = scan(put(tmp_path, text)).fingerprint
    header, *rows = text.splitlines(keepends=True)
    assert scan(put(tmp_path, "".join([header, *reversed(rows)]))).fingerprint == first
    for old, new in [("val", "test"), ("x,val", "y,val"), (",3", ",2"), ("a/2", "b/ü,2")]:
        changed = text.replace(old, new).replace("b/ü,2.jpg", '"b/ü,2.jpg"')
        assert scan(put(tmp_path, changed)).fingerprint != first, (old, new)
    moved = shutil.copytree(tmp_path, tmp_path.parent / "moved")
    assert scan(put(moved, text)).fingerprint == first
    (moved / "a/1.jpg").write_bytes(b"longer than it was")
    assert scan(moved / "labels.csv").fingerprint != first


GARBAGE = {
    "rows": b"path,label\n" + b"no/such/file.jpg,cat\n" * 2_000_000,
    "a quote that never ends": b'path,label\n"' + b"xy\n" * 10_000_000,
    "noise": bytes(range(255, 0, -1)) * 100_000,
    "one line": b"a" * 30_000_000,
    "empty rows": b"path,label\n" + b",\n" * 10_000_000,
    "no labels": b"path,label\n" + b"x,\n" * 100_000,
}


@pytest.mark.parametrize("what", GARBAGE)
@pytest.mark.timeout(120)
def test_a_gigabyte_of_garbage_costs_neither_memory_nor_time(tmp_path: Path, what: str) -> None:
    """Some of it here: nothing is kept of rows that are wrong, and the rest is not read after so many of them."""
    (tmp_path / "labels.csv").write_bytes(GARBAGE[what])
    tracemalloc.start()
    try:
        message = fault(tmp_path / "labels.csv")
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert len(message) < 2_000


def test_after_a_thousand_faults_nothing_more_is_read(tmp_path: Path) -> None:
    assert fault(put(tmp_path, "path,label\n" + "no.jpg,cat\n" * 1001)).endswith("; and at least 995 more")
    said = fault(put(tmp_path, "path,label\n" + ",\n" * 100_001))
    assert said == "line 100001: 100,000 empty rows so far, which no list has"


def test_five_times_the_rows_take_about_five_times_as_long(tmp_path: Path) -> None:
    # A thousand files by a hundred names each: making so many would take longer than reading.
    (tmp_path / "x").mkdir()
    for number in range(1000):
        (tmp_path / f"x/{number}.jpg").touch()
    for number in range(100):
        (tmp_path / f"{number}").symlink_to("x")
    rows = [f"{n % 100}/{n // 100}.jpg,{n % 7},{n % 50}\n" for n in range(50_000)]

    def read(count: int) -> None:
        (tmp_path / "labels.csv").write_text("path,label,group\n" + "".join(rows[:count]))
        assert len(scan(tmp_path / "labels.csv").splits["all"]) == count

    # Were every row compared with those before it, it would be 25 times.
    assert ratio(lambda: read(50_000), lambda: read(10_000)) < 12


def test_a_column_without_a_name_groups_nothing(tmp_path: Path) -> None:
    indexed = scan(put(tmp_path, ",path,label\n0,a/1.jpg,ant\n0,a/2.jpg,ant\n1,b/1.jpg,bee\n"))
    assert (indexed.groups, indexed.group_column) == ({}, "")
    named = scan(put(tmp_path, ",path,label,group\n0,a/1.jpg,ant,g\n0,a/2.jpg,ant,\n1,b/1.jpg,bee,\n"))
    assert (named.groups, named.group_column) == ({"a/1.jpg": "g"}, "group")


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = {
        "Path": ["a/1.jpg", "b/1.jpg", "b/ü,2.jpg", "a/2.jpg"],
        "label": [1.0, 2.0, 2.0, None],
        "image": [{"bytes": b"x"}] * 4,
        "raw": [b"x"] * 4,
        "group": pyarrow.array(["g", None, "h", "g"]).dictionary_encode(),
        "Site": [7.0, None, 0.5, 1.0],
    }
    manifest = put(tmp_path, b"", "labels.parquet")
    parquet.write_table(pyarrow.table(rows), manifest)
    folders = scan(manifest)
    assert read(folders) == {"all": {"a/1.jpg": "1", "b/1.jpg": "2", "b/ü,2.jpg": "2"}}
    assert folders.groups == {"a/1.jpg": "g", "b/ü,2.jpg": "h"}
    assert [note.text[-24:] for note in folders.notes] == ["out a label, row 4 for one"[-24:]]
    others = read_other_columns(manifest)
    assert (others.names, list(others.cells.values())) == (("Site",), [("7",), ("",), ("0.5",)])
    assert str(tmp_path / "b/ü,2.jpg") in others.cells
    csv = put(tmp_path, 'path,label,group\na/1.jpg,1,g\nb/1.jpg,2,\n"b/ü,2.jpg",2,h\n')
    assert scan(csv).fingerprint == folders.fingerprint
    parquet.write_table(pyarrow.table({"path": ["no.jpg"], "label": ["x"]}), manifest)
    assert fault(manifest) == "row 1: no file 'no.jpg'"
    parquet.write_table(pyarrow.table({"file": ["no.jpg"], "label": ["x"]}), manifest)
    assert fault(manifest) == "no column path; it has 'file', 'label'"
    parquet.write_table(pyarrow.table(rows), manifest)
    whole = manifest.read_bytes()
    for damaged in (b"", b"path,label\n", whole[:-20], whole[:20] + b"\xff" * 40 + whole[60:]):
        manifest.write_bytes(damaged)
        assert str(manifest) in fault(manifest)
    manifest.unlink()
    assert fault(manifest) == f"{manifest} does not exist"


def test_parquet_names_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.extras.find_spec", lambda name: None if name == "pyarrow" else name)
    with pytest.raises(MissingExtraError, match=r"pyarrow.*edge-vision\[parquet\]"):
        scan(put(tmp_path, b"", "labels.parquet"))


def test_what_is_no_manifest_by_name_is_a_file(tmp_path: Path) -> None:
    put(tmp_path, "")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"is a file, not a folder"):
        scan(tmp_path / "a/1.jpg")
    with pytest.raises(DataError, match=r"folder\.csv is empty"):
        scan(tmp_path / "folder.csv")
    assert fault(tmp_path / "none.csv") == f"{tmp_path / 'none.csv'} does not exist"


def test_what_lies_elsewhere_is_named_and_not_looked_for(tmp_path: Path) -> None:
    listed = put(tmp_path, "path\na/1.jpg\ns3://photos/x.jpg\nb/1.jpg\n")
    found = listed_pictures(listed, lambda name: name if "://" in name else None)
    assert found == [f"{tmp_path}/a/1.jpg", "s3://photos/x.jpg", f"{tmp_path}/b/1.jpg"]
    with pytest.raises(DataError, match=r"line 3: no file .s3://photos/x\.jpg"):
        listed_pictures(listed, lambda _: None)


def test_a_path_may_be_a_file_uri(tmp_path: Path) -> None:
    (tmp_path / "a b.jpg").write_bytes(b"one")
    (tmp_path / "100%25.jpg").write_bytes(b"two")
    names = ("a b.jpg", "a%20b.jpg", "100%25.jpg")
    listed = put(
        tmp_path,
        "path\n"
        + "\n".join(
            f"{scheme}://{tmp_path}/{name}" for scheme, name in zip(("file", "FILE", "file"), names, strict=True)
        )
        + f"\nfile://localhost{tmp_path}/a/1.jpg\n",
    )
    found = [f"{tmp_path}/{name}" for name in ("a b.jpg", "a b.jpg", "100%25.jpg", "a/1.jpg")]
    assert listed_pictures(listed, lambda _: None) == found
