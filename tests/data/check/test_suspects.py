"""Labels that are likely wrong: from the answers of a cross-validated run to a list that a person goes through."""

from __future__ import annotations

import csv
import json
import unicodedata
from pathlib import Path

import pytest

from edge_data import find_suspects, write_suspects
from edge_data.sets.out_of_fold import read_out_of_fold
from edge_runtime import DataError, Run, UsageError, scan

# Of 24 images the last of a and of b are answered as the other, and two are one picture.
SURE, WRONG = 0.85, 0.1


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run on photos/a and photos/b, twelve images each; a/0.png and b/0.png are one picture."""
    root = tmp_path / "photos"
    rows = []
    for label in "ab":
        for number in range(12):
            path = root / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            # All as long, so that length alone tells nothing apart.
            path.write_bytes(b"one!" if number == 0 else f"{label}{number:03d}".encode())
            own = {0: 0.5, 11: WRONG + 0.1 * (label == "b")}.get(number, SURE)
            first = own if label == "a" else 1 - own
            rows.append(f"{label}/{number}.png,{label},1,{'a' if first >= 0.5 else 'b'},{first:.6g},{1 - first:.6g}\n")
    made = Run(tmp_path / "run")
    made.path.mkdir()
    made.config.write_text(json.dumps({"data_root": str(root), "data_sources": [str(root)], "settings": {}}))
    (made.path / "out-of-fold.csv").write_text("path,label,fold,answer,p a,p b\n" + "".join(rows))
    return made


def names(run: Run) -> list[str]:
    found = find_suspects(run)
    return [found.name(each) for each in found.suspects]


def test_copies_under_two_labels_stand_before_what_the_answers_contradict(run: Run) -> None:
    found = find_suspects(run)
    assert [found.name(each) for each in found.suspects] == ["a/0.png", "b/0.png", "a/11.png", "b/11.png"]
    first, second, third, _ = found.suspects
    assert (first.copy_of, second.copy_of) == (second.path, first.path)
    assert (third.label, third.answer, third.copy_of) == ("a", "b", None)
    assert (third.probability, third.label_probability, third.score) == pytest.approx((0.9, 0.1, 0.1))
    assert (found.images, found.copies, found.mended) == (24, 2, 0)
    # One of 11 confident a's is b, and one of 11 b's is a; 12 each.
    assert found.errors.estimated_wrong == pytest.approx(2 * 12 / 11)
    assert found.pairs() == {("a", "b"): 2, ("b", "a"): 2}
    assert json.loads(json.dumps(found.to_json()))["confident_joint"] == [[10, 1], [1, 10]]


def test_what_is_mended_or_gone_is_not_named_again(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    (root / "a/11.png").rename(root / "b/was-a-11.png")
    (root / "b/0.png").unlink()
    assert names(run) == ["b/11.png"]
    assert find_suspects(run).mended == 1


def test_labels_are_those_of_the_run_where_its_data_is_gone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photos").rename(tmp_path / "moved")
    found = find_suspects(run)
    assert [found.name(each) for each in found.suspects] == ["a/11.png", "b/11.png"]
    assert len(found.notes) == 1 and "photos does not exist" in found.notes[0]


def test_a_manifest_says_split_and_group_and_has_the_last_word(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    lines = [
        f"photos/{label}/{number}.png,{'b' if (label, number) == ('a', 0) else label},train,'=g{number}\n"
        for label in "ab"
        for number in range(12)
    ]
    manifest = tmp_path / "labels.csv"
    manifest.write_text("path,label,split,group\n" + "".join(lines))
    run.config.write_text(json.dumps({"data_root": str(tmp_path), "data_sources": [str(manifest)], "settings": {}}))
    answers = run.path / "out-of-fold.csv"
    lines = answers.read_text().splitlines(keepends=True)
    answers.write_text(lines[0] + "".join(f"photos/{line}" for line in lines[1:]))
    out = tmp_path / "lists" / "suspects.csv"
    out.parent.mkdir()
    write_suspects(out, find_suspects(run).suspects)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("path", "label", "answer", "probability", "label_probability", "split", "group", "rank", "score", "copy_of")
    ]
    assert [row["path"] for row in rows] == ["../photos/a/11.png", "../photos/b/11.png"]
    assert rows[0] | {"path": "", "rank": 1} == {
        **{"path": "", "label": "a", "answer": "b", "probability": "0.900000", "label_probability": "0.100000"},
        **{"split": "train", "group": "'=g11", "rank": 1, "score": "0.100000", "copy_of": ""},
    }
    listed = scan(out)
    assert (listed.labels, listed.root) == (("a", "b"), root)


def test_answers_that_are_missing_or_damaged_are_one_clear_error(run: Run) -> None:
    answers = run.path / "out-of-fold.csv"
    text = answers.read_text()
    for damaged, said in (
        (text.replace("path,label", "file,label"), "line 1: the header"),
        *(
            (text.replace("a/3.png,a,", f"{path},a,"), "line 5: .* is not a path inside the data folder")
            for path in ("/etc/passwd", "../3.png", "a/../../3.png", "")
        ),
        (text.replace("a/3.png,a,", "a/3.png,c,"), "line 5: 'c' is not one of the classes"),
        (text.replace("b/0.png,b,1,a,", "b/0.png,b,"), "line 14: 4 fields instead of 6"),
        (text.replace("0.85,", "nan,", 1), "line 3: a probability that is none"),
        (text.replace("0.85,", "x,", 1), "line 3: could not convert"),
        (text.splitlines(keepends=True)[0], "has no answers"),
    ):
        answers.write_text(damaged)
        with pytest.raises(DataError, match=said):
            read_out_of_fold(answers)
    answers.unlink()
    with pytest.raises(UsageError, match="was not cross-validated"):
        find_suspects(run)


def test_data_that_was_reached_through_a_link_is_found_again(run: Run, tmp_path: Path) -> None:
    expected = names(run)
    (tmp_path / "linked").symlink_to("photos")
    # As training writes it: the root without links, the place as it was named.
    root, named = str(tmp_path / "photos"), str(tmp_path / "linked")
    run.config.write_text(json.dumps({"data_root": root, "data_sources": [named], "settings": {}}))
    found = find_suspects(run)
    assert ([found.name(each) for each in found.suspects], found.copies, found.mended) == (expected, 2, 0)


def test_labels_of_an_older_run_are_those_of_the_folders_however_they_are_spelt(run: Run, tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    answers = run.path / "out-of-fold.csv"
    for spelt in (composed, decomposed):
        (tmp_path / "photos/b").rename(tmp_path / f"photos/{spelt}")
        text = answers.read_text()
        of_old = text.replace("p b", f"p {decomposed}").replace(",b", f",{decomposed}").replace("b/", f"{spelt}/")
        answers.write_text(of_old)
        found = find_suspects(run)
        assert (found.copies, found.mended) == (2, 0)
        (tmp_path / f"photos/{spelt}").rename(tmp_path / "photos/b")
        answers.write_text(text)
