"""The ONNX file behind KServe's own Python server, as a company's container would hold it: no edge, onnxruntime alone.

PYTHON-WITH-KSERVE tests/kserve_model.py model.onnx NAME PORT
"""

from __future__ import annotations

import sys
from typing import Any

import onnxruntime
from kserve import InferOutput, InferResponse, Model, ModelServer


class OnnxModel(Model):  # type: ignore[misc]
    """Feeds the tensor `image` and answers `probabilities`."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.ready = True

    def predict(self, payload: Any, *_: object, **__: object) -> Any:
        """One request of the Open Inference Protocol."""
        (tensor,) = payload.inputs
        (rows,) = self._session.run(["probabilities"], {"image": tensor.as_numpy()})
        output = InferOutput("probabilities", list(rows.shape), "FP32")
        output.set_data_from_numpy(rows, binary_data=False)
        return InferResponse(payload.id or "", self.name, [output])


if __name__ == "__main__":
    path, name, port = sys.argv[1:]
    ModelServer(http_port=int(port), enable_grpc=False, workers=1).start([OnnxModel(name, path)])
