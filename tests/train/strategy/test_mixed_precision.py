"""Which number format a run trains in, and that what is kept and measured stays in float32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import edge_runtime.machine.resources  # noqa: E402
from edge_data import read_split  # noqa: E402
from edge_data.sets.image_store import ImageStore  # noqa: E402
from edge_runtime import UsageError, measure  # noqa: E402
from edge_train import load_checkpoint, train  # noqa: E402
from edge_train.run.batches import evaluation_batches  # noqa: E402
from edge_train.run.split_answers import answer_split  # noqa: E402
from edge_train.strategy.format_speed import FormatSpeed  # noqa: E402
from edge_train.strategy.mixed_precision import PAYS_ON_CPU, ChosenPrecision, choose_precision, has_bf16  # noqa: E402
from quick_training import Ear, equal, quick_settings, weights  # noqa: E402

CPU, MPS = torch.device("cpu"), torch.device("mps")


def untried() -> FormatSpeed:
    """A measurement that nobody should ask for."""
    raise AssertionError("measured")


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file that stands for /proc/cpuinfo."""
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(edge_runtime.machine.resources, "_CPUINFO", path)
    return path


@pytest.mark.parametrize(
    ("flags", "there"),
    [
        ("fpu avx512f avx512_bf16", True),
        ("fpu amx_bf16 amx_tile", True),
        ("asimd i8mm bf16", True),
        ("fpu avx2 avx512f avx512_bf16x", False),
    ],
)
def test_a_cpu_has_bf16_where_its_flags_say_so(processor: Path, flags: str, there: bool) -> None:
    processor.write_text(f"processor : 0\nmodel name : Some CPU\nflags\t\t: {flags}\n")
    assert has_bf16(CPU) is there


def test_a_machine_without_that_file_has_none(processor: Path) -> None:
    assert not processor.exists() and not has_bf16(CPU) and not has_bf16(MPS)


@pytest.mark.parametrize(
    ("asked", "gained", "expected"),
    [
        (("auto", "resnet18", False), (1.5, False), ("bf16", "bfloat16 is 1.50 times as fast here, as tried")),
        (("auto", "resnet18", False), (1.05, False), ("fp32", "bfloat16 is 1.05 times as fast here, as tried")),
        (("auto", "mobilenet_v2", False), (0.8, False), ("fp32", "bfloat16 is 0.80 times as fast here, as tried")),
        # Too long to be tried, with what a convolution alone gains.
        (
            ("auto", "vgg16", False),
            (3.0, True),
            ("bf16", "a convolution is 3.00 times as fast in bfloat16 here, as tried"),
        ),
        (
            ("auto", "mobilenet_v2", True),
            (3.0, True),
            ("bf16", "a convolution is 3.00 times as fast in bfloat16 here, as tried"),
        ),
        (
            ("auto", "vgg16", False),
            (0.1, True),
            ("fp32", "a convolution is 0.10 times as fast in bfloat16 here, as tried"),
        ),
        (
            ("auto", "mobilenet_v2", False),
            (3.0, True),
            ("fp32", "mobilenet_v2 takes too long a step to be tried in bfloat16"),
        ),
    ],
)
def test_auto_takes_what_was_faster_and_says_so(
    processor: Path, asked: tuple[Any, str, bool], gained: tuple[float, bool], expected: tuple[str, str]
) -> None:
    processor.write_text("flags : amx_bf16")
    choice, backbone, frozen = asked
    gain, of_layer = gained
    found = FormatSpeed(gain, 1.0, of_layer)
    assert "vgg16" in PAYS_ON_CPU
    assert choose_precision(choice, CPU, backbone, frozen=frozen, measure=lambda: found) == ChosenPrecision(
        *expected, tried=True
    )


def test_it_is_said_that_smaller_images_were_tried(processor: Path) -> None:
    processor.write_text("flags : amx_bf16")
    found = FormatSpeed(1.25, 1.0, halved=True)
    chosen = choose_precision("auto", CPU, "mobilenet_v2", frozen=False, measure=lambda: found)
    why = "bfloat16 is 1.25 times as fast here, as tried with images of half the size"
    assert chosen == ChosenPrecision("bf16", why, tried=True)


@pytest.mark.parametrize(
    ("choice", "flags", "expected"),
    [
        ("fp32", "amx_bf16", ("fp32", "as asked")),
        ("bf16", "amx_bf16", ("bf16", "as asked")),
        ("auto", "avx2", ("fp32", "this cpu does not compute in bfloat16")),
    ],
)
def test_nothing_is_tried_where_there_is_no_choice(
    processor: Path, choice: Any, flags: str, expected: tuple[str, str]
) -> None:
    processor.write_text(f"flags : {flags}")
    assert choose_precision(choice, CPU, "resnet18", frozen=False, measure=untried) == ChosenPrecision(*expected)


def test_bf16_where_there_is_none_is_refused(processor: Path) -> None:
    processor.write_text("flags : avx2")
    with pytest.raises(UsageError, match="`precision` bf16: this cpu does not compute in bfloat16") as caught:
        choose_precision("bf16", CPU, "resnet18", frozen=False, measure=untried)
    assert caught.value.hint == "use `precision` auto"


@pytest.mark.skipif(not has_bf16(CPU), reason="this machine does not compute in bfloat16")
def test_the_same_seed_gives_the_same_weights_in_bf16_measured_in_float32(few_shapes: Path, tmp_path: Path) -> None:
    ear = Ear()
    one = train(quick_settings(few_shapes, tmp_path, precision="bf16"), ear)
    two = train(quick_settings(few_shapes, tmp_path, precision="bf16"))
    other = train(quick_settings(few_shapes, tmp_path, precision="fp32"))
    assert equal(weights(one.run), weights(two.run)) and not equal(weights(one.run), weights(other.run))
    assert all(value.dtype in (torch.float32, torch.int64) for value in weights(one.run).values())
    assert any("mixed precision, bfloat16 (as asked)" in line for line in ear.lines)
    assert json.loads(one.run.summary.read_text())["precision"] == "bf16"
    checkpoint = load_checkpoint(one.run.best)
    store = ImageStore(few_shapes, checkpoint.card.preprocessing, cache_bytes=0, threads=1)
    samples = read_split(one.run.split, checkpoint.card.labels).test
    errors = {}
    for precision in ("fp32", "bf16"):
        batches = evaluation_batches(store, samples, batch_size=64)
        found = answer_split(
            checkpoint.build(),
            samples,
            batches,
            device=CPU,
            precision=precision,  # type: ignore[arg-type]
        )
        probabilities = torch.softmax(torch.from_numpy(found.logits) / checkpoint.card.temperature, dim=1).numpy()
        errors[precision] = measure(checkpoint.card.labels, found.labels, probabilities).calibration_error
    kept = one.summary["metrics"]["test"]["expected_calibration_error"]
    assert kept == pytest.approx(errors["fp32"], abs=1e-5) and kept != pytest.approx(errors["bf16"], abs=1e-5)
