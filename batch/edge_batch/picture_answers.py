"""The work of one process of a batch: a block of paths in, a table of answers out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_batch.answer_columns import INDEX, AnswerColumns
from edge_batch.locations import Locations, is_uri
from edge_batch.settings import BatchSettings
from edge_batch.worker_deaths import Block, WorkerDeaths
from edge_runtime import SMALL_MODEL_BYTES, Classifier, ImageError, Prediction, prepare_process

if TYPE_CHECKING:
    import pyarrow

# A store answers late and in parallel: so many pictures are asked for at once. Of a large model one run reads more
# weights than it computes with, so that it is given several pictures.
FETCHED_AHEAD = 8
LARGE_MODEL_BATCH = 8

Outcome = tuple[Prediction, NDArray[np.float32] | None]


@dataclass(frozen=True, slots=True)
class Work:
    """What every process of a batch is told; `model` is a reference to the model file's bytes in Ray's store.

    In the file `ready` each worker says when it has opened the model, and in the folder `begun` what it has begun.
    """

    model: Any
    model_sha256: str
    settings: BatchSettings
    columns: AnswerColumns
    locations: Locations
    ready: Path
    begun: Path


class Answering:
    """Opens the model once, on one thread, and answers block after block. Raises what Classifier raises."""

    def __init__(self, work: Work) -> None:
        # A machine of a cluster was started by Ray, not by `edge`.
        prepare_process()
        import ray

        data = ray.get(work.model)
        self._work = work
        self._deaths = WorkerDeaths(work.begun)
        # The driver's file may lie on no other machine, or be replaced meanwhile; what it held was verified there.
        with self._deaths.telling(), TemporaryDirectory(prefix="edge-model-") as folder:
            path = Path(folder, "model.onnx")
            path.write_bytes(data)
            self._classifier = Classifier(path, threads=1, reject_unlike=work.settings.reject_unlike)
        self._batch = LARGE_MODEL_BATCH if len(data) > SMALL_MODEL_BYTES else 1
        with work.ready.open("a", encoding="ascii") as file:
            file.write(f"{time.time()}\n")

    def __call__(self, block: pyarrow.Table) -> pyarrow.Table:
        """The answers to the paths of a block, a row for each."""
        paths: list[str] = block["path"].to_pylist()
        places: list[int] = block[INDEX].to_pylist()
        settings = self._work.settings
        with self._deaths.telling():
            begun = self._deaths.begin(places[0])
            answers = list(self._answers(paths, begun))
            begun.end()
        return self._work.columns.table(
            places,
            paths,
            answers,
            top=settings.top,
            min_confidence=settings.min_confidence,
            model_sha256=self._work.model_sha256,
        )

    def _answers(self, paths: list[str], begun: Block) -> Iterator[Outcome | ImageError]:
        inputs = self._inputs(paths, begun)
        while batch := list(islice(inputs, self._batch)):
            good = [(name, pixels) for name, pixels in batch if not isinstance(pixels, ImageError)]
            answers: Iterator[Outcome] = iter(())
            if good:
                names, pixels = zip(*good, strict=True)
                with_embedding = self._work.settings.embedding
                found, vectors = self._classifier.predict_inputs(np.stack(pixels), names, with_embedding=with_embedding)
                answers = zip(found, [None] * len(found) if vectors is None else vectors, strict=True)
            for _, decoded in batch:
                yield decoded if isinstance(decoded, ImageError) else next(answers)

    def _inputs(self, paths: list[str], begun: Block) -> Iterator[tuple[str, NDArray[np.uint8] | ImageError]]:
        """The model's input for each path, or why there is none."""
        for path, source in zip(paths, self._sources(paths), strict=True):
            begun.at(path)
            try:
                if isinstance(source, ImageError):
                    raise source
                yield path, self._classifier.preprocessing(source, name=path)
            except ImageError as error:
                # Without its traceback, whose frames hold the picture.
                yield path, ImageError(error.message, error.hint, error.kind)

    def _sources(self, paths: list[str]) -> Iterator[str | bytes | ImageError]:
        """Files by their path, what lies in a store by its bytes, fetched ahead on threads that only wait."""
        if not any(map(is_uri, paths)):
            yield from paths
            return
        with ThreadPoolExecutor(FETCHED_AHEAD) as pool:
            todo = iter(paths)
            waiting = [pool.submit(self._fetch, path) for path in islice(todo, FETCHED_AHEAD)]
            while waiting:
                yield waiting.pop(0).result()
                waiting += [pool.submit(self._fetch, path) for path in islice(todo, 1)]

    def _fetch(self, path: str) -> str | bytes | ImageError:
        if not is_uri(path):
            return os.fspath(path)
        try:
            return self._work.locations.read(path)
        except ImageError as error:
            return error
