"""An argument of another kind than the front door takes: one line that names it, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge_vision
from edge_vision import UsageError
from tiny_model import write_tiny_model

# Called as no type checker lets one.
ev: Any = edge_vision

LEAN: dict[str, tuple[Callable[[], object], str]] = {
    "find_run": (lambda: ev.find_run(5), "`run` 5: a path is needed"),
    "newest_run": (lambda: ev.newest_run(None), "`root` None: a path is needed"),
    "find_backbone": (lambda: ev.find_backbone(5), "`backbone` 5: a text is needed"),
    "read_labels": (lambda: ev.read_labels(None), "`labels` None: a path is needed"),
    "read_train_settings": (lambda: ev.read_train_settings(5), "`path` 5: a path is needed"),
    "ForeignClassifier": (lambda: ev.ForeignClassifier(5, labels=["a"]), "`model` 5: a path is needed"),
    "its labels": (lambda: ev.ForeignClassifier("x.onnx", labels=None), "`labels` None: a text is needed"),
    "check_data": (lambda: ev.check_data(5), "`data` 5: a path is needed"),
    "its threads": (lambda: ev.check_data("x", threads="2"), "`threads` '2': a whole number is needed"),
    "its label_from": (lambda: ev.check_data(".", label_from="x"), "`label_from` x is not known"),
    "its sheet": (lambda: ev.check_data(".", sheet=5), "`sheet` 5: a path is needed"),
    "draw_shapes": (lambda: ev.draw_shapes(None), "`folder` None: a path is needed"),
    "its counts": (lambda: ev.draw_shapes("x", counts="300"), "`counts` '300': a whole number is needed"),
    "two counts": (lambda: ev.draw_shapes("x", counts=(3, 3)), "are not three"),
    "its seed": (lambda: ev.draw_shapes("x", seed="1"), "`seed` '1': a whole number is needed"),
    "its size": (lambda: ev.draw_shapes("x", size_px=64.5), "`size_px` 64.5: a whole number is needed"),
    "decode": (lambda: ev.decode(b"", max_pixels="8"), "`max_pixels` '8': a whole number is needed"),
    "its reduce": (lambda: ev.decode(b"", reduce_to_px="8"), "`reduce_to_px` '8': a whole number is needed"),
    "its background": (lambda: ev.decode(b"", background="white"), "`background` 'white': a whole number is needed"),
    "its colour": (lambda: ev.decode(b"", background=(0, 0, 300)), "three numbers of 0 to 255 are needed"),
    "evaluate": (lambda: ev.evaluate("m.onnx", ".", []), "`classifier` 'm.onnx' is a path"),
    "evaluate_several": (lambda: ev.evaluate_several("m.onnx", ".", []), "`classifier` 'm.onnx' is a path"),
    "choose_evaluation": (lambda: ev.choose_evaluation("m.onnx"), "`card` 'm.onnx': ModelCard is needed"),
    "bench": (lambda: ev.bench(["m.onnx"]), "`contestants` 'm.onnx': Contestant is needed"),
    "its settings": (lambda: ev.bench([], "fast"), "`settings` 'fast': BenchSettings are needed"),
}
HEAVY: dict[str, tuple[Callable[[], object], str]] = {
    "train": (lambda: ev.train("photos"), "`settings` 'photos': TrainSettings are needed"),
    "compare": (lambda: ev.compare("photos"), "`settings` 'photos': TrainSettings are needed"),
    "find_learning_rate": (lambda: ev.find_learning_rate(None), "`settings` None: TrainSettings are needed"),
    "import_checkpoint": (lambda: ev.import_checkpoint(5), "`checkpoint` 5: a text is needed"),
    "resume": (lambda: ev.resume("gone"), "gone is not a run folder"),
    "remeasure": (lambda: ev.remeasure(5), "`run` 5: a path is needed"),
    "average": (lambda: ev.average(["gone", "too"]), "gone is not a run folder"),
    "average of none": (lambda: ev.average(5), "`run` 5: a path is needed"),
    "its threads": (lambda: ev.average([], threads="2"), "`threads` '2': a whole number is needed"),
    "list_layers": (lambda: ev.list_layers("gone"), "gone is not a run folder"),
    "explain_answer": (lambda: ev.explain_answer("gone", "x.jpg", "o.png"), "gone is not a run folder"),
    "draw_activations": (lambda: ev.draw_activations("gone", "x.jpg", "a", "o.png"), "gone is not a run folder"),
    "tune": (lambda: ev.tune("photos"), "`settings` 'photos': TrainSettings are needed"),
    "export": (lambda: ev.export("gone"), "gone is not a run folder"),
    "export of none": (lambda: ev.export(None), "`run` None: a path is needed"),
}


@pytest.mark.parametrize("name", LEAN)
def test_what_needs_no_torch_names_the_argument(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(*LEAN[name])


@pytest.mark.parametrize("name", HEAVY)
def test_what_needs_torch_names_the_argument(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torch", "torchvision", "onnx"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    refused(*HEAVY[name])


def refused(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(UsageError) as told:
        call()
    assert said in str(told.value)


def test_an_answers_top_is_a_number_of_labels(tmp_path: Path) -> None:
    answer = ev.Classifier(write_tiny_model(tmp_path / "model.onnx")).predict(np.zeros((8, 8, 3), np.uint8))
    assert len(answer.top(np.int64(2))) == 2
    refused(lambda: answer.top("3"), "`k` '3': a whole number is needed")


def test_paths_are_texts_or_paths_and_a_run_is_either_or_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/one").mkdir(parents=True)
    (tmp_path / "runs/one/config.json").write_text("{}")
    run = ev.find_run("one")
    assert run == ev.find_run(Path("runs/one")) and ev.find_run(run) is run
    ev.draw_shapes("shapes", counts=[3, 0, 3])
    classifier = ev.Classifier(write_tiny_model(tmp_path / "m.onnx", labels=("circle", "square", "triangle")))
    found = ev.choose_evaluation(classifier.card, data="shapes")
    assert ev.evaluate(classifier, str(found.root), found.samples).metrics.n == 3
    other = ev.Classifier(write_tiny_model(tmp_path / "n.onnx", labels=("circle", "square")))
    with pytest.raises(ev.DataError, match="more classes"):
        ev.evaluate(other, found.root, found.samples)
