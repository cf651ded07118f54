"""One record of drift for the answers of several workers."""

from __future__ import annotations

import json
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path

import pytest

from edge_runtime import Classifier, ModelCard, UsageError
from edge_serve import ServeSettings
from edge_serve.workers.answers_sender import AnswersSender, SentAnswers
from edge_serve.workers.drift_figures import FleetDrift, drift_figures
from edge_serve.workers.messages import Answers, Opened
from tiny_model import write_multi_label_model


@pytest.fixture
def card(rgb_model: Path) -> ModelCard:
    return Classifier(rgb_model, threads=1).card


def fleet(tmp_path: Path, name: str = "drift.jsonl") -> FleetDrift:
    return FleetDrift(ServeSettings({"m": Path("m.onnx")}, drift=tmp_path / name), tmp_path, print)


def test_the_answers_of_all_are_in_one_window(tmp_path: Path, card: ModelCard) -> None:
    drift = fleet(tmp_path)
    assert drift_figures(tmp_path, "m")() == {}
    for worker in (0, 1):
        # Each sends a card of its own making.
        drift.opened(worker, Opened("m", replace(card)))
        drift.answered(worker, Answers("m", (("red", 0.5 + worker / 4, None),) * 3))
    drift.publish()
    found = drift_figures(tmp_path, "m")()
    assert found["window"] == 6 and found["confidence"] == pytest.approx(0.625)
    # One has taken a newer model: what the other still answers with the old one is passed over.
    new = replace(card, created="later")
    drift.opened(0, Opened("m", new))
    drift.answered(1, Answers("m", (("red", 0.9, None),)))
    drift.answered(0, Answers("m", (("blue", 0.9, None),)))
    drift.opened(1, Opened("m", replace(new)))
    drift.answered(1, Answers("m", (("blue", 0.7, None),)))
    drift.publish()
    assert drift_figures(tmp_path, "m")()["labels"] == {"blue": 1.0}
    drift.close()
    lines = [json.loads(line) for line in (tmp_path / "drift.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == [6, 2]


def test_what_cannot_be_recorded_is_told_at_the_start(tmp_path: Path, card: ModelCard) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="no record of drift"):
        fleet(tmp_path, "mine.txt").opened(0, Opened("m", card))
    several = Classifier(write_multi_label_model(tmp_path / "several.onnx"), threads=1).card
    with pytest.raises(UsageError, match="multi-label"):
        fleet(tmp_path).opened(0, Opened("m", several))


def test_a_model_without_a_record_does_not_take_the_place_of_one_with(tmp_path: Path, card: ModelCard) -> None:
    several = Classifier(write_multi_label_model(tmp_path / "several.onnx"), threads=1).card
    here, there = Pipe()
    sender = AnswersSender(there)
    record = SentAnswers(sender, "m", card)
    with pytest.raises(UsageError, match="multi-label"):
        record.renew(several)
    record.add(card, "red", 0.9)
    SentAnswers(sender, "other", several).renew(several)
    sender.start()
    sender.close()
    assert here.recv() == Answers("m", (("red", 0.9, None),)) and here.recv().model == "other"
    here.close()
    there.close()

    drift = fleet(tmp_path)
    drift.opened(0, Opened("m", card))
    with pytest.raises(UsageError, match="multi-label"):
        drift.opened(0, Opened("m", several))
    drift.answered(0, Answers("m", (("red", 0.9, None),)))
    drift.publish()
    assert drift_figures(tmp_path, "m")()["images"] == 0


def test_a_worker_sends_its_answers_in_their_order(card: ModelCard) -> None:
    here, there = Pipe()
    sender = AnswersSender(there)
    record, new = SentAnswers(sender, "m", card), replace(card, created="later")
    record.add(card, "red", 0.9, distance=1.5)
    record.add(card, "blue", 0.8)
    record.renew(new)
    record.add(card, "red", 0.1)
    record.add(new, "green", 0.7)
    sender.start()
    sender.close()
    found = [here.recv() for _ in range(3)]
    assert found[0] == Answers("m", (("red", 0.9, 1.5), ("blue", 0.8, None)))
    assert found[1].card.created == "later" and found[2] == Answers("m", (("green", 0.7, None),))
    assert not here.poll()
    here.close()
    # Nobody listens any more: that is no error of the worker's.
    sender.now(Opened("m", card))
    there.close()
