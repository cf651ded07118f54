"""An export equals its checkpoint, or it does not exist."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from edge_export import export, exporting, read_torchscript  # noqa: E402
from edge_runtime import (  # noqa: E402
    CheckpointError,
    Classifier,
    ModelError,
    OutputError,
    ParityError,
    Run,
    Silence,
    UsageError,
    find_images,
)
from edge_train import DeployedNetwork, borrow_torch, load_checkpoint  # noqa: E402
from process_snapshot import leaves_no_trace  # noqa: E402


@pytest.fixture
def run(run_folder: Path, tmp_path: Path) -> Run:
    """The run, copied, so that each test may harm it."""
    return Run(Path(shutil.copytree(run_folder, tmp_path / run_folder.name)))


@pytest.fixture(scope="module")
def exported(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(Path(shutil.copytree(run_folder, tmp_path_factory.mktemp("exported") / run_folder.name)))
    export(run, ("onnx", "torchscript"))
    return run


def photos(run: Run) -> list[Path]:
    return find_images(Path(run.read_config()["data_root"]) / "test")


def test_an_export_waits_until_another_thread_has_no_need_of_torch() -> None:
    with ThreadPoolExecutor(1) as pool:
        with borrow_torch():
            other = pool.submit(export, [])
            with pytest.raises(TimeoutError):
                other.result(timeout=0.5)
        with pytest.raises(UsageError, match="no run"):
            other.result(timeout=60)


def test_the_file_answers_as_the_checkpoint_does(exported: Run) -> None:
    checkpoint = load_checkpoint(exported.best)
    network = DeployedNetwork(checkpoint.build(), checkpoint.card.temperature)
    classifier = Classifier(exported.model)
    pixels = np.stack([classifier.preprocessing(path) for path in photos(exported)])
    with torch.inference_mode():
        expected = network(torch.from_numpy(pixels)).numpy()
    assert np.abs(classifier.probabilities(pixels) - expected).max() <= 1e-5
    module, card = read_torchscript(exported.torchscript)
    assert card.labels == classifier.labels
    for size in (1, 2, 5):
        assert np.abs(module(torch.from_numpy(pixels[:size])).numpy() - expected[:size]).max() <= 1e-5


def test_the_process_is_left_as_it_is(run: Run) -> None:
    code = "from edge_export import export; from edge_runtime import find_run"
    code += "\nexport(find_run(sys.argv[1]), ('onnx', 'torchscript'))"
    # What torch loads for its exporter has loggers of its own.
    alone = "torch.onnx.export(torch.nn.Linear(1, 1).eval(), (torch.ones(2, 1),), dynamo=True, verbose=False)"
    leaves_no_trace(code, run.path, preload=f"import onnxruntime, torchvision, torch\n{alone}")


def test_the_onnx_file_is_what_the_format_promises(exported: Run) -> None:
    model = onnx.load(exported.model)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version <= 10
    assert {entry.domain: entry.version for entry in model.opset_import}[""] <= 20
    assert all(not node.domain for node in model.graph.node)
    (image,) = model.graph.input
    (answer,) = model.graph.output
    shape = [dim.dim_param or dim.dim_value for dim in image.type.tensor_type.shape.dim]
    assert (image.name, image.type.tensor_type.elem_type, shape) == (
        "image",
        onnx.TensorProto.UINT8,
        ["batch", 48, 48, 3],
    )
    assert answer.name == "probabilities"
    assert [path.name for path in exported.path.iterdir() if path.name.startswith("model")].count("model.onnx") == 1
    assert exported.model.stat().st_size < 1.1 * sum(
        4 * p.numel() for p in load_checkpoint(exported.best).build().parameters()
    )
    card = json.loads({entry.key: entry.value for entry in model.metadata_props}["edge"])
    assert card["format_version"] == 2 and card["preprocessing"]["to_srgb"] is True
    assert card["labels"] == ["circle", "square", "triangle"]
    assert card["parity"]["images"] == 12 and card["parity"]["max_difference"] <= 1e-4
    assert card["parity"]["hostile_images"] == 5 and card["parity"]["top1_agreement"] == 1
    whole = card["parity"]["validation"]
    assert whole["n"] == whole["checkpoint"]["n"] == whole["recorded"]["n"] == 12
    assert whole["accuracy"] == whole["checkpoint"]["accuracy"] == whole["recorded"]["accuracy"]
    assert card["metrics"]["val"]["n"] == 12 and card["metrics"]["test"]["n"] == 12
    assert {"torch", "onnx", "onnxruntime", "edge-vision"} <= set(card["versions"])


def test_the_reader_in_the_documentation_gives_what_edge_gives(exported: Run, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "model-format.md").read_text(encoding="utf-8")
    (tmp_path / "reader.py").write_text(text.split("```python\n")[1].split("```")[0], encoding="utf-8")
    classifier = Classifier(exported.model)
    for photo in photos(exported)[:4]:
        done = subprocess.run(
            [sys.executable, tmp_path / "reader.py", exported.model, photo], capture_output=True, text=True, check=True
        )
        label, probability = done.stdout.split()
        answer = classifier.predict(photo)
        assert label == answer.label
        assert float(probability) == pytest.approx(answer.probability, abs=1e-6)


def break_graph(path: Path, how: str) -> None:
    """Harm the graph as a wrong exporter would."""
    model = onnx.load(path)
    for initializer in model.graph.initializer:
        values = onnx.numpy_helper.to_array(initializer)
        if how == "mean" and values.size == 3 and values.ndim == 4:
            initializer.CopyFrom(onnx.numpy_helper.from_array(values * np.float32(1.2), initializer.name))
            break
        if how == "channels" and values.shape == (64, 3, 7, 7):
            initializer.CopyFrom(onnx.numpy_helper.from_array(values[:, ::-1].copy(), initializer.name))
            break
        if how == "nan" and values.shape == (64,):
            initializer.CopyFrom(onnx.numpy_helper.from_array(values * np.float32("nan"), initializer.name))
            break
    else:
        raise AssertionError(f"nothing to break with {how}")
    onnx.save(model, path)


@pytest.mark.parametrize("how", ["mean", "channels", "nan", "resize", "background"])
def test_a_wrong_graph_is_refused_and_leaves_no_file(run: Run, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    write = exporting.write_onnx

    def write_wrong(network: Any, card: Any, path: Path) -> None:
        if how == "resize":
            # The file says that pictures are squeezed straight to its input.
            card = replace(card, preprocessing=replace(card.preprocessing, resize_px=48))
        if how == "background":
            card = replace(card, preprocessing=replace(card.preprocessing, background=(0, 0, 0)))
        write(network, card, path)
        if how in ("mean", "channels", "nan"):
            break_graph(path, how)

    monkeypatch.setattr(exporting, "write_onnx", write_wrong)
    before = sorted(path.name for path in run.path.iterdir())
    said = {
        "nan": r"gives probabilities that are no numbers",
        "background": r"states another preprocessing",
    }.get(how, r"model\.onnx does not equal its checkpoint: .* on 12 validation .* most on .*\(0\.")
    with pytest.raises(ParityError, match=said):
        export(run)
    assert sorted(path.name for path in run.path.iterdir()) == before


def test_a_wrong_torchscript_is_refused_and_leaves_no_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write = exporting.write_torchscript

    def write_wrong(network: Any, card: Any, path: Path) -> None:
        network.network.mean += 0.1
        write(network, card, path)
        network.network.mean -= 0.1

    monkeypatch.setattr(exporting, "write_torchscript", write_wrong)
    with pytest.raises(ParityError, match=r"model\.torchscript\.pt does not equal"):
        export(run, ("torchscript",))
    assert not list(run.path.glob("*torchscript*")) and not list(run.path.glob(".*"))


def test_a_file_that_errs_on_few_of_many_images_is_found_on_the_whole_split(run: Run) -> None:
    from edge_export.export_job import prepare
    from edge_export.proof.answers import Answers, torch_model
    from edge_export.proof.whole_split import compare_split
    from edge_export.settings import ExportSettings
    from edge_runtime import Silence

    job = prepare([run], None, ExportSettings(), Silence())
    honest = torch_model(job.network, job.card)
    assert compare_split(job.split, honest, Silence(), what="m").top1_agreement == 1
    target = job.split.samples[-1]
    pixels = job.card.preprocessing(job.root / target.path)

    def errs(images: Any) -> Answers:
        found = honest.answer(images).probabilities.copy()
        hit = (images == pixels).all((1, 2, 3))
        found[hit] = np.roll(found[hit], 1, axis=1)
        return Answers(found)

    found = compare_split(job.split, replace(honest, answer=errs), Silence(), what="m.onnx")
    with pytest.raises(ParityError, match=rf"validation split.*most on {target.path}"):
        found.require_equal("m.onnx")


def test_a_batch_that_is_not_dynamic_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from tiny_model import write_tiny_model

    monkeypatch.setattr(
        exporting, "write_onnx", lambda _, card, path: write_tiny_model(path, size=48, batch=2, card=card)
    )
    with pytest.raises(ModelError, match=r"dynamic batch"):
        export(run)
    assert not run.model.exists()


def test_a_failed_export_leaves_the_old_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    export(run)
    old = run.model.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting, "prove", fail)
    with pytest.raises(KeyboardInterrupt):
        export(run)
    assert run.model.read_bytes() == old
    assert not list(run.path.glob(".*"))


def test_data_that_moved_is_named_by_data(run: Run, tmp_path: Path) -> None:
    config = json.loads(run.config.read_text())
    moved = shutil.copytree(config["data_root"], tmp_path / "moved")
    config["data_root"] = str(tmp_path / "gone")
    run.config.write_text(json.dumps(config))
    with pytest.raises(ParityError, match="gone"):
        export(run)
    assert not run.model.exists()
    assert export(run, data=Path(moved))[0].parity.images == 12


def test_it_refuses_to_replace_what_it_did_not_make(run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.onnx").write_text("three years of work")
    with pytest.raises(OutputError, match="did not make it"):
        export(run, out=tmp_path / "thesis.onnx")
    assert (tmp_path / "thesis.onnx").read_text() == "three years of work"
    with pytest.raises(UsageError, match="is a folder"):
        export(run, out=tmp_path)
    with pytest.raises(OutputError, match="gone"):
        export(run, out=tmp_path / "gone" / "model.onnx")
    if Path("/proc/self").exists():
        with pytest.raises(OutputError, match=r"cannot write /proc/model\.onnx"):
            export(run, out=Path("/proc/model.onnx"))
    assert export(run, out=tmp_path / "model.onnx")[0].path.is_file()
    export(run, out=tmp_path / "model.onnx")


def test_a_run_without_a_whole_checkpoint_is_refused(run: Run) -> None:
    run.best.write_bytes(run.best.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"best\.pt"):
        export(run)
    run.best.unlink()
    with pytest.raises(CheckpointError, match=r"best\.pt"):
        export(run)


def rewrite(run: Run, **changes: Any) -> None:
    value = torch.load(run.best, weights_only=True)
    for key, change in changes.items():
        value[key] = change(value[key]) if callable(change) else change
    torch.save(value, run.best)


def test_a_checkpoint_of_a_newer_format_is_refused(run: Run) -> None:
    rewrite(run, edge_checkpoint=99)
    with pytest.raises(CheckpointError, match="checkpoint format 99") as caught:
        export(run)
    assert "upgrade" in caught.value.hint


def test_labels_that_do_not_match_the_head_are_refused(run: Run) -> None:
    rewrite(run, card=lambda card: {**card, "labels": [*card["labels"], "star"]})
    with pytest.raises(CheckpointError, match=r"do not fit resnet18 with 4 labels"):
        export(run)
    assert not run.model.exists()


def test_the_record_says_what_was_compared(exported: Run) -> None:
    first, second = json.loads((exported.path / "export.json").read_text())["files"]
    assert (first["format"], second["format"]) == ("onnx", "torchscript")
    for entry in (first, second):
        assert entry["precision"] == "fp32" and entry["parity"]["hostile_images"] == 5
        assert entry["validation"]["n"] == 12
        assert "12 validation images and 5 hostile ones in batches of 1, 2, 5" in entry["compared"]
    assert first["graph_sha256"] == Classifier(exported.model).card.graph_sha256


def test_images_that_changed_since_training_are_remarked_on(run: Run, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(run.read_config()["data_root"], tmp_path / "moved"))
    for path in find_images(moved / "val")[::2]:
        path.write_bytes(next(iter(photos(run))).read_bytes())
    find_images(moved / "val")[-1].write_bytes(b"no picture")
    rewrite(run, card=lambda card: {**card, "metrics": {"val": {"accuracy": 1.0, "n": 11}}})
    said: list[str] = []

    class Listener(Silence):
        def say(self, text: str) -> None:
            said.append(text)

    (done,) = export(run, data=moved, progress=Listener())
    assert done.validation.whole.n == 11 and done.validation.unreadable == 1
    assert any("1 validation images can no longer be read" in text for text in said)
    assert any("training recorded 100.0%" in text for text in said)
