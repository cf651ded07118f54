"""Labels as they are given and taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime import DataError, OutputError, UsageError, read_picture_table
from edge_serve.labelling.label_file import LabelFile
from edge_serve.labelling.label_session import LabelSession, checked_label, find_classes, read_figures


@pytest.fixture
def session(tmp_path: Path) -> LabelSession:
    return make(tmp_path, "path,label\n0.jpg,\n1.jpg,ant\n2.jpg,\n")


def make(folder: Path, text: str, since: str | None = None) -> LabelSession:
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(b"x")
    (folder / "list.csv").write_text(text)
    return LabelSession(
        LabelFile(read_picture_table(folder / "list.csv"), folder / "labels.csv"), ["ant", "bee"], since
    )


def rows_of(session: LabelSession) -> list[str]:
    return [line.rpartition(",")[0] for line in session.file.path.read_text().splitlines()[1:]]


def test_each_step_is_in_the_file_and_can_be_taken_back(session: LabelSession) -> None:
    assert session.count_done() == 1
    session.label({0: "bee", 2: " wasp "})
    assert rows_of(session) == ["0.jpg,bee", "1.jpg,ant", "2.jpg,wasp"] and session.classes == ["ant", "bee", "wasp"]
    session.label({1: ""})
    assert rows_of(session)[1] == "1.jpg," and session.file.labelled_at(1)
    assert session.undo() == [1] and rows_of(session)[1] == "1.jpg,ant" and not session.file.labelled_at(1)
    assert session.undo() == [0, 2] and rows_of(session) == ["0.jpg,", "1.jpg,ant", "2.jpg,"]
    assert session.undo() == [] and session.can_undo == 0 and session.steps == 4


def test_a_label_given_and_taken_away_leaves_no_trace(session: LabelSession) -> None:
    session.label({0: "bee"})
    session.label({0: ""})
    assert not session.file.labelled_at(0)


def test_what_cannot_be_written_was_not_said(session: LabelSession) -> None:
    session.label({0: "bee"})
    session.file.path.write_text("something else")
    with pytest.raises(OutputError):
        session.label({0: "ant"})
    with pytest.raises(OutputError):
        session.undo()
    assert session.file.label(0) == "bee" and session.can_undo == 1


@pytest.mark.parametrize("labels", [{}, {3: "a"}, {-1: "a"}, {0: " "}, {0: "a\nb"}, {0: "x" * 201}, {0: "\ud800"}])
def test_what_makes_no_sense_is_refused(session: LabelSession, labels: dict[int, str]) -> None:
    with pytest.raises(UsageError):
        session.label(labels)
    assert not session.file.path.exists()


def test_names_are_composed() -> None:
    assert checked_label(" Bu\u0308r ") == "B\u00fcr"


def test_mistakes_are_to_be_looked_at_whatever_label_they_have(tmp_path: Path) -> None:
    text = "path,label,labelled_at\n0.jpg,ant,2026-01-01T00:00:00.000+00:00\n1.jpg,ant,\n"
    session = make(tmp_path, text, since="2026-02-01T00:00:00.000+00:00")
    assert session.count_done() == 0
    session.label({0: "ant"})
    assert session.is_done(0) and not session.is_done(1)
    session.undo()
    assert not session.is_done(0)


def test_figures_and_classes_come_from_the_columns(tmp_path: Path) -> None:
    header = "path,label,answer,probability,margin,entropy,label_probability,label_1,label_2"
    text = f"{header}\n0.jpg,,bee,0.6,x,nan,,bee,wasp\n1.jpg,ant,,,,,0.1,,\n"
    session = make(tmp_path, text)
    first, second = read_figures(read_picture_table(tmp_path / "list.csv"))
    assert (first.answer, first.probability, first.margin, first.entropy) == ("bee", 0.6, None, None)
    assert (second.answer, second.probability, second.label_probability, second.of_label) == ("", None, 0.1, "ant")
    assert find_classes(session.file, ["zebra"], ["bee"]) == ["zebra", "bee", "ant", "wasp"]


def test_a_class_that_can_be_none_is_named_with_its_row(tmp_path: Path) -> None:
    for column in ("label", "answer", "label_1"):
        (tmp_path / "list.csv").unlink(missing_ok=True)
        session = make(tmp_path, f'path,{column}\n0.jpg,ant\n1.jpg,"a\nb"\n')
        with pytest.raises(DataError, match=r"list.csv, the row of 1.jpg: 'a\\nb' is no name of a class"):
            find_classes(session.file, [], [])
