"""The Open Inference Protocol, version 2, which Triton's and KServe's clients speak."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from edge_runtime import EMBEDDING_NAME, INPUT_NAME, OUTPUT_NAME, ModelCard, task_slices
from edge_serve.api.open_inference_tensors import (
    InferRequest,
    OutputTensor,
    RequestedOutput,
    parse_request,
    write_response,
)
from edge_serve.http.answer_text import JSONResponse, encodable
from edge_serve.http.body import BodyBudget, read_whole
from edge_serve.http.limits import ServeLimits
from edge_serve.http.refusal import Refusal
from edge_serve.model.engine import Engine
from edge_serve.model.loaded_model import LoadedModel
from edge_serve.model.served_model import ServedModel

VERSION = "1"
_SMALL_JSON_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class OpenInference:
    """The endpoints below /v2."""

    models: Mapping[str, ServedModel]
    limits: ServeLimits
    budget: BodyBudget
    # Lists take up to twenty times the memory of the JSON they were written in: one such text is read at a time.
    json_lock: threading.Lock = field(default_factory=threading.Lock)

    async def live(self, _: Request) -> Response:
        """The process answers."""
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        """Whether requests are taken; 503 while draining."""
        ready = not request.scope["edge"].draining
        return JSONResponse({"ready": ready}, status_code=200 if ready else 503)

    async def server(self, _: Request) -> Response:
        """The server's name and what it understands."""
        return JSONResponse(
            {"name": "edge", "version": version("edge-vision"), "extensions": ["binary_tensor_data", "classification"]}
        )

    async def model_ready(self, request: Request) -> Response:
        """Whether the model takes requests."""
        served = self._asked(request)
        ready = not request.scope["edge"].draining
        return JSONResponse({"name": served.name, "ready": ready}, status_code=200 if ready else 503)

    async def model(self, request: Request) -> Response:
        """The model's inputs and outputs."""
        served = self._asked(request)
        classifier = served.engine.model.wide
        steps = classifier.preprocessing
        outputs: list[dict[str, Any]] = [
            {"name": name, "datatype": "FP32", "shape": [-1, len(labels)]}
            for name, (labels, _) in _parts(classifier.card).items()
        ]
        if classifier.embedding_size:
            outputs.append({"name": EMBEDDING_NAME, "datatype": "FP32", "shape": [-1, classifier.embedding_size]})
        image = {"name": INPUT_NAME, "datatype": "UINT8", "shape": [-1, steps.height_px, steps.width_px, 3]}
        return JSONResponse(
            {
                "name": served.name,
                "versions": [VERSION],
                "platform": "onnxruntime_onnx",
                "inputs": [image],
                "outputs": outputs,
            }
        )

    async def infer(self, request: Request) -> Response:
        """Run the model on a batch of pictures, resized and cropped as /model says."""
        served = self._asked(request)
        served.engine.check_room()
        model = served.engine.model
        with self.budget.share() as share:
            body = await read_whole(request.receive, request.headers, share, self.limits)
            given = await self._parse(
                body, request.headers.get("inference-header-content-length"), served.engine, model
            )
            outputs = await self._outputs(given, served.engine, model)
            request.scope["edge"].figures["images"] = len(given.pixels)
        head: dict[str, Any] = {"model_name": served.name, "model_version": VERSION}
        if given.id:
            head["id"] = given.id
        content, header_length = write_response(head, outputs)
        if header_length is None:
            return Response(content, media_type="application/json")
        headers = {"inference-header-content-length": str(header_length)}
        return Response(content, headers=headers, media_type="application/octet-stream")

    async def _parse(self, body: bytes, header_length: str | None, engine: Engine, model: LoadedModel) -> InferRequest:
        steps = model.wide.preprocessing
        parse = partial(
            parse_request,
            body,
            header_length,
            input_name=INPUT_NAME,
            shape=(steps.height_px, steps.width_px, 3),
            most_rows=self.limits.files,
        )
        if header_length is not None or len(body) < _SMALL_JSON_BYTES:
            return parse()

        def parse_alone() -> InferRequest:
            with self.json_lock:
                return parse()

        return await engine.apart(parse_alone)

    async def _outputs(self, given: InferRequest, engine: Engine, model: LoadedModel) -> list[OutputTensor]:
        asked, parts = given.outputs, _parts(model.wide.card)
        known = [*parts, *([EMBEDDING_NAME] if model.wide.embedding_size else [])]
        if asked[0].name == "" and len(asked) == 1:
            asked = tuple(RequestedOutput(name, asked[0].binary) for name in known)
        for output in asked:
            if output.name not in known:
                raise Refusal(
                    400, "protocol", f"there is no output {output.name[:60]!r}", f"there are {', '.join(sorted(known))}"
                )
        probabilities = np.empty(0, np.float32)
        if any(output.name in parts for output in asked):
            probabilities, _ = await engine.probabilities(model, given.pixels)
        found = []
        for output in asked:
            if output.name == EMBEDDING_NAME:
                values = await engine.apart(partial(model.narrow.embeddings, given.pixels))
                found.append(OutputTensor(output.name, "FP32", values, output.binary))
                continue
            labels, own = parts[output.name]
            if output.classes:
                best = _classes(probabilities[:, own], labels, output.classes)
                found.append(OutputTensor(output.name, "BYTES", best, output.binary))
            else:
                found.append(OutputTensor(output.name, "FP32", probabilities[:, own], output.binary))
        return found

    def _asked(self, request: Request) -> ServedModel:
        """The model that the path names. Raises Refusal (404)."""
        given = request.path_params
        served = self.models.get(given["model"])
        if served is None or given.get("version", VERSION) != VERSION:
            where = "GET /models" if len(self.models) > 1 else "GET /model"
            raise Refusal(404, "path", "there is no such model or version", f"{where} tells its name")
        request.scope["edge"].model = served.tag
        return served


def _parts(card: ModelCard) -> dict[str, tuple[tuple[str, ...], slice]]:
    """The outputs of probabilities by name: their labels, and which of all probabilities are theirs."""
    parts = {task.output: (task.labels, own) for task, own in task_slices(card.tasks)}
    return parts or {OUTPUT_NAME: (card.labels, slice(None))}


def _classes(probabilities: Any, labels: tuple[str, ...], count: int) -> Any:
    """Triton's classification extension: `probability:index:label` of the best `count` classes of each row.

    Of a label that is not UTF-8 the clients that there are would read neither the JSON nor the bytes.
    """
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    rows = [
        [f"{row[index]:.6f}:{index}:{encodable(labels[index])}" for index in order]
        for row, order in zip(probabilities, best, strict=True)
    ]
    return np.array(rows, dtype=object)
