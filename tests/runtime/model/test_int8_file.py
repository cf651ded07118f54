"""What an int8 file says of where it was measured, and whether that holds on this processor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge_runtime import METADATA_KEY, Classifier, int8_origin
from edge_runtime.model.onnx_bytes import with_metadata
from tiny_model import write_tiny_model

VNNI, AVX2, PI = "x86_64 avx512_vnni", "x86_64 avx2", "aarch64 asimddp"


def write(path: Path, largest: int, arithmetic: Any) -> Path:
    """A file with an int8 weight of that size, whose card has `arithmetic`."""
    card = replace(Classifier(write_tiny_model(path)).card, precision="int8", quantization={"arithmetic": arithmetic})
    proto = onnx.load(path)
    proto.graph.initializer.append(numpy_helper.from_array(np.array([[1, -largest]], np.int8), "kernel"))
    path.write_bytes(with_metadata(proto.SerializeToString(), {METADATA_KEY: card.dumps()}, where=path))
    return path


def measured_on(kind: str) -> dict[str, Any]:
    return {"weight_bits": 7, "measured_on": kind, "exact": {"max_difference": 0.001}}


def test_a_float_file_has_none(tmp_path: Path) -> None:
    assert int8_origin(write_tiny_model(tmp_path / "model.onnx")) is None


@pytest.mark.parametrize(
    ("largest", "measured", "here", "holds", "said"),
    [
        (64, measured_on(VNNI), VNNI, True, "measured on x86_64 avx512_vnni, as this is: weights of 7 bits"),
        (64, measured_on(VNNI), AVX2, True, "this is x86_64 avx2: weights of 7 bits, the same answers on every"),
        (127, measured_on(VNNI), VNNI, True, "so it answers otherwise on another; export it again"),
        (128, measured_on(VNNI), PI, True, "this is aarch64 asimddp, which computes alike"),
        (127, measured_on(VNNI), AVX2, False, "its figures may not hold here: edge evaluate --exact tells"),
        (127, measured_on(AVX2), VNNI, False, "its figures may not hold here"),
        (127, {}, VNNI, False, "a processor it does not name; this is x86_64 avx512_vnni: weights of full range"),
        (127, {}, "", False, "this is an unknown one: weights of full range"),
        (64, {}, AVX2, True, "a processor it does not name; this is x86_64 avx2: weights of 7 bits"),
        (127, ["odd"], AVX2, False, "a processor it does not name"),
        (127, {"measured_on": 3, "exact": [1]}, AVX2, False, "measured on 3"),
    ],
)
def test_it_says_whether_figures_hold_here(
    tmp_path: Path, largest: int, measured: Any, here: str, *, holds: bool, said: str
) -> None:
    origin = int8_origin(write(tmp_path / "model.onnx", largest, measured), here=here)
    assert origin is not None and origin.largest_weight == largest
    assert origin.holds_here is holds and said in origin.describe()
    assert origin.portable is (largest <= 64)
    assert origin.to_json()["says"] == origin.describe()
