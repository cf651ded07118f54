"""The journal of a watched folder: what it remembers, however it was left, and that it stays short."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edge_runtime import Journal, OutputError, UsageError
from edge_runtime.watched_folder import journal
from edge_runtime.watched_folder.journal import Entry


def entry(name: str, move_to: str | None = None) -> Entry:
    return Entry(name, 100, 5, "ab" * 32, {"label": "red", "probability": 1.0, "top": [["red", 1.0]]}, move_to)


def note(book: Journal, *names: str) -> None:
    for name in names:
        book.answered(entry(name))
        book.done(name)


def lines(path: Path) -> int:
    return len(path.read_bytes().splitlines())


def test_what_was_answered_is_known_after_a_restart_and_by_its_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, tmp_path) as book:
        note(book, "a.png", "not-utf-8-\udcff.png")
        book.bad("b.png", 3, 4, "no picture")
        assert not book.knows("c.png", 100, 5)
    with Journal(path, tmp_path) as book:
        assert book.unfinished is None
        assert book.knows("a.png", 100, 5) and book.knows("not-utf-8-\udcff.png", 100, 5) and book.knows("b.png", 3, 4)
        assert not book.knows("a.png", 101, 5) and not book.knows("a.png", 100, 6)
        assert book.digest("a.png", 100) == "ab" * 32 and book.digest("b.png", 3) == ""


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_half_a_line_at_its_end_is_as_if_never_begun(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal"
    with Journal(path, tmp_path) as book:
        note(book, "a.png")
        book.answered(entry("b.png"))
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path, tmp_path) as book:
        assert book.unfinished is None and book.knows("a.png", 100, 5) and not book.knows("b.png", 100, 5)
        note(book, "c.png")
    with Journal(path, tmp_path) as book:
        assert book.knows("c.png", 100, 5)


def test_what_a_failing_disk_left_between_lines_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    rubbish = b'rubbish\n{"picture": 3}\n[1]\nnull\n{"answer": 1, "picture": "x"}\n\xff\xfe\n{"picture": ["a"]}\n'
    path.write_bytes(b'{"edge_watch": 1}\n' + rubbish)
    with Journal(path, tmp_path) as book:
        note(book, "a.png")
    with Journal(path, tmp_path) as book:
        assert book.knows("a.png", 100, 5)


@pytest.mark.parametrize("content", [b"hello\n", b'{"edge_watch": 2}\n', b"\x89PNG\r\n\x1a\n", b"{}\n"])
def test_another_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not the journal"):
        Journal(path, tmp_path)
    assert path.read_bytes() == content


def test_a_folder_a_pipe_and_a_place_that_is_not_there_are_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, kind in (("pipe", UsageError), (".", UsageError), ("gone/journal", OutputError)):
        with pytest.raises(kind, match="`state`"):
            Journal(tmp_path / name, tmp_path)


def test_it_stays_short_and_forgets_only_what_is_long_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "REMEMBERED", 20)
    path = tmp_path / "journal"
    names = [f"{number}.png" for number in range(500)]
    # The first pictures stay in the folder; the others are moved or deleted by their owner.
    for name in names[:10]:
        (tmp_path / name).touch()
    longest = 0
    with Journal(path, tmp_path) as book:
        for name in names:
            note(book, name)
            longest = max(longest, lines(path))
        assert longest <= (10 + 20) + 20 + 2 * 20 + 2
        last = {name for name in names if book.knows(name, 100, 5)}
    assert {*names[:10], *names[-20:]} <= last and len(last) < 100
    with Journal(path, tmp_path) as book:
        kept = {name for name in names if book.knows(name, 100, 5)}
        assert {*names[:10], *names[-20:]} <= kept <= last
        assert book.digest(names[0], 100) == book.digest(names[-1], 100) == "ab" * 32
    assert sorted(each.name for each in tmp_path.iterdir() if each.suffix != ".png") == ["journal"]


def test_many_pictures_that_stay_in_the_folder_are_not_written_anew_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "REMEMBERED", 5)
    path = tmp_path / "journal"
    names = [f"{number}.png" for number in range(60)]
    for name in names:
        (tmp_path / name).touch()
    with Journal(path, tmp_path) as book:
        note(book, *names)
    for _ in range(2):
        with Journal(path, tmp_path) as book:
            assert all(book.knows(name, 100, 5) for name in names)
        found = path.stat().st_ino
    with Journal(path, tmp_path):
        assert path.stat().st_ino == found


def test_a_long_journal_is_shortened_when_it_is_opened_unless_it_tells_of_an_answer_in_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    with Journal(path, tmp_path) as book:
        note(book, *(f"{number}.png" for number in range(100)))
        book.answered(entry("last.png", move_to="sorted/last.png"))
    monkeypatch.setattr(journal, "REMEMBERED", 5)
    with Journal(path, tmp_path) as book:
        assert book.unfinished == entry("last.png", move_to="sorted/last.png")
        assert lines(path) == 202
        book.done("last.png")
        assert lines(path) == 1 + 5
        assert book.knows("last.png", 100, 5) and not book.knows("0.png", 100, 5)


def test_where_it_cannot_be_written_anew_it_goes_on_growing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "REMEMBERED", 5)
    path = tmp_path / "journal"
    (tmp_path / "journal.new").mkdir()
    with Journal(path, tmp_path) as book:
        note(book, *(f"{number}.png" for number in range(50)))
    assert lines(path) == 101
    (tmp_path / "journal.new").rmdir()
    with Journal(path, tmp_path) as book:
        assert lines(path) == 1 + 5 and book.knows("49.png", 100, 5)


def test_one_process_at_a_time_also_after_it_was_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fcntl")
    monkeypatch.setattr(journal, "REMEMBERED", 5)
    path = tmp_path / "journal"
    with Journal(path, tmp_path) as book:
        with pytest.raises(UsageError, match="another process"):
            Journal(path, tmp_path)
        note(book, *(f"{number}.png" for number in range(50)))
        assert lines(path) < 50
        with pytest.raises(UsageError, match="another process"):
            Journal(path, tmp_path)
        before = json.loads(path.read_bytes().splitlines()[-1])
    assert "picture" in before or "done" in before
    with Journal(path, tmp_path) as book:
        assert book.knows("49.png", 100, 5)
