"""What a model says of pictures that are to be labelled, and which models are not asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime import Silence, UsageError
from edge_serve.labelling.model_opinion import ask_model
from tiny_model import write_multi_label_model, write_multi_task_model


@pytest.mark.parametrize("write", [write_multi_label_model, write_multi_task_model])
def test_a_model_that_gives_several_labels_is_refused(write: Callable[[Path], Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="edge label gives each picture one label"):
        ask_model(write(tmp_path / "m.onnx"), [], Silence(), threads=1, embed=False)
