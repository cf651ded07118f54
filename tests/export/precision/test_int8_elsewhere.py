"""An int8 file answers on processors without VNNI as it does here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from edge_export.precision.int8 import to_int8
from edge_runtime import Classifier
from processor_kinds import as_processor, can_hide
from quantized_nets import colours, write_deep_net

ANSWERS = """
import sys
import numpy as np
from edge_runtime import Classifier

model, pixels, answers = sys.argv[1:]
np.save(answers, Classifier(model, threads=1).probabilities(np.load(pixels)))
"""


@can_hide
@pytest.mark.parametrize("kind", ["avx2", "avx512", "avx512-vnni"])
@pytest.mark.parametrize("mixed", [False, True])
def test_the_answers_are_those_of_here(tmp_path: Path, kind: str, *, mixed: bool) -> None:
    net = write_deep_net(tmp_path / "net.onnx", clip=False)
    pixels, _ = colours(24)
    to_int8(net, tmp_path / "int8.onnx", [pixels[:8]], mixed=mixed, threads=1)
    np.save(tmp_path / "pixels.npy", pixels)
    given = [str(tmp_path / name) for name in ("int8.onnx", "pixels.npy", "answers.npy")]
    ended = as_processor(kind, "-c", ANSWERS, *given)
    assert ended.returncode == 0, ended.stderr
    here = Classifier(tmp_path / "int8.onnx", threads=1).probabilities(pixels)
    assert here.std(axis=0).max() > 0.01, "the network must tell pictures apart"
    assert np.abs(np.load(tmp_path / "answers.npy") - here).max() < 2e-6
