"""The same network by several engines: the same answers, each with as many threads as it was given."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge_benchmarks import Contestant
from edge_benchmarks.models.engines import Setup, _Graph, import_engine, open_engine, random_feed, random_pixels
from edge_runtime import ModelError, Sample, UsageError, open_session
from other_models import write_fixed, write_foreign, write_sum
from tiny_model import write_tiny_model


def test_a_classifier_that_edge_did_not_make_runs_on_pictures(tmp_path: Path) -> None:
    contestant = Contestant("foreign", write_foreign(tmp_path / "foreign.onnx"))
    assert (contestant.backbone, contestant.file.classes, contestant.file.input_px) == ("foreign", 5, "16")
    setup = contestant.setup(threads=1, batch=2, images=(tmp_path / "x.png",))
    engine = open_engine(setup)
    assert engine.preprocessing is not None
    assert engine.run(np.stack(random_pixels(engine.preprocessing, 3))).shape == (3, 5)


def test_any_other_graph_runs_on_random_numbers_alone(tmp_path: Path) -> None:
    contestant = Contestant("sum", write_sum(tmp_path / "sum.onnx"))
    assert not contestant.takes_images
    with pytest.raises(UsageError, match="takes no pictures") as caught:
        contestant.setup(threads=1, batch=2, images=(tmp_path / "x.png",))
    assert "`random_input`" in caught.value.hint
    engine = open_engine(contestant.setup(threads=1, batch=2, images=()))
    assert engine.run(np.stack(random_pixels(None, 4))).shape == (4, 7)


@pytest.mark.parametrize(("fixed", "asked", "ran"), [(1, 8, 8), (4, 6, 8), (4, 1, 4)])
def test_a_fixed_batch_runs_as_often_as_the_images_that_are_counted(
    fixed: int, asked: int, ran: int, tmp_path: Path
) -> None:
    contestant = Contestant("fixed", write_fixed(tmp_path / "fixed.onnx", fixed))
    assert not contestant.takes_images and contestant.file.at_once == fixed
    # Of one image: 2 × 8 × 8 numbers, each a sum over three.
    assert contestant.file.multiply_adds == 2 * 8 * 8 * 3
    setup = contestant.setup(threads=1, batch=asked, images=())
    assert setup.batch == ran
    engine = open_engine(setup)
    assert isinstance(engine, _Graph)
    given: list[int] = []
    session = engine._session

    class Counting:
        def run(self, outputs: None, feed: dict[str, Any]) -> Any:
            given.append(len(feed["images"]))
            return session.run(outputs, feed)

        def get_inputs(self) -> Any:
            return session.get_inputs()

    engine._session = Counting()
    engine.run(np.stack(random_pixels(None, setup.batch)))
    assert given == [fixed] * (ran // fixed)


def test_only_a_fixed_number_of_images_is_a_batch(tmp_path: Path) -> None:
    for name, batch in (("free", "n"), ("fixed", 4)):
        contestant = Contestant(name, write_foreign(tmp_path / f"{name}.onnx", batch=batch))
        setup = contestant.setup(threads=1, batch=6, images=(tmp_path / "x.png",))
        assert (contestant.file.at_once, setup.batch) == ((None, 6) if name == "free" else (4, 8))
    assert Contestant("sum", write_sum(tmp_path / "sum.onnx")).file.at_once is None


def test_random_input_fits_what_a_graph_declares_and_is_always_the_same(tmp_path: Path) -> None:
    session = open_session(write_sum(tmp_path / "sum.onnx"))
    one, two = random_feed(session, 3, "sum.onnx"), random_feed(session, 3, "sum.onnx")
    assert {name: (value.shape, value.dtype) for name, value in one.items()} == {
        "x": ((3, 7), np.float32),
        "ids": ((3, 7), np.int64),
    }
    assert set(one["ids"].ravel()) <= {0, 1}
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_an_input_that_holds_no_numbers_is_refused(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["text"], ["same"])],
        "text",
        [helper.make_tensor_value_info("text", TensorProto.STRING, ["n"])],
        [helper.make_tensor_value_info("same", TensorProto.STRING, ["n"])],
    )
    path = tmp_path / "text.onnx"
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)]), path)
    with pytest.raises(UsageError, match=r"tensor\(string\)"):
        _ = Contestant("text", path).file


def test_torch_and_torchscript_answer_as_onnxruntime_does(fresh: Contestant, tmp_path: Path) -> None:
    import torch

    from edge_benchmarks import find_rivals

    said: list[str] = []
    rivals = find_rivals([fresh], ("torch", "torchscript"), tmp_path, said.append)
    assert [rival.engine for rival in rivals] == ["torch", "torchscript"] and not said
    assert all(rival.file is fresh.file for rival in rivals)
    own = open_engine(fresh.setup(threads=1, batch=1, images=()))
    pixels = np.stack(random_pixels(own.preprocessing, 2))
    before = torch.get_num_threads()
    try:
        for rival in rivals:
            engine = open_engine(rival.setup(threads=1, batch=1, images=()))
            assert np.abs(engine.run(pixels) - own.run(pixels)).max() < 1e-4
            assert torch.get_num_threads() == 1
            assert engine.preprocessing == own.preprocessing
    finally:
        torch.set_num_threads(before)


def test_another_engine_scores_images_as_onnxruntime_does(fresh: Contestant, tmp_path: Path) -> None:
    from PIL import Image

    for index in range(4):
        Image.effect_noise((64, 64), 80).convert("RGB").save(tmp_path / f"{index}.png")
    (tmp_path / "4.png").write_text("broken", encoding="utf-8")
    assert fresh.checkpoint is not None
    own = open_engine(fresh.setup(threads=1, batch=1, images=()))
    torch = open_engine(fresh.run_by("torch", fresh.checkpoint).setup(threads=1, batch=1, images=()))
    label = int(own.run(np.stack([own.preprocessing(tmp_path / "0.png")]))[0].argmax()) if own.preprocessing else 0
    samples = [Sample(f"{index}.png", label) for index in range(5)]
    one, two = (engine.evaluate(tmp_path, samples, lambda: None) for engine in (own, torch))
    assert one.metrics.top1 == two.metrics.top1 and one.metrics.n == 4 and one.metrics.correct >= 1
    assert [error.message for error in one.unreadable] == [error.message for error in two.unreadable]
    assert len(one.unreadable) == 1


@pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
def test_openvino_answers_as_onnxruntime_does(tmp_path: Path) -> None:
    contestant = Contestant("tiny", write_tiny_model(tmp_path / "tiny.onnx"))
    rival = contestant.run_by("openvino", contestant.model)
    own, other = (open_engine(each.setup(threads=1, batch=1, images=())) for each in (contestant, rival))
    pixels = np.stack(random_pixels(own.preprocessing, 3))
    assert np.abs(other.run(pixels) - own.run(pixels)).max() < 1e-4


@pytest.mark.skipif(find_spec("openvino") is not None, reason="openvino is installed")
def test_an_engine_that_is_not_installed_is_named() -> None:
    with pytest.raises(UsageError, match="openvino, which is not installed") as caught:
        import_engine("openvino")
    assert "edge-vision[fast]" in caught.value.hint


def test_a_graph_that_cannot_take_random_input_is_an_error_in_words(tmp_path: Path) -> None:
    # A table of one row, and indices of which some are 1.
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "ids"], ["y"])],
        "gather",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", 20])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 20, 3])],
        [onnx.numpy_helper.from_array(np.ones((1, 3), np.float32), "table")],
    )
    path = tmp_path / "gather.onnx"
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)]), path)
    engine = open_engine(Setup(str(path), is_classifier=False))
    with pytest.raises(ModelError, match=r"gather\.onnx fails on random input"):
        engine.run(np.stack(random_pixels(None, 1)))


def test_a_network_of_several_tasks_answers_with_all_of_them() -> None:
    torch = pytest.importorskip("torch")
    from edge_benchmarks.models.engines import _Torch
    from edge_runtime import ModelCard, Preprocessing, Task

    class Tasks(torch.nn.Module):
        def forward(self, pixels: Any) -> tuple[Any, ...]:
            colour = pixels.float().mean((1, 2)) / 255
            return colour, colour[:, :2], torch.full((len(pixels), 9), 7.0)

    tasks = (Task("a", ("x", "y", "z")), Task("b", ("x", "y")))
    card = ModelCard(
        tuple(label for task in tasks for label in task.card_labels),
        Preprocessing(resize_px=8, height_px=8, width_px=8, interpolation="bilinear"),
        "none",
        "scratch",
        tasks=tasks,
    )
    before = torch.get_num_threads()
    try:
        found = _Torch(Tasks(), card, 1).run(np.full((2, 8, 8, 3), (255, 51, 0), np.uint8))
    finally:
        torch.set_num_threads(before)
    # The embedding behind them is no answer.
    assert found.shape == (2, 5) and np.allclose(found[0], [1, 0.2, 0, 1, 0.2])
