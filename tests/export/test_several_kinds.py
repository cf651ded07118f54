"""Files of several labels, and of several tasks: what a bare onnxruntime finds in them, and that they are proven."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

import onnxruntime  # noqa: E402

from edge_data import read_split  # noqa: E402
from edge_export import ExportSettings, export, read_torchscript  # noqa: E402
from edge_export.proof.answers import Answers, Model  # noqa: E402
from edge_export.proof.decision import decision_of  # noqa: E402
from edge_export.proof.parity import check_parity, expect  # noqa: E402
from edge_export.proof.sample_images import hostile_pictures  # noqa: E402
from edge_runtime import Classifier, ModelCard, ParityError, Preprocessing, Run, UsageError  # noqa: E402
from edge_runtime.model.task import Task  # noqa: E402
from edge_train import average, deploy, load_checkpoint  # noqa: E402

CONTRACT = Preprocessing(resize_px=8, height_px=8, width_px=8, interpolation="bilinear")


@pytest.fixture(scope="module", params=["labels_run", "tasks_run"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A copy of a finished run, to be exported."""
    folder = tmp_path_factory.mktemp("exported") / "run"
    shutil.copytree(request.getfixturevalue(request.param), folder)
    return Run(folder)


def validation(run: Run) -> tuple[ModelCard, torch.Tensor]:
    card = load_checkpoint(run.best).card
    root = Path(run.read_config()["data_root"])
    samples = read_split(run.split, card.labels).val
    return card, torch.stack([torch.from_numpy(card.preprocessing(root / sample.path)) for sample in samples])


def test_both_formats_answer_as_the_checkpoint_does_and_tell_the_kinds_own_figure(run: Run) -> None:
    card, pixels = validation(run)
    with torch.inference_mode():
        network = deploy(load_checkpoint(run.best).build(), card)
        found = network(pixels)
    expected = [each.numpy() for each in (found if isinstance(found, tuple) else (found,))]
    done = {item.format: item for item in export(run, ("onnx", "torchscript"))}
    session = onnxruntime.InferenceSession(done["onnx"].path)
    assert tuple(node.name for node in session.get_outputs()) == card.outputs
    for size in (1, len(pixels)):
        answers = session.run(None, {"image": pixels[:size].numpy()})
        for ours, theirs in zip(expected, answers, strict=True):
            np.testing.assert_allclose(theirs, ours[:size], atol=1e-5)
    module, stated = read_torchscript(done["torchscript"].path)
    with torch.inference_mode():
        traced = module(pixels)
    for ours, theirs in zip(expected, traced if isinstance(traced, tuple) else (traced,), strict=True):
        np.testing.assert_allclose(theirs.numpy(), ours, atol=1e-5)
    classifier = Classifier(done["onnx"].path)
    np.testing.assert_allclose(classifier.probabilities(pixels.numpy()), np.concatenate(expected, axis=1), atol=1e-5)
    assert (stated.kind, stated.thresholds, stated.tasks) == (card.kind, card.thresholds, card.tasks)
    assert (classifier.card.kind, classifier.card.metrics) == (card.kind, card.metrics)

    name = "map" if card.kind == "multi-label" else "mean_accuracy"
    proof = done["onnx"].card.parity["validation"]
    assert proof[name] == pytest.approx(card.metrics["val"][name], abs=1e-6)
    assert proof["recorded"] == {"n": card.metrics["val"]["n"], name: card.metrics["val"][name]}
    assert proof["checkpoint"]["exact_match"] == proof["checkpoint"]["exact_match_of_file"]
    assert json.loads((run.path / "export.json").read_text())["files"][0]["validation"] == proof


def test_half_precision_and_an_embedding_can_be_had(run: Run, tmp_path: Path) -> None:
    (done,) = export(run, out=tmp_path / "m.onnx", settings=ExportSettings(precision="fp16", with_embedding=True))
    assert (done.card.precision, done.card.kind) == ("fp16", load_checkpoint(run.best).card.kind)
    names = [node.name for node in onnxruntime.InferenceSession(done.path).get_outputs()]
    assert names == [*done.card.outputs, "embedding"]


def test_int8_answers_with_its_own_outputs_and_as_its_graph_does(run: Run, edge: Any, tmp_path: Path) -> None:
    settings = ExportSettings(precision="int8", max_drop_points=30)
    (done,) = export(run, out=tmp_path / "m.onnx", settings=settings)
    card = done.card
    assert (card.precision, card.kind) == ("int8", load_checkpoint(run.best).card.kind)
    graph = onnx.load(done.path).graph
    nodes = graph.node
    made = {output: node.op_type for node in nodes for output in node.output}
    weighted = [node for node in nodes if node.op_type in ("Conv", "Gemm")]
    assert len(weighted) == 4 and all(made[node.input[1]] == "DequantizeLinear" for node in weighted)
    # Logits in 256 steps are coarse: they, their shares of a task, and the probabilities are floats.
    read = {name for node in nodes for name in node.input}
    assert {tensor.name for tensor in graph.initializer} <= read, "onnxruntime warns of what nothing reads"
    logits = next(node.output[0] for node in nodes if node.op_type == "Gemm")
    assert {node.op_type for node in nodes if logits in node.input} <= {"Div", "Slice", "Split"}
    assert all(made[output] in ("Sigmoid", "Softmax") for output in card.outputs)
    session = onnxruntime.InferenceSession(done.path)
    assert tuple(node.name for node in session.get_outputs()) == card.outputs
    _, pixels = validation(run)
    with torch.inference_mode():
        found = deploy(load_checkpoint(run.best).build(), card)(pixels)
    expected = np.concatenate([each.numpy() for each in (found if isinstance(found, tuple) else (found,))], axis=1)
    answers = np.concatenate(session.run(None, {"image": pixels.numpy()}), axis=1)
    assert np.abs(answers - expected).mean() < 0.05 and not np.array_equal(answers, expected)
    trained, made = ([*_judged(each)] for each in (load_checkpoint(run.best).card, card))
    assert [each["calibration_folds"] for each in made] == [each["calibration_folds"] for each in trained]
    assert all(each["calibration_folds"] > 1 for each in made), "the file's own answers, judged as training's"
    stated = card.quantization["arithmetic"]["exact"]
    assert stated["n"] == len(pixels) and stated["max_difference"] <= 0.02
    told = edge("evaluate", "--model", done.path, "--run", run.path, "--split", "val", "--exact", "--json")
    exact = json.loads(told.stdout)["exact"]
    assert exact.pop("holds") is True and exact == pytest.approx(stated, abs=1e-6)


def _judged(card: ModelCard) -> Iterable[dict[str, Any]]:
    """The figures of each task on validation, or of all labels."""
    figures = card.metrics["val"]
    found: dict[str, dict[str, Any]] = figures.get("tasks", {"": figures})
    return found.values()


def test_the_calibration_of_a_file_in_half_precision_is_judged_as_the_checkpoints(run: Run, tmp_path: Path) -> None:
    (done,) = export(run, out=tmp_path / "m.onnx", settings=ExportSettings(precision="fp16"))
    for found, trained in zip(_judged(done.card), _judged(load_checkpoint(run.best).card), strict=True):
        for name in ("log_loss", "brier", "calibration_folds"):
            assert found[name] == pytest.approx(trained[name], rel=0.02)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tta": "flip"}, "`tta` is for models of one label"),
        ({"with_unlike": True}, "`with_unlike` is for models of one label"),
        ({"positive": "circle"}, "`positive` is for models of one label"),
    ],
)
def test_what_one_label_alone_can_have_is_refused(
    run: Run, settings: dict[str, object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        export(run, out=tmp_path / "no.onnx", settings=ExportSettings(**settings))  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_runs_are_neither_averaged_nor_an_ensemble(run: Run, tmp_path: Path) -> None:
    other = Run(tmp_path / "other")
    shutil.copytree(run.path, other.path)
    with pytest.raises(UsageError, match="run cannot be averaged with others"):
        export([run, other], out=tmp_path / "both.onnx")
    with pytest.raises(UsageError, match="those of one label a picture alone are averaged"):
        average([run, other], out=tmp_path / "runs")


LABELS = ModelCard(("a", "b"), CONTRACT, "resnet18", "scratch", thresholds=(0.5, 0.2), temperature=4.0)
TASKS = ModelCard(
    ("x: a", "x: b", "y: a", "y: b"),
    CONTRACT,
    "resnet18",
    "scratch",
    tasks=(Task("x", ("a", "b"), 4.0), Task("y", ("a", "b"))),
)


@pytest.mark.parametrize(
    ("card", "row", "apart", "tie"),
    [
        (LABELS, (0.6, 0.19), (0.6, 0.21), (0.6, 0.19999)),
        (TASKS, (0.7, 0.3, 0.6, 0.4), (0.7, 0.3, 0.4, 0.6), (0.7, 0.3, 0.50001, 0.49999)),
    ],
)
def test_answers_are_alike_where_every_label_is(
    card: ModelCard, row: tuple[float, ...], apart: tuple[float, ...], tie: tuple[float, ...]
) -> None:
    decision = decision_of(card)
    one, two, three = (np.array([each], np.float32) for each in (row, apart, tie))
    other = three.copy()
    other[0, -2:] = (0.6, 0.20001) if card is LABELS else (0.49999, 0.50001)
    assert decision.same(one, one).all()
    assert not decision.same(one, two).any()
    assert decision.same(three, other).all()


@pytest.mark.parametrize(("card", "row"), [(LABELS, (0.5, 0.5)), (TASKS, (0.5, 0.5, 0.9, 0.1))])
def test_a_temperature_hides_no_difference(card: ModelCard, row: tuple[float, ...]) -> None:
    """Folded in, a temperature of 4 makes of a difference a quarter of what it is."""
    sure = np.array(row, np.float32)
    moved = sure + np.array([9e-5, *(-9e-5 * (card is TASKS),), *(0.0 for _ in row[2:])], np.float32)

    def model(answer: NDArray[np.float32]) -> Model:
        return Model(card.labels, CONTRACT, lambda pixels: Answers(np.repeat(answer[None], len(pixels), axis=0)))

    expected = expect(model(sure), hostile_pictures(CONTRACT))
    plain = replace(card, temperature=1.0, tasks=tuple(replace(task, temperature=1.0) for task in card.tasks))
    check_parity(expected, model(moved), what="m.onnx", decision=decision_of(plain))
    with pytest.raises(ParityError, match=r"max \|Δp\| 0.00036"):
        check_parity(expected, model(moved), what="m.onnx", decision=decision_of(card))
