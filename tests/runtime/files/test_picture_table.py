"""Tables of pictures with all their columns: whatever they say of them, and what is wrong with them by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime import DataError, ListPaths, list_pictures, read_picture_table


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in ("2.jpg", "10.jpg", "deep/=1.png", ".hidden.jpg", "notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def put(folder: Path, text: str) -> Path:
    (folder / "list.csv").write_text(text)
    return folder / "list.csv"


def test_every_column_is_read_as_it_stands(tmp_path: Path, photos: Path) -> None:
    table = read_picture_table(put(tmp_path, '\ufeffPath;Note;\n photos\\2.jpg ;"a;b";1\n\nphotos/gone.jpg;;\n'))
    assert table.header == ("Path", "Note", "") and table.column("path") == 0 and table.column("label") is None
    here, gone = table.rows
    assert here.cells == (" photos\\2.jpg ", "a;b", "1")
    assert (here.place, here.problem) == (str(photos / "2.jpg"), "")
    assert gone.place == str(photos / "gone.jpg") and "no file" in gone.problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("label\nx\n", "no column path"),
        ("path,label,label\n", "2 columns label"),
        ("path,label\nphotos/2.jpg\n", "line 2: 1 field instead of 2"),
        ("path,label\n,bee\n", "line 2: no path"),
        ("path\nphotos/2.jpg\n./photos/2.jpg\n", "line 3: './photos/2.jpg' stands in line 2, too"),
        ("path\nphotos/gone.jpg\n", "none of its 1 pictures is there"),
        ("path,label\n", "there is no picture"),
    ],
)
@pytest.mark.usefixtures("photos")
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read_picture_table(put(tmp_path, text))
    assert said in caught.value.message


def test_parquet_is_to_be_written_as_csv(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Parquet"):
        read_picture_table(tmp_path / "list.parquet")


def test_a_folders_pictures_are_a_table_that_reads_back(tmp_path: Path, photos: Path) -> None:
    table = list_pictures(photos, tmp_path)
    assert [row.cells for row in table.rows] == [("photos/2.jpg",), ("photos/10.jpg",), ("photos/deep/=1.png",)]
    inside = list_pictures(photos / "deep", photos / "deep")
    assert inside.rows[0].cells == ("'=1.png",)
    read = read_picture_table(put(photos / "deep", "path\n'=1.png\n"))
    assert read.rows[0].place == inside.rows[0].place
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no picture"):
        list_pictures(tmp_path / "empty", tmp_path)


def test_a_path_is_told_from_the_tables_folder(tmp_path: Path) -> None:
    assert ListPaths(tmp_path / "b")(str(tmp_path / "a" / "1.jpg")) == "../a/1.jpg"
    # Above a linked folder lies what is above its target.
    (tmp_path / "far/b").mkdir(parents=True)
    (tmp_path / "b").symlink_to(tmp_path / "far/b")
    assert ListPaths(tmp_path / "b")(str(tmp_path / "a" / "1.jpg")) == "../../a/1.jpg"
