"""A program that is shown fewer instruction sets takes the kernels of a processor that has no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.machine.resources import instruction_sets
from processor_kinds import as_processor, can_hide

INTEGER_SUMS = """
import sys
import numpy as np
import onnxruntime

print(onnxruntime.InferenceSession(sys.argv[1]).run(None, {"x": np.full((1, 64), 255, np.uint8)})[0].tolist())
"""


def write_integer_product(path: Path, weight: int) -> Path:
    """64 activations of uint8 times 16 columns of one int8 weight."""
    weights = numpy_helper.from_array(np.full((64, 16), weight, np.int8), "w")
    product = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 64])
    y = helper.make_tensor_value_info("y", TensorProto.INT32, [1, 16])
    graph = helper.make_graph([product], "product", [x], [y], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.save(model, path)
    return path


@can_hide
@pytest.mark.parametrize(
    ("kind", "arithmetic", "lacks"),
    [
        ("avx2", "x86_64 avx2", {"avx512f", "avx512_vnni", "avx_vnni", "amx_tile"}),
        ("avx512", "x86_64 avx512bw", {"avx512_vnni", "avx_vnni", "avx512_bf16", "amx_tile"}),
        ("avx512-vnni", "x86_64 avx512_vnni", {"avx512_bf16", "amx_tile", "amx_int8"}),
    ],
)
def test_the_system_says_what_the_kind_has(kind: str, arithmetic: str, lacks: set[str]) -> None:
    if arithmetic.split()[1] not in instruction_sets():
        pytest.skip(f"this processor is no {kind} itself")
    script = "import edge_runtime as e; from edge_runtime.machine.resources import instruction_sets as i"
    ended = as_processor(kind, "-c", f"{script}; import json; print(json.dumps([e.int8_arithmetic(), sorted(i())]))")
    assert ended.returncode == 0, ended.stderr
    said, there = json.loads(ended.stdout)
    assert said == arithmetic and not lacks & set(there) and {"avx2", "fma"} <= set(there)


@can_hide
@pytest.mark.parametrize("kind", ["avx2", "avx512"])
def test_kernels_are_those_of_the_kind(tmp_path: Path, kind: str) -> None:
    """Without VNNI two products of 255 and 127 do not fit into 16 bits; two of 255 and 64 do."""
    for weight, fits in ((127, False), (64, True)):
        model = write_integer_product(tmp_path / f"{weight}.onnx", weight)
        ended = as_processor(kind, "-c", INTEGER_SUMS, str(model))
        assert ended.returncode == 0, ended.stderr
        (row,) = json.loads(ended.stdout)
        assert set(row) == {64 * 255 * weight if fits else 32 * 32767}


@can_hide
def test_a_programs_own_faults_stay_its_own() -> None:
    ended = as_processor("avx2", "-X", "faulthandler", "-c", "import ctypes, numpy; ctypes.string_at(0)")
    assert ended.returncode == 128 + 11 and "Fatal Python error: Segmentation fault" in ended.stderr


@can_hide
@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", 128 + 11),
        ("signal.signal(signal.SIGSEGV, signal.SIG_IGN); os.kill(os.getpid(), signal.SIGSEGV)", 0),
        ("signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())", 0),
        ("ctypes.CDLL(None).signal(11, 0)", 0),
    ],
)
def test_a_program_may_do_with_the_signal_what_it_likes(script: str, code: int) -> None:
    """numpy asks CPUID as it is imported."""
    ended = as_processor("avx2", "-c", f"import ctypes, os, signal; {script}; import numpy")
    assert ended.returncode == code, ended.stderr


@can_hide
def test_a_library_that_does_not_load_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "a b"))
    ended = as_processor("avx2", "-c", "print('run')")
    assert ended.returncode == 2 and "does not load" in ended.stderr and not ended.stdout


@can_hide
def test_it_ends_as_its_command_does() -> None:
    assert as_processor("avx2", "-c", "raise SystemExit(7)").returncode == 7


@pytest.mark.parametrize(
    ("words", "reason"),
    [(["avx2"], "which command is to run?"), (["sse9", "true"], "invalid choice"), ([], "required")],
)
def test_wrong_usage(refused: Callable[..., tuple[int, str, str]], words: list[str], reason: str) -> None:
    code, _, said = refused("as_processor.py", *words)
    assert code == 2 and reason in said


def test_a_machine_that_cannot_says_so(
    refused: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    code, _, said = refused("as_processor.py", "avx2", "true")
    assert code == 2 and "CPUID cannot be made to fault" in said
