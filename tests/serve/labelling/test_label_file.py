"""The file that labels go to: nothing of the user's is lost, whatever happens."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from edge_runtime import DataError, OutputError, UsageError, list_pictures, read_picture_table
from edge_serve.labelling.label_file import LabelFile, choose_out

NOW = "2026-01-01T00:00:00.000+00:00"
ANSWERS = (
    "path,label,answer,probability,,\n"
    'photos/0.jpg,,bee,0.6,"a, ""b""",1\n'
    "photos/1.jpg, ant ,ant,0.9,,2\n"
    "photos/2.jpg,'=x,bee,0.7,,3\n"
)


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for number in range(4):
        (tmp_path / f"photos/{number}.jpg").write_bytes(b"x")
    (tmp_path / "answers.csv").write_text(ANSWERS)
    return tmp_path / "answers.csv"


def opened(source: Path, out: Path | None = None) -> LabelFile:
    return LabelFile(read_picture_table(source), choose_out(source, out))


def cells(path: Path, delimiter: str = ",") -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file, delimiter=delimiter))


def labels(path: Path) -> dict[str, tuple[str, str]]:
    """Path to label and time."""
    header, *rows = cells(path)
    label, stamp = header.index("label"), header.index("labelled_at")
    return {row[0]: (row[label], row[stamp]) for row in rows}


def test_every_other_cell_stays_and_nothing_is_written_before_a_label(answers: Path) -> None:
    file = opened(answers)
    assert [file.label(row) for row in range(3)] == ["", "ant", "=x"]
    out = answers.parent / "labels.csv"
    assert file.path == out and not out.exists()
    file.write([(0, "=bee", NOW)])
    assert cells(out) == [
        ["path", "label", "answer", "probability", "", "", "labelled_at"],
        ["photos/0.jpg", "'=bee", "bee", "0.6", 'a, "b"', "1", NOW],
        ["photos/1.jpg", " ant ", "ant", "0.9", "", "2", ""],
        ["photos/2.jpg", "'=x", "bee", "0.7", "", "3", ""],
    ]
    assert answers.read_text() == ANSWERS
    assert [file.read_bytes() for file in (answers.parent / "photos").iterdir()] == [b"x"] * 4


def test_it_goes_on_where_it_stopped_and_a_newer_answer_does_not_undo_a_label(answers: Path) -> None:
    opened(answers).write([(0, "bee", NOW), (1, "", NOW)])
    # The next model says otherwise, of one picture more; a column that the labels lack does not come in.
    answers.write_text("path,label,answer,score\nphotos/3.jpg,,ant,3\nphotos/1.jpg,ant,bee,1\nphotos/0.jpg,,ant,2\n")
    file = opened(answers)
    assert [(file.label(row), file.cell(row, "answer")) for row in range(3)] == [
        ("", "ant"),
        ("", "bee"),
        ("bee", "ant"),
    ]
    file.write([(0, "ant", NOW)])
    out = answers.parent / "labels.csv"
    assert labels(out) == {
        "photos/0.jpg": ("bee", NOW),
        "photos/1.jpg": ("", NOW),
        "photos/2.jpg": ("'=x", ""),
        "photos/3.jpg": ("ant", NOW),
    }
    assert cells(out)[1] == ["photos/0.jpg", "bee", "ant", "0.6", 'a, "b"', "1", NOW]
    assert choose_out(out, None) == out


def test_a_few_mistakes_mended_leave_the_rest_of_the_list_as_it_was(answers: Path) -> None:
    opened(answers).write([(0, "bee", NOW)])
    mistakes = answers.parent / "mistakes.csv"
    # A split of these rows alone would leave the others without one, which training refuses.
    mistakes.write_text("path,label,answer,label_probability,split\nphotos/2.jpg,=x,ant,0.01,val\n")
    later = NOW.replace("2026", "2027")
    more = opened(mistakes)
    assert more.next_step == f"edge train --data {answers.parent / 'labels.csv'}"
    more.write([(0, "ant", later)])
    out = answers.parent / "labels.csv"
    assert labels(out)["photos/0.jpg"] == ("bee", NOW) and labels(out)["photos/2.jpg"] == ("ant", later)
    assert len(cells(out)) == 4 and cells(out)[0][2:4] == ["answer", "probability"]
    assert cells(out)[3][2:4] == ["ant", "0.7"] and "split" not in cells(out)[0]


def test_what_began_as_mistakes_goes_back_among_the_others_whatever_list_it_goes_on_with(answers: Path) -> None:
    """The mistakes of one model after another are no data set to train on."""
    out = answers.parent / "labels.csv"
    back = f"edge data list DATA --relabel {out} --out FILE.csv, then edge train --data FILE.csv"
    mistakes = answers.parent / "mistakes.csv"
    for number in (0, 1):
        mistakes.write_text(f"path,label,answer,label_probability\nphotos/{number}.jpg,bee,ant,0.01\n")
        file = opened(mistakes)
        assert file.next_step == back
        file.write([(0, "ant", NOW)])
    assert opened(out).next_step == back


def test_what_edge_did_not_write_is_not_overwritten(answers: Path) -> None:
    own = answers.parent / "labels.csv"
    own.write_text("path,label\nphotos/0.jpg,mine\n")
    with pytest.raises(UsageError, match="did not write it"):
        choose_out(answers, None)
    assert choose_out(own, None) == answers.parent / "labelled.csv"
    for wrong, said in (("x.jpg", "no .csv"), ("gone/x.csv", "no folder")):
        with pytest.raises(UsageError, match=said):
            choose_out(answers, answers.parent / wrong)
    assert own.read_text() == "path,label\nphotos/0.jpg,mine\n"


def test_a_list_whose_pictures_are_gone_is_gone_on_with(answers: Path) -> None:
    """The next day's frames lie where those of the day before lay."""
    photos, out = answers.parent / "photos", answers.parent / "labels.csv"
    opened(answers).write([(0, "bee", NOW)])
    for photo in [*photos.iterdir()]:
        photo.unlink()
    (photos / "4.jpg").write_bytes(b"x")
    file = LabelFile(list_pictures(photos, answers.parent), choose_out(photos, None))
    file.write([(0, "ant", NOW)])
    assert labels(out)["photos/0.jpg"] == ("bee", NOW) and labels(out)["photos/4.jpg"] == ("ant", NOW)


def test_a_fault_in_its_own_file_is_told_with_its_line(answers: Path) -> None:
    opened(answers).write([(0, "bee", NOW)])
    out = answers.parent / "labels.csv"
    out.write_text(out.read_text() + out.read_text().splitlines()[1] + "\n")
    with pytest.raises(DataError, match=r"labels.csv, line 5: 'photos/0.jpg' stands in line 2"):
        opened(answers)
    assert choose_out(out, None) == out


def test_a_link_stays_one_and_the_file_behind_it_is_written(answers: Path) -> None:
    opened(answers).write([(0, "bee", NOW)])
    out, store = answers.parent / "labels.csv", answers.parent / "store"
    store.mkdir()
    out.rename(store / "labels.csv")
    out.symlink_to("store/labels.csv")
    file = opened(answers)
    file.write([(1, "bee", NOW)])
    file.write([(2, "bee", NOW)])
    assert out.is_symlink() and {label for label, _ in labels(store / "labels.csv").values()} == {"bee"}
    assert [path.name for path in store.iterdir()] == ["labels.csv"]


def test_elsewhere_the_paths_lead_back(answers: Path) -> None:
    (answers.parent / "out").mkdir()
    out = answers.parent / "out/x.tsv"
    opened(answers, out).write([(0, "bee", NOW)])
    assert cells(out, "\t")[1][:2] == ["../photos/0.jpg", "bee"]
    assert [row.problem for row in read_picture_table(out).rows] == ["", "", ""]


def test_a_folder_is_a_list_without_labels(answers: Path) -> None:
    folder = answers.parent / "photos"
    out = choose_out(folder, None)
    file = LabelFile(list_pictures(folder, out.parent), out)
    assert len(file) == 4 and file.header == ["path", "label", "labelled_at"]
    file.write([(3, "bee", NOW)])
    assert out.read_text().splitlines()[4] == f"photos/3.jpg,bee,{NOW}"


def test_a_write_that_fails_changes_nothing(answers: Path) -> None:
    file = opened(answers)
    file.write([(0, "bee", NOW)])
    before = file.path.read_bytes()
    os.utime(file.path, (0, 0))
    with pytest.raises(OutputError, match="changed by something else"):
        file.write([(0, "ant", NOW)])
    assert file.label(0) == "bee" and file.path.read_bytes() == before
    file.path.unlink()
    file.path.mkdir()
    second = LabelFile(read_picture_table(answers), answers.parent / "second.csv")
    (answers.parent / "second.csv").mkdir()
    for each in (file, second):
        with pytest.raises(OutputError):
            each.write([(0, "ant", NOW)])
        assert each.label(0) in ("bee", "")
    assert not list(answers.parent.glob(".*.tmp"))


def test_a_picture_has_one_row_whatever_link_leads_to_it(answers: Path) -> None:
    opened(answers).write([(0, "bee", NOW)])
    out = answers.parent / "labels.csv"
    (answers.parent / "linked").symlink_to("photos")
    mistakes = answers.parent / "mistakes.csv"
    mistakes.write_text("path,label,answer\nlinked/0.jpg,bee,ant\nlinked/3.jpg,ant,bee\n")
    file = opened(mistakes)
    assert file.label(0) == "bee"
    file.write([(0, "ant", NOW), (1, "bee", NOW)])
    assert [row[:2] for row in cells(out)[1:]] == [
        ["photos/0.jpg", "ant"],
        ["photos/1.jpg", " ant "],
        ["photos/2.jpg", "'=x"],
        ["linked/3.jpg", "bee"],
    ]


def test_a_line_end_of_an_old_machine_in_a_cell_reads_back(answers: Path) -> None:
    answers.write_text('path,label,note\nphotos/0.jpg,,"one\rtwo"\nphotos/1.jpg,,"a\r\nb"\n', newline="")
    out = answers.parent / "labels.csv"
    opened(answers).write([(0, "bee", NOW)])
    assert [row.cells[2:] for row in read_picture_table(out).rows] == [("one\rtwo", NOW), ("a\r\nb", "")]
    opened(answers).write([(1, "bee", NOW)])
