"""What `edge export` can be asked for beside a plain file: precision, embedding, quick load; and how it is stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import numpy as np
import torch

from edge_export import export, exporting, read_torchscript
from edge_export.formats import quick_load as quick_load_module
from edge_export.precision import lowering
from edge_export.precision.exactness import BothAnswers, DriftAtThresholdError
from edge_export.precision.lowering import Lowered
from edge_export.settings import ExportSettings
from edge_runtime import (
    Classifier,
    ModelCard,
    ParityError,
    Run,
    UsageError,
    int8_arithmetic,
    int8_origin,
)
from edge_runtime.model.this_machine import quick_load_paths
from edge_train import load_checkpoint, save_checkpoint
from quick_training import Ear


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(original, tmp_path / "runs" / "small")))


def test_the_embedding_is_the_same_in_both_formats_and_optional(run: Run) -> None:
    onnx_file, torchscript = export(run, ("onnx", "torchscript"), settings=ExportSettings(with_embedding=True))
    assert onnx_file.card.embedding_size == torchscript.card.embedding_size == 512
    assert onnx_file.parity.embedding_difference is not None and onnx_file.parity.embedding_difference <= 1e-4
    classifier = Classifier(run.model, threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), np.uint8)
    module, _ = read_torchscript(run.torchscript)
    with torch.inference_mode():
        probabilities, embeddings = module(torch.from_numpy(pixels))
    np.testing.assert_allclose(classifier.embeddings(pixels), embeddings.numpy(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(classifier.probabilities(pixels), probabilities.numpy(), atol=1e-5)
    assert embeddings.std() > 0
    export(run)
    assert Classifier(run.model).embedding_size == 0


def test_texts_are_paths_and_one_format_needs_no_tuple(run: Run, shapes: Path, tmp_path: Path) -> None:
    (made,) = export(Run(str(run.path)), "onnx", out=str(tmp_path / "m.onnx"), data=str(shapes))  # type: ignore[arg-type]
    assert made.path == tmp_path / "m.onnx" and made.path.is_file()
    with pytest.raises(UsageError, match="`formats` tflite is not known"):
        export(run, ("tflite",))  # type: ignore[arg-type]


def test_int8_within_its_budget_gets_a_name_of_its_own(run: Run) -> None:
    asked = ExportSettings(precision="int8", max_drop_points=100, calibration_images=8)
    (done,) = export(run, settings=asked)
    assert done.path == run.path / "model-int8.onnx" and not run.model.exists()
    card = Classifier(done.path).card
    assert card.precision == "int8" and card.quantization["calibration"]["images"] == 8
    assert card.parity["tolerance"] is None and card.parity["max_difference"] > 1e-4
    arithmetic = card.quantization["arithmetic"]
    assert (arithmetic["weight_bits"], arithmetic["measured_on"]) == (7, int8_arithmetic())
    assert arithmetic["exact"]["n"] == 12 and arithmetic["exact"]["max_difference"] < 1e-5
    origin = int8_origin(done.path)
    assert origin is not None and origin.portable and not origin.elsewhere
    # What the card says of the file was measured on the file.
    assert card.metrics.keys() == {"val", "test"}
    assert card.metrics["val"]["accuracy"] == done.validation.whole.accuracy
    assert done.size_bytes < 0.5 * run.best.stat().st_size


@pytest.mark.parametrize(("name", "precision"), [("int8.onnx", "auto"), ("fp16", "fp16")])
def test_a_file_may_have_the_name_that_its_making_uses(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, precision: Any
) -> None:
    kept: list[bytes] = []
    convert = lowering._convert

    def watched(job: Any, source: Path, folder: Path) -> Any:
        kept.append(source.read_bytes())
        made = convert(job, source, folder)
        kept.append(source.read_bytes())
        return made

    monkeypatch.setattr(lowering, "_convert", watched)
    calibration = None if precision == "fp16" else 2
    asked = ExportSettings(precision=precision, max_drop_points=100, calibration_images=calibration)
    (done,) = export(run, out=tmp_path / name, settings=asked)
    before, after = kept
    assert before == after, "what it is compared with is still the fp32 file"
    assert done.path == tmp_path / name and Classifier(done.path).card.precision == done.card.precision


def test_a_precision_over_its_budget_is_refused_and_leaves_no_file(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_export.precision import lowering as lower_precision

    def ruin(source: Path, target: Path) -> None:
        import onnx
        from onnx import numpy_helper

        model = onnx.load(source)
        for each in model.graph.initializer:
            values = numpy_helper.to_array(each)
            if values.ndim == 4 and values.shape[0] == 3 and values.shape[1] == 512:
                each.CopyFrom(numpy_helper.from_array(np.roll(values, 1, axis=0), each.name))
        onnx.save(model, target)

    monkeypatch.setattr(lower_precision, "to_fp16", ruin)
    before = sorted(path.name for path in run.path.iterdir())
    with pytest.raises(ParityError, match=r"model-fp16\.onnx in fp16 loses .* points .* on 12 images"):
        export(run, settings=ExportSettings(precision="fp16", max_drop_points=0))
    assert sorted(path.name for path in run.path.iterdir()) == before
    assert ModelCard


def test_a_precision_without_a_conversion_is_refused(run: Run) -> None:
    asked = ExportSettings()
    # As one is that was added to the settings alone.
    object.__setattr__(asked, "precision", "int4")
    with pytest.raises(UsageError, match="`precision` int4 has no conversion"):
        export(run, settings=asked)
    assert not list(run.path.glob("*.onnx"))


def test_fp16_is_half_the_file_and_agrees(run: Run) -> None:
    checkpoint = load_checkpoint(run.best)
    # As training leaves it: the temperature was fitted to these images, and the epoch chosen on them.
    chosen = {**checkpoint.card.metrics["val"], "calibration_folds": 5, "optimism_points": 1.5}
    save_checkpoint(run.best, replace(checkpoint, card=replace(checkpoint.card, metrics={"val": chosen})))
    (done,) = export(run, settings=ExportSettings(precision="fp16"))
    (whole,) = export(run)
    assert done.path.name == "model-fp16.onnx" and done.card.precision == "fp16"
    assert done.size_bytes < 0.6 * whole.size_bytes
    assert done.parity.max_difference < 0.05
    figures, itself = done.card.metrics["val"], done.validation.whole
    assert figures["accuracy"] == itself.accuracy
    assert (figures["calibration_folds"], figures["optimism_points"]) == (5, 1.5)
    assert figures["log_loss"] != itself.log_loss and figures["brier"] != itself.brier
    assert Classifier(done.path).probabilities(np.zeros((2, 48, 48, 3), np.uint8)).dtype == np.float32


def test_auto_writes_the_model_that_predict_takes(run: Run) -> None:
    (done,) = export(run, settings=ExportSettings(precision="auto", max_drop_points=100, calibration_images=8))
    assert done.path == run.model
    card = Classifier(run.model).card
    (noted,) = json.loads((run.path / "export.json").read_text())["files"]
    rows = {row["precision"]: row for row in noted["quantization"]["candidates"]}
    assert ("candidates" in card.quantization) is (card.precision != "fp32")
    assert rows.keys() == {"fp32", "int8", "int8-mixed"}
    (chosen,) = (row for row in rows.values() if row["chosen"])
    assert card.precision == chosen["precision"]
    assert chosen["p50_ms"] <= rows["fp32"]["p50_ms"]
    assert all(name in done.table for name in rows)


def test_a_file_that_auto_left_in_floats_has_no_quantization(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = [{"precision": "fp32", "chosen": True}, {"precision": "int8", "chosen": False}]

    def none_faster(*given: Any) -> Lowered:
        return Lowered("fp32", {"candidates": tried}, "", given[2])

    monkeypatch.setattr(exporting, "lower_precision", none_faster)
    (done,) = export(run, settings=ExportSettings(precision="auto"))
    assert Classifier(done.path).card.quantization == {}
    (noted,) = json.loads((run.path / "export.json").read_text())["files"]
    assert noted["quantization"] == {"candidates": tried}


def test_auto_stays_in_floats_where_answers_at_the_threshold_are_of_one_processor(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def to_int8(job: Any, *rest: Any) -> Any:
        return lowered(replace(job, settings=replace(job.settings, precision="int8")), *rest)

    def apart(*_: Any) -> None:
        raise DriftAtThresholdError("int8 answers otherwise", "")

    lowered = exporting.lower_precision
    monkeypatch.setattr(exporting, "lower_precision", to_int8)
    monkeypatch.setattr(BothAnswers, "at_threshold", apart)
    settings, ear = ExportSettings(precision="auto", max_drop_points=100, calibration_images=8), Ear()
    # As of a model with a threshold: those of others are not answered twice for it.
    none = np.empty((0, 3), np.float32)
    both = BothAnswers(load_checkpoint(run.best).card, none, none, none)
    monkeypatch.setattr(lowering, "Lowered", lambda *given: Lowered(*given[:4], both))
    folder = tmp_path / "files"
    folder.mkdir()
    (done,) = export(run, out=folder / "m.onnx", settings=settings, progress=ear)
    assert (done.card.precision, Classifier(done.path).card.precision) == ("fp32", "fp32")
    assert "note: int8 answers otherwise; so it stays fp32" in ear.lines
    assert [path.name for path in folder.iterdir()] == ["m.onnx"]
    with pytest.raises(ParityError, match="int8 answers otherwise"):
        export(run, out=folder / "n.onnx", settings=replace(settings, precision="int8"))
    assert not (folder / "n.onnx").exists()


@pytest.mark.parametrize(
    ("formats", "asked", "said"),
    [
        (("torchscript",), {"precision": "int8"}, "TorchScript files are fp32, not int8"),
        (("onnx", "torchscript"), {"precision": "auto"}, "TorchScript files are fp32, not auto"),
        (("torchscript",), {"for_this_machine": True}, "`for_this_machine`"),
        (("onnx",), {"precision": "int4"}, "`precision` int4"),
        (("onnx",), {"max_drop_points": -1}, "`max_drop_points` -1"),
        (("onnx",), {"max_drop_points": float("nan")}, "`max_drop_points` nan"),
        (("onnx",), {"calibration_images": 0}, "`calibration_images` 0"),
        (("onnx",), {"max_drop_points": 0.1}, "`max_drop_points` is for less than fp32"),
        (("onnx",), {"precision": "fp16", "calibration_images": 3}, "`calibration_images` is for int8.*fp16"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(run: Run, formats: Any, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        export(run, formats, settings=ExportSettings(**asked))


@pytest.mark.parametrize(("first_answers", "kept"), [((0.100, 0.050), True), ((0.100, 0.099), False)])
def test_the_quick_form_is_kept_only_where_it_is_quicker(
    run: Run, monkeypatch: pytest.MonkeyPatch, first_answers: tuple[float, float], kept: bool
) -> None:
    slow, fast = first_answers
    monkeypatch.setattr(
        quick_load_module, "_time_first_answer", lambda path: slow if path.parent.name == "portable" else fast
    )
    (done,) = export(run, settings=ExportSettings(for_this_machine=True))
    quick, note = quick_load_paths(run.model)
    assert quick.exists() == note.exists() == kept
    assert done.quick_load is not None and (done.quick_load.path is not None) == kept
    assert f"{1000 * slow:.0f} ms portable, {1000 * fast:.0f} ms" in done.quick_load.describe()
    plain = run.model.read_bytes()
    if kept:
        pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), np.uint8)
        quickly = Classifier(run.model, threads=1).probabilities(pixels)
        note.rename(note.with_suffix(".away"))
        np.testing.assert_allclose(Classifier(run.model, threads=1).probabilities(pixels), quickly, atol=1e-6)
        note.with_suffix(".away").rename(note)
        export(run)
        assert not quick.exists() and not note.exists(), "what was made of another file must not stay"
    assert plain


def test_the_first_answer_is_timed_in_fresh_processes(run: Run) -> None:
    from edge_export.formats.quick_load import optimize_for_this_machine
    from edge_runtime import Silence

    export(run)
    found = optimize_for_this_machine(run.model, Silence(), runs=2)
    assert found.runs == 2 and found.optimized_ms > 0 and found.portable_ms > 0


def export_process(run: Run, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "edge_cli", "export", "--run", str(run.path), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_export_that_is_interrupted_leaves_what_was_there(run: Run, how: signal.Signals) -> None:
    run.model.write_bytes(b"the model before")
    before = sorted(path.name for path in run.path.iterdir())
    running = export_process(run)
    assert running.stderr is not None
    for line in running.stderr:
        if "exporting onnx" in line:
            break
    time.sleep(0.5)
    running.send_signal(how)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said.strip() == "error: interrupted"
    assert run.model.read_bytes() == b"the model before"
    assert sorted(path.name for path in run.path.iterdir()) == before


def test_the_command_prints_one_document_and_names_what_is_missing(run: Run, tmp_path: Path) -> None:
    running = export_process(run, "--json", "--quiet")
    document, said = running.communicate(timeout=120)
    assert running.returncode == 0 and said == ""
    (entry,) = json.loads(document)
    assert entry["precision"] == "fp32" and entry["parity"]["top1_agreement"] == 1
    assert entry["validation"]["checkpoint"]["n"] == 12
    # Without the extra, one line says which to install.
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "onnx.py").write_text("raise ModuleNotFoundError(\"No module named 'onnx'\", name='onnx')")
    running = export_process(run, PYTHONPATH=f"{tmp_path / 'blocked'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    _, said = running.communicate(timeout=120)
    assert running.returncode == 2
    assert "this needs onnx, which is not installed" in said and "edge-vision[export]" in said
    assert "Traceback" not in said


def test_without_a_run_it_says_how_to_make_one(edge: Any) -> None:
    done = edge("export")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 2 and "edge train" in done.stderr
