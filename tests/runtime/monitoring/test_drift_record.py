"""What a model in use answers, against validation: a planted shift shows, and the record stays short and whole."""

from __future__ import annotations

import json
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import Classifier, DriftRecord, ModelCard, OutputError, UnlikeScale, UsageError
from edge_runtime.monitoring.answer_window import AnswerWindow
from tiny_model import write_multi_label_model, write_tiny_model

LABELS = ("day", "night")


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    plain = Classifier(write_tiny_model(tmp_path / "model.onnx", labels=(*LABELS, "fog"))).card
    per_class = [{"label": "day", "support": 80}, {"label": "night", "support": 20}, {"label": "fog", "support": 0}]
    return replace(plain, metrics={"val": {"accuracy": 0.9, "n": 100, "per_class": per_class}})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_planted_shift_shows_and_its_absence_does_not(tmp_path: Path, card: ModelCard) -> None:
    draw = np.random.default_rng(0)
    with DriftRecord(tmp_path / "drift.jsonl", card, print) as record:
        # As in validation: as sure as it is right, and the labels in their shares.
        for _ in range(2000):
            record.add(card, LABELS[int(draw.random() < 0.2)], float(draw.uniform(0.8, 1.0)))
        before = record.figures()
        # The camera was turned: other things come, and it is less sure of them.
        for _ in range(1000):
            record.add(
                card, LABELS[int(draw.random() < 0.7)], float(draw.uniform(0.5, 0.8)), unlike=draw.random() < 0.3
            )
        after = record.figures()
    assert before["expected"] == after["expected"] == 0.9
    assert before["confidence"] == pytest.approx(0.9, abs=0.01) and before["labels_distance"] < 0.05
    assert after["confidence"] == pytest.approx(0.65, abs=0.01)
    assert after["labels_distance"] == pytest.approx(0.5, abs=0.05) and after["unlike"] == pytest.approx(0.3, abs=0.05)
    written = lines(tmp_path / "drift.jsonl")
    assert [line["images"] for line in written] == list(range(100, 3001, 100))
    assert {line["window"] for line in written[9:]} == {1000} and written[-1].keys() == {"time", *after}
    assert sum(written[-1]["labels"].values()) == pytest.approx(1)
    # Seen while it happens, not only once the window is full of it.
    assert written[22]["labels_distance"] > 0.1 > written[19]["labels_distance"]


def test_a_planted_shift_of_what_is_seen_shows_before_any_label_changes(tmp_path: Path, card: ModelCard) -> None:
    draw = np.random.default_rng(0)
    known = replace(card, unlike=UnlikeScale.of(draw.beta(2, 8, 500), centres=4, training_images=50))
    with DriftRecord(tmp_path / "drift.jsonl", known, print) as record:
        for _ in range(1000):
            record.add(known, "day", 0.9, distance=float(draw.beta(2, 8)))
        before = record.figures()
        # Fog on the lens: the labels and how sure they are stay as they were.
        for _ in range(1000):
            record.add(known, "day", 0.9, distance=float(draw.beta(2, 8)) + 0.1)
        after = record.figures()
    assert before["distance"] == pytest.approx(0.2, abs=0.02) and before["unlikeness"] == pytest.approx(0.5, abs=0.05)
    assert before["distance_expected"] == after["distance_expected"] == pytest.approx(0.2, abs=0.02)
    assert after["distance"] == pytest.approx(0.3, abs=0.02) and after["unlikeness"] > 0.75
    assert before["labels"] == after["labels"] and before["confidence"] == after["confidence"]
    assert lines(tmp_path / "drift.jsonl")[-1]["distance"] == after["distance"]


def test_a_file_that_tells_no_distance_has_none_in_its_record(tmp_path: Path, card: ModelCard) -> None:
    with DriftRecord(tmp_path / "drift.jsonl", card, print, every=1) as record:
        record.add(card, "day", 0.9)
    (line,) = lines(tmp_path / "drift.jsonl")
    assert line["distance"] is line["distance_expected"] is line["unlikeness"] is None


def test_the_record_stays_short_and_goes_on_after_a_cut(tmp_path: Path, card: ModelCard) -> None:
    path = tmp_path / "drift.jsonl"
    with DriftRecord(path, card, print, every=1, kept=10) as record:
        for _ in range(95):
            record.add(card, "day", 0.9)
            assert len(lines(path)) <= 20
    assert lines(path)[-1]["images"] == 95
    with path.open("a") as file:
        file.write('{"time": "2026')
    with DriftRecord(path, card, print) as record:
        record.add(card, "day", 0.9)
    assert lines(path)[-1]["images"] == 1 and all(line["window"] for line in lines(path))


@pytest.mark.parametrize("left", ['{"time": "2026', "\0" * 300, '{"time": "2026", "images": 1, "window": 1}', ""])
def test_a_power_cut_in_the_very_first_line_keeps_nothing_from_starting(
    tmp_path: Path, card: ModelCard, left: str
) -> None:
    path = tmp_path / "drift.jsonl"
    path.write_text(left)
    with DriftRecord(path, card, print) as record:
        record.add(card, "day", 0.9)
    assert [line["images"] for line in lines(path)] == [1]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
def test_no_line_is_glued_to_what_a_full_disk_took_of_the_one_before(tmp_path: Path, card: ModelCard) -> None:
    import resource

    path, said = tmp_path / "drift.jsonl", []
    with DriftRecord(path, card, said.append, every=1) as record:
        record.add(card, "day", 0.9)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        # Room for half a line more.
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size * 3 // 2, limits[1]))
        try:
            record.add(card, "day", 0.9)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        record.add(card, "day", 0.9)
    assert len(said) == 1 and [line["images"] for line in lines(path)] == [1, 3]


def test_threads_lose_no_answer(tmp_path: Path, card: ModelCard) -> None:
    with DriftRecord(tmp_path / "drift.jsonl", card, print) as record:
        threads = [
            threading.Thread(target=lambda: [record.add(card, "day", 0.5) for _ in range(500)]) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert record.figures()["images"] == 4000
    assert [line["images"] for line in lines(tmp_path / "drift.jsonl")] == list(range(100, 4001, 100))


def test_another_model_begins_anew(tmp_path: Path, card: ModelCard) -> None:
    other = replace(card, created="later")
    with DriftRecord(tmp_path / "drift.jsonl", card, print) as record:
        record.add(card, "day", 0.9)
        record.renew(other)
        # What was under way when the file was replaced.
        record.add(card, "night", 0.9)
        record.add(other, "day", 0.7)
        assert record.figures()["labels"] == {"day": 1.0} and record.figures()["images"] == 1
    assert [line["confidence"] for line in lines(tmp_path / "drift.jsonl")] == [0.9, 0.7]


def test_a_full_disk_is_told_once_and_the_answers_go_on(tmp_path: Path, card: ModelCard) -> None:
    path, said = tmp_path / "drift.jsonl", []
    with DriftRecord(path, card, said.append, every=1) as record:
        record.add(card, "day", 0.9)
        path.unlink()
        path.mkdir()
        for _ in range(3):
            record.add(card, "day", 0.9)
    assert len(said) == 1 and "drift.jsonl cannot be written" in said[0]


def test_what_cannot_be_a_record_is_left_alone(tmp_path: Path, card: ModelCard) -> None:
    (tmp_path / "mine.txt").write_text("mine\n")
    (tmp_path / "mine.json").write_text('{"time": 1}\n')
    (tmp_path / "open.txt").write_text("mine")
    (tmp_path / "open.json").write_text('{"time": 1}')
    for path, error in (
        (tmp_path / "open.txt", UsageError),
        (tmp_path / "open.json", UsageError),
        (tmp_path / "mine.txt", UsageError),
        (tmp_path / "mine.json", UsageError),
        (tmp_path, UsageError),
        (tmp_path / "none" / "drift.jsonl", OutputError),
    ):
        with pytest.raises(error, match="`drift`"):
            DriftRecord(path, card, print)
    assert (tmp_path / "mine.txt").read_text() == "mine\n" and (tmp_path / "open.txt").read_text() == "mine"
    assert (tmp_path / "open.json").read_text() == '{"time": 1}'
    several = Classifier(write_multi_label_model(tmp_path / "several.onnx")).card
    with pytest.raises(UsageError, match="multi-label"):
        DriftRecord(tmp_path / "new.jsonl", several, print)
    assert not (tmp_path / "new.jsonl").exists()


def test_a_card_that_says_little_leaves_out_what_it_does_not_say(card: ModelCard) -> None:
    for metrics in ({}, {"val": {}}, {"val": {"accuracy": None, "per_class": [{"label": 1}, 7]}}):
        window = AnswerWindow(replace(card, metrics=metrics))
        assert window.figures() == {"images": 0, "window": 0}
        window.add("day", 0.5)
        assert window.figures()["expected"] is None and window.figures()["labels_distance"] is None
